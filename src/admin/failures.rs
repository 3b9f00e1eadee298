//! Slowing down who comes without a valid token. Whoever has one is never asked: an office behind one address may hold both.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures that one address may have at once, and how many more each second.
const OF_ONE: Pace = Pace { burst: 30.0, per_second: 1.0 };
/// The same of all addresses together.
const OF_ALL: Pace = Pace { burst: 1000.0, per_second: 100.0 };
/// How many addresses are remembered; those that have been good for longest are forgotten first.
const MAX_PEERS: usize = 10_000;

#[derive(Clone, Copy, Debug)]
struct Pace {
    burst: f64,
    per_second: f64,
}

/// What is left to an address.
#[derive(Clone, Copy, Debug)]
struct Allowance {
    left: f64,
    at: Instant,
}

impl Allowance {
    fn new(pace: Pace, now: Instant) -> Self {
        Self { left: pace.burst, at: now }
    }

    /// What is left now.
    fn grow(&mut self, pace: Pace, now: Instant) {
        let gone = now.saturating_duration_since(self.at).as_secs_f64();
        self.left = (self.left + gone * pace.per_second).min(pace.burst);
        self.at = now;
    }

    /// Takes one, or says how long until there is one.
    fn take(&mut self, pace: Pace, now: Instant) -> Result<(), Duration> {
        self.grow(pace, now);
        if self.left >= 1.0 {
            self.left -= 1.0;
            return Ok(());
        }
        Err(Duration::from_secs_f64((1.0 - self.left) / pace.per_second))
    }
}

/// Everybody's failures.
#[derive(Debug)]
pub(super) struct Failures(Mutex<Book>);

#[derive(Debug)]
struct Book {
    of_all: Allowance,
    of_one: HashMap<IpAddr, Allowance, ahash::RandomState>,
}

impl Default for Failures {
    fn default() -> Self {
        let of_all = Allowance::new(OF_ALL, Instant::now());
        Self(Mutex::new(Book { of_all, of_one: HashMap::default() }))
    }
}

impl Failures {
    /// Notes one more failure; an error says how long its address should wait.
    pub(super) fn note(&self, peer: IpAddr, now: Instant) -> Result<(), Duration> {
        let mut book = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let peer = subscriber(peer);
        if book.of_one.len() >= MAX_PEERS && !book.of_one.contains_key(&peer) {
            book.forget(now);
        }
        book.of_one.entry(peer).or_insert_with(|| Allowance::new(OF_ONE, now)).take(OF_ONE, now)?;
        book.of_all.take(OF_ALL, now)
    }
}

impl Book {
    /// Forgets whoever has their whole allowance again, and if that is nobody, everybody: the allowance of all still holds.
    fn forget(&mut self, now: Instant) {
        self.of_one.retain(|_, allowance| {
            allowance.grow(OF_ONE, now);
            allowance.left < OF_ONE.burst
        });
        if self.of_one.len() >= MAX_PEERS {
            self.of_one.clear();
        }
    }
}

/// What one subscriber can change their address within: of IPv6 the first 64 bits.
fn subscriber(peer: IpAddr) -> IpAddr {
    match peer.to_canonical() {
        IpAddr::V4(address) => IpAddr::V4(address),
        IpAddr::V6(address) => IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() >> 64 << 64)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_has_a_burst_and_then_one_a_second() {
        let (failures, start) = (Failures::default(), Instant::now());
        for _ in 0..30 {
            failures.note(ip("192.0.2.1"), start).unwrap();
        }
        let wait = failures.note(ip("192.0.2.1"), start).unwrap_err();
        assert!(wait <= Duration::from_secs(1) && wait > Duration::from_millis(900), "{wait:?}");
        failures.note(ip("192.0.2.2"), start).unwrap();
        failures.note(ip("192.0.2.1"), start + Duration::from_millis(1001)).unwrap();
        failures.note(ip("192.0.2.1"), start + Duration::from_millis(1002)).unwrap_err();
    }

    #[test]
    fn a_subscriber_cannot_walk_through_their_own_network() {
        let (failures, start) = (Failures::default(), Instant::now());
        for n in 0..30 {
            failures.note(ip(&format!("2001:db8:0:1::{n:x}")), start).unwrap();
        }
        failures.note(ip("2001:db8:0:1:ffff::1"), start).unwrap_err();
        failures.note(ip("2001:db8:0:2::1"), start).unwrap();
        assert_eq!(subscriber(ip("::ffff:192.0.2.1")), ip("192.0.2.1"));
    }

    #[test]
    fn all_addresses_together_have_a_limit_and_are_not_all_remembered() {
        let (failures, start) = (Failures::default(), Instant::now());
        let passed =
            (0..30_000_u32).filter(|n| failures.note(IpAddr::V4((*n).into()), start).is_ok()).count();
        assert_eq!(passed, 1000);
        let book = failures.0.lock().unwrap();
        assert!(book.of_one.len() <= MAX_PEERS, "{}", book.of_one.len());
    }
}
