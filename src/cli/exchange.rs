//! What is typed to hand runs on, to take others in, and to put them beside each other.

use std::path::PathBuf;

use clap::Args;

use super::JsonArgs;
use crate::report::forms::Form;

#[derive(Debug, Args)]
#[command(override_usage = "overnight compare <RUN> <RUN>...")]
pub struct CompareArgs {
    /// Runs by name or its beginning, experiments, or `latest`; differences are to the first.
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<String>,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
#[command(override_usage = "overnight export <RUN|--all>... [--format <FORMAT>] -o <PATH>")]
pub struct ExportArgs {
    /// Runs by name or its beginning, experiments, or `latest`.
    #[arg(value_name = "RUN", required_unless_present = "all")]
    pub runs: Vec<String>,
    /// All runs of the workspace.
    #[arg(long)]
    pub all: bool,
    /// The file or folder to write, replaced whole; - is standard output.
    #[arg(short, long, value_name = "PATH")]
    pub output: PathBuf,
    /// What to write; by default what the ending of the path says; without one, html.
    #[arg(long, value_enum)]
    pub format: Option<Form>,
    /// Replace what is there also where it is no export of this kind; a folder is moved aside.
    #[arg(long)]
    pub force: bool,
    /// Of csv and parquet: a row for each step and a column for each metric, not a row for each value.
    #[arg(long)]
    pub wide: bool,
    /// Of latex, markdown and pdf: a metric whose mean and spread over seeds is shown, again for more; by
    /// default the one that counts.
    #[arg(long = "metric", value_name = "METRIC")]
    pub metrics: Vec<String>,
    /// Of png: the metric of the chart; by default the one that counts.
    #[arg(long, value_name = "METRIC")]
    pub chart: Option<String>,
    /// Of png: pixels across.
    #[arg(long, value_name = "PIXELS", value_parser = clap::value_parser!(u32).range(64..=8192))]
    pub width: Option<u32>,
    /// How it looks: default, contrast, paper, or a folder below themes/; by default what overnight.toml says,
    /// and paper for pdf and png.
    #[arg(long, value_name = "NAME")]
    pub theme: Option<String>,
    /// Also the host, paths as they are, and the changes that were not committed.
    #[arg(long)]
    pub with_environment: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct MergeArgs {
    /// Workspaces: folders that have runs/. Nothing in them is changed.
    #[arg(value_name = "FROM", required = true)]
    pub from: Vec<PathBuf>,
    /// Only say what would be done.
    #[arg(long)]
    pub dry_run: bool,
    /// Keep a run that is another one here under the same name beside it, with a number behind its name.
    #[arg(long)]
    pub keep_both: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

#[derive(Debug, Args)]
pub struct ImportArgs {
    /// A file or a folder with logs of another program: TensorBoard's event files, Lightning's logs, MLflow's
    /// mlruns or mlflow.db, W&B's offline folders or exported CSV, Sacred's file storage, Hydra's jobs, Hugging
    /// Face's trainer_state.json, the logs of nanoGPT and llm.c, CSV or JSON lines with a step column.
    #[arg(value_name = "PATH")]
    pub path: PathBuf,
    /// Go on adding what comes, until Ctrl-C.
    #[arg(long, conflicts_with_all = ["json", "dry_run"])]
    pub watch: bool,
    /// The experiment that the runs belong to; by default the one that the source names, else the name of the
    /// file or folder, where that says nothing (logs, runs, outputs ...) that of the folder above.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub experiment: Option<String>,
    /// What the run is called; before its own name where there are several.
    #[arg(long, value_name = "NAME", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    pub name: Option<String>,
    /// A tag for the runs.
    #[arg(long, value_name = "TAG")]
    pub tag: Vec<String>,
    /// The column of a CSV or of JSON lines that holds the steps; later imports know it.
    #[arg(long, value_name = "COLUMN")]
    pub step: Option<String>,
    /// Take these metrics alone, each under its own name or another one: val_loss=val/loss,lr. Later imports of
    /// the same source take them too; '*' takes all again.
    #[arg(long, value_name = "NAME[=NEW],...", value_delimiter = ',', value_parser = renamed)]
    pub columns: Vec<(String, String)>,
    /// Say what would be imported, and write nothing.
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub json: JsonArgs,
}

fn renamed(text: &str) -> Result<(String, String), String> {
    let (from, to) = text.split_once('=').unwrap_or((text, text));
    let is_named = !from.trim().is_empty() && !to.trim().is_empty();
    is_named
        .then(|| (from.trim().to_owned(), to.trim().to_owned()))
        .ok_or_else(|| format!("`{text}` names no column: write NAME, or NAME=NEW, with a comma between two"))
}
