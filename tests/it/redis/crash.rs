//! A writer that dies between a person's keys leaves them stricter, and another node finishes what it began.
//!
//! The victim is this test binary itself, started again as a process that withdraws for people with several identities.

use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use optgate::consent::{Category, Clock, Lookup, Standing, Validity};
use optgate::store::ConsentStore;

use crate::store_contract::bench::{ACME, redis_settings};
use crate::store_contract::events::{NOW, Told, applied, grant, key, link, revoke};
use crate::support::PATIENCE;
use crate::support::redis::{Redis, Reply};
use crate::support::relay::Relay;

const VICTIM: &str = "redis::crash::the_victim_withdraws_until_it_is_killed";
const CHILD: &str = "OPTGATE_TEST_CHILD";
const ADDR: &str = "OPTGATE_TEST_REDIS";
const FIRST: &str = "OPTGATE_TEST_FIRST";

const KILLS: usize = 40;
/// How many people a victim has to withdraw for; it is killed long before it is through.
const WITHDRAWING: usize = 12;
const IDENTITIES: usize = 12;
/// An intent is finished by others when it is so old; see the design.
const ABANDONED: Duration = Duration::from_secs(10);

fn identity(person: usize, n: usize) -> String {
    format!("+1555{person:05}{n:02}")
}

/// Each person's identities are linked in a star and agreed to marketing.
fn group(person: usize) -> Vec<Told> {
    let first = identity(person, 0);
    let ties = (1..IDENTITIES).map(|n| link(&identity(person, n), &first).named(&format!("tie-{n}")));
    let grants = (0..IDENTITIES).map(|n| grant(&identity(person, n), 1));
    ties.chain(grants).collect()
}

#[test]
fn what_a_killed_writer_began_is_finished_by_another_node() {
    let redis = Redis::start();
    // Slow enough that a kill often falls between an intent and the last key.
    let relay = Relay::start(redis.addr());
    relay.delay(Duration::from_millis(1));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let open =
        |addr: SocketAddr| runtime.block_on(ConsentStore::open(redis_settings(addr), Clock::System)).unwrap();
    let node = open(redis.addr());
    for person in 0..KILLS * WITHDRAWING {
        runtime.block_on(applied(&node, group(person)));
    }
    let mut acknowledged = Vec::new();
    let (mut unfinished, mut partial) = (0, 0);
    for round in 0..KILLS {
        acknowledged.extend(killed_after(random_delay(), relay.addr(), round * WITHDRAWING));
        let Reply::Integer(left) = redis.command(&["HLEN", "og:intents:{og}"]) else { panic!("no count") };
        unfinished = unfinished.max(left);
        for person in round * WITHDRAWING..(round + 1) * WITHDRAWING {
            let withdrawn = withdrawn(&runtime, &node, person);
            partial += usize::from(withdrawn != 0 && withdrawn != IDENTITIES);
        }
    }
    let last_kill = Instant::now();
    for person in &acknowledged {
        assert_eq!(
            withdrawn(&runtime, &node, *person),
            IDENTITIES,
            "an acknowledged withdrawal is not everywhere"
        );
    }
    // The node that ran all the while, or a new one: whoever finds them first.
    std::thread::sleep(ABANDONED);
    let other = open(redis.addr());
    while redis.command(&["HLEN", "og:intents:{og}"]) != Reply::Integer(0) {
        assert!(last_kill.elapsed() < ABANDONED + 2 * PATIENCE, "intents are left over");
        std::thread::sleep(Duration::from_millis(50));
    }
    let mut finished = 0;
    for person in 0..KILLS * WITHDRAWING {
        let withdrawn = withdrawn(&runtime, &other, person);
        assert!(withdrawn == 0 || withdrawn == IDENTITIES, "{withdrawn} of {IDENTITIES} identities withdrew");
        finished += usize::from(withdrawn == IDENTITIES && !acknowledged.contains(&person));
    }
    eprintln!(
        "{KILLS} kills, {} acknowledged, {unfinished} intents left over, {partial} people half-way, {finished} finished by others",
        acknowledged.len()
    );
    assert!(unfinished > 0, "no kill fell between an intent and its removal");
}

fn random_delay() -> Duration {
    Duration::from_micros(getrandom::u64().unwrap() % 30_000)
}

/// How many of a person's identities are withdrawn.
fn withdrawn(runtime: &tokio::runtime::Runtime, store: &ConsentStore, person: usize) -> usize {
    let is_withdrawn = |n: &usize| {
        let lookup = runtime.block_on(store.lookup(ACME, &key(&identity(person, *n)))).lookup;
        let Lookup::Found(record) = lookup else { panic!("no record: {lookup:?}") };
        record.standing(Category::Marketing, &Validity::UNLIMITED, NOW) == Standing::Revoked
    };
    (0..IDENTITIES).filter(is_withdrawn).count()
}

/// Runs a victim, kills it so long after its first acknowledgement, and returns for whom it acknowledged.
fn killed_after(delay: Duration, redis: SocketAddr, first: usize) -> Vec<usize> {
    let mut victim = Command::new(std::env::current_exe().unwrap())
        .args([VICTIM, "--exact", "--ignored", "--nocapture"])
        .env(CHILD, "withdrawer")
        .env(ADDR, redis.to_string())
        .env(FIRST, first.to_string())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let lines = BufReader::new(victim.stdout.take().unwrap()).lines().map_while(Result::ok);
    let mut acknowledged =
        lines.filter_map(|line| line.strip_prefix("acknowledged ")?.strip_suffix('.')?.parse().ok());
    let first = acknowledged.next().expect("the victim acknowledged nothing");
    std::thread::sleep(delay);
    victim.kill().unwrap();
    victim.wait().unwrap();
    std::iter::once(first).chain(acknowledged).collect()
}

#[test]
#[ignore = "the process that what_a_killed_writer_began_is_finished_by_another_node starts and kills"]
fn the_victim_withdraws_until_it_is_killed() {
    assert_eq!(std::env::var(CHILD).as_deref(), Ok("withdrawer"), "only the test that kills it starts it");
    let addr: SocketAddr = std::env::var(ADDR).unwrap().parse().unwrap();
    let first: usize = std::env::var(FIRST).unwrap().parse().unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(redis_settings(addr), Clock::System).await.unwrap();
        for person in first..first + WITHDRAWING {
            // Any identity of the person may say it.
            applied(&store, [revoke(&identity(person, person % IDENTITIES), 2)]).await;
            let mut stdout = std::io::stdout().lock();
            stdout.write_all(format!("acknowledged {person}.\n").as_bytes()).unwrap();
            stdout.flush().unwrap();
        }
        // Whoever is through waits for the end.
        tokio::time::sleep(PATIENCE).await;
    });
}
