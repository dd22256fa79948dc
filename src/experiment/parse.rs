//! From a table of TOML to typed settings, section by section, with the dotted path of what does not fit.
//!
//! The sections with a `kind` are taken apart here rather than by serde's tagged enums, which lose the
//! place of an error inside them.

use serde::de::DeserializeOwned;
use toml::{Table, Value};

use super::diagnostic::{Part, Problem};
use super::settings::{Data, Model, Optimizer, Settings, Train};

/// Reads the settings of one run; `table` has only the sections that settings have.
///
/// # Errors
/// The first thing that does not fit: an unknown key, a wrong type, a section that is missing.
pub fn settings(mut table: Table) -> Result<Settings, Problem> {
    let data = take_table(&mut table, "data")?.ok_or_else(|| {
        Problem::new(
            "",
            "no [data] section",
            "say what to learn from, for example [data] with kind = \"shapes\"",
        )
    })?;
    let model = take_table(&mut table, "model")?.ok_or_else(|| {
        Problem::new("", "no [model] section", "say what to train, for example [model] with kind = \"mlp\"")
    })?;
    let train = take_table(&mut table, "train")?.unwrap_or_default();
    let settings = Settings {
        data: self::data(data)?,
        model: self::model(model)?,
        weights: take(&mut table, "weights")?,
        train: self::train(train)?,
        evaluate: take(&mut table, "evaluate")?.unwrap_or_default(),
        checkpoint: take(&mut table, "checkpoint")?.unwrap_or_default(),
        sample: take(&mut table, "sample")?.unwrap_or_default(),
        stop: take(&mut table, "stop")?,
        resources: take(&mut table, "resources")?.unwrap_or_default(),
    };
    match table.keys().next() {
        None => Ok(settings),
        Some(unknown) => Err(unknown_key(FileKind::Experiment, "", unknown, TOP_LEVEL)),
    }
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

fn data(mut table: Table) -> Result<Data, Problem> {
    const KINDS: &[&str] = &["text", "idx", "folder", "shapes"];
    match kind(&mut table, "data", KINDS, None)?.as_str() {
        "text" => whole("data", table).map(Data::Text),
        "idx" => whole("data", table).map(Data::Idx),
        "folder" => whole("data", table).map(Data::Folder),
        "shapes" => whole("data", table).map(Data::Shapes),
        other => Err(unknown_kind("data", other, KINDS)),
    }
}

fn model(mut table: Table) -> Result<Model, Problem> {
    const KINDS: &[&str] = &["gpt", "mlp", "cnn", "resnet18"];
    match kind(&mut table, "model", KINDS, None)?.as_str() {
        "gpt" => whole("model", table).map(Model::Gpt),
        "mlp" => whole("model", table).map(Model::Mlp),
        "cnn" => whole("model", table).map(Model::Cnn),
        "resnet18" => whole("model", table).map(Model::Resnet18),
        other => Err(unknown_kind("model", other, KINDS)),
    }
}

fn train(mut table: Table) -> Result<Train, Problem> {
    const KINDS: &[&str] = &["adamw", "sgd"];
    let path = "train.optimizer";
    let mut optimizer = match table.remove("optimizer") {
        None => Table::new(),
        Some(Value::Table(optimizer)) => optimizer,
        Some(other) => return Err(not_a_table(path, &other)),
    };
    let optimizer = match kind(&mut optimizer, path, KINDS, Some("adamw"))?.as_str() {
        "adamw" => Optimizer::Adamw(whole(path, optimizer)?),
        "sgd" => Optimizer::Sgd(whole(path, optimizer)?),
        other => return Err(unknown_kind(path, other, KINDS)),
    };
    Ok(Train { optimizer, ..whole("train", table)? })
}

fn kind(table: &mut Table, path: &str, kinds: &[&str], default: Option<&str>) -> Result<String, Problem> {
    match (table.remove("kind"), default) {
        (Some(Value::String(kind)), _) => Ok(kind),
        (Some(other), _) => Err(Problem::new(
            format!("{path}.kind"),
            format!("{path}.kind must be a word, found {}", other.type_str()),
            format!("write one of {}", listed(kinds)),
        )),
        (None, Some(default)) => Ok(default.to_owned()),
        (None, None) => {
            let way_out = format!("write kind = one of {}", listed(kinds));
            Err(Problem::new(path, format!("[{path}] says no kind"), way_out))
        }
    }
}

/// Takes the section `name` out of `table` and reads it.
pub fn take<T: DeserializeOwned>(table: &mut Table, name: &str) -> Result<Option<T>, Problem> {
    table.remove(name).map(|value| read(name, value)).transpose()
}

fn take_table(table: &mut Table, name: &str) -> Result<Option<Table>, Problem> {
    match table.remove(name) {
        None => Ok(None),
        Some(Value::Table(section)) => Ok(Some(section)),
        Some(other) => Err(not_a_table(name, &other)),
    }
}

fn whole<T: DeserializeOwned>(path: &str, table: Table) -> Result<T, Problem> {
    read(path, Value::Table(table))
}

/// Reads `value`, which stands at the dotted `path` of an experiment file.
pub fn read<T: DeserializeOwned>(path: &str, value: Value) -> Result<T, Problem> {
    read_of(FileKind::Experiment, path, value)
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
