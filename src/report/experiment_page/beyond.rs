//! Rows of an experiment with very many runs: the page holds the best, and its script puts the others behind
//! them, in slices, once the page is seen.

use serde_json::{Value, json};

use super::super::chart::data::brief;
use super::super::model::{Beyond, RunRow};
use super::super::say;
use super::super::site::{address, address_of, experiment_folder};

/// Rows beyond which a page is slow to be seen, and those that stand in it then.
const MANY: usize = 400;
const SHOWN: usize = 300;

/// None where all rows stand in the page.
pub fn of(experiment: &str, rows: &[RunRow], root: &str) -> Option<Beyond> {
    if rows.len() <= MANY {
        return None;
    }
    let mut states: Vec<Value> = Vec::new();
    let mut place_of = |row: &RunRow| {
        let state = json!([row.state.word, row.state.class, row.state.detail, row.state.is_imported]);
        states.iter().position(|known| *known == state).unwrap_or_else(|| {
            states.push(state);
            states.len() - 1
        })
    };
    let cells = |row: &RunRow| -> Vec<Value> {
        row.cells.iter().map(|cell| json!([cell.text, cell.sort.map(|sort| brief(sort, 12))])).collect()
    };
    let others: Vec<Value> = rows[SHOWN..]
        .iter()
        .map(|row| json!([row.full_name, row.name, row.class, place_of(row), cells(row)]))
        .collect();
    let folder = experiment_folder(experiment).replacen("experiments/", "runs/", 1);
    let json = json!({
        "experiment": experiment,
        "folder": format!("{root}{}/", address_of(&folder)),
        "id": format!("sweep-run-{}--", address(experiment)),
        "rows": others,
        "states": states,
    });
    Some(Beyond { shown: SHOWN, total: say::counted(rows.len(), "run", "runs"), json: json.to_string() })
}

#[cfg(test)]
mod tests {
    use super::super::super::rows::{Table, run_href};
    use super::super::super::summary;
    use super::*;

    #[test]
    fn of_very_many_rows_the_script_puts_those_that_the_page_has_no_room_for() {
        let names: Vec<String> = (0..MANY + 1).map(|at| format!("run {at}")).collect();
        let runs: Vec<_> = names.iter().map(|name| summary::sample("index.a", name)).collect();
        let table = Table::of(&runs.iter().collect::<Vec<_>>());
        let rows: Vec<RunRow> = runs.iter().map(|run| table.row(run, "../../", false)).collect();
        assert!(of("index.a", &rows[..MANY], "../../").is_none());
        let beyond = of("index.a", &rows, "../../").unwrap();
        let told: Value = serde_json::from_str(&beyond.json).unwrap();
        let others = told["rows"].as_array().unwrap();
        assert_eq!(
            (beyond.shown, beyond.total.as_str(), others.len()),
            (SHOWN, "401 runs", MANY + 1 - SHOWN)
        );
        assert_eq!(others[0][0], names[SHOWN].as_str());
        assert_eq!(told["states"].as_array().unwrap().len(), 1);
        let href = format!("{}{}/index.html", told["folder"].as_str().unwrap(), address(&names[SHOWN]));
        assert_eq!(href, run_href("../../", &runs[SHOWN]));
        let id = format!("{}{}", told["id"].as_str().unwrap(), address(&names[SHOWN]));
        assert_eq!(id, format!("sweep-{}", rows[SHOWN].id));
    }
}
