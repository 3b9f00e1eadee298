//! Erasing a person from Redis, so that dying at any moment leaves them refused and findable by whoever goes on.
//!
//! First an intent, then a withdrawal under every identity, as any other withdrawal is written. Then the identities are buried one by one, those farthest
//! from the one that was asked for first: what is left is always linked to it, so repeating the erasure finds the rest. A tombstone is written before its
//! dossier is removed. The intent goes last.

use std::collections::HashSet;
use std::time::Duration;

use redis::Value;

use crate::consent::dossier::{Dossier, Provenance};
use crate::consent::{Event, Timestamp};
use crate::store::erasure::{self, Erasure, Grave, Wanted};
use crate::store::learning::Lesson;
use crate::store::place::Place;
use crate::store::stamps::Stamps;
use crate::store::{Outcome, StoreError};

use super::batch::{Read, Seen};
use super::door::{ask, bytes};
use super::fault::RedisFault;
use super::lane::jittered;
use super::recall::Erasures;
use super::script::COMPARE_AND_WRITE;
use super::writing::{PATIENCE, ROUNDS, Writing, as_read};
use super::{intents, keys};

const COMPARE_AND_REMOVE: &str = r"
local stored = redis.call('GET', KEYS[1])
if stored and redis.sha1hex(stored) ~= ARGV[1] then return 0 end
redis.call('UNLINK', KEYS[1], KEYS[2])
return 1
";

/// Whether somebody else changed a dossier since it was read.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Done,
    Lost,
}

impl Writing {
    /// Erases a person and returns once that is confirmed and no longer cached here. Whoever is unknown gets a tombstone all the same.
    pub(super) async fn erase(&self, wanted: &Wanted) -> Result<Erasure, StoreError> {
        let known = !self.everybody(&wanted.place).await?.is_empty();
        if !known {
            let tombstone = self.tombstone(&wanted.place).await?;
            if let Some(told) = erasure::of_nobody(&self.naming, wanted, &tombstone) {
                self.finish_others().await?;
                return Ok(told);
            }
        }
        self.forget(wanted, known).await
    }

    /// Whoever is gone may be one identity of somebody whose erasure was cut short and began from another: before it is said that they are gone, every
    /// erasure that was begun is finished.
    async fn finish_others(&self) -> Result<(), StoreError> {
        for wanted in self.intents().await?.iter().filter_map(|(_, intent)| intents::erasure(bytes(intent)?))
        {
            if !self.everybody(&wanted.place).await?.is_empty() {
                self.forget(&wanted, true).await?;
            }
        }
        Ok(())
    }

    /// Erases everybody who is linked, `known` or not.
    async fn forget(&self, wanted: &Wanted, known: bool) -> Result<Erasure, StoreError> {
        let intent = self.announce_erasure(wanted).await?;
        let at = self.withdraw(wanted).await?;
        let mut buried = Vec::new();
        for round in 1..=ROUNDS {
            if self.bury_everybody(wanted, at, &mut buried).await? == Turn::Done {
                self.drop_intents_of(&buried).await?;
                self.confirm().await?;
                self.forget_intents(vec![intent]).await;
                let events = buried.iter().map(|(_, events)| *events).collect::<Vec<_>>();
                return Ok(erasure::of_graves(known, at, events.into_iter()));
            }
            tokio::time::sleep(jittered(Duration::from_millis(u64::from(round)))).await;
        }
        Err(RedisFault::Contended.into())
    }

    /// The dossiers of a person as they are stored, the farthest from `start` last; empty if nothing is known.
    async fn everybody(&self, start: &Place) -> Result<Vec<Read>, StoreError> {
        let mut found: Vec<Read> = Vec::new();
        let mut met = HashSet::<_, ahash::RandomState>::from_iter([start.clone()]);
        let mut ring = vec![start.clone()];
        while !ring.is_empty() {
            let mut next = Vec::new();
            for place in ring {
                let read = self.read_one(place).await?;
                if erasure::is_clear(&self.naming, &read.place, &read.dossier) {
                    continue;
                }
                let linked = read.dossier.links().map(|(key, _)| erasure::beside(start.tenant, key));
                next.extend(linked.filter(|linked| met.insert(linked.clone())));
                found.push(read);
            }
            ring = next;
        }
        Ok(found)
    }

    async fn read_one(&self, place: Place) -> Result<Read, StoreError> {
        let mut get = redis::cmd("GET");
        get.arg(keys::dossier(&place));
        as_read(place, ask(&self.connection, &get, PATIENCE).await?)
    }

    /// What stands where the tombstone of a person would.
    async fn tombstone(&self, place: &Place) -> Result<Dossier, StoreError> {
        let place = self.naming.tombstone(place).unwrap_or_else(|| place.clone());
        Ok(self.read_one(place).await?.dossier)
    }

    async fn announce_erasure(&self, wanted: &Wanted) -> Result<String, StoreError> {
        let id = intents::id().map_err(StoreError::Randomness)?;
        let mut announce = redis::cmd("HSET");
        announce.arg(keys::INTENTS).arg(&id).arg(intents::encode_erasure(wanted));
        ask(&self.connection, &announce, PATIENCE).await?;
        // From here on writers look for tombstones, and those who did not are told so when they write.
        Erasures::announce(&self.connection, &self.naming, 1).await?;
        Ok(id)
    }

    /// Withdraws everything under every identity, so that whatever happens next the person is refused.
    async fn withdraw(&self, wanted: &Wanted) -> Result<Timestamp, StoreError> {
        let Wanted { place, at } = wanted;
        if let Some(recipient) = place.key.recipient() {
            let event = Event::erasure(recipient, *at);
            let lesson =
                Lesson { tenant: place.tenant, event, provenance: Provenance::Declared, retold: false };
            let outcomes: Vec<Outcome> = self.apply(vec![lesson]).await?;
            debug_assert_eq!(outcomes.len(), 1);
        }
        Ok(*at)
    }

    /// Buries everybody who is still there; adds to `buried` who that was and how many events were theirs.
    async fn bury_everybody(
        &self,
        wanted: &Wanted,
        at: Timestamp,
        buried: &mut Vec<(Place, usize)>,
    ) -> Result<Turn, StoreError> {
        let mut found = self.everybody(&wanted.place).await?;
        while let Some(Read { place, dossier, seen, .. }) = found.pop() {
            let Some(grave) = erasure::bury(&self.naming, place, dossier, at) else { continue };
            let counted = (grave.place.clone(), grave.events);
            if self.dig(grave, &seen).await? == Turn::Lost {
                return Ok(Turn::Lost);
            }
            buried.push(counted);
        }
        Ok(Turn::Done)
    }

    async fn dig(&self, grave: Grave, seen: &Seen) -> Result<Turn, StoreError> {
        let Grave { place, tombstone_at, mut tombstone, .. } = grave;
        Stamps::of(&self.front).seal(&mut tombstone)?;
        let apart = place != tombstone_at;
        let before = if apart { self.read_one(tombstone_at.clone()).await?.seen } else { seen.clone() };
        if before.is_none() {
            Erasures::announce(&self.connection, &self.naming, 1).await?;
        }
        let gate = self.wordings.gate_record(tombstone_at.tenant, &tombstone);
        let mut write = redis::cmd("EVAL");
        write.arg(COMPARE_AND_WRITE).arg(2).arg(keys::dossier(&tombstone_at)).arg(keys::gate(&tombstone_at));
        write.arg(before.as_deref().unwrap_or_default()).arg(tombstone.encode()).arg(&gate.encode()[..]);
        if self.turn(&write).await? == Turn::Lost {
            return Ok(Turn::Lost);
        }
        self.front.overwritten(&tombstone_at, gate);
        if apart {
            let mut remove = redis::cmd("EVAL");
            remove.arg(COMPARE_AND_REMOVE).arg(2).arg(keys::dossier(&place)).arg(keys::gate(&place));
            remove.arg(seen.as_deref().unwrap_or_default());
            if self.turn(&remove).await? == Turn::Lost {
                return Ok(Turn::Lost);
            }
            // The cache goes on refusing under the name that the store no longer has.
            self.front.overwritten(&place, gate);
        }
        Ok(Turn::Done)
    }

    async fn turn(&self, script: &redis::Cmd) -> Result<Turn, StoreError> {
        let answer = ask(&self.connection, script, PATIENCE).await?;
        if answer == Value::Int(1) {
            Ok(Turn::Done)
        } else if matches!(answer, Value::Int(0) | Value::BulkString(_)) {
            Ok(Turn::Lost)
        } else {
            Err(StoreError::Unreadable)
        }
    }

    /// What is under way, by its id.
    async fn intents(&self) -> Result<Vec<(Value, Value)>, StoreError> {
        let mut all = redis::cmd("HGETALL");
        all.arg(keys::INTENTS);
        let Value::Map(intents) = ask(&self.connection, &all, PATIENCE).await? else {
            return Err(StoreError::Unreadable);
        };
        Ok(intents)
    }

    /// Takes away what unfinished events say about the person. Whoever is still writing one notices that the dossier has gone.
    async fn drop_intents_of(&self, buried: &[(Place, usize)]) -> Result<(), StoreError> {
        let intents = self.intents().await?;
        let of_person = |(id, intent): &(Value, Value)| {
            let names = intents::names(bytes(intent)?);
            names
                .iter()
                .any(|place| buried.iter().any(|(gone, _)| gone == place))
                .then(|| bytes(id).map(<[u8]>::to_vec))?
        };
        let ids: Vec<Vec<u8>> = intents.iter().filter_map(of_person).collect();
        if !ids.is_empty() {
            let mut drop = redis::cmd("HDEL");
            drop.arg(keys::INTENTS).arg(ids);
            ask(&self.connection, &drop, PATIENCE).await?;
        }
        Ok(())
    }
}
