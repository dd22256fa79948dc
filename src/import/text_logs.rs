//! What nanoGPT and llm.c print: `step 250: train loss 2.1, val loss 2.2`, `iter 10: loss 2.5, time 33.1ms`,
//! `s:250 tel:2.2`, `step  10/1000 | loss 2.5 (+1.2z)| ...`. Lines of another kind are passed over.

use std::io;
use std::path::Path;

use super::files::{Files, Reading, each_line, has_ending, head};
use super::foreign::{Foreign, Wish};

/// Takes logs in whose beginning such a line stands.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let root = files.root.clone();
    let is_called = |path: &Path| path == root || has_ending(path, &[".log", ".txt", ".out"]);
    let is_log = |path: &Path| {
        let head = head(path);
        String::from_utf8_lossy(&head).lines().any(|text| line(text, None).is_some())
    };
    let ours = files.take(|path| is_called(path) && is_log(path));
    ours.into_iter().map(|path| Reading { place: path.clone(), files: vec![path], read }).collect()
}

fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut run = Foreign { tool: "", rows: wish.rows(), ..Foreign::default() };
    run.files.clone_from(&reading.files);
    let mut last = None;
    each_line(&reading.place, |bytes, is_whole| {
        let text = String::from_utf8_lossy(bytes);
        if let Some((name, value)) = setting(&text).filter(|_| last.is_none()) {
            run.add_settings(name, value);
        }
        // A line without its end may be a number without its last digits.
        if let Some(Line { tool, step, values }) = line(&text, last).filter(|_| is_whole) {
            run.tool = tool;
            last = Some(step);
            values.iter().for_each(|(name, value)| run.rows.put(step, name, *value));
        }
    })?;
    Ok(vec![run])
}

#[derive(Debug, PartialEq)]
struct Line {
    tool: &'static str,
    step: f64,
    values: Vec<(&'static str, f64)>,
}

/// `max_iters = 5000`, as nanoGPT prints the settings it was given.
fn setting(text: &str) -> Option<(&str, serde_json::Value)> {
    let text = text.strip_prefix("Overriding: ").unwrap_or(text);
    let (name, value) = text.split('#').next()?.split_once(" = ")?;
    let is_name = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || letter == '_';
    if name.is_empty() || name.len() > 60 || !name.chars().all(is_name) {
        return None;
    }
    let value = value.trim().trim_matches(['\'', '"']);
    Some((name, serde_json::from_str(&value.to_lowercase()).unwrap_or_else(|_| value.into())))
}

/// What a line logs; `last` is the step that was spoken of before.
fn line(text: &str, last: Option<f64>) -> Option<Line> {
    let nano = |step, values| Some(Line { tool: "nanoGPT", step, values });
    let llmc = |step, values| Some(Line { tool: "llm.c", step, values });
    let number = |text: &str| -> Option<f64> {
        let text = text.trim().trim_start_matches('(').trim_end_matches(['%', ',', '|', ')']);
        let text = text.trim_end_matches("ms");
        text.split_whitespace().next()?.trim_end_matches(',').parse().ok()
    };
    let after = |words: &str| -> Option<f64> {
        let at = text.find(words)?;
        number(text[at + words.len()..].split([',', '|', '(']).next()?)
    };
    let known = |values: &[(&'static str, Option<f64>)]| -> Vec<(&'static str, f64)> {
        values.iter().filter_map(|(name, value)| Some((*name, (*value)?))).collect()
    };
    if let Some(rest) = text.strip_prefix("iter ") {
        let step = rest.split_once(": loss ")?.0.parse().ok()?;
        // Below zero where it does not know yet.
        let mfu = after(", mfu ").filter(|mfu| *mfu >= 0.0);
        return nano(
            step,
            known(&[("loss", Some(after(": loss ")?)), ("time_ms", after(", time ")), ("mfu", mfu)]),
        );
    }
    if let Some(rest) = text.strip_prefix("s:") {
        let mut words = rest.split_whitespace();
        let step = words.next()?.parse().ok()?;
        let name = |short: &str| match short {
            "trl" => Some("train/loss"),
            "tel" => Some("val/loss"),
            "eval" => Some("hellaswag_acc"),
            "lr" => Some("lr"),
            "norm" => Some("grad_norm"),
            _ => None,
        };
        let values: Vec<_> = words
            .filter_map(|word| word.split_once(':'))
            .filter_map(|(short, value)| Some((name(short)?, value.parse().ok()?)))
            .collect();
        return (!values.is_empty()).then_some(()).and_then(|()| llmc(step, values));
    }
    if let Some(rest) = text.strip_prefix("HellaSwag: ") {
        return llmc(last?, vec![("hellaswag_acc", number(rest.rsplit_once(" = ")?.1)?)]);
    }
    if let Some(loss) = text.strip_prefix("val loss ") {
        return llmc(last.unwrap_or(0.0), vec![("val/loss", number(loss)?)]);
    }
    let rest = text.strip_prefix("step ")?.trim_start();
    if let (Some(train), Some(val)) = (after(": train loss "), after(", val loss ")) {
        return nano(rest.split(':').next()?.parse().ok()?, vec![("train/loss", train), ("val/loss", val)]);
    }
    let parts = || text.split(['|', ',', '(']).map(|part| part.trim().trim_end_matches(')').trim());
    let unit = |unit: &str| parts().find_map(|part| number(part.strip_suffix(unit)?));
    if let Some(train) = after(": train loss ") {
        let step = rest.split([':', '/']).next()?.trim().parse().ok()?;
        let rate = ("tokens_per_second", unit("tok/s"));
        return llmc(step, known(&[("train/loss", Some(train)), rate]));
    }
    let step = rest.split_once('/')?.0.trim().parse().ok()?;
    let loss = after("| loss ").or_else(|| after("train loss "))?;
    llmc(
        step,
        known(&[
            ("train/loss", Some(loss)),
            ("grad_norm", after("| norm ")),
            ("lr", after("| lr ")),
            ("time_ms", unit("ms")),
            ("tokens_per_second", unit("tok/s")),
        ]),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_of_both_programs_are_told_from_others() {
        let said = |text: &str| {
            line(text, Some(7.0)).map(|line| format!("{} {} {:?}", line.tool, line.step, line.values))
        };
        let table = [
            (
                "step 250: train loss 2.1081, val loss 2.2",
                Some(r#"nanoGPT 250 [("train/loss", 2.1081), ("val/loss", 2.2)]"#),
            ),
            (
                "iter 10: loss 2.5000, time 33.10ms, mfu -100.00%",
                Some(r#"nanoGPT 10 [("loss", 2.5), ("time_ms", 33.1)]"#),
            ),
            (
                "iter 20: loss nan, time 33.10ms, mfu 8.50%",
                Some(r#"nanoGPT 20 [("loss", NaN), ("time_ms", 33.1), ("mfu", 8.5)]"#),
            ),
            ("s:250 tel:3.5", Some(r#"llm.c 250 [("val/loss", 3.5)]"#)),
            (
                "s:3 trl:4.1 lr:0.0006 norm:1.25",
                Some(r#"llm.c 3 [("train/loss", 4.1), ("lr", 0.0006), ("grad_norm", 1.25)]"#),
            ),
            (
                "step   11/19560 | loss 10.125 (+nanz)| norm 15.3 (+nanz)| lr 8.6e-07 | 1234.5 ms | 39.3% bf16 MFU | 425000 tok/s",
                Some(
                    r#"llm.c 11 [("train/loss", 10.125), ("grad_norm", 15.3), ("lr", 8.6e-7), ("time_ms", 1234.5), ("tokens_per_second", 425000.0)]"#,
                ),
            ),
            ("step 4: train loss 5.25 (took 120.5 ms)", Some(r#"llm.c 4 [("train/loss", 5.25)]"#)),
            (
                "step    1/10 | train loss 5.355850 | norm 30.2843 | lr 1.00e-04 | (4803.17 ms | 53 tok/s)",
                Some(
                    r#"llm.c 1 [("train/loss", 5.35585), ("grad_norm", 30.2843), ("lr", 0.0001), ("time_ms", 4803.17), ("tokens_per_second", 53.0)]"#,
                ),
            ),
            (
                "step    2/74: train loss 4.367631 (80.639749 ms, 50793 tok/s)",
                Some(r#"llm.c 2 [("train/loss", 4.367631), ("tokens_per_second", 50793.0)]"#),
            ),
            ("HellaSwag: 3001/10042 = 0.298845", Some(r#"llm.c 7 [("hellaswag_acc", 0.298845)]"#)),
            ("s:250 eval:0.2988", Some(r#"llm.c 250 [("hellaswag_acc", 0.2988)]"#)),
            ("val loss 5.325", Some(r#"llm.c 7 [("val/loss", 5.325)]"#)),
            ("step on it", None),
            ("s:x tel:1", None),
            ("iter 10", None),
            ("saving checkpoint to out", None),
        ];
        for (text, expected) in table {
            assert_eq!(said(text).as_deref(), expected, "{text}");
        }
    }

    #[test]
    fn settings_that_were_printed_before_the_first_step_are_settings() {
        assert_eq!(setting("Overriding: batch_size = 32"), Some(("batch_size", 32.into())));
        assert_eq!(setting("compile = False # do not"), Some(("compile", false.into())));
        assert_eq!(setting("out_dir = 'out-shakespeare'"), Some(("out_dir", "out-shakespeare".into())));
        assert_eq!(setting("Some words = others"), None);
    }
}
