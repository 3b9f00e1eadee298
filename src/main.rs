//! The optgate binary: everything lives in the library.

use std::process::ExitCode;

/// Chosen by measurement: a few percent less per request than the system's allocator.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    optgate::cli::run(std::env::args_os())
}
