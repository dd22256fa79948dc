//! Which events of a run still count.

use super::records::{Event, What};

/// Events of steps that still count: what a later attempt overtook by going on from an earlier checkpoint
/// is left out.
pub fn standing(events: &[Event]) -> Vec<&Event> {
    let mut standing: Vec<&Event> = Vec::new();
    for event in events {
        match event.what {
            What::Resumed { checkpoint } => standing.retain(|earlier| earlier.step <= checkpoint),
            What::Started => standing.clear(),
            _ => {}
        }
        standing.push(event);
    }
    standing
}
