//! `optgate demo`: the whole house in a temporary folder, and a scene played against it with real requests.
//!
//! Knows no more of the gate than a bot and a website do: everything it shows came back over a socket.

mod exchange;
mod house;
mod page;
mod scenes;
mod script;

use std::error::Error;
use std::fmt;
use std::future::pending;
use std::io::{self, Write};
use std::process::ExitCode;

use tokio::sync::oneshot;
use tokio::task::spawn_blocking;

use crate::app::{self, Addresses, AppError};
use crate::net;
use exchange::Doors;
use house::House;
use page::Page;

/// Why the demo ended early.
#[derive(Debug)]
enum Failure {
    /// The temporary folder, the stand-in or the printing.
    System(io::Error),
    /// The configuration that the demo wrote is not valid.
    Config(String),
    /// The gate.
    Gate(AppError),
    /// A request got no answer.
    Unanswered(ureq::Error),
    /// A request was answered otherwise than the script says.
    OffScript,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::System(_) => f.write_str("the system refused what the demo needs"),
            Self::Config(problems) => write!(f, "the demo's configuration is not valid: {problems}"),
            Self::Gate(_) => f.write_str("the gate stopped"),
            Self::Unanswered(_) => f.write_str("a request got no answer"),
            Self::OffScript => f.write_str("the last request should have been answered otherwise"),
        }
    }
}

impl Error for Failure {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::System(cause) => Some(cause),
            Self::Gate(cause) => Some(cause),
            Self::Unanswered(cause) => Some(cause),
            Self::Config(_) | Self::OffScript => None,
        }
    }
}

/// Plays the scene; then serves until SIGINT or SIGTERM, or ends at once with `once`.
pub fn run(once: bool) -> ExitCode {
    let performed =
        app::control_runtime().map_err(Failure::Gate).and_then(|runtime| runtime.block_on(perform(once)));
    match performed {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            let causes = std::iter::successors(failure.source(), |&cause| cause.source());
            let told: Vec<String> =
                std::iter::once(failure.to_string()).chain(causes.map(ToString::to_string)).collect();
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "optgate demo: {}", told.join(": "));
            ExitCode::FAILURE
        }
    }
}

async fn perform(once: bool) -> Result<(), Failure> {
    let (house, config) = House::build().await?;
    let (tell, ready) = oneshot::channel();
    let (finish, finished) = oneshot::channel();
    let gate = app::run(config, until(finished), move |addresses| {
        // Nobody listens only if the show has ended already.
        let _ = tell.send(addresses);
    });
    let show = async {
        // A gate that does not open says why itself.
        let Ok(addresses) = ready.await else { return Ok(()) };
        let shown = show(&house, addresses, once).await;
        if once || shown.is_err() {
            // The gate has ended already if nobody takes it.
            let _ = finish.send(());
        }
        shown
    };
    let (gate, shown) = tokio::join!(Box::pin(gate), show);
    house.close().await?;
    gate.map_err(Failure::Gate).and(shown)
}

/// Over when the process is asked to end, or when the show says so.
async fn until(finished: oneshot::Receiver<()>) -> io::Result<()> {
    let finished = async {
        if finished.await.is_err() {
            pending::<()>().await;
        }
    };
    tokio::select! {
        asked = net::asked_to_end() => asked,
        () = finished => Ok(()),
    }
}

/// Plays everything on a thread of its own, because its requests block.
async fn show(house: &House, addresses: Addresses, once: bool) -> Result<(), Failure> {
    let (provider, files) = (house.provider(), house.files());
    let played = spawn_blocking(move || {
        let token = files.read_token().map_err(Failure::System)?;
        let doors = Doors::new(addresses, provider, &token)?;
        let mut page = Page::to_stdout();
        scenes::play(&doors, &mut page)?;
        if once { Ok(()) } else { page.try_it(&doors, &files).map_err(Failure::System) }
    });
    played.await.map_err(|panicked| Failure::System(io::Error::other(panicked)))?
}
