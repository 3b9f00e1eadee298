//! What operators install from `deploy/`: each file is asked of the program that will read it.

mod fleet;
mod guide;
mod image;
mod monitoring;
mod operation;
mod profile;
mod prometheus;
mod unit;

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A file of the repository.
fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

#[track_caller]
fn read(path: &str) -> String {
    std::fs::read_to_string(repository(path)).unwrap_or_else(|e| panic!("{path}: {e}"))
}

/// Runs a tool of the suite to its end.
#[track_caller]
fn run(command: &mut Command) -> Output {
    let output = command.output();
    output.unwrap_or_else(|e| panic!("cannot start {command:?} ({e}): run tests/run, which installs it"))
}

/// Everything that a tool printed.
fn printed(output: &Output) -> String {
    [&output.stdout, &output.stderr].map(|bytes| String::from_utf8_lossy(bytes)).concat()
}

/// Runs a tool that must find nothing wrong.
#[track_caller]
fn satisfied(command: &mut Command) -> String {
    let output = run(command);
    let printed = printed(&output);
    assert!(output.status.success(), "{command:?}: {}\n{printed}", output.status);
    printed
}
