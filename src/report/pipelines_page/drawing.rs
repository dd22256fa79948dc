//! The graph as SVG: boxes with links, and curves between them. In CSS pixels, so that words stay readable;
//! what is wider than the page is scrolled.

use std::fmt::Write;

use super::super::chart::backend::{Escaped, series_class};
use super::super::chart::text_width::text_width;
use super::super::rows;
use super::flows::{Edge, Flows, Node, Stand};
use super::layout::{BOX_HEIGHT, Graph, Layout, layout};
use super::{flow_words, stand_words};

/// Sizes of letters in CSS pixels.
const NAME_PX: f64 = 13.0;
const SMALL_PX: f64 = 11.0;
const WIDEST_BOX: f64 = 240.0;
const NARROWEST_BOX: f64 = 96.0;
/// Left of a box's words: the edge of its color; right of them: room.
const INSET: f64 = 12.0;
/// The sign of a state with the room behind it.
const SIGN: f64 = 16.0;
/// Around everything, for focus rings and arcs that lead back.
const MARGIN: f64 = 24.0;

pub fn draw(flows: &Flows, root: &str) -> String {
    let labels: Vec<[String; 2]> = flows.nodes.iter().map(words).collect();
    let width = |[name, below]: &[String; 2]| {
        let words = text_width(name, NAME_PX).max(SIGN + text_width(below, SMALL_PX));
        (words + 2.0 * INSET).clamp(NARROWEST_BOX, WIDEST_BOX).round()
    };
    let widths: Vec<f64> = labels.iter().map(width).collect();
    let graph = Graph {
        widths: widths.clone(),
        edges: flows.edges.iter().map(|edge| (edge.from, edge.to)).collect(),
    };
    let layout = layout(&graph);
    let (wide, high) = (layout.width + 2.0 * MARGIN, layout.height + 2.0 * MARGIN);
    let mut svg = format!(
        r#"<svg class="graph" role="group" aria-label="What flows between runs; the list below says the same" width="{wide:.0}" height="{high:.0}" viewBox="{:.0} {:.0} {wide:.0} {high:.0}">"#,
        -MARGIN, -MARGIN
    );
    for (edge, is_back) in flows.edges.iter().zip(&layout.back) {
        draw_edge(&mut svg, edge, *is_back, &layout, &widths);
    }
    for (number, node) in flows.nodes.iter().enumerate() {
        draw_box(&mut svg, node, &labels[number], layout.places[number], widths[number], root);
    }
    svg.push_str("</svg>");
    svg
}

/// What stands in a box: its name, and below it the experiment or how many stand where.
fn words(node: &Node) -> [String; 2] {
    match node.runs.as_slice() {
        [run] => [format!("{} {}", node.experiment(), run.label), run.state.word.clone()],
        runs => [format!("{}, {} runs", node.experiment(), runs.len()), node.state().word],
    }
}

fn draw_box(
    svg: &mut String,
    node: &Node,
    [name, below]: &[String; 2],
    (x, y): (f64, f64),
    width: f64,
    root: &str,
) {
    let Some(first) = node.runs.first() else { return };
    let (href, class) = match node.runs.len() {
        1 => (rows::run_href(root, first), series_class(first.number)),
        _ => (rows::experiment_href(root, &first.experiment), "c0".to_owned()),
    };
    let state = node.state();
    let room = width - 2.0 * INSET;
    let _ = write!(
        svg,
        r#"<a href="{}"><title>{}: {}</title><rect class="node" x="{x:.1}" y="{y:.1}" width="{width:.0}" height="{BOX_HEIGHT:.0}" rx="4"/><rect class="bar edge {class}" x="{x:.1}" y="{y:.1}" width="4" height="{BOX_HEIGHT:.0}"/><text class="name" x="{:.1}" y="{:.1}">{}</text><text class="sign {}" x="{:.1}" y="{:.1}">{}</text><text x="{:.1}" y="{:.1}">{}</text></a>"#,
        Escaped(&href),
        Escaped(name),
        Escaped(below),
        x + INSET,
        y + 18.0,
        Escaped(&shortened(name, NAME_PX, room)),
        Escaped(&state.class),
        x + INSET,
        y + 35.0,
        sign(&state.class),
        x + INSET + SIGN,
        y + 35.0,
        Escaped(&shortened(below, SMALL_PX, room - SIGN)),
    );
}

/// As in the style of states: a sign beside the color.
fn sign(class: &str) -> &'static str {
    match class {
        "finished" => "✓",
        "running" => "▸",
        "waiting" => "○",
        "failed" => "✕",
        "held" => "‖",
        _ => "·",
    }
}

fn draw_edge(svg: &mut String, edge: &Edge, is_back: bool, layout: &Layout, widths: &[f64]) {
    let ((from_x, from_y), (to_x, to_y)) = (layout.places[edge.from], layout.places[edge.to]);
    let half = BOX_HEIGHT / 2.0;
    let class = match edge.stand {
        Stand::Done => "flow",
        Stand::Open => "flow open",
        Stand::Broken => "flow broken",
    };
    let (begin, end) = ((from_x + widths[edge.from], from_y + half), (to_x, to_y + half));
    let path = match is_back {
        false => {
            let reach = ((end.0 - begin.0) / 2.0).max(30.0);
            format!(
                "C{:.1} {:.1} {:.1} {:.1} {:.1} {:.1}",
                begin.0 + reach,
                begin.1,
                end.0 - reach,
                end.1,
                end.0 - 6.0,
                end.1
            )
        }
        true => {
            let below = begin.1.max(end.1) + BOX_HEIGHT;
            format!(
                "C{:.1} {below:.1} {:.1} {below:.1} {:.1} {:.1}",
                begin.0 + 40.0,
                end.0 - 40.0,
                end.0 - 6.0,
                end.1
            )
        }
    };
    let _ = write!(
        svg,
        r#"<g><title>{}, {}</title><path class="{class}" d="M{:.1} {:.1}{path}"/><path class="tip {class}" d="M{:.1} {:.1}l-7 -4v8z"/>"#,
        Escaped(&flow_words(edge)),
        stand_words(edge),
        begin.0,
        begin.1,
        end.0,
        end.1
    );
    if edge.what != super::Flow::Order && !is_back {
        // Beside the arrow's head, where lines lie apart.
        let _ = write!(
            svg,
            r#"<text class="what" x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            end.0 - 12.0,
            end.1 - 6.0,
            super::what(edge.what)
        );
    }
    svg.push_str("</g>");
}

/// A text cut to its room, with dots where it goes on.
fn shortened(text: &str, size_px: f64, room: f64) -> String {
    if text_width(text, size_px) <= room {
        return text.to_owned();
    }
    let mut kept = String::new();
    for character in text.chars() {
        if text_width(&kept, size_px) + text_width("w…", size_px) > room {
            break;
        }
        kept.push(character);
    }
    kept + "…"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Task;
    use crate::report::pipelines_page::Flow;

    #[test]
    fn long_names_are_cut_in_the_box_and_whole_in_the_title() {
        assert_eq!(shortened("short", 13.0, 200.0), "short");
        let cut = shortened(&"incomprehensibilities".repeat(9), 13.0, 200.0);
        assert!(cut.ends_with('…') && text_width(&cut, 13.0) <= 200.0, "{cut}");
        let name = "<b>".to_owned() + &"long-".repeat(30);
        let one = crate::report::models_page::tests::run("pre", &name, Task::LanguageModel, "finished");
        let two = crate::report::models_page::tests::run("tune", "s1", Task::LanguageModel, "waiting");
        let edge = Edge { from: 0, to: 1, what: Flow::Weights, got: "<i>".into(), stand: Stand::Open };
        let nodes = vec![Node { runs: vec![&one] }, Node { runs: vec![&two] }];
        let svg = draw(&Flows { nodes, edges: vec![edge], nobody: Vec::new() }, "");
        assert!(svg.contains(&"long-".repeat(30)) && svg.contains('…'), "{svg}");
        assert!(!svg.contains("<b>") && !svg.contains("<i>") && svg.contains("flow open"), "{svg}");
    }
}
