//! `pipelines.html`: what flows between runs, and how far it is.

mod drawing;
mod flows;
mod layout;

use serde::Serialize;

use super::model::Frame;
use super::rows;
use super::stock::Flow;
use super::summary::{RunSummary, State};
use flows::{Edge, Flows, Node, Stand, flows};

/// Everything the page shows.
#[derive(Clone, Debug, Serialize)]
pub struct PipelinesPage {
    pub frame: Frame,
    pub headline: String,
    /// One `<svg>` element; empty where the list says it better.
    pub svg: String,
    pub stages: Vec<Stage>,
}

/// A run that takes something of others, or several that take the same.
#[derive(Clone, Debug, Serialize)]
pub struct Stage {
    pub name: String,
    pub href: String,
    pub state: State,
    pub takes: Vec<TakeRow>,
}

#[derive(Clone, Debug, Serialize)]
pub struct TakeRow {
    /// "weights", "files" or "order".
    pub what: &'static str,
    /// Whose; what is needed, where that means no run.
    pub from: String,
    pub href: String,
    /// What it is, in words.
    pub got: String,
    /// "taken", "to come" or "broken", and the class of its sign.
    pub stand: &'static str,
    pub class: &'static str,
}

/// A drawing of more boxes is no picture any more.
const MOST_BOXES: usize = 300;

pub fn page(all: &[&RunSummary], frame: Frame) -> PipelinesPage {
    let flows = flows(all);
    let stages = (0..flows.nodes.len()).filter_map(|node| stage(&flows, node, &frame.root)).collect();
    let is_drawn = (1..=MOST_BOXES).contains(&flows.nodes.len());
    PipelinesPage {
        headline: headline(&flows),
        svg: if is_drawn { drawing::draw(&flows, &frame.root) } else { String::new() },
        stages,
        frame,
    }
}

/// Whether any run needs another: only then the page is in the navigation.
pub fn are_there<'a>(mut all: impl Iterator<Item = &'a RunSummary>) -> bool {
    all.any(|run| !run.stock.takes.is_empty())
}

fn headline(flows: &Flows) -> String {
    let taking: Vec<&Edge> = flows.edges.iter().filter(|edge| edge.what != Flow::Order).collect();
    let with = |stand: Stand| flows.edges.iter().filter(|edge| edge.stand == stand).count();
    if flows.nodes.is_empty() {
        return "No run needs another.".to_owned();
    }
    let what = match taking.len() {
        0 => "Runs wait for each other".to_owned(),
        1 => "One result flows between runs".to_owned(),
        many => format!("{many} results flow between runs"),
    };
    match (with(Stand::Broken) + flows.nobody.len(), with(Stand::Open)) {
        (0, 0) => format!("{what}. All of it is done."),
        (0, open) => format!("{what}. {open} still to come."),
        (1, _) => format!("{what}. One does not come."),
        (broken, _) => format!("{what}. {broken} do not come."),
    }
}

fn stage(flows: &Flows, number: usize, root: &str) -> Option<Stage> {
    let node = &flows.nodes[number];
    let of_edge = |edge: &Edge| TakeRow {
        what: what(edge.what),
        from: whole_name(&flows.nodes[edge.from]),
        href: href(&flows.nodes[edge.from], root),
        got: edge.got.clone(),
        stand: stand_words(edge),
        class: match edge.stand {
            Stand::Done => "finished",
            Stand::Open => "waiting",
            Stand::Broken => "failed",
        },
    };
    let missing = flows.nobody.iter().filter(|(of, _)| *of == number).map(|(_, need)| TakeRow {
        what: "needs",
        from: need.clone(),
        href: String::new(),
        got: "no run of this name is here: queue its experiment".to_owned(),
        stand: "missing",
        class: "failed",
    });
    let edges = flows.edges.iter().filter(|edge| edge.to == number);
    let takes: Vec<TakeRow> = edges.map(of_edge).chain(missing).collect();
    (!takes.is_empty()).then(|| Stage {
        name: whole_name(node),
        href: href(node, root),
        state: node.state(),
        takes,
    })
}

fn whole_name(node: &Node) -> String {
    format!("{}/{}", node.experiment(), node.name())
}

fn href(node: &Node, root: &str) -> String {
    match node.runs.as_slice() {
        [run] => rows::run_href(root, run),
        _ => rows::experiment_href(root, node.experiment()),
    }
}

fn what(flow: Flow) -> &'static str {
    match flow {
        Flow::Weights => "weights",
        Flow::Files => "files",
        Flow::Order => "order",
    }
}

/// "weights: checkpoints/…/model.safetensors, 3.1 MiB".
fn flow_words(edge: &Edge) -> String {
    match (edge.what, edge.got.as_str()) {
        (Flow::Order, _) => "only the order".to_owned(),
        (flow, "") => what(flow).to_owned(),
        (flow, got) => format!("{}: {got}", what(flow)),
    }
}

fn stand_words(edge: &Edge) -> &'static str {
    match (edge.stand, edge.what) {
        (Stand::Done, Flow::Order) => "finished",
        (Stand::Done, _) => "ready",
        (Stand::Open, _) => "to come",
        (Stand::Broken, _) => "does not come",
    }
}
