//! Who gives what to whom: the runs that need others, and those that are needed, as a graph. Runs that play
//! the same part are one box, so that a sweep of a thousand is no wall.

use std::collections::{BTreeMap, BTreeSet};

use super::super::stock::{Flow, Take};
use super::super::summary::{RunSummary, State};
use crate::run_dir::needs::{asked, names};

/// A box: a run, or several that play the same part.
#[derive(Clone, Debug)]
pub struct Node<'a> {
    pub runs: Vec<&'a RunSummary>,
}

/// What flows from one box to another.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edge {
    pub from: usize,
    pub to: usize,
    pub what: Flow,
    /// In words: which file, how many bytes.
    pub got: String,
    pub stand: Stand,
}

/// How far it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Stand {
    /// It was taken; or what was waited for has finished.
    Done,
    /// Still to come.
    Open,
    /// The other came to a bad end, or is not there.
    Broken,
}

#[derive(Clone, Debug, Default)]
pub struct Flows<'a> {
    pub nodes: Vec<Node<'a>>,
    pub edges: Vec<Edge>,
    /// Needs that mean no run that is here, with the box that has them.
    pub nobody: Vec<(usize, String)>,
}

/// So many runs that play the same part stand each for itself.
const SINGLE: usize = 4;

/// The needs of all runs. Runs that need nothing and that nobody needs are left out.
pub fn flows<'a>(all: &[&'a RunSummary]) -> Flows<'a> {
    let mut named: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (place, run) in all.iter().enumerate() {
        for name in names(&run.experiment, &run.run) {
            named.entry(name).or_default().push(place);
        }
    }
    let mut lines: Vec<Line> = Vec::new();
    let mut nobody: Vec<(usize, String)> = Vec::new();
    for (place, run) in all.iter().enumerate() {
        for take in &run.stock.takes {
            let meant: BTreeSet<usize> = asked(&take.need, &run.experiment)
                .iter()
                .filter_map(|name| named.get(name))
                .flatten()
                .copied()
                .filter(|other| *other != place)
                .collect();
            let from = take.from.as_ref().and_then(|(experiment, run)| {
                named.get(&format!("{experiment}/{run}")).and_then(|places| places.first()).copied()
            });
            if meant.is_empty() && from.is_none() && run.state.class != "finished" {
                nobody.push((place, take.need.clone()));
            }
            lines.extend(lines_of(place, take, &meant, from, all));
        }
    }
    folded(all, &lines, nobody)
}

/// A flow between two runs, by their places.
struct Line {
    from: usize,
    to: usize,
    what: Flow,
    got: String,
    stand: Stand,
}

fn lines_of(
    to: usize,
    take: &Take,
    meant: &BTreeSet<usize>,
    from: Option<usize>,
    all: &[&RunSummary],
) -> Vec<Line> {
    let line = |from: usize, what: Flow| {
        let stand = match all[from].state.class.as_str() {
            "finished" => Stand::Done,
            "failed" => Stand::Broken,
            "held" if matches!(all[from].state.word.as_str(), "stopped" | "skipped") => Stand::Broken,
            _ => Stand::Open,
        };
        Line { from, to, what, got: take.got.clone(), stand }
    };
    match from {
        // The others were only waited for.
        Some(from) => {
            let taken = Line { stand: Stand::Done, ..line(from, take.what) };
            let others = meant.iter().filter(|other| **other != from);
            std::iter::once(taken)
                .chain(others.map(|other| Line { got: String::new(), ..line(*other, Flow::Order) }))
                .collect()
        }
        None => meant.iter().map(|other| line(*other, take.what)).collect(),
    }
}

/// What a run takes of which experiments, and what it gives to which.
type Part<'a> = BTreeSet<(bool, &'a str, Flow)>;

/// Makes one box of runs of one experiment that take the same of the same and give the same to the same.
fn folded<'a>(all: &[&'a RunSummary], lines: &[Line], nobody: Vec<(usize, String)>) -> Flows<'a> {
    let mut parts: BTreeMap<usize, BTreeSet<(bool, usize, Flow)>> = BTreeMap::new();
    for line in lines {
        parts.entry(line.to).or_default().insert((true, line.from, line.what));
        parts.entry(line.from).or_default().insert((false, line.to, line.what));
    }
    for (place, _) in &nobody {
        parts.entry(*place).or_default();
    }
    // By experiment rather than by run: the runs on the other side may be folded as well.
    let side =
        |(is_taken, other, what): &(bool, usize, Flow)| (*is_taken, all[*other].experiment.as_str(), *what);
    let mut groups: BTreeMap<(&str, Part), Vec<usize>> = BTreeMap::new();
    for (place, part) in &parts {
        let key = (all[*place].experiment.as_str(), part.iter().map(side).collect());
        groups.entry(key).or_default().push(*place);
    }
    let mut boxes: Vec<Vec<usize>> = Vec::new();
    for group in groups.into_values() {
        match group.len() {
            0..=SINGLE => boxes.extend(group.into_iter().map(|place| vec![place])),
            _ => boxes.push(group),
        }
    }
    boxes.sort_by_key(|group| (all[group[0]].created.to_bits(), group[0]));
    let mut home: BTreeMap<usize, usize> = BTreeMap::new();
    for (number, group) in boxes.iter().enumerate() {
        home.extend(group.iter().map(|place| (*place, number)));
    }
    let mut edges: BTreeMap<(usize, usize, Flow), (Stand, BTreeSet<&str>)> = BTreeMap::new();
    for line in lines {
        let edge = edges.entry((home[&line.from], home[&line.to], line.what));
        let (stand, got) = edge.or_insert((line.stand, BTreeSet::new()));
        *stand = (*stand).max(line.stand);
        got.insert(&line.got);
    }
    let edge = |((from, to, what), (stand, got)): ((usize, usize, Flow), (Stand, BTreeSet<&str>))| {
        let got = if got.len() == 1 {
            got.into_iter().next().unwrap_or_default().to_owned()
        } else {
            String::new()
        };
        Edge { from, to, what, got, stand }
    };
    Flows {
        nodes: boxes
            .iter()
            .map(|group| Node { runs: group.iter().map(|place| all[*place]).collect() })
            .collect(),
        edges: edges.into_iter().map(edge).collect(),
        nobody: nobody.into_iter().map(|(place, need)| (home[&place], need)).collect(),
    }
}

impl Node<'_> {
    pub fn name(&self) -> String {
        match self.runs.as_slice() {
            [run] => run.label.clone(),
            runs => format!("{} runs", runs.len()),
        }
    }

    pub fn experiment(&self) -> &str {
        self.runs.first().map_or("", |run| &run.experiment)
    }

    /// The state that a person should see of it: what is bad before what is at work before what waits.
    pub fn state(&self) -> State {
        let with = |class: &str| self.runs.iter().find(|run| run.state.class == class);
        let found = ["failed", "held", "running", "waiting", "finished"].into_iter().find_map(with);
        let mut state = found.map_or_else(
            || State { word: String::new(), class: String::new(), detail: None, is_imported: false },
            |run| run.state.clone(),
        );
        if self.runs.len() > 1 {
            state.detail = None;
            state.word = super::super::model::states_in_words(self.runs.iter().map(|run| &run.state));
        }
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::experiment::settings::Task;

    fn run(experiment: &str, name: &str, word: &str, takes: &[(&str, Flow, Option<&str>)]) -> RunSummary {
        let mut run = crate::report::models_page::tests::run(experiment, name, Task::LanguageModel, word);
        let take = |(need, what, from): &(&str, Flow, Option<&str>)| Take {
            need: (*need).to_owned(),
            what: *what,
            from: from.and_then(|from| from.split_once('/')).map(|(one, other)| (one.into(), other.into())),
            got: "step 20, 3 MiB".into(),
        };
        run.stock.takes = takes.iter().map(take).collect();
        run
    }

    fn told(runs: &[RunSummary]) -> Vec<String> {
        let all: Vec<&RunSummary> = runs.iter().collect();
        let flows = flows(&all);
        let name = |node: usize| format!("{}/{}", flows.nodes[node].experiment(), flows.nodes[node].name());
        let line =
            |edge: &Edge| format!("{} → {} {:?} {:?}", name(edge.from), name(edge.to), edge.what, edge.stand);
        let nobody = flows.nobody.iter().map(|(node, need)| format!("{need}? → {}", name(*node)));
        flows.edges.iter().map(line).chain(nobody).collect()
    }

    #[test]
    fn weights_come_from_the_best_and_the_others_were_waited_for() {
        let taken = [("pre", Flow::Weights, Some("pre/s2"))];
        let told = told(&[
            run("pre", "s1", "finished", &[]),
            run("pre", "s2", "finished", &[]),
            run("tune", "s1", "running", &taken),
            run("alone", "s1", "finished", &[]),
        ]);
        assert_eq!(told, ["pre/s1 → tune/s1 Order Done", "pre/s2 → tune/s1 Weights Done"]);
    }

    #[test]
    fn what_is_to_come_is_open_and_what_failed_is_broken() {
        let told = told(&[
            run("pre", "s1", "failed", &[]),
            run("gen", "s1", "running", &[]),
            run(
                "tune",
                "s1",
                "waiting",
                &[("pre", Flow::Weights, None), ("gen", Flow::Files, None), ("nobody", Flow::Order, None)],
            ),
        ]);
        let expected =
            ["pre/s1 → tune/s1 Weights Broken", "gen/s1 → tune/s1 Files Open", "nobody? → tune/s1"];
        assert_eq!(told, expected);
    }

    #[test]
    fn a_sweep_that_plays_one_part_is_one_box() {
        let mut runs: Vec<RunSummary> =
            (0..40).map(|seed| run("pre", &format!("s{seed}"), "finished", &[])).collect();
        let taken = [("pre", Flow::Weights, Some("pre/s7"))];
        runs.extend((0..9).map(|seed| run("tune", &format!("t{seed}"), "finished", &taken)));
        assert_eq!(
            told(&runs),
            ["pre/39 runs → tune/9 runs Order Done", "pre/s7 → tune/9 runs Weights Done"]
        );
        runs[45].state.class = "failed".into();
        let all: Vec<&RunSummary> = runs.iter().collect();
        assert_eq!(flows(&all).nodes[2].state().class, "failed");
    }

    #[test]
    fn runs_that_need_each_other_are_drawn_too() {
        let needs = |need: &'static str| [(need, Flow::Order, None)];
        let told = told(&[run("a", "s1", "waiting", &needs("b")), run("b", "s1", "waiting", &needs("a"))]);
        assert_eq!(told, ["a/s1 → b/s1 Order Open", "b/s1 → a/s1 Order Open"]);
        assert!(flows(&[]).nodes.is_empty());
    }
}
