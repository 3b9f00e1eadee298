//! One scene, played by the real packages that people use.
//!
//! `tests/run` installs them, at the versions that `requirements.txt` and `package-lock.json` name.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use http::Method;
use serde_json::{Value, json};

use super::{FRIEND, FRIEND_ID, LEAVER, STRANGER, Stage, UNDELIVERABLE, body, sends};
use crate::support::gate::{ACCOUNT, SENDER, sha256};
use crate::support::process::Process;

const BARE: &str = "15550000001";
const PHOTO: [u8; 3000] = [0xA7; 3000];

/// How long one scene may take.
const SCENE: Duration = Duration::from_secs(40);

/// What becomes of a step of the scene.
enum Fate {
    /// Delivered: type, recipient and category as the sandbox understood them.
    Sent(&'static str, &'static str, &'static str),
    /// Reached the upstream, which refused it.
    RefusedByProvider(u64),
    /// Refused by the gate: code, deny reason, category.
    Refused(u64, &'static str, &'static str),
    /// No send, and has this result; `null` stands for any.
    Answered(Value),
}

/// The scene, step by step.
fn scene() -> Vec<(&'static str, Fate)> {
    use Fate::{Answered, Refused, RefusedByProvider, Sent};
    vec![
        ("text", Sent("text", FRIEND, "service")),
        ("text_bare_number", Sent("text", BARE, "service")),
        ("text_user_id", Sent("text", FRIEND_ID, "service")),
        ("utility_template", Sent("template", FRIEND, "utility")),
        ("marketing_template", Sent("template", FRIEND, "marketing")),
        ("buttons", Sent("interactive", FRIEND, "service")),
        ("list", Sent("interactive", FRIEND, "service")),
        ("upload", Answered(Value::Null)),
        ("media_url", Answered(Value::Null)),
        ("download", Answered(json!(sha256(&PHOTO)))),
        ("image_by_id", Sent("image", FRIEND, "service")),
        ("image_by_link", Sent("image", FRIEND, "service")),
        ("reaction", Sent("reaction", FRIEND, "service")),
        ("location", Sent("location", FRIEND, "service")),
        ("contacts", Sent("contacts", FRIEND, "service")),
        ("read", Answered(json!(true))),
        ("typing", Answered(json!(true))),
        (
            "templates",
            Answered(json!([["hello_world", "order_update"], ["promo_sale", "promo_sale"], ["otp_code"]])),
        ),
        ("provider_error", RefusedByProvider(131_026)),
        ("text_to_stranger", Refused(131_030, "no_consent", "service")),
        ("template_to_stranger", Refused(131_030, "no_consent", "utility")),
        ("image_to_stranger", Refused(131_030, "no_consent", "service")),
        ("marketing_to_leaver", Refused(131_050, "consent_revoked", "marketing")),
        ("utility_to_leaver", Sent("template", LEAVER, "utility")),
    ]
}

#[test]
fn pywa_plays_the_scene_and_raises_its_own_errors_for_refusals() {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/clients/pywa_scene.py");
    let python = installed("python", include_str!("requirements.txt")).join("bin/python");
    let mut command = Command::new(python);
    command.arg(script).env("NO_PROXY", "127.0.0.1").env("PYTHONDONTWRITEBYTECODE", "1");
    let steps = play(command);
    for (step, class) in [
        ("provider_error", "MessageUndeliverable"),
        ("text_to_stranger", "RecipientNotInAllowedList"),
        ("template_to_stranger", "RecipientNotInAllowedList"),
        ("marketing_to_leaver", "UserStoppedMarketingMessages"),
    ] {
        assert_eq!(of(&steps, step)["error"]["class"], class, "{step}");
    }
}

#[test]
fn kapso_plays_the_scene_and_takes_no_refusal_for_a_fault_to_retry() {
    // Evaluated, so that the packages are looked up in the working directory and not beside the script.
    let script = include_str!("kapso_scene.mjs");
    let folder = installed("node", include_str!("package-lock.json"));
    let mut command = Command::new(folder.join("bin/node"));
    command.current_dir(folder).args(["--input-type=module", "--eval", script, "--"]);
    let steps = play(command);
    for (step, hint) in [
        ("text_to_stranger", "fix_and_retry"),
        ("template_to_stranger", "fix_and_retry"),
        ("marketing_to_leaver", "do_not_retry"),
    ] {
        let error = &of(&steps, step)["error"];
        assert_eq!(
            (error["class"].as_str(), error["retry"].as_str()),
            (Some("GraphApiError"), Some(hint)),
            "{step}"
        );
    }
}

/// The folder into which `tests/run` installed the packages of this list.
pub(crate) fn installed(language: &str, list: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients").join(language);
    let installed = std::fs::read_to_string(folder.join("installed"));
    assert!(
        installed.is_ok_and(|installed| installed == list),
        "{} is absent or out of date: run `tests/run --install-only`",
        folder.display()
    );
    folder
}

/// Plays the scene on a stage of its own, checks that what should arrive did, once, and gives what the script printed.
fn play(mut command: Command) -> Vec<Value> {
    let mut stage = Stage::set();
    let cast = json!({
        "gate": format!("http://{}", stage.gate.addr()), "token": "EAAMADEUP",
        "sender": SENDER, "account": ACCOUNT, "photo": hex::encode(PHOTO),
        "friend": FRIEND, "friend_id": FRIEND_ID, "stranger": STRANGER, "leaver": LEAVER, "undeliverable": UNDELIVERABLE,
    });
    command.arg(cast.to_string());
    let mut script = Process::start(command).unwrap();
    let status = script.wait(SCENE);
    let printed = script.stdout();
    assert!(
        status.is_some_and(|s| s.success()),
        "{status:?}\n{}\n{}",
        printed.join("\n"),
        script.stderr().join("\n")
    );
    let steps: Vec<Value> = printed.iter().map(|line| serde_json::from_str(line).unwrap()).collect();
    check_steps(&steps);
    check_journal(&stage);
    // Ended, so that its log is complete.
    stage.gate.stop();
    check_decisions(&stage.gate.decision_log(), &steps);
    steps
}

fn of<'a>(steps: &'a [Value], name: &str) -> &'a Value {
    steps.iter().find(|step| step["step"] == name).unwrap_or_else(|| panic!("the scene has no step {name}"))
}

/// What the client saw.
fn check_steps(steps: &[Value]) {
    let played: Vec<&str> = steps.iter().filter_map(|step| step["step"].as_str()).collect();
    assert_eq!(played, scene().iter().map(|(name, _)| *name).collect::<Vec<_>>());
    for (name, fate) in scene() {
        let step = of(steps, name);
        let (result, error) = (&step["result"], &step["error"]);
        match fate {
            Fate::Sent(..) => assert!(result.as_str().is_some_and(|id| id.starts_with("wamid.")), "{step}"),
            Fate::Answered(Value::Null) => assert!(!result.is_null(), "{step}"),
            Fate::Answered(expected) => assert_eq!(*result, expected, "{step}"),
            Fate::RefusedByProvider(code) => {
                assert_eq!(error["code"], code, "{step}");
                assert!(!step.to_string().contains("optgate"), "{step}");
            }
            Fate::Refused(code, reason, _) => {
                assert_eq!((&error["code"], &error["status"]), (&json!(code), &json!(400)), "{step}");
                let message = error["message"].as_str().unwrap();
                assert!(message.starts_with(&format!("(#{code}) The recipient has ")), "{step}");
                let details = error["details"].as_str().unwrap();
                assert!(details.starts_with(&format!("optgate: {reason}: ")), "{step}");
                assert_eq!(error["transient"], false, "{step}");
            }
        }
    }
}

/// What arrived: every send that was permitted, in order, once, and none of the others.
fn check_journal(stage: &Stage) {
    let entries = stage.journal().entries();
    let arrived: Vec<_> = entries
        .iter()
        .filter(|entry| !entry.sends.is_empty())
        .map(|entry| {
            let message: Value = serde_json::from_slice(body(entry)).unwrap();
            let [(to, category)] = sends(entry)[..] else { panic!("several sends in one") };
            (message["type"].as_str().unwrap().to_owned(), to.to_owned(), category.to_owned())
        })
        .collect();
    let expected: Vec<_> = scene()
        .into_iter()
        .filter_map(|(_, fate)| match fate {
            Fate::Sent(kind, to, category) => Some((kind.to_owned(), to.to_owned(), category.to_owned())),
            Fate::RefusedByProvider(_) => Some(("text".into(), UNDELIVERABLE.to_owned(), "service".into())),
            Fate::Refused(..) | Fate::Answered(_) => None,
        })
        .collect();
    assert_eq!(arrived, expected);
    // The other writes are an upload and two marks as read.
    let writes = entries.iter().filter(|entry| entry.method != Method::GET).count();
    assert_eq!(writes, expected.len() + 3);
    stage.assert_nothing_reached(&[STRANGER]);
}

/// What the gate recorded: one decision for each send, so no client tried a refused one again.
fn check_decisions(log: &[Value], steps: &[Value]) {
    let tried = scene().into_iter().filter(|(_, fate)| !matches!(fate, Fate::Answered(_))).count();
    assert_eq!(log.len(), tried);
    for (name, fate) in scene() {
        let Fate::Refused(_, reason, category) = fate else { continue };
        let id = &of(steps, name)["error"]["trace"];
        let of_it: Vec<_> = log.iter().filter(|event| event["id"] == *id).collect();
        let [event] = of_it[..] else {
            panic!("{name}: {} events with the id that the client saw", of_it.len())
        };
        assert_eq!(
            (event["decision"].as_str(), event["reason"].as_str(), event["category"].as_str()),
            (Some("deny"), Some(reason), Some(category)),
            "{name}"
        );
    }
    let denied = log.iter().filter(|event| event["decision"] == "deny").count();
    assert_eq!(denied, scene().iter().filter(|(_, fate)| matches!(fate, Fate::Refused(..))).count());
}
