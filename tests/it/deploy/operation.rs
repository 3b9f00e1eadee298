//! What the guide tells operators to do, done.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use super::fleet::{AGREED, grant, text};
use super::satisfied;
use crate::support::eventually;
use crate::support::gate::Gate;
use crate::support::upstream::Upstream;

/// "Rename the file, then send SIGHUP": lines before it stand in the old file, lines after it in the new one.
#[test]
fn a_rotated_decision_log_loses_no_line() {
    let upstream = Upstream::start();
    let folder = tempfile::tempdir().unwrap();
    let [file, old] = ["decisions.ndjson", "decisions.ndjson.1"].map(|name| folder.path().join(name));
    let gate = Gate::to(&upstream.url()).set("decision_log", "file", &format!("{file:?}")).start();
    let mut ids = Vec::new();
    let mut send = || {
        let answer = gate.send(&text(AGREED));
        ids.push(answer.header("optgate-decision-id").unwrap().to_owned());
    };
    send();
    eventually("the first line is written", || (lines(&file).len() == 1).then_some(()));
    std::fs::rename(&file, &old).unwrap();
    send();
    gate.signal("HUP");
    eventually("the gate has made a new file", || file.exists().then_some(()));
    send();
    let logged = eventually("every line is written", || {
        Some([lines(&old), lines(&file)].concat()).filter(|lines| lines.len() == 3)
    });
    assert_eq!(logged, ids);
    assert!(lines(&file).contains(&ids[2]), "the last line stands in the new file");
}

/// The ids of the decisions in a log.
fn lines(file: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let whole = text.rsplit_once('\n').map_or("", |(whole, _)| whole);
    let id = |line: &str| serde_json::from_str::<Value>(line).unwrap()["id"].as_str().unwrap().to_owned();
    whole.lines().map(id).collect()
}

/// "Stop the gate, copy the file, start the gate": what stood in it is in force at a gate on the copy.
#[test]
fn a_gate_on_a_copy_of_the_store_knows_what_the_first_one_knew() {
    let upstream = Upstream::start();
    let mut first = Gate::to(&upstream.url()).start();
    first.apply(&[grant(AGREED)]);
    assert!(first.stop().success());
    let copy = tempfile::tempdir().unwrap();
    let data = copy.path().join("data");
    std::fs::create_dir(&data).unwrap();
    std::fs::copy(first.folder().join("data/store.redb"), data.join("store.redb")).unwrap();
    let second = Gate::to(&upstream.url()).in_folder(copy).start();
    assert_eq!(second.send(&text(AGREED)).status, 200);
    assert_eq!(second.send(&text("+15550000009")).status, 400);
    assert_eq!(upstream.request_count(), 1);
}

/// The health check of the compose file: the binary asks its own admin API with the token of its data folder.
#[test]
fn the_health_check_of_the_containers_tells_a_living_gate_from_a_dead_one() {
    let folder = tempfile::tempdir().unwrap();
    let (proxy, admin) = (crate::support::free_addr(), crate::support::free_addr());
    let mut serve = crate::support::gate::optgate();
    serve.args(["serve", "--listen", &proxy.to_string(), "--admin-listen", &admin.to_string(), "--data-dir"]);
    serve.arg(folder.path()).current_dir(folder.path());
    let mut check = crate::support::gate::optgate();
    check.args(["templates", "list", "--admin", &format!("http://{admin}"), "--data-dir"]).arg(folder.path());
    let mut gate = crate::support::process::Process::start(serve).unwrap();
    eventually("the check is content", || check.output().unwrap().status.success().then_some(()));
    gate.kill9();
    assert!(!check.output().unwrap().status.success());
    satisfied(
        Command::new("grep").arg("\"templates\", \"list\"").arg(super::repository("deploy/compose.yaml")),
    );
}
