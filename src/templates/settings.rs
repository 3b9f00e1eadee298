//! How often lists are read and how long they are believed.

use std::time::Duration;

/// What the catalogue is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Settings {
    /// How often an account's whole list is read; `None` is never.
    pub sync_every: Option<Duration>,
    /// After how long without being read again what was read counts as unknown; `None` is never.
    pub stale_after: Option<Duration>,
    /// How long a send waits for a look-up.
    pub lookup_wait: Duration,
    /// How soon a reading that failed is tried again, the first time.
    pub retry: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            sync_every: Some(Duration::from_secs(3600)),
            stale_after: Some(Duration::from_secs(24 * 3600)),
            lookup_wait: Duration::from_secs(1),
            retry: Duration::from_secs(10),
        }
    }
}
