//! A model check of what keeps the cache fresh: the very files, compiled against primitives whose every interleaving a scheduler chooses.
//!
//! One server, one writer, readers that miss, a link that delivers changes in order and breaks in between. Whatever the order, once everything has settled
//! the cache must hold the server's value or nothing.

#![allow(dead_code, reason = "the files serve more than the model asks of them")]
#![allow(clippy::duplicate_mod, reason = "the second time the files rest on the scheduler's primitives")]
#![allow(clippy::unused_async, reason = "a fetch is asynchronous")]

#[path = "cache.rs"]
mod cache;
#[path = "front.rs"]
mod front;
#[path = "link.rs"]
mod link;
#[path = "tickets.rs"]
mod tickets;

mod sync {
    pub(super) use shuttle::sync::atomic::{AtomicU64, Ordering};
    pub(super) use shuttle::sync::{Mutex, MutexGuard};
}

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler};
use shuttle::{Config, Runner, thread};

use crate::consent::{Clock, GateRecord, Lookup, Recipient, TenantId, Timestamp};
use crate::store::{Answer, place, renewals, stamps};

use front::Front;
use link::{Link, State};
use place::Place;

/// How many interleavings are tried of each kind; the faults that were planted to try the model showed within a few hundred.
const SCHEDULES: usize = 4_000;
const SWITCHES: usize = 3;
const WRITES: u32 = 3;
const READS: usize = 3;
const MAX_AGE: Duration = Duration::from_secs(30);

static RENEWALS: AtomicUsize = AtomicUsize::new(0);

/// The truth, and what was pushed and not yet delivered.
#[derive(Default)]
struct Server {
    value: u32,
    tracked: bool,
    pushes: VecDeque<()>,
}

struct World {
    front: Front,
    clock: Clock,
    server: sync::Mutex<Server>,
}

impl World {
    fn new() -> Arc<Self> {
        let server = Server { tracked: true, ..Server::default() };
        let clock = Clock::manual(Timestamp::from_secs(1000));
        let front = Front::new(16, Some(MAX_AGE), clock.clone());
        front.link.go_live();
        Arc::new(Self { front, clock, server: sync::Mutex::new(server) })
    }

    fn server<T>(&self, act: impl FnOnce(&mut Server) -> T) -> T {
        act(&mut self.server.lock().unwrap())
    }

    fn write(&self, value: u32) {
        self.server(|server| {
            server.value = value;
            if server.tracked {
                server.pushes.push_back(());
            }
        });
    }

    /// The reply is on its way while other things happen.
    async fn get(&self) -> Lookup {
        thread::yield_now();
        let seq = self.server(|server| server.value);
        thread::yield_now();
        // What permits nothing does not grow old.
        Lookup::Found(GateRecord { seq, window_until: u32::MAX, ..GateRecord::default() })
    }

    fn deliver(&self) {
        if self.server(|server| server.pushes.pop_front()).is_some() {
            self.front.forget(&person());
        }
    }

    fn read(&self) {
        if self.front.cached(&person()).is_none() {
            let _ = shuttle::future::block_on(self.front.miss(&person(), || self.get()));
        }
    }

    /// Reads again what has grown old since it was read, as soon as that is so.
    fn renew(&self) {
        self.read();
        self.clock.set(Timestamp::from_secs(1025));
        let Some(renewal) = self.front.renewing(&person()) else { return };
        RENEWALS.fetch_add(1, SeqCst);
        if let Lookup::Found(record) = shuttle::future::block_on(self.get()) {
            self.front.renewed(&person(), renewal, record);
        }
    }

    /// What is pushed from the break on is lost; the supervisor notices later, and tracks again before it trusts again.
    fn break_and_mend(&self) {
        self.server(|server| (server.tracked, server.pushes) = (false, VecDeque::new()));
        self.front.link.go_down();
        self.server(|server| server.tracked = true);
        self.front.link.go_live();
    }

    fn assert_fresh(&self) {
        while self.server(|server| !server.pushes.is_empty()) {
            self.deliver();
        }
        if let Some(Lookup::Found(record)) = self.front.cached(&person()) {
            assert_eq!(
                record.seq,
                self.server(|server| server.value),
                "a stale record is served from the cache"
            );
        }
    }
}

fn person() -> Place {
    Place { tenant: TenantId(1), key: Recipient::parse("+15550000001").unwrap().key() }
}

fn play(parts: Vec<fn(&World)>) {
    let world = World::new();
    let threads: Vec<_> = parts
        .into_iter()
        .map(|part| {
            let world = Arc::clone(&world);
            thread::spawn(move || part(&world))
        })
        .collect();
    for thread in threads {
        thread.join().unwrap();
    }
    world.assert_fresh();
}

/// Tries schedules at random, and those that few well-placed switches make.
fn explore(scene: impl Fn() + Send + Sync + Copy + 'static) {
    let mut config = Config::new();
    // The cache library wants more than the few pages that the scheduler gives by default.
    config.stack_size = 512 * 1024;
    Runner::new(RandomScheduler::new(SCHEDULES), config.clone()).run(scene);
    Runner::new(PctScheduler::new(SWITCHES, SCHEDULES), config).run(scene);
}

fn writer(world: &World) {
    (1..=WRITES).for_each(|value| world.write(value));
}

fn reader(world: &World) {
    (0..READS).for_each(|_| world.read());
}

fn deliverer(world: &World) {
    (0..WRITES).for_each(|_| world.deliver());
}

#[test]
fn no_interleaving_of_reads_writes_and_pushes_leaves_a_stale_record() {
    explore(|| play(vec![writer, reader, reader, deliverer]));
}

#[test]
fn no_interleaving_with_a_break_of_the_link_leaves_a_stale_record() {
    explore(|| play(vec![writer, reader, reader, deliverer, World::break_and_mend]));
}

#[test]
fn no_interleaving_with_what_is_read_again_leaves_a_stale_record() {
    let renewals = || RENEWALS.swap(0, SeqCst);
    explore(|| play(vec![writer, reader, World::renew, deliverer]));
    let quiet = renewals();
    explore(|| play(vec![writer, reader, World::renew, deliverer, World::break_and_mend]));
    let with_break = renewals();
    assert!(quiet.min(with_break) > SCHEDULES / 8, "the model hardly reads again: {quiet}, {with_break}");
}

#[test]
fn a_writer_that_forgets_before_it_acknowledges_is_obeyed_without_a_push() {
    fn write_here(world: &World) {
        world.server(|server| server.value = 7);
        world.front.overwritten(&person(), GateRecord { seq: 7, ..GateRecord::default() });
        // Acknowledged: from here on nobody may see the value before.
        for _ in 0..2 {
            if let Some(Lookup::Found(record)) = world.front.cached(&person()) {
                assert_eq!(record.seq, 7);
            }
            let answer = shuttle::future::block_on(world.front.miss(&person(), || world.get()));
            assert!(matches!(answer, Lookup::Found(record) if record.seq == 7));
        }
    }
    explore(|| play(vec![write_here, reader, reader]));
}

#[test]
fn every_change_of_state_begins_a_generation() {
    let steps = || {
        let link = Link::down();
        let mut seen = vec![link.state().generation()];
        for step in [Link::go_live, Link::go_down, Link::go_live, Link::renew] {
            step(&link);
            assert!(!seen.contains(&link.state().generation()));
            seen.push(link.state().generation());
        }
        assert!(matches!(link.state(), State::Live(_)));
        link.go_down();
        let down = link.state();
        assert!(matches!(down, State::Down(_)));
        link.renew();
        assert_eq!(link.state(), down);
    };
    shuttle::check_random(steps, 1);
}
