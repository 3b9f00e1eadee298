//! Telling the watch over senders which messages the provider took.

use std::borrow::Cow;
use std::sync::Arc;

use http::Response;

use super::Worker;
use super::answer::Answer;
use super::ledger::Entries;
use crate::consent::redact::Redacted;
use crate::senders::{Asked, Sent, Told};
use crate::wire::cloud::answer::{Operation, message_id, only_echoes, operations};

/// Hands an answer on to where it is read, and learns the id of the message for the record.
pub(super) fn learn(worker: &Worker, entries: &mut Entries, response: &Response<Answer>) {
    if !response.status().is_success() {
        return;
    }
    let Some(body) = response.body().read() else { return unknown(worker, entries) };
    let answer = || Redacted::new(Box::from(body));
    if !entries.are_of_a_batch() {
        let id = message_id(body).map(|id| shared(&id));
        if let Some(id) = &id {
            entries.answered(None, id.clone());
        }
        // Nearly every answer tells nothing but the id.
        if let Some(id) = id.filter(|_| only_echoes(body)) {
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
            entries.answered(Some(place), shared(&id));
        }
        let told = answer.map_or(Told::Nothing, |answer| {
            Told::Answer(Redacted::new(answer.danger_reveal().as_bytes().into()))
        });
        note(worker, entries, entries.asked(Some(place)), told);
    }
}

/// An id for the record and for the watch over senders.
fn shared(id: &Redacted<Cow<'_, str>>) -> Redacted<Arc<str>> {
    Redacted::new(id.danger_reveal().as_ref().into())
}

/// Notes that a message may have been made of which nobody here knows.
pub(super) fn unknown(worker: &Worker, entries: &Entries) {
    note(worker, entries, None, Told::Nothing);
}

fn note(worker: &Worker, entries: &Entries, asked: Option<Asked>, told: Told) {
    let (who, category) = entries.sender();
    worker.recorder.note(Sent { who, category, asked, told });
}
