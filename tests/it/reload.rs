//! Tenants, senders, tokens and the policy are taken over while the gate runs; a bad file changes nothing.

use std::fs;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use serde_json::{Value, json};

use crate::journey::{ANN, BOB, Scene, grant, of_tenant, refusal, text};
use crate::support::client::{Client, Response, request};
use crate::support::eventually;
use crate::support::gate::{Gate, GateBuilder, SENDER, sha256};
use crate::support::redis::Redis;

const GLOBEX: &str = "\n[[tenants]]\nname = \"globex\"\n[[tenants.senders]]\nphone_number_id = \"77\"\n";

fn config(gate: &Gate) -> String {
    fs::read_to_string(gate.config()).unwrap()
}

/// Writes the file anew in place and waits until the gate has tried it.
#[track_caller]
fn edit(gate: &Gate, toml: &str) {
    let before = attempts(gate);
    fs::write(gate.config(), toml).unwrap();
    eventually("the file is noticed", || (attempts(gate) > before).then_some(()));
}

/// Puts another file in its place and waits until the gate has tried it.
#[track_caller]
fn replace(gate: &Gate, toml: &str) {
    let before = attempts(gate);
    let next = gate.folder().join("next.toml");
    fs::write(&next, toml).unwrap();
    fs::rename(&next, gate.config()).unwrap();
    eventually("the file is noticed", || (attempts(gate) > before).then_some(()));
}

fn attempts(gate: &Gate) -> usize {
    gate.count("optgate_config_reloads_total", &[])
}

/// Sends through one connection, so that a dropped one is noticed.
fn send(client: &mut Client, sender: &str, to: &str) -> Response {
    let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer EAATESTTOKEN")];
    let target = format!("/v23.0/{sender}/messages");
    client.request("POST", &target, &headers, text(to).to_string().as_bytes())
}

fn readyz(gate: &Gate) -> Value {
    gate.admin("GET", "/readyz", "text/plain", b"").json()
}

fn a_tenant_comes_and_goes(configure: impl FnOnce(GateBuilder) -> GateBuilder) {
    let scene = Scene::agreed_with(configure);
    let gate = &scene.gate;
    let mut client = gate.connect();
    refusal(403, 10, "caller_not_permitted").assert(&send(&mut client, "77", ANN));
    let first = config(gate);
    edit(gate, &(first.clone() + GLOBEX));
    refusal(400, 131_030, "no_consent").assert(&send(&mut client, "77", ANN));
    gate.apply(&[of_tenant("globex", grant(ANN, &["service"]))]);
    assert_eq!(scene.upstream.request_count(), 0);
    assert_eq!(send(&mut client, "77", ANN).status, 200);
    assert_eq!(send(&mut client, SENDER, ANN).status, 200);
    assert_eq!(gate.count("optgate_decisions_total", &["tenant=\"globex\"", "decision=\"allow\""]), 1);
    // Gone: its sends are refused and the admin API knows it no more.
    replace(gate, &first);
    refusal(403, 10, "caller_not_permitted").assert(&send(&mut client, "77", ANN));
    assert_eq!(gate.admin("GET", "/v1/tenants/globex/recipients/%2B15550000001", "", b"").status, 404);
    // Back: what was agreed to still holds.
    edit(gate, &(first + GLOBEX));
    assert_eq!(send(&mut client, "77", ANN).status, 200);
    assert_eq!(scene.upstream.request_count(), 3);
    assert_eq!(gate.metric("optgate_config_reload_ok", &[]).to_bits(), 1f64.to_bits());
}

#[test]
fn a_tenant_comes_and_goes_without_a_restart_and_keeps_its_consent() {
    a_tenant_comes_and_goes(|gate| gate);
}

#[test]
fn a_tenant_comes_and_goes_with_redis_too() {
    let server = Redis::start();
    a_tenant_comes_and_goes(|gate| gate.redis(&server.url()).set("store", "lookup_deadline_ms", "5000"));
}

#[test]
fn a_token_that_is_removed_stops_working_and_a_new_one_works() {
    let scene = Scene::start();
    let gate = &scene.gate;
    let first = config(gate);
    let entry = |name: &str| {
        let digest = sha256(name.as_bytes());
        format!(
            "\n[[admin.tokens]]\nname = {name:?}\nsha256 = {digest:?}\nscopes = [\"consent:read\"]\ntenants = [\"globex\"]\n"
        )
    };
    let ask = |token: &str| {
        let bearer = format!("Bearer {token}");
        let target = "/v1/tenants/globex/recipients/%2B15550000001";
        request(gate.admin_addr(), "GET", target, &[("Authorization", bearer.as_str())], b"").status
    };
    assert_eq!(ask("new"), 401);
    edit(gate, &(first.clone() + GLOBEX + &entry("new")));
    assert_eq!(ask("new"), 404, "nothing is known of her yet, and the token may ask");
    edit(gate, &(first + GLOBEX + &entry("newer")));
    assert_eq!((ask("new"), ask("newer")), (401, 404));
}

/// Whoever writes a file may die or find the disk full at the end of any line.
#[test]
fn a_file_that_was_cut_off_is_not_taken_until_somebody_says_that_it_is_meant_so() {
    let scene = Scene::agreed();
    let gate = &scene.gate;
    let first = config(gate);
    let confined = format!(
        "\n[[admin.tokens]]\nname = \"crm\"\nsha256 = {:?}\nscopes = [\"consent:read\"]\ntenants = [\"globex\"]\n",
        sha256(b"crm")
    );
    let whole = first.clone() + GLOBEX + &confined;
    replace(gate, &whole);
    let mut client = gate.connect();
    gate.apply(&[of_tenant("globex", grant(ANN, &["service"]))]);
    let served = |client: &mut Client| assert_eq!(send(client, "77", ANN).status, 200);
    served(&mut client);
    let ask = |tenant: &str| {
        let target = format!("/v1/tenants/{tenant}/recipients/%2B15550000001");
        request(gate.admin_addr(), "GET", &target, &[("Authorization", "Bearer crm")], b"").status
    };
    assert_eq!((ask("globex"), ask("default")), (200, 403));
    // Without its last line the token would be confined no more; without its last lines there would be neither token nor tenant.
    let line_ends: Vec<usize> =
        whole.match_indices('\n').map(|(at, _)| at + 1).filter(|at| *at > first.len()).collect();
    for cut in line_ends.iter().rev().skip(1).copied().chain([first.len(), whole.len() - 1, whole.len() - 3])
    {
        edit(gate, &whole[..cut]);
        let warnings = readyz(gate)["warnings"].to_string();
        assert!(warnings.contains("looks half-written") && warnings.contains("SIGHUP"), "{cut}: {warnings}");
        served(&mut client);
        assert_eq!((ask("globex"), ask("default")), (200, 403), "{cut}");
    }
    assert!(gate.stderr().join("\n").contains("looks half-written"));
    assert_eq!(gate.count("optgate_config_reloads_total", &["result=\"ok\""]), 1);
    // As it stands, it is meant so.
    fs::write(gate.config(), &first).unwrap();
    let before = gate.count("optgate_config_reloads_total", &["result=\"ok\""]);
    gate.signal("HUP");
    eventually("the operator's word is taken", || {
        (gate.count("optgate_config_reloads_total", &["result=\"ok\""]) > before).then_some(())
    });
    refusal(403, 10, "caller_not_permitted").assert(&send(&mut client, "77", ANN));
    assert_eq!(ask("globex"), 401);
    assert_eq!(readyz(gate)["warnings"], json!([]));
}

#[test]
fn a_bad_file_keeps_the_last_good_one_and_says_why_until_it_is_mended() {
    let scene = Scene::agreed();
    let gate = &scene.gate;
    let good = config(gate);
    let missing = gate.folder().join("away.toml");
    for bad in [
        "[proxy\n".to_owned(),
        String::new(),
        good.replace("[policy]", "[polizy]") + "\n[policy]\nmode = \"none\"\n",
    ] {
        edit(gate, &bad);
        assert_eq!(gate.metric("optgate_config_reload_ok", &[]).to_bits(), 0f64.to_bits());
        let warnings = readyz(gate)["warnings"].to_string();
        assert!(warnings.contains("configuration not reloaded"), "{warnings}");
        assert_eq!(scene.send_permitted().status, 200);
    }
    let told = gate.stderr().join("\n");
    assert!(told.contains("policy.mode") && told.contains("not TOML") && told.contains("is empty"), "{told}");
    let before = attempts(gate);
    fs::rename(gate.config(), &missing).unwrap();
    eventually("the missing file is noticed", || (attempts(gate) > before).then_some(()));
    assert_eq!(scene.send_permitted().status, 200);
    edit(gate, &good);
    assert_eq!(readyz(gate)["warnings"], json!([]));
    assert_eq!(gate.count("optgate_config_reloads_total", &["result=\"failed\""]), 4);
    assert_eq!(gate.count("optgate_config_reloads_total", &["result=\"ok\""]), 1);
}

#[test]
fn what_needs_a_restart_is_named_and_the_rest_is_in_force() {
    let scene = Scene::agreed();
    let gate = &scene.gate;
    let listen = format!("listen = \"{}\"", gate.addr());
    let moved =
        config(gate).replace(&listen, "listen = \"127.0.0.1:1\"") + "\n[policy]\nkill_switch = true\n";
    edit(gate, &moved);
    let warnings = readyz(gate)["warnings"].to_string();
    assert!(warnings.contains("proxy.listen") && !warnings.contains("kill_switch"), "{warnings}");
    let told = gate.stderr().join("\n");
    assert!(told.contains("proxy.listen") && told.contains("restart"), "{told}");
    refusal(400, 131_030, "kill_switch").assert(&scene.send_permitted());
    scene.assert_untouched();
}

#[test]
fn sighup_reloads_at_once_and_opens_the_decision_log_anew() {
    let scene = Scene::agreed_with(|gate| gate.set("decision_log", "file", "\"decisions.ndjson\""));
    let gate = &scene.gate;
    let log = gate.folder().join("decisions.ndjson");
    fs::rename(&log, gate.folder().join("old")).unwrap();
    let before = attempts(gate);
    gate.signal("HUP");
    eventually("the configuration is reloaded", || (attempts(gate) == before + 1).then_some(()));
    assert_eq!(scene.send_permitted().status, 200);
    eventually("the decision stands in the new file", || {
        fs::read_to_string(&log).ok().filter(|text| text.lines().count() == 1)
    });
}

/// Every verdict while the configuration changes a hundred times is the one that any of the configurations gives.
#[test]
fn a_hundred_reloads_under_load_give_no_wrong_verdict_and_drop_no_connection() {
    let scene = Scene::agreed();
    let gate = &scene.gate;
    let [plain, more] = [config(gate), config(gate) + GLOBEX];
    let done = AtomicBool::new(false);
    let forwarded: usize = std::thread::scope(|scope| {
        let workers: Vec<_> = (0..3)
            .map(|_| {
                scope.spawn(|| {
                    let (mut client, mut allowed) = (gate.connect(), 0);
                    while !done.load(Ordering::Relaxed) {
                        assert_eq!(send(&mut client, SENDER, ANN).status, 200);
                        allowed += 1;
                        refusal(400, 131_030, "no_consent").assert(&send(&mut client, SENDER, BOB));
                        let stranger = send(&mut client, "77", ANN);
                        let told = stranger.header("optgate-decision").unwrap_or_default().to_owned();
                        assert!(
                            told == "deny; reason=no_consent" || told == "deny; reason=caller_not_permitted",
                            "{told}"
                        );
                    }
                    allowed
                })
            })
            .collect();
        let next = gate.folder().join("next.toml");
        for round in 0..100 {
            let before = attempts(gate);
            fs::write(&next, if round % 2 == 0 { &more } else { &plain }).unwrap();
            fs::rename(&next, gate.config()).unwrap();
            gate.signal("HUP");
            let deadline = Instant::now() + crate::support::PATIENCE;
            while attempts(gate) == before {
                assert!(Instant::now() < deadline, "reload {round} does not happen");
            }
        }
        done.store(true, Ordering::Relaxed);
        workers.into_iter().map(|worker| worker.join().unwrap()).sum()
    });
    assert!(forwarded > 100, "only {forwarded} sends: no load");
    assert_eq!(scene.upstream.request_count(), forwarded);
    assert_eq!(gate.count("optgate_config_reloads_total", &["result=\"failed\""]), 0);
}

#[test]
fn new_tenants_wait_for_a_store_that_is_away() {
    let mut server = Redis::start();
    let scene =
        Scene::agreed_with(|gate| gate.redis(&server.url()).set("store", "lookup_deadline_ms", "5000"));
    let gate = &scene.gate;
    server.kill9();
    edit(gate, &(config(gate) + GLOBEX));
    let warnings = readyz(gate)["warnings"].to_string();
    assert!(warnings.contains("consent store does not answer; trying again"), "{warnings}");
    refusal(403, 10, "caller_not_permitted").assert(&gate.post("/v23.0/77/messages", &text(ANN)));
    server.restart();
    eventually("the new tenant is served", || {
        let told = gate.post("/v23.0/77/messages", &text(ANN));
        (told.header("optgate-decision") == Some("deny; reason=no_consent")).then_some(())
    });
    assert_eq!(scene.upstream.request_count(), 0);
}
