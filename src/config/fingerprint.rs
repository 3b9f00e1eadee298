//! What every key was given, as digests: enough to tell which keys a reload would change, and nothing to be read.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::layer::{Entry, Node, Table};

/// What a running gate takes over from a file that changed; everything else waits for a restart.
const RELOADED: [&str; 4] = ["tenants", "admin.tokens", "policy", "opt_out"];

/// A digest of each key's value.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(BTreeMap<String, u64>);

impl Fingerprint {
    pub(super) fn of(table: &Table) -> Self {
        let mut keys = BTreeMap::new();
        gather(table, "", &mut keys);
        Self(keys)
    }

    /// The keys that differ and that only a restart puts in force.
    pub fn needing_restart(&self, other: &Self) -> Vec<String> {
        let both = self.0.keys().chain(other.0.keys().filter(|key| !self.0.contains_key(*key)));
        let differs = |key: &&String| self.0.get(*key) != other.0.get(*key) && !is_reloaded(key);
        both.filter(differs).cloned().collect()
    }
}

fn is_reloaded(key: &str) -> bool {
    RELOADED
        .iter()
        .any(|section| key.strip_prefix(section).is_some_and(|rest| rest.is_empty() || rest.starts_with('.')))
}

fn gather(table: &Table, parent: &str, keys: &mut BTreeMap<String, u64>) {
    for (key, entry) in table {
        let path = if parent.is_empty() { key.clone() } else { format!("{parent}.{key}") };
        match &entry.node {
            Node::Table(inner) => gather(inner, &path, keys),
            Node::Untyped(_)
            | Node::Text(_)
            | Node::Number(_)
            | Node::Switch(_)
            | Node::List(_)
            | Node::Other(_) => {
                let mut hasher = DefaultHasher::new();
                digest(entry, &mut hasher);
                keys.insert(path, hasher.finish());
            }
        }
    }
}

fn digest(entry: &Entry, hasher: &mut DefaultHasher) {
    match &entry.node {
        // A flag's text and a file's text mean the same.
        Node::Untyped(text) | Node::Text(text) => text.hash(hasher),
        Node::Number(number) => number.to_string().hash(hasher),
        Node::Switch(on) => on.to_string().hash(hasher),
        Node::Other(name) => name.hash(hasher),
        Node::List(items) => {
            items.len().hash(hasher);
            for item in items {
                digest(item, hasher);
            }
        }
        Node::Table(table) => {
            table.len().hash(hasher);
            for (key, entry) in table {
                key.hash(hasher);
                digest(entry, hasher);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Place, layer};
    use super::*;

    fn of(toml: &str) -> Fingerprint {
        Fingerprint::of(&layer::from_toml(toml, |_, _| Place::Defaults).0)
    }

    #[test]
    fn only_what_a_running_gate_cannot_take_over_needs_a_restart() {
        let before =
            of("data_dir = \"a\"\n[proxy]\nlisten = \"x\"\nworkers = 1\n[policy]\nmode = \"enforce\"");
        for (after, expected) in [
            ("data_dir = \"a\"\n[proxy]\nlisten = \"x\"\nworkers = 1\n[policy]\nmode = \"shadow\"", vec![]),
            ("data_dir = \"b\"\n[proxy]\nlisten = \"x\"\nworkers = 2", vec!["data_dir", "proxy.workers"]),
            (
                "data_dir = \"a\"\n[proxy]\nlisten = \"x\"\nworkers = 1\n[policy_x]\na = 1\n[[tenants]]\nname = \"b\"\n[[admin.tokens]]\nname = \"c\"",
                vec!["policy_x.a"],
            ),
        ] {
            assert_eq!(before.needing_restart(&of(after)), expected, "{after}");
        }
    }
}
