//! A real Prometheus of the test's own, configured by the files of `deploy/`.

use std::net::SocketAddr;
use std::process::Command;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;
use tempfile::TempDir;

use super::read;
use crate::support::client::{Client, Response, request};
use crate::support::process::Process;
use crate::support::{eventually, free_addr};

/// A running server; it ends with the test.
pub(super) struct Prometheus {
    process: Process,
    addr: SocketAddr,
    _folder: TempDir,
}

impl Prometheus {
    /// Scrapes these gates four times a second under these alert rules.
    pub(super) fn start(gates: &[SocketAddr], rules: &str) -> Self {
        let folder = TempDir::with_prefix("optgate-prometheus-").unwrap();
        std::fs::write(folder.path().join("alerts.yaml"), rules).unwrap();
        let config = folder.path().join("prometheus.yml");
        std::fs::write(&config, configuration(gates)).unwrap();
        let addr = free_addr();
        let mut command = Command::new("prometheus");
        command
            .arg(format!("--config.file={}", config.display()))
            .arg(format!("--storage.tsdb.path={}", folder.path().join("data").display()))
            .arg(format!("--web.listen-address={addr}"))
            .arg("--log.level=warn");
        let mut process = Process::start(command).unwrap_or_else(|e| {
            panic!("cannot start prometheus ({e}): install it (Debian: apt-get install prometheus) or run tests/run")
        });
        eventually("Prometheus is ready", || {
            assert!(process.exited().is_none(), "prometheus: {}", process.stderr().join("\n"));
            let ready = |mut client: Client| {
                client.try_send(b"GET /-/ready HTTP/1.1\r\nHost: prometheus\r\n\r\n")?;
                client.try_response("GET")
            };
            Client::try_connect(addr).and_then(ready).is_ok_and(|r| r.status == 200).then_some(())
        });
        Self { process, addr, _folder: folder }
    }

    /// Asks a path of its API.
    #[track_caller]
    pub(super) fn get(&self, path: &str) -> Value {
        let response: Response = request(self.addr, "GET", path, &[], b"");
        assert_eq!(response.status, 200, "{path}: {}", response.text());
        response.json()["data"].clone()
    }

    /// The samples that a query gives now.
    ///
    /// # Panics
    /// Prometheus does not understand it.
    #[track_caller]
    pub(super) fn query(&self, expression: &str) -> Vec<Value> {
        let encoded = utf8_percent_encode(expression, NON_ALPHANUMERIC);
        let data = self.get(&format!("/api/v1/query?query={encoded}"));
        data["result"].as_array().cloned().unwrap_or_default()
    }

    /// The names of the alerts that fire now.
    pub(super) fn firing(&self) -> Vec<String> {
        let alerts = self.query("count by (alertname) (ALERTS{alertstate=\"firing\"})");
        alerts.iter().filter_map(|a| a["metric"]["alertname"].as_str()).map(str::to_owned).collect()
    }

    /// Every rule, as Prometheus read it.
    pub(super) fn rules(&self) -> Vec<Value> {
        let groups = self.get("/api/v1/rules")["groups"].clone();
        let groups = groups.as_array().cloned().unwrap_or_default();
        groups.iter().flat_map(|g| g["rules"].as_array().cloned().unwrap_or_default()).collect()
    }
}

impl Drop for Prometheus {
    fn drop(&mut self) {
        self.process.kill9();
    }
}

/// `deploy/prometheus.yml`, in a hurry and with the test's gates.
fn configuration(gates: &[SocketAddr]) -> String {
    let file = read("deploy/prometheus.yml");
    let targets = "targets: [\"gate-1:9090\", \"gate-2:9090\"]";
    assert!(file.contains(targets) && file.contains("_interval: 15s"), "deploy/prometheus.yml has changed");
    let gates: Vec<String> = gates.iter().map(|gate| format!("{:?}", gate.to_string())).collect();
    file.replace(targets, &format!("targets: [{}]", gates.join(", ")))
        .replace("_interval: 15s", "_interval: 250ms")
}
