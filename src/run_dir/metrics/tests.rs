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
