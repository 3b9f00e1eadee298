//! What the provider is answered, and what the bot gets.

use serde_json::{Value, json};

use super::{SECRET, Scene, change, deliver, message, relaying, seconds, signature};
use crate::journey::{ANN, refusal, template};
use crate::support::client::request;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::redis::Redis;
use crate::support::upstream::{Answer, Upstream};

#[test]
fn the_endpoint_is_verified_by_its_token() {
    let scene = Scene::start();
    let ask = |query: &str| request(scene.webhook, "GET", &format!("/x?{query}"), &[], b"");
    let known = ask("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=let+me%2Bin");
    assert_eq!((known.status, known.text()), (200, "1158201444".to_owned()));
    assert_eq!(ask("hub.mode=subscribe&hub.challenge=1158201444&hub.verify_token=other").status, 403);
    assert_eq!(request(scene.webhook, "PUT", "/", &[], b"").status, 405);
    assert_eq!(scene.bot.request_count(), 0);
}

#[test]
fn the_bot_gets_the_same_bytes_and_signature() {
    let scene = Scene::start();
    // Escapes and white space as the provider writes them must not be written anew.
    let body = message(ANN, seconds(0), "Gr\u{fc}\u{df}e").to_string().replace('\u{fc}', "\\u00fc") + " \n";
    let signed = signature(SECRET, body.as_bytes());
    let headers = [("Content-Type", "application/json"), ("X-Hub-Signature-256", &*signed), ("X-Trace", "7")];
    assert_eq!(request(scene.webhook, "POST", "/", &headers, body.as_bytes()).status, 200);
    let [got] = scene.bot.requests().try_into().unwrap();
    assert_eq!((got.method(), got.target(), got.payload()), ("POST", "/hook?bot=1", body.as_bytes()));
    assert_eq!((got.header("x-hub-signature-256"), got.header("x-trace")), (Some(&*signed), Some("7")));
    assert_eq!(got.header("host"), Some(&*scene.bot.addr().to_string()));
    assert_eq!(scene.gate.count("optgate_webhooks_total", &["relayed"]), 1);
}

#[test]
fn a_forged_webhook_teaches_nothing_and_reaches_nobody() {
    let scene = Scene::start();
    let body = message(ANN, seconds(0), "STOP").to_string();
    let good = signature(SECRET, body.as_bytes());
    let other = signature("another secret", body.as_bytes());
    let forged: [&[(&str, &str)]; 6] = [
        &[],
        &[("X-Hub-Signature-256", &other)],
        &[("X-Hub-Signature-256", &good[7..])],
        &[("X-Hub-Signature", &good)],
        &[("X-Hub-Signature-256", &good), ("X-Hub-Signature-256", &other)],
        &[("X-Hub-Signature-256", "sha256=")],
    ];
    for headers in forged {
        assert_eq!(request(scene.webhook, "POST", "/", headers, body.as_bytes()).status, 403, "{headers:?}");
    }
    let changed = body.replace("STOP", "stop");
    assert_eq!(
        request(scene.webhook, "POST", "/", &[("X-Hub-Signature-256", &good)], changed.as_bytes()).status,
        403
    );
    assert_eq!((scene.bot.request_count(), scene.gate.send(&template(ANN, "utility")).status), (0, 200));
    assert_eq!(scene.gate.count("optgate_webhooks_total", &["forged"]), 7);
}

#[test]
fn a_stop_counts_though_the_bot_is_away_and_the_provider_repeats_it() {
    let scene = Scene::start();
    scene.bot.answer(Answer::json(500, "{}"));
    let stop = message(ANN, seconds(0), "STOP");
    assert_eq!(scene.deliver(&stop).status, 502);
    assert_eq!(scene.gate.send(&template(ANN, "utility")).status, 400);
    scene.bot.answer(Answer::json(200, "{}"));
    scene.told(&stop);
    assert_eq!((scene.bot.request_count(), scene.upstream.request_count()), (2, 0));
}

#[test]
fn what_cannot_be_stored_is_not_acknowledged() {
    let mut redis = Redis::start();
    let (upstream, bot) = (Upstream::start(), Upstream::start());
    let (gate, webhook) = relaying(Gate::to(&upstream.url()).redis(&redis.url()), Some(&bot));
    let gate = gate.start();
    redis.kill9();
    let stop = message(ANN, seconds(0), "STOP");
    assert_eq!(deliver(webhook, &stop).status, 503);
    assert_eq!(bot.request_count(), 0);
    redis.restart();
    eventually("the repeated webhook is taken", || (deliver(webhook, &stop).status == 200).then_some(()));
    eventually("its stop is in force", || {
        (gate.send(&template(ANN, "utility")).header("optgate-decision")
            == Some("deny; reason=consent_revoked"))
        .then_some(())
    });
    assert_eq!(upstream.request_count(), 0);
}

#[test]
fn what_is_no_webhook_is_refused_and_one_about_other_things_is_handed_on() {
    let scene = Scene::start();
    let junk = json!([1, 2]);
    assert_eq!(scene.deliver(&junk).status, 400);
    let long = vec![b' '; (3 << 20) + 1];
    let signed = signature(SECRET, &long);
    assert_eq!(request(scene.webhook, "POST", "/", &[("X-Hub-Signature-256", &signed)], &long).status, 413);
    assert_eq!(scene.bot.request_count(), 0);
    let mut account = change("account_alerts", json!({}));
    account["entry"][0]["changes"][0]["value"] = json!({ "alert_type": "X" });
    scene.told(&account);
    assert_eq!(scene.bot.request_count(), 1);
}

#[test]
fn a_webhook_to_a_sender_of_nobody_teaches_nothing() {
    let scene = Scene::start();
    let stop: Value = serde_json::from_str(
        &message(ANN, seconds(0), "STOP").to_string().replace(crate::support::gate::SENDER, "1"),
    )
    .unwrap();
    scene.told(&stop);
    assert_eq!((scene.bot.request_count(), scene.gate.send(&template(ANN, "utility")).status), (0, 200));
}

#[test]
fn no_number_and_no_text_is_logged() {
    let scene = Scene::start();
    scene.told(&message(ANN, seconds(0), "a very private thing"));
    scene.bot.answer(Answer::json(500, "{}"));
    assert_eq!(scene.deliver(&message(ANN, seconds(1), "STOP")).status, 502);
    refusal(400, 131_030, "consent_revoked").assert(&scene.gate.send(&template(ANN, "utility")));
    let printed = eventually("the failure is logged", || {
        let printed = [scene.gate.stderr(), scene.gate.stdout()].concat().join("\n");
        printed.contains("a bot did not take a webhook").then_some(printed)
    });
    for secret in ["5550000001", "private", SECRET, "hook?bot"] {
        assert!(!printed.contains(secret), "{secret}: {printed}");
    }
}
