//! What a GPU's memory is taken by at one moment, as the driver tells it.

/// So often at most a reading is taken anew that changed under its hand.
const READINGS: u32 = 4;

/// A GPU's memory. Bytes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeviceMemory {
    pub total: u64,
    /// What nobody holds, neither processes nor the driver.
    pub free: u64,
    /// Numbers of the processes that compute on it and what each holds, where the driver tells. Inside a
    /// container these numbers are those of the host.
    pub processes: Vec<(u32, u64)>,
}

impl DeviceMemory {
    /// What is held by anybody.
    pub fn held(&self) -> u64 {
        self.total.saturating_sub(self.free)
    }

    pub fn of(&self, process: u32) -> Option<u64> {
        self.processes.iter().find(|(number, _)| *number == process).map(|(_, bytes)| *bytes)
    }
}

/// The first reading during which nothing changed hands, given what was free before it and after: the
/// driver gives a moment in two answers, and a process that took its memory between them would be counted
/// twice. The last one, where none is steady.
pub fn steady<T>(mut read: impl FnMut() -> (Option<u64>, Option<u64>, T)) -> T {
    let (mut before, mut after, mut reading) = read();
    for _ in 1..READINGS {
        if before == after {
            break;
        }
        (before, after, reading) = read();
    }
    reading
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reading_that_changed_under_its_hand_is_taken_anew_some_times() {
        let table = [
            (vec![(Some(14), Some(14)), (Some(9), Some(9))], 1, "nothing changed"),
            (
                vec![(Some(14), Some(9)), (Some(9), Some(9)), (Some(4), Some(4))],
                2,
                "a process took its memory",
            ),
            (vec![(Some(9), Some(8)); 6], READINGS, "it never rests: the last one counts"),
            (vec![(Some(14), None), (None, None)], 2, "the driver answers no more"),
            (vec![(None, None)], 1, "the driver does not answer"),
        ];
        for (readings, expected, why) in table {
            let mut readings = (1..).zip(readings);
            let found = steady(|| {
                let (number, (before, after)) = readings.next().expect("no more is asked");
                (before, after, number)
            });
            assert_eq!(found, expected, "{why}");
        }
    }
}
