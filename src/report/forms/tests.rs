use std::fs;
use std::path::Path;

use serde_json::Value;

use super::*;
use crate::experiment::settings::{Data, Folder};
use crate::run_dir::scan::sample_record;

/// Two runs whose numbers are known.
fn workspace() -> (tempfile::TempDir, Workspace, Vec<RunDir>) {
    let folder = tempfile::tempdir().unwrap();
    let workspace = Workspace::new(folder.path());
    let mut dirs = Vec::new();
    for (place, table) in [
        "step,train/loss,val/loss\n1,0.5,\n2,0.25,nan\n",
        "step,train/loss,lr,b\"\n1,inf,3e-4,\n2,1e-300,,7\n",
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("r{place}");
        let dir = workspace.run("x", &name);
        fs::create_dir_all(dir.path()).unwrap();
        let mut record = sample_record("x", &name);
        record.settings.train.seed = u64::MAX - place as u64;
        record.settings.train.clip = place as f64;
        fs::write(dir.run_json(), serde_json::to_vec(&record).unwrap()).unwrap();
        fs::write(dir.metrics(), table).unwrap();
        dirs.push(dir);
    }
    (folder, workspace, dirs)
}

fn wishes(layout: Layout) -> Wishes {
    Wishes {
        layout,
        metrics: Vec::new(),
        chart: None,
        width: 100,
        theme: None,
        surroundings: Surroundings::LeftOut,
        overwrite: Overwrite::Own,
    }
}

fn made(form: Form, layout: Layout) -> (String, Written) {
    let (folder, workspace, dirs) = workspace();
    let path = folder.path().join("made");
    let written = write(&workspace, &dirs, form, Some(&path), &wishes(layout)).unwrap();
    (fs::read_to_string(path).unwrap(), written)
}

#[test]
fn a_long_table_has_a_row_for_each_value_and_the_settings_that_vary() {
    let (text, written) = made(Form::Csv, Layout::Long);
    let expected = "\
experiment,run,seed,step,metric,value,train.clip
x,r0,18446744073709551615,1,train/loss,0.5,0.0
x,r0,18446744073709551615,2,train/loss,0.25,0.0
x,r0,18446744073709551615,2,val/loss,nan,0.0
x,r1,18446744073709551614,1,train/loss,inf,1.0
x,r1,18446744073709551614,1,lr,0.0003,1.0
x,r1,18446744073709551614,2,train/loss,1e-300,1.0
x,r1,18446744073709551614,2,\"b\"\"\",7,1.0
";
    assert_eq!(text, expected);
    assert_eq!(written.holds, [("rows".to_owned(), 7)]);
    assert_eq!(written.bytes, expected.len() as u64);
}

#[test]
fn a_wide_table_has_a_column_for_each_metric_of_any_run() {
    let (text, _) = made(Form::Csv, Layout::Wide);
    let expected = "\
experiment,run,seed,step,train/loss,val/loss,lr,\"b\"\"\",train.clip
x,r0,18446744073709551615,1,0.5,,,,0.0
x,r0,18446744073709551615,2,0.25,nan,,,0.0
x,r1,18446744073709551614,1,inf,,0.0003,,1.0
x,r1,18446744073709551614,2,1e-300,,,7,1.0
";
    assert_eq!(text, expected);
}

#[test]
fn no_name_is_a_formula_in_a_table_and_numbers_stay_numbers() {
    let (folder, workspace, dirs) = workspace();
    for (place, dir) in dirs.iter().enumerate() {
        let mut record = sample_record("x", &dir.name());
        let path = ["=cmd|'/c calc'!A1", "-1+1,\"a\""][place].to_owned();
        record.settings.data = Data::Folder(Folder { path, ..Folder::default() });
        fs::write(dir.run_json(), serde_json::to_vec(&record).unwrap()).unwrap();
        fs::write(dir.metrics(), "step,@sum,\"=HYPERLINK(a,b)\"\n1,-0.5,2\n").unwrap();
    }
    let made = |form, layout| {
        let path = folder.path().join("formulas");
        let wishes = Wishes { overwrite: Overwrite::Anything, ..wishes(layout) };
        write(&workspace, &dirs, form, Some(&path), &wishes).unwrap();
        fs::read_to_string(path).unwrap()
    };
    for layout in [Layout::Long, Layout::Wide] {
        let text = made(Form::Csv, layout);
        assert!(text.contains(",-0.5,"), "{text}");
        let mut rows = ::csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
        let cells: Vec<String> = rows
            .records()
            .flat_map(|row| row.unwrap().iter().map(str::to_owned).collect::<Vec<_>>())
            .collect();
        for cell in ["'=cmd|'/c calc'!A1", "'-1+1,\"a\"", "'@sum", "'=HYPERLINK(a,b)"] {
            assert!(cells.iter().any(|is| is == cell), "{cell}: {cells:?}");
        }
        let is_obeyed = |cell: &&String| cell.starts_with(['=', '+', '@']);
        assert_eq!(cells.iter().find(is_obeyed), None);
    }
    // Programs that read JSON obey nothing.
    assert!(made(Form::Json, Layout::Long).contains("\"@sum\""));
}

#[test]
fn json_keeps_whole_numbers_and_spells_what_is_not_finite() {
    let (text, _) = made(Form::Json, Layout::Long);
    assert!(text.contains("[1,0.5,null]") && text.contains("[2,0.25,\"nan\"]"), "{text}");
    assert!(text.contains("[1,\"inf\",0.0003,null]"), "{text}");
    let read: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(read["runs"][0]["seed"], Value::from(u64::MAX));
    assert_eq!(read["runs"][1]["columns"][3], "b\"");
}

#[test]
fn what_is_damaged_is_told() {
    let (folder, workspace, dirs) = workspace();
    fs::write(dirs[0].metrics(), "step,a\n1,2,3\n2,5\n").unwrap();
    fs::write(dirs[1].run_json(), "{").unwrap();
    let path = folder.path().join("made.csv");
    let written = write(&workspace, &dirs, Form::Csv, Some(&path), &wishes(Layout::Long)).unwrap();
    let told = written.left_out.join("\n");
    assert!(told.contains("1 damaged lines") && told.contains("run.json"), "{told}");
    assert!(!told.contains(&folder.path().display().to_string()), "{told}");
    let text = fs::read_to_string(path).unwrap();
    assert!(
        text.contains("x,r0,18446744073709551615,2,a,5") && text.contains("x,r1,,1,train/loss,inf"),
        "{text}"
    );
}

#[test]
fn an_ending_names_a_form() {
    for (path, form) in [
        ("a.csv", Some(Form::Csv)),
        ("a.b/c.PARQUET", Some(Form::Parquet)),
        ("table.tex", Some(Form::Latex)),
        ("a.HTM", Some(Form::Html)),
        ("folder", Some(Form::Html)),
        ("-", Some(Form::Html)),
        ("a.txt", None),
        ("sweep.docx", None),
    ] {
        assert_eq!(Form::of_ending(Path::new(path)).ok(), form, "{path}");
    }
    let refused = Form::of_ending(Path::new("sweep.docx")).unwrap_err().to_string();
    assert!(refused.contains("no form ends in .docx (known are html, htm, csv"), "{refused}");
}

#[test]
fn histograms_stand_in_json_and_come_back_from_event_files_as_the_quantiles_they_were() {
    let (folder, workspace, dirs) = workspace();
    let header = crate::run_dir::distributions::columns("w").join(",");
    let table =
        format!("step,epoch,time,elapsed,{header}\n5,,,,-2,-1,0,0.1,1.5,1.5,4\n6,,,,1,1,1,1,1,1,nan\n");
    fs::write(dirs[0].distributions(), &table).unwrap();
    let made = |form, name: &str| {
        let path = folder.path().join(name);
        let written = write(&workspace, &dirs, form, Some(&path), &wishes(Layout::Long)).unwrap();
        (path, written)
    };
    let read: Value = serde_json::from_slice(&fs::read(made(Form::Json, "made.json").0).unwrap()).unwrap();
    let spread = &read["runs"][0]["distributions"];
    assert_eq!(spread["columns"][7], "w/p50");
    assert_eq!(spread["rows"][0].to_string(), "[5,null,null,null,-2,-1,0,0.1,1.5,1.5,4]");
    assert_eq!((&spread["rows"][1][10], &read["runs"][1]["distributions"]), (&"nan".into(), &Value::Null));

    let (events, written) = made(Form::Tensorboard, "events");
    assert!(written.holds.contains(&("histograms".to_owned(), 1)), "{:?}", written.holds);
    assert!(
        written.left_out.iter().any(|what| what.contains("shares of a hundred")),
        "{:?}",
        written.left_out
    );
    let again = Workspace::new(folder.path().join("again"));
    let mut session = crate::import::session::Session::new(
        &again,
        &events.join("x/r0"),
        crate::import::foreign::Wish::default(),
        crate::import::write::Aim::default(),
        crate::import::write::Mode::Write,
    );
    let dir = session.round().unwrap().brought.remove(0).dir;
    let came = fs::read_to_string(dir.distributions()).unwrap();
    assert_eq!(came.lines().collect::<Vec<_>>()[..2], table.lines().collect::<Vec<_>>()[..2]);
}
