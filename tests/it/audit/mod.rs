//! Nobody changes the record unnoticed: real stores, changed behind the gate's back, and the commands that find it.

mod erased;
mod raw;

use std::time::Duration;

use base64::Engine;
use optgate::consent::chain::Salt;
use optgate::consent::dossier::Dossier;
use optgate::consent::event::EventAsWritten;
use optgate::consent::terms::WordingNumbers;
use optgate::consent::{Clock, Event, Timestamp};
use serde_json::{Value, json};

use crate::journey::{ALL, grant, inbound, revoke};
use crate::support::gate::{Gate, optgate};
use raw::{Desk, Raw, Row};

const ANN: &str = "15550000001";
const BEN: &str = "15550000002";
const CAT: &str = "15550000003";

/// Runs a command against a gate; its exit code and what it printed.
fn run(gate: &Gate, arguments: &[&str]) -> (i32, String) {
    let admin = format!("http://{}", gate.admin_addr());
    let mut command = optgate();
    command.args(["--admin", &admin]).args(arguments).env("OPTGATE_TOKEN", "integration-tests");
    let output = command.current_dir(gate.folder()).output().unwrap();
    let printed = String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap();
    (output.status.code().unwrap(), printed)
}

/// The lines of a verification: its findings, its summary and the exit code.
fn verify(gate: &Gate) -> (Vec<Value>, Value, i32) {
    let (code, printed) = run(gate, &["--json", "audit", "verify"]);
    let lines: Vec<Value> = printed
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{printed}")))
        .collect();
    assert!(!printed.contains("5550000"), "a number: {printed}");
    let findings: Vec<Value> = lines.iter().filter_map(|line| line.get("finding").cloned()).collect();
    assert_eq!(lines.last().unwrap()["done"]["findings"], findings.len(), "{printed}");
    let verified = lines.iter().find_map(|line| line.get("verified").cloned()).unwrap();
    (findings, verified, code)
}

fn checkpoint(desk: &Desk) -> Value {
    let gate = desk.gate();
    // Where several may write, what is younger than the grace is not covered.
    if matches!(desk, Desk::Redis { .. }) {
        std::thread::sleep(Duration::from_millis(5100));
    }
    let (code, printed) = run(gate, &["--json", "audit", "checkpoint"]);
    assert_eq!(code, 0, "{printed}");
    let answer: Value = serde_json::from_str(&printed).unwrap();
    answer["checkpoints"][0].clone()
}

fn kinds(findings: &[Value]) -> Vec<&str> {
    let mut kinds: Vec<&str> = findings.iter().map(|finding| finding["kind"].as_str().unwrap()).collect();
    kinds.sort_unstable();
    kinds.dedup();
    kinds
}

/// Three people: one agreed, one agreed and withdrew, one agreed and wrote.
fn fill(gate: &Gate) {
    let plus = |digits: &str| format!("+{digits}");
    gate.apply(&[grant(&plus(ANN), &ALL), grant(&plus(BEN), &ALL), grant(&plus(CAT), &ALL)]);
    gate.apply(&[revoke(&plus(BEN), &["marketing"]), inbound(&plus(CAT), Duration::from_secs(60))]);
}

fn replaced(bytes: &[u8], from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let at = bytes.windows(from.len()).position(|window| window == from.as_bytes()).expect(from);
    let mut bytes = bytes.to_vec();
    bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    bytes
}

/// The row of a person as somebody who knows the whole format would forge it: every hash fits, and the times are the true ones.
fn forged(raw: &Raw<'_>, digits: &str, events: &[Value]) -> Row {
    let truth = Dossier::decode(&raw.row(digits).dossier.unwrap()).unwrap();
    let at = Timestamp::from_secs(u64::from(truth.chain().entries()[0].at));
    let mut dossier = Dossier::default();
    for event in events {
        let mut event = event.clone();
        event.as_object_mut().unwrap().remove("tenant");
        let written: EventAsWritten = serde_json::from_value(event).unwrap();
        dossier.learn(Event::check(written, Clock::System.now()).unwrap());
    }
    dossier.seal(at, || Ok::<Salt, ()>([5; 16])).unwrap();
    assert!(dossier.chain().faults().is_empty());
    row_of(&dossier)
}

fn row_of(dossier: &Dossier) -> Row {
    Row {
        dossier: Some(dossier.encode()),
        gate: Some(dossier.record().gate_record(&WordingNumbers::default()).encode().to_vec()),
    }
}

#[test]
fn an_untouched_record_is_found_to_be_whole() {
    for desk in Desk::both() {
        fill(desk.gate());
        let (findings, verified, code) = verify(desk.gate());
        assert_eq!(
            (findings.len(), code, &verified["recipients"], &verified["entries"]),
            (0, 0, &json!(3), &json!(4))
        );
        let made = checkpoint(&desk);
        assert_eq!(
            (&made["recipients"], &made["entries"], &made["new"]),
            (&json!(3), &json!(4), &json!(true))
        );
        assert_eq!(checkpoint(&desk)["new"], json!(false), "nothing changed");
        let log = desk.gate().stderr().join("\n");
        assert!(log.contains(made["hash"].as_str().unwrap()) && log.contains("audit checkpoint"), "{log}");
        // What comes later, repeats and messages of people do not contradict it.
        fill_again(desk.gate());
        assert_eq!(checkpoint(&desk)["new"], json!(true));
        let (findings, verified, code) = verify(desk.gate());
        assert_eq!((findings, code, &verified["checkpoints"]), (vec![], 0, &json!(2)));
        let (code, printed) = run(desk.gate(), &["audit", "verify"]);
        assert!(
            code == 0 && printed.contains("2 checkpoints") && printed.contains(": 0 findings"),
            "{printed}"
        );
    }
}

fn fill_again(gate: &Gate) {
    gate.events(&[grant(&format!("+{ANN}"), &ALL), inbound(&format!("+{CAT}"), Duration::from_secs(1))]);
    gate.apply(&[revoke(&format!("+{ANN}"), &["call"]), grant("+15550000004", &["utility"])]);
}

/// What somebody does to the store, and which kinds of finding must show it.
type Tampering = (&'static str, fn(&Raw<'_>), &'static [&'static str]);

const TAMPERINGS: &[Tampering] = &[
    ("a word edited", |raw| edit(raw, ANN, "\"checked_box\"", "\"checked_bax\""), &["chain"]),
    (
        "a withdrawal made a message",
        |raw| edit(raw, BEN, "\"revoke\"", "\"resume\""),
        &["chain", "gate_record"],
    ),
    ("a recipient removed", |raw| raw.put(ANN, &Row::default()), &["sums"]),
    (
        "a recipient put under another number",
        |raw| {
            let (ann, ben) = (raw.row(ANN), raw.row(BEN));
            raw.put(ANN, &ben);
            raw.put(BEN, &ann);
        },
        &["sums"],
    ),
    (
        "the last entry cut off",
        |raw| {
            let bytes = raw.row(BEN).dossier.unwrap();
            // Version, then tag, mark, time, head, salt, length and text of the first entry.
            let text = u32::from_le_bytes(bytes[55..59].try_into().unwrap());
            let shorter = Dossier::decode(&bytes[..59 + usize::try_from(text).unwrap()]).unwrap();
            assert!(shorter.chain().entries().len() == 1 && shorter.chain().faults().is_empty());
            raw.put(BEN, &row_of(&shorter));
        },
        &["sums"],
    ),
    (
        "a whole history forged",
        |raw| {
            let events = [grant(&format!("+{BEN}"), &ALL), revoke(&format!("+{BEN}"), &["call"])];
            let forged = forged(raw, BEN, &events);
            raw.put(BEN, &forged);
        },
        &["sums"],
    ),
    (
        "the dossier emptied",
        |raw| {
            raw.put(ANN, &row_of(&Dossier::default()));
        },
        &["sums"],
    ),
    (
        "the dossier spoiled",
        |raw| {
            let row = Row { dossier: Some(b"spoiled".to_vec()), ..raw.row(ANN) };
            raw.put(ANN, &row);
        },
        &["sums", "unreadable"],
    ),
    (
        "a permission without events",
        |raw| {
            let gate = raw.row(ANN).gate;
            raw.put("15550000009", &Row { dossier: None, gate });
        },
        &["gate_record|unreadable"],
    ),
    (
        "a permission that its events do not give",
        |raw| {
            let row = Row { gate: raw.row(ANN).gate, ..raw.row(BEN) };
            raw.put(BEN, &row);
        },
        &["gate_record"],
    ),
    (
        "an event slipped in without an entry",
        |raw| {
            let mut row = raw.row(BEN);
            let text = json!({"id": "x", "recipient": format!("+{BEN}"), "kind": "resume", "occurred_at": "2026-01-01T00:00:00Z",
            "received_at": "2026-01-01T00:00:00Z", "actor": "person", "source": "website"}).to_string();
            let dossier = row.dossier.as_mut().unwrap();
            dossier.push(4);
            dossier.extend(u32::try_from(text.len()).unwrap().to_le_bytes());
            dossier.extend(text.as_bytes());
            raw.put(BEN, &row);
        },
        &["gate_record", "unchained"],
    ),
    (
        "the record of a year ago put back",
        |raw| {
            // The first version's form has no chain at all.
            let text = json!({"v": 1, "events": [{"id": "x", "recipient": format!("+{BEN}"), "kind": "grant", "categories": ["marketing"],
            "occurred_at": "2026-01-01T00:00:00Z", "received_at": "2026-01-01T00:00:00Z", "actor": "person", "source": "website",
            "evidence": {"channel": "website"}}]}).to_string();
            let dossier = Dossier::decode(text.as_bytes()).unwrap();
            raw.put(BEN, &Row { dossier: Some(text.into_bytes()), ..row_of(&dossier) });
        },
        &["sums"],
    ),
    (
        "a checkpoint edited",
        |raw| raw.edit_checkpoints("\"recipients\":3", "\"recipients\":2"),
        &["checkpoint"],
    ),
];

fn edit(raw: &Raw<'_>, digits: &str, from: &str, to: &str) {
    let row = raw.row(digits);
    raw.put(digits, &Row { dossier: Some(replaced(&row.dossier.unwrap(), from, to)), ..row });
}

#[test]
fn every_kind_of_tampering_is_found_and_undoing_it_is_clean_again() {
    for mut desk in Desk::both() {
        fill(desk.gate());
        checkpoint(&desk);
        for (what, tamper, expected) in TAMPERINGS {
            let mut before = Vec::new();
            desk.tamper(|raw| {
                before = [ANN, BEN, CAT, "15550000009"].map(|digits| (digits, raw.row(digits))).to_vec();
                tamper(raw);
            });
            let (findings, _, code) = verify(desk.gate());
            let kinds = kinds(&findings);
            assert_eq!(code, 1, "{what}");
            for wanted in *expected {
                assert!(wanted.split('|').any(|one| kinds.contains(&one)), "{what}: {findings:?}");
            }
            desk.tamper(|raw| {
                for (digits, row) in &before {
                    raw.put(digits, row);
                }
                if *what == "a checkpoint edited" {
                    raw.edit_checkpoints("\"recipients\":2", "\"recipients\":3");
                }
            });
            let (findings, _, code) = verify(desk.gate());
            assert_eq!((findings, code), (vec![], 0), "after {what} was undone");
        }
    }
}

#[test]
fn a_finding_names_the_entry_and_the_person_by_hash_alone() {
    let mut desk = Desk::redis();
    fill(desk.gate());
    desk.tamper(|raw| edit(raw, BEN, "\"revoke\"", "\"resume\""));
    let (findings, _, _) = verify(desk.gate());
    let chain = findings.iter().find(|finding| finding["kind"] == "chain").unwrap();
    assert_eq!(chain["entries"], json!([2]));
    assert!(chain["recipient"].as_str().unwrap().starts_with("hash:"));
    let (code, printed) = run(desk.gate(), &["audit", "verify"]);
    assert!(code == 1 && printed.contains("FOUND chain (tenant default)"), "{printed}");
}

#[test]
fn writes_that_go_on_meanwhile_raise_no_false_alarm() {
    for desk in Desk::both() {
        fill(desk.gate());
        std::thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for n in 0..60u32 {
                    let people: Vec<Value> =
                        (0..20).map(|m| grant(&format!("+1555{:07}", 100 + n * 20 + m), &ALL)).collect();
                    desk.gate().apply(&people);
                    desk.gate().apply(&[revoke(&format!("+1555{:07}", 100 + n * 20), &["marketing"])]);
                    // Long enough for checkpoints to cover what is no longer young.
                    std::thread::sleep(Duration::from_millis(150));
                }
            });
            while !writer.is_finished() {
                run(desk.gate(), &["audit", "checkpoint"]);
                let (findings, _, code) = verify(desk.gate());
                assert_eq!((findings, code), (vec![], 0));
            }
        });
        assert_eq!(checkpoint(&desk)["recipients"], 1203);
        let (findings, verified, code) = verify(desk.gate());
        assert_eq!((findings, code), (vec![], 0));
        assert!(verified["checkpoints"].as_u64().unwrap() > 2, "{verified}");
    }
}

#[test]
fn checkpoints_are_made_by_themselves_and_survive_a_restart_with_their_key() {
    let builder = |folder| {
        let builder = Gate::to("http://127.0.0.1:9").set("audit", "grace_seconds", "4").set(
            "audit",
            "checkpoint_every_seconds",
            "1",
        );
        match folder {
            Some(folder) => builder.in_folder(folder),
            None => builder,
        }
    };
    let mut gate = builder(None).start();
    fill(&gate);
    crate::support::eventually("a checkpoint is made", || {
        gate.stderr().join("\n").contains("audit checkpoint").then_some(())
    });
    let key = run(&gate, &["audit", "key"]).1;
    assert!(gate.stop().success());
    let gate = builder(Some(gate.kill9())).start();
    assert_eq!(run(&gate, &["audit", "key"]).1, key);
    let (findings, verified, code) = verify(&gate);
    assert_eq!((findings, code), (vec![], 0));
    assert!(verified["checkpoints"].as_u64().unwrap() >= 1);
}

#[test]
fn a_checkpoint_of_another_key_proves_nothing() {
    let mut desk = Desk::embedded();
    fill(desk.gate());
    checkpoint(&desk);
    let key = desk.gate().folder().join("audit.key");
    std::fs::write(&key, "another secret\n").unwrap();
    let Desk::Embedded { gate, .. } = &mut desk else { panic!("embedded") };
    let mut first = gate.take().unwrap();
    assert!(first.stop().success());
    let other = Gate::to("http://127.0.0.1:9")
        .set("audit", "key_file", &format!("{:?}", key.display()))
        .in_folder(first.kill9())
        .start();
    let (findings, _, code) = verify(&other);
    assert_eq!((kinds(&findings), code), (vec!["checkpoint"], 1));
}

#[test]
fn a_receipt_is_believed_offline_and_a_changed_one_is_not() {
    for desk in Desk::both() {
        let gate = desk.gate();
        fill(gate);
        checkpoint(&desk);
        let (code, receipt) = run(gate, &["audit", "receipt", &format!("+{BEN}")]);
        assert_eq!(code, 0, "{receipt}");
        let parsed: Value = serde_json::from_str(&receipt).unwrap();
        assert_eq!(parsed["categories"]["marketing"]["state"], "revoked");
        assert_eq!(parsed["categories"]["utility"]["state"], "granted");
        assert_eq!(parsed["events"].as_array().unwrap().len(), 2);
        let wording = &parsed["events"][0]["event"]["evidence"]["wording"];
        assert_eq!(*wording, grant("+1", &ALL)["evidence"]["wording"]);
        assert_eq!(
            (&parsed["chain"]["entries"], &parsed["checkpoint"]["covers_entries"]),
            (&json!(2), &json!(2))
        );
        std::fs::write(gate.folder().join("receipt.json"), &receipt).unwrap();
        std::fs::write(gate.folder().join("edited.json"), receipt.replace("\"revoked\"", "\"granted\""))
            .unwrap();
        std::fs::write(gate.folder().join("audit.pub"), run(gate, &["audit", "key"]).1).unwrap();
        // No gate listens there: the check is offline.
        let check = |arguments: &[&str]| {
            let mut command = optgate();
            command.args(["--admin", "http://127.0.0.1:1", "audit", "verify-receipt"]).args(arguments);
            let output = command.current_dir(gate.folder()).output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
        };
        let (code, out, err) = check(&["receipt.json", "--key", "audit.pub"]);
        assert!(
            code == 0 && out.starts_with("valid: signed with the trusted key") && err.is_empty(),
            "{out}{err}"
        );
        let public = std::fs::read(gate.folder().join("audit.pub")).unwrap();
        let in_base64 =
            base64::engine::general_purpose::STANDARD.encode(hex::decode(public.trim_ascii()).unwrap());
        assert_eq!(check(&["receipt.json", "--key", &in_base64]).0, 0);
        let (code, out, err) = check(&["edited.json", "--key", "audit.pub"]);
        assert!(code == 1 && out.is_empty() && err.contains("changed after it was signed"), "{out}{err}");
        assert_eq!(check(&["receipt.json", "--key", &"00".repeat(32)]).0, 1);
        assert_eq!(check(&["nowhere.json"]).0, 1);
        assert_eq!(check(&["receipt.json", "--key", "audit.pub", "--key-from-gate"]).0, 2);
        let (code, out, _) = check(&["receipt.json", "--key-from-gate"]);
        assert!(code == 1 && !out.contains("valid"), "no gate, no key: {out}");
        assert_eq!(run(gate, &["audit", "verify-receipt", "receipt.json", "--key-from-gate"]).0, 0);
    }
}

/// The receipt as somebody else would make it: other words, their own key, and everything in it agrees.
fn forge(receipt: &Value) -> Value {
    let signer = aws_lc_rs::signature::Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
    let mut forged = receipt.clone();
    forged["categories"]["marketing"]["state"] = json!("granted");
    let public = aws_lc_rs::signature::KeyPair::public_key(&signer);
    forged["key"]["public"] = json!(hex::encode(public.as_ref()));
    forged["key"]["id"] = json!(optgate::audit::key_id(public.as_ref().try_into().unwrap()));
    forged.as_object_mut().unwrap().remove("signature");
    // Canonical as it is: serde_json keeps the keys of objects sorted.
    forged["signature"] = json!(hex::encode(signer.sign(forged.to_string().as_bytes())));
    forged
}

#[test]
fn a_receipt_that_somebody_signed_with_a_key_of_their_own_is_not_believed() {
    let desk = Desk::embedded();
    let gate = desk.gate();
    fill(gate);
    let (_, receipt) = run(gate, &["audit", "receipt", &format!("+{BEN}")]);
    let forged = forge(&serde_json::from_str(&receipt).unwrap());
    std::fs::write(gate.folder().join("genuine.json"), &receipt).unwrap();
    std::fs::write(gate.folder().join("forged.json"), forged.to_string()).unwrap();
    std::fs::write(gate.folder().join("audit.pub"), run(gate, &["audit", "key"]).1).unwrap();
    for (file, arguments, expected) in [
        ("genuine.json", &["--key", "audit.pub"][..], 0),
        ("genuine.json", &["--key-from-gate"], 0),
        ("genuine.json", &[], 3),
        ("forged.json", &["--key", "audit.pub"], 1),
        ("forged.json", &["--key-from-gate"], 1),
        // Nothing in the file itself tells it from the genuine one, so nobody is told that it is valid.
        ("forged.json", &[], 3),
    ] {
        let command = [&["audit", "verify-receipt", file], arguments].concat();
        let (code, printed) = run(gate, &command);
        assert_eq!(code, expected, "{file} {arguments:?}: {printed}");
        assert_eq!(printed.contains("valid: "), expected == 0, "{printed}");
        if expected == 3 {
            let id = if file == "forged.json" { &forged["key"]["id"] } else { &Value::Null };
            assert!(printed.contains("NOT verified") && printed.contains("--key"), "{printed}");
            assert!(printed.contains(id.as_str().unwrap_or_default()), "which key signed: {printed}");
        }
        let (code, printed) = run(gate, &[&["--json"][..], &command].concat());
        let told: Value = serde_json::from_str(printed.lines().next().unwrap()).unwrap();
        assert_eq!((code, &told["valid"]), (expected, &json!(expected == 0)), "{printed}");
    }
}

#[test]
fn the_history_is_paged_in_order_of_arrival_with_its_proof() {
    for desk in Desk::both() {
        let gate = desk.gate();
        fill(gate);
        let get = |digits: &str, query: &str| {
            let path = format!("/v1/tenants/default/recipients/%2B{digits}/history{query}");
            let response = gate.admin("GET", &path, "text/plain", b"");
            (response.status, response.json())
        };
        let (status, whole) = get(BEN, "");
        assert_eq!(
            (status, whole["entries"].as_array().unwrap().len(), &whole["next"]),
            (200, 2, &Value::Null)
        );
        assert_eq!(whole["entries"][0]["event"]["kind"], "grant");
        assert_eq!(whole["entries"][0]["event"]["evidence"]["url"], "https://acme.example/checkout");
        assert!(whole["entries"][1]["event"]["received_at"].is_string());
        let (_, first) = get(BEN, "?limit=1");
        assert_eq!((&first["entries"][0], &first["next"]), (&whole["entries"][0], &json!(1)));
        let (_, second) = get(BEN, "?limit=1&after=1");
        assert_eq!((&second["entries"][0], &second["next"]), (&whole["entries"][1], &Value::Null));
        // What the person wrote has no place in the chain and comes last.
        let (_, cat) = get(CAT, "");
        assert_eq!(
            (&cat["entries"][1]["seq"], &cat["entries"][1]["event"]["kind"]),
            (&Value::Null, &json!("inbound"))
        );
        assert_eq!(get(BEN, "?limit=0").0, 400);
        assert_eq!(get(BEN, "?after=x").0, 400);
        assert_eq!(get("15550000099", "").0, 404);
        let (code, printed) = run(gate, &["consent", "history", &format!("+{BEN}")]);
        assert!(
            code == 0 && printed.contains("#1 ") && printed.contains("evidence.wording: I agree"),
            "{printed}"
        );
        let (_, lines) = run(gate, &["--json", "consent", "history", &format!("+{BEN}")]);
        assert_eq!(lines.lines().count(), 2);
    }
}
