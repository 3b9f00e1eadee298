//! Why a command could not do its work, as it is told on standard error.

use std::fmt;
use std::io;

use super::client::ClientError;

/// A command that failed.
#[derive(Debug)]
pub(super) enum Failure {
    /// The admin API did not do what was asked.
    Client(ClientError),
    /// A file that cannot be read.
    Input(String, io::Error),
    /// A file that cannot be written.
    Written(String, io::Error),
    /// Input that makes no sense as a whole: what is wrong and what would be right.
    Senseless(String),
    /// Standard output.
    Output(io::Error),
    /// The system gives no random bytes.
    Random(getrandom::Error),
    /// A stand-in for the provider: where it is or was to be, and why it did not do what was asked.
    Sandbox(String, String),
    /// An import that ended early, after what it had settled.
    CutShort(String, Box<Failure>),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(cause) => cause.fmt(f),
            Self::Input(name, cause) => write!(f, "{name} cannot be read: {cause}"),
            Self::Written(name, cause) => write!(f, "{name} cannot be written: {cause}"),
            Self::Senseless(what) => f.write_str(what),
            Self::Output(cause) => write!(f, "standard output cannot be written: {cause}"),
            Self::Random(cause) => write!(f, "the system gave no random bytes: {cause}"),
            Self::Sandbox(place, why) => write!(f, "the sandbox at {place}: {why}"),
            Self::CutShort(settled, cause) => write!(f, "{cause}\n{settled}"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Client(cause) => Some(cause),
            Self::Input(_, cause) | Self::Written(_, cause) | Self::Output(cause) => Some(cause),
            Self::Random(cause) => Some(cause),
            Self::CutShort(_, cause) => Some(cause),
            Self::Senseless(_) | Self::Sandbox(..) => None,
        }
    }
}

impl From<ClientError> for Failure {
    fn from(cause: ClientError) -> Self {
        Self::Client(cause)
    }
}
