//! A workspace with tiny experiments, and a runner in a process group of its own to work them.

use std::fs::{self, File};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use overnight::run_dir::{RunDir, Workspace, scan};
use overnight::runner::tracked::holder;
use tempfile::TempDir;

/// Runs at once.
pub const SLOTS: u32 = 2;

/// How much there is to do.
#[derive(Clone, Copy, Debug)]
pub struct Size {
    pub runs: u64,
    pub steps: u64,
}

pub struct Place {
    folder: TempDir,
}

const TEXT: &str = "the owl and the pussy-cat went to sea in a beautiful pea-green boat; they took some honey, \
                    and plenty of money, wrapped up in a five-pound note.\n";

/// Rows, evaluations, samples and checkpoints fall on other steps each.
fn experiment([data, model, sample]: [&str; 3], size: Size, seeds: &[u64]) -> String {
    let Size { steps, .. } = size;
    format!(
        "[data]\n{data}\n[model]\n{model}\n\
         [train]\nsteps = {steps}\nbatch_size = 8\naccumulate = 2\nlog_every = 7\n\
         [train.schedule]\nkind = \"cosine\"\nwarmup = 10\n\
         [evaluate]\nevery = 25\nbatches = 2\n[sample]\nevery = 30\n{sample}\n\
         [checkpoint]\nevery = 5\n[queue]\nretries = 100000\n\
         [resources]\ndevice = \"cpu\"\nthreads = 1\n[sweep]\nseeds = {seeds:?}\n"
    )
}

impl Place {
    /// Half of the runs are GPTs, half classify shapes; all with dropout and accumulation.
    pub fn new(size: Size) -> Place {
        let folder = tempfile::tempdir().unwrap();
        let experiments = folder.path().join("experiments");
        fs::create_dir(&experiments).unwrap();
        fs::write(experiments.join("text.txt"), TEXT.repeat(60)).unwrap();
        let seeds: Vec<u64> = (1..=size.runs).collect();
        let (text, shapes) = seeds.split_at(seeds.len().div_ceil(2));
        let gpt = [
            "kind = \"text\"\nfiles = [\"text.txt\"]",
            "kind = \"gpt\"\nlayers = 3\nheads = 4\nwidth = 64\ncontext = 48\ndropout = 0.1",
            "prompts = [\"the \"]\ntokens = 8",
        ];
        let cnn = [
            "kind = \"shapes\"\ncount = 300\nclasses = 4\nsize = 24",
            "kind = \"cnn\"\nchannels = [16, 32]\ndropout = 0.2",
            "count = 8",
        ];
        for (name, parts, seeds) in [("text.toml", gpt, text), ("shapes.toml", cnn, shapes)] {
            if !seeds.is_empty() {
                fs::write(experiments.join(name), experiment(parts, size, seeds)).unwrap();
            }
        }
        Place { folder }
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn overnight(&self) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_overnight"));
        command.arg("-C").arg(self.path()).env_remove("OVERNIGHT_WORKER").stdin(Stdio::null());
        command
    }

    /// A runner at work on all there is. What it says is kept for those who wonder.
    pub fn runner(&self) -> Child {
        let log = File::options().create(true).append(true).open(self.path().join("said.log")).unwrap();
        let slots = SLOTS.to_string();
        let mut command = self.overnight();
        command.args(["run", "--plain", "--no-report", "--breaker", "0", "--slots", &slots]);
        let mut files: Vec<_> = fs::read_dir(self.path().join("experiments"))
            .unwrap()
            .flatten()
            .map(|entry| entry.path())
            .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
            .collect();
        files.sort();
        command.args(files).process_group(0);
        command.stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap()
    }

    /// The end of what runners said.
    pub fn said(&self) -> String {
        let said = fs::read_to_string(self.path().join("said.log")).unwrap_or_default();
        let lines: Vec<&str> = said.lines().collect();
        lines[lines.len().saturating_sub(30)..].join("\n")
    }

    pub fn runs(&self) -> Vec<RunDir> {
        scan::runs(&Workspace::new(self.path()))
    }
}

impl Drop for Place {
    /// A test that broke off leaves no worker behind.
    fn drop(&mut self) {
        for worker in self.runs().iter().filter_map(holder) {
            drop(worker.kill());
        }
    }
}
