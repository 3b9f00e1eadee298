//! The admin API as its own document describes it, asked by schemathesis: data that the document allows and data that it does not, every check on.
//!
//! `tests/run` installs it, at the versions that `requirements.txt` names. `schemathesis.toml` says how it asks and why.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::json;

use crate::journey::grant;
use crate::support::gate::{Gate, SENDER};
use crate::support::process::Process;

/// How long it may ask; on an idle machine it takes a quarter of that.
const LIMIT: Duration = Duration::from_secs(120);
const TOKEN: &str = "integration-tests";

fn folder() -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clients/schemathesis");
    let installed = std::fs::read_to_string(folder.join("installed"));
    assert!(
        installed.is_ok_and(|installed| installed == include_str!("requirements.txt")),
        "{} is absent or out of date: run `tests/run --install-only`",
        folder.display()
    );
    folder
}

/// Runs a command to its end and gives what it printed; it must succeed.
#[track_caller]
fn run(command: Command) -> String {
    let mut process = Process::start(command).unwrap();
    let status = process.wait(LIMIT);
    let printed = process.stdout().join("\n");
    let said = process.stderr().join("\n");
    assert!(status.is_some_and(|status| status.success()), "{status:?}\n{printed}\n{said}");
    printed
}

/// A gate that knows the people, templates and tenant of the document's examples.
fn gate() -> Gate {
    let gate = Gate::to("http://127.0.0.1:9").start();
    gate.apply(&[grant("+15550000001", &["utility", "marketing"])]);
    gate.put_templates(&json!([
        {"name": "order_update", "language": "en_US", "status": "APPROVED", "category": "UTILITY", "id": "1"},
    ]));
    gate
}

#[test]
fn schemathesis_finds_nothing_that_the_document_does_not_say() {
    let gate = gate();
    let scratch = tempfile::tempdir().unwrap();
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it/schemathesis");
    let document = format!("http://{}/openapi.json", gate.admin_addr());
    let mut command = Command::new(folder().join("bin/schemathesis"));
    command.arg("--config-file").arg(source.join("schemathesis.toml")).args(["run", &document]);
    command.args(["--header", &format!("Authorization: Bearer {TOKEN}")]);
    command.env("SCHEMATHESIS_HOOKS", "hooks").env("PYTHONPATH", &source).env("NO_PROXY", "127.0.0.1");
    command.env("PYTHONDONTWRITEBYTECODE", "1").current_dir(scratch.path());
    let printed = run(command);
    let operations = gate.admin("GET", "/openapi.json", "", b"").json()["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum::<usize>();
    // All but the document's own.
    let tested = format!("Tested: {}", operations - 1);
    assert!(printed.contains(&tested), "{tested} is not in:\n{printed}");
    assert!(
        gate.count("optgate_admin_auth_failures_total", &[r#"reason="missing""#]) > 0,
        "ignored_auth did not ask"
    );
    let hidden = gate.stderr().join("\n");
    assert!(!hidden.contains("panicked"), "{hidden}");
    let check = gate.check(
        &json!({ "sender": SENDER, "to": "+15550000001", "template": "order_update", "language": "en_US" }),
    );
    assert!(check["decision"].is_string(), "it still answers as before: {check}");
}

#[test]
fn the_document_is_valid_openapi() {
    let gate = Gate::to("http://127.0.0.1:9").start();
    let scratch = tempfile::tempdir().unwrap();
    let file = scratch.path().join("openapi.json");
    std::fs::write(&file, gate.admin("GET", "/openapi.json", "", b"").text()).unwrap();
    let mut command = Command::new(folder().join("bin/openapi-spec-validator"));
    command.args(["--schema", "3.1"]).arg(&file);
    let printed = run(command);
    assert!(printed.contains("OK"), "{printed}");
}
