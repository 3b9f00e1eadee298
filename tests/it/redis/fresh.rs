//! No key stays stale in a node's cache, though the link that brings changes is killed at random.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use optgate::consent::lookup::Source;
use optgate::consent::{Category, Clock, Lookup, Standing, Timestamp, Validity};
use optgate::store::ConsentStore;

use super::person;
use crate::store_contract::bench::{ACME, redis_settings};
use crate::store_contract::events::{NOW, applied, grant, key, revoke, standing_in};
use crate::support::redis::{Redis, Reply};

const ROUNDS: usize = 320;
const KEYS: usize = 8;
/// A key that is still wrong then would stay wrong: the link has had time to break, to return and to deliver.
const SETTLED: Duration = Duration::from_secs(3);

#[test]
fn no_key_stays_stale_though_the_tracking_link_is_killed_at_random() {
    let redis = Redis::start();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    let (reading, writing) = runtime.block_on(async {
        let open = || ConsentStore::open(redis_settings(redis.addr()), Clock::System);
        (open().await.unwrap(), open().await.unwrap())
    });
    let round = Arc::new(AtomicUsize::new(0));
    let done = Arc::new(AtomicBool::new(false));
    let cached = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..2)
        .map(|_| {
            let (store, round, done, cached) = (reading.clone(), round.clone(), done.clone(), cached.clone());
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
                runtime.block_on(read_on(&store, &round, &done, &cached));
            })
        })
        .collect();
    let (mut kills, mut slowest) = (0, Duration::ZERO);
    for n in 0..ROUNDS {
        round.store(n, Ordering::SeqCst);
        let people: Vec<String> = (0..KEYS).map(|k| person(n * KEYS + k)).collect();
        let waves = 5 + u64::from(random(3));
        let deadly = 1 + u64::from(random(8));
        for wave in 1..=waves {
            let tell = |who: &String| if wave % 2 == 1 { grant(who, wave) } else { revoke(who, wave) };
            if wave == deadly && random(2) == 0 {
                kills += kill_tracking(&redis);
            }
            runtime.block_on(applied(&writing, people.iter().map(tell)));
            if wave == deadly {
                kills += kill_tracking(&redis);
            }
            // Time for the link to return and for the keys to enter the cache again.
            std::thread::sleep(Duration::from_micros(u64::from(random(12_000))));
        }
        runtime.block_on(applied(
            &writing,
            people.iter().map(|who| if waves % 2 == 0 { grant(who, 9) } else { revoke(who, 9) }),
        ));
        let written = Instant::now();
        let expected = if waves % 2 == 0 { Standing::Granted } else { Standing::Revoked };
        for who in &people {
            while runtime.block_on(standing(&reading, who)) != Some(expected) {
                assert!(written.elapsed() < SETTLED, "round {n}: a key is stale for good");
            }
        }
        slowest = slowest.max(written.elapsed());
    }
    done.store(true, Ordering::SeqCst);
    for reader in readers {
        reader.join().unwrap();
    }
    let from_cache = cached.load(Ordering::SeqCst);
    eprintln!(
        "{ROUNDS} rounds, {kills} kills, {from_cache} answers from the cache, none stale; slowest round fresh after {slowest:?}"
    );
    assert!(kills > ROUNDS / 2 && from_cache > ROUNDS * KEYS, "the test did not test anything");
}

#[test]
fn what_sends_use_is_read_again_before_one_of_them_has_to_wait_for_it() {
    const USED: usize = 600;
    let redis = Redis::start();
    let clock = Clock::manual(Clock::System.now());
    // As a worker: a thread's lane reads again what the thread uses.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(redis_settings(redis.addr()), clock.clone()).await.unwrap();
        let people: Vec<String> = (0..=USED).map(person).collect();
        applied(&store, people.iter().map(|who| grant(who, 1))).await;
        let (used, unused) = people.split_at(USED);
        let from_cache = async |people: &[String]| {
            let mut found = 0;
            for who in people {
                let answer = store.lookup(ACME, &key(who)).await;
                if answer.source == Source::Cache {
                    assert_eq!(standing_in(answer.lookup), Standing::Granted);
                    found += 1;
                }
            }
            found
        };
        // A link that a busy machine broke for a moment empties the memory: that proves nothing.
        let mut known = Vec::new();
        while known.len() < 5 {
            let start = clock.now().as_millis() + 100_000;
            let later = |seconds: u64| clock.set(Timestamp::from_millis(start + 1000 * seconds));
            later(0);
            from_cache(&people).await;
            later(25);
            let before = gets(&redis);
            let at_first = from_cache(used).await;
            let noted = Instant::now();
            // Heartbeats ask as well, some ten times a second.
            while gets(&redis) < before + USED && noted.elapsed() < SETTLED {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            tokio::time::sleep(Duration::from_millis(500)).await;
            later(45);
            known.push((at_first, from_cache(used).await));
            assert_eq!(from_cache(unused).await, 0, "what nobody uses is not kept");
            // The oldest that a grant may get stays what it was: without use, all of it is over.
            later(76);
            assert_eq!(from_cache(used).await, 0);
            if known.last() == Some(&(USED, USED)) {
                return;
            }
        }
        panic!("of {USED}, so many were known before and after they were old: {known:?}");
    });
}

/// How often the server was asked for a value.
fn gets(redis: &Redis) -> usize {
    let Reply::Bulk(Some(stats)) = redis.command(&["INFO", "commandstats"]) else { panic!("no statistics") };
    let stats = String::from_utf8(stats).unwrap();
    let calls = stats.lines().find_map(|line| line.strip_prefix("cmdstat_get:calls=")?.split(',').next());
    calls.map_or(0, |calls| calls.parse().unwrap())
}

async fn standing(store: &ConsentStore, who: &str) -> Option<Standing> {
    match store.lookup(ACME, &key(who)).await.lookup {
        Lookup::Found(record) => Some(record.standing(Category::Marketing, &Validity::UNLIMITED, NOW)),
        Lookup::Absent | Lookup::Unavailable | Lookup::Remembered(_) => None,
    }
}

/// Keeps the round's keys on their way into the cache.
async fn read_on(store: &ConsentStore, round: &AtomicUsize, done: &AtomicBool, cached: &AtomicUsize) {
    while !done.load(Ordering::SeqCst) {
        let first = round.load(Ordering::SeqCst) * KEYS;
        for k in 0..KEYS {
            let answer = store.lookup(ACME, &key(&person(first + k))).await;
            if answer.source == Source::Cache {
                cached.fetch_add(1, Ordering::Relaxed);
            }
        }
        // A reader that never pauses would keep the machine's few cores from everybody else.
        tokio::time::sleep(Duration::from_micros(200)).await;
    }
}

fn random(below: u32) -> u32 {
    getrandom::u32().unwrap() % below
}

/// Ends every connection that tracks changes; returns how many there were.
fn kill_tracking(redis: &Redis) -> usize {
    let Reply::Bulk(Some(list)) = redis.command(&["CLIENT", "LIST"]) else { panic!("no list") };
    let list = String::from_utf8(list).unwrap();
    let field = |line: &str, name: &str| {
        line.split(' ').find_map(|word| word.strip_prefix(name)).map(ToOwned::to_owned)
    };
    let tracking = list.lines().filter(|line| field(line, "flags=").is_some_and(|flags| flags.contains('B')));
    let ids: Vec<String> = tracking.filter_map(|line| field(line, "id=")).collect();
    ids.iter().filter(|id| redis.command(&["CLIENT", "KILL", "ID", id]) == Reply::Integer(1)).count()
}
