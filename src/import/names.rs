//! Names of other programs, made safe for a folder, a header and a page; and the metric that counts.

use crate::run_dir::telemetry::holds_words;

/// Longest name of a metric.
const LONGEST: usize = 120;

/// A metric's name as in the source, without what would end a cell or a line.
pub fn metric(name: &str) -> String {
    let is_bad = |letter: char| letter.is_control() || matches!(letter, ',' | '"');
    let name: String = name.trim().chars().map(|letter| if is_bad(letter) { '_' } else { letter }).collect();
    let name = cut(&name, LONGEST).trim_end();
    let is_ours = ["", "step", "epoch", "time", "elapsed"].contains(&name);
    // A column that ends so holds words where we wrote it.
    match () {
        () if is_ours => format!("logged/{name}"),
        () if holds_words(name) => format!("{name}_"),
        () => name.to_owned(),
    }
}

/// The folder's name for a run or an experiment: what is not plain becomes a dash.
pub fn plain(name: &str) -> String {
    let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "._-".contains(letter);
    let mut plain = String::new();
    for letter in name.trim().chars() {
        match is_plain(letter) {
            true => plain.push(letter),
            false if plain.ends_with('-') => {}
            false => plain.push('-'),
        }
    }
    let plain = plain.trim_matches(['-', '.']);
    let plain = cut(plain, 100).trim_end_matches(['-', '.']);
    if plain.is_empty() { "run".to_owned() } else { plain.to_owned() }
}

/// The first `most` bytes at the most, whole letters.
fn cut(text: &str, most: usize) -> &str {
    let mut end = text.len().min(most);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

/// The metric by which a run of another program is judged: its validation loss, else a validation metric that
/// one would judge by, else its loss, else what it logged first.
pub fn judged_by(metrics: &[String]) -> Option<&String> {
    let rank = |name: &str| {
        let name = name.to_ascii_lowercase();
        let has = |words: &[&str]| words.iter().any(|word| name.contains(word));
        let is_held_out = has(&["val", "eval", "dev"]) || name.starts_with("test");
        let is_loss = has(&["loss", "nll", "perplexity", "ppl"]);
        match (is_held_out, is_loss) {
            // Lightning's, which says nothing unless somebody gives it a meaning.
            _ if name == "hp_metric" => 6,
            _ if has(&["lr", "learning_rate", "time", "per_second", "runtime", "grad"]) => 5,
            (true, true) => 0,
            (true, false) if has(&["acc", "f1", "iou", "dice", "rmse", "mae", "mse"]) => 1,
            (false, true) => 2,
            (true, false) => 3,
            (false, false) => 4,
        }
    };
    metrics.iter().min_by_key(|name| rank(name))
}

/// The loss of training among these metrics, where there is one.
pub fn trained_by(metrics: &[String]) -> Option<&String> {
    metrics.iter().find(|name| {
        let name = name.to_ascii_lowercase();
        let is_held_out = ["val", "eval", "dev", "test"].iter().any(|word| name.contains(word));
        name.contains("loss") && !is_held_out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_dir::is_plain_name;

    #[test]
    fn metrics_keep_their_names_but_for_what_would_break_a_header() {
        let table = [
            ("train/loss", "train/loss"),
            (" Loss, \"smooth\"\n", "Loss_ _smooth_"),
            ("größe ∇", "größe ∇"),
            ("time", "logged/time"),
            ("", "logged/"),
        ];
        for (name, expected) in table {
            assert_eq!(metric(name), expected);
        }
        assert!(metric(&"ä".repeat(500)).len() <= LONGEST);
    }

    #[test]
    fn any_name_becomes_a_folder_that_leads_nowhere_else() {
        let table = [
            ("../../etc/passwd", "etc-passwd"),
            ("version_0", "version_0"),
            ("lr=0.1, bs=32", "lr-0.1-bs-32"),
            ("..", "run"),
            ("-x", "x"),
            ("a\0b", "a-b"),
        ];
        for (name, expected) in table {
            assert_eq!(plain(name), expected);
        }
        for name in ["", "💣", "/", &"x/".repeat(5000), ".hidden"] {
            assert!(is_plain_name(&plain(name)), "{name:?}");
        }
    }

    #[test]
    fn a_run_is_judged_by_its_validation_loss_where_it_has_one() {
        let best = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            judged_by(&names).cloned().unwrap_or_default()
        };
        assert_eq!(best(&["lr", "train_loss", "val_acc", "val_loss"]), "val_loss");
        assert_eq!(best(&["lr", "train_loss", "valid_acc"]), "valid_acc");
        assert_eq!(best(&["eval_runtime", "lr-Adam", "loss"]), "loss");
        assert_eq!(best(&["reward", "lr"]), "reward");
        assert_eq!(best(&["hp_metric", "lr-Adam", "train_acc"]), "train_acc");
        assert_eq!(best(&["hp_metric"]), "hp_metric");
        assert_eq!(best(&[]), "");
    }
}
