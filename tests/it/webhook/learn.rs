//! What webhooks teach: windows, stops, resumes, preferences, moves; shuffled, repeated, late.

use optgate::consent::Timestamp;
use serde_json::{Value, json};

use super::{Scene, change, digits, failed, message, preference, seconds};
use crate::journey::{ANN, BOB, grant, refusal, template, text};
use crate::support::gate::GateBuilder;
use crate::support::redis::Redis;

const MARKETING: &str = "marketing";
const UTILITY: &str = "utility";

/// How a text and templates of both kinds to a person fare: the reason of each refusal, or nothing.
fn fares(scene: &Scene, person: &str) -> [Option<String>; 3] {
    let reason = |message: &Value| {
        let response = scene.gate.send(message);
        let told = response.header("optgate-decision").unwrap_or_default().to_owned();
        (response.status != 200).then(|| told.trim_start_matches("deny; reason=").to_owned())
    };
    [text(person), template(person, UTILITY), template(person, MARKETING)].map(|message| reason(&message))
}

fn refused(reasons: [&str; 3]) -> [Option<String>; 3] {
    reasons.map(|reason| (!reason.is_empty()).then(|| reason.to_owned()))
}

#[test]
fn a_message_opens_the_window_and_grants_nothing_else() {
    let scene = Scene::start();
    assert_eq!(fares(&scene, BOB), refused(["no_consent"; 3]));
    scene.told(&message(BOB, seconds(0), "Hi"));
    assert_eq!(fares(&scene, BOB), refused(["", "no_consent", "no_consent"]));
    let call = change(
        "calls",
        json!({ "calls": [{ "id": "wacid.1", "from": "15550000003", "event": "connect", "timestamp": seconds(0).to_string(), "direction": "USER_INITIATED" }] }),
    );
    scene.told(&call);
    assert_eq!(fares(&scene, "+15550000003"), refused(["", "no_consent", "no_consent"]));
    scene.told(&message("+15550000004", seconds(-25 * 3600), "Hi, a day late"));
    assert_eq!(fares(&scene, "+15550000004"), refused(["no_consent"; 3]));
}

#[test]
fn a_stop_silences_everything_but_the_answer_and_a_resume_lifts_it() {
    let scene = Scene::start();
    scene.told(&message(ANN, seconds(-20), " Stop! "));
    assert_eq!(fares(&scene, ANN), refused(["", "consent_revoked", "consent_revoked"]));
    scene.told(&message(ANN, seconds(-10), "start"));
    assert_eq!(fares(&scene, ANN), refused(["", "", ""]));
    // Delivered again, and late: the resume was later.
    scene.told(&message(ANN, seconds(-20), " Stop! "));
    scene.told(&message(ANN, seconds(-15), "STOPALL"));
    assert_eq!(fares(&scene, ANN), refused(["", "", ""]));
    // A later stop wins over a resume that arrives after it.
    scene.told(&message(ANN, seconds(-2), "unsubscribe"));
    scene.told(&message(ANN, seconds(-5), "start"));
    assert_eq!(fares(&scene, ANN), refused(["", "consent_revoked", "consent_revoked"]));
    scene.told(&message(BOB, seconds(0), "start"));
    assert_eq!(fares(&scene, BOB), refused(["", "no_consent", "no_consent"]));
}

/// The provider tells whole seconds: the stop may have come first, and then it would be lost.
#[test]
fn a_stop_in_the_second_of_a_grant_counts() {
    let scene = Scene::start();
    let second = seconds(-5);
    let mut granted = grant(BOB, &[MARKETING, UTILITY]);
    granted["occurred_at"] =
        json!(Timestamp::from_millis(u64::try_from(second).unwrap() * 1000 + 700).to_string());
    scene.gate.events(&[granted]);
    assert_eq!(fares(&scene, BOB), refused(["no_consent", "", ""]));
    scene.told(&message(BOB, second, "stop"));
    assert_eq!(fares(&scene, BOB)[1..], refused(["", "consent_revoked", "consent_revoked"])[1..]);
}

/// What undoes a withdrawal can be proved, and an export of it is taken in by another gate.
#[test]
fn a_resume_that_is_heard_brings_its_evidence() {
    let scene = Scene::start();
    scene.told(&message(ANN, seconds(-50), "stop"));
    scene.told(&message(ANN, seconds(-40), "Start!"));
    scene.told(&preference(ANN, seconds(-30), "stop"));
    scene.told(&preference(ANN, seconds(-20), "resume"));
    let mut pressed = message(ANN, seconds(-10), "");
    let item = &mut pressed["entry"][0]["changes"][0]["value"]["messages"][0];
    (item["type"], item["button"]) =
        (json!("button"), json!({ "payload": "P", "text": "Resume promotions" }));
    scene.told(&pressed);
    let target = "/v1/tenants/default/recipients/%2B15550000001/history";
    let history = scene.gate.admin("GET", target, "application/json", b"").json();
    let events = history["entries"].as_array().unwrap().iter().map(|entry| &entry["event"]);
    let resumes: Vec<&Value> = events.filter(|event| event["kind"] == "resume").collect();
    let said = |event: &Value| {
        let evidence = &event["evidence"];
        assert!(evidence["reference"].is_string() && evidence["channel"] == "whatsapp", "{event}");
        [&event["actor"], &evidence["user_action"], &evidence["wording"]]
            .map(|v| v.as_str().map(str::to_owned))
    };
    let expected = [
        [Some("person"), Some("texted_keyword"), Some("Start!")],
        [Some("provider"), Some("pressed_button"), None],
        [Some("person"), Some("pressed_button"), Some("Resume promotions")],
    ];
    let told: Vec<_> = resumes.into_iter().map(said).collect();
    assert_eq!(told, expected.map(|row| row.map(|word| word.map(str::to_owned))));
    // The provider's id of a message has the person's number in it.
    assert!(!history.to_string().contains("wamid"), "{history}");
    let export = scene.gate.admin("GET", "/v1/export", "application/json", b"");
    let other = Scene::start();
    let taken = other.gate.admin("POST", "/v1/events", "application/x-ndjson", &export.body);
    assert_eq!(taken.json()["rejected"], 0, "{}", taken.text());
    assert_eq!(fares(&other, ANN), refused(["", "", ""]));
}

#[test]
fn a_pressed_button_stops_as_a_word_does_and_a_sentence_does_not() {
    for (kind, content) in [
        ("button", json!({ "payload": "OFF-17", "text": "Stop promotions" })),
        (
            "interactive",
            json!({ "type": "button_reply", "button_reply": { "id": "stop", "title": "No more" } }),
        ),
        ("interactive", json!({ "type": "list_reply", "list_reply": { "id": "x", "title": "STOP" } })),
    ] {
        let scene = Scene::start();
        let mut pressed = message(ANN, seconds(0), "");
        let item = &mut pressed["entry"][0]["changes"][0]["value"]["messages"][0];
        item["type"] = json!(kind);
        item[kind] = content;
        scene.told(&pressed);
        assert_eq!(fares(&scene, ANN), refused(["", "consent_revoked", "consent_revoked"]), "{pressed}");
    }
    let scene = Scene::start();
    scene.told(&message(ANN, seconds(0), "We have got to STOP this bill"));
    assert_eq!(fares(&scene, ANN), refused(["", "", ""]));
}

/// The id of a button is the business's own: it may stop, and never undo a stop.
#[test]
fn a_resume_must_be_what_the_person_wrote_or_saw() {
    for (kind, content, lifts) in [
        ("interactive", json!({ "button_reply": { "id": "START", "title": "OK" } }), false),
        ("interactive", json!({ "list_reply": { "id": "START", "title": "Opening hours" } }), false),
        ("button", json!({ "payload": "unstop", "text": "Track order" }), false),
        ("button", json!({ "payload": "P", "text": "Start" }), true),
        ("interactive", json!({ "button_reply": { "id": "I", "title": "START" } }), true),
    ] {
        let scene = Scene::start();
        scene.told(&message(ANN, seconds(-20), "stop"));
        let mut pressed = message(ANN, seconds(-10), "");
        let item = &mut pressed["entry"][0]["changes"][0]["value"]["messages"][0];
        item["type"] = json!(kind);
        item[kind] = content;
        scene.told(&pressed);
        let marketing = scene.gate.send(&template(ANN, MARKETING));
        assert_eq!(marketing.status, if lifts { 200 } else { 400 }, "{pressed}");
    }
    // What stands in a message of another type is nobody's word.
    let scene = Scene::start();
    scene.told(&message(ANN, seconds(-20), "stop"));
    let mut reaction = message(ANN, seconds(-10), "START");
    reaction["entry"][0]["changes"][0]["value"]["messages"][0]["type"] = json!("reaction");
    scene.told(&reaction);
    refusal(400, 131_050, "consent_revoked").assert(&scene.gate.send(&template(ANN, MARKETING)));
}

#[test]
fn the_persons_switch_and_a_failed_send_stop_marketing_alone() {
    let scene = Scene::start();
    scene.told(&preference(ANN, seconds(-30), "stop"));
    refusal(400, 131_050, "consent_revoked").assert(&scene.gate.send(&template(ANN, MARKETING)));
    assert_eq!(scene.gate.send(&template(ANN, UTILITY)).status, 200);
    scene.told(&preference(ANN, seconds(-20), "resume"));
    assert_eq!(scene.gate.send(&template(ANN, MARKETING)).status, 200);
    scene.told(&failed(ANN, seconds(-10), 131_026));
    assert_eq!(scene.gate.send(&template(ANN, MARKETING)).status, 200);
    scene.told(&failed(ANN, seconds(-5), 131_050));
    refusal(400, 131_050, "consent_revoked").assert(&scene.gate.send(&template(ANN, MARKETING)));
    scene.told(&preference(BOB, seconds(0), "resume"));
    assert_eq!(scene.gate.send(&template(BOB, MARKETING)).status, 400);
}

#[test]
fn the_order_and_number_of_deliveries_do_not_matter() {
    let told = [
        message(ANN, seconds(-100), "stop"),
        message(ANN, seconds(-90), "start"),
        preference(ANN, seconds(-80), "stop"),
        failed(ANN, seconds(-70), 131_050),
        preference(ANN, seconds(-60), "resume"),
        message(ANN, seconds(-50), "Baja"),
        message(ANN, seconds(-40), "resume promotions"),
        preference(ANN, seconds(-30), "stop"),
    ];
    let expected = refused(["", "", "consent_revoked"]);
    for turn in 0..told.len() {
        let scene = Scene::start();
        let mut order: Vec<&Value> = told.iter().cycle().skip(turn).take(told.len()).collect();
        if turn % 2 == 1 {
            order.reverse();
        }
        for webhook in order.iter().chain(order.iter().rev().take(3)) {
            scene.told(webhook);
        }
        assert_eq!(fares(&scene, ANN), expected, "turn {turn}");
    }
}

#[test]
fn many_people_in_one_delivery_are_all_heard() {
    let scene = Scene::start();
    let person = |n: usize| format!("+1555010{n:04}");
    let messages: Vec<Value> =
        (0..1000).map(|n| json!({ "from": digits(&person(n)), "id": format!("wamid.{n}"), "timestamp": seconds(0).to_string(), "type": "text", "text": { "body": "STOP" } })).collect();
    scene.told(&change("messages", json!({ "messages": messages })));
    for n in [0, 1, 500, 999] {
        assert_eq!(fares(&scene, &person(n)), refused(["", "consent_revoked", "consent_revoked"]), "{n}");
    }
}

#[test]
fn withdrawals_follow_a_person_to_another_number_and_grants_do_not() {
    let scene = Scene::start();
    let moved = |from: &str, to: &str| {
        change(
            "messages",
            json!({ "messages": [{ "from": digits(from), "id": format!("wamid.m{to}"), "timestamp": seconds(-5).to_string(), "type": "system",
            "system": { "type": "user_changed_number", "wa_id": digits(to), "body": "User changed" } }] }),
        )
    };
    scene.told(&moved(ANN, BOB));
    let ended = ["consent_revoked", "consent_revoked"];
    // They have not said no: nothing was agreed for this number.
    assert_eq!(fares(&scene, BOB), refused(["no_consent"; 3]));
    // Whoever has the old number now has agreed to nothing, and gets an answer to what they write.
    assert_eq!(fares(&scene, ANN)[1..], refused(["", ended[0], ended[1]])[1..]);
    scene.told(&message(ANN, seconds(-3), "Hello, new here"));
    assert_eq!(fares(&scene, ANN), refused(["", ended[0], ended[1]]));
    // Either of them may agree anew.
    let mut granted = grant(ANN, &[MARKETING, UTILITY]);
    granted["occurred_at"] = json!(Timestamp::from_secs(u64::try_from(seconds(-1)).unwrap()).to_string());
    scene.gate.events(&[granted]);
    assert_eq!(fares(&scene, ANN), refused(["", "", ""]));
    assert_eq!(fares(&scene, BOB), refused(["no_consent"; 3]));
    scene.told(&message(ANN, seconds(0), "stop"));
    assert_eq!(fares(&scene, BOB)[2].as_deref(), Some("consent_revoked"));
}

/// A message under a number and a user id.
fn shown(person: &str, id: &str, at: i64) -> Value {
    let mut hello = message(person, at, "Hi");
    hello["entry"][0]["changes"][0]["value"]["contacts"][0]["user_id"] = json!(id);
    hello
}

fn by_id(id: &str) -> Value {
    let mut send = template(ANN, MARKETING);
    send.as_object_mut().unwrap().remove("to");
    send["recipient"] = json!(id);
    send
}

#[test]
fn a_number_that_stands_beside_another_user_id_hands_no_grants_to_it_unless_the_provider_explains_it() {
    let redis = Redis::start();
    let hashed = |gate: GateBuilder| gate.set("privacy", "hash_recipients", "true");
    for scene in [Scene::start(), Scene::on(&redis), Scene::with(hashed)] {
        let reason = |id: &str| {
            let response = scene.gate.send(&by_id(id));
            (response.status, response.header("optgate-decision").unwrap_or_default().to_owned())
        };
        let allowed = (200, "allow; basis=consent".to_owned());
        let denied = |reason: &str| (400, format!("deny; reason={reason}"));
        scene.told(&shown(ANN, "US.1", seconds(-90)));
        assert_eq!(reason("US.1"), allowed);
        // Whoever has the number now.
        scene.told(&shown(ANN, "US.2", seconds(-80)));
        scene.told(&shown(ANN, "US.2", seconds(-79)));
        assert_eq!((reason("US.2"), reason("US.1")), (denied("no_consent"), allowed.clone()));
        // The id of the one before, made anew.
        let anew = change(
            "messages",
            json!({ "messages": [{ "from": digits(ANN), "id": "wamid.i3", "timestamp": seconds(-70).to_string(), "type": "system",
                "system": { "type": "user_changed_user_id", "user_id": "US.3", "previous_user_id": "US.1", "body": "changed" } }] }),
        );
        scene.told(&anew);
        scene.told(&shown(ANN, "US.3", seconds(-60)));
        assert_eq!(reason("US.3"), allowed);
        // An id that is one number's is not another's too.
        scene.told(&shown(BOB, "US.3", seconds(-50)));
        assert_eq!(
            scene.gate.send(&template(BOB, MARKETING)).header("optgate-decision"),
            Some("deny; reason=no_consent")
        );
        // A withdrawal is shared with all of them.
        scene.told(&message(ANN, seconds(0), "stop"));
        for id in ["US.1", "US.2", "US.3"] {
            assert_eq!(reason(id), denied("consent_revoked"), "{id}");
        }
    }
}

#[test]
fn giving_a_number_up_ends_nothing_that_was_agreed_for_the_other() {
    let scene = Scene::start();
    scene.gate.apply(&[grant(BOB, &[MARKETING, UTILITY])]);
    scene.told(&shown(ANN, "US.1", seconds(-30)));
    let given_up = change(
        "messages",
        json!({ "messages": [{ "from": digits(ANN), "id": "wamid.g", "timestamp": seconds(-5).to_string(), "type": "system",
            "system": { "type": "user_changed_number", "wa_id": digits(BOB), "body": "User changed" } }] }),
    );
    scene.told(&given_up);
    assert_eq!(fares(&scene, BOB)[1..], refused(["", "", ""])[1..]);
    assert_eq!(fares(&scene, ANN)[1..], refused(["", "consent_revoked", "consent_revoked"])[1..]);
    // The id that the number handed its grants to goes with the number.
    assert_eq!(scene.gate.send(&by_id("US.1")).status, 400);
    let receipt = |person: &str| {
        let target = format!("/v1/tenants/default/recipients/%2B{}/history", digits(person));
        scene.gate.admin("GET", &target, "application/json", b"").text()
    };
    assert!(receipt(ANN).contains("whatsapp:moved") && !receipt(BOB).contains("whatsapp:moved"));
    // Whoever has it next.
    scene.told(&shown(ANN, "US.9", seconds(-3)));
    assert_eq!(scene.gate.send(&by_id("US.9")).header("optgate-decision"), Some("deny; reason=no_consent"));
    let mut granted = grant(ANN, &[MARKETING]);
    granted["occurred_at"] = json!(Timestamp::from_secs(u64::try_from(seconds(-1)).unwrap()).to_string());
    scene.gate.events(&[granted]);
    assert_eq!(fares(&scene, ANN), refused(["", "consent_revoked", ""]));
}

#[test]
fn a_stop_under_a_user_id_silences_the_number_that_the_provider_showed_beside_it() {
    let scene = Scene::start();
    let mut hello = message(ANN, seconds(-60), "Hi");
    hello["entry"][0]["changes"][0]["value"]["contacts"][0]["user_id"] = json!("US.1349");
    scene.told(&hello);
    let stop = change(
        "messages",
        json!({ "contacts": [{ "user_id": "US.1349", "profile": { "username": "ann" } }],
        "messages": [{ "from_user_id": "US.1349", "id": "wamid.u", "timestamp": seconds(0).to_string(), "type": "text", "text": { "body": "Stop" } }] }),
    );
    scene.told(&stop);
    assert_eq!(fares(&scene, ANN), refused(["", "consent_revoked", "consent_revoked"]));
}
