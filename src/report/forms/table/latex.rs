//! A table for LaTeX with booktabs. What names hold is escaped, so that no sign of theirs is a command.

use serde_json::Value;

use super::number::said;
use super::{Cell, Grid};
use crate::experiment::identity::short;
use crate::experiment::metric::Direction;
use crate::say::is_hidden;

pub fn head(made: &str) -> String {
    let made: String = made.chars().filter(|sign| !sign.is_control()).collect();
    format!("% {made}\n% \\usepackage{{booktabs}}\n")
}

pub fn table(grid: &Grid) -> String {
    let settings = grid.settings.iter().map(|path| escaped(path));
    let metrics = grid.metrics.iter().map(|metric| {
        let unit =
            if metric.unit.is_empty() { String::new() } else { format!(" ({})", escaped(metric.unit)) };
        let way = match metric.direction {
            Direction::Lower => " $\\downarrow$",
            Direction::Higher => " $\\uparrow$",
            Direction::Neither => "",
        };
        format!("{}{unit}{way}", escaped(&metric.title))
    });
    let heads: Vec<String> = settings.chain(["Seeds".to_owned()]).chain(metrics).collect();
    let mut text = format!(
        "\n% {}\n\\begin{{tabular}}{{{}{}}}\n\\toprule\n{} \\\\\n\\midrule\n",
        escaped(&grid.experiment),
        "l".repeat(grid.settings.len()),
        "r".repeat(grid.metrics.len() + 1),
        heads.join(" & "),
    );
    for row in &grid.rows {
        let settings = row.settings.iter().map(|value| setting(value.as_ref()));
        let cells = row.cells.iter().map(|cell| cell.as_ref().map_or_else(|| "--".to_owned(), measured));
        let cells: Vec<String> = settings.chain([row.seeds.to_string()]).chain(cells).collect();
        text += &format!("{} \\\\\n", cells.join(" & "));
    }
    text += "\\bottomrule\n\\end{tabular}\n";
    let notes = ["mean ± standard deviation over seeds".to_owned()].into_iter().chain(grid.notes.clone());
    notes.fold(text, |text, note| text + "% " + &escaped(&note) + "\n")
}

fn measured(cell: &Cell) -> String {
    let said = said(cell.mean, cell.spread);
    let mut text = said.mean;
    if !text.ends_with(|sign: char| sign.is_ascii_digit()) {
        text = format!("\\mathrm{{{text}}}");
    }
    if let Some(spread) = said.spread {
        text += &format!(" \\pm {spread}");
        if said.power.is_some() {
            text = format!("({text})");
        }
    }
    if let Some(power) = said.power {
        text += &format!(" \\times 10^{{{power}}}");
    }
    if cell.is_decided { format!("$\\mathbf{{{text}}}$") } else { format!("${text}$") }
}

fn setting(value: Option<&Value>) -> String {
    let Some(value) = value.filter(|value| !value.is_null()) else { return "--".into() };
    let text = short(value);
    if !value.is_number() {
        return escaped(&text);
    }
    match text.split_once('e') {
        Some(("1", power)) => format!("$10^{{{power}}}$"),
        Some((digits, power)) => format!("${digits} \\times 10^{{{power}}}$"),
        None => format!("${text}$"),
    }
}

/// Text as it stands: every sign that LaTeX would obey is spelt.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for sign in text.chars() {
        match sign {
            '\\' => out += "\\textbackslash{}",
            '{' | '}' | '$' | '&' | '#' | '_' | '%' => out.extend(['\\', sign]),
            '^' => out += "\\textasciicircum{}",
            '~' => out += "\\textasciitilde{}",
            '<' => out += "\\textless{}",
            '>' => out += "\\textgreater{}",
            '|' => out += "\\textbar{}",
            '"' => out += "\\textquotedbl{}",
            '±' => out += "$\\pm$",
            sign if sign.is_control() => out.push(' '),
            sign if is_hidden(sign) => {}
            sign => out.push(sign),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::sample_grid;
    use super::*;

    #[test]
    fn a_table_has_rules_escaped_names_and_bold_where_it_is_decided() {
        let expected = r"
% tiny\_gpt
\begin{tabular}{llrrr}
\toprule
train.optimizer.lr & model.kind & Seeds & Validation loss $\downarrow$ & Tokens per second (1/s) $\uparrow$ \\
\midrule
$3 \times 10^{-4}$ & gpt & 3 & $\mathbf{1.471 \pm 0.012}$ & $41230 \pm 320$ \\
$0.01$ & a\textbar{}b\_\& & 3 & $1.600$ & -- \\
\bottomrule
\end{tabular}
% mean $\pm$ standard deviation over seeds
% bold: ahead of all others with 95 \% confidence
";
        assert_eq!(table(&sample_grid()), expected);
    }

    #[test]
    fn no_name_is_a_command() {
        assert_eq!(
            escaped("\\input{/x}\n% $^~#"),
            "\\textbackslash{}input\\{/x\\} \\% \\$\\textasciicircum{}\\textasciitilde{}\\#"
        );
        assert_eq!(
            escaped("\u{202e}gpj.\u{200b}a|<b>&_"),
            "gpj.a\\textbar{}\\textless{}b\\textgreater{}\\&\\_"
        );
        assert_eq!(head("a\nb"), "% ab\n% \\usepackage{booktabs}\n");
    }

    #[test]
    fn powers_of_ten_hold_mean_and_spread() {
        let cell = Cell { mean: 2.346e-5, spread: Some(1.1e-6), is_decided: false };
        assert_eq!(measured(&cell), "$(2.35 \\pm 0.11) \\times 10^{-5}$");
        let cell = Cell { mean: f64::INFINITY, spread: None, is_decided: false };
        assert_eq!(measured(&cell), "$\\mathrm{inf}$");
    }
}
