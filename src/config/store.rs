//! `[store]`: which consent store, and that nothing is said of the other one.

use std::path::{Path, PathBuf};

use super::problem::Place;
use super::redis_url::RedisAddress;
use super::section::{Section, Wrong};
use super::settings::{Store, StoreKind};
use super::value::{millis, number, one_of, parsed_unseen, path};

const URL: &str =
    "write redis://HOST:PORT/DB, rediss://... with TLS, redis+cluster://A,B,C or redis+sentinel://A,B/NAME";

/// The embedded store's file in the data folder, unless `path` names another.
const FILE_NAME: &str = "store.redb";

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Embedded,
    Redis,
}

/// The section. The data folder is `None` if it could not be read.
pub(super) fn store(section: &Section<'_>, data_dir: Option<&Path>) -> Option<Store> {
    let kind = section.value("kind", one_of([("embedded", Kind::Embedded), ("redis", Kind::Redis)]));
    let ca_file = section.optional("ca_file", path);
    let path = section.optional("path", path);
    let url = section.optional("url", parsed_unseen(URL, RedisAddress::parse));
    let wait_replicas = section.value("wait_replicas", number(0..=16));
    let lookup_deadline = section.value("lookup_deadline_ms", millis(1..=60_000));
    let cache_capacity = section.value("cache_capacity", number(0..=1_000_000_000));
    let kind = kind?;
    match kind {
        Kind::Redis => refuse_useless(section, "path", kind),
        Kind::Embedded => {
            refuse_useless(section, "url", kind);
            refuse_useless(section, "ca_file", kind);
            if wait_replicas.is_some_and(|replicas| replicas > 0) {
                refuse_useless(section, "wait_replicas", kind);
            }
        }
    }
    let kind = match kind {
        Kind::Embedded => StoreKind::Embedded { path: file(path?, data_dir?) },
        Kind::Redis => {
            let wait_replicas = u32::try_from(wait_replicas?).unwrap_or(u32::MAX);
            StoreKind::Redis { address: address(section, url?)?, ca_file: ca_file?, wait_replicas }
        }
    };
    Some(Store { kind, lookup_deadline: lookup_deadline?, cache_capacity: cache_capacity? })
}

fn file(path: Option<PathBuf>, data_dir: &Path) -> PathBuf {
    path.unwrap_or_else(|| data_dir.join(FILE_NAME))
}

fn address(section: &Section<'_>, url: Option<RedisAddress>) -> Option<RedisAddress> {
    if url.is_none() {
        section.reject("url", Wrong::new("missing, and kind is \"redis\"", URL));
    }
    url
}

/// A key of the other store, beside or above the choice of this one: whoever wrote it believes that it counts.
/// Below that choice it was overridden on purpose.
fn refuse_useless(section: &Section<'_>, key: &str, kind: Kind) {
    let (Some(place), Some(choice)) = (section.place_of(key), section.place_of("kind")) else { return };
    if *place == Place::Defaults || layer(place) < layer(choice) {
        return;
    }
    let (other, this) = if kind == Kind::Redis { ("embedded", "redis") } else { ("redis", "embedded") };
    let wrong = format!("belongs to kind = {other:?}, and kind is {this:?}");
    section.reject(key, Wrong::new(wrong, format!("write kind = {other:?} or remove the key")));
}

fn layer(place: &Place) -> u8 {
    match place {
        Place::Defaults => 0,
        Place::File { .. } => 1,
        Place::Variable(_) => 2,
        Place::Flag(_) => 3,
    }
}
