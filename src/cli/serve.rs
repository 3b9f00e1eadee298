//! `optgate serve`: the configuration from all its sources, the program log, and then the gate.

use std::error::Error;
use std::io::IsTerminal;
use std::process::ExitCode;

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Layer, fmt};

use super::args::{Global, ServeArgs};
use crate::app;
use crate::config::{self, Log, LogFormat, LogLevel, Overrides, Sources};

/// The configuration has problems (`EX_CONFIG` of sysexits.h).
const CONFIGURATION: u8 = 78;

pub(super) fn run(args: ServeArgs, global: &Global) -> ExitCode {
    let config = match config::load(sources(args, global)) {
        Ok(config) => config,
        Err(problems) => {
            eprintln!("optgate: {problems}");
            return ExitCode::from(CONFIGURATION);
        }
    };
    start_log(&config.log);
    match app::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("optgate: {}", chain(&error));
            ExitCode::FAILURE
        }
    }
}

fn sources(args: ServeArgs, global: &Global) -> Sources<impl Iterator<Item = (String, String)> + use<>> {
    let lossy = |text: std::ffi::OsString| text.to_string_lossy().into_owned();
    Sources {
        file: args.config,
        environment: std::env::vars_os().map(move |(name, value)| (lossy(name), lossy(value))),
        overrides: Overrides {
            data_dir: global.data_dir.as_ref().map(|path| path.to_string_lossy().into_owned()),
            listen: args.listen,
            admin_listen: args.admin_listen,
            upstream: args.upstream,
            store: args.store,
        },
    }
}

/// Sends the program's log to standard error.
///
/// Only our own modules speak below `warn`: the HTTP and TLS libraries would write headers and bodies of people's messages.
fn start_log(log: &Log) {
    let own = match log.level {
        LogLevel::Error => LevelFilter::ERROR,
        LogLevel::Warn => LevelFilter::WARN,
        LogLevel::Info => LevelFilter::INFO,
        LogLevel::Debug => LevelFilter::DEBUG,
        LogLevel::Trace => LevelFilter::TRACE,
    };
    let targets = Targets::new().with_target("optgate", own).with_default(own.min(LevelFilter::WARN));
    let lines = fmt::layer().with_writer(std::io::stderr).with_ansi(std::io::stderr().is_terminal());
    let lines = match log.format {
        LogFormat::Text => lines.boxed(),
        LogFormat::Json => lines.json().boxed(),
    };
    // Fails only if a log was started before, which then goes on.
    let _ = tracing_subscriber::registry().with(lines.with_filter(targets)).try_init();
}

/// An error and what caused it, each told once.
fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(cause) = next {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text = format!("{text}: {cause_text}");
        }
        next = cause.source();
    }
    text
}
