//! Which number a sender is, as the provider tells it: without it nobody knows whom digits without `+` reach.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{SECRET, VERIFY_TOKEN, change, deliver, signature};
use crate::journey::{ALL, grant, refusal, template, templates};
use crate::support::client::{Response, request};
use crate::support::gate::{ACCOUNT, Gate, GateBuilder, SENDER};
use crate::support::redis::Redis;
use crate::support::upstream::{Answer, Upstream};
use crate::support::{eventually, free_addr};

/// Somebody in Egypt, or in Washington if the sender is American: `+2025550143` has agreed, `+12025550143` has not.
const BARE: &str = "2025550143";

/// A gate with a relay whose sender has no `phone`, or the one given.
fn numberless(gate: GateBuilder, phone: &str) -> (GateBuilder, SocketAddr) {
    let tenants = format!(
        "[[tenants]]\nname = \"default\"\n[[tenants.senders]]\nphone_number_id = {SENDER:?}\naccount = {ACCOUNT:?}\n{phone}\n"
    );
    let (gate, webhook) = relayed(gate);
    (gate.extra(&tenants), webhook)
}

/// The same without any tenant.
fn relayed(gate: GateBuilder) -> (GateBuilder, SocketAddr) {
    let webhook = free_addr();
    let gate = gate
        .set("webhook", "listen", &format!("\"{webhook}\""))
        .set("webhook", "verify_token", &format!("{VERIFY_TOKEN:?}"))
        .set("webhook", "app_secrets", &format!("[{SECRET:?}]"))
        .without_tenants();
    (gate, webhook)
}

fn agreed(gate: &Gate) {
    gate.apply(&[grant(&format!("+{BARE}"), &ALL)]);
    gate.put_templates(&templates());
}

/// A status about nobody that teaches nothing, told to a sender with this number.
fn told_to(sender: &str, number: &str) -> Value {
    let mut body = change("messages", json!({ "statuses": [] }));
    body["entry"][0]["changes"][0]["value"]["metadata"] =
        json!({ "display_phone_number": number, "phone_number_id": sender });
    body
}

fn bare(gate: &Gate) -> Response {
    gate.send(&template(BARE, "marketing"))
}

fn warnings(gate: &Gate) -> String {
    gate.admin("GET", "/readyz", "", b"").json()["warnings"].to_string()
}

fn is_ambiguous(gate: &Gate) -> bool {
    bare(gate).header("optgate-decision") == Some("deny; reason=recipient_ambiguous")
}

#[test]
fn the_senders_own_number_is_learnt_from_genuine_webhooks_only_and_makes_bare_digits_stricter() {
    let upstream = Upstream::start();
    let (gate, webhook) = numberless(Gate::to(&upstream.url()), "");
    let gate = gate.start();
    agreed(&gate);
    assert!(
        gate.stderr()
            .iter()
            .any(|line| line.contains("WARN") && line.contains(SENDER) && line.contains("own number"))
    );
    assert!(warnings(&gate).contains(SENDER), "{}", warnings(&gate));
    assert_eq!(bare(&gate).status, 200, "only one reading is known");
    let genuine = told_to(SENDER, "15550783881").to_string();
    let forged = [("X-Hub-Signature-256", signature("another secret", genuine.as_bytes()))];
    let forged = forged.each_ref().map(|(name, value)| (*name, value.as_str()));
    assert_eq!(request(webhook, "POST", "/", &forged, genuine.as_bytes()).status, 403);
    for harmless in [told_to("424242", "15550783881"), told_to(SENDER, "no number"), told_to(SENDER, "")] {
        assert_eq!(deliver(webhook, &harmless).status, 200);
    }
    assert_eq!(bare(&gate).status, 200, "nothing was learnt");
    let before = upstream.request_count();
    assert_eq!(deliver(webhook, &told_to(SENDER, "15550783881")).status, 200);
    refusal(400, 100, "recipient_ambiguous").assert(&bare(&gate));
    assert_eq!(upstream.request_count(), before);
    assert_eq!(
        gate.send(&template(&format!("+{BARE}"), "marketing")).status,
        200,
        "written with + there is one reading"
    );
    let sender = gate.admin("GET", &format!("/v1/senders/{SENDER}"), "", b"").json();
    assert_eq!(sender["sender"]["own_number"], json!("learnt"), "{sender}");
    assert!(!warnings(&gate).contains(SENDER), "{}", warnings(&gate));
    assert!(!gate.stderr().iter().any(|line| line.contains("15550783881")), "the log holds no number");
}

#[test]
fn a_learnt_number_survives_a_restart_and_reaches_every_gate() {
    let upstream = Upstream::start();
    let (gate, webhook) = numberless(Gate::to(&upstream.url()), "");
    let mut gate = gate.start();
    agreed(&gate);
    assert_eq!(deliver(webhook, &told_to(SENDER, "15550783881")).status, 200);
    gate.signal("TERM");
    gate.wait();
    let (gate, _) = numberless(Gate::to(&upstream.url()).in_folder(gate.kill9()), "");
    // The very first send after the start is judged by it.
    refusal(400, 100, "recipient_ambiguous").assert(&bare(&gate.start()));
    assert_eq!(upstream.request_count(), 0);

    let redis = Redis::start();
    let (near, webhook) = numberless(Gate::to(&upstream.url()).redis(&redis.url()), "");
    let (far, _) = numberless(Gate::to(&upstream.url()).redis(&redis.url()), "");
    let (near, far) = (near.start(), far.start());
    agreed(&near);
    assert_eq!(deliver(webhook, &told_to(SENDER, "15550783881")).status, 200);
    assert!(is_ambiguous(&near));
    eventually("the far gate knows it", || is_ambiguous(&far).then_some(()));
}

#[test]
fn a_configured_number_counts_before_a_learnt_one() {
    let upstream = Upstream::start();
    // No French number has ten digits.
    let (gate, webhook) = numberless(Gate::to(&upstream.url()), "phone = \"+33612345678\"");
    let gate = gate.start();
    agreed(&gate);
    assert_eq!(deliver(webhook, &told_to(SENDER, "15550783881")).status, 200);
    assert_eq!(bare(&gate).status, 200);
    let sender = gate.admin("GET", &format!("/v1/senders/{SENDER}"), "", b"").json();
    assert_eq!(sender["sender"]["own_number"], json!("configured"));
    assert!(sender["sender"]["warnings"].to_string().contains("another number"), "{sender}");
}

#[test]
fn without_tenants_the_gate_says_that_it_knows_no_number_until_a_webhook_tells_it() {
    let upstream = Upstream::start();
    let (gate, webhook) = relayed(Gate::to(&upstream.url()));
    let gate = gate.start();
    agreed(&gate);
    assert!(gate.stderr().iter().any(|line| line.contains("WARN") && line.contains("own number")));
    assert!(warnings(&gate).contains("own number"), "{}", warnings(&gate));
    assert_eq!(bare(&gate).status, 200);
    assert_eq!(deliver(webhook, &told_to(SENDER, "15550783881")).status, 200);
    assert!(is_ambiguous(&gate) && !warnings(&gate).contains("own number"), "{}", warnings(&gate));
    let other = gate.post("/v23.0/424242/messages", &template(BARE, "marketing"));
    assert_eq!(other.status, 200, "another sender's number is its own");
    let quiet =
        Gate::to(&upstream.url()).without_tenants().set("proxy", "bare_numbers", "\"international\"").start();
    assert_eq!(warnings(&quiet), "[]", "where it would change nothing nobody is bothered");
}

#[test]
fn the_provider_is_asked_for_the_number_too() {
    let upstream = Upstream::start();
    upstream.respond(|received| match received.method() {
        "GET" => Answer::json(
            200,
            &json!({ "display_phone_number": "+1 555-078-3881", "quality_rating": "GREEN", "status": "CONNECTED", "id": SENDER })
                .to_string(),
        ),
        _ => Answer::sent(),
    });
    let asking = || {
        Gate::to(&upstream.url())
            .set("senders", "poll_seconds", "1")
            .set("templates", "sync_every", "\"0\"")
            .set("upstream", "token", "\"EAASECRET\"")
    };
    let (gate, _) = numberless(asking(), "");
    let gate = gate.start();
    agreed(&gate);
    eventually("the number is learnt", || is_ambiguous(&gate).then_some(()));
    let asked = upstream.requests().into_iter().find(|received| received.method() == "GET").unwrap();
    assert!(asked.target().contains("display_phone_number"), "{}", asked.target());
    // Without tenants it is asked for once the sender has sent.
    let (gate, _) = relayed(asking());
    let gate = gate.start();
    agreed(&gate);
    assert_eq!(bare(&gate).status, 200);
    eventually("the number is learnt", || is_ambiguous(&gate).then_some(()));
}
