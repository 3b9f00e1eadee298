//! What the guide tells operators to do, done.

use std::net::SocketAddr;
use std::path::Path;
use std::process::{Command, ExitStatus};

use serde_json::Value;

use super::fleet::{AGREED, grant, text};
use super::monitoring::{impatient_rules, patiently};
use super::prometheus::Prometheus;
use super::satisfied;
use crate::support::client::{Client, Response, request};
use crate::support::gate::{Gate, SENDER, optgate};
use crate::support::process::Process;
use crate::support::upstream::Upstream;
use crate::support::{eventually, free_addr};

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
    let (proxy, admin) = (free_addr(), free_addr());
    let mut serve = optgate();
    serve.args(["serve", "--listen", &proxy.to_string(), "--admin-listen", &admin.to_string(), "--data-dir"]);
    serve.arg(folder.path()).current_dir(folder.path());
    let mut check = optgate();
    check.args(["templates", "list", "--admin", &format!("http://{admin}"), "--data-dir"]).arg(folder.path());
    let mut gate = Process::start(serve).unwrap();
    eventually("the check is content", || check.output().unwrap().status.success().then_some(()));
    gate.kill9();
    assert!(!check.output().unwrap().status.success());
    satisfied(
        Command::new("grep").arg("\"templates\", \"list\"").arg(super::repository("deploy/compose.yaml")),
    );
}

/// The runbook's entry OptgateStoreDown, on a disk that takes no more: nothing is acknowledged, sends are judged by what stood before,
/// and a restart brings the store back.
#[test]
fn a_store_that_cannot_write_raises_the_alarm_and_still_judges() {
    let upstream = Upstream::start();
    let house = House::new(&upstream);
    let mut gate = house.serve();
    let mut agrees = vec!["grant", AGREED, "--category", "service", "--categories-shown", "service"];
    agrees.extend(["--channel", "website", "--user-action", "checked_box", "--business", "Acme"]);
    agrees.extend(["--wording", "I agree", "--name-and-logo-shown", "--number-confirmed"]);
    assert!(house.consent(&agrees).success());
    let prometheus = Prometheus::start(&[house.admin], &impatient_rules());
    let raised = |alert: &str| prometheus.firing().contains(&alert.to_owned());
    assert!(!raised("OptgateStoreDown"));

    // Writes beyond the first bytes of any file fail from now on, as on a full disk.
    satisfied(Command::new("prlimit").args(["--fsize=4096", "--pid"]).arg(gate.pid().to_string()));
    assert!(!house.consent(&["revoke", AGREED]).success(), "what is not on the disk is not acknowledged");
    for alert in ["OptgateStoreDown", "OptgateInvalidationDown"] {
        patiently(&format!("{alert} fires"), || raised(alert));
    }
    assert_eq!(house.ask("/readyz").status, 503);
    assert_eq!(house.send(AGREED).status, 200, "{:?}", gate.stderr());
    assert_eq!(house.send("+15550000009").status, 400);

    gate.signal("TERM");
    assert!(gate.wait(crate::support::PATIENCE).is_some());
    let _gate = house.serve();
    assert!(house.consent(&["revoke", AGREED]).success());
    assert_eq!(house.send(AGREED).status, 400);
    patiently("the alarm ends", || !raised("OptgateStoreDown"));
}

/// A folder and the addresses of a gate that is started there, under a shell that makes writes beyond a limit fail instead of kill.
struct House {
    folder: tempfile::TempDir,
    upstream: String,
    proxy: SocketAddr,
    admin: SocketAddr,
}

impl House {
    fn new(upstream: &Upstream) -> Self {
        let folder = tempfile::tempdir().unwrap();
        Self { folder, upstream: upstream.url(), proxy: free_addr(), admin: free_addr() }
    }

    fn serve(&self) -> Process {
        let mut shell = Command::new("sh");
        shell.args(["-c", "trap '' XFSZ; exec \"$@\"", "sh", env!("CARGO_BIN_EXE_optgate"), "serve"]);
        shell.args(["--listen", &self.proxy.to_string(), "--admin-listen", &self.admin.to_string()]);
        shell.args(["--upstream", &self.upstream, "--data-dir"]).arg(self.folder.path());
        let process = Process::start(shell).unwrap();
        eventually("the gate is ready", || (self.try_ask("/readyz").ok()?.status == 200).then_some(()));
        process
    }

    fn consent(&self, arguments: &[&str]) -> ExitStatus {
        let mut command = optgate();
        command.arg("consent").args(arguments).args(["--admin", &format!("http://{}", self.admin)]);
        command.arg("--data-dir").arg(self.folder.path()).output().unwrap().status
    }

    fn send(&self, recipient: &str) -> Response {
        let body = text(recipient).to_string();
        let headers = [("Content-Type", "application/json")];
        request(self.proxy, "POST", &format!("/v23.0/{SENDER}/messages"), &headers, body.as_bytes())
    }

    fn ask(&self, path: &str) -> Response {
        self.try_ask(path).unwrap()
    }

    fn try_ask(&self, path: &str) -> std::io::Result<Response> {
        let mut client = Client::try_connect(self.admin)?;
        client.try_send(&client.head("GET", path, &[], 0))?;
        client.try_response("GET")
    }
}
