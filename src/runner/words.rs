//! What the curves of a run that has ended did, as sentences for the terminal. A thread reads the run's files,
//! one run after the other: millions of rows and a slow disk hold up no other run, and the words come when
//! they are there.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::time::Duration;

use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::{Instant, timeout_at};

use super::tracked::Tracked;
use super::view::View;
use crate::curves::{Extent, Kind, of_run};
use crate::run_dir::{RunDir, Status};
use crate::say;

/// Sentences of one run: what was more than plain.
const SENTENCES: usize = 4;
/// Tables with more bytes than this are left to the report.
const MOST_BYTES: u64 = 8 << 20;
/// So many runs may wait to be read; beyond that the report alone has the words.
const WAITING: usize = 64;
/// The end of a batch waits so long for the last words.
pub const PATIENCE: Duration = Duration::from_secs(2);

/// Reads the curves of runs that have ended.
pub struct Words {
    read: Arc<Read>,
    queue: Option<SyncSender<Ended>>,
    news: (UnboundedSender<Said>, UnboundedReceiver<Said>),
    /// Asked for and not heard of yet.
    pending: usize,
}

type Read = dyn Fn(&Ended) -> Vec<String> + Send + Sync;

/// A run that has ended, and the metric that it is judged by.
pub struct Ended {
    name: String,
    dir: RunDir,
    metric: String,
}

/// What is said of a run's curves.
#[derive(Debug, PartialEq, Eq)]
pub struct Said {
    name: String,
    sentences: Vec<String>,
}

impl Said {
    pub fn tell(&self, view: &mut View) {
        for sentence in &self.sentences {
            view.say(&format!("curves   {}: {sentence}", self.name));
        }
    }
}

impl Default for Words {
    fn default() -> Words {
        Words::by(sentences)
    }
}

impl Words {
    fn by(read: impl Fn(&Ended) -> Vec<String> + Send + Sync + 'static) -> Words {
        Words { read: Arc::new(read), queue: None, news: unbounded_channel(), pending: 0 }
    }

    /// Asks for what the curves of a run did, if it has ended for good. Returns at once.
    pub fn ask(&mut self, run: &Tracked) {
        let is_over = !matches!(run.seen.status, Status::Waiting { .. } | Status::Running { .. });
        let Some(record) = run.seen.record.as_ref().ok().filter(|_| is_over) else { return };
        let metric = record.settings.checkpoint.best.clone();
        self.begin(Ended { name: run.name(), dir: run.dir.clone(), metric });
    }

    fn begin(&mut self, ended: Ended) {
        if self.queue.is_none() {
            self.queue = self.add_thread();
        }
        // It may be full, or the machine have no thread left: the words are a courtesy.
        let is_taken = self.queue.as_ref().is_some_and(|queue| queue.try_send(ended).is_ok());
        self.pending += usize::from(is_taken);
    }

    fn add_thread(&self) -> Option<SyncSender<Ended>> {
        let (queue, runs) = sync_channel::<Ended>(WAITING);
        let (read, news) = (self.read.clone(), self.news.0.clone());
        let work = move || {
            for ended in runs {
                // A defect here must not keep the end of the batch waiting.
                let sentences = catch_unwind(AssertUnwindSafe(|| read(&ended))).unwrap_or_default();
                if news.send(Said { name: ended.name, sentences }).is_err() {
                    return;
                }
            }
        };
        // For its end nobody waits either.
        std::thread::Builder::new().name("curves".to_owned()).spawn(work).ok().map(|_| queue)
    }

    /// The next words; never, while none were asked for.
    pub async fn news(&mut self) -> Said {
        match self.news.1.recv().await {
            Some(said) => {
                self.pending = self.pending.saturating_sub(1);
                said
            }
            // We hold a sender ourselves.
            None => std::future::pending().await,
        }
    }

    /// Tells what is still to come, as far as it comes within `patience`.
    pub async fn finish(&mut self, view: &mut View, patience: Duration) {
        let latest = Instant::now() + patience;
        while self.pending > 0 {
            let Ok(said) = timeout_at(latest, self.news()).await else { return };
            said.tell(view);
        }
    }
}

fn sentences(run: &Ended) -> Vec<String> {
    let size = |path: PathBuf| fs::metadata(path).map_or(0, |metadata| metadata.len());
    if size(run.dir.metrics()) + size(run.dir.telemetry()) > MOST_BYTES {
        return Vec::new();
    }
    let plain = [Kind::Course, Kind::OtherCourse];
    let told = of_run::read(&run.dir, &run.metric, Extent::Whole).into_iter();
    told.filter(|said| !plain.contains(&said.kind))
        .take(SENTENCES)
        .map(|said| say::plain(&said.text))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;
    use std::sync::mpsc::channel;

    use super::*;
    use crate::run_dir::Workspace;
    use crate::run_dir::scan::sample_record;
    use crate::run_dir::write::{Durability, replace_json};

    fn ended(name: &str) -> Ended {
        let dir = Workspace::new("/w").run("x", name);
        Ended { name: format!("x/{name}"), dir, metric: "val/loss".into() }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap()
    }

    #[test]
    fn nobody_waits_for_curves_that_take_for_ever_to_read() {
        let (let_go, goes) = channel::<()>();
        let goes = Mutex::new(goes);
        let mut words = Words::by(move |run| {
            _ = goes.lock().unwrap().recv();
            vec![format!("{} went up.", run.name)]
        });
        runtime().block_on(async {
            for run in 0..3 * WAITING {
                words.begin(ended(&format!("s{run}")));
            }
            assert!(words.pending <= WAITING + 1, "more of them are not kept: {}", words.pending);
            let asked = words.pending;
            tokio::select! {
                biased;
                said = words.news() => panic!("nothing was read: {said:?}"),
                () = tokio::task::yield_now() => {}
            }
            words.finish(&mut View::open(crate::runner::view::Style::Plain), Duration::ZERO).await;
            assert_eq!(words.pending, asked, "nor does the end of the batch wait for ever");
        });
        drop(let_go);
        let said = runtime().block_on(words.news());
        assert_eq!(said, Said { name: "x/s0".into(), sentences: vec!["x/s0 went up.".into()] });
    }

    #[test]
    fn words_that_break_off_are_no_words() {
        let mut words = Words::by(|_| panic!("a defect"));
        words.begin(ended("s1"));
        let said = runtime().block_on(words.news());
        assert_eq!((said.sentences.len(), words.pending), (0, 0));
    }

    #[test]
    fn at_a_runs_end_its_curves_are_told_where_they_were_more_than_plain() {
        let folder = tempfile::tempdir().unwrap();
        let dir = Workspace::new(folder.path()).run("x", "a");
        fs::create_dir_all(dir.path()).unwrap();
        replace_json(&dir.run_json(), &sample_record("x", "a"), Durability::Rebuildable).unwrap();
        let loss = |step: u32| if step == 60 { f64::NAN } else { 3.0 / f64::from(step) };
        let rows: String = (1..=100).map(|step| format!("{step},{}\n", loss(step))).collect();
        fs::write(dir.metrics(), format!("step,train/loss\n{}", rows.replace("NaN", "nan"))).unwrap();
        let mut words = Words::default();
        let mut run = Tracked::new(dir, "here");
        words.ask(&run);
        assert_eq!(words.pending, 0, "it waits: nothing has ended");
        run.seen.status = Status::Failed { code: 1 };
        words.ask(&run);
        let said = runtime().block_on(words.news());
        assert_eq!(said.sentences, ["Training loss was not finite in 1 row, first at step 60 (nan)."]);
    }
}
