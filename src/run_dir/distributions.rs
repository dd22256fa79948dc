//! `distributions.csv`: how values were spread at a step, of runs of programs that log histograms. Beside `step`
//! each histogram has seven columns, `NAME/min` to `NAME/max`, its quantiles.

use std::collections::HashSet;

use super::metrics::Metrics;

/// The last word of each column, and the share of values that lie below it.
pub const QUANTILES: [(&str, f64); 7] =
    [("min", 0.0), ("p5", 0.05), ("p25", 0.25), ("p50", 0.5), ("p75", 0.75), ("p95", 0.95), ("max", 1.0)];

/// The columns of a histogram.
pub fn columns(name: &str) -> [String; QUANTILES.len()] {
    QUANTILES.map(|(word, _)| format!("{name}/{word}"))
}

/// The histograms of a table by their names, in its order: those of which all columns are there.
pub fn names(table: &Metrics) -> Vec<&str> {
    names_of(table.columns.iter().map(|column| column.name.as_str()))
}

/// The same of the names of its columns.
pub fn names_of<'a>(header: impl Iterator<Item = &'a str> + Clone) -> Vec<&'a str> {
    let known: HashSet<&str> = header.clone().collect();
    let named = header.filter_map(|column| column.strip_suffix("/p50"));
    named.filter(|name| columns(name).iter().all(|column| known.contains(column.as_str()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_histogram_is_known_by_all_of_its_columns() {
        let whole = columns("layer/weights").join(",");
        let table = Metrics::of(&format!("step,{whole},bias/p50,bias/max\n1,0,1,2,3,4,5,6,1,2\n"));
        assert_eq!(names(&table), ["layer/weights"]);
        assert_eq!(table.column("layer/weights/p95").and_then(|column| column.last()), Some(5.0));
    }
}
