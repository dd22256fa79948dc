//! Needs that lead back to where they began: runs that would wait for each other forever.

use std::collections::HashMap;

use crate::run_dir::needs::{asked, names};

/// A run that has not finished, and what it needs.
pub struct Waiting {
    pub experiment: String,
    pub run: String,
    pub needs: Vec<String>,
}

/// Positions of the first runs found each of which needs the next, and the last the first; none where
/// every need leads to an end.
pub fn circle(runs: &[Waiting]) -> Option<Vec<usize>> {
    let mut named: HashMap<String, Vec<usize>> = HashMap::new();
    for (position, run) in runs.iter().enumerate() {
        for name in names(&run.experiment, &run.run) {
            named.entry(name).or_default().push(position);
        }
    }
    let needed = |position: usize| -> Vec<usize> {
        let run = &runs[position];
        let asked = run.needs.iter().flat_map(|need| asked(need, &run.experiment));
        // The last is looked at first.
        let mut needed: Vec<usize> = asked.filter_map(|name| named.get(&name)).flatten().copied().collect();
        needed.reverse();
        needed
    };
    let mut is_done = vec![false; runs.len()];
    let mut is_on_path = vec![false; runs.len()];
    for first in 0..runs.len() {
        if is_done[first] {
            continue;
        }
        is_on_path[first] = true;
        // A path with what is still to be looked at from each place: chains can be longer than a stack.
        let mut path = vec![(first, needed(first))];
        while let Some((position, left)) = path.last_mut() {
            match left.pop() {
                Some(next) if is_on_path[next] => {
                    let from = path.iter().position(|(position, _)| *position == next).unwrap_or(0);
                    return Some(path[from..].iter().map(|(position, _)| *position).collect());
                }
                Some(next) if is_done[next] => {}
                Some(next) => {
                    is_on_path[next] = true;
                    path.push((next, needed(next)));
                }
                None => {
                    is_on_path[*position] = false;
                    is_done[*position] = true;
                    path.pop();
                }
            }
        }
    }
    None
}

/// `pre needs tune, which needs pre`: experiments, or runs where all are of one.
pub fn words(runs: &[Waiting], circle: &[usize]) -> String {
    let mut experiments: Vec<&str> = circle.iter().map(|run| runs[*run].experiment.as_str()).collect();
    experiments.dedup();
    if experiments.len() > 1 && experiments.first() == experiments.last() {
        experiments.pop();
    }
    let mut all: Vec<String> = match experiments[..] {
        [experiment] => circle.iter().map(|run| format!("{experiment}/{}", runs[*run].run)).collect(),
        _ => experiments.into_iter().map(str::to_owned).collect(),
    };
    all.extend(all.first().cloned());
    match &all[..] {
        [first, second, rest @ ..] => {
            let rest: String = rest.iter().map(|name| format!(", which needs {name}")).collect();
            format!("{first} needs {second}{rest}")
        }
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(runs: &[(&str, &str, &[&str])]) -> Option<String> {
        let waiting = |(experiment, run, needs): &(&str, &str, &[&str])| Waiting {
            experiment: (*experiment).to_owned(),
            run: (*run).to_owned(),
            needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        };
        let runs: Vec<Waiting> = runs.iter().map(waiting).collect();
        circle(&runs).map(|circle| words(&runs, &circle))
    }

    #[test]
    fn runs_that_wait_for_each_other_are_named_and_others_are_not() {
        let two: &[(&str, &str, &[&str])] =
            &[("a", "1", &["b"]), ("a", "2", &["b"]), ("b", "1", &["a"]), ("c", "1", &["a", "b"])];
        assert_eq!(found(two).as_deref(), Some("a needs b, which needs a"));
        let three: &[(&str, &str, &[&str])] =
            &[("z", "1", &["a"]), ("a", "1", &["b/2"]), ("b", "2", &["c"]), ("c", "1", &["a/1"])];
        assert_eq!(found(three).as_deref(), Some("a needs b, which needs c, which needs a"));
        assert_eq!(found(&[("a", "1", &["1"])]).as_deref(), Some("a/1 needs a/1"));
        // One experiment needs a run of another whose other run needs it: each has its turn.
        let turns: &[(&str, &str, &[&str])] = &[("a", "1", &[]), ("b", "1", &["a/1"]), ("a", "2", &["b"])];
        assert_eq!(found(turns), None);
        let diamond: &[(&str, &str, &[&str])] =
            &[("a", "1", &["b", "c"]), ("b", "1", &["d"]), ("c", "1", &["d"]), ("d", "1", &[])];
        assert_eq!(found(diamond), None);
    }
}
