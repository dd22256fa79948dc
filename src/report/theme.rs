//! Templates and style: embedded in the program, each replaced by a file of the same name in the
//! workspace's `templates/` or `themes/`.

mod apart;
mod logo;
mod look;

use std::io;
use std::path::Path;

use minijinja::value::Serde;
use minijinja::{AutoEscape, Environment, UndefinedBehavior};
use serde::Serialize;

use super::chart::backend::Escaped;
use crate::run_dir::write::at;
use crate::run_dir::{Workspace, read};
use crate::workspace_settings::WorkspaceSettings;

use apart::never_apart;
use look::{Logo, Look};

/// The templates of all pages, parsed once, and the files beside them.
pub struct Theme {
    environment: Environment<'static>,
    /// Path below `reports/` and bytes.
    assets: Vec<(&'static str, Vec<u8>)>,
    logo: Logo,
    warning: Option<String>,
    /// Changes whenever any page could look different: hash of the templates, and of the
    /// sources of this build.
    generation: String,
}

/// Why a page could not be made from its template.
#[derive(Debug, thiserror::Error)]
pub enum ThemeError {
    #[error("{0}")]
    Read(#[from] io::Error),
    #[error("{template}: {message} (a template of the workspace? without it the built-in one is used)")]
    Template { template: String, message: String },
}

const TEMPLATES: &[(&str, &str)] = &[
    ("layout.html", include_str!("../../templates/layout.html")),
    ("parts.html", include_str!("../../templates/parts.html")),
    ("index.html", include_str!("../../templates/index.html")),
    ("experiments.html", include_str!("../../templates/experiments.html")),
    ("experiment.html", include_str!("../../templates/experiment.html")),
    ("models.html", include_str!("../../templates/models.html")),
    ("pipelines.html", include_str!("../../templates/pipelines.html")),
    ("system.html", include_str!("../../templates/system.html")),
    ("runs.html", include_str!("../../templates/runs.html")),
    ("compare.html", include_str!("../../templates/compare.html")),
    ("export.html", include_str!("../../templates/export.html")),
    ("run.html", include_str!("../../templates/run.html")),
];

/// Scripts by their name below `assets/`: the one of all pages first, then those of single pages, which come
/// after it. Each is the sum of its parts in the order in which these build on each other; a part is a
/// classic script of its own, so that the plain sum works from a file as well.
const SCRIPTS: &[(&str, &[(&str, &str)])] = &[
    (
        "assets/overnight.js",
        &[
            ("start.js", include_str!("../../templates/js/start.js")),
            ("numbers.js", include_str!("../../templates/js/numbers.js")),
            ("tables.js", include_str!("../../templates/js/tables.js")),
            ("scale.js", include_str!("../../templates/js/scale.js")),
            ("lines.js", include_str!("../../templates/js/lines.js")),
            ("state.js", include_str!("../../templates/js/state.js")),
            ("data.js", include_str!("../../templates/js/data.js")),
            ("draw.js", include_str!("../../templates/js/draw.js")),
            ("cursor.js", include_str!("../../templates/js/cursor.js")),
            ("legend.js", include_str!("../../templates/js/legend.js")),
            ("tools.js", include_str!("../../templates/js/tools.js")),
            ("save.js", include_str!("../../templates/js/save.js")),
            ("menu.js", include_str!("../../templates/js/menu.js")),
            ("hands.js", include_str!("../../templates/js/hands.js")),
            ("rows.js", include_str!("../../templates/js/rows.js")),
            ("grow.js", include_str!("../../templates/js/grow.js")),
            ("log.js", include_str!("../../templates/js/log.js")),
            ("run.js", include_str!("../../templates/js/run.js")),
            ("night.js", include_str!("../../templates/js/night.js")),
            ("patch.js", include_str!("../../templates/js/patch.js")),
            ("ticks.js", include_str!("../../templates/js/ticks.js")),
            ("figure.js", include_str!("../../templates/js/figure.js")),
            ("aside.js", include_str!("../../templates/js/aside.js")),
            ("further.js", include_str!("../../templates/js/further.js")),
            ("follow.js", include_str!("../../templates/js/follow.js")),
        ],
    ),
    ("assets/morning.js", &[("morning.js", include_str!("../../templates/js/morning.js"))]),
    (
        "assets/runs.js",
        &[
            ("find.js", include_str!("../../templates/js/find.js")),
            ("runs.js", include_str!("../../templates/js/runs.js")),
        ],
    ),
    (
        "assets/compare.js",
        &[
            ("beside.js", include_str!("../../templates/js/beside.js")),
            ("compare.js", include_str!("../../templates/js/compare.js")),
        ],
    ),
    (
        "assets/sweep.js",
        &[
            ("beyond.js", include_str!("../../templates/js/beyond.js")),
            ("sweep.js", include_str!("../../templates/js/sweep.js")),
        ],
    ),
    ("assets/models.js", &[("models.js", include_str!("../../templates/js/models.js"))]),
    ("assets/sent.js", &[("sent.js", include_str!("../../templates/js/sent.js"))]),
];

/// What a page loads only where a server says that people may act: never from a file or a static host.
const CONTROL: (&str, &[(&str, &str)]) = (
    "assets/control.js",
    &[
        ("control/people.js", include_str!("../../templates/js/control/people.js")),
        ("control/act.js", include_str!("../../templates/js/control/act.js")),
        ("control/several.js", include_str!("../../templates/js/control/several.js")),
        ("control/settings.js", include_str!("../../templates/js/control/settings.js")),
        ("control/fields.js", include_str!("../../templates/js/control/fields.js")),
        ("control/compose.js", include_str!("../../templates/js/control/compose.js")),
    ],
);

/// Bytes that a template or a part of the script may have.
const MOST_OF_TEMPLATE: u64 = 4 << 20;

const STYLE_CSS: &str = include_str!("../../themes/default/style.css");
const CONTROL_CSS: &str = include_str!("../../themes/default/control.css");

impl Theme {
    /// The theme of this name, or the one that `overnight.toml` names, with what the workspace replaces
    /// of the templates and the common style.
    ///
    /// # Errors
    /// A replacing file cannot be read, or is no template.
    pub fn load(workspace: &Workspace, name: Option<&str>) -> Result<Theme, ThemeError> {
        let (templates, themes) = (workspace.root().join("templates"), workspace.root().join("themes"));
        // Whoever runs or serves is told what is wrong with the settings; pages can be made without.
        let settings = WorkspaceSettings::read(workspace).unwrap_or_default();
        let look = Look::of(&themes, name.unwrap_or(&settings.report.theme));
        let mut environment = Environment::new();
        environment.set_undefined_behavior(UndefinedBehavior::Strict);
        environment.set_auto_escape_callback(|_| AutoEscape::Html);
        // The engine's own escaping also writes every slash as five characters more.
        environment.set_formatter(|out, state, value| match value.as_str() {
            Some(text) if !value.is_safe() => Ok(write!(out, "{}", Escaped(text))?),
            _ => minijinja::escape_formatter(out, state, value),
        });
        let mut hasher = blake3::Hasher::new();
        // A patched build has its version in common with the one before.
        hasher.update(env!("OVERNIGHT_SOURCES").as_bytes());
        for (name, built_in) in TEMPLATES.iter().copied() {
            let source = replaced(&templates.join(name), built_in)?;
            hasher.update(source.as_bytes());
            environment.add_template_owned(name, source).map_err(|error| template_error(name, &error))?;
        }
        let mut assets = Vec::new();
        for (path, parts) in SCRIPTS.iter().chain([&CONTROL]) {
            let mut script = String::new();
            for (name, built_in) in *parts {
                script += &replaced(&templates.join("js").join(name), &slim(built_in))?;
            }
            assets.push((*path, script.into_bytes()));
        }
        let style = replaced(&themes.join("default/style.css"), STYLE_CSS)? + &look.style;
        // They stand in every page.
        hasher.update(look.logo.path.as_bytes());
        hasher.update(look.warning.as_deref().unwrap_or_default().as_bytes());
        assets.push(("assets/style.css", style.into_bytes()));
        let of_control = replaced(&themes.join("default/control.css"), CONTROL_CSS)?;
        assets.push(("assets/control.css", of_control.into_bytes()));
        assets.push((look.logo.path, look.logo.bytes.to_vec()));
        Ok(Theme {
            environment,
            assets,
            logo: look.logo,
            warning: look.warning,
            generation: hasher.finalize().to_hex().to_string(),
        })
    }

    /// A page from its template and its struct.
    ///
    /// # Errors
    /// The template asks for something that the page does not have, with its line.
    pub fn render<T: Serialize>(&self, template: &str, page: &T) -> Result<String, ThemeError> {
        let rendered = self.environment.get_template(template).and_then(|parsed| parsed.render(Serde(page)));
        rendered.map(never_apart).map_err(|error| template_error(template, &error))
    }

    pub fn assets(&self) -> &[(&'static str, Vec<u8>)] {
        &self.assets
    }

    /// Assets of these names as one text, for a file that loads nothing.
    pub fn text_of(&self, names: &[&str]) -> String {
        let texts = names.iter().filter_map(|name| {
            let found = self.assets.iter().find(|(path, _)| path.strip_prefix("assets/") == Some(name))?;
            Some(String::from_utf8_lossy(&found.1))
        });
        texts.collect()
    }

    pub fn logo(&self) -> &Logo {
        &self.logo
    }

    /// What is wrong with the theme that was asked for, and left out.
    pub fn warning(&self) -> Option<&str> {
        self.warning.as_deref()
    }

    pub fn generation(&self) -> &str {
        &self.generation
    }
}

/// A part of our own script without its indentation and the lines that are comments: a fifth of what is sent.
fn slim(source: &str) -> String {
    let lines =
        source.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with("//"));
    lines.fold(String::with_capacity(source.len()), |text, line| text + line + "\n")
}

fn replaced(path: &Path, built_in: &str) -> io::Result<String> {
    let source = read::bounded(path, MOST_OF_TEMPLATE)
        .and_then(|bytes| String::from_utf8(bytes).map_err(|_| io::Error::other("not UTF-8")));
    match source {
        Ok(source) => Ok(source),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(built_in.to_owned()),
        Err(error) => Err(at(path, error)),
    }
}

fn template_error(template: &str, error: &minijinja::Error) -> ThemeError {
    let mut message = error.to_string();
    if let Some(cause) = std::error::Error::source(error) {
        message = format!("{message}: {cause}");
    }
    ThemeError::Template { template: template.to_owned(), message }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::Write;

    use flate2::Compression;
    use flate2::write::GzEncoder;

    use super::*;

    #[test]
    fn the_scripts_of_every_page_are_small_and_so_is_what_people_who_act_load_beside_them() {
        let packed = |parts: &[(&str, &str)]| {
            let script: String = parts.iter().map(|(_, source)| slim(source)).collect();
            let mut packed = GzEncoder::new(Vec::new(), Compression::best());
            packed.write_all(script.as_bytes()).unwrap();
            packed.finish().unwrap().len()
        };
        let common = packed(SCRIPTS[0].1);
        for (path, parts) in &SCRIPTS[1..] {
            let bytes = common + packed(parts);
            assert!(bytes < 40_000, "assets/overnight.js and {path}: {bytes} bytes");
        }
        let bytes = packed(CONTROL.1);
        assert!(bytes < 16_000, "{}: {bytes} bytes", CONTROL.0);
    }

    #[test]
    fn numbers_have_one_minus_sign() {
        for (name, source) in SCRIPTS.iter().chain([&CONTROL]).flat_map(|(_, parts)| *parts).chain(TEMPLATES)
        {
            assert!(!source.contains('\u{2212}'), "{name}");
        }
    }

    /// Within a text of several lines the indentation and what looks like a comment would matter.
    #[test]
    fn no_text_of_the_script_is_longer_than_its_line() {
        for (name, source) in SCRIPTS.iter().chain([&CONTROL]).flat_map(|(_, parts)| *parts) {
            for (at, line) in
                source.lines().enumerate().filter(|(_, line)| !line.trim_start().starts_with("//"))
            {
                assert_eq!(line.matches('`').count() % 2, 0, "{name}:{}", at + 1);
                assert!(!line.contains("/*"), "{name}:{}", at + 1);
            }
        }
    }

    #[test]
    fn a_workspace_replaces_one_part_of_the_script_and_keeps_the_others() {
        let folder = tempfile::tempdir().unwrap();
        let parts = folder.path().join("templates/js");
        fs::create_dir_all(&parts).unwrap();
        fs::write(parts.join("menu.js"), "/* ours */").unwrap();
        let theme = Theme::load(&Workspace::new(folder.path()), None).unwrap();
        let (_, script) = theme.assets().iter().find(|(path, _)| path.ends_with(".js")).unwrap();
        let script = String::from_utf8_lossy(script);
        assert!(script.contains("/* ours */") && script.contains("prepareTables"));
        assert!(!script.contains("Save as SVG"));
    }
}
