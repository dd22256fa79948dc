//! What can be typed. Types only: what the verbs do is in [`crate::commands`].

mod exchange;

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::experiment::Override;
pub use exchange::{CompareArgs, ExportArgs, ImportArgs, MergeArgs};

/// Queue machine-learning experiments in the evening, have a report in the morning.
#[derive(Debug, Parser)]
#[command(name = "overnight", version, arg_required_else_help = true, max_term_width = 100)]
pub struct Cli {
    /// Work in this folder, as if started there. By default in the nearest workspace from the current
    /// folder upward, with files named from the current folder all the same.
    #[arg(short = 'C', value_name = "DIR", global = true)]
    pub directory: Option<PathBuf>,
    /// When to use color.
    #[arg(long, value_name = "WHEN", global = true, default_value = "auto")]
    pub color: When,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum When {
    Auto,
    Always,
    Never,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a workspace with one commented example.
    Init(InitArgs),
    /// Say what is wrong with experiment files.
    Check(FilesArgs),
    /// Show what would run, in which order, how many steps.
    Plan(PlanArgs),
    /// Queue these files and work until their runs are done; without files, all that waits.
    Run(RunArgs),
    /// Add the runs of these files to the queue.
    Queue(PlanArgs),
    /// Show where every run stands.
    Status(StatusArgs),
    /// Print a run's log.
    Logs(LogsArgs),
    /// Let runs write a checkpoint and make room; resume goes on at the same bits.
    Pause(SelectArgs),
    /// Let paused and stopped runs wait for their turn again.
    Resume(SelectArgs),
    /// Let runs write a checkpoint and end for good.
    Stop(SelectArgs),
    /// Start runs again that failed or were stopped.
    Retry(RetryArgs),
    /// Move runs ahead in the queue, or behind.
    Priority(PriorityArgs),
    /// Let the runner at work end after its current runs, also one that waits for work; what waits stays queued.
    /// With runs named: of these, what is at work goes on, and what waits is paused.
    Drain(DrainArgs),
    /// Train a part of a run again and say whether the bits are the same.
    Verify(VerifyArgs),
    /// Write text with a run's model, from one of its checkpoints.
    Generate(GenerateArgs),
    /// Build the report from the run directories.
    Report(ReportArgs),
    /// Show the report on 127.0.0.1, refreshing while runs go on.
    Serve(ServeArgs),
    /// Show what differs between runs: settings, results with their noise, cost.
    Compare(CompareArgs),
    /// Write runs as one HTML file to send, or as CSV, Parquet, TensorBoard, LaTeX, PDF and more.
    Export(ExportArgs),
    /// Take over runs and batches of other workspaces, also of such as still grow.
    Merge(MergeArgs),
    /// Set runs of other programs beside ours: TensorBoard, Lightning, MLflow, W&B, Sacred, Hydra, Hugging Face,
    /// nanoGPT, llm.c, CSV, JSON lines. They are shown, and never run.
    Import(ImportArgs),
    /// Show what could be deleted, why, and how much that is. A run that a rule deletes counts as done ever
    /// after (--again trains it anew); one that you name is forgotten, and its file queues it anew.
    Clean(CleanArgs),
    /// Say whether this machine has what runs need, and what to do where it has not.
    Doctor(JsonArgs),
    /// Print the JSON Schema of experiment files or of overnight.toml, for editors.
    Schema(SchemaArgs),
    /// Print completions for a shell.
    Completions {
        #[arg(value_enum)]
        shell: clap_complete::Shell,
    },
}

#[derive(Debug, Args)]
pub struct InitArgs {
    /// The folder to make the workspace in.
    #[arg(default_value = ".")]
    pub folder: PathBuf,
    /// Write a systemd user unit instead, which works the queue of the workspace that is there.
    #[arg(long)]
    pub systemd: bool,
}

#[derive(Debug, Args)]
pub struct SchemaArgs {
    /// Which file is described.
    #[arg(value_enum, default_value = "experiment")]
    pub of: SchemaOf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum SchemaOf {
    /// Experiment files.
    Experiment,
    /// The workspace's overnight.toml.
    Workspace,
}

#[derive(Debug, Args)]
pub struct JsonArgs {
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct FilesArgs {
    /// Experiment files.
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub overrides: OverrideArgs,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct OverrideArgs {
    /// Give a setting another value than the file does, for example train.optimizer.lr=3e-4.
    #[arg(long = "set", value_name = "SETTING=VALUE")]
    pub set: Vec<Override>,
}

#[derive(Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    pub files: FilesArgs,
    /// Queue runs once more that are there already.
    #[arg(long)]
    pub again: bool,
}

#[derive(Debug, Args)]
pub struct RunArgs {
    /// Experiment files, or one report that was exported (FILE.html), whose runs are trained again; none to
    /// work on all that waits.
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
    #[command(flatten)]
    pub overrides: OverrideArgs,
    /// Look for the data of a report in this folder, by size and hash; may be given again.
    #[arg(long, value_name = "DIR")]
    pub data: Vec<PathBuf>,
    /// Train what a report asks for, without being asked.
    #[arg(long)]
    pub yes: bool,
    /// Queue runs once more that are there already.
    #[arg(long)]
    pub again: bool,
    /// Start failed and killed runs again, too.
    #[arg(long)]
    pub retry_failed: bool,
    /// Runs at once; by default what overnight.toml says, else as many as GPUs have room for, and on the
    /// processor as many as end soonest, which is measured.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub slots: Option<u32>,
    /// Start nothing before this time of the day, today or tomorrow.
    #[arg(long, value_name = "HH:MM")]
    pub at: Option<ClockTime>,
    /// Start nothing that would not end by this time of the day, by measured rates.
    #[arg(long, value_name = "HH:MM")]
    pub until: Option<ClockTime>,
    /// When nothing is left, wait for what will be queued.
    #[arg(long)]
    pub forever: bool,
    /// Write what became of each run and budget as JUnit XML, for CI systems.
    #[arg(long, value_name = "FILE", conflicts_with = "forever")]
    pub junit: Option<PathBuf>,
    /// Runs in a row that fail with the same cause before the batch stops itself; 0 never does. By
    /// default what overnight.toml says, else 5.
    #[arg(long, value_name = "N")]
    pub breaker: Option<u32>,
    /// Go on in the background, also when this terminal is closed; say how to watch and end it.
    #[arg(long)]
    pub detach: bool,
    /// Be the one in the background.
    #[arg(long, hide = true, conflicts_with = "detach")]
    pub detached: bool,
    /// Plain lines instead of a live view.
    #[arg(long)]
    pub plain: bool,
    /// Do not keep the report fresh meanwhile.
    #[arg(long)]
    pub no_report: bool,
    /// Show the report on 127.0.0.1 meanwhile.
    #[arg(long, conflicts_with = "no_report")]
    pub serve: bool,
}

#[derive(Debug, Args)]
pub struct StatusArgs {
    /// Experiments or runs; all by default.
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// Show it again every second.
    #[arg(long, conflicts_with = "json")]
    pub watch: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// A run: its name, the beginning of it, or `latest`.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// Go on printing until the run ends.
    #[arg(short, long)]
    pub follow: bool,
    /// What the worker wrote to its standard error instead of the log.
    #[arg(long)]
    pub stderr: bool,
}

/// A time of the day, in the machine's time zone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClockTime(pub jiff::civil::Time);

impl std::str::FromStr for ClockTime {
    type Err = String;

    fn from_str(text: &str) -> Result<ClockTime, String> {
        jiff::civil::Time::strptime("%H:%M", text)
            .map(ClockTime)
            .map_err(|_| format!("`{text}` is no time of the day, such as 23:00"))
    }
}

impl ClockTime {
    /// Unix seconds at which the clock shows this time for the first time after `now`.
    pub fn next_after(self, now: f64) -> f64 {
        let zone = jiff::tz::TimeZone::system();
        let Ok(now_here) = jiff::Timestamp::from_second(now as i64).map(|time| time.to_zoned(zone.clone()))
        else {
            return now;
        };
        let on = |date: jiff::civil::Date| date.to_datetime(self.0).to_zoned(zone.clone()).ok();
        let today = on(now_here.date()).filter(|time| *time > now_here);
        let next = today.or_else(|| now_here.date().tomorrow().ok().and_then(on));
        next.map_or(now, |time| time.timestamp().as_second() as f64)
    }
}

/// Which runs are meant.
#[derive(Debug, Args)]
#[group(required = true, multiple = true)]
pub struct SelectArgs {
    /// Runs by name or its beginning, experiments, or `latest`.
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// All runs with this tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// All runs of the workspace.
    #[arg(long)]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct DrainArgs {
    /// Only these start no more: runs by name or its beginning, or experiments.
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// Only runs with this tag.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// Everything: the runner itself ends, as without any name.
    #[arg(long, conflicts_with_all = ["runs", "tag"])]
    pub all: bool,
}

#[derive(Debug, Args)]
pub struct RetryArgs {
    #[command(flatten)]
    pub select: SelectArgs,
    /// Go back to the checkpoint of this step; 0 is the beginning.
    #[arg(long, value_name = "STEP")]
    pub from: Option<u64>,
}

#[derive(Debug, Args)]
#[command(override_usage = "overnight priority <PRIORITY> <RUN|--tag TAG|--all>...")]
pub struct PriorityArgs {
    /// Higher ones start first; what is not said has 0.
    #[arg(allow_negative_numbers = true, value_parser = priority)]
    pub priority: i64,
    #[command(flatten)]
    pub select: SelectArgs,
}

fn priority(text: &str) -> Result<i64, String> {
    text.parse().map_err(|_| "the number comes first, as in: overnight priority 5 RUN".to_owned())
}

#[derive(Debug, Args)]
pub struct CleanArgs {
    /// Runs or experiments to delete whole, and nothing else. Without any: what the rules in
    /// overnight.toml come to, checkpoints that nobody keeps, and what killed processes left.
    #[arg(value_name = "RUN")]
    pub runs: Vec<String>,
    /// Also runs that finished and were not touched for so many days.
    #[arg(long, value_name = "DAYS", value_parser = days)]
    pub older_than: Option<f64>,
    /// Also all finished runs of each experiment but the N with the best values (--all-but-best=3); 1 where
    /// no number is given.
    #[arg(
        long,
        value_name = "N",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "1",
        value_parser = clap::value_parser!(u32).range(1..)
    )]
    pub all_but_best: Option<u32>,
    /// Also checkpoints of each run but the newest N and the best.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..))]
    pub checkpoints: Option<u32>,
    /// Delete what is shown.
    #[arg(long)]
    pub yes: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

fn days(text: &str) -> Result<f64, String> {
    let days = text.parse().ok().filter(|days: &f64| days.is_finite() && *days >= 0.0);
    days.ok_or_else(|| "write a number of days, such as 30".to_owned())
}

#[derive(Debug, Args)]
pub struct VerifyArgs {
    /// A run: its name, the beginning of it, or `latest`. Or a report that was exported (FILE.html): then the
    /// runs here that have its runs' identities are held against what it says, and nothing is trained.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// The step to begin after: 0, or one whose checkpoint is still there. By default the last but one.
    #[arg(long, value_name = "STEP")]
    pub from: Option<u64>,
    /// The step to compare at: one that had a checkpoint. By default the next one, or the last.
    #[arg(long, value_name = "STEP")]
    pub to: Option<u64>,
    /// From the beginning to the last checkpoint, comparing at every one that ever was.
    #[arg(long, conflicts_with_all = ["from", "to"])]
    pub all: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct GenerateArgs {
    /// A run: its name, the beginning of it, or `latest`.
    #[arg(value_name = "RUN", default_value = "latest")]
    pub run: String,
    /// What to go on from; may be given again. By default the prompts of the run's settings.
    #[arg(short, long, value_name = "TEXT")]
    pub prompt: Vec<String>,
    /// The checkpoint of this step; by default the best one, or the newest.
    #[arg(long, value_name = "STEP")]
    pub step: Option<u64>,
    /// Tokens that are added to each prompt; by default what the settings say, as in the following.
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    pub tokens: Option<u32>,
    /// How daring the choice of the next token is; 0 always takes the likeliest.
    #[arg(long, value_parser = not_negative)]
    pub temperature: Option<f64>,
    /// Choose from so many of the likeliest tokens; 0 is all.
    #[arg(long)]
    pub top_k: Option<u32>,
    /// Choose from the likeliest tokens that together have this probability.
    #[arg(long, value_parser = probability)]
    pub top_p: Option<f64>,
    /// Texts for each prompt; by default one.
    #[arg(short = 'n', long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub count: Option<u32>,
    /// Another seed, another text; the same one on the same device writes the same.
    #[arg(long, default_value_t = 1)]
    pub seed: u64,
    /// cpu, cuda, cuda:1 or auto. A GPU that trains is left to that unless you name it.
    #[arg(long, default_value = "cpu")]
    pub device: String,
    #[command(flatten)]
    pub json: JsonArgs,
}

fn not_negative(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number: &f64| number.is_finite() && *number >= 0.0)
        .ok_or_else(|| "0 or more".to_owned())
}

fn probability(text: &str) -> Result<f64, String> {
    text.parse()
        .ok()
        .filter(|number| *number > 0.0 && *number <= 1.0)
        .ok_or_else(|| "above 0, to 1".to_owned())
}

#[derive(Debug, Args)]
pub struct ReportArgs {
    /// Go on building whenever something changes.
    #[arg(long)]
    pub watch: bool,
    /// Build everything anew, also what has not changed.
    #[arg(long)]
    pub cold: bool,
    /// Open it in a browser.
    #[arg(long)]
    pub open: bool,
}

#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The port; by default what overnight.toml says, else 8990 or the next that is free.
    #[arg(long)]
    pub port: Option<u16>,
    /// The address to listen on; by default what overnight.toml says, else 127.0.0.1. Anywhere else a
    /// token is asked for.
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Further names that this server may be called by, beside those in overnight.toml; 0.0.0.0 or ::
    /// listens on all addresses.
    #[arg(long = "host", value_name = "NAME")]
    pub hosts: Vec<String>,
    /// What readers must give once in the address, as ?token=; outside of this machine one is made and
    /// printed where none is given.
    #[arg(long, value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub token: Option<String>,
    /// Open it in a browser.
    #[arg(long)]
    pub open: bool,
    /// Serve nothing; write a person who may act into overnight.toml, and print the token of that person,
    /// once.
    #[arg(long, value_name = "NAME")]
    pub add_person: Option<String>,
    /// What that person may do; by default see.
    #[arg(long, requires = "add_person")]
    pub role: Option<crate::serve::control::role::Role>,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    #[test]
    fn a_time_of_the_day_is_the_next_one() {
        let now = 1_795_219_200.0;
        let at = |text: &str| text.parse::<super::ClockTime>().unwrap().next_after(now);
        for time in ["00:00", "07:30", "23:59"] {
            assert!(at(time) > now && at(time) <= now + 90_000.0, "{time}: {}", at(time) - now);
        }
        assert!("25:00".parse::<super::ClockTime>().is_err());
    }

    #[test]
    fn the_command_line_is_well_formed() {
        super::Cli::command().debug_assert();
    }
}
