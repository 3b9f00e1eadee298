//! What can go wrong with a store, each with what to do about it. No text holds anything about a recipient.

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use super::naming::{Form, OTHER_KEY};
use super::redis::RedisFault;

/// Why a store could not be opened.
#[derive(Debug)]
pub enum OpenError {
    /// Another process holds the file.
    Locked {
        /// The file.
        path: PathBuf,
    },
    /// The file or its folder cannot be made or opened.
    NotAccessible {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The file is no consent store, or is damaged.
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it, if more is known.
        source: Option<Box<redb::Error>>,
    },
    /// The file was written by another version of optgate.
    WrongVersion {
        /// The file.
        path: PathBuf,
        /// The version of its format.
        found: u32,
        /// The version that this program reads and writes.
        known: u32,
    },
    /// The file keeps recipients in another form than is configured.
    OtherForm {
        /// The file.
        path: PathBuf,
        /// The form that it was made with.
        kept: Form,
    },
    /// The file was made with another key of keyed hashes than is configured.
    OtherKey {
        /// The file.
        path: PathBuf,
    },
    /// The system gave no randomness.
    Randomness {
        /// What it said.
        source: getrandom::Error,
    },
    /// The Redis server's address, login or certificate authorities cannot be used.
    Redis {
        /// What is wrong with them.
        source: redis::RedisError,
    },
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Locked { path } => write!(
                f,
                "the consent store {} is in use by another process: stop that one, or give this one a [store] path of its own",
                path.display()
            ),
            Self::NotAccessible { path, .. } => write!(
                f,
                "the consent store {} cannot be opened: check that its folder exists and that this user may read and write it",
                path.display()
            ),
            Self::Unreadable { path, .. } => write!(
                f,
                "the consent store {} is damaged or is no consent store: restore it from a backup, or point [store] path elsewhere; it was left as it is",
                path.display()
            ),
            Self::WrongVersion { path, found, known } => write!(
                f,
                "the consent store {} has format {found} and this program knows format {known}: run the version of optgate that wrote it",
                path.display()
            ),
            Self::OtherForm { path, kept } => {
                write!(f, "the consent store {} {}", path.display(), kept.remedy())
            }
            Self::OtherKey { path } => write!(f, "the consent store {} {OTHER_KEY}", path.display()),
            Self::Randomness { .. } => f.write_str("the system gave no randomness: start optgate again"),
            Self::Redis { .. } => f.write_str(
                "the Redis store cannot be set up: check [store] url and ca_file; certificates must be PEM",
            ),
        }
    }
}

impl std::error::Error for OpenError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::NotAccessible { source, .. } => Some(source),
            Self::Unreadable { source, .. } => source.as_deref().map(|e| e as _),
            Self::Redis { source } => Some(source),
            Self::Randomness { source } => Some(source),
            Self::Locked { .. }
            | Self::WrongVersion { .. }
            | Self::OtherForm { .. }
            | Self::OtherKey { .. } => None,
        }
    }
}

/// Why the store could not do what it was asked.
///
/// Cheap to clone: everybody whose events shared a failed transaction is told the same.
#[derive(Clone, Debug)]
pub enum StoreError {
    /// The store is shut, or shutting.
    Closed,
    /// The store has not answered since the start: nothing is known of it yet.
    NotReady,
    /// Redis did not do it.
    Redis(RedisFault),
    /// The tenant's place is not one of the configured ones.
    UnknownTenant,
    /// Something that is stored cannot be understood.
    Unreadable,
    /// Reading failed.
    Read(Arc<redb::Error>),
    /// Writing failed; nothing of what was asked is acknowledged.
    Write(Arc<redb::Error>),
    /// The system gave no randomness.
    Randomness(getrandom::Error),
    /// Other nodes changed the same all the time.
    Contended,
}

impl StoreError {
    /// Whether the same request may succeed once the store can be reached again.
    pub fn may_pass(&self) -> bool {
        matches!(self, Self::NotReady | Self::Redis(_) | Self::Contended)
    }

    /// The warning while the last write stands failed.
    pub(super) const LAST_WRITE_FAILED: &'static str =
        "the last write to the consent store failed: check the disk's space and health, then restart optgate";
}

impl From<RedisFault> for StoreError {
    fn from(fault: RedisFault) -> Self {
        Self::Redis(fault)
    }
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closed => "the consent store is shut: repeat the request when optgate runs again",
            Self::NotReady => {
                "the consent store has not been reached since optgate started: check that it runs; optgate goes on trying"
            }
            Self::Redis(fault) => return fault.fmt(f),
            Self::UnknownTenant => "the tenant is not configured: name one of [[tenants]]",
            Self::Unreadable => {
                "a stored dossier cannot be read and nothing was changed: restore the consent store from a backup"
            }
            Self::Read(_) => "the consent store could not be read: check its disk, then repeat the request",
            Self::Write(_) => {
                "the consent store could not be written and nothing is acknowledged: check the disk's space and health, restart optgate, then repeat the request"
            }
            Self::Randomness(_) => "the system gave no randomness for a new secret: repeat the request",
            Self::Contended => "other nodes changed the same all the time and nothing was written: repeat the request",
        })
    }
}

impl std::error::Error for StoreError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Read(source) | Self::Write(source) => Some(source.as_ref()),
            Self::Randomness(source) => Some(source),
            Self::Closed
            | Self::NotReady
            | Self::Redis(_)
            | Self::UnknownTenant
            | Self::Unreadable
            | Self::Contended => None,
        }
    }
}
