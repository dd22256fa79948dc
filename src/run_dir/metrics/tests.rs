use super::*;
use std::fs;

const COLUMNS: [&str; 3] = ["step", "train/loss", "val/loss"];

#[test]
fn names_that_another_program_quoted_are_read_as_they_are() {
    let mut metrics = Metrics::default();
    metrics.extend(b"\xef\xbb\xbf\"step\",\"loss, \"\"smooth\"\"\",open\"\r\n1,2,3\r\n");
    let names: Vec<&str> = metrics.columns.iter().map(|column| column.name.as_str()).collect();
    assert_eq!(names, ["step", "loss, \"smooth\"", "open\""]);
    assert_eq!((metrics.rows, metrics.bad.len()), (1, 0));
}

#[test]
fn rows_survive_the_file_with_gaps_and_words() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mut writer = Writer::open(&path, &COLUMNS, None).unwrap();
    writer.row(&[Some(1.0), Some(2.5), None]).unwrap();
    writer.row(&[Some(2.0), Some(f64::NAN), Some(f64::INFINITY)]).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), "step,train/loss,val/loss\n1,2.5,\n2,nan,inf\n");
    let metrics = Metrics::read(&path).unwrap();
    assert_eq!(metrics.rows, 2);
    assert_eq!(metrics.points("step", "val/loss").collect::<Vec<_>>(), [(2.0, f64::INFINITY)]);
    assert!(metrics.column("train/loss").unwrap().last().unwrap().is_nan());
}

#[test]
fn a_torn_row_waits_until_its_newline_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    fs::write(&path, "step,train/loss,val/loss\n1,2.5,\n2,2.4").unwrap();
    let mut metrics = Metrics::read(&path).unwrap();
    assert_eq!((metrics.rows, metrics.bad.len()), (1, 0));
    fs::write(&path, "step,train/loss,val/loss\n1,2.5,\n2,2.41,\n").unwrap();
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Rows);
    assert_eq!(metrics.column("train/loss").unwrap().values, [2.5, 2.41]);
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Nothing);
}

#[test]
fn a_cut_file_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mut writer = Writer::open(&path, &COLUMNS, None).unwrap();
    writer.row(&[Some(1.0), Some(2.0), None]).unwrap();
    let keep = writer.length();
    writer.row(&[Some(2.0), Some(1.9), None]).unwrap();
    let mut metrics = Metrics::read(&path).unwrap();
    let mut writer = Writer::open(&path, &COLUMNS, Some(keep)).unwrap();
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Anew);
    writer.row(&[Some(2.0), Some(1.8), None]).unwrap();
    metrics.read_on(&path).unwrap();
    assert_eq!(metrics.column("train/loss").unwrap().values, [2.0, 1.8]);
}

#[test]
fn a_file_that_was_cut_and_grew_again_between_two_looks_is_read_again() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    fs::write(&path, "step,time\n1,10\n2,20\n").unwrap();
    let mut metrics = Metrics::read(&path).unwrap();
    fs::write(&path, "step,time\n1,10\n2,25\n3,30\n").unwrap();
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Anew);
    assert_eq!(metrics.column("time").unwrap().values, [10.0, 25.0, 30.0]);
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Nothing);
}

#[test]
fn a_quotation_mark_damages_its_own_row_alone() {
    let mut metrics = Metrics::default();
    metrics.extend(b"step,train/loss\n1,\"2\n2,1.5\n3,1.4\n");
    assert_eq!(metrics.column("step").unwrap().values, [2.0, 3.0]);
    assert_eq!(metrics.bad.iter().map(|(line, _)| *line).collect::<Vec<_>>(), [2]);
}

#[test]
fn bad_rows_are_named_by_their_line() {
    let mut metrics = Metrics::default();
    metrics.extend(b"step,train/loss\n1,2\n2\n3,oops\n");
    metrics.extend(b"4,5\n5,6,7\n");
    assert_eq!(metrics.rows, 2);
    assert_eq!(metrics.column("step").unwrap().values, [1.0, 4.0], "nothing of a bad row stays");
    assert_eq!(metrics.paired("step", "train/loss"), [(1.0, 2.0), (4.0, 5.0)]);
    let lines: Vec<u64> = metrics.bad.iter().map(|(line, _)| *line).collect();
    assert_eq!(lines, [3, 4, 6]);
    assert!(metrics.bad[1].1.contains("\"oops\" in column train/loss"), "{:?}", metrics.bad);
}

#[test]
fn a_pipe_in_the_place_of_the_file_is_refused_by_both_sides() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
    rustix::fs::mknodat(rustix::fs::CWD, &path, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    assert!(Writer::open(&path, &["step"], None).unwrap_err().to_string().contains("metrics.csv"));
    assert!(Metrics::read(&path).unwrap_err().to_string().contains("not a file"));
}

#[test]
fn a_file_shorter_than_its_checkpoint_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    fs::write(&path, "step\n").unwrap();
    let error = Writer::open(&path, &["step"], Some(100)).unwrap_err();
    assert!(error.to_string().contains("shorter than the 100 bytes"), "{error}");
}

#[test]
fn a_file_that_is_gone_takes_its_rows_along_and_one_that_is_back_is_read_from_its_start() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let mut metrics = Metrics::default();
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Nothing);
    for _ in 0..2 {
        fs::write(&path, "step\n1\n2\n").unwrap();
        assert_eq!(metrics.read_on(&path).unwrap(), Growth::Rows);
        assert_eq!(metrics.column("step").unwrap().values, [1.0, 2.0]);
        fs::remove_file(&path).unwrap();
        assert_eq!(metrics.read_on(&path).unwrap(), Growth::Anew);
        assert_eq!((metrics.rows, metrics.consumed(), metrics.columns.len()), (0, 0, 0));
        assert_eq!(metrics.read_on(&path).unwrap(), Growth::Nothing);
    }
}

#[test]
fn a_line_too_long_to_hold_is_passed_over_however_it_comes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("metrics.csv");
    let part = "x".repeat(read::MOST_OF_LINE as usize + 1);
    let mut text = format!("step\n1\n{part}");
    fs::write(&path, &text).unwrap();
    let mut metrics = Metrics::read(&path).unwrap();
    assert_eq!((metrics.rows, metrics.bad.len()), (1, 0), "its end is still to come");
    for (more, growth, steps) in [
        (part.as_str(), Growth::Nothing, &[1.0][..]),
        ("x\n2\n3", Growth::Rows, &[1.0, 2.0]),
        ("\n", Growth::Rows, &[1.0, 2.0, 3.0]),
        ("", Growth::Nothing, &[1.0, 2.0, 3.0]),
    ] {
        text.push_str(more);
        fs::write(&path, &text).unwrap();
        assert_eq!(metrics.read_on(&path).unwrap(), growth);
        assert_eq!(metrics.column("step").unwrap().values, steps);
    }
    assert_eq!(metrics.consumed(), text.len() as u64);
    let whole = Metrics::read(&path).unwrap();
    for table in [&metrics, &whole] {
        assert!(table.bad.len() == 1 && table.bad[0].0 == 3, "{:?}", table.bad);
        assert!(table.bad[0].1.starts_with("longer than 4.0 MiB"), "{:?}", table.bad);
    }
    assert_eq!(whole.column("step").unwrap().values, [1.0, 2.0, 3.0]);
    fs::write(&path, "step\n7\n").unwrap();
    assert_eq!(metrics.read_on(&path).unwrap(), Growth::Anew);
    assert_eq!(metrics.column("step").unwrap().values, [7.0]);
}

#[test]
fn columns_beyond_the_most_are_left_out_of_rows_that_have_them_all() {
    let names: Vec<String> = (0..MOST_COLUMNS + 5).map(|place| format!("c{place}")).collect();
    let cells = |count: usize| vec!["1"; count].join(",");
    let mut metrics = Metrics::default();
    metrics.extend(format!("{}\n{}\n", names.join(","), cells(MOST_COLUMNS + 5)).as_bytes());
    assert_eq!((metrics.columns.len(), metrics.columns_left_out), (MOST_COLUMNS, 5));
    assert_eq!((metrics.rows, metrics.bad.len()), (1, 0));
    metrics.extend(format!("{}\n", cells(MOST_COLUMNS)).as_bytes());
    assert_eq!((metrics.rows, metrics.bad.len()), (1, 1));
}

#[test]
fn complaints_have_an_end_and_repeat_the_beginning_of_a_cell() {
    let mut metrics = Metrics::of("step,gpu0_throttle_reasons\n");
    metrics.extend(format!("{},slow\n", "a".repeat(1000)).as_bytes());
    metrics.extend("b,slow\n".repeat(200).as_bytes());
    metrics.extend(format!("2,{}\n", "w".repeat(1000)).as_bytes());
    assert_eq!((metrics.rows, metrics.bad.len(), metrics.bad[0].0), (1, MOST_BAD, 2));
    assert!(metrics.bad[0].1.contains(&format!("\"{}\"", "a".repeat(MOST_OF_CELL))), "{:?}", metrics.bad[0]);
    let words = &metrics.column("gpu0_throttle_reasons").unwrap().words;
    assert_eq!(*words, [(0, "w".repeat(MOST_OF_NAME))], "nothing of a bad row stays");
}
