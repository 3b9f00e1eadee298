//! Configuration: compiled-in defaults, a file, the environment and flags, in this order, to one checked [`Config`].
//!
//! Owns every key's name, type and limits; the defaults and the documentation of every key stand in `deploy/optgate.default.toml`.
//! Reports every problem at once. Opens the files that settings name to see that they can be read; binds and creates nothing.

mod fingerprint;
mod layer;
mod problem;
mod redis_url;
mod section;
mod sections;
mod settings;
mod store;
mod tenants;
mod token;
mod value;
mod words;

use std::fmt;
use std::path::{Path, PathBuf};

pub use crate::admin::Scope;
pub use fingerprint::Fingerprint;
pub use problem::{Place, Problem, Problems};
pub use redis_url::{RedisAddress, Topology};
pub(crate) use section::edits;
pub use settings::{
    Admin, AdminToken, Audit, BareNumbers, Config, DecisionLog, Decisions, Log, LogFormat, LogLevel, LogSink,
    OnFull, Privacy, Proxy, Relay, Senders, Store, StoreKind, Templates, Upstream, Webhook,
};

use layer::{Entry, Node, Table};
use section::{Section, Walk};

/// Every key with its default and what it is for.
pub const DEFAULTS: &str = include_str!("../../deploy/optgate.default.toml");

/// Where settings come from, each prevailing over those before it; the compiled-in defaults are below all of them.
#[derive(Debug)]
pub struct Sources<E> {
    /// The configuration file, if one is named.
    pub file: Option<PathBuf>,
    /// The environment.
    pub environment: E,
    /// The command line.
    pub overrides: Overrides,
}

/// Settings given as flags, as they were written.
#[derive(Clone, Debug, Default)]
pub struct Overrides {
    /// `--data-dir`
    pub data_dir: Option<String>,
    /// `--listen`
    pub listen: Option<String>,
    /// `--admin-listen`
    pub admin_listen: Option<String>,
    /// `--upstream`
    pub upstream: Option<String>,
    /// `--store`: a path or a Redis URL.
    pub store: Option<String>,
}

/// Reads and checks a configuration.
///
/// # Errors
/// Every problem of every layer at once.
pub fn load<E: Iterator<Item = (String, String)>>(sources: Sources<E>) -> Result<Config, Problems> {
    let Sources { file, environment, overrides } = sources;
    let environment = environment.filter(|(name, _)| name.starts_with(layer::PREFIX)).collect();
    Origin { file, environment, overrides }.load()
}

/// Where a configuration came from, kept so that it can be read again.
#[derive(Clone, Default)]
pub struct Origin {
    file: Option<PathBuf>,
    environment: Vec<(String, String)>,
    overrides: Overrides,
}

/// The environment and the flags may hold passwords.
impl fmt::Debug for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Origin")
    }
}

impl Origin {
    /// The configuration file, if one was named.
    pub fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Reads and checks it: the file as it is now, the environment and the flags as they were given.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load(&self) -> Result<Config, Problems> {
        read(self, self.file().map(layer::from_file).unwrap_or_default())
    }

    /// The same of a text that was read of the file, so that what was looked at is what is taken.
    ///
    /// # Errors
    /// As [`load`].
    pub fn load_text(&self, text: &str) -> Result<Config, Problems> {
        let of_file = |path: &Path| layer::from_text(path, text);
        read(self, self.file().map(of_file).unwrap_or_default())
    }
}

fn read(origin: &Origin, of_file: (Table, Vec<Problem>)) -> Result<Config, Problems> {
    let (mut table, mut problems) = defaults();
    for (above, found) in [
        of_file,
        layer::from_environment(origin.environment.iter().cloned()),
        (origin.overrides.clone().into_table(), Vec::new()),
    ] {
        layer::put_over(&mut table, above);
        problems.extend(found);
    }
    let walk = Walk::default();
    let config = Section::root(&table, &walk, sections::config);
    problems.extend(told_once(walk.problems.into_inner(), &problems));
    match config {
        Some(config) if problems.is_empty() => {
            Ok(Config { origin: origin.clone(), written: Fingerprint::of(&table), ..config })
        }
        _ => Err(Problems::of(problems)),
    }
}

fn defaults() -> (Table, Vec<Problem>) {
    layer::from_toml(DEFAULTS, |_, _| Place::Defaults)
}

/// Leaves out what follows only from a syntax error of the same line, which has been told.
fn told_once(found: Vec<Problem>, syntax: &[Problem]) -> Vec<Problem> {
    let broken: Vec<_> = syntax.iter().filter_map(|problem| line_of(&problem.place)).collect();
    let told = |problem: &Problem| line_of(&problem.place).is_some_and(|line| broken.contains(&line));
    found.into_iter().filter(|problem| !told(problem)).collect()
}

fn line_of(place: &Place) -> Option<usize> {
    match place {
        Place::File { line, .. } => Some(*line),
        Place::Defaults | Place::Variable(_) | Place::Flag(_) => None,
    }
}

impl Overrides {
    fn into_table(self) -> Table {
        let mut all = Table::new();
        for (flag, path, text) in [
            ("--data-dir", &["data_dir"][..], self.data_dir),
            ("--listen", &["proxy", "listen"], self.listen),
            ("--admin-listen", &["admin", "listen"], self.admin_listen),
            ("--upstream", &["upstream", "url"], self.upstream),
        ] {
            let Some(text) = text else { continue };
            layer::put_over(&mut all, layer::nested(path, flagged(flag, text)));
        }
        if let Some(store) = self.store {
            // One flag says both which store and where.
            let (kind, key) = if store.contains("://") { ("redis", "url") } else { ("embedded", "path") };
            for (key, text) in [("kind", kind.to_owned()), (key, store)] {
                layer::put_over(&mut all, layer::nested(&["store", key], flagged("--store", text)));
            }
        }
        all
    }
}

fn flagged(flag: &'static str, text: String) -> Entry {
    Entry { node: Node::Untyped(text), place: Place::Flag(flag) }
}

#[cfg(test)]
mod tests;
