//! The demo: what it prints is what happened, and it leaves nothing behind.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use crate::support::client::request;
use crate::support::gate::optgate;
use crate::support::process::Process;
use crate::support::{PATIENCE, eventually};

/// The last line that `optgate demo` prints before it waits.
const LAST_LINE: &str = "/_sandbox";

/// A demo whose temporary folder is inside one of ours.
pub(crate) struct Demo {
    pub(crate) process: Process,
    tmp: TempDir,
}

impl Demo {
    pub(crate) fn start(arguments: &[&str]) -> Self {
        let tmp = tempfile::tempdir().unwrap();
        let mut command = optgate();
        command.arg("demo").args(arguments).env("TMPDIR", tmp.path());
        Self { process: Process::start(command).unwrap(), tmp }
    }

    /// Everything it printed, once it waits for Ctrl-C.
    pub(crate) fn printed(&mut self) -> Vec<String> {
        eventually("the demo has played its scene", || {
            let lines = self.process.stdout();
            let ended = self.process.exited();
            assert!(ended.is_none(), "{ended:?}: {}", self.process.stderr().join("\n"));
            lines.last().is_some_and(|line| line.ends_with(LAST_LINE)).then_some(lines)
        })
    }

    /// The folder with the gate's files, if it exists.
    pub(crate) fn folder(&self) -> Option<PathBuf> {
        std::fs::read_dir(self.tmp.path()).unwrap().next().map(|entry| entry.unwrap().path())
    }

    #[track_caller]
    pub(crate) fn ends_well(&mut self) {
        let status = self.process.wait(PATIENCE).expect("the demo does not end");
        assert_eq!(status.code(), Some(0), "{}", self.process.stderr().join("\n"));
        assert_eq!(self.folder(), None, "the demo left its folder behind");
    }
}

/// One exchange as it was printed.
#[derive(Debug, Default)]
struct Exchange {
    method: String,
    target: String,
    essence: String,
    status: u16,
    answer: String,
    decision: Option<String>,
}

impl Exchange {
    fn is_send(&self) -> bool {
        self.target.ends_with("/messages")
    }

    fn field(&self, name: &str) -> &str {
        let prefix = format!("{name}: ");
        self.essence.split(", ").find_map(|field| field.strip_prefix(prefix.as_str())).unwrap_or_default()
    }
}

fn exchanges(printed: &[String]) -> Vec<Exchange> {
    let mut all: Vec<Exchange> = Vec::new();
    for line in printed.iter().map(|line| line.trim_start()) {
        if let Some(request) = line.strip_prefix("▶ ") {
            let mut words = request.splitn(2, ' ');
            let method = words.next().unwrap().to_owned();
            let (target, essence) = words.next().unwrap().trim_start().split_once("  ").unwrap_or_default();
            let (target, essence) = (target.to_owned(), essence.to_owned());
            all.push(Exchange { method, target, essence, ..Exchange::default() });
        } else if let Some(answer) = line.strip_prefix("◀ ") {
            let (status, answer) = answer.split_once("  ").unwrap();
            let last = all.last_mut().unwrap();
            last.status = status.parse().unwrap();
            answer.clone_into(&mut last.answer);
        } else if let Some(decision) = line.strip_prefix("optgate-decision: ") {
            all.last_mut().unwrap().decision = Some(decision.to_owned());
        }
    }
    all
}

/// The address behind a path in the printed lines, such as `/_sandbox/requests`.
fn address_before(path: &str, printed: &[String]) -> SocketAddr {
    let line = printed.iter().find(|line| line.ends_with(path)).unwrap();
    line.rsplit_once("http://").unwrap().1.strip_suffix(path).unwrap().parse().unwrap()
}

/// What the stand-in says it saw, asked over its own socket.
fn journal(sandbox: SocketAddr) -> Vec<Value> {
    let response = request(sandbox, "GET", "/_sandbox/requests", &[], b"");
    response.json().as_array().unwrap().clone()
}

#[test]
fn every_printed_send_that_was_allowed_stands_in_the_providers_journal_and_no_other() {
    let mut demo = Demo::start(&[]);
    let printed = demo.printed();
    let exchanges = exchanges(&printed);
    let journal = journal(address_before("/_sandbox/requests", &printed));

    let sends: Vec<&Exchange> = exchanges.iter().filter(|exchange| exchange.is_send()).collect();
    let statuses: Vec<u16> = sends.iter().map(|send| send.status).collect();
    assert_eq!(statuses, [400, 200, 400, 200, 400, 200, 400, 200, 200], "{printed:#?}");

    let seen: Vec<&Value> = journal.iter().filter(|entry| entry["sends"] != serde_json::json!([])).collect();
    let allowed: Vec<&&Exchange> = sends.iter().filter(|send| send.status == 200).collect();
    assert_eq!(seen.len(), allowed.len());
    assert!(printed.contains(&format!("The provider saw {} sends", seen.len())), "{printed:#?}");
    for (send, entry) in allowed.iter().zip(&seen) {
        let body: Value = serde_json::from_str(entry["body"].as_str().unwrap()).unwrap();
        assert_eq!((entry["method"].as_str(), entry["target"].as_str()), (Some("POST"), Some(&*send.target)));
        assert_eq!(body["to"], send.field("to"));
        let [template, text] = [&body["template"]["name"], &body["text"]["body"]];
        assert_eq!(template.as_str().unwrap_or_default(), send.field("template"));
        assert_eq!(text.as_str().unwrap_or_default(), send.field("text"));
        assert_eq!(entry["status"], 200);
        assert!(send.answer.starts_with("wamid."), "{send:?}");
    }
    let bases: Vec<&str> = allowed.iter().map(|send| send.decision.as_deref().unwrap()).collect();
    let expected = ["consent", "consent", "confirmation", "consent", "window"];
    assert_eq!(bases, expected.map(|basis| format!("allow; basis={basis}")));
    let passed = exchanges.iter().filter(|exchange| exchange.method == "GET").count();
    assert_eq!(journal.len(), seen.len() + passed, "the provider saw something that was not printed");

    demo.process.signal("INT");
    demo.ends_well();
}

#[test]
fn refusals_are_printed_with_the_providers_code_and_the_reason() {
    let mut demo = Demo::start(&["--once"]);
    demo.ends_well();
    let exchanges = exchanges(&demo.process.stdout());
    let refused: Vec<(String, Option<&str>)> = exchanges
        .iter()
        .filter(|exchange| exchange.status != 200)
        .map(|exchange| (exchange.answer.chars().take(9).collect(), exchange.decision.as_deref()))
        .collect();
    let expected = [
        ("(#131030)", "deny; reason=no_consent"),
        ("(#131030)", "deny; reason=no_consent"),
        ("(#131050)", "deny; reason=consent_revoked"),
        ("(#131030)", "deny; reason=consent_revoked"),
    ];
    assert_eq!(refused, expected.map(|(code, decision)| (code.to_owned(), Some(decision))));
}

#[test]
fn a_stop_travels_by_webhook_and_is_enforced_when_it_is_acknowledged() {
    let mut demo = Demo::start(&["--once"]);
    demo.ends_well();
    let printed = demo.process.stdout();
    let exchanges = exchanges(&printed);
    let said: Vec<(&str, u16)> = exchanges
        .iter()
        .filter(|exchange| exchange.target == "/_sandbox/say")
        .map(|exchange| (exchange.field("text"), exchange.status))
        .collect();
    assert_eq!(said, [("STOP", 200), ("START", 200), ("Where is my order?", 200)]);
    // Nothing but the webhook told the gate of it.
    let kinds: Vec<&str> = exchanges
        .iter()
        .filter(|exchange| exchange.target == "/v1/events")
        .map(|exchange| exchange.field("kind"))
        .collect();
    assert_eq!(kinds, ["grant", "grant"]);
    let enforced = |line: &String| {
        let after =
            line.trim().strip_prefix("refused ")?.strip_suffix(" ms after the STOP was acknowledged")?;
        after.parse::<f64>().ok()
    };
    assert_eq!(printed.iter().filter_map(enforced).count(), 1, "{printed:#?}");
    // Three statuses of each of five sends, and three things that were said.
    assert!(printed.last().unwrap().starts_with("It told the gate 18 things by webhook"), "{printed:#?}");
}

#[test]
fn the_printed_commands_work_as_they_stand_and_show_no_token() {
    let mut demo = Demo::start(&[]);
    let printed = demo.printed();
    let token = std::fs::read_to_string(demo.folder().unwrap().join("admin.token")).unwrap();
    assert!(!printed.join("\n").contains(token.trim()), "the token was printed");

    let first = printed.iter().position(|line| line.starts_with("JSON=")).unwrap();
    let before = run(&printed[first..].join("\n"));
    assert!(before.contains("(#131030)") && before.contains("\"applied\":1"), "{before}");
    assert!(before.contains("\"delivered\":true"), "{before}");
    let after = run(&printed[first..].join("\n"));
    assert!(after.contains("wamid.") && after.contains("optgate_decisions_total"), "{after}");

    demo.process.signal("TERM");
    demo.ends_well();
}

/// Runs lines in a shell, which stops at the first that fails.
#[track_caller]
pub(crate) fn run(lines: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("lines.sh"), format!("set -e\n{lines}\n")).unwrap();
    let output = Command::new("sh").arg("lines.sh").current_dir(folder.path()).output().unwrap();
    let stdout = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{}\n{stdout}", String::from_utf8_lossy(&output.stderr));
    stdout
}

#[test]
fn output_to_a_pipe_has_no_colors() {
    let mut demo = Demo::start(&["--once"]);
    demo.ends_well();
    assert!(!demo.process.stdout().join("\n").contains('\x1b'));
}

#[test]
fn the_sandbox_prints_a_call_that_works() {
    let mut command = optgate();
    command.args(["sandbox", "--listen", "127.0.0.1:0"]);
    let mut sandbox = Process::start(command).unwrap();
    let call = eventually("the sandbox says how to call it", || {
        let lines = sandbox.stdout();
        let call = lines.iter().find_map(|line| line.split_once("curl ").map(|(_, call)| call.to_owned()));
        lines.last().is_some_and(|line| line.starts_with("Ctrl-C")).then_some(call).flatten()
    });
    assert!(run(&format!("curl {call}")).contains("wamid."), "{call}");
    sandbox.signal("INT");
    assert_eq!(sandbox.wait(PATIENCE).and_then(|status| status.code()), Some(0));
}
