//! One file with everything inside, to be sent to others: curves, values, settings, fingerprints.
//!
//! It loads nothing, wherever it lies: its policy allows its own style and script by hash and no more. What
//! counts stands in it as drawings and tables; the script draws the rest from the data that is packed in.

mod extras;
mod facts;
mod grain;
mod packed;
mod page;
pub(super) mod private;

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::ReportError;
use super::files::RunFiles;
use super::numbers;
use super::rows;
use super::say::Clock;
use super::summary::RunSummary;
use super::theme::Theme;
use crate::run_dir::metrics::Metrics;
use crate::run_dir::sent::FORMAT;
use crate::run_dir::{RunDir, Workspace, scan};
use packed::{Packed, compressed};
use page::{ExportPage, Share};
use private::Private;

/// Whether the file says where and from what the runs were made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Surroundings {
    LeftOut,
    /// Host, people and the uncommitted changes as well, and paths as they are.
    Shown,
}

/// One file to send.
pub struct Exported {
    pub html: String,
    /// What is wrong with the theme, if it was left out.
    pub warning: Option<String>,
}

/// These runs as one HTML file, in the theme of this name or the workspace's own.
///
/// # Errors
/// A template or the style of the workspace does not work.
pub fn export(
    workspace: &Workspace,
    dirs: &[RunDir],
    surroundings: Surroundings,
    theme: Option<&str>,
) -> Result<Exported, ReportError> {
    let theme = Theme::load(workspace, theme)?;
    let host = scan::host();
    let clock = Clock::here(scan::now());
    let mut private = (surroundings == Surroundings::LeftOut).then(|| Private::here(workspace, host.clone()));
    let moved = numbers::moved(dirs);
    let share = Share { runs: dirs.len() };
    let mut packed = Packed::default();
    let mut by_experiment: BTreeMap<String, Vec<page::Told>> = BTreeMap::new();
    let mut facts = Vec::with_capacity(dirs.len());
    for (place, dir) in dirs.iter().enumerate() {
        let mut files = RunFiles::read(dir, &host, clock.now, Metrics::default());
        if let Some(private) = &mut private {
            private.leave_out_of(&mut files);
        }
        let mut summary = RunSummary::of(&files, String::new());
        summary.number = moved.get(dir).copied().unwrap_or(summary.number);
        if let Some(private) = &private {
            private.leave_out_of_words(&mut summary);
        }
        facts.push(facts::facts(&files, &summary, surroundings, dirs.len()));
        let told = page::run(&files, summary, place, share, surroundings, &mut packed);
        by_experiment.entry(dir.experiment()).or_default().push(told);
    }
    let mut page = ExportPage { made: clock.now().exact, experiments: Vec::new(), runs: Vec::new() };
    let mut ranks: Vec<Option<usize>> = Vec::with_capacity(dirs.len());
    for (place, (name, told)) in by_experiment.into_iter().enumerate() {
        page.experiments.push(page::experiment(&name, &told, place, share, &mut packed));
        let ranked = rows::ranked(told.iter().map(|told| &told.summary));
        let places: Vec<String> = ranked.into_iter().map(RunSummary::key).collect();
        ranks.extend(told.iter().map(|told| places.iter().position(|key| *key == told.summary.key())));
        page.runs.extend(told.into_iter().map(|told| told.block));
    }
    let mut best_first: Vec<_> = ranks.into_iter().zip(&mut page.runs).collect();
    best_first.sort_by_key(|(rank, _)| rank.unwrap_or(usize::MAX));
    let mut best_first: Vec<_> = best_first.into_iter().map(|(_, run)| &mut run.extras).collect();
    extras::fit(&mut best_first);
    let in_page = |error| ReportError::Twin { page: "the exported file".into(), error };
    let facts = json!({ "format": FORMAT, "program": env!("CARGO_PKG_VERSION"), "runs": facts });
    let logo = theme.logo();
    let style = kept_inside(&theme.text_of(&["style.css"]));
    let script = kept_inside(&theme.text_of(&["overnight.js", "sent.js"]));
    let whole = json!({
        "page": page,
        "logo": format!("data:{};base64,{}", logo.media_type, STANDARD.encode(&logo.bytes)),
        "style_hash": hash(&style),
        "script_hash": hash(&script),
        "style": style,
        "script": script,
        "charts": compressed(&packed).map_err(in_page)?,
        "facts": compressed(&facts).map_err(in_page)?,
    });
    let html = theme.render("export.html", &whole)?;
    Ok(Exported { html, warning: theme.warning().map(str::to_owned) })
}

/// A style or a script of which no text ends its element, nor begins a comment that would hide its end: all
/// of that stands in texts, where a sign may have a backslash before it.
fn kept_inside(text: &str) -> String {
    text.replace("</s", "<\\/s").replace("</S", "<\\/S").replace("<!--", "<\\!--")
}

/// How a content-security policy names a text.
fn hash(text: &str) -> String {
    STANDARD.encode(Sha256::digest(text.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::kept_inside;

    #[test]
    fn no_text_ends_the_element_that_it_stands_in() {
        for text in ["'</script>'", "'</SCRIPT >'", "\"</style>\"", "'<!--<script>'", "url('<svg></svg>')"] {
            let kept = kept_inside(text).to_lowercase();
            assert!(!kept.contains("</s") && !kept.contains("<!--"), "{kept}");
        }
        assert_eq!(kept_inside("a < b && c </d/.e"), "a < b && c </d/.e");
    }
}
