//! The CSV that W&B exports of a chart: a column of steps, then for each run its values with their least and
//! largest, where W&B averaged several: `RUN - METRIC`, `RUN - METRIC__MIN`, `RUN - METRIC__MAX`.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use super::files::{Files, Reading, each_line, has_ending, head};
use super::foreign::{Foreign, Wish};
use super::table::cells;

/// Takes the files whose header is of this kind.
pub fn claim(files: &mut Files) -> Vec<Reading> {
    let root = files.root.clone();
    let ours = files.take(|path| (path == root || has_ending(path, &[".csv"])) && is_export(path));
    ours.into_iter().map(|path| Reading { place: path.clone(), files: vec![path], read }).collect()
}

fn is_export(path: &Path) -> bool {
    let head = head(path);
    let line = head.split(|byte| *byte == b'\n').next().unwrap_or_default();
    let names = cells(line, b',');
    let has = |name: &str| names.iter().any(|known| known == name);
    let is_spread = |name: &String| name.contains(" - ") && has(&format!("{name}__MIN"));
    names.iter().any(is_spread)
}

fn read(reading: &Reading, wish: &Wish) -> io::Result<Vec<Foreign>> {
    let mut runs: BTreeMap<String, Foreign> = BTreeMap::new();
    let mut columns: Vec<String> = Vec::new();
    let mut spread: BTreeMap<String, u64> = BTreeMap::new();
    each_line(&reading.place, |line, _| {
        let texts = cells(line, b',');
        if columns.is_empty() {
            columns = texts;
            return;
        }
        let Some(step) = texts.first().and_then(|step| step.parse::<f64>().ok()) else { return };
        let value = |at: usize| texts.get(at).and_then(|text| text.parse::<f64>().ok());
        for (at, column) in columns.iter().enumerate().skip(1) {
            let (Some((run, metric)), Some(logged)) = (column.rsplit_once(" - "), value(at)) else {
                continue;
            };
            if metric.ends_with("__MIN") || metric.ends_with("__MAX") {
                continue;
            }
            // The three stand beside each other.
            if value(at + 1).zip(value(at + 2)).is_some_and(|(least, most)| least != most) {
                *spread.entry(run.to_owned()).or_default() += 1;
            }
            let foreign = runs.entry(run.to_owned()).or_insert_with(|| Foreign {
                tool: "W&B",
                name: run.to_owned(),
                part: run.to_owned(),
                files: reading.files.clone(),
                rows: wish.rows(),
                ..Foreign::default()
            });
            foreign.rows.put(step, metric, logged);
        }
    })?;
    for (run, count) in spread {
        if let Some(run) = runs.get_mut(&run) {
            run.warn(format!(
                "{count} values are averages that W&B made of several: their least and largest were left out"
            ));
        }
    }
    Ok(runs.into_values().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_run_of_an_export_is_a_run_and_averages_are_said() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("export.csv");
        let header = "\"Step\",\"a - b - loss\",\"a - b - loss__MIN\",\"a - b - loss__MAX\",\"c - loss\",\"c - loss__MIN\",\"c - loss__MAX\"";
        std::fs::write(
            &path,
            format!(
                "{header}\n\"0\",\"3\",\"3\",\"3\",\"\",\"\",\"\"\n\"1\",\"2\",\"1\",\"4\",\"5\",\"5\",\"5\""
            ),
        )
        .unwrap();
        let mut files = Files::of(&path).unwrap();
        let runs = read(&claim(&mut files)[0], &Wish::default()).unwrap();
        assert_eq!(runs.iter().map(|run| run.name.as_str()).collect::<Vec<_>>(), ["a - b", "c"]);
        assert_eq!(runs[0].rows.clone().table().rows().len(), 2);
        assert!(runs[0].warnings[0].starts_with("1 values are averages") && runs[1].warnings.is_empty());
    }
}
