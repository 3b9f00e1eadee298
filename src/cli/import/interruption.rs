//! Being told to stop, at the terminal or by whoever runs the command.

use std::fmt;
use std::process::ExitCode;
use std::sync::mpsc::{self, Sender};
use std::thread;

use tokio::signal::unix::{SignalKind, signal};

/// How a command was told to stop.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Interruption {
    /// Ctrl-C.
    Interrupt,
    Terminate,
}

impl Interruption {
    /// What a shell makes of a command that a signal ended.
    pub(super) fn exit_code(self) -> ExitCode {
        match self {
            Self::Interrupt => ExitCode::from(128 + 2),
            Self::Terminate => ExitCode::from(128 + 15),
        }
    }
}

impl fmt::Display for Interruption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Interrupt => "interrupted",
            Self::Terminate => "told to stop",
        })
    }
}

/// Tells when the command is to stop, from a thread of its own; returns when signals are listened to. Where the system refuses that, signals end the
/// command as they always do.
pub(super) fn watch(tell: impl FnOnce(Interruption) + Send + 'static) {
    let (ready, listening) = mpsc::channel();
    let _ = thread::Builder::new().name("import-signals".to_owned()).spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().ok()?;
        let interruption = runtime.block_on(first(ready))?;
        tell(interruption);
        Some(())
    });
    // Nobody listens if the other end is gone.
    let _ = listening.recv();
}

async fn first(ready: Sender<()>) -> Option<Interruption> {
    let mut interrupt = signal(SignalKind::interrupt()).ok()?;
    let mut terminate = signal(SignalKind::terminate()).ok()?;
    let _ = ready.send(());
    tokio::select! {
        got = interrupt.recv() => got.map(|()| Interruption::Interrupt),
        got = terminate.recv() => got.map(|()| Interruption::Terminate),
    }
}
