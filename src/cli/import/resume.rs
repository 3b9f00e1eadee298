//! Going on with an import that was cut short: a small file beside the imported one says how far it is settled.
//!
//! It is safe to lose and safe to be behind: settled events that are sent again change nothing.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::time::UNIX_EPOCH;

use aws_lc_rs::digest;
use serde::{Deserialize, Serialize};

use super::source::{self, Place};
use super::tally::Counts;
use crate::cli::consent::ImportArgs;

/// How much of a file's beginning tells it from others.
const HEAD: u64 = 1 << 16;

/// What an import was started with; one that goes on must be the same in all of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Started {
    file: Identity,
    pub(super) admin: String,
    pub(super) tenant: Option<String>,
    pub(super) format: String,
    pub(super) rejects: Option<PathBuf>,
    pub(super) ignored_columns: Vec<String>,
    pub(super) ignored_unknown_columns: bool,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Identity {
    bytes: u64,
    modified_ns: u64,
    head_sha256: String,
}

/// How far an import has come.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Settled {
    pub(super) through: Place,
    pub(super) counts: Counts,
    /// How much of the file of rejected events belongs to it.
    pub(super) rejects_bytes: u64,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    started: Started,
    settled: Settled,
}

/// Where an import's progress is kept.
pub(super) struct Bookmark {
    path: PathBuf,
    started: Started,
}

impl Started {
    pub(super) fn with(args: &ImportArgs, admin: &str, rejects: Option<&Path>) -> io::Result<Self> {
        Ok(Self {
            file: Identity::of(&args.file)?,
            admin: admin.to_owned(),
            tenant: args.tenant.clone(),
            format: format!("{:?}", source::format(args)).to_lowercase(),
            rejects: rejects.map(Path::to_owned),
            ignored_columns: args.ignore_column.clone(),
            ignored_unknown_columns: args.ignore_unknown_columns,
        })
    }
}

impl Identity {
    fn of(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        let known = file.metadata()?;
        let modified = known.modified()?.duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut head = Vec::new();
        file.take(HEAD).read_to_end(&mut head)?;
        Ok(Self {
            bytes: known.len(),
            modified_ns: u64::try_from(modified.as_nanos()).unwrap_or(u64::MAX),
            head_sha256: hex::encode(digest::digest(&digest::SHA256, &head)),
        })
    }
}

impl Bookmark {
    pub(super) fn beside(file: &Path, started: Started) -> Self {
        let mut name = file.as_os_str().to_owned();
        name.push(".import-state");
        Self { path: name.into(), started }
    }

    /// Where to go on; `None` if nothing was begun. An error says what differs.
    pub(super) fn find(&self) -> Result<Option<Settled>, String> {
        let bytes = match fs::read(&self.path) {
            Ok(bytes) => bytes,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(format!("{} cannot be read: {cause}", self.path.display())),
        };
        let saved: Saved = serde_json::from_slice(&bytes)
            .map_err(|_| format!("{} says nothing readable; import without --resume", self.path.display()))?;
        let what = if saved.started.file != self.started.file {
            "the file has changed since"
        } else if saved.started != self.started {
            "it was begun with another --admin, --tenant, --format, --rejects or other columns to ignore"
        } else {
            return Ok(Some(saved.settled));
        };
        Err(format!(
            "the import cannot go on: {what}; import without --resume, which begins at the beginning and repeats nothing that is stored"
        ))
    }

    /// Keeps how far the import has come; what stood there before is replaced in one step.
    pub(super) fn keep(&self, settled: &Settled) -> io::Result<()> {
        let saved = Saved { started: self.started.clone(), settled: settled.clone() };
        let mut fresh = self.path.as_os_str().to_owned();
        fresh.push(".new");
        fs::write(&fresh, serde_json::to_vec(&saved)?)?;
        fs::rename(&fresh, &self.path)
    }

    /// The import is through.
    pub(super) fn remove(&self) {
        // Where none is there is nothing to remove.
        let _ = fs::remove_file(&self.path);
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{Cli, Command, ConsentCommand};
    use clap::Parser;

    #[test]
    fn an_import_goes_on_only_if_nothing_has_changed() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("a.csv");
        fs::write(&file, "recipient\n+1\n").unwrap();
        let with = |admin: &str, more: &[&str]| {
            let words = [&["optgate", "consent", "import", file.to_str().unwrap()], more].concat();
            let Command::Consent(ConsentCommand::Import(args)) = Cli::parse_from(words).command else {
                panic!()
            };
            Bookmark::beside(&file, Started::with(&args, admin, None).unwrap())
        };
        let bookmark = |tenant: Option<&str>, admin: &str| match tenant {
            Some(tenant) => with(admin, &["--tenant", tenant]),
            None => with(admin, &[]),
        };
        let first = bookmark(None, "http://a");
        assert_eq!(first.find(), Ok(None));
        let settled = Settled { through: Place { bytes: 10, lines: 1 }, ..Settled::default() };
        first.keep(&settled).unwrap();
        assert_eq!(bookmark(None, "http://a").find(), Ok(Some(settled)));
        let others = [
            bookmark(Some("acme"), "http://a"),
            bookmark(None, "http://b"),
            with("http://a", &["--ignore-column", "x"]),
            with("http://a", &["--ignore-unknown-columns"]),
        ];
        for other in others {
            assert!(other.find().unwrap_err().contains("begun with another"));
        }
        fs::write(&file, "recipient\n+1\n+2\n").unwrap();
        assert!(bookmark(None, "http://a").find().unwrap_err().contains("the file has changed"));
        first.remove();
        assert_eq!(bookmark(None, "http://a").find(), Ok(None));
    }
}
