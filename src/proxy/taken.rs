//! Telling the watch over senders which messages the provider took.

use http::Response;

use super::Worker;
use super::answer::Answer;
use super::ledger::Entries;
use crate::senders::{Sent, Told};
use crate::wire::cloud::answer::{message_id, message_ids};

/// Learns the ids of the messages that an answer tells of: for the record, and to know them when a webhook speaks of them.
pub(super) fn learn(worker: &Worker, entries: &mut Entries, response: &Response<Answer>) {
    if !response.status().is_success() {
        return;
    }
    let Some(body) = response.body().read() else { return unknown(worker, entries) };
    if entries.are_several() {
        let (ids, complete) = message_ids(body);
        for id in ids {
            note(worker, entries, Told::Id(id));
        }
        if !complete {
            unknown(worker, entries);
        }
        return;
    }
    match message_id(body) {
        Some(id) => {
            entries.answered(id.danger_reveal());
            note(worker, entries, Told::Id(id));
        }
        // What was not judged as a send may be none.
        None if entries.are_judged() => unknown(worker, entries),
        None => {}
    }
}

/// Notes that a message may have been made of which nobody here knows.
pub(super) fn unknown(worker: &Worker, entries: &Entries) {
    note(worker, entries, Told::Nothing);
}

fn note(worker: &Worker, entries: &Entries, told: Told) {
    let (who, category) = entries.sender();
    worker.recorder.note(Sent { who, category, told });
}
