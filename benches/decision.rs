//! What judging a send costs in time and allocations, without sockets: each stage alone and all of them, beside parsing the same body into a
//! `serde_json::Value` as the yardstick.
#![allow(
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a bench stops at the first surprise"
)]

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use divan::{AllocProfiler, Bencher, black_box};
use futures_util::FutureExt;
use http::Request;
use http::request::Parts;
use mimalloc::MiMalloc;
use optgate::consent::dossier::Provenance;
use optgate::consent::lookup::Source;
use optgate::consent::record::{Slot, State};
use optgate::consent::tenant::{Sender, Tenant, Tenants};
use optgate::consent::{
    Actor, Category, CategorySet, Clock, E164, Event, EventId, GateRecord, Kind as EventKind, Lookup, Pulse,
    Quality, Recipient, Timestamp, Validity, plan,
};
use optgate::judge::{self, Judge};
use optgate::metrics::Metrics;
use optgate::policy::facts::SenderScope;
use optgate::policy::{Addressee, Confirmation, Decision, Facts, Policy, Settings, WindowKnowledge, decide};
use optgate::senders;
use optgate::store::{ConsentStore, Form, Incoming, Kind, Settings as StoreSettings};
use optgate::templates::{self, Catalogue};
use optgate::wire::classify::{CatalogueAnswer, TemplateEntry, classify};
use optgate::wire::identify::{BareNumbers, identify};
use optgate::wire::recognize::{self, Context, Head, Inspect, Recognized};

/// The program's allocator, counted.
#[global_allocator]
static ALLOCATOR: AllocProfiler<MiMalloc> = AllocProfiler::new(MiMalloc);

fn main() {
    plan::warm_up();
    divan::main();
}

const SENDER: &str = "106540352242922";
const ACCOUNT: &str = "102290129340398";

/// A judge over an embedded store in which the recipient of [`body`] agreed to utility messages, and who is in the cache.
struct World {
    runtime: tokio::runtime::Runtime,
    store: ConsentStore,
    catalogue: Catalogue,
    tenants: Arc<Tenants>,
    judge: Judge,
    _folder: tempfile::TempDir,
}

fn world() -> &'static World {
    static WORLD: OnceLock<World> = OnceLock::new();
    WORLD.get_or_init(|| {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
        let runtime = runtime.expect("a runtime");
        let folder = tempfile::tempdir().expect("a folder");
        let (store, catalogue, tenants, judge) = runtime.block_on(assemble(folder.path()));
        World { runtime, store, catalogue, tenants, judge, _folder: folder }
    })
}

async fn assemble(folder: &std::path::Path) -> (ConsentStore, Catalogue, Arc<Tenants>, Judge) {
    let clock = Clock::manual(Timestamp::from_secs(1_790_000_000));
    let settings = StoreSettings {
        kind: Kind::Embedded { path: folder.join("consent.redb") },
        lookup_deadline: Duration::from_secs(10),
        cache_capacity: 1000,
        terms: Vec::new(),
        tenants: vec!["acme".to_owned()],
        form: Form::Plain,
        recipients_key: None,
    };
    let store = ConsentStore::open(settings, clock.clone()).await.expect("a store");
    store.apply(vec![agreed(&clock)]).await.expect("the grant is stored");
    let catalogue = Catalogue::new(store.clone(), clock.clone(), templates::Settings::default());
    let list =
        br#"[{"id":"1","name":"order_update","language":"en_US","category":"UTILITY","status":"APPROVED"}]"#;
    let list = optgate::wire::cloud::templates::parse_list(list).expect("a list of templates");
    catalogue.load().await.expect("an empty catalogue is read");
    catalogue.replace(ACCOUNT, list).await.expect("the list is stored");
    let sender = Sender {
        phone_number_id: SENDER.to_owned(),
        account: Some(ACCOUNT.to_owned()),
        phone: E164::parse("+15550783881"),
        tenant: 0,
        pulse: Pulse::default(),
    };
    let tenants = Arc::new(Tenants::new(vec![Tenant::named("acme")], vec![sender]));
    let metrics = Metrics::new(&["acme".to_owned()]);
    let ground = senders::Ground {
        store: store.clone(),
        metrics,
        clock: clock.clone(),
        tenants: Arc::clone(&tenants),
    };
    let watch = senders::Settings {
        messages_per_day: 1000,
        settle: Duration::from_secs(60),
        read_nationally: false,
        poll_every: Duration::ZERO,
        tokens: BTreeMap::new(),
        usual_token: None,
    };
    let (senders, _, _) = senders::open(watch, ground, 1);
    let bare_numbers = BareNumbers::AllReadings;
    let settings = judge::Settings { tenants: Arc::clone(&tenants), bare_numbers, relay: false, senders };
    let judge =
        Judge::new(settings, Policy::new(Settings::default()), store.clone(), catalogue.clone(), clock);
    (store, catalogue, tenants, judge)
}

fn person() -> Recipient {
    Recipient::Phone(E164::parse("+15550000001").expect("a number"))
}

fn agreed(clock: &Clock) -> Incoming {
    let event = Event {
        id: EventId("bench".to_owned()),
        recipient: person(),
        kind: EventKind::Grant,
        categories: Some(CategorySet::of(Category::Utility)),
        occurred_at: clock.now(),
        received_at: clock.now(),
        expires_at: None,
        actor: Actor::Person,
        source: "bench".to_owned(),
        links: Vec::new(),
        evidence: None,
        pending: false,
        confirms: None,
        legacy: false,
    };
    Incoming { tenant: 0, event, provenance: Provenance::Declared, retold: false }
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

const CONTEXT: Context<'static> = Context { is_sender: &|id| id == SENDER, base_path: "" };

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
fn classify_a_known_template(bencher: Bencher) {
    let (parts, body, world) = (parts(), body(), world());
    let inspect = inspect(&parts);
    let Recognized::One(send) = recognize::body(&inspect, &parts, &body, CONTEXT) else { panic!("a send") };
    bencher.bench(|| {
        let entry = world.catalogue.entry(Some(ACCOUNT), black_box("order_update"), "en_US");
        assert!(matches!(entry, CatalogueAnswer::Known(_)), "the template is listed");
        classify(black_box(&send), Some(entry))
    });
}

#[divan::bench]
fn look_up_in_the_cache(bencher: Bencher) {
    let (world, key) = (world(), person().key());
    let first = world.runtime.block_on(world.store.lookup(0, &key));
    assert!(matches!(first.lookup, Lookup::Found(_)), "the grant is known");
    bencher.bench(|| {
        let answer = world.store.lookup(0, black_box(&key)).now_or_never().expect("a hit waits for nothing");
        assert_eq!(answer.source, Source::Cache);
        answer
    });
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

#[divan::bench]
fn all_stages(bencher: Bencher) {
    let (parts, body, world) = (parts(), body(), world());
    let judged = || {
        let inspect = inspect(black_box(&parts));
        let Recognized::One(send) = recognize::body(&inspect, &parts, black_box(&body), CONTEXT) else {
            panic!("a send")
        };
        world.judge.judge_among(&world.tenants, &send).now_or_never()
    };
    world.runtime.block_on(world.store.lookup(0, &person().key()));
    let first = judged().expect("judging who is cached waits for nothing");
    assert!(matches!(first.decision, Decision::Allow(_)), "{first:?}");
    bencher.bench(judged);
}
