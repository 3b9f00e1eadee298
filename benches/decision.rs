//! What judging a send costs, without sockets: each stage alone and all of them, beside parsing the same body into a `serde_json::Value` as the yardstick.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use divan::{Bencher, black_box};
use http::Request;
use http::request::Parts;
use optgate::consent::record::{Slot, State};
use optgate::consent::{Category, CategorySet, E164, GateRecord, Lookup, Quality, Timestamp, Validity, plan};
use optgate::policy::facts::SenderScope;
use optgate::policy::{Addressee, Confirmation, Facts, Policy, Settings, WindowKnowledge, decide};
use optgate::wire::classify::{CatalogueAnswer, TemplateEntry, classify};
use optgate::wire::identify::{BareNumbers, identify};
use optgate::wire::recognize::{self, Context, Head, Inspect, Recognized};

fn main() {
    plan::warm_up();
    divan::main();
}

/// A template send of 600 bytes, as SDKs write it.
fn body() -> Vec<u8> {
    let text = "Thank you for your order, it has left our warehouse and will be with you tomorrow between nine and twelve. ".repeat(2);
    let body = format!(
        r#"{{"messaging_product":"whatsapp","recipient_type":"individual","to":"15550000001","type":"template","template":{{"name":"order_update","language":{{"code":"en_US"}},"components":[{{"type":"body","parameters":[{{"type":"text","text":"Ann"}},{{"type":"text","text":"A-1001"}},{{"type":"text","text":"{text}"}}]}},{{"type":"button","sub_type":"url","index":"0","parameters":[{{"type":"text","text":"A-1001"}}]}}]}}}}"#
    );
    body.into_bytes()
}

fn parts() -> Parts {
    let request = Request::post("/v23.0/106540352242922/messages")
        .header("host", "gate.example")
        .header("authorization", "Bearer EAATESTTOKEN")
        .header("content-type", "application/json")
        .body(())
        .expect("a request");
    request.into_parts().0
}

const CONTEXT: Context<'static> = Context { is_sender: &|id| id == "106540352242922", base_path: "" };

fn inspect(parts: &Parts) -> Inspect {
    match recognize::head(parts, CONTEXT) {
        Head::Inspect(inspect) => inspect,
        other @ (Head::Passthrough(..) | Head::Watched(..) | Head::Steering(_) | Head::Unreadable(_)) => {
            panic!("a send is inspected, not {other:?}")
        }
    }
}

fn record() -> GateRecord {
    let mut record = GateRecord::default();
    record.slots[Category::Utility.index()] = Slot { state: State::Granted, ..Slot::default() };
    record
}

#[divan::bench]
fn yardstick_parse_into_a_value(bencher: Bencher) {
    let body = body();
    bencher.bench(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)));
}

#[divan::bench]
fn recognize_head(bencher: Bencher) {
    let parts = parts();
    bencher.bench(|| recognize::head(black_box(&parts), CONTEXT));
}

#[divan::bench]
fn recognize_head_and_body(bencher: Bencher) {
    let (parts, body) = (parts(), body());
    bencher.bench(|| {
        let inspect = inspect(black_box(&parts));
        matches!(recognize::body(&inspect, &parts, black_box(&body), CONTEXT), Recognized::One(_))
    });
}

#[divan::bench]
fn identify_bare_digits(bencher: Bencher) {
    let (parts, body) = (parts(), body());
    let inspect = inspect(&parts);
    let Recognized::One(send) = recognize::body(&inspect, &parts, &body, CONTEXT) else { panic!("a send") };
    let sender = E164::parse("+15550783881");
    bencher.bench(|| identify(black_box(&send), sender.as_ref(), BareNumbers::AllReadings));
}

#[divan::bench]
fn decide_one_grant(bencher: Bencher) {
    let policy = Policy::new(Settings::default());
    let lookups = [Lookup::Found(record())];
    bencher.bench(|| {
        decide(
            black_box(&policy),
            &Facts {
                now: Timestamp::from_secs(1_790_000_000),
                sender: SenderScope::Permitted,
                quality: Quality::Green,
                addressee: Addressee::People { lookups: black_box(&lookups), ambiguous: false },
                needs: CategorySet::of(Category::Utility),
                headline: Category::Utility,
                validity: &Validity::UNLIMITED,
                window: WindowKnowledge::NotLearnt,
                confirmation: Confirmation::NotReserved,
            },
        )
    });
}

#[divan::bench]
fn all_stages_but_the_lookup(bencher: Bencher) {
    let (parts, body) = (parts(), body());
    let policy = Policy::new(Settings::default());
    let sender = E164::parse("+15550783881");
    let entry = TemplateEntry { category: Category::Utility, correct_category: None, asks_to_call: false };
    let stored = record().encode();
    bencher.bench(|| {
        let inspect = inspect(black_box(&parts));
        let Recognized::One(send) = recognize::body(&inspect, &parts, black_box(&body), CONTEXT) else {
            panic!("a send")
        };
        let identified = identify(&send, sender.as_ref(), BareNumbers::AllReadings);
        let classified = classify(&send, Some(CatalogueAnswer::Known(entry)));
        let lookups = [GateRecord::decode(black_box(&stored)).map_or(Lookup::Unavailable, Lookup::Found)];
        let facts = Facts {
            now: Timestamp::from_secs(1_790_000_000),
            sender: SenderScope::Permitted,
            quality: Quality::Green,
            addressee: Addressee::People { lookups: &lookups, ambiguous: false },
            needs: classified.needs,
            headline: classified.headline,
            validity: &Validity::UNLIMITED,
            window: WindowKnowledge::NotLearnt,
            confirmation: Confirmation::NotReserved,
        };
        (identified, decide(&policy, &facts))
    });
}
