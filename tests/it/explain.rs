//! From a message to the consent it rested on, or to what refused it: over the admin API and on the command line, on both stores.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use optgate::consent::{Clock, Recipient};
use optgate::store::{ConsentStore, Settings};
use serde_json::{Value, json};

use crate::journey::{ANN, BOB, Scene, grant, inbound, refusal, revoke, template, templates, text};
use crate::store_contract::bench::settings;
use crate::support::client::{Response, request};
use crate::support::eventually;
use crate::support::gate::{ACCOUNT, Gate, GateBuilder, optgate, sha256};
use crate::support::redis::Redis;
use crate::support::upstream::Answer;

const WAMID: &str = "wamid.HBgLMTU1NTAwMDAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA";
const WORDING: &str = "I agree to receive messages from Acme on WhatsApp";

fn id(response: &Response) -> String {
    response.header("optgate-decision-id").unwrap().to_owned()
}

/// The explanation of a decision, once its line is written.
#[track_caller]
fn explained(gate: &Gate, name: &str) -> Value {
    let target = format!("/v1/decisions/{name}");
    eventually("the decision is explained", || {
        let answer = gate.admin("GET", &target, "", b"");
        (answer.status == 200).then(|| answer.json())
    })
}

fn kept(gate: &Gate) -> Vec<PathBuf> {
    let folder = gate.folder().join("data/decisions");
    let mut files: Vec<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.retain(|path| path.extension().is_some_and(|suffix| suffix == "ndjson"));
    files
}

fn answered(scene: &Scene) {
    let body = json!({"messaging_product": "whatsapp", "contacts": [{"input": ANN, "wa_id": "15550000001"}], "messages": [{"id": WAMID}]});
    scene.upstream.answer(Answer::json(200, &body.to_string()));
}

fn a_forwarded_message_leads_to_its_consent(configure: impl FnOnce(GateBuilder) -> GateBuilder) {
    let scene = Scene::with(configure);
    scene.gate.put_templates(&templates());
    for n in 0..30 {
        scene.gate.apply(&[grant(&format!("+1555010{n:04}"), &["utility"])]);
    }
    let granted = grant(ANN, &["utility"]);
    scene.gate.apply(std::slice::from_ref(&granted));
    answered(&scene);
    let sent = scene.gate.send(&template(ANN, "utility"));
    assert_eq!(sent.status, 200, "{}", sent.text());
    scene.gate.apply(&[revoke(ANN, &["utility"])]);
    for name in [id(&sent), WAMID.to_owned()] {
        let told = explained(&scene.gate, &name);
        assert_eq!((&told["id"], &told["decision"]), (&json!(id(&sent)), &json!("allow")));
        let explanation = &told["explanation"];
        let why = explanation["why"].as_str().unwrap();
        let event = granted["id"].as_str().unwrap();
        assert!(why.contains("had agreed to utility messages from default") && why.contains(event), "{why}");
        assert_eq!(explanation["remedy"], Value::Null);
        assert_eq!(explanation["consent"]["status"], "shown");
        let person = &explanation["consent"]["people"][0];
        assert_eq!(
            (&person["recipient"], &person["state"], &person["agrees"]),
            (&json!(ANN), &json!("granted"), &json!(true))
        );
        assert_eq!(person["event"]["event"]["id"], granted["id"]);
        assert_eq!(person["event"]["event"]["evidence"]["wording"], WORDING);
        assert_eq!(person["event"]["chain_position"], 1);
        assert_eq!(person["later"][0]["event"]["kind"], "revoke", "{person}");
        let category = &explanation["category"];
        assert_eq!((&category["name"], &category["source"]), (&json!("utility"), &json!("catalogue")));
        assert_eq!(
            (&category["listed"][0]["account"], &category["template"]),
            (&json!(ACCOUNT), &json!("utility"))
        );
        assert!(category["listed"][0]["age_seconds"].is_u64(), "{category}");
        assert_eq!(explanation["policy"]["settings"]["mode"], "enforce");
        assert_eq!(explanation["policy"]["revision"], told["revision"]);
        assert_eq!(explanation["records"][0]["categories"]["utility"], "granted");
    }
    for file in kept(&scene.gate) {
        let text = fs::read_to_string(file).unwrap();
        assert!(!text.contains("5550000001") && !text.contains("wamid"), "{text}");
    }
}

#[test]
fn a_forwarded_message_leads_to_the_event_its_wording_and_its_evidence() {
    a_forwarded_message_leads_to_its_consent(|gate| gate);
}

#[test]
fn a_forwarded_message_leads_to_its_consent_on_redis_too() {
    let server = Redis::start();
    a_forwarded_message_leads_to_its_consent(|gate| {
        gate.redis(&server.url()).set("store", "lookup_deadline_ms", "5000")
    });
}

#[test]
fn a_refusal_leads_to_what_refused_it_and_says_what_to_do() {
    let scene = Scene::with(|gate| gate.set("policy", "service_window", "\"required\""));
    scene.gate.put_templates(&templates());
    scene.gate.apply(&[grant(ANN, &["utility", "service"]), revoke(ANN, &["utility"])]);
    for (message, reason, why, remedy) in [
        (template(ANN, "utility"), "consent_revoked", "withdrawn their consent", "until they agree again"),
        (template(ANN, "unheard_of"), "no_consent", "has not agreed", "optgate templates import"),
        (text(BOB), "no_consent", "has not agreed", "optgate consent grant RECIPIENT --category service"),
        (text(ANN), "window_closed", "More than 24 hours", "Send a template"),
        (json!({"to": 7}), "request_unreadable", "cannot be read", "each field once"),
    ] {
        let told = explained(&scene.gate, &id(&scene.gate.send(&message)));
        let explanation = &told["explanation"];
        let [said, remedied] = ["why", "remedy"].map(|name| explanation[name].as_str().unwrap());
        assert!(said.starts_with(&format!("Refused ({reason})")) && said.contains(why), "{said}");
        assert!(remedied.contains(remedy), "{remedied}");
        let person = &explanation["consent"]["people"][0];
        match reason {
            "consent_revoked" => assert_eq!(person["event"]["event"]["kind"], "revoke", "{explanation}"),
            "window_closed" => assert_eq!(person["event"]["event"]["kind"], "grant", "{explanation}"),
            "request_unreadable" => assert_eq!(explanation["consent"]["status"], "not_asked"),
            _ if explanation["category"]["source"] == "unlisted" => {
                let note = explanation["category"]["note"].as_str().unwrap();
                assert!(note.contains("did not stand in the list of account"), "{note}");
            }
            _ => assert_eq!(explanation["consent"]["status"], "nothing_recorded", "{explanation}"),
        }
    }
    scene.assert_untouched();
}

#[test]
fn a_message_within_the_window_leads_to_what_the_person_wrote() {
    let scene = Scene::start();
    scene.gate.apply(&[inbound(ANN, Duration::from_secs(600))]);
    let told = explained(&scene.gate, &id(&scene.send_permitted()));
    let why = told["explanation"]["why"].as_str().unwrap();
    assert!(why.contains("had written to default within the 24 hours"), "{why}");
    assert_eq!(told["explanation"]["consent"]["people"][0]["event"]["event"]["kind"], "inbound");
}

#[test]
fn who_may_not_see_people_sees_the_decision_alone_and_a_wrong_recipient_is_refused() {
    let digest = sha256(b"auditor");
    let token =
        format!("[[admin.tokens]]\nname = \"auditor\"\nsha256 = {digest:?}\nscopes = [\"decisions:read\"]");
    let scene = Scene::agreed_with(|gate| gate.extra(&token));
    let id = id(&scene.send_permitted());
    explained(&scene.gate, &id);
    let target = format!("/v1/decisions/{id}");
    let asked = request(scene.gate.admin_addr(), "GET", &target, &[("Authorization", "Bearer auditor")], b"");
    let told = asked.json();
    assert_eq!((asked.status, &told["explanation"]["consent"]["status"]), (200, &json!("not_permitted")));
    assert!(!asked.text().contains("5550000001") && !asked.text().contains(WORDING), "{}", asked.text());
    let with = |recipient: &str| {
        let target = format!("{target}?recipient=%2B{}", recipient.trim_start_matches('+'));
        scene.gate.admin("GET", &target, "", b"")
    };
    assert_eq!(with(ANN).json()["explanation"]["consent"]["people"][0]["recipient"], ANN);
    assert_eq!((with(BOB).status, with("x").status), (422, 400));
}

#[test]
fn kept_decisions_survive_a_crash_and_what_was_cut_short_harms_nothing() {
    let scene = Scene::agreed();
    let id = id(&scene.send_permitted());
    explained(&scene.gate, &id);
    let segment = kept(&scene.gate).remove(0);
    let folder = scene.gate.kill9();
    let whole = fs::read_to_string(&segment).unwrap();
    fs::write(&segment, whole.clone() + &whole[..whole.len() / 2]).unwrap();
    let gate = Gate::to(&scene.upstream.url()).in_folder(folder).start();
    let told = explained(&gate, &id);
    assert_eq!(told["explanation"]["consent"]["people"][0]["recipient"], ANN);
    assert_eq!(told["explanation"]["policy"]["settings"]["mode"], "enforce");
}

#[test]
fn what_is_not_kept_says_where_else_to_look() {
    let scene = Scene::start();
    let ask = |name: &str| scene.gate.admin("GET", &format!("/v1/decisions/{name}"), "", b"");
    let unknown = ask("01JH2V8Q4ZK6Y3W9F0T7M5N1RB");
    assert_eq!(unknown.status, 404);
    let detail = unknown.json()["detail"].to_string();
    assert!(
        detail.contains("7 days") && detail.contains("256 MiB") && detail.contains("decision log"),
        "{detail}"
    );
    assert_eq!((ask(WAMID).status, ask("15550000001").status), (404, 400));
    let off = Scene::with(|gate| gate.set("decisions", "keep", "\"0\""));
    assert!(!off.gate.folder().join("data/decisions").exists());
    assert_eq!(explained(&off.gate, &id(&off.send_permitted()))["decision"], "deny");
}

#[test]
fn the_command_line_explains_in_words_and_in_json() {
    let scene = Scene::agreed();
    answered(&scene);
    let sent = scene.send_permitted();
    let denied = scene.gate.send(&text(BOB));
    refusal(400, 131_030, "no_consent").assert(&denied);
    explained(&scene.gate, &id(&denied));
    let explain = |arguments: &[&str]| {
        let admin = format!("http://{}", scene.gate.admin_addr());
        let mut command = optgate();
        command.arg("explain").args(arguments).args(["--admin", &admin]);
        command.env("OPTGATE_TOKEN", "integration-tests").output().unwrap()
    };
    let told = explain(&[WAMID]);
    let text = String::from_utf8(told.stdout).unwrap();
    assert_eq!(told.status.code(), Some(0));
    for part in ["Allowed, because", "evidence.wording", WORDING, "place in the chain", "Policy "] {
        assert!(text.contains(part), "{part} is missing in {text}");
    }
    let told = explain(&[&id(&denied)]);
    assert!(String::from_utf8(told.stdout).unwrap().contains("What to do: Obtain an opt-in"));
    let told = explain(&[&id(&sent), "--recipient", ANN, "--json"]);
    let document: Value = serde_json::from_slice(&told.stdout).unwrap();
    assert_eq!(document["explanation"]["consent"]["status"], "shown");
    let told = explain(&["01JH2V8Q4ZK6Y3W9F0T7M5N1RB"]);
    assert_eq!(told.status.code(), Some(1));
    assert!(String::from_utf8(told.stderr).unwrap().contains("decision log"));
}

/// An old decision is shown with the settings that it was made under, not with those of now.
#[test]
fn a_decision_is_shown_with_the_policy_of_its_time() {
    let scene = Scene::agreed();
    let id = id(&scene.send_permitted());
    let toml = fs::read_to_string(scene.gate.config()).unwrap();
    fs::write(scene.gate.config(), toml + "\n[policy]\nmode = \"shadow\"\n").unwrap();
    scene.gate.signal("HUP");
    eventually("the policy is shadow", || {
        let now = scene.gate.admin("GET", "/readyz", "", b"").json();
        (now["policy"]["mode"] == "shadow").then_some(())
    });
    assert_eq!(explained(&scene.gate, &id)["explanation"]["policy"]["settings"]["mode"], "enforce");
}

/// Nothing is kept beside the store that leads from a decision to a person: what is gone from the store is gone.
#[test]
fn once_a_person_is_gone_from_the_store_the_decision_remains_and_leads_to_nobody() {
    let server = Redis::start();
    let scene =
        Scene::agreed_with(|gate| gate.redis(&server.url()).set("store", "lookup_deadline_ms", "5000"));
    scene.gate.apply(&[grant(BOB, &["service"])]);
    let id = id(&scene.send_permitted());
    assert_eq!(explained(&scene.gate, &id)["explanation"]["consent"]["status"], "shown");
    server.command(&["DEL", "og:c:{1.15550000001}", "og:r:{1.15550000001}"]);
    let told = explained(&scene.gate, &id);
    assert_eq!(
        (&told["decision"], &told["explanation"]["consent"]["status"]),
        (&json!("allow"), &json!("erased"))
    );
    let why = told["explanation"]["why"].as_str().unwrap();
    assert!(why.contains("has been erased since"), "{why}");
    assert!(!told.to_string().contains("5550000001") && !told.to_string().contains(WORDING), "{told}");
}

/// Erases a person from an embedded store that no gate has open.
fn erase(file: &Path, who: &str) {
    let settings = Settings { tenants: vec!["default".to_owned()], ..settings(file) };
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let store = ConsentStore::open(settings, Clock::System).await.unwrap();
        store.erase(0, &Recipient::parse(who).unwrap().key()).await.unwrap();
        store.close().await;
    });
}

#[test]
fn after_an_erasure_the_decision_remains_and_leads_to_nobody() {
    let scene = Scene::agreed();
    scene.gate.apply(&[grant(BOB, &["service"])]);
    let id = id(&scene.send_permitted());
    assert_eq!(explained(&scene.gate, &id)["explanation"]["consent"]["status"], "shown");
    let folder = scene.gate.kill9();
    erase(&folder.path().join("data/store.redb"), ANN);
    let gate = Gate::to(&scene.upstream.url()).in_folder(folder).start();
    for target in [id.clone(), format!("{id}?recipient=%2B15550000001")] {
        let told = explained(&gate, &target);
        assert_eq!(told["explanation"]["consent"]["status"], "erased", "{target}: {told}");
        assert_eq!(
            (&told["decision"], &told["explanation"]["consent"]["people"]),
            (&json!("allow"), &json!([]))
        );
        assert!(!told.to_string().contains("5550000001") && !told.to_string().contains(WORDING), "{told}");
    }
}

#[test]
fn a_store_of_hashes_is_asked_with_the_recipient() {
    let scene = Scene::agreed_with(|gate| gate.set("privacy", "hash_recipients", "true"));
    let id = id(&scene.send_permitted());
    let told = explained(&scene.gate, &id);
    assert_eq!(told["explanation"]["consent"]["status"], "not_found", "{told}");
    let told = explained(&scene.gate, &format!("{id}?recipient=%2B15550000001"));
    let person = &told["explanation"]["consent"]["people"][0];
    assert_eq!(
        (&person["state"], &person["event"]["event"]["evidence"]["wording"]),
        (&json!("granted"), &json!(WORDING))
    );
}
