//! From a table of TOML to typed settings, section by section, with the dotted path of what does not fit.
//!
//! The sections with a `kind` are taken apart here rather than by serde's tagged enums, which lose the
//! place of an error inside them.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::diagnostic::{Part, Problem};
use super::mistakes::read_all;
use super::settings::{Data, Model, Optimizer, Settings, Train};

/// Reads the settings of one run; `table` has only the sections that settings have. Everything that does
/// not fit is added to `found`: an unknown key, a wrong type, a section that is missing. What else is wrong
/// goes by its default; None where there is none.
pub fn settings(mut table: Table, found: &mut Vec<Problem>) -> Option<Settings> {
    let unknown: Vec<String> =
        table.keys().filter(|key| !TOP_LEVEL.contains(&key.as_str())).cloned().collect();
    found.extend(unknown.iter().map(|key| unknown_key(FileKind::Experiment, "", key, TOP_LEVEL)));
    let is_misspelled = |name: &str| unknown.iter().any(|key| nearest(key, TOP_LEVEL) == Some(name));
    let mut required = |name: &str, way_out: &str, found: &mut Vec<Problem>| {
        let section = take_table(&mut table, name, found);
        if section.is_none() && !is_misspelled(name) {
            found.push(Problem::new("", format!("no [{name}] section"), way_out));
        }
        section.flatten()
    };
    let data = "say what to learn from, for example [data] with kind = \"shapes\"";
    let data = required("data", data, found).and_then(|section| self::data(section, found));
    let model = "say what to train, for example [model] with kind = \"mlp\"";
    let model = required("model", model, found).and_then(|section| self::model(section, found));
    let weights = take(&mut table, "weights", found);
    let train = take_table(&mut table, "train", found).flatten().unwrap_or_default();
    let train = self::train(train, found);
    let evaluate = take(&mut table, "evaluate", found).unwrap_or_default();
    let checkpoint = take(&mut table, "checkpoint", found).unwrap_or_default();
    let sample = take(&mut table, "sample", found).unwrap_or_default();
    let stop = take(&mut table, "stop", found);
    let resources = take(&mut table, "resources", found).unwrap_or_default();
    Some(Settings {
        data: data?,
        model: model?,
        weights,
        train,
        evaluate,
        checkpoint,
        sample,
        stop,
        resources,
    })
}

/// Which kind of file is read, for the sentences about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FileKind {
    Experiment,
    Workspace,
}

impl FileKind {
    fn name(self) -> &'static str {
        match self {
            FileKind::Experiment => "an experiment file",
            FileKind::Workspace => "overnight.toml",
        }
    }

    /// The command that describes all of its settings.
    fn schema(self) -> &'static str {
        match self {
            FileKind::Experiment => "overnight schema",
            FileKind::Workspace => "overnight schema workspace",
        }
    }
}

/// What may stand at the top of an experiment file.
pub const TOP_LEVEL: &[&str] = &[
    "description",
    "tags",
    "notes",
    "data",
    "model",
    "weights",
    "train",
    "evaluate",
    "checkpoint",
    "sample",
    "stop",
    "sweep",
    "resources",
    "queue",
    "alerts",
    "budgets",
];

fn data(mut table: Table, found: &mut Vec<Problem>) -> Option<Data> {
    const KINDS: &[&str] = &["text", "idx", "folder", "shapes"];
    match kind(&mut table, "data", KINDS, None, found)?.as_str() {
        "text" => whole("data", table, found).map(Data::Text),
        "idx" => whole("data", table, found).map(Data::Idx),
        "folder" => whole("data", table, found).map(Data::Folder),
        _ => whole("data", table, found).map(Data::Shapes),
    }
}

fn model(mut table: Table, found: &mut Vec<Problem>) -> Option<Model> {
    const KINDS: &[&str] = &["gpt", "mlp", "cnn", "resnet18"];
    match kind(&mut table, "model", KINDS, None, found)?.as_str() {
        "gpt" => whole("model", table, found).map(Model::Gpt),
        "mlp" => whole("model", table, found).map(Model::Mlp),
        "cnn" => whole("model", table, found).map(Model::Cnn),
        _ => whole("model", table, found).map(Model::Resnet18),
    }
}

fn train(mut table: Table, found: &mut Vec<Problem>) -> Train {
    const KINDS: &[&str] = &["adamw", "sgd"];
    let path = "train.optimizer";
    let mut optimizer = match table.remove("optimizer") {
        None => Table::new(),
        Some(Value::Table(optimizer)) => optimizer,
        Some(other) => {
            found.push(not_a_table(path, &other));
            Table::new()
        }
    };
    let read = match kind(&mut optimizer, path, KINDS, Some("adamw"), found).as_deref() {
        Some("adamw") => whole(path, optimizer, found).map(Optimizer::Adamw),
        Some(_) => whole(path, optimizer, found).map(Optimizer::Sgd),
        None => None,
    };
    let train: Train = whole("train", table, found).unwrap_or_default();
    Train { optimizer: read.unwrap_or(train.optimizer), ..train }
}

/// The kind that the section says, if it is one of `kinds`.
fn kind(
    table: &mut Table,
    path: &str,
    kinds: &[&str],
    default: Option<&str>,
    found: &mut Vec<Problem>,
) -> Option<String> {
    let problem = match (table.remove("kind"), default) {
        (Some(Value::String(kind)), _) if kinds.contains(&kind.as_str()) => return Some(kind),
        (None, Some(default)) => return Some(default.to_owned()),
        (Some(Value::String(other)), _) => unknown_kind(path, &other, kinds),
        (Some(other), _) => Problem::new(
            format!("{path}.kind"),
            format!("{path}.kind must be a word, found {}", other.type_str()),
            format!("write one of {}", listed(kinds)),
        ),
        (None, None) => {
            let way_out = format!("write kind = one of {}", listed(kinds));
            Problem::new(path, format!("[{path}] says no kind"), way_out)
        }
    };
    found.push(problem);
    None
}

/// Takes the section `name` out of `table` and reads it.
pub fn take<T: DeserializeOwned>(table: &mut Table, name: &str, found: &mut Vec<Problem>) -> Option<T> {
    table.remove(name).and_then(|value| read_all(FileKind::Experiment, name, value, found))
}

/// The section, if it is there; None within where it is something else.
fn take_table(table: &mut Table, name: &str, found: &mut Vec<Problem>) -> Option<Option<Table>> {
    match table.remove(name)? {
        Value::Table(section) => Some(Some(section)),
        other => {
            found.push(not_a_table(name, &other));
            Some(None)
        }
    }
}

fn whole<T: DeserializeOwned>(path: &str, table: Table, found: &mut Vec<Problem>) -> Option<T> {
    read_all(FileKind::Experiment, path, Value::Table(table), found)
}

/// The elements of a list of sections, such as `[[alerts]]`, each with its path.
pub fn sections(
    path: &str,
    value: Value,
    found: &mut Vec<Problem>,
) -> impl Iterator<Item = (String, Value)> + use<> {
    let elements = match value {
        Value::Array(elements) => elements,
        other => {
            let reason = format!("{path} must be a list of sections, found {}", other.type_str());
            found.push(Problem::new(path, reason, format!("write [[{path}]] above each")));
            Vec::new()
        }
    };
    let path = path.to_owned();
    elements.into_iter().enumerate().map(move |(index, element)| (format!("{path}[{index}]"), element))
}

/// Reads `value`, which stands at the dotted `path` of such a file; an empty path is the whole of it.
pub fn read_of<T: DeserializeOwned>(kind: FileKind, path: &str, value: Value) -> Result<T, Problem> {
    serde_path_to_error::deserialize(value).map_err(|error| {
        let below = error.path().to_string();
        let message = error.inner().message().to_owned();
        let at = match (path, below.as_str()) {
            (_, ".") => path.to_owned(),
            ("", _) => below,
            _ if below.starts_with('[') => format!("{path}{below}"),
            _ => format!("{path}.{below}"),
        };
        problem_of(kind, &at, &message)
    })
}

/// Turns serde's sentence into ours. The names it lists are the ones that would have been right.
fn problem_of(kind: FileKind, at: &str, message: &str) -> Problem {
    let quoted: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    if message.starts_with("unknown field") {
        let known = &quoted[1..];
        // serde_path_to_error counts the unknown key itself to the path.
        let parent = at.strip_suffix(quoted[0]).map_or(at, |parent| parent.trim_end_matches('.'));
        return unknown_key(kind, parent, quoted[0], known);
    }
    if message.starts_with("unknown variant") {
        let way_out = nearest(quoted[0], &quoted[1..])
            .map(|near| format!("did you mean \"{near}\"? Known are {}", listed(&quoted[1..])))
            .unwrap_or_else(|| format!("write one of {}", listed(&quoted[1..])));
        return Problem::new(at, format!("{at} cannot be \"{}\"", quoted[0]), way_out);
    }
    let reason = message.trim_end().replace('\n', " ");
    let section = section_name(at.split('.').next().unwrap_or_default());
    let way_out = format!("`{}` describes every setting of {section}", kind.schema());
    Problem::new(at, format!("{at}: {reason}"), way_out)
}

fn unknown_key(kind: FileKind, parent: &str, key: &str, known: &[&str]) -> Problem {
    let path = if parent.is_empty() { key.to_owned() } else { format!("{parent}.{key}") };
    let place = if parent.is_empty() { kind.name().to_owned() } else { section_name(parent) };
    let way_out = match nearest(key, known) {
        Some(near) => format!("did you mean `{near}`?"),
        None if known.is_empty() => "leave it out: nothing can be set here".to_owned(),
        None => format!("known are {}", known.join(", ")),
    };
    Problem { part: Part::Key, ..Problem::new(path, format!("{place} has no setting `{key}`"), way_out) }
}

/// `[train.optimizer]`; `[[hooks]]` for `hooks[0]`, as it is written.
fn section_name(path: &str) -> String {
    match path.split_once('[') {
        Some((list, _)) => format!("[[{list}]]"),
        None => format!("[{path}]"),
    }
}

fn unknown_kind(path: &str, found: &str, kinds: &[&str]) -> Problem {
    let way_out = match nearest(found, kinds) {
        Some(near) => format!("did you mean \"{near}\"? Known are {}", listed(kinds)),
        None => format!("write one of {}", listed(kinds)),
    };
    Problem::new(format!("{path}.kind"), format!("{path}.kind cannot be \"{found}\""), way_out)
}

fn not_a_table(path: &str, found: &Value) -> Problem {
    let way_out = format!("write a section: [{path}]");
    Problem::new(path, format!("{path} must be a section, found {}", found.type_str()), way_out)
}

/// The known name that `found` is probably a misspelling of.
pub fn nearest<'a>(found: &str, known: &[&'a str]) -> Option<&'a str> {
    let likeness = |name: &str| {
        strsim::normalized_damerau_levenshtein(found, name).max({
            // `learning_rate_floor` for `floor`: one word of several counts too.
            if found.split('_').any(|word| word == name) { 0.6 } else { 0.0 }
        })
    };
    let best = known.iter().copied().max_by(|a, b| likeness(a).total_cmp(&likeness(b)))?;
    (likeness(best) >= 0.5).then_some(best)
}

fn listed(words: &[&str]) -> String {
    words.iter().map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(", ")
}
