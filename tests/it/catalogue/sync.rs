//! Whole lists in the background: pages, restarts, deletions, the account's allowance, age.

use std::process::Stdio;
use std::time::{Duration, Instant};

use optgate::sandbox::Action;
use serde_json::{Value, json};

use super::{Provider, TOKEN, agree, assert_marketing, assert_utility, send, shown, wait_for_syncs};
use crate::support::eventually;
use crate::support::gate::{ACCOUNT, Gate, GateBuilder, optgate};
use crate::support::redis::Redis;
use crate::support::upstream::{Answer, Received, Upstream};

#[test]
fn a_list_of_many_pages_is_read_to_its_end_and_outlives_the_process() {
    let mut provider = Provider::start();
    for n in 0..600 {
        provider.put(&format!("many_{n:03}"), if n % 2 == 0 { "UTILITY" } else { "MARKETING" });
    }
    let gate = provider.gate().start();
    agree(&gate);
    wait_for_syncs(&gate, "read", 1);
    for n in [0, 260, 598] {
        assert_utility(&gate, &format!("many_{n:03}"));
        assert_marketing(&gate, &format!("many_{:03}", n + 1));
    }
    let lists = provider.lists();
    assert_eq!(lists.len(), 3);
    for (page, entry) in lists.iter().enumerate() {
        assert_eq!(entry.headers["authorization"], format!("Bearer {TOKEN}"));
        assert!(entry.target.contains(&format!("/{ACCOUNT}/message_templates?")), "{}", entry.target);
        assert_eq!(entry.target.contains("&after="), page > 0, "{}", entry.target);
        assert!(!entry.target.contains(TOKEN));
    }
    let printed = [gate.stderr(), gate.stdout()].concat().join("\n");
    assert!(!printed.contains(TOKEN), "{printed}");
    provider.stop();
    let again = Gate::to("http://127.0.0.1:9").in_folder(gate.kill9()).start();
    assert_eq!(shown(&again, "many_598")["category"], "utility");
    assert_eq!(shown(&again, "many_598")["source"], "provider");
}

#[test]
fn redis_keeps_the_list_as_well() {
    let (provider, redis) = (Provider::start(), Redis::start());
    let gate = provider.gate().redis(&redis.url()).start();
    wait_for_syncs(&gate, "read", 1);
    let folder = gate.kill9();
    let again = provider.seeking_gate().redis(&redis.url()).in_folder(folder).start();
    agree(&again);
    assert_utility(&again, "order_update");
    assert_eq!(provider.list_count(), 1);
}

#[test]
fn a_deleted_template_disappears_with_the_next_whole_list_and_not_before() {
    let provider = Provider::start();
    provider.put("seasonal", "UTILITY");
    let gate = provider
        .gate()
        .set("templates", "sync_every", "\"1s\"")
        .set("templates", "lookup_wait_ms", "0")
        .start();
    agree(&gate);
    wait_for_syncs(&gate, "read", 1);
    provider.fail(Action::Error(131_000), Duration::ZERO);
    provider.control("DELETE", "/_sandbox/templates?name=seasonal", &Value::Null);
    wait_for_syncs(&gate, "failed", 2);
    assert_utility(&gate, "seasonal");
    provider.sandbox().faults().clear();
    eventually("the template is gone", || (send(&gate, "seasonal").status == 400).then_some(()));
    assert_utility(&gate, "order_update");
}

#[test]
fn a_changed_category_and_one_to_come_are_taken_over() {
    let provider = Provider::start();
    provider.put("receipt", "UTILITY");
    let gate = provider.gate().set("templates", "sync_every", "\"1s\"").start();
    agree(&gate);
    wait_for_syncs(&gate, "read", 1);
    assert_utility(&gate, "receipt");
    let to_come = json!({ "name": "receipt", "language": "en-US", "category": "UTILITY", "correct_category": "MARKETING" });
    provider.control("DELETE", "/_sandbox/templates?name=receipt", &Value::Null);
    provider.control("POST", "/_sandbox/templates", &to_come);
    eventually("the stricter counts", || (send(&gate, "receipt").status == 400).then_some(()));
    let receipt = shown(&gate, "receipt");
    assert_eq!(
        (&receipt["category"], &receipt["correct_category"]),
        (&json!("utility"), &json!("marketing"))
    );
    assert_eq!(receipt["language"], "en_US", "as sends spell it");
}

#[test]
fn a_used_up_allowance_is_left_alone_for_longer_and_longer() {
    let provider = Provider::start();
    provider.fail(Action::Error(80_007), Duration::ZERO);
    let gate = provider.gate().start();
    agree(&gate);
    let began = Instant::now();
    wait_for_syncs(&gate, "limited", 3);
    // 200 ms, then 400 ms, each up to a half longer.
    assert!(began.elapsed() >= Duration::from_millis(550), "{:?}", began.elapsed());
    let asked = provider.list_count();
    assert_marketing(&gate, "order_update");
    assert_eq!((provider.list_count(), provider.sends()), (asked, 0), "a look-up waits as well");
    provider.sandbox().faults().clear();
    wait_for_syncs(&gate, "read", 1);
    assert_utility(&gate, "order_update");
}

#[test]
fn the_time_that_the_provider_asks_for_is_given() {
    let upstream = Upstream::start();
    upstream.answer(Answer::raw(
        "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3\r\nContent-Length: 2\r\n\r\n{}",
    ));
    let gate = Gate::to(&upstream.url())
        .set("upstream", "token", &format!("{TOKEN:?}"))
        .set("templates", "retry_ms", "10")
        // The numbers' health is asked for with the same token, and would count here.
        .set("senders", "poll_seconds", "0")
        .start();
    upstream.wait_for(1);
    let began = Instant::now();
    upstream.wait_for(2);
    assert!(began.elapsed() > Duration::from_millis(2_800), "{:?}", began.elapsed());
    assert_eq!(gate.count("optgate_template_syncs_total", &["read"]), 0);
}

#[test]
fn a_nearly_used_allowance_is_left_to_the_callers() {
    let provider = Provider::start();
    for n in 0..600 {
        provider.put(&format!("many_{n:03}"), "UTILITY");
    }
    provider.control("POST", "/_sandbox/limits", &json!({ "calls_per_hour": 2 }));
    let gate = provider.gate().start();
    wait_for_syncs(&gate, "limited", 1);
    // The second of three pages said that nothing is left.
    assert_eq!(provider.list_count(), 2);
    std::thread::sleep(Duration::from_millis(800));
    assert_eq!(provider.list_count(), 2);
    // What was read counts already.
    agree(&gate);
    assert_utility(&gate, "many_000");
}

#[test]
fn a_page_that_leads_elsewhere_leads_nowhere() {
    let (upstream, elsewhere) = (Upstream::start(), Upstream::start());
    let next = format!("{}/v23.0/x/message_templates?access_token=T&after=CURSOR", elsewhere.url());
    upstream.respond(move |request| {
        let page = |name: &str, next: Option<&str>| {
            let item =
                json!({ "name": name, "language": "en_US", "category": "UTILITY", "status": "APPROVED" });
            json!({ "data": [item], "paging": { "next": next } }).to_string()
        };
        let first = !request.target().contains("after=");
        let body = if first { page("first", Some(&next)) } else { page("second", None) };
        Answer::json(200, &body)
    });
    let gate = Gate::to(&upstream.url()).set("upstream", "token", &format!("{TOKEN:?}")).start();
    wait_for_syncs(&gate, "read", 1);
    assert_eq!(upstream.request_count(), 2);
    assert!(upstream.requests()[1].target().contains("&after=CURSOR"));
    assert_eq!(elsewhere.connection_count(), 0);
    assert_eq!(shown(&gate, "second")["category"], "utility");
}

#[test]
fn a_redirect_does_not_get_the_token() {
    let (upstream, elsewhere) = (Upstream::start(), Upstream::start());
    let moved = format!("HTTP/1.1 302 Found\r\nLocation: {}/\r\nContent-Length: 0\r\n\r\n", elsewhere.url());
    upstream.answer(Answer::raw(moved));
    let gate = Gate::to(&upstream.url()).set("upstream", "token", &format!("{TOKEN:?}")).start();
    wait_for_syncs(&gate, "failed", 1);
    assert_eq!(elsewhere.connection_count(), 0);
}

#[test]
fn what_is_too_old_counts_as_marketing_and_what_was_imported_does_not_grow_old() {
    let mut provider = Provider::start();
    let gate = provider
        .gate()
        .set("templates", "sync_every", "\"1s\"")
        .set("templates", "stale_after", "\"3s\"")
        .set("templates", "lookup_wait_ms", "100")
        .start();
    agree(&gate);
    wait_for_syncs(&gate, "read", 1);
    gate.put_templates(&json!([{ "name": "imported", "language": "en_US", "category": "UTILITY" }]));
    assert_utility(&gate, "order_update");
    assert_utility(&gate, "imported");
    let checked = |name: &str| {
        let sender = crate::support::gate::SENDER;
        let question =
            json!({ "sender": sender, "to": crate::journey::BOB, "template": name, "language": "en_US" });
        gate.check(&question)["category"].clone()
    };
    provider.stop();
    eventually("the list is too old", || (checked("order_update") == "marketing").then_some(()));
    assert_eq!(checked("imported"), "utility");
    assert_eq!(shown(&gate, "order_update")["stale"], true);
    let age = gate.metric("optgate_template_catalogue_age_seconds", &["provider", ACCOUNT]);
    assert!((3.0..30.0).contains(&age), "{age}");
    assert!(gate.metric("optgate_template_catalogue_age_seconds", &["operator", ACCOUNT]) < 30.0);
    let listed = optgate()
        .args(["templates", "list", "--admin", &format!("http://{}", gate.admin_addr())])
        .env("OPTGATE_TOKEN", "integration-tests")
        .stderr(Stdio::inherit())
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let line = listed.lines().find(|line| line.contains("order_update")).unwrap();
    assert!(line.contains("provider") && line.contains("stale"), "{listed}");
}

#[test]
fn a_token_that_may_not_read_is_told_and_shown_nowhere() {
    let provider = Provider::start();
    provider.fail(Action::Error(190), Duration::ZERO);
    let gate = provider.gate().start();
    wait_for_syncs(&gate, "failed", 1);
    let told = eventually("the failure is logged", || {
        gate.stderr().into_iter().find(|line| line.contains("template list could not be read"))
    });
    assert!(told.contains("whatsapp_business_management") && !told.contains(TOKEN), "{told}");
}

/// A list of one template, as the provider answers it.
fn list_of(name: &str) -> Answer {
    let item = json!({ "name": name, "language": "en_US", "category": "UTILITY", "status": "APPROVED" });
    Answer::json(
        200,
        &json!({ "data": [item], "paging": { "cursors": { "before": "a", "after": "a" } } }).to_string(),
    )
}

#[test]
fn the_provider_is_read_over_tls_with_its_certificate_checked() {
    let upstream = Upstream::start_tls();
    upstream.answer(list_of("over_tls"));
    let start = |gate: GateBuilder| {
        gate.set("upstream", "token", &format!("{TOKEN:?}")).set("templates", "retry_ms", "50").start()
    };
    let trusting = start(Gate::to(&upstream.url()).ca_file(upstream.ca_file()));
    wait_for_syncs(&trusting, "read", 1);
    assert_eq!(shown(&trusting, "over_tls")["category"], "utility");
    drop(trusting); // it also asks how its number is doing, at a time of its own
    let asked = upstream.request_count();
    let doubting = start(Gate::to(&upstream.url()));
    wait_for_syncs(&doubting, "failed", 2);
    assert_eq!(upstream.request_count(), asked, "the token went to nobody");
}

#[test]
fn a_token_in_a_file_is_exchanged_without_a_restart_and_a_new_account_needs_none() {
    let upstream = Upstream::start();
    upstream.answer(list_of("rotated"));
    let folder = tempfile::TempDir::with_prefix("optgate-test-").unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "EAAFIRST\n").unwrap();
    let gate = Gate::to(&upstream.url())
        .set("upstream", "token_file", &format!("\"{}\"", token.display()))
        .set("templates", "sync_every", "\"1s\"")
        .start();
    let asked = |path: &str, bearer: &str| {
        let bearer = format!("Bearer {bearer}");
        let own = |request: &Received| {
            request.target().contains(path) && request.header("authorization") == Some(&bearer)
        };
        upstream.requests().iter().any(own).then_some(())
    };
    eventually("the first token is used", || asked(ACCOUNT, "EAAFIRST"));
    std::fs::write(&token, "EAASECOND").unwrap();
    eventually("the second token is used", || asked(ACCOUNT, "EAASECOND"));
    let more = "\n[[tenants]]\nname = \"globex\"\ntoken = \"EAAGLOBEX\"\n[[tenants.senders]]\nphone_number_id = \"77\"\naccount = \"7700\"\n";
    let toml = std::fs::read_to_string(gate.config()).unwrap() + more;
    std::fs::write(gate.config(), toml).unwrap();
    eventually("the new account is read", || asked("/7700/", "EAAGLOBEX"));
    let printed = [gate.stderr(), gate.stdout()].concat().join("\n");
    assert!(!printed.contains("EAA"), "{printed}");
}

/// Tells a gate's relay that a template's category has changed.
fn told(webhook: std::net::SocketAddr, name: &str, category: &str) {
    let now = optgate::consent::Clock::System.now().as_secs_u32();
    let value = json!({ "message_template_id": 7, "message_template_name": name, "message_template_language": "en_US",
        "previous_category": "MARKETING", "new_category": category });
    let body = json!({ "object": "whatsapp_business_account",
        "entry": [{ "id": ACCOUNT, "time": now, "changes": [{ "field": "template_category_update", "value": value }] }] });
    let body = body.to_string().into_bytes();
    let signature = crate::webhook::signature("an app secret", &body);
    let headers = [("X-Hub-Signature-256", &*signature)];
    assert_eq!(crate::support::client::request(webhook, "POST", "/", &headers, &body).status, 200);
}

#[test]
fn of_a_list_and_a_webhook_of_the_same_moment_the_stricter_counts_until_another_look_settles_it() {
    let provider = Provider::start();
    for (name, category) in [("milder", "MARKETING"), ("late", "UTILITY"), ("stricter", "UTILITY")] {
        provider.put(name, category);
    }
    let webhook = crate::support::free_addr();
    let gate = provider
        .gate()
        .set("webhook", "listen", &format!("\"{webhook}\""))
        .set("webhook", "verify_token", "\"v\"")
        .set("webhook", "app_secrets", "[\"an app secret\"]")
        .start();
    agree(&gate);
    wait_for_syncs(&gate, "read", 1);
    // Within five seconds of the list, whichever was first. The provider has changed two of them; of the third a webhook repeats what was once.
    for (name, category) in [("milder", "UTILITY"), ("stricter", "MARKETING")] {
        provider.put(name, category);
        told(webhook, name, category);
    }
    told(webhook, "late", "MARKETING");
    for name in ["milder", "late", "stricter"] {
        assert_marketing(&gate, name);
    }
    let lists = provider.list_count();
    eventually("the milder one is looked at again", || (send(&gate, "milder").status == 200).then_some(()));
    assert!(provider.list_count() > lists);
    // The one and only truth of the third is the list's, once that is certainly later; until then it stays strict.
    assert_marketing(&gate, "late");
    assert_marketing(&gate, "stricter");
}
