//! Parse, call, exit code.

use std::process::ExitCode;

use clap::Parser;
use overnight::cli::{Cli, When};
use overnight::{commands, file_size};

fn main() -> ExitCode {
    file_size::survive();
    let cli = Cli::parse();
    match cli.color {
        When::Auto => {}
        When::Always => anstream::ColorChoice::Always.write_global(),
        When::Never => anstream::ColorChoice::Never.write_global(),
    }
    commands::carry_out(cli).into()
}
