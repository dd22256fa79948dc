//! Who may act at this moment. `overnight.toml` says so, and is looked at whenever somebody asks: who is taken
//! out of it, or given another role or token, is so from the next request on, without another server.

use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;

use super::person::{self, Person};
use crate::run_dir::Workspace;
use crate::workspace_settings::WorkspaceSettings;

/// Everybody who was named in this server's life. A place is never given to somebody else.
pub(super) struct Roster {
    all: Vec<Entry>,
    stamp: Stamp,
}

struct Entry {
    person: Arc<Person>,
    /// Whether the file still says exactly this.
    is_named: bool,
}

/// By what a file is known to have changed: its number, its length and both of its times.
type Stamp = Option<(u64, u64, [i64; 4])>;

impl Roster {
    /// With those that the file said when the server was asked to start.
    pub fn new(people: Vec<Person>) -> Roster {
        let mut roster = Roster { all: Vec::new(), stamp: None };
        roster.name(people);
        roster
    }

    /// Reads the file again if it changed; whether anybody else may act now. One that cannot be read says
    /// nothing new: somebody may be at it just now.
    pub fn look(&mut self, workspace: &Workspace) -> bool {
        let stamp = stamp(workspace);
        if stamp == self.stamp {
            return false;
        }
        self.stamp = stamp;
        match WorkspaceSettings::read(workspace) {
            Ok(settings) => {
                let server = settings.server;
                self.name(if server.control { server.people } else { Vec::new() });
                true
            }
            Err(wrong) => {
                let line = format!("warning: those who may act stay as they were: {wrong}\n");
                // Nobody may be listening there.
                drop(std::io::stderr().write_all(line.as_bytes()));
                false
            }
        }
    }

    /// Whoever is named at this place.
    pub fn at(&self, place: usize) -> Option<Arc<Person>> {
        self.all.get(place).filter(|entry| entry.is_named).map(|entry| entry.person.clone())
    }

    /// Whose token this is.
    pub fn of(&self, token: &str) -> Option<(usize, Arc<Person>)> {
        let named = self.all.iter().enumerate().filter(|(_, entry)| entry.is_named);
        let place = person::of(named.map(|(place, entry)| (place, &*entry.person)), token)?;
        Some((place, self.at(place)?))
    }

    /// Somebody with another role or token is somebody else: no session goes over.
    fn name(&mut self, people: Vec<Person>) {
        for entry in &mut self.all {
            entry.is_named = people.contains(&entry.person);
        }
        for person in people {
            if !self.all.iter().any(|entry| *entry.person == person) {
                self.all.push(Entry { person: Arc::new(person), is_named: true });
            }
        }
    }
}

fn stamp(workspace: &Workspace) -> Stamp {
    let found = std::fs::metadata(workspace.settings()).ok()?;
    Some((found.ino(), found.len(), [found.mtime(), found.mtime_nsec(), found.ctime(), found.ctime_nsec()]))
}
