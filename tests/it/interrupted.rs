//! `kill -9` in the middle of an import: nothing that was acknowledged is lost, nothing is half-written, and `--resume` brings the rest.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use optgate::consent::{Clock, Lookup};
use optgate::store::{ConsentStore, Settings};
use serde_json::json;

use crate::store_contract::bench::{ACME, redis_settings, settings};
use crate::support::redis::Redis;
use crate::support::served::Served;
use crate::support::{PATIENCE, eventually};

const KILLS: usize = 50;
const EVENTS: usize = 12_000;
const FILE: &str = "events.ndjson";
const TENANTS: &str = "[[tenants]]\nname = \"acme\"\n[[tenants]]\nname = \"umbrella\"\n";

fn event(n: usize) -> String {
    let recipient = format!("+1555{n:07}");
    let evidence = json!({
        "channel": "website", "user_action": "checked_box", "name_and_logo_shown": true, "number_confirmed": true,
        "categories_shown": ["utility"], "business_named": "Acme", "wording": "I agree to order updates from Acme on WhatsApp",
    });
    json!({"id": format!("e-{n}"), "tenant": "acme", "recipient": recipient, "kind": "grant", "categories": ["utility"],
        "occurred_at": "2026-01-31T09:30:00Z", "actor": "person", "source": "website", "evidence": evidence})
    .to_string()
}

/// Runs an import, kills the gate so long after the import's first settled chunk, and returns whether the import was cut short.
fn cut_short(gate: &mut Served, delay: Duration, kill: impl FnOnce(&mut Served)) -> bool {
    let state = gate.folder.path().join(format!("{FILE}.import-state"));
    let before = std::fs::read(&state).unwrap_or_default();
    let mut import = gate.command(&["consent", "import", FILE, "--resume", "--chunk", "50"]);
    let mut import = import.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    let began = Instant::now();
    while import.try_wait().unwrap().is_none() && std::fs::read(&state).unwrap_or_default() == before {
        assert!(began.elapsed() < PATIENCE, "no chunk is settled");
        std::thread::sleep(Duration::from_millis(1));
    }
    std::thread::sleep(delay);
    kill(gate);
    let ended = eventually("the import ends", || import.try_wait().unwrap());
    !ended.success()
}

fn random_delay() -> Duration {
    Duration::from_micros(getrandom::u64().unwrap() % 40_000)
}

/// Whatever the import took for settled it does not send again: an event that was lost is missing at the end.
fn verify(settings: Settings) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(settings, Clock::System).await.unwrap();
        let (mut found, mut after) = (BTreeSet::new(), None);
        loop {
            let page = store.page(ACME, after, 500).await.unwrap();
            for (key, dossier) in &page.dossiers {
                let [event] = dossier.history()[..] else { panic!("{} events", dossier.history().len()) };
                assert_eq!(event.evidence.as_ref().unwrap().business_named.as_deref(), Some("Acme"));
                found.insert(event.id.0.clone());
                let lookup = store.lookup(ACME, key).await.lookup;
                assert_eq!(lookup, Lookup::Found(dossier.record().gate_record()), "half-written");
            }
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert_eq!(found, (0..EVENTS).map(|n| format!("e-{n}")).collect::<BTreeSet<_>>());
        store.close().await;
    });
}

fn start(store: &str) -> Served {
    let gate = Served::start(&format!("{TENANTS}{store}"));
    gate.write(FILE, &(0..EVENTS).map(|n| event(n) + "\n").collect::<String>());
    gate
}

fn finish(gate: &mut Served, cut: usize) {
    eprintln!("{KILLS} kills, {cut} imports cut short");
    assert!(cut > KILLS / 2, "most kills came after the end: {cut}");
    let last = gate.run(&["consent", "import", FILE, "--resume"]);
    assert!(last.status.success(), "{}", String::from_utf8_lossy(&last.stderr));
    gate.kill9();
}

#[test]
fn an_import_survives_kill_9_of_the_gate_at_fifty_random_moments() {
    let mut gate = start("[store]\nkind = \"embedded\"\npath = \"consent.redb\"\n");
    let mut cut = 0;
    for _ in 0..KILLS {
        cut += usize::from(cut_short(&mut gate, random_delay(), Served::kill9));
        gate.restart();
    }
    finish(&mut gate, cut);
    verify(settings(&gate.folder.path().join(Path::new("consent.redb"))));
}

#[test]
fn an_import_into_redis_survives_kill_9_of_the_gate_or_of_redis_at_fifty_random_moments() {
    let mut redis = Redis::with(&["appendonly yes", "appendfsync always"]);
    let mut gate = start(&format!("[store]\nkind = \"redis\"\nurl = \"{}\"\n", redis.url()));
    let mut cut = 0;
    for round in 0..KILLS {
        let delay = random_delay();
        if round % 5 == 0 {
            cut += usize::from(cut_short(&mut gate, delay, |_| redis.kill9()));
            redis.restart();
        } else {
            cut += usize::from(cut_short(&mut gate, delay, Served::kill9));
        }
        gate.restart();
    }
    finish(&mut gate, cut);
    verify(redis_settings(redis.addr()));
}
