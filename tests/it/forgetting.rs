//! `kill -9` between the steps of an erasure: whoever it was acknowledged for is gone under every identity, and everybody else is either untouched or gone
//! once somebody has finished it. Never half and acknowledged.
//!
//! The victim is this test binary itself, started again as a process that erases one person after the other.

use std::io::{BufRead, BufReader, Write};
use std::ops::Range;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use optgate::consent::{Clock, RecipientKey, Standing};
use optgate::store::{ConsentStore, Erasure, Residue, Settings};
use tokio::runtime::Runtime;

use crate::store_contract::bench::{ACME, Bench, redis_settings, settings};
use crate::store_contract::events::{Told, applied, grant, key, link, standing};
use crate::support::PATIENCE;
use crate::support::redis::{Redis, Reply};
use crate::support::relay::Relay;

const VICTIM: &str = "forgetting::the_victim_erases_until_it_is_killed";
const CHILD: &str = "OPTGATE_TEST_CHILD";
const STORE: &str = "OPTGATE_TEST_STORE";
const FIRST: &str = "OPTGATE_TEST_FIRST";
const COUNT: &str = "OPTGATE_TEST_COUNT";

const KILLS: usize = 24;
/// How many people a victim has to erase; most are killed before they are through.
const FROM_REDIS: usize = 8;
const FROM_FILE: usize = 60;
const IDENTITIES: usize = 5;
/// An intent is finished by others when it is so old; see the design.
const ABANDONED: Duration = Duration::from_secs(10);

fn identity(person: usize, n: usize) -> String {
    format!("+1555{person:05}{n:02}")
}

/// Each person's identities form a chain and agreed to marketing.
fn everything_about(person: usize) -> Vec<Told> {
    let ties = (1..IDENTITIES)
        .map(|n| link(&identity(person, n), &identity(person, n - 1)).named(&format!("tie-{n}")));
    let grants = (0..IDENTITIES).map(|n| grant(&identity(person, n), 1));
    ties.chain(grants).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap()
}

/// What is left of a person.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Left {
    /// Everything, under every identity.
    Everything,
    /// Tombstones.
    Nothing,
    /// Something in between.
    Half,
}

async fn left_of(store: &ConsentStore, person: usize) -> Left {
    let (mut whole, mut gone) = (0, 0);
    for n in 0..IDENTITIES {
        let who = identity(person, n);
        let dossier = store.dossier(ACME, &key(&who)).await.unwrap().unwrap();
        let is_tombstone = dossier.erased_at().is_some()
            && dossier.history().iter().all(|e| matches!(e.recipient.key(), RecipientKey::Hashed(_)));
        match standing(store, &who).await {
            Standing::Granted => whole += usize::from(dossier.erased_at().is_none()),
            Standing::Revoked => gone += usize::from(is_tombstone),
            other @ (Standing::Absent | Standing::Expired) => panic!("{other:?}"),
        }
    }
    match (whole, gone) {
        (IDENTITIES, 0) => Left::Everything,
        (0, IDENTITIES) => Left::Nothing,
        _ => Left::Half,
    }
}

/// Runs a victim, kills it so long after its first acknowledgement, and returns for whom it acknowledged.
fn killed_after(delay: Duration, store: &str, people: Range<usize>) -> Vec<usize> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, "--exact", "--ignored", "--nocapture"])
        .env(CHILD, "eraser")
        .env(STORE, store)
        .env(FIRST, people.start.to_string())
        .env(COUNT, people.len().to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut told =
        lines.filter_map(|line| Some(line.strip_prefix("erased ")?.strip_suffix('.')?.parse().ok()));
    assert_eq!(told.next(), Some(None), "the victim did not begin");
    std::thread::sleep(delay);
    victim.kill().unwrap();
    victim.wait().unwrap();
    told.flatten().collect()
}

#[test]
#[ignore = "the process that the other tests start and kill"]
fn the_victim_erases_until_it_is_killed() {
    assert_eq!(std::env::var(CHILD).as_deref(), Ok("eraser"), "only the tests that kill it start it");
    let place = std::env::var(STORE).unwrap();
    let settings = place.parse().map_or_else(|_| settings(Path::new(&place)), redis_settings);
    let [first, count] = [FIRST, COUNT].map(|name| std::env::var(name).unwrap().parse::<usize>().unwrap());
    let say = |what: String| {
        let mut stdout = std::io::stdout().lock();
        stdout.write_all(format!("erased {what}.\n").as_bytes()).unwrap();
        stdout.flush().unwrap();
    };
    runtime().block_on(async {
        let store = ConsentStore::open(settings, Clock::System).await.unwrap();
        say("nobody".to_owned());
        for person in first..first + count {
            // Any identity of the person may be the one that is named.
            let told = store.erase(ACME, &key(&identity(person, person % IDENTITIES))).await.unwrap();
            assert!(matches!(told, Erasure::Now { identities: IDENTITIES, .. }), "{told:?}");
            say(person.to_string());
        }
        tokio::time::sleep(PATIENCE).await;
    });
}

fn random_delay(most: Duration) -> Duration {
    let micros = u64::try_from(most.as_micros()).unwrap();
    Duration::from_micros(getrandom::u64().unwrap() % micros)
}

async fn fill(settings: Settings, people: usize) {
    let store = ConsentStore::open(settings, Clock::System).await.unwrap();
    for first in (0..people).step_by(50) {
        applied(&store, (first..people.min(first + 50)).flat_map(everything_about)).await;
    }
    store.close().await;
}

/// Fails if any number of those who are gone stands among the bytes.
fn assert_gone(bytes: &[u8], gone: &[usize]) {
    for person in gone {
        let digits = format!("1555{person:05}");
        let found = memchr::memmem::find(bytes, digits.as_bytes());
        assert_eq!(found, None, "person {person} among {} bytes", bytes.len());
    }
}

#[test]
fn an_erasure_from_a_file_is_whole_or_not_at_all_whenever_it_is_killed() {
    let bench = Bench::embedded();
    let file = bench.file();
    let runtime = runtime();
    runtime.block_on(fill(settings(&file), KILLS * FROM_FILE));
    let (mut acknowledged, mut gone, mut not_begun) = (Vec::new(), Vec::new(), 0);
    for round in 0..KILLS {
        let people = round * FROM_FILE..(round + 1) * FROM_FILE;
        let delay = random_delay(Duration::from_millis(120));
        acknowledged.extend(killed_after(delay, file.to_str().unwrap(), people.clone()));
        runtime.block_on(async {
            let store = ConsentStore::open(settings(&file), Clock::System).await.unwrap();
            for person in people {
                let left = left_of(&store, person).await;
                assert_ne!(left, Left::Half, "person {person}, round {round}");
                assert!(left == Left::Nothing || !acknowledged.contains(&person), "{person} came back");
                if left == Left::Nothing {
                    gone.push(person);
                } else {
                    not_begun += 1;
                }
            }
            store.close().await;
        });
    }
    eprintln!(
        "{KILLS} kills, {} acknowledged, {} gone, {not_begun} not begun",
        acknowledged.len(),
        gone.len()
    );
    assert!(!gone.is_empty() && not_begun > 0, "every kill came too early or too late");
    // What a kill left in unused pages is gone once the store has been open for a while.
    runtime.block_on(async {
        let store = ConsentStore::open(settings(&file), Clock::System).await.unwrap();
        let since = Instant::now();
        while store.residue() != Residue::None {
            assert!(since.elapsed() < PATIENCE, "the file is not written anew");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        store.close().await;
    });
    assert_gone(&bench.bytes(), &gone);
}

#[test]
fn an_erasure_from_redis_that_is_killed_is_finished_by_repeating_it_or_by_another_node() {
    let redis = Redis::start();
    // Slow enough that most kills fall between two steps.
    let relay = Relay::start(redis.addr());
    relay.delay(Duration::from_millis(1));
    let runtime = runtime();
    runtime.block_on(fill(redis_settings(redis.addr()), KILLS * FROM_REDIS));
    let mut acknowledged = Vec::new();
    for round in 0..KILLS {
        let delay = random_delay(Duration::from_millis(400));
        let people = round * FROM_REDIS..(round + 1) * FROM_REDIS;
        acknowledged.extend(killed_after(delay, &relay.addr().to_string(), people));
    }
    let Reply::Integer(intents) = redis.command(&["HLEN", INTENTS]) else { panic!("no count") };
    let (mut half, mut gone) = (Vec::new(), Vec::new());
    runtime.block_on(async {
        let store = ConsentStore::open(redis_settings(redis.addr()), Clock::System).await.unwrap();
        for person in 0..KILLS * FROM_REDIS {
            match left_of(&store, person).await {
                Left::Nothing => gone.push(person),
                // A kill may fall before the first withdrawal, after the intent.
                Left::Half | Left::Everything if acknowledged.contains(&person) => {
                    panic!("{person} was acknowledged and is not gone")
                }
                Left::Half => half.push(person),
                Left::Everything => {}
            }
        }
        // Half of them are erased again by who asked for it, under another identity; the others are left to the node.
        for person in half.iter().step_by(2) {
            let who = identity(*person, (person + 2) % IDENTITIES);
            store.erase(ACME, &key(&who)).await.unwrap();
            assert_eq!(left_of(&store, *person).await, Left::Nothing, "repeated for {person}");
        }
        let since = Instant::now();
        while redis.command(&["HLEN", INTENTS]) != Reply::Integer(0) {
            assert!(since.elapsed() < ABANDONED + 2 * PATIENCE, "intents are left over");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
        for person in 0..KILLS * FROM_REDIS {
            let left = left_of(&store, person).await;
            assert_ne!(left, Left::Half, "{person} stays half erased");
            assert!(left == Left::Nothing || !half.contains(&person), "{person}'s erasure was undone");
            if left == Left::Nothing && !gone.contains(&person) {
                gone.push(person);
            }
        }
        store.close().await;
    });
    eprintln!(
        "{KILLS} kills, {} acknowledged, {intents} intents left over, {} people half-way, {} gone in the end",
        acknowledged.len(),
        half.len(),
        gone.len()
    );
    assert!(intents > 0 && !half.is_empty(), "no kill fell between two steps");
    assert_gone(&Bench::Server(redis).values(), &gone);
}

const INTENTS: &str = "og:intents:{og}";
