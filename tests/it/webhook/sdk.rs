//! Bots that get their webhooks with the real packages, whose own signature checks are on: the relay hands on what they find genuine.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

use super::{SECRET, change, deliver, digits, message, relaying_to, seconds, signature};
use crate::clients::sdk::installed;
use crate::journey::{ALL, ANN, grant, template, templates};
use crate::support::client::request;
use crate::support::eventually;
use crate::support::gate::{Gate, SENDER};
use crate::support::process::Process;
use crate::support::upstream::Upstream;

/// A package's bot as a process.
struct Bot {
    process: Process,
    addr: SocketAddr,
}

impl Bot {
    fn start(mut command: Command) -> Self {
        command.arg(json!({ "sender": SENDER, "secret": SECRET }).to_string());
        let process = Process::start(command).unwrap();
        let port = eventually("the bot listens", || {
            let told: Value = serde_json::from_str(process.stdout().first()?).ok()?;
            told["port"].as_u64()
        });
        Self { process, addr: SocketAddr::from(([127, 0, 0, 1], u16::try_from(port).unwrap())) }
    }

    /// Waits until it has printed so many lines after the first, and gives them.
    fn told(&self, count: usize) -> Vec<Value> {
        let lines = eventually("the bot tells what it got", || {
            let lines = self.process.stdout();
            (lines.len() > count).then_some(lines)
        });
        lines.iter().skip(1).map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[test]
fn pywa_finds_relayed_webhooks_genuine_and_forged_ones_not() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/pywa_webhook.py");
    let list = include_str!("../clients/requirements.txt");
    let python = installed("python", list).join("bin/python");
    plays(|| {
        let mut command = Command::new(&python);
        command.arg(&script).env("PYTHONDONTWRITEBYTECODE", "1");
        command
    });
}

#[test]
fn kapso_finds_relayed_webhooks_genuine_and_forged_ones_not() {
    // Evaluated, so that the packages are looked up in the working directory and not beside the script.
    let script = include_str!("../clients/kapso_webhook.mjs");
    let folder = installed("node", include_str!("../clients/package-lock.json"));
    plays(|| {
        let mut command = Command::new(folder.join("bin/node"));
        command.current_dir(&folder).args(["--input-type=module", "--eval", script, "--"]);
        command
    });
}

/// A message and a status, in both modes of the relay, and a forgery of each kind.
fn plays(command: impl Fn() -> Command) {
    for relay in ["wait", "queue"] {
        let (bot, upstream) = (Bot::start(command()), Upstream::start());
        let url = format!("http://{}/hook", bot.addr);
        let (gate, webhook) = relaying_to(Gate::to(&upstream.url()), Some(&url));
        let gate = gate.set("webhook", "relay", &format!("{relay:?}")).start();
        gate.put_templates(&templates());
        gate.apply(&[grant(ANN, &ALL)]);

        let mut hello = message(ANN, seconds(-5), "Gr\u{fc}\u{df}e, \u{1f44b}");
        let value = &mut hello["entry"][0]["changes"][0]["value"];
        value["contacts"][0]["user_id"] = json!("US.1349");
        value["messages"][0]["from_user_id"] = json!("US.1349");
        assert_eq!(deliver(webhook, &hello).status, 200, "{relay}");
        let [signature_checked, got] = &bot.told(2)[..] else { panic!("{:?}", bot.told(2)) };
        assert_eq!(signature_checked["genuine"], true);
        assert_eq!(
            (&got["kind"], &got["sender"], &got["text"]),
            (&json!("message"), &json!(digits(ANN)), &json!("Gr\u{fc}\u{df}e, \u{1f44b}"))
        );

        let delivered = change(
            "messages",
            json!({
                "contacts": [{ "profile": { "name": "Ann" }, "wa_id": digits(ANN), "user_id": "US.1349" }],
                "statuses": [{ "id": "wamid.sent", "status": "delivered", "timestamp": seconds(0).to_string(), "recipient_id": digits(ANN),
                    "recipient_user_id": "US.1349", "pricing": { "billable": true, "pricing_model": "PMP", "type": "regular", "category": "utility" } }]
            }),
        );
        assert_eq!(deliver(webhook, &delivered).status, 200);
        let told = bot.told(4);
        assert_eq!((&told[2]["genuine"], &told[3]["id"]), (&json!(true), &json!("wamid.sent")));
        assert_eq!(told[3]["status"], "delivered");

        forged(&bot, &gate, webhook);
    }
}

/// The relay keeps a forgery to itself, and the package refuses one that did not come through it.
fn forged(bot: &Bot, gate: &Gate, webhook: SocketAddr) {
    let stop = message(ANN, seconds(0), "STOP").to_string();
    let signed = signature("another secret", stop.as_bytes());
    let headers = [("Content-Type", "application/json"), ("X-Hub-Signature-256", &*signed)];
    assert_eq!(request(webhook, "POST", "/hook", &headers, stop.as_bytes()).status, 403);
    assert_eq!(gate.send(&template(ANN, "utility")).status, 200);
    assert_eq!(request(bot.addr, "POST", "/hook", &headers, stop.as_bytes()).status, 403);
    let told = bot.told(5);
    assert_eq!((told.len(), &told[4]["genuine"]), (5, &json!(false)));
}
