//! The command line: what may be written, and what each command does.
//!
//! Commands other than `serve`, `demo` and `sandbox` know the gate only through its admin API.
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "the command line is the one place that speaks to a terminal"
)]

mod args;
mod audit;
mod check;
mod client;
mod consent;
pub mod demo;
mod erase;
mod explain;
mod export;
mod failure;
mod history;
mod import;
mod output;
mod sandbox;
mod senders;
mod serve;
mod templates;
mod token;
mod trust;
mod webhooks;

use std::ffi::OsString;
use std::process::ExitCode;

use args::{Cli, Command, ConsentCommand, Global, TemplatesCommand, TokenCommand};
use failure::Failure;

/// Runs what the arguments say, the program's name first. Wrong usage exits 2, a configuration with problems 78, any other failure 1.
pub fn run(args: impl IntoIterator<Item = OsString>) -> ExitCode {
    let cli = match Cli::read(args) {
        Ok(cli) => cli,
        Err(answer) => {
            // Help and version arrive here too. Where nobody reads them there is nobody to tell.
            let _ = answer.print();
            return ExitCode::from(u8::try_from(answer.exit_code()).unwrap_or(2));
        }
    };
    dispatch(cli.command, &cli.global).unwrap_or_else(|failure| {
        eprintln!("optgate: {failure}");
        ExitCode::FAILURE
    })
}

fn dispatch(command: Command, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        Command::Serve(args) => Ok(serve::run(args, global)),
        Command::Demo(args) => Ok(demo::run(args.once)),
        Command::Sandbox(args) => sandbox::run(*args, global),
        Command::Consent(ConsentCommand::Grant(args)) => consent::grant(*args, global),
        Command::Consent(ConsentCommand::Revoke(args)) => consent::revoke(args, global),
        Command::Consent(ConsentCommand::Resume(args)) => consent::resume(*args, global),
        Command::Consent(ConsentCommand::Show(args)) => consent::show(&args, global),
        Command::Consent(ConsentCommand::History(args)) => history::run(&args, global),
        Command::Consent(ConsentCommand::Erase(args)) => erase::run(&args, global),
        Command::Consent(ConsentCommand::Export(args)) => export::run(&args, global),
        Command::Consent(ConsentCommand::Key) => export::key(global),
        Command::Consent(ConsentCommand::Import(args)) => import::run(&args, global),
        Command::Templates(TemplatesCommand::Import(args)) => templates::import(&args, global),
        Command::Templates(TemplatesCommand::List) => templates::list(global),
        Command::Webhooks(command) => webhooks::run(&command, global),
        Command::Audit(command) => audit::run(&command, global),
        Command::Senders(args) => senders::run(&args, global),
        Command::Check(args) => check::run(&args, global),
        Command::Explain(args) => explain::run(&args, global),
        Command::Token(TokenCommand::New(args)) => token::new(&args, global),
    }
}
