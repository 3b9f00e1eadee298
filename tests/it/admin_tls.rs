//! The admin listener over TLS, with and without certificates of its callers, as an operator's commands meet it.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Output;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa, KeyPair,
};
use tempfile::TempDir;

use crate::support::eventually;
use crate::support::free_addr;
use crate::support::gate::optgate;
use crate::support::process::Process;

type Authority = CertifiedIssuer<'static, KeyPair>;

/// Certificates of two authorities, and a gate's folder.
struct Stage {
    folder: TempDir,
    ours: Authority,
    admin: String,
    gate: Option<Process>,
}

fn authority(name: &str) -> Authority {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, name);
    CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap()
}

impl Stage {
    fn set() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (ours, theirs) = (authority("ours"), authority("theirs"));
        let admin = free_addr().to_string();
        let stage = Self { folder, ours, admin, gate: None };
        stage.write("ours.pem", &stage.ours.pem());
        stage.write("theirs.pem", &theirs.pem());
        stage.issue("gate", &stage.ours);
        stage.issue("operator", &stage.ours);
        stage.issue("stranger", &theirs);
        stage
    }

    fn write(&self, name: &str, content: &str) {
        std::fs::write(self.path(name), content).unwrap();
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// A certificate and key for this machine, as NAME.pem and NAME.key.
    fn issue(&self, name: &str, by: &Authority) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.distinguished_name.push(DnType::CommonName, name);
        self.write(&format!("{name}.pem"), &params.signed_by(&key, by).unwrap().pem());
        self.write(&format!("{name}.key"), &key.serialize_pem());
    }

    fn serve(mut self, more: &str) -> Self {
        let toml = format!("[admin]\ntls_cert = \"gate.pem\"\ntls_key = \"gate.key\"\n{more}\n");
        self.write("optgate.toml", &toml);
        let mut command = optgate();
        command.args(["serve", "--config", "optgate.toml", "--upstream", "http://127.0.0.1:9"]);
        command.args(["--listen", &free_addr().to_string(), "--admin-listen", &self.admin]);
        command.current_dir(self.folder.path());
        let gate = Process::start(command).unwrap();
        // Not before this does it hear signals.
        eventually("the gate serves", || {
            gate.stderr().iter().any(|line| line.contains("serving")).then_some(())
        });
        self.gate = Some(gate);
        self
    }

    fn run(&self, flags: &[&str], arguments: &[&str]) -> Output {
        let mut command = optgate();
        command.args(["--admin", &format!("https://{}", self.admin)]).args(flags).args(arguments);
        command.current_dir(self.folder.path()).output().unwrap()
    }

    /// What the gate has stored, as somebody sees it whom it trusts.
    fn shows(&self, flags: &[&str]) -> Output {
        self.run(flags, &["consent", "show", "+15550000001"])
    }
}

const REVOKE: [&str; 5] = ["consent", "revoke", "+15550000001", "--source", "test"];
const OURS: [&str; 2] = ["--admin-ca", "ours.pem"];
const OPERATOR: [&str; 6] =
    ["--admin-ca", "ours.pem", "--admin-cert", "operator.pem", "--admin-key", "operator.key"];

fn told(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr)
}

#[test]
fn a_command_talks_only_to_a_gate_whose_authority_it_trusts() {
    let stage = Stage::set().serve("");
    for flags in [&["--admin-ca", "theirs.pem"][..], &[]] {
        let refused = stage.run(flags, &REVOKE);
        assert!(!refused.status.success(), "{flags:?}");
        assert!(told(&refused).contains("no answer from the admin API"), "{}", told(&refused));
    }
    let nothing = stage.shows(&OURS);
    assert!(told(&nothing).contains("nothing is known"), "{}", told(&nothing));
    let done = stage.run(&OURS, &REVOKE);
    assert!(done.status.success(), "{}", told(&done));
    assert!(told(&stage.shows(&OURS)).contains("revoked"));
}

#[test]
fn the_environment_names_the_authority_as_well() {
    let stage = Stage::set().serve("");
    let mut command = optgate();
    command.args(["--admin", &format!("https://{}", stage.admin)]).args(["templates", "list"]);
    let output =
        command.env("OPTGATE_ADMIN_CA", "ours.pem").current_dir(stage.folder.path()).output().unwrap();
    assert!(output.status.success(), "{}", told(&output));
}

#[test]
fn plain_http_is_told_to_use_https_and_nothing_is_read() {
    let stage = Stage::set().serve("");
    let mut stream = TcpStream::connect(&stage.admin).unwrap();
    let token = std::fs::read_to_string(stage.path("optgate-data/admin.token")).unwrap();
    let event = r#"{"recipient":"+15550000001","kind":"revoke","occurred_at":"2026-01-31T09:30:00Z","actor":"person","source":"test"}"#;
    let request = format!(
        "POST /v1/events HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{event}",
        token.trim(),
        event.len()
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.contains("https://"), "{answer}");
    assert!(told(&stage.shows(&OURS)).contains("nothing is known"));
}

#[test]
fn a_caller_without_a_certificate_of_ours_is_refused_before_anything_is_read() {
    let stage = Stage::set().serve("client_ca = \"ours.pem\"");
    let stranger = ["--admin-ca", "ours.pem", "--admin-cert", "stranger.pem", "--admin-key", "stranger.key"];
    for flags in [&OURS[..], &stranger] {
        let refused = stage.run(flags, &REVOKE);
        assert!(!refused.status.success(), "{flags:?}: {}", told(&refused));
    }
    assert!(told(&stage.shows(&OPERATOR)).contains("nothing is known"));
    let done = stage.run(&OPERATOR, &REVOKE);
    assert!(done.status.success(), "{}", told(&done));
    let log = std::fs::read_to_string(stage.path("optgate-data/access.log")).unwrap();
    assert_eq!(log.lines().count(), 2, "only the operator's requests were read: {log}");
}

#[test]
fn a_new_certificate_is_taken_up_at_sighup_and_a_bad_one_is_not() {
    let mut stage = Stage::set().serve("");
    let theirs = authority("new ones");
    stage.write("new.pem", &theirs.pem());
    stage.issue("gate", &theirs);
    let gate = stage.gate.take().unwrap();
    gate.signal("HUP");
    let new = ["--admin-ca", "new.pem"];
    let list = ["templates", "list"];
    eventually("the new certificate is shown", || {
        Some(()).filter(|()| stage.run(&new, &list).status.success())
    });
    assert!(!stage.run(&OURS, &list).status.success());
    stage.write("gate.pem", "nonsense");
    gate.signal("HUP");
    eventually("the bad file is reported", || {
        Some(()).filter(|()| gate.stderr().join("\n").contains("stay in use"))
    });
    assert!(stage.run(&new, &list).status.success());
}

#[test]
fn a_new_certificate_is_taken_up_when_its_files_change_and_a_bad_one_is_not() {
    let mut stage = Stage::set().serve("");
    let theirs = authority("new ones");
    stage.write("new.pem", &theirs.pem());
    let gate = stage.gate.take().unwrap();
    stage.issue("gate", &theirs);
    let new = ["--admin-ca", "new.pem"];
    let list = ["templates", "list"];
    eventually("the new certificate is shown", || {
        Some(()).filter(|()| stage.run(&new, &list).status.success())
    });
    assert!(!stage.run(&OURS, &list).status.success());
    stage.write("gate.pem", "nonsense");
    eventually("the bad file is reported", || {
        Some(()).filter(|()| gate.stderr().join("\n").contains("stay in use"))
    });
    assert!(stage.run(&new, &list).status.success());
}

#[test]
fn a_file_that_will_not_do_is_named_with_its_flag() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("empty.pem"), "").unwrap();
    for (flags, says) in [
        (&["--admin-ca", "absent.pem"][..], "--admin-ca: absent.pem cannot be read"),
        (&["--admin-ca", "empty.pem"], "--admin-ca: empty.pem holds no certificate"),
        (&["--admin-cert", "empty.pem"], "--admin-cert: needs --admin-key"),
        (&["--admin-key", "empty.pem"], "--admin-key: needs --admin-cert"),
    ] {
        let mut command = optgate();
        command.args(["--admin", "https://127.0.0.1:9"]).args(flags).args(["templates", "list"]);
        let output = command.current_dir(folder.path()).output().unwrap();
        assert!(!output.status.success() && told(&output).contains(says), "{flags:?}: {}", told(&output));
    }
}

#[test]
fn half_a_tls_configuration_is_a_problem_that_names_the_other_half() {
    let stage = Stage::set();
    for (toml, says) in [
        ("tls_cert = \"gate.pem\"", "tls_key"),
        ("tls_key = \"gate.key\"", "tls_cert"),
        ("client_ca = \"ours.pem\"", "tls_cert and tls_key"),
        ("tls_cert = \"absent.pem\"\ntls_key = \"gate.key\"", "absent.pem"),
    ] {
        stage.write("optgate.toml", &format!("[admin]\n{toml}\n"));
        let mut command = optgate();
        command.args(["serve", "--config", "optgate.toml"]).current_dir(stage.folder.path());
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(78), "{toml}");
        assert!(told(&output).contains(says), "{toml}: {}", told(&output));
    }
}

#[test]
fn an_admin_listener_that_others_could_listen_to_is_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    let port = free_addr().port();
    let mut command = optgate();
    command.args(["serve", "--upstream", "http://127.0.0.1:9", "--listen", "127.0.0.1:0"]);
    command.args(["--admin-listen", &format!("0.0.0.0:{port}")]).current_dir(folder.path());
    let gate = Process::start(command).unwrap();
    let admin = format!("127.0.0.1:{port}").parse().unwrap();
    eventually("the gate listens", || TcpStream::connect(admin).ok());
    let ready = crate::support::client::request(admin, "GET", "/readyz", &[], b"");
    assert!(ready.text().contains("tls_cert"), "{}", ready.text());
    eventually("the log warns of it", || {
        Some(()).filter(|()| gate.stderr().join("\n").contains("speaks plain HTTP"))
    });
}
