//! The policies that were in force, so that the revision of an old decision can still be shown.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::consent::Timestamp;
use crate::policy::Policy;

/// More than anybody changes a policy while decisions are kept; older ones are forgotten.
const MAX: usize = 256;
const FILE: &str = "policies.json";

/// One policy from the moment on which it was in force.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Revision {
    /// Its revision.
    pub revision: String,
    /// Since when.
    pub since: Timestamp,
    /// Every setting by its name in the configuration.
    pub settings: Value,
}

/// The table, kept beside the decisions if those are kept.
#[derive(Debug)]
pub(in crate::decision_log) struct Revisions {
    file: Option<PathBuf>,
    known: Mutex<Vec<Revision>>,
}

impl Revisions {
    /// Reads the table of a folder; what cannot be read is as if it had never been written.
    pub(in crate::decision_log) fn open(dir: Option<&Path>) -> Self {
        let file = dir.map(|dir| dir.join(FILE));
        let known = file.as_ref().and_then(|file| serde_json::from_slice(&fs::read(file).ok()?).ok());
        Self { file, known: Mutex::new(known.unwrap_or_default()) }
    }

    /// Notes that a policy is in force from now on.
    pub(in crate::decision_log) fn note(&self, policy: &Policy, since: Timestamp) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.last().is_some_and(|last| last.revision == policy.revision()) {
            return;
        }
        let (revision, settings) = (policy.revision().to_owned(), policy.describe());
        known.push(Revision { revision, since, settings });
        let over = known.len().saturating_sub(MAX);
        known.drain(..over);
        if let Some(Err(error)) = self.file.as_deref().map(|file| write(file, &known)) {
            tracing::warn!(error = %error, "the policy in force was not noted beside the kept decisions");
        }
    }

    /// A policy by its revision, as it was last in force before a moment.
    pub(in crate::decision_log) fn find(&self, revision: &str, at: Timestamp) -> Option<Revision> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let same = || known.iter().filter(|known| known.revision == revision);
        same().rfind(|known| known.since <= at).or_else(|| same().next()).cloned()
    }
}

/// Replaces the file as a whole, so that a crash leaves the old table or the new one.
fn write(file: &Path, known: &[Revision]) -> io::Result<()> {
    let next = file.with_extension("next");
    fs::write(&next, serde_json::to_vec(known)?)?;
    fs::rename(&next, file)
}
