//! The rows of a table one after the other, none of which is kept.

use super::{FIRST, Table};

/// Goes through a table by ascending steps.
#[derive(Debug)]
pub struct Cursor<'a> {
    table: &'a Table,
    /// The first time that was logged: elapsed seconds are counted from there, where the source tells none.
    begin: f64,
    /// How far each metric is read, and each clock.
    read: Vec<usize>,
    clocks_read: [usize; 3],
    row: Vec<Option<f64>>,
}

impl Table {
    pub fn cursor(&self) -> Cursor<'_> {
        Cursor {
            table: self,
            begin: self.times.iter().map(|(_, time)| *time).fold(f64::INFINITY, f64::min),
            read: vec![0; self.metrics.len()],
            clocks_read: [0; 3],
            row: vec![None; FIRST.len() + self.metrics.len()],
        }
    }

    pub fn count_rows(&self) -> u64 {
        let (mut cursor, mut count) = (self.cursor(), 0);
        while cursor.next_row().is_some() {
            count += 1;
        }
        count
    }

    /// All rows at once, for tests and small tables.
    #[cfg(test)]
    pub fn rows(&self) -> Vec<Vec<Option<f64>>> {
        let (mut cursor, mut rows) = (self.cursor(), Vec::new());
        while let Some(row) = cursor.next_row() {
            rows.push(row.to_vec());
        }
        rows
    }
}

impl Cursor<'_> {
    /// A value for each column, in the order of the header.
    pub fn next_row(&mut self) -> Option<&[Option<f64>]> {
        let Table { metrics, epochs, times, elapsed, .. } = self.table;
        let next = metrics.iter().zip(&self.read).filter_map(|((_, points), at)| points.get(*at));
        let step = next.map(|(step, _)| *step).min()?;
        self.row[0] = Some(step as f64);
        for (place, clock) in [epochs, times, elapsed].into_iter().enumerate() {
            let at = &mut self.clocks_read[place];
            // A time alone is no row.
            while clock.get(*at).is_some_and(|(known, _)| *known < step) {
                *at += 1;
            }
            self.row[1 + place] = clock.get(*at).filter(|(known, _)| *known == step).map(|(_, value)| *value);
        }
        if elapsed.is_empty() {
            self.row[3] = self.row[2].map(|time| time - self.begin);
        }
        for (place, ((_, points), at)) in metrics.iter().zip(&mut self.read).enumerate() {
            let here = points.get(*at).filter(|(known, _)| *known == step);
            self.row[FIRST.len() + place] = here.map(|(_, value)| *value);
            *at += usize::from(here.is_some());
        }
        Some(&self.row)
    }
}
