//! Where the gate's own token for the provider comes from. How it is read and sent is `reading`'s.

use std::path::PathBuf;

use crate::consent::redact::Redacted;

/// The gate's own token for the provider. It travels in reads that the gate makes itself, never with a caller's request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Token {
    /// Given in the configuration.
    Held(Redacted<String>),
    /// In a file, read each time, so that it can be rotated.
    File(PathBuf),
}
