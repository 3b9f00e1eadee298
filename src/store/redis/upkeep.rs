//! What a node does for the store from time to time: finishes what dead writers began, measures propagation, and looks at how the server is configured.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use redis::Value;
use redis::aio::MultiplexedConnection;

use crate::net::pulse::in_step;
use crate::store::StoreError;
use crate::store::erasure::Wanted;
use crate::store::learning::Lesson;

use super::door::{ask, bytes};
use super::intents::{self, Found};
use super::{Shared, keys};

const CANARY_EVERY: Duration = Duration::from_secs(1);
/// Abandoned intents are looked for every so many canaries.
const INTENTS_EVERY: u64 = 10;
/// The numbers of wordings are learnt again every so many canaries.
const WORDINGS_EVERY: u64 = 5;
/// The server's configuration is looked at every so many canaries.
const INSPECTION_EVERY: u64 = 30;
const PATIENCE: Duration = Duration::from_secs(5);

/// What an operator should know about the server.
#[derive(Default)]
pub(super) struct Findings(Mutex<BTreeSet<String>>);

impl Findings {
    pub(super) fn texts(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }

    /// Takes in what was found now; what is new also goes to the log.
    fn replace(&self, found: BTreeSet<String>) {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        for text in found.difference(&known) {
            tracing::warn!(finding = text, "the Redis server is not configured as a consent store needs it");
        }
        *known = found;
    }
}

/// Runs until the store closes.
pub(super) async fn run(shared: Arc<Shared>) {
    let mut open = shared.open.subscribe();
    tokio::select! {
        () = look_after(&shared) => {}
        _ = open.wait_for(|open| !open) => {}
    }
}

async fn look_after(shared: &Arc<Shared>) {
    let mut ticks = in_step(CANARY_EVERY);
    let (mut intents_due, mut inspection_due) = (0, 0);
    for tick in 0_u64.. {
        ticks.tick().await;
        // While Redis is away nothing is due, and what was missed is done when it is back.
        let Ok(connection) = shared.control.connection().await else { continue };
        let _ = shared.tracking.sing(&connection).await;
        if tick % WORDINGS_EVERY == 0 {
            // What fails now is tried again in its next turn.
            let _ = shared.numbering.refresh_wordings(&connection).await;
        }
        if tick >= intents_due && finish_abandoned(shared, &connection).await.is_ok() {
            intents_due = tick.saturating_add(INTENTS_EVERY);
        }
        if tick >= inspection_due {
            shared.findings.replace(inspect(&connection, shared.wait_replicas).await);
            inspection_due = tick.saturating_add(INSPECTION_EVERY);
        }
    }
}

/// Finishes events whose writers died between their keys.
async fn finish_abandoned(
    shared: &Arc<Shared>,
    connection: &MultiplexedConnection,
) -> Result<(), StoreError> {
    let mut all = redis::cmd("HGETALL");
    all.arg(keys::INTENTS);
    let Value::Map(stored) = ask(connection, &all, PATIENCE).await? else { return Ok(()) };
    let Abandoned { ids, lessons, erasures } = abandoned(&stored);
    if ids.is_empty() {
        return Ok(());
    }
    tracing::info!(
        events = lessons.len(),
        erasures = erasures.len(),
        "finishing what a node began and did not end"
    );
    shared.write(lessons).await?;
    for wanted in erasures {
        shared.erase(wanted).await?;
    }
    let mut done = redis::cmd("HDEL");
    done.arg(keys::INTENTS).arg(ids);
    ask(connection, &done, PATIENCE).await?;
    Ok(())
}

/// What dead writers left.
#[derive(Default)]
struct Abandoned {
    ids: Vec<Vec<u8>>,
    lessons: Vec<Lesson>,
    erasures: Vec<Wanted>,
}

fn abandoned(stored: &[(Value, Value)]) -> Abandoned {
    let mut found = Abandoned::default();
    for (id, intent) in stored {
        let (Some(id), Some(intent)) = (bytes(id), bytes(intent)) else { continue };
        match intents::decode(intent) {
            Found::Fresh => {}
            Found::Abandoned(lesson) => {
                found.ids.push(id.to_vec());
                found.lessons.push(*lesson);
            }
            Found::AbandonedErasure(wanted) => {
                found.ids.push(id.to_vec());
                found.erasures.push(wanted);
            }
            Found::Unreadable => {
                tracing::warn!("an unfinished event in Redis cannot be read and is left as it is");
            }
        }
    }
    found
}

/// Reads what the server says about itself. A user who may not ask gets no findings on what it may not see.
async fn inspect(connection: &MultiplexedConnection, wait_replicas: u32) -> BTreeSet<String> {
    let mut info = redis::cmd("INFO");
    info.arg("everything");
    let answer = ask(connection, &info, PATIENCE).await;
    let text = match &answer {
        Ok(Value::VerbatimString { text, .. }) => text.as_str(),
        Ok(other) => bytes(other).and_then(|b| std::str::from_utf8(b).ok()).unwrap_or_default(),
        Err(_) => "",
    };
    findings(text, snapshots(connection).await, wait_replicas)
}

/// Whether the server takes snapshots, if this user may know.
async fn snapshots(connection: &MultiplexedConnection) -> Option<bool> {
    let mut get = redis::cmd("CONFIG");
    get.arg("GET").arg("save");
    let Ok(Value::Map(fields)) = ask(connection, &get, PATIENCE).await else { return None };
    fields.first().and_then(|(_, value)| bytes(value)).map(|save| !save.is_empty())
}

fn findings(info: &str, snapshots: Option<bool>, wait_replicas: u32) -> BTreeSet<String> {
    let field =
        |name: &str| info.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':')).map(str::trim);
    let mut found = BTreeSet::new();
    if let Some(policy) = field("maxmemory_policy").filter(|policy| *policy != "noeviction") {
        found.insert(format!(
            "maxmemory-policy is {policy}: when Redis is full it will delete consent records, withdrawals among them; set it to noeviction"
        ));
    }
    if field("aof_enabled") == Some("0") {
        found.insert(match snapshots {
            Some(false) => "Redis keeps nothing on disk: a restart loses every consent record; set appendonly yes".to_owned(),
            Some(true) | None => {
                "Redis keeps no append-only file: a crash loses what was written since the last snapshot; set appendonly yes".to_owned()
            }
        });
    }
    let replicas = field("connected_slaves").and_then(|n| n.parse::<u32>().ok());
    if let Some(replicas) = replicas.filter(|replicas| *replicas < wait_replicas) {
        found.insert(format!(
            "Redis has {replicas} replicas and [store] wait_replicas is {wait_replicas}: no event can be acknowledged; repair the replicas or lower wait_replicas"
        ));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_server_that_may_lose_consent_is_told_of_with_the_remedy() {
        let good = "maxmemory_policy:noeviction\r\naof_enabled:1\r\nconnected_slaves:2\r\n";
        assert!(findings(good, Some(true), 2).is_empty());
        assert!(findings("", None, 2).is_empty());
        let bad = "maxmemory_policy:allkeys-lru\r\naof_enabled:0\r\nconnected_slaves:1\r\n";
        let found = Vec::from_iter(findings(bad, Some(false), 2)).join("\n");
        for remedy in ["set it to noeviction", "nothing on disk", "lower wait_replicas"] {
            assert!(found.contains(remedy), "{found}");
        }
        assert!(findings(bad, Some(true), 0).iter().any(|text| text.contains("last snapshot")));
    }
}
