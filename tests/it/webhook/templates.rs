//! What webhooks tell of templates: both shapes of a changed category, shuffled, repeated, late, forged; on both stores.

use std::time::Duration;

use serde_json::{Value, json};

use super::{Scene, deliver, relaying, seconds, signature};
use crate::journey::{BOB, grant, refusal, template, templates};
use crate::support::client::request;
use crate::support::eventually;
use crate::support::gate::{ACCOUNT, Gate};
use crate::support::redis::Redis;
use crate::support::upstream::Upstream;

/// A webhook about the template `utility`, as the provider writes it.
fn told(field: &str, at: i64, what: &Value) -> Value {
    of(ACCOUNT, field, at, what)
}

fn of(account: &str, field: &str, at: i64, what: &Value) -> Value {
    let mut value = json!({ "message_template_id": 278_077_987_957_091_u64, "message_template_name": "utility", "message_template_language": "en-US" });
    value.as_object_mut().unwrap().extend(what.as_object().unwrap().clone());
    json!({ "object": "whatsapp_business_account",
        "entry": [{ "id": account, "time": seconds(at), "changes": [{ "field": field, "value": value }] }] })
}

fn became(at: i64, previous: &str, new: &str) -> Value {
    told("template_category_update", at, &json!({ "previous_category": previous, "new_category": new }))
}

fn announced(at: i64, now: &str, then: &str, due: i64) -> Value {
    let what =
        json!({ "new_category": now, "correct_category": then, "category_update_timestamp": seconds(due) });
    told("template_category_update", at, &what)
}

/// [`BOB`] agreed to utility messages and nothing else.
fn scene() -> Scene {
    let scene = Scene::start();
    scene.gate.apply(&[grant(BOB, &["utility"])]);
    scene
}

#[track_caller]
fn assert_utility(gate: &Gate) {
    assert_eq!(gate.send(&template(BOB, "utility")).status, 200);
}

#[track_caller]
fn assert_marketing(gate: &Gate) {
    refusal(400, 131_030, "no_consent").assert(&gate.send(&template(BOB, "utility")));
}

fn shown(gate: &Gate) -> Value {
    let lists = gate.admin("GET", "/v1/templates", "application/json", b"").json();
    let all = lists["accounts"][0]["templates"].as_array().unwrap().clone();
    all.into_iter().find(|template| template["name"] == "utility").unwrap()
}

#[test]
fn a_changed_category_is_in_force_when_the_webhook_is_answered() {
    let scene = scene();
    assert_utility(&scene.gate);
    scene.told(&became(0, "UTILITY", "MARKETING"));
    assert_marketing(&scene.gate);
    assert_eq!(scene.upstream.request_count(), 1);
    assert_eq!(scene.bot.request_count(), 1, "the bot gets it as well");
}

#[test]
fn an_announced_category_counts_at_once_and_alone_from_its_time_on() {
    let scene = scene();
    scene.told(&announced(-60, "UTILITY", "MARKETING", 86_400));
    assert_marketing(&scene.gate);
    assert_eq!(shown(&scene.gate)["announced"]["category"], "marketing");

    let milder = self::scene();
    let mut marketing = templates();
    marketing[2]["category"] = json!("MARKETING");
    milder.gate.put_templates(&marketing);
    milder.told(&announced(-60, "MARKETING", "UTILITY", 7));
    assert_marketing(&milder.gate);
    std::thread::sleep(Duration::from_secs(3));
    assert_marketing(&milder.gate);
    eventually("its time has come", || {
        (milder.gate.send(&template(BOB, "utility")).status == 200).then_some(())
    });
    assert!(shown(&milder.gate)["announced"].is_null());
}

#[test]
fn the_order_and_number_of_deliveries_do_not_matter() {
    let to_marketing = [
        became(-400, "UTILITY", "MARKETING"),
        announced(-350, "MARKETING", "UTILITY", -320),
        became(-300, "MARKETING", "UTILITY"),
        became(-200, "UTILITY", "AUTHENTICATION"),
        became(-100, "AUTHENTICATION", "MARKETING"),
    ];
    let to_utility = [became(-90, "UTILITY", "MARKETING"), became(-80, "MARKETING", "UTILITY")];
    for turn in 0..3 {
        for (told, passes) in [(&to_marketing[..], false), (&to_utility[..], true)] {
            let scene = scene();
            let mut order: Vec<&Value> = told.iter().cycle().skip(turn).take(told.len()).collect();
            if turn % 2 == 1 {
                order.reverse();
            }
            for webhook in order.iter().chain(order.iter().rev().take(3)) {
                scene.told(webhook);
            }
            assert_eq!(
                scene.gate.send(&template(BOB, "utility")).status,
                if passes { 200 } else { 400 },
                "turn {turn}"
            );
        }
    }
}

#[test]
fn nothing_is_learnt_from_a_forged_webhook() {
    let scene = scene();
    let body = became(0, "UTILITY", "MARKETING").to_string().into_bytes();
    let forged = signature("another secret", &body);
    let signed = request(scene.webhook, "POST", "/", &[("X-Hub-Signature-256", &forged)], &body);
    let unsigned = request(scene.webhook, "POST", "/", &[], &body);
    assert_eq!((signed.status, unsigned.status), (403, 403));
    assert_utility(&scene.gate);
    assert_eq!(scene.bot.request_count(), 0);
}

#[test]
fn status_and_quality_are_shown_and_judge_nobody() {
    let scene = scene();
    scene.told(&told("message_template_status_update", 0, &json!({ "event": "PAUSED", "reason": "NONE" })));
    let quality = json!({ "previous_quality_score": "GREEN", "new_quality_score": "YELLOW" });
    scene.told(&told("message_template_quality_update", 0, &quality));
    assert_utility(&scene.gate);
    let shown = shown(&scene.gate);
    assert_eq!((&shown["status"], &shown["quality"]), (&json!("PAUSED"), &json!("YELLOW")));
}

#[test]
fn a_template_that_was_written_anew_needs_the_consent_to_call_until_it_is_listed_again() {
    let scene = scene();
    scene.told(&told("message_template_components_update", 0, &json!({ "message_template_element": "Hi" })));
    refusal(400, 138_006, "no_consent").assert(&scene.gate.send(&template(BOB, "utility")));
    assert_eq!(scene.upstream.request_count(), 0);
    assert_eq!(shown(&scene.gate)["asks_to_call"], true);
    scene.gate.put_templates(&templates());
    assert_utility(&scene.gate);
}

#[test]
fn other_accounts_and_unknown_templates_are_no_business_of_this_one() {
    let scene = scene();
    let what = json!({ "previous_category": "UTILITY", "new_category": "MARKETING" });
    scene.told(&of("999", "template_category_update", 0, &what));
    let unknown = what.to_string().replace('}', r#","message_template_name":"no_such_thing"}"#);
    scene.told(&told("template_category_update", 0, &serde_json::from_str(&unknown).unwrap()));
    assert_utility(&scene.gate);
    let unreadable = told("template_category_update", 0, &json!({}));
    scene.told(&unreadable);
    assert_eq!(scene.gate.count("optgate_webhook_items_unreadable_total", &[]), 1);
}

#[test]
fn a_change_told_to_one_gate_holds_at_the_other_and_after_a_restart() {
    let (redis, upstream) = (Redis::start(), Upstream::start());
    let gate = || relaying(Gate::to(&upstream.url()).redis(&redis.url()), None);
    let ((near, webhook), (far, _)) = (gate(), gate());
    let (near, far) = (near.start(), far.start());
    near.apply(&[grant(BOB, &["utility"])]);
    near.put_templates(&templates());
    eventually("the far gate knows the templates", || {
        (far.send(&template(BOB, "utility")).status == 200).then_some(())
    });
    assert_eq!(deliver(webhook, &became(0, "UTILITY", "MARKETING")).status, 200);
    // The first look into a store that was just started may find it away.
    let refused = |gate: &Gate| gate.send(&template(BOB, "utility")).status == 400;
    eventually("the near gate refuses", || refused(&near).then_some(()));
    eventually("the far gate refuses", || refused(&far).then_some(()));
    drop(near);
    let again = gate().0.start();
    eventually("the next one refuses", || refused(&again).then_some(()));
    assert_marketing(&again);
}

#[test]
fn what_cannot_be_stored_is_not_acknowledged() {
    let (mut redis, upstream) = (Redis::start(), Upstream::start());
    let (gate, webhook) = relaying(Gate::to(&upstream.url()).redis(&redis.url()), None);
    let gate = gate.start();
    gate.put_templates(&templates());
    redis.kill9();
    let change = became(0, "UTILITY", "MARKETING");
    assert_eq!(deliver(webhook, &change).status, 503);
    redis.restart();
    eventually("the repeated webhook is taken", || (deliver(webhook, &change).status == 200).then_some(()));
}

#[test]
fn a_change_outlives_the_process_on_the_embedded_store() {
    let Scene { gate, upstream, webhook, bot: _bot } = scene();
    assert_eq!(deliver(webhook, &became(0, "UTILITY", "MARKETING")).status, 200);
    let (again, _) = relaying(Gate::to(&upstream.url()).in_folder(gate.kill9()), None);
    assert_marketing(&again.start());
}
