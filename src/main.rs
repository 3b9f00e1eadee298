//! The optgate binary: everything lives in the library.

use std::process::ExitCode;

/// Chosen by measurement: a few percent less per request than the system's allocator.
#[global_allocator]
static GLOBAL: mimalloc::MiMalloc = mimalloc::MiMalloc;

// Serves until the command line is merged.
fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    let file = std::env::args().skip_while(|a| a != "--config").nth(1).map(Into::into);
    let sources = optgate::config::Sources {
        file,
        environment: std::env::vars(),
        overrides: optgate::config::Overrides::default(),
    };
    let config = match optgate::config::load(sources) {
        Ok(config) => config,
        Err(problems) => {
            tracing::error!(%problems, "configuration");
            return ExitCode::from(78);
        }
    };
    match optgate::app::serve(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(%error, source = ?std::error::Error::source(&error), "failed");
            ExitCode::FAILURE
        }
    }
}
