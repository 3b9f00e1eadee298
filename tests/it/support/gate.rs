//! The real gate: its binary, started with a configuration file, reached over its sockets.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::client::{Client, Response, request};
use super::process::Process;
use super::{PATIENCE, eventually, free_addr};

/// The sender that every gate knows unless told otherwise.
pub(crate) const SENDER: &str = "106540352242922";
/// The account of [`SENDER`].
pub(crate) const ACCOUNT: &str = "102290129340398";

const TOKEN: &str = "integration-tests";

/// A gate to be started.
#[derive(Default)]
pub(crate) struct GateBuilder {
    /// Section -> lines, for sections that stand once.
    sections: BTreeMap<String, Vec<String>>,
    tenants: Vec<String>,
    extra: String,
    arguments: Vec<String>,
    environment: Vec<(String, String)>,
    folder: Option<TempDir>,
}

/// A running gate; it ends with the test.
pub(crate) struct Gate {
    process: Process,
    proxy: SocketAddr,
    admin: SocketAddr,
    folder: Option<TempDir>,
}

impl GateBuilder {
    /// Adds a line to a section: `set("proxy", "max_send_body", "\"1KiB\"")`. The value is TOML.
    pub(crate) fn set(mut self, section: &str, key: &str, value: &str) -> Self {
        let lines = self.sections.entry(section.to_owned()).or_default();
        lines.retain(|line| !line.starts_with(&format!("{key} = ")));
        lines.push(format!("{key} = {value}"));
        self
    }

    /// Keeps consent in Redis instead of the embedded store.
    pub(crate) fn redis(mut self, url: &str) -> Self {
        self.sections.remove("store");
        self.set("store", "kind", "\"redis\"").set("store", "url", &format!("{url:?}"))
    }

    /// Trusts the CA in this file when it talks to the upstream.
    pub(crate) fn ca_file(self, path: &Path) -> Self {
        self.set("upstream", "ca_file", &format!("\"{}\"", path.display()))
    }

    /// Adds a tenant with one sender; without any there is `default` with [`SENDER`].
    pub(crate) fn tenant(mut self, name: &str, sender: &str, account: &str, phone: &str) -> Self {
        self.tenants.push(format!(
            "[[tenants]]\nname = {name:?}\n[[tenants.senders]]\nphone_number_id = {sender:?}\naccount = {account:?}\nphone = {phone:?}\n"
        ));
        self
    }

    /// Configures no tenant at all.
    pub(crate) fn without_tenants(mut self) -> Self {
        self.tenants = vec![String::new()];
        self
    }

    /// Appends TOML to the configuration file.
    pub(crate) fn extra(mut self, toml: &str) -> Self {
        self.extra += toml;
        self.extra.push('\n');
        self
    }

    /// Adds an argument to `optgate serve`.
    pub(crate) fn argument(mut self, argument: &str) -> Self {
        self.arguments.push(argument.to_owned());
        self
    }

    /// Sets an environment variable.
    pub(crate) fn environment(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Uses the folder of an earlier gate, with its store.
    pub(crate) fn in_folder(mut self, folder: TempDir) -> Self {
        self.folder = Some(folder);
        self
    }

    /// Starts the gate and waits until it is ready.
    ///
    /// # Panics
    /// It exits or is not ready within [`PATIENCE`]; the message holds what it printed.
    #[track_caller]
    pub(crate) fn start(self) -> Gate {
        let mut gate = self.launch();
        let deadline = Instant::now() + PATIENCE;
        while !gate.is_ready() {
            let exited = gate.process.exited();
            if exited.is_some() || Instant::now() > deadline {
                let printed = gate.stderr().join("\n");
                panic!("optgate is not ready (exited: {exited:?}); it printed:\n{printed}");
            }
            std::thread::sleep(Duration::from_millis(10));
        }
        gate
    }

    /// Starts the gate without waiting, for configurations that must fail.
    pub(crate) fn launch(mut self) -> Gate {
        let folder = self.folder.take().unwrap_or_else(|| TempDir::with_prefix("optgate-test-").unwrap());
        let (proxy, admin) = (free_addr(), free_addr());
        let builder = self.set("proxy", "listen", &format!("\"{proxy}\"")).set(
            "admin",
            "listen",
            &format!("\"{admin}\""),
        );
        let config = folder.path().join("optgate.toml");
        std::fs::write(&config, builder.toml(folder.path())).unwrap();
        let mut command = optgate();
        command.args(["serve", "--config"]).arg(&config).args(&builder.arguments);
        command.current_dir(folder.path()).envs(builder.environment);
        let process = Process::start(command).unwrap();
        Gate { process, proxy, admin, folder: Some(folder) }
    }

    fn toml(&self, folder: &Path) -> String {
        let mut toml = format!("data_dir = \"{}\"\n", folder.join("data").display());
        for (section, lines) in &self.sections {
            let _ = writeln!(toml, "[{section}]\n{}", lines.join("\n"));
        }
        let token = sha256(TOKEN.as_bytes());
        let _ =
            writeln!(toml, "[[admin.tokens]]\nname = \"tests\"\nsha256 = \"{token}\"\nscopes = [\"admin\"]");
        let usual = Self::default().tenant("default", SENDER, ACCOUNT, "+15550783881");
        let tenants = if self.tenants.is_empty() { &usual.tenants } else { &self.tenants };
        toml + &tenants.concat() + &self.extra
    }
}

/// The binary under test, with nothing of this machine's configuration around it.
pub(crate) fn optgate() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_optgate"));
    for (name, _) in std::env::vars_os().filter(|(n, _)| n.to_string_lossy().starts_with("OPTGATE_")) {
        command.env_remove(name);
    }
    command
}

/// A digest as the configuration writes it.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, bytes))
}

impl Gate {
    /// A gate in front of `upstream`, with the embedded store.
    pub(crate) fn to(upstream: &str) -> GateBuilder {
        // A machine that runs the whole suite at once may stall for longer than a lookup may take; deadlines have tests of their own.
        GateBuilder::default()
            .set("upstream", "url", &format!("{upstream:?}"))
            .set("store", "kind", "\"embedded\"")
            .set("store", "lookup_deadline_ms", "5000")
    }

    /// Where sends go.
    pub(crate) fn addr(&self) -> SocketAddr {
        self.proxy
    }

    pub(crate) fn admin_addr(&self) -> SocketAddr {
        self.admin
    }

    pub(crate) fn folder(&self) -> &Path {
        self.folder.as_ref().expect("the folder was given away").path()
    }

    /// The configuration file that it was started with.
    pub(crate) fn config(&self) -> PathBuf {
        self.folder().join("optgate.toml")
    }

    pub(crate) fn pid(&self) -> u32 {
        self.process.pid()
    }

    /// A connection to the proxy listener.
    #[track_caller]
    pub(crate) fn connect(&self) -> Client {
        Client::connect(self.proxy)
    }

    /// One JSON `POST /v23.0/{SENDER}/messages`.
    #[track_caller]
    pub(crate) fn send(&self, message: &Value) -> Response {
        self.post(&format!("/v23.0/{SENDER}/messages"), message)
    }

    /// One JSON POST through the proxy listener.
    #[track_caller]
    pub(crate) fn post(&self, target: &str, body: &Value) -> Response {
        let headers = [("Content-Type", "application/json"), ("Authorization", "Bearer EAATESTTOKEN")];
        request(self.proxy, "POST", target, &headers, body.to_string().as_bytes())
    }

    /// A request to the admin listener, with the token.
    #[track_caller]
    pub(crate) fn admin(&self, method: &str, target: &str, content_type: &str, body: &[u8]) -> Response {
        let bearer = format!("Bearer {TOKEN}");
        request(
            self.admin,
            method,
            target,
            &[("Authorization", &bearer), ("Content-Type", content_type)],
            body,
        )
    }

    /// Writes consent events and gives the answer.
    ///
    /// # Panics
    /// The answer is not 200.
    #[track_caller]
    pub(crate) fn events(&self, events: &[Value]) -> Value {
        let lines: String = events.iter().map(|event| format!("{event}\n")).collect();
        let response = self.admin("POST", "/v1/events", "application/x-ndjson", lines.as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Writes consent events that must all be applied.
    #[track_caller]
    pub(crate) fn apply(&self, events: &[Value]) {
        let answer = self.events(events);
        assert_eq!(answer["applied"], events.len(), "{answer}");
    }

    /// Sets the template catalogue of [`ACCOUNT`], as Meta's `message_templates` lists it.
    #[track_caller]
    pub(crate) fn put_templates(&self, templates: &Value) {
        let body = json!({ "data": templates }).to_string();
        let target = format!("/v1/templates/{ACCOUNT}");
        let response = self.admin("PUT", &target, "application/json", body.as_bytes());
        assert!((200..300).contains(&response.status), "{}", response.text());
    }

    /// What the gate would decide.
    #[track_caller]
    pub(crate) fn check(&self, question: &Value) -> Value {
        let response = self.admin("POST", "/v1/check", "application/json", question.to_string().as_bytes());
        assert_eq!(response.status, 200, "{}", response.text());
        response.json()
    }

    /// Every series of the metrics page, by its name with labels.
    #[track_caller]
    pub(crate) fn metrics(&self) -> BTreeMap<String, f64> {
        parse_metrics(&self.admin("GET", "/metrics", "text/plain", b"").text())
    }

    /// The sum of the series of `name` whose labels contain every one of `labels`, such as `reason="no_consent"`.
    #[track_caller]
    pub(crate) fn metric(&self, name: &str, labels: &[&str]) -> f64 {
        let wanted = |series: &str| {
            series.split('{').next() == Some(name) && labels.iter().all(|label| series.contains(label))
        };
        self.metrics().iter().filter(|(series, _)| wanted(series)).map(|(_, value)| value).sum()
    }

    /// The same for a counter or a gauge of whole numbers.
    #[track_caller]
    pub(crate) fn count(&self, name: &str, labels: &[&str]) -> usize {
        // Nothing at all sums up to a negative zero.
        let sum = self.metric(name, labels) + 0.0;
        format!("{sum}").parse().unwrap_or_else(|_| panic!("{name} is no whole number: {sum}"))
    }

    /// The events of the decision log so far.
    #[track_caller]
    pub(crate) fn decision_log(&self) -> Vec<Value> {
        let parse = |line: &String| {
            serde_json::from_str(line)
                .unwrap_or_else(|e| panic!("stdout holds what is no event ({e}): {line}"))
        };
        self.process.stdout().iter().map(parse).collect()
    }

    /// Waits until the decision log has `count` events.
    #[track_caller]
    pub(crate) fn wait_for_decisions(&self, count: usize) -> Vec<Value> {
        eventually(&format!("the decision log has {count} events"), || {
            Some(self.decision_log()).filter(|events| events.len() >= count)
        })
    }

    /// Everything it printed to standard output, line by line.
    pub(crate) fn stdout(&self) -> Vec<String> {
        self.process.stdout()
    }

    /// The program log.
    pub(crate) fn stderr(&self) -> Vec<String> {
        self.process.stderr()
    }

    fn is_ready(&self) -> bool {
        let bytes = format!("GET /readyz HTTP/1.1\r\nHost: {}\r\n\r\n", self.admin);
        let ask = || {
            Client::try_connect(self.proxy)?;
            let mut client = Client::try_connect(self.admin)?;
            client.try_send(bytes.as_bytes())?;
            client.try_response("GET")
        };
        ask().is_ok_and(|response| response.status == 200)
    }

    /// Sends a signal by its name: `TERM`, `HUP`, `STOP`.
    pub(crate) fn signal(&self, name: &str) {
        self.process.signal(name);
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn wait(&mut self) -> ExitStatus {
        self.process.wait(PATIENCE).unwrap_or_else(|| panic!("optgate does not end within {PATIENCE:?}"))
    }

    /// Asks it to end and waits until it did, at most [`PATIENCE`].
    #[track_caller]
    pub(crate) fn stop(&mut self) -> ExitStatus {
        if let Some(status) = self.process.exited() {
            return status;
        }
        self.signal("TERM");
        self.wait()
    }

    /// Ends it on the spot and gives its folder for the next one.
    pub(crate) fn kill9(mut self) -> TempDir {
        self.process.kill9();
        self.folder.take().expect("the folder was given away")
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        if self.process.exited().is_none() {
            self.process.signal("TERM");
            if self.process.wait(PATIENCE).is_none() {
                eprintln!("optgate did not end within {PATIENCE:?} of SIGTERM: killed");
            }
        }
        if std::thread::panicking() {
            eprintln!("-- the gate's log --\n{}", self.stderr().join("\n"));
        }
    }
}

fn parse_metrics(page: &str) -> BTreeMap<String, f64> {
    page.lines()
        .filter(|line| !line.starts_with('#') && !line.is_empty())
        .filter_map(|line| line.rsplit_once(' '))
        .map(|(series, value)| (series.to_owned(), value.parse().unwrap_or(f64::NAN)))
        .collect()
}

#[test]
fn metrics_are_read_by_name_and_labels() {
    let page = "# HELP a_total x\n# TYPE a_total counter\na_total{b=\"c d\",e=\"f\"} 3\nup 1.5\n# EOF\n";
    let metrics = parse_metrics(page);
    assert_eq!(metrics["a_total{b=\"c d\",e=\"f\"}"].to_bits(), 3f64.to_bits());
    assert_eq!(metrics["up"].to_bits(), 1.5f64.to_bits());
    assert_eq!(metrics.len(), 2);
}

#[test]
fn the_configuration_holds_what_was_set_and_replaces_what_was_set_twice() {
    let builder = Gate::to("http://127.0.0.1:1")
        .set("policy", "mode", "\"enforce\"")
        .set("policy", "mode", "\"shadow\"")
        .redis("redis://127.0.0.1:2")
        .tenant("acme", "1", "2", "+15550000009")
        .extra("[webhook]\nverify_token = \"x\"");
    let parsed: toml::Table = builder.toml(Path::new("/somewhere")).parse().unwrap();
    assert_eq!(parsed["upstream"]["url"].as_str(), Some("http://127.0.0.1:1"));
    assert_eq!(parsed["policy"]["mode"].as_str(), Some("shadow"));
    assert_eq!(parsed["store"]["kind"].as_str(), Some("redis"));
    assert_eq!(parsed["tenants"].as_array().map(Vec::len), Some(1));
    assert_eq!(parsed["tenants"][0]["senders"][0]["phone_number_id"].as_str(), Some("1"));
    assert_eq!(parsed["webhook"]["verify_token"].as_str(), Some("x"));
}
