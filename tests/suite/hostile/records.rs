//! Records of a run as nobody would write them and anybody may have them: markup that would run, marks that
//! turn the direction, numbers that no clock and no table has.

use std::fs;

use overnight::run_dir::RunDir;
use serde_json::{Value, json};

/// Sets `window.ran` wherever it is taken for markup or for a script.
pub const HOSTILE: &str = "</script></style></title><script>window.ran=1</script><img src=x onerror=window.ran=1>\"'`&\u{202e}\u{0}\u{2028}${window.ran=1}]]>--><!--<script>";

/// Spoils every record of a finished run that pages show; it stays readable.
pub fn spoil(dir: &RunDir) {
    edit(&dir.run_json(), |record| {
        record["description"] = json!(HOSTILE);
        record["notes"] = json!(HOSTILE.repeat(20));
        record["tags"] = json!([HOSTILE, "__proto__", "constructor"]);
        record["created"] = json!(1e300);
    });
    let text = json!({ "kind": "text", "prompt": HOSTILE, "text": HOSTILE, "temperature": -1e300, "top_k": u32::MAX, "top_p": -1.0 });
    let seen = json!({ "kind": "prediction", "tile": u32::MAX, "actual": HOSTILE, "predicted": HOSTILE, "probability": "-inf" });
    fs::create_dir_all(dir.samples()).unwrap();
    for step in [0, 7, u64::MAX / 4] {
        write(&dir.sample_json(step), &json!({ "step": u64::MAX, "items": [text, seen] }));
    }
    fs::write(dir.sample_png(7), "<svg onload=window.ran=1>").unwrap();
    let layer = |number: usize| json!({ "name": format!("{HOSTILE}.{number}"), "kind": HOSTILE, "output": [i64::MIN, i64::MAX], "tensors": [[HOSTILE, [i64::MIN]]], "parameters": u64::MAX });
    let layers: Vec<Value> = (0..30).map(layer).collect();
    write(
        &dir.model_json(),
        &json!({ "kind": HOSTILE, "parameters": u64::MAX, "layers": layers, "classes": [HOSTILE, HOSTILE] }),
    );
    let class = |accuracy: Value| json!({ "name": HOSTILE, "examples": u64::MAX, "accuracy": accuracy });
    write(
        &dir.evaluation(),
        &json!({ "step": u64::MAX, "metrics": { HOSTILE: "nan" }, "classes": [class(json!(-1e300)), class(json!("inf")), class(json!("nan"))],
            "confusion": [[u64::MAX, u64::MAX], [], [1, 2, 3, 4, 5]] }),
    );
    let ask = |ask: Value| {
        let mut line = json!({ "time": -1e300, "who": HOSTILE });
        line.as_object_mut().unwrap().extend(ask.as_object().unwrap().clone());
        format!("{line}\n")
    };
    let asks = [json!({ "ask": "note", "text": HOSTILE }), json!({ "ask": "tag", "tag": HOSTILE })];
    fs::write(dir.requests(), asks.map(ask).concat()).unwrap();
    let event = json!({ "time": 1e300, "attempt": 1, "step": u64::MAX, "event": "alert", "message": HOSTILE, "rule": HOSTILE });
    let events = fs::read_to_string(dir.events()).unwrap_or_default();
    fs::write(dir.events(), format!("{events}{event}\n")).unwrap();
    edit(&dir.env_json(), |environment| {
        environment["host"] = json!(HOSTILE);
        environment["git_commit"] = json!(HOSTILE);
        environment["git_diff"] = json!(HOSTILE);
        environment["data"] = json!([{ "path": HOSTILE, "bytes": u64::MAX, "blake3": "ä".repeat(40) }]);
    });
    fs::write(dir.train_log(), format!("{HOSTILE}\n{}\n", "x".repeat(100_000)).repeat(3)).unwrap();
    fs::write(dir.stderr_log(), format!("{HOSTILE}\n")).unwrap();
    let metrics = fs::read_to_string(dir.metrics()).unwrap();
    let name = HOSTILE.replace('"', "\"\"").replace('\n', "");
    let rows = metrics.lines().enumerate().map(|(at, row)| match at {
        0 => format!("{row},\"{name}\",__proto__\n"),
        1 => format!("{row},1e300,-inf\n"),
        at => format!("{row},{at},nan\n"),
    });
    let rows: String = rows.collect();
    fs::write(dir.metrics(), rows).unwrap();
}

fn write(path: &std::path::Path, value: &Value) {
    fs::write(path, value.to_string()).unwrap();
}

/// Changes a JSON record, if it is there.
pub fn edit(path: &std::path::Path, change: impl FnOnce(&mut Value)) {
    let Ok(bytes) = fs::read(path) else { return };
    let mut record: Value = serde_json::from_slice(&bytes).unwrap();
    change(&mut record);
    write(path, &record);
}
