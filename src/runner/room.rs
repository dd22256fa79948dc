//! Whether the disk of `runs/` has room for another attempt. Held and let go at different amounts, so that
//! a disk at the brink does not start and end runs in turns.
//!
//! A user's share of a disk (a quota) and what a file system keeps for itself show in none of its numbers:
//! once a write was refused though there seems to be room, only another write tells when it would be taken.

use std::io::{self, Write};
use std::path::Path;
use std::time::{Duration, Instant};

use crate::run_dir::Workspace;
use crate::say;

/// With less than this, or a twentieth of a small disk, nothing new is started. Bytes.
const LOW: u64 = 64 << 20;
const LOW_PART: u64 = 20;
/// The same in files, where the file system has a fixed number of them: it is as full without any left.
const LOW_FILES: u64 = 1000;
/// What a run that found the disk full may ask for before the next attempt, in checkpoints.
const MOST_CHECKPOINTS: u64 = 4;
/// Time between two tries to write where a write was refused.
const TRY_EVERY: Duration = Duration::from_secs(2);
/// What is written of a file that is tried; the rest is asked for only. Bytes.
const TRIED: usize = 64 << 10;

/// Bytes and files of a file system, as far as they are this user's to fill.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Space {
    pub free: u64,
    pub total: u64,
    pub free_files: u64,
    /// 0 where there may be as many as bytes allow.
    pub files: u64,
}

impl Space {
    /// Of the disk of `runs/`; none where nobody can tell.
    pub fn of(workspace: &Workspace) -> Option<Space> {
        Space::at(&workspace.runs())
    }

    fn at(path: &Path) -> Option<Space> {
        let found = rustix::fs::statvfs(path).ok()?;
        let size = found.f_frsize;
        let space = Space {
            free: found.f_bavail * size,
            total: found.f_blocks * size,
            free_files: found.f_favail,
            files: found.f_files,
        };
        // Some file systems in memory have no size and no end.
        (space.total > 0).then_some(space)
    }

    pub fn is_low(&self) -> bool {
        self.free < self.low() || self.free_files < self.low_files()
    }

    /// Why nothing is started.
    pub fn reason(&self) -> String {
        let free = match self.has_enough_files() {
            true => format!("{} free", say::bytes(self.free)),
            false => format!("room for {} more files (df -i)", say::count(self.free_files)),
        };
        format!("the disk of runs/ has {free}; it goes on when there is room")
    }

    fn low(&self) -> u64 {
        LOW.min(self.total / LOW_PART)
    }

    fn enough(&self) -> u64 {
        2 * self.low()
    }

    fn low_files(&self) -> u64 {
        LOW_FILES.min(self.files / LOW_PART)
    }

    fn has_enough_files(&self) -> bool {
        self.free_files >= 2 * self.low_files()
    }
}

/// Whether the queue is held for want of room, and until when.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Room {
    #[default]
    Enough,
    /// So many bytes must be free.
    Held { until: u64 },
    /// There seems to be enough, and yet so many bytes were refused.
    Refused { bytes: u64, tried: Instant },
}

impl Room {
    pub fn is_held(&self) -> bool {
        *self != Room::Enough
    }

    /// Why nothing is started, as the disk is now.
    pub fn reason(&self, space: Option<Space>) -> String {
        match (self, space) {
            (Room::Refused { .. }, Some(space)) if !space.is_low() => format!(
                "the disk of runs/ takes no more from this user, though it has {} free (a quota? quota -s); it \
                 goes on when there is room",
                say::bytes(space.free)
            ),
            (_, Some(space)) => space.reason(),
            (_, None) => "the disk of runs/ is full; it goes on when there is room".to_owned(),
        }
    }

    /// After another look at the disk.
    pub fn after(self, space: Space) -> Room {
        match self {
            Room::Held { until } if space.free >= until && space.has_enough_files() => Room::Enough,
            Room::Enough if space.is_low() => Room::Held { until: space.enough() },
            _ => self,
        }
    }

    /// What is to be tried to write now, in bytes.
    pub fn to_try(self, now: Instant) -> Option<u64> {
        match self {
            Room::Refused { bytes, tried } if now.duration_since(tried) >= TRY_EVERY => Some(bytes),
            _ => None,
        }
    }

    /// After it was tried.
    pub fn after_try(self, is_taken: bool, now: Instant) -> Room {
        match self {
            Room::Refused { .. } if is_taken => Room::Enough,
            Room::Refused { bytes, .. } => Room::Refused { bytes, tried: now },
            _ => self,
        }
    }

    /// After a run found no room on a disk that now has this: it needs more, by a checkpoint at least. Not
    /// held if there is that much already.
    pub fn after_full(self, space: Space, checkpoint_bytes: u64) -> Room {
        let before = if let Room::Held { until } = self { Some(until) } else { None };
        if !space.has_enough_files() {
            return Room::Held { until: before.unwrap_or_else(|| space.enough()) };
        }
        let checkpoint = checkpoint_bytes.max(space.low());
        let enough = space.enough();
        let wanted = (space.free + checkpoint).clamp(enough, enough + MOST_CHECKPOINTS * checkpoint);
        let until = before.unwrap_or(0).max(wanted);
        if space.free < until { Room::Held { until } } else { Room::Enough }
    }
}

/// Why nothing would be started at this moment for want of room. Whether a disk that seems to have some refuses
/// to write is found out only where somebody seems to have found so, because that takes a write.
pub fn reason_now(workspace: &Workspace, is_doubtful: bool) -> Option<String> {
    let space = Space::of(workspace)?;
    if space.is_low() {
        return Some(space.reason());
    }
    let is_refused = is_doubtful && !takes(&workspace.runs(), 0);
    is_refused.then(|| Room::Refused { bytes: 0, tried: Instant::now() }.reason(Some(space)))
}

/// Whether a file of so many bytes would be taken in this folder. It has no name, so nothing is left of it
/// whatever happens; where bytes cannot be asked for without writing them, only its beginning is tried.
/// An error of another kind is nothing that room could help.
pub fn takes(folder: &Path, bytes: u64) -> bool {
    let tried = tempfile::tempfile_in(folder).and_then(|mut file| {
        match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), 0, bytes.max(1)) {
            Err(errno) if is_full(&errno.into()) => return Err(errno.into()),
            _ => {}
        }
        file.write_all(&[1; TRIED])?;
        // Network file systems refuse what was written only here. Where nothing was refused yet, nobody waits.
        if bytes > 0 { file.sync_data() } else { Ok(()) }
    });
    !tried.is_err_and(|error| is_full(&error))
}

/// Whether this error says that the disk, or the user's share of it, is full.
pub fn is_full(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;
    const GIB: u64 = 1 << 30;

    fn large(free: u64) -> Space {
        Space { free, total: 500 * GIB, free_files: 0, files: 0 }
    }

    #[test]
    fn it_is_held_below_one_amount_and_let_go_above_another() {
        let mut room = Room::default();
        let held: Vec<bool> = [100, 65, 63, 70, 127, 128, 70, 10]
            .map(|free| {
                room = room.after(large(free * MIB));
                room.is_held()
            })
            .to_vec();
        assert_eq!(held, [false, false, true, true, true, false, false, true]);
    }

    #[test]
    fn a_small_disk_has_small_amounts() {
        let small = |free| Space { free, total: 8 * MIB, free_files: 0, files: 0 };
        assert!(!Room::default().after(small(MIB)).is_held());
        assert!(Room::default().after(small(MIB / 4)).is_held());
        assert!(!Room::default().after(small(MIB / 4)).after(small(MIB)).is_held());
    }

    #[test]
    fn a_run_that_found_it_full_waits_for_room_for_a_checkpoint_more() {
        let room = Room::default().after_full(large(800 * MIB), GIB);
        assert!(room.is_held(), "what was free was not enough");
        assert!(room.after(large(GIB)).is_held());
        assert!(!room.after(large(2 * GIB)).is_held());
        assert!(!Room::default().after_full(large(100 * GIB), GIB).is_held(), "somebody made room meanwhile");
        let twice = room.after_full(large(900 * MIB), GIB);
        assert!(!twice.after(large(2 * GIB)).is_held());
    }

    #[test]
    fn a_disk_without_a_free_file_is_full_whatever_bytes_it_has() {
        let with = |free_files| Space { free_files, files: 100_000, ..large(300 * GIB) };
        assert!(with(999).is_low() && !with(1000).is_low());
        assert!(with(0).reason().contains("has room for 0 more files"), "{}", with(0).reason());
        let held = Room::default().after(with(999));
        assert!(held.is_held() && held.after(with(1999)).is_held() && !held.after(with(2000)).is_held());
        assert!(Room::default().after_full(with(1500), GIB).is_held(), "a run found no file there");
        assert!(!Room::default().after_full(with(50_000), GIB).is_held());
    }

    #[test]
    fn a_disk_that_refuses_although_it_has_room_is_tried_until_it_takes() {
        let begun = Instant::now();
        let later = begun + TRY_EVERY;
        let room = Room::Refused { bytes: GIB, tried: begun };
        assert!(room.is_held() && room.after(large(400 * GIB)).is_held(), "its numbers say nothing");
        let said = room.reason(Some(large(400 * GIB)));
        assert!(said.contains("though it has 400 GiB free (a quota?"), "{said}");
        assert_eq!((room.to_try(begun), room.to_try(later)), (None, Some(GIB)));
        let again = room.after_try(false, later);
        assert!(again.is_held() && again.to_try(later).is_none());
        assert!(!again.after_try(true, later).is_held());
        assert_eq!(Room::Enough.to_try(later), None);
        let folder = tempfile::tempdir().unwrap();
        assert!(takes(folder.path(), 4096));
        assert!(takes(&folder.path().join("missing"), 4096), "nothing that room could help");
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_full_disk_is_told_from_other_errors() {
        assert!(is_full(&io::Error::from_raw_os_error(28)));
        assert!(is_full(&io::Error::from_raw_os_error(122)));
        assert!(!is_full(&io::Error::from_raw_os_error(5)));
        let named = crate::run_dir::write::at(Path::new("x"), io::Error::from_raw_os_error(28));
        assert!(is_full(&named), "also with its path in front");
    }

    #[test]
    fn little_room_is_a_part_of_a_small_disk_and_what_a_run_asks_for_has_an_end() {
        let small = |free| Space { free, total: 100 * MIB, free_files: 0, files: 0 };
        assert!(small(5 * MIB - 1).is_low() && !small(5 * MIB).is_low());
        // Four checkpoints more than what lets others go.
        let found_full = |free| Room::default().after_full(large(free), GIB);
        assert!(found_full(4 * GIB + 127 * MIB).is_held() && !found_full(4 * GIB + 128 * MIB).is_held());
    }
}
