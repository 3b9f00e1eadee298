//! An acknowledged event survives `kill -9`, whenever it comes.
//!
//! The victim is this test binary itself, started again as a process that writes events and prints the id of each one that was acknowledged.

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use optgate::consent::dossier::Dossier;
use optgate::consent::event::Kind;
use optgate::consent::terms::WordingNumbers;
use optgate::consent::{Category, Clock, EventId, Lookup, RecipientKey, Standing, Validity};
use optgate::store::ConsentStore;

use crate::store_contract::bench::{ACME, settings};
use crate::store_contract::events::{NOW, applied, grant, key, revoke};

const VICTIM: &str = "durability::the_victim_writes_until_it_is_killed";
const CHILD: &str = "OPTGATE_TEST_CHILD";
const FILE: &str = "OPTGATE_TEST_STORE";
const ROUND: &str = "OPTGATE_TEST_ROUND";

const ROUNDS: u64 = 30;
const WRITERS: u64 = 4;
/// How many people each writer writes about, in turn.
const PEOPLE: u64 = 40;

#[test]
fn acknowledged_events_survive_kill_9_at_thirty_random_moments() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("consent.redb");
    let mut acknowledged = Vec::new();
    for round in 0..ROUNDS {
        let before = acknowledged.len();
        acknowledged.extend(killed_after(random_delay(), &file, round));
        assert!(acknowledged.len() > before, "nothing was acknowledged in round {round}");
        verify(&file, &acknowledged);
    }
}

fn random_delay() -> Duration {
    Duration::from_micros(getrandom::u64().unwrap() % 60_000)
}

/// Runs a victim, kills it so long after its first acknowledgement, and returns the ids of everything that it acknowledged.
fn killed_after(delay: Duration, file: &Path, round: u64) -> Vec<String> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, "--exact", "--ignored", "--nocapture"])
        .env(CHILD, "store-writer")
        .env(FILE, file)
        .env(ROUND, round.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = read_lines(victim.stdout.take().unwrap());
    let first = lines.recv_timeout(Duration::from_secs(30));
    std::thread::sleep(delay);
    kill(&mut victim);
    let first = first.expect("the victim acknowledged nothing");
    std::iter::once(first).chain(lines).collect()
}

/// `Child::kill` is SIGKILL: the process gets no chance to flush anything.
fn kill(victim: &mut Child) {
    victim.kill().unwrap();
    victim.wait().unwrap();
}

/// The ids in complete lines; a line that the kill cut off was not read by anybody, so it acknowledged nothing.
fn read_lines(stdout: ChildStdout) -> mpsc::Receiver<String> {
    let (to, lines) = mpsc::channel();
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        loop {
            let mut line = String::new();
            let read = stdout.read_line(&mut line);
            if read.is_err() || !line.ends_with('\n') {
                break;
            }
            if let Some(id) = line.trim_end().strip_prefix("acknowledged ") {
                to.send(id.to_owned()).unwrap();
            }
        }
    });
    lines
}

#[test]
#[ignore = "the process that acknowledged_events_survive_kill_9_at_thirty_random_moments starts and kills"]
fn the_victim_writes_until_it_is_killed() {
    assert_eq!(std::env::var(CHILD).as_deref(), Ok("store-writer"), "only the test that kills it starts it");
    let file = std::env::var_os(FILE).unwrap();
    let round: u64 = std::env::var(ROUND).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(settings(Path::new(&file)), Clock::System).await.unwrap();
        let writers: Vec<_> =
            (0..WRITERS).map(|writer| tokio::spawn(write_for_ever(store.clone(), round, writer))).collect();
        for writer in writers {
            writer.await.unwrap();
        }
    });
}

/// Every person is granted and withdraws in turn, under two identities.
async fn write_for_ever(store: ConsentStore, round: u64, writer: u64) {
    for turn in 0u64.. {
        let person = turn % PEOPLE;
        let (phone, user) = identities(writer, person);
        let at = round * 100_000 + turn;
        let id = |kind| format!("{kind}-{round}-{writer}-{person}-{turn}");
        let granted = grant(&phone, 2 * at).named(&id("grant")).linked_to([user.clone()]).observed();
        let revoked = revoke(&user, 2 * at + 1).named(&id("revoke"));
        // Sometimes in one transaction, sometimes in two.
        if turn % 3 == 0 {
            applied(&store, [granted, revoked]).await;
            say(&format!("acknowledged {}\nacknowledged {}\n", id("grant"), id("revoke")));
        } else {
            applied(&store, [granted]).await;
            say(&format!("acknowledged {}\n", id("grant")));
            applied(&store, [revoked]).await;
            say(&format!("acknowledged {}\n", id("revoke")));
        }
    }
}

fn identities(writer: u64, person: u64) -> (String, String) {
    (format!("+1555{writer}{person:06}"), format!("US.1555{writer}{person:06}"))
}

/// One write to the pipe, past the test harness: a line leaves whole or not at all.
fn say(text: &str) {
    std::io::stdout().lock().write_all(text.as_bytes()).unwrap();
    std::io::stdout().lock().flush().unwrap();
}

fn verify(file: &Path, acknowledged: &[String]) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(settings(file), Clock::System).await.unwrap();
        let all: std::collections::BTreeMap<RecipientKey, Dossier> =
            store.page(ACME, None, 10_000).await.unwrap().dossiers.into_iter().collect();
        for id in acknowledged {
            let [_, _, writer, person, _] = id.split('-').collect::<Vec<_>>()[..] else { panic!("{id}") };
            let (phone, user) = identities(writer.parse().unwrap(), person.parse().unwrap());
            for identity in [phone, user] {
                let history = all.get(&key(&identity)).map(Dossier::history).unwrap_or_default();
                assert!(
                    history.iter().any(|e| e.id == EventId(id.clone())),
                    "{id} was acknowledged and is lost"
                );
            }
        }
        for (key, dossier) in &all {
            let answer = store.lookup(ACME, key).await.lookup;
            let Lookup::Found(gate) = answer else { panic!("a dossier without a gate record") };
            assert_eq!(gate, dossier.record().gate_record(&WordingNumbers::default()));
            // Both identities share every event here, so the latest word is the same whichever is asked.
            let latest = dossier.history().last().map(|e| e.kind);
            let expected = if latest == Some(Kind::Revoke) { Standing::Revoked } else { Standing::Granted };
            assert_eq!(gate.standing(Category::Marketing, &Validity::UNLIMITED, NOW), expected);
        }
        store.close().await;
    });
}
