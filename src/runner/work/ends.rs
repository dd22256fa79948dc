//! Ends of workers: what was seen of them, what they count for, and those that the disk does not take yet.

use std::time::Instant;

use super::Work;
use crate::file_size;
use crate::run_dir::cause::Cause;
use crate::run_dir::records::{End, exit};
use crate::run_dir::status::Waiting;
use crate::run_dir::{RunDir, Status, checkpoint};
use crate::runner::attempt::Witness;
use crate::runner::kernel;
use crate::runner::room::{self, Room, Space, is_full};
use crate::runner::starting;
use crate::runner::tracked::{Kinship, PutOff, Worker};

/// Where a run has no checkpoint yet, so many bytes are tried after a write was refused.
const LEAST_TRIED: u64 = 1 << 20;

impl Work<'_> {
    /// What there is to be seen around the end of a run's worker, just now. `badly`: the kernel may know
    /// more.
    pub(super) fn witness(&mut self, index: usize, worker: &Worker, badly: bool) -> Witness {
        let now = Instant::now();
        self.memory.look(now);
        let seconds = now.duration_since(worker.since).as_secs_f64();
        let process = worker.handle.as_ref().map(|handle| handle.process);
        Witness {
            out_of_memory: self.memory.killed_lately(now),
            disk_full: Space::of(self.workspace).is_some_and(|space| space.is_low())
                || (badly && !room::takes(&self.workspace.runs(), 0)),
            kernel: process
                .filter(|_| badly)
                .map_or_else(Vec::new, |process| kernel::log_of(process, seconds)),
            xids: worker.xids_just_now(now),
            seconds: (worker.kinship == Kinship::Own).then_some(seconds),
            device_memory_bytes: worker.takings.peak(),
            has_trained: self.has_trained(index, worker),
        }
    }

    /// Whether an attempt that took anything of a GPU has made a step.
    fn has_trained(&mut self, index: usize, worker: &Worker) -> bool {
        let run = &mut self.runs[index];
        if worker.takings.peak().is_some() {
            // Its last steps may be newer than the last look.
            run.look(&self.host, Instant::now());
        }
        run.has_trained(worker)
    }

    /// Writes an end and counts it; one that the disk does not take is kept until it does.
    pub(super) fn take_end(&mut self, index: usize, put_off: PutOff) {
        let run = &mut self.runs[index];
        let dir = run.dir.clone();
        match starting::write_end(&dir, &put_off.end) {
            Ok(()) => {
                run.put_off = None;
                self.count(index, &put_off);
                self.told_end(index, &put_off.end.why);
            }
            Err(error) if is_full(&error) => {
                let is_first = run.put_off.replace(put_off).is_none_or(|before| before.awaits_xid.is_some());
                self.no_room(&dir);
                if is_first {
                    self.batch.event("put-off", Some(&dir), &error.to_string());
                }
            }
            Err(error) => {
                run.put_off = None;
                self.trouble(index, &file_size::told(&error));
            }
        }
    }

    /// The same for an attempt that has just ended: where its GPU went wrong and the driver has not said
    /// why, its word is waited for, so that the cause on disk is the whole one.
    pub(super) fn take_new_end(&mut self, index: usize, worker: &Worker, mut put_off: PutOff) {
        let lacks_xid = put_off.end.cause.as_ref().is_some_and(Cause::lacks_xid);
        if let Some(words) = worker.doubtful_xid(Instant::now()).filter(|_| lacks_xid) {
            put_off.end.why += &format!("; {words}");
            return self.take_end(index, put_off);
        }
        let may_be_told = worker.gpu.is_some() && lacks_xid;
        if may_be_told && self.ending.is_open() {
            self.runs[index].put_off = Some(PutOff { awaits_xid: Some(Instant::now()), ..put_off });
        } else {
            self.take_end(index, put_off);
        }
    }

    /// Tries again to write an end that the disk did not take, or that was to be told more of.
    pub(super) fn take_put_off(&mut self, index: usize) {
        let Some(put_off) = self.runs[index].put_off.clone() else { return };
        let awaits = put_off.awaits_xid.filter(|_| self.ending.is_open());
        if awaits.is_none_or(|since| self.gauges.has_said_all(since, Instant::now())) {
            self.take_end(index, PutOff { awaits_xid: None, ..put_off });
        }
    }

    /// The driver told an error of the GPU of a run that has just ended there.
    pub(super) fn take_late_xid(&mut self, dir: &RunDir, code: u32) {
        if let Some(end) = self.end_without_xid(dir) {
            end.cause = end.cause.take().map(|cause| cause.with_xid(code));
        }
    }

    /// The same of an error that may be another's: its cause stays as it is, and its end tells of both.
    pub(super) fn take_doubtful_xid(&mut self, dir: &RunDir, words: &str) {
        if let Some(end) = self.end_without_xid(dir) {
            end.why += &format!("; {words}");
        }
    }

    /// An end that the driver was waited for to explain; it is not waited for any more.
    fn end_without_xid(&mut self, dir: &RunDir) -> Option<&mut End> {
        let put_off = self.runs.iter_mut().find(|run| run.dir == *dir)?.put_off.as_mut()?;
        put_off.awaits_xid.take().map(|_| &mut put_off.end)
    }

    /// Looks at the disk, and says when the queue is held for want of room and when it goes on.
    pub(super) fn look_at_room(&mut self) {
        let Some(space) = Space::of(self.workspace) else { return };
        let (mut room, now) = (self.room, Instant::now());
        if let Some(bytes) = room.to_try(now) {
            room = room.after_try(room::takes(&self.workspace.runs(), bytes), now);
        }
        self.set_room(room.after(space), space);
    }

    /// Somebody found no room for a file of this run.
    pub(super) fn no_room(&mut self, dir: &RunDir) {
        let Some(space) = Space::of(self.workspace) else { return };
        let newest = checkpoint::steps(dir).pop().map(|step| dir.checkpoint(step));
        let bytes = newest.map_or(0, |newest| {
            let files = [newest.model(), newest.optimizer(), newest.state()];
            files.iter().filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
        });
        let mut room = self.room.after_full(space, bytes);
        let bytes = bytes.max(LEAST_TRIED);
        if !room.is_held() && !room::takes(&self.workspace.runs(), bytes) {
            room = Room::Refused { bytes, tried: Instant::now() };
        }
        self.set_room(room, space);
    }

    fn set_room(&mut self, room: Room, space: Space) {
        let was_held = std::mem::replace(&mut self.room, room).is_held();
        self.space = Some(space);
        let words = match (was_held, room.is_held()) {
            (false, true) => format!("nothing new is started: {}", room.reason(Some(space))),
            (true, false) => "there is room on the disk again: going on".to_owned(),
            _ => return,
        };
        self.batch.event("room", None, &words);
        self.view.say(&words);
    }

    /// What an end counts for: retries, and the breaker.
    fn count(&mut self, index: usize, PutOff { end, from, is_forgiven, .. }: &PutOff) {
        let dir = self.runs[index].dir.clone();
        let further = end.checkpoint > *from;
        let is_full = is_of_full_disk(end);
        if is_full {
            self.no_room(&dir);
        }
        // A full disk is no fault of the run's; but one that finds it full where there seems to be room
        // would do so for ever.
        let is_forgiven = *is_forgiven || (is_full && self.room.is_held());
        let run = &mut self.runs[index];
        run.look(&self.host, Instant::now());
        // What can go on with fewer examples at once, or with a person's word, has not failed.
        let is_split = matches!(
            run.seen.status,
            Status::Waiting { because: Waiting::Smaller { .. } | Waiting::BatchNorm }
        );
        let counts = !is_forgiven && !is_split && end.code != Some(exit::ENDED_AS_ASKED);
        if further {
            run.fruitless = 0;
        } else if counts {
            run.fruitless += 1;
        }
        if further || end.code == Some(exit::FINISHED) {
            self.breaker.reset();
        } else if counts {
            let cause = end.cause.as_ref().filter(|cause| cause.is_of_the_machine()).map(Cause::words);
            self.breaker.count(&dir, cause.as_ref().unwrap_or(&end.why));
        }
    }
}

fn is_of_full_disk(end: &End) -> bool {
    end.cause == Some(Cause::DiskFull)
}
