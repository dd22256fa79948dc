//! Watches the GPUs on a thread of its own: a driver whose GPU is in trouble may take seconds for an
//! answer, or never give one, and the runner's loop does not wait for it.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use nvml_wrapper::Nvml;
use nvml_wrapper::bitmasks::event::EventTypes;
use nvml_wrapper::enums::event::XidError;
use nvml_wrapper::error::NvmlError;
use nvml_wrapper::event::EventSet;

use super::gpu_sample::GpuSample;

/// Time between two samples: what a run takes of a GPU is no better known than by its largest sample.
const INTERVAL: Duration = Duration::from_millis(500);
/// Longest time in which the end of the runner is not noticed.
const PAUSE: Duration = Duration::from_millis(500);
/// A sample that is older says nothing about now: the driver does not answer.
const STALE: Duration = Duration::from_secs(10);

/// The thread, as the loop sees it.
pub struct Monitor {
    shared: Arc<Shared>,
}

#[derive(Default)]
struct Shared {
    latest: Mutex<Latest>,
    is_over: AtomicBool,
}

#[derive(Clone, Default)]
struct Latest {
    /// When the driver was asked, and a sample of each GPU: whatever happened before is in it.
    sample: Option<(Instant, Vec<GpuSample>)>,
    xids: Vec<Xid>,
    /// Errors until then have been heard.
    heard_until: Option<Instant>,
}

/// An error that the driver reported.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Xid {
    /// By position; none when the driver did not say which GPU it was.
    pub gpu: Option<usize>,
    pub code: u64,
}

/// What there is to know of the GPUs at this moment.
#[derive(Clone, Debug, Default)]
pub struct News {
    /// When the driver was asked for the samples.
    pub at: Option<Instant>,
    /// Of each GPU, by position; empty where the driver does not answer any more.
    pub samples: Vec<GpuSample>,
    /// Since the last call.
    pub xids: Vec<Xid>,
}

impl Monitor {
    /// Begins to watch these GPUs, with a first sample taken here.
    pub fn start(nvml: Arc<Nvml>, uuids: Vec<String>) -> Monitor {
        let shared = Arc::new(Shared::default());
        shared.put(&nvml, &uuids);
        let watched = Arc::clone(&shared);
        let body = move || watch(&nvml, &uuids, &watched);
        // Without the thread there are no further samples: the GPUs are then taken for silent.
        drop(thread::Builder::new().name("gpus".to_owned()).spawn(body));
        Monitor { shared }
    }

    /// What came since the last call. Never waits for the driver.
    pub fn news(&self, now: Instant) -> News {
        let mut latest = self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner);
        let xids = std::mem::take(&mut latest.xids);
        let fresh = latest.sample.clone().filter(|(at, _)| now.saturating_duration_since(*at) < STALE);
        match fresh {
            Some((at, samples)) => News { at: Some(at), samples, xids },
            None => News { xids, ..News::default() },
        }
    }

    /// The time up to which errors have been heard.
    pub fn heard_until(&self) -> Option<Instant> {
        self.shared.latest.lock().unwrap_or_else(PoisonError::into_inner).heard_until
    }
}

impl Drop for Monitor {
    /// The thread ends by itself; one that hangs in the driver is not waited for.
    fn drop(&mut self) {
        self.shared.is_over.store(true, Ordering::Relaxed);
    }
}

impl Shared {
    fn put(&self, nvml: &Nvml, uuids: &[String]) {
        let asked = Instant::now();
        let samples = uuids.iter().map(|uuid| GpuSample::read(nvml, uuid)).collect();
        let mut latest = self.latest.lock().unwrap_or_else(PoisonError::into_inner);
        latest.sample = Some((asked, samples));
    }

    /// What was told before this moment is known by now.
    fn has_heard(&self, until: Instant) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).heard_until = Some(until);
    }

    fn put_xid(&self, xid: Xid) {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner).xids.push(xid);
    }
}

fn watch(nvml: &Nvml, uuids: &[String], shared: &Shared) {
    let events = events_of(nvml, uuids);
    let mut next = Instant::now() + INTERVAL;
    while !shared.is_over.load(Ordering::Relaxed) {
        let begun = Instant::now();
        let pause = next.saturating_duration_since(begun).min(PAUSE);
        match &events {
            Some(events) => wait(events, pause, uuids, shared),
            None => thread::sleep(pause),
        }
        shared.has_heard(begun);
        if Instant::now() >= next {
            shared.put(nvml, uuids);
            next = Instant::now() + INTERVAL;
        }
    }
}

/// Where the driver puts errors; none when it cannot.
fn events_of<'a>(nvml: &'a Nvml, uuids: &[String]) -> Option<EventSet<'a>> {
    let mut events = nvml.create_event_set().ok()?;
    for uuid in uuids {
        let Ok(device) = nvml.device_by_uuid(uuid.as_str()) else { continue };
        let wanted = EventTypes::CRITICAL_XID_ERROR;
        if device.supported_event_types().is_ok_and(|types| types.contains(wanted)) {
            events = device.register_events(wanted, events).ok()?;
        }
    }
    Some(events)
}

/// Waits for an error at most so long, and notes it.
fn wait(events: &EventSet, pause: Duration, uuids: &[String], shared: &Shared) {
    let begun = Instant::now();
    match events.wait(u32::try_from(pause.as_millis()).unwrap_or(0)) {
        Ok(event) => {
            let Some(error) = event.event_data else { return };
            let uuid = event.device.uuid().ok();
            let gpu = uuid.and_then(|uuid| uuids.iter().position(|known| *known == uuid));
            let code = match error {
                XidError::Value(code) => code,
                // What NVML itself calls an unknown error.
                XidError::Unknown => 999,
            };
            shared.put_xid(Xid { gpu, code });
        }
        Err(NvmlError::Timeout) => {}
        // A lost GPU makes the wait fail at once, again and again.
        Err(_) => thread::sleep(pause.saturating_sub(begun.elapsed())),
    }
}
