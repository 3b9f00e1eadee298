//! How the sandbox delivers: verified, signed, in order, repeated, bounded; and how a person asks it to.

use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::Duration;

use aws_lc_rs::hmac;
use optgate::sandbox::{Action, Fault, Sandbox, Settings, Subscription};
use serde_json::{Value, json};

use crate::support::client::{Response, request};
use crate::support::gate::{ACCOUNT, SENDER, optgate};
use crate::support::process::Process;
use crate::support::upstream::{Answer, Received, Upstream};
use crate::support::{PATIENCE, eventually, runtime};

const SECRET: &str = "an app secret";

/// An endpoint that repeats challenges, and answers webhooks with a status that can be changed.
struct Endpoint {
    server: Upstream,
    status: Arc<AtomicU16>,
}

impl Endpoint {
    fn start() -> Self {
        let (server, status) = (Upstream::start(), Arc::new(AtomicU16::new(200)));
        let answered = Arc::clone(&status);
        server.respond(move |received| match received.method() {
            "GET" => challenge(received),
            _ => Answer::json(answered.load(Ordering::Relaxed), "{}"),
        });
        Self { server, status }
    }

    fn webhooks(&self) -> Vec<Received> {
        self.server.requests().into_iter().filter(|request| request.method() == "POST").collect()
    }

    /// The `value` of every webhook.
    fn values(&self) -> Vec<Value> {
        let value = |webhook: &Received| {
            let body: Value = serde_json::from_slice(webhook.payload()).unwrap();
            assert_eq!(body["object"], "whatsapp_business_account");
            assert_eq!(body["entry"][0]["id"], ACCOUNT);
            body["entry"][0]["changes"][0]["value"].clone()
        };
        self.webhooks().iter().map(value).collect()
    }
}

fn challenge(received: &Received) -> Answer {
    let query = received.target().split_once('?').unwrap().1;
    let challenge = query.split('&').find_map(|pair| pair.strip_prefix("hub.challenge=")).unwrap();
    Answer::raw(format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{challenge}", challenge.len()))
}

fn sandbox() -> Sandbox {
    let settings = Settings { redelivery: Duration::from_millis(20), ..Settings::default() };
    runtime().block_on(Sandbox::start(settings)).unwrap()
}

fn subscribe(sandbox: &Sandbox, endpoint: &Upstream) -> Result<(), String> {
    let subscription = Subscription {
        url: format!("{}/hook?a=b", endpoint.url()).parse().unwrap(),
        app_secret: SECRET.to_owned(),
        verify_token: "let me+in&out".to_owned(),
    };
    runtime().block_on(sandbox.subscribe(subscription)).map_err(|unverified| unverified.to_string())
}

fn subscribed() -> (Sandbox, Endpoint) {
    let (sandbox, endpoint) = (sandbox(), Endpoint::start());
    subscribe(&sandbox, &endpoint.server).unwrap();
    (sandbox, endpoint)
}

fn post(sandbox: &Sandbox, target: &str, body: &Value) -> Response {
    let headers = [("Authorization", "Bearer any"), ("Content-Type", "application/json")];
    request(sandbox.address(), "POST", target, &headers, body.to_string().as_bytes())
}

fn message(to: &str) -> Value {
    json!({ "messaging_product": "whatsapp", "to": to, "text": { "body": "Hi" } })
}

fn send(sandbox: &Sandbox, body: &Value) -> String {
    let answer = post(sandbox, &format!("/v23.0/{SENDER}/messages"), body);
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()["messages"][0]["id"].as_str().unwrap().to_owned()
}

fn state(sandbox: &Sandbox) -> Value {
    request(sandbox.address(), "GET", "/_sandbox/webhook", &[], b"").json()
}

/// Waits until nothing is on its way.
fn quiet(sandbox: &Sandbox) -> Value {
    eventually("nothing waits", || Some(state(sandbox)).filter(|state| state["waiting"] == 0))
}

#[test]
fn an_endpoint_is_verified_as_meta_does_and_told_nothing_before() {
    let (sandbox, server) = (sandbox(), Upstream::start());
    send(&sandbox, &message("+15550000001"));
    server.answer(Answer::json(404, "{}"));
    assert!(subscribe(&sandbox, &server).unwrap_err().contains("answered 404"));
    server.answer(Answer::json(200, "no challenge"));
    assert!(subscribe(&sandbox, &server).unwrap_err().contains("challenge"));
    send(&sandbox, &message("+15550000001"));
    assert_eq!((server.request_count(), state(&sandbox)), (2, json!({ "url": null })));
    let said = post(&sandbox, "/_sandbox/say", &json!({ "from": "+15550000001", "text": "Hi" }));
    assert!(said.status == 400 && said.text().contains("no webhook endpoint"), "{}", said.text());

    server.respond(challenge);
    subscribe(&sandbox, &server).unwrap();
    let asked = server.requests().pop().unwrap();
    let target = asked.target();
    assert!(target.starts_with("/hook?a=b&hub.mode=subscribe&hub.challenge="), "{target}");
    assert!(target.ends_with("&hub.verify_token=let%20me%2Bin%26out"), "{target}");
}

#[test]
fn statuses_are_signed_and_say_what_the_answer_said() {
    let (sandbox, endpoint) = subscribed();
    let template = |name: &str| {
        json!({ "messaging_product": "whatsapp", "to": "+15550000001", "type": "template", "biz_opaque_callback_data": "¿42?",
            "template": { "name": name, "language": { "code": "en_US" } } })
    };
    let ids = [send(&sandbox, &template("promo_sale")), send(&sandbox, &message("+15550000001"))];
    let lite = post(&sandbox, &format!("/{SENDER}/marketing_messages"), &template("promo_sale"));
    assert_eq!(lite.status, 200);
    quiet(&sandbox);
    for webhook in endpoint.webhooks() {
        let tag = hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes()), webhook.payload());
        let expected = format!("sha256={}", hex::encode(tag.as_ref()));
        assert_eq!(webhook.header("x-hub-signature-256"), Some(&*expected));
        assert_eq!(webhook.target(), "/hook?a=b");
        assert!(webhook.payload().is_ascii(), "Meta escapes what is not");
    }
    let values = endpoint.values();
    let told: Vec<(&str, &str, Option<&str>)> = values
        .iter()
        .map(|value| &value["statuses"][0])
        .map(|status| {
            let text = |field: &str| status[field].as_str().unwrap();
            (text("id"), text("status"), status["pricing"]["category"].as_str())
        })
        .collect();
    let (marketing, service) = (Some("marketing"), Some("service"));
    let lite_id = lite.json()["messages"][0]["id"].as_str().unwrap().to_owned();
    let expected = [
        (&*ids[0], "sent", marketing),
        (&*ids[0], "delivered", marketing),
        (&*ids[0], "read", None),
        (&*ids[1], "sent", service),
        (&*ids[1], "delivered", service),
        (&*ids[1], "read", None),
        (&*lite_id, "sent", Some("marketing_lite")),
        (&*lite_id, "delivered", Some("marketing_lite")),
        (&*lite_id, "read", None),
    ];
    assert_eq!(told, expected);
    assert_eq!(values[0]["statuses"][0]["biz_opaque_callback_data"], "¿42?");
    assert_eq!(values[0]["statuses"][0]["recipient_id"], "15550000001");
    assert_eq!(values[0]["metadata"]["phone_number_id"], SENDER);
    assert_eq!(values[3]["statuses"][0]["pricing"]["billable"], false);
}

#[test]
fn only_what_was_accepted_has_a_status_even_if_its_answer_was_lost() {
    let (sandbox, endpoint) = subscribed();
    let refused = post(&sandbox, &format!("/{SENDER}/messages"), &message("+12099131026"));
    assert_eq!(refused.status, 400);
    let fault = |action| Fault { action, delay: Duration::ZERO, times: Some(1) };
    sandbox.faults().set(fault(Action::Status(503)));
    assert_eq!(post(&sandbox, &format!("/{SENDER}/messages"), &message("+15550000001")).status, 503);
    let without_token = request(
        sandbox.address(),
        "POST",
        &format!("/{SENDER}/messages"),
        &[],
        message("+15550000001").to_string().as_bytes(),
    );
    assert_eq!((without_token.status, state(&sandbox)["waiting"].clone()), (401, json!(0)));
    sandbox.faults().set(fault(Action::HalfBody));
    let mut client = crate::support::client::Client::connect(sandbox.address());
    let body = message("+15550000001").to_string();
    client.send(&client.head(
        "POST",
        &format!("/{SENDER}/messages"),
        &[("Authorization", "Bearer a")],
        body.len(),
    ));
    client.send(body.as_bytes());
    eventually("the message whose answer is lost is told of", || {
        (endpoint.values().len() == 3).then_some(())
    });
    let operation = |to: &str| json!({ "method": "POST", "relative_url": format!("{SENDER}/messages"), "body": message(to) });
    let batch =
        json!({ "batch": [operation("+15550000001"), operation("+12099131026"), operation("+15550000002")] });
    assert_eq!(post(&sandbox, "/", &batch).status, 200);
    quiet(&sandbox);
    assert_eq!(endpoint.values().len(), 3 + 6);
}

#[test]
fn failures_groups_and_user_ids_are_told_as_meta_tells_them() {
    let (sandbox, endpoint) = subscribed();
    send(&sandbox, &message("+12098131050"));
    quiet(&sandbox);
    send(
        &sandbox,
        &json!({ "messaging_product": "whatsapp", "recipient": "US.1349", "text": { "body": "Hi" } }),
    );
    quiet(&sandbox);
    let group = json!({ "messaging_product": "whatsapp", "recipient_type": "group", "to": "Z3JvdXA=", "text": { "body": "Hi" } });
    send(&sandbox, &group);
    quiet(&sandbox);
    let values = endpoint.values();
    let (failed, by_id) = (&values[0]["statuses"][0], &values[1]["statuses"][0]);
    assert_eq!(
        (&failed["status"], &failed["errors"][0]["code"]),
        (&json!("failed"), &json!(131_050)),
        "{failed}"
    );
    assert!(values[0].get("contacts").is_none() && failed.get("pricing").is_none(), "{}", values[0]);
    assert_eq!(
        (&by_id["recipient_user_id"], by_id.get("recipient_id")),
        (&json!("US.1349"), None),
        "{by_id}"
    );
    let group = &values.last().unwrap()["statuses"][0];
    assert_eq!(
        (values.len(), &group["recipient_type"], &group["status"]),
        (5, &json!("group"), &json!("sent"))
    );
}

#[test]
fn marketing_fails_for_who_stopped_it_in_their_app() {
    let (sandbox, endpoint) = subscribed();
    let preference = |value: &str| {
        let body = json!({ "from": "+15550000001", "value": value });
        assert_eq!(post(&sandbox, "/_sandbox/preference", &body).status, 200);
    };
    let promotion = json!({ "messaging_product": "whatsapp", "to": "+1 (555) 000-0001", "type": "template",
        "template": { "name": "promo_sale", "language": { "code": "en_US" } } });
    let told_of = |body: &Value| {
        send(&sandbox, body);
        quiet(&sandbox);
        endpoint.values().pop().unwrap()["statuses"][0].clone()
    };
    preference("stop");
    assert_eq!(told_of(&promotion)["errors"][0]["code"], 131_050);
    assert_eq!(told_of(&message("+15550000001"))["status"], "read");
    preference("resume");
    assert_eq!(told_of(&promotion)["status"], "read");
}

#[test]
fn what_is_not_answered_200_is_repeated_byte_for_byte_and_nothing_overtakes_it() {
    let (sandbox, endpoint) = subscribed();
    endpoint.status.store(503, Ordering::Relaxed);
    let said = post(&sandbox, "/_sandbox/say", &json!({ "from": "+15550000001", "text": "STOP" }));
    assert!(said.status == 502 && said.text().contains("answered 503"), "{}", said.text());
    send(&sandbox, &message("+15550000001"));
    eventually("it is tried again", || (endpoint.webhooks().len() > 1).then_some(()));
    endpoint.status.store(200, Ordering::Relaxed);
    let state = quiet(&sandbox);
    assert_eq!((&state["delivered"], &state["given_up"]), (&json!(4), &json!(0)), "{state}");
    let webhooks = endpoint.webhooks();
    let attempts = webhooks.len() - 3;
    assert!(attempts > 1);
    for again in &webhooks[..attempts] {
        assert_eq!(again.raw_body, webhooks[0].raw_body);
        assert_eq!(again.header("x-hub-signature-256"), webhooks[0].header("x-hub-signature-256"));
    }
    assert_eq!(endpoint.values()[attempts]["statuses"][0]["status"], "sent");

    endpoint.status.store(500, Ordering::Relaxed);
    post(&sandbox, "/_sandbox/say", &json!({ "from": "+15550000001", "text": "STOP" }));
    let state = quiet(&sandbox);
    assert_eq!(
        (&state["given_up"], &state["last_trouble"]),
        (&json!(1), &json!("it answered 500")),
        "{state}"
    );
    assert_eq!(endpoint.webhooks().len(), webhooks.len() + 5);
    let settled = request(sandbox.address(), "GET", "/_sandbox/webhook/settled", &[], b"").json();
    let last = settled.as_array().unwrap().last().unwrap();
    assert_eq!((&last["attempts"], &last["delivered"]), (&json!(5), &json!(false)), "{last}");
}

#[test]
fn an_endpoint_that_does_not_answer_holds_no_more_than_a_lane_has_room_for() {
    let (sandbox, endpoint) = subscribed();
    endpoint.server.respond(|_| Answer::silent());
    let operation = json!({ "method": "POST", "relative_url": format!("{SENDER}/messages"), "body": message("+15550000001") });
    for _ in 0..16 {
        assert_eq!(post(&sandbox, "/", &json!({ "batch": vec![&operation; 50] })).status, 200);
    }
    let state = state(&sandbox);
    let [waiting, dropped] = ["waiting", "dropped"].map(|field| state[field].as_u64().unwrap());
    assert!((2048..=2050).contains(&waiting) && waiting + dropped == 16 * 50 * 3, "{state}");
    let gone = request(sandbox.address(), "DELETE", "/_sandbox/webhook", &[], b"");
    assert_eq!((gone.status, self::state(&sandbox)), (200, json!({ "url": null })));
}

#[test]
fn what_makes_no_sense_is_refused_with_the_reason() {
    let (sandbox, endpoint) = subscribed();
    for (target, body, reason) in [
        ("say", json!({ "text": "Hi" }), "from is missing"),
        ("say", json!({ "from": "nobody", "text": "Hi" }), "neither a phone number nor a user id"),
        ("say", json!({ "from": "+15550000001" }), "nothing is said"),
        ("preference", json!({ "from": "+15550000001", "value": "pause" }), "neither stop nor resume"),
        ("change", json!({ "field": "account_update" }), "value is no object"),
        ("webhook", json!({ "url": "nowhere" }), "http://"),
        ("webhook", json!({ "url": "http://127.0.0.1:9/" }), "app_secret is missing"),
    ] {
        let answer = post(&sandbox, &format!("/_sandbox/{target}"), &body);
        assert!(answer.status == 400 && answer.text().contains(reason), "{target}: {}", answer.text());
    }
    assert!(endpoint.webhooks().is_empty());
    let guide = request(sandbox.address(), "GET", "/_sandbox", &[], b"").text();
    for part in ["/_sandbox/say", "/_sandbox/preference", "/_sandbox/change", "98 131 050"] {
        assert!(guide.contains(part), "{part}");
    }
}

/// The command, with a running sandbox of its own.
fn started(arguments: &[&str]) -> (Process, String) {
    let mut command = optgate();
    command.args(["sandbox", "--listen", "127.0.0.1:0"]).args(arguments);
    let sandbox = Process::start(command).unwrap();
    let url = eventually("the sandbox says where it is", || {
        let lines = sandbox.stdout();
        lines
            .iter()
            .find_map(|line| Some(line.split_once("Gate:         optgate serve --upstream ")?.1.to_owned()))
    });
    (sandbox, url)
}

fn asked(url: &str, arguments: &[&str]) -> (Option<i32>, String) {
    let output = optgate().args(arguments).args(["--sandbox", url]).output().unwrap();
    let text = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.code(), text)
}

#[test]
fn the_command_waits_for_its_endpoint_and_has_people_say_things() {
    let endpoint = Endpoint::start();
    endpoint.server.answer_once(Answer::json(403, "{}"));
    let hook = format!("{}/hook", endpoint.server.url());
    let (mut process, url) =
        started(&["--webhook-url", &hook, "--app-secret", SECRET, "--verify-token", "let me+in"]);
    eventually("the endpoint is verified", || {
        process.stdout().iter().any(|line| line.contains("is verified and gets them")).then_some(())
    });
    let warned = process.stderr().join("\n");
    assert!(warned.contains("it answered 403 to the verification"), "{warned}");

    let (code, told) = asked(&url, &["sandbox", "say", "STOP", "--from", "+15550000002"]);
    assert!(code == Some(0) && told.starts_with("told: the webhook was answered 200 after "), "{told}");
    let pressed = ["--json", "sandbox", "say", "Stop promotions", "--as", "button", "--id", "OFF-17"];
    let (code, told) = asked(&url, &pressed);
    assert!(code == Some(0) && told.contains("\"delivered\":true"), "{told}");
    assert_eq!(asked(&url, &["sandbox", "preference", "stop", "--json"]).0, Some(0));
    let template =
        ["sandbox", "template", "order_update", "--category", "UTILITY", "--announce", "MARKETING"];
    assert_eq!(asked(&url, &template), (Some(0), "done\n".to_owned()));
    let values =
        eventually("all four are told", || Some(endpoint.values()).filter(|values| values.len() == 4));
    assert_eq!(values[0]["messages"][0]["text"]["body"], "STOP");
    assert_eq!(values[0]["messages"][0]["from"], "15550000002");
    assert_eq!(values[1]["messages"][0]["button"], json!({ "payload": "OFF-17", "text": "Stop promotions" }));
    assert_eq!(values[2]["user_preferences"][0]["value"], "stop");
    assert_eq!(values[3]["correct_category"], "MARKETING");

    endpoint.status.store(403, Ordering::Relaxed);
    let (code, told) = asked(&url, &["sandbox", "say", "STOP"]);
    assert!(code == Some(1) && told.contains("is the app secret one of those"), "{told}");
    process.signal("INT");
    assert_eq!(process.wait(PATIENCE).and_then(|status| status.code()), Some(0));
    let (code, told) = asked(&url, &["sandbox", "say", "STOP"]);
    assert!(code == Some(1) && told.contains("the sandbox at "), "{told}");
}

#[test]
fn flags_of_the_sandbox_and_of_what_is_asked_of_it_are_not_mixed_up() {
    let wrong = |arguments: &[&str]| optgate().args(arguments).output().unwrap().status.code();
    assert_eq!(wrong(&["sandbox", "--listen", "127.0.0.1:0", "say", "STOP"]), Some(2));
    assert_eq!(wrong(&["sandbox", "--webhook-url", "nowhere"]), Some(2));
    assert_eq!(wrong(&["sandbox", "preference", "pause"]), Some(2));
}
