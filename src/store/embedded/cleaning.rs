//! When the file is written anew: as soon as somebody was erased, but never most of the time.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use redb::Database;
use tokio::runtime::Handle;
use tokio::sync::{mpsc, watch};

use crate::store::place::Place;

use super::jobs::Job;
use super::rewrite::{Progress, Rewrite, RewriteError, remove_leftover};

/// After a rewrite the writer has so many times its duration for other work before the next one begins.
const REST: u32 = 9;
/// How long after a failure it is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// How long a store that closes may go on with it; what is left is done after the next start.
const CLOSING: Duration = Duration::from_secs(5);

/// What is left of people who were erased.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum State {
    /// Nothing.
    Clean,
    /// Bytes that are being left out of the file now.
    Cleaning,
    /// Bytes that are left out when the file is next written anew.
    Resting,
}

/// Decides about rewrites. Belongs to the writer.
pub(super) struct Cleaning {
    path: PathBuf,
    /// Somebody was erased whom no rewrite has left out yet.
    wanted: bool,
    running: Option<(Instant, Rewrite)>,
    not_before: Instant,
    state: watch::Sender<State>,
    /// How the writer is woken when the time has come.
    timer: Handle,
    jobs: mpsc::WeakSender<Job>,
}

impl Cleaning {
    /// For the file at `path`; `state` says whether a rewrite is due from before.
    pub(super) fn new(path: PathBuf, state: watch::Sender<State>, jobs: mpsc::WeakSender<Job>) -> Self {
        let wanted = *state.borrow() != State::Clean;
        let (timer, not_before) = (Handle::current(), Instant::now());
        Self { path, wanted, running: None, not_before, state, timer, jobs }
    }

    /// Takes in that somebody was erased.
    pub(super) fn want(&mut self) {
        self.wanted = true;
        let at_once = self.running.is_none() && self.is_due();
        self.state.send_replace(if at_once { State::Cleaning } else { State::Resting });
        if self.running.is_none() && !at_once {
            self.schedule();
        }
    }

    /// Takes in that a place was written.
    pub(super) fn note(&mut self, place: &Place) {
        if let Some((_, rewrite)) = &mut self.running {
            rewrite.note(place);
        }
    }

    /// Whether there is something to do now.
    pub(super) fn is_due(&self) -> bool {
        self.running.is_some() || (self.wanted && self.not_before <= Instant::now())
    }

    /// Goes on with what is due; gives the fresh file once it has taken the old one's place.
    pub(super) fn go_on(&mut self, old: &Database) -> Option<Database> {
        if !self.is_due() {
            return None;
        }
        match self.step(old) {
            Ok(fresh) => fresh,
            Err(error) => {
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "the consent store's file was not written anew: what was erased still stands in unused pages of it; trying again later"
                );
                self.wanted = true;
                self.state.send_replace(State::Resting);
                self.abandon();
                self.rest(AGAIN);
                None
            }
        }
    }

    /// Finishes what is due before the store closes, if that does not take long.
    pub(super) fn finish(&mut self, old: &Database) -> Option<Database> {
        let begun = Instant::now();
        while (self.running.is_some() || self.wanted) && begun.elapsed() < CLOSING {
            self.not_before = begun;
            if let Some(fresh) = self.go_on(old) {
                return Some(fresh);
            }
            if self.not_before > begun {
                break;
            }
        }
        self.abandon();
        None
    }

    /// Lets go of a fresh file that is not complete.
    fn abandon(&mut self) {
        self.running = None;
        if let Err(error) = remove_leftover(&self.path) {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a fresh file of the consent store was not removed"
            );
        }
    }

    fn step(&mut self, old: &Database) -> Result<Option<Database>, RewriteError> {
        let (begun, mut rewrite) = if let Some(running) = self.running.take() {
            running
        } else {
            self.wanted = false;
            self.state.send_replace(State::Cleaning);
            (Instant::now(), Rewrite::begin(&self.path)?)
        };
        if rewrite.step(old)? == Progress::More {
            self.running = Some((begun, rewrite));
            return Ok(None);
        }
        let fresh = rewrite.finish(old, self.wanted)?;
        self.state.send_replace(if self.wanted { State::Resting } else { State::Clean });
        tracing::info!(
            took_ms = begun.elapsed().as_millis(),
            "the consent store's file was written anew without what was erased"
        );
        self.rest(begun.elapsed().saturating_mul(REST));
        Ok(Some(fresh))
    }

    fn rest(&mut self, rest: Duration) {
        self.not_before = Instant::now() + rest;
        if self.wanted {
            self.schedule();
        }
    }

    /// The writer sleeps on its queue: a job that asks for nothing wakes it in time.
    fn schedule(&self) {
        let jobs = self.jobs.clone();
        let due = tokio::time::Instant::from_std(self.not_before);
        self.timer.spawn(async move {
            tokio::time::sleep_until(due).await;
            if let Some(jobs) = jobs.upgrade() {
                // An error says that the store has closed.
                let _ = jobs.send(Job::Wake).await;
            }
        });
    }
}
