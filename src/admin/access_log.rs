//! The access log: who wrote what, and who looked whom up, one JSON object a line, written before the answer is given.
//!
//! | field | holds |
//! |---|---|
//! | `time`, `request` | when the line was written (RFC 3339); the request's id, which its answer carries as `optgate-request-id` |
//! | `token` | the name of the token in the configuration |
//! | `action` | the operation, by its name in the OpenAPI document |
//! | `tenant` | the tenant's name; `null` where the request concerned none |
//! | `recipient_hash` | whom it concerned, as the decision log names them; a list where it was several; `null` where it was nobody |
//! | `outcome` | `done`, `repeated` (the answer of before, by its idempotency key), `refused`, `forbidden`, `not_found` or `failed` |
//! | `status` | the status of the answer; `null` of lists and streams of events, whose lines are written while they are still being taken in |
//! | `applied`, `ignored`, `rejected` | what became of events; only there |
//! | `peer` | the caller's address |
//!
//! Never a number, a token or a body. A request that concerned many leaves several lines with the same `request`.

use std::fs::File;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, PoisonError};

use crate::decision_log::{Sink, open};

/// The access log. Clones write to the same place.
#[derive(Clone, Debug)]
pub struct AccessLog(Arc<Place>);

#[derive(Debug)]
struct Place {
    sink: Sink,
    file: Mutex<File>,
}

impl AccessLog {
    /// Opens it for appending.
    pub fn open(sink: Sink) -> io::Result<Self> {
        let file = Mutex::new(open(&sink)?);
        Ok(Self(Arc::new(Place { sink, file })))
    }

    /// Opens the file anew, after log rotation has renamed it. If that fails the old one stays in use.
    pub fn reopen(&self) {
        match open(&self.0.sink) {
            Ok(file) => *self.0.file.lock().unwrap_or_else(PoisonError::into_inner) = file,
            Err(error) => {
                tracing::error!(error = %error, "access log not reopened, the old file stays in use");
            }
        }
    }

    /// Appends whole lines; they have reached the file when this ends well.
    pub(super) async fn append(&self, lines: Vec<u8>) -> io::Result<()> {
        let place = Arc::clone(&self.0);
        // A disk that stalls must not hold up other requests.
        let written = tokio::task::spawn_blocking(move || {
            let mut file = place.file.lock().unwrap_or_else(PoisonError::into_inner);
            file.write_all(&lines)
        });
        written.await.map_err(io::Error::other)?
    }
}
