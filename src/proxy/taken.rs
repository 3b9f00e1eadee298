//! Telling the watch over senders which messages the provider took.

use http::Response;

use super::Worker;
use super::answer::Answer;
use super::ledger::Entries;
use crate::consent::redact::Redacted;
use crate::senders::{Asked, Sent, Told};
use crate::wire::cloud::answer::{Glance, MessageId, Operation, glance, message_id, operations};

/// Hands an answer on to where it is read, and learns the id of the message for the record.
pub(super) fn learn(worker: &Worker, entries: &mut Entries, response: &Response<Answer>) {
    if !response.status().is_success() {
        return;
    }
    let Some(body) = response.body().read() else { return unknown(worker, entries) };
    let answer = || Redacted::new(Box::from(body));
    if !entries.are_of_a_batch() {
        let Glance { id, only_id } = glance(body);
        let id = id.map(|id| MessageId::of(id.danger_reveal()));
        if let Some(id) = &id {
            entries.answered(None, id.clone());
        }
        // Nearly every answer tells nothing but the id.
        if let Some(id) = id.filter(|_| only_id) {
            return note(worker, entries, None, Told::Message(id));
        }
        // What was not judged as a send may be none.
        let told = if entries.are_judged() { Told::Answer(answer()) } else { Told::Perhaps(answer()) };
        return note(worker, entries, entries.asked(None), told);
    }
    let Some(operations) = operations(body) else {
        note(worker, entries, None, Told::Perhaps(answer()));
        return unknown(worker, entries);
    };
    for Operation { place, answer } in operations {
        if let Some(id) = answer.as_ref().and_then(|answer| message_id(answer.danger_reveal().as_bytes())) {
            entries.answered(Some(place), MessageId::of(id.danger_reveal()));
        }
        let told = answer.map_or(Told::Nothing, |answer| {
            Told::Answer(Redacted::new(answer.danger_reveal().as_bytes().into()))
        });
        note(worker, entries, entries.asked(Some(place)), told);
    }
}

/// Notes that a message may have been made of which nobody here knows.
pub(super) fn unknown(worker: &Worker, entries: &Entries) {
    note(worker, entries, None, Told::Nothing);
}

fn note(worker: &Worker, entries: &Entries, asked: Option<Box<Asked>>, told: Told) {
    let (who, category) = entries.sender();
    worker.recorder.note(Sent { who, category, asked, told });
}
