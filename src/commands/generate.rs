//! `overnight generate`: what a run's model writes, on standard output.

use std::io::{IsTerminal, Write};

use super::{print_json, text};
use crate::cli::GenerateArgs;
use crate::exit::Exit;
use crate::generate::{self, GenerateError, Wish};
use crate::queue::select;
use crate::run_dir::Workspace;
use crate::run_dir::records::SampleItem;
use crate::say;

pub fn generate(workspace: &Workspace, args: &GenerateArgs) -> anyhow::Result<Exit> {
    let run = select::run(workspace, &args.run)?;
    let name = format!("{}/{}", run.experiment(), run.name());
    let wish = Wish {
        step: args.step,
        prompts: args.prompt.clone(),
        tokens: args.tokens,
        temperature: args.temperature,
        top_k: args.top_k,
        top_p: args.top_p,
        count: args.count,
        seed: args.seed,
        device: args.device.clone(),
    };
    let in_run = |error: GenerateError| match error {
        // Whoever reads has seen enough, which is no failure of the run's.
        GenerateError::Io(error) => anyhow::Error::from(error),
        error => anyhow::Error::from(error).context(name.clone()),
    };
    let generation = generate::prepare(&run, &wish).map_err(in_run)?;
    let orders = &generation.orders;
    let device = orders.start.device.name();
    text::talk(format_args!("{name}, step {}, on {}", say::count(orders.step), say::plain(device)));
    let is_terminal = std::io::stdout().is_terminal();
    let mut written = Vec::new();
    let mut is_first = true;
    let told = |item: SampleItem| {
        if args.json.json {
            written.push(item);
            return Ok(());
        }
        let SampleItem::Text { prompt, text, .. } = item else { return Ok(()) };
        // A rule between texts, as nanoGPT prints them: what a model writes has empty lines of its own.
        let rule = if is_first { "" } else { "---------------\n" };
        is_first = false;
        let mut output = anstream::stdout().lock();
        let written = prompt + &text;
        // A file gets what the model wrote, a terminal is told nothing that it would obey.
        let shown = if is_terminal { say::plain_lines(&written) } else { written };
        writeln!(output, "{rule}{shown}")?;
        output.flush()
    };
    generation.write(told).map_err(in_run)?;
    if args.json.json {
        print_json(
            &serde_json::json!({ "run": name, "step": orders.step, "seed": orders.seed, "items": written }),
        )?;
    }
    Ok(Exit::Success)
}
