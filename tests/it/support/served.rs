//! A gate as an operator runs it, and the command line beside it.

use std::process::{Command, Output};

use serde_json::Value;
use tempfile::TempDir;

use super::gate::optgate;
use super::process::Process;
use super::{eventually, free_addr};

/// A gate (which makes its own admin token where none is configured), and the folder from which commands find it.
pub(crate) struct Served {
    gate: Process,
    listen: String,
    admin: String,
    pub(crate) folder: TempDir,
}

impl Served {
    /// Starts a gate with this configuration.
    pub(crate) fn start(toml: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("optgate.toml"), toml).unwrap();
        let (listen, admin) = (free_addr().to_string(), free_addr().to_string());
        let gate = launch(&listen, &admin, &folder);
        Self { gate, listen, admin, folder }
    }

    /// Ends the gate as a power failure would.
    pub(crate) fn kill9(&mut self) {
        self.gate.kill9();
    }

    /// Starts it again where it was.
    pub(crate) fn restart(&mut self) {
        self.gate.kill9();
        self.gate = launch(&self.listen, &self.admin, &self.folder);
    }

    /// Where its admin API is.
    pub(crate) fn admin(&self) -> &str {
        &self.admin
    }

    /// A command beside it.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = optgate();
        let admin = format!("http://{}", self.admin);
        command.args(["--admin", &admin]).args(arguments).current_dir(self.folder.path());
        command
    }

    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        self.command(arguments).output().unwrap()
    }

    /// What a command prints, which must succeed.
    #[track_caller]
    pub(crate) fn printed(&self, arguments: &[&str]) -> String {
        let answer = self.run(arguments);
        assert!(answer.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&answer.stderr));
        String::from_utf8(answer.stdout).unwrap()
    }

    #[track_caller]
    pub(crate) fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.printed(&[&["--json"], arguments].concat())).unwrap()
    }

    pub(crate) fn write(&self, name: &str, content: &str) {
        std::fs::write(self.folder.path().join(name), content).unwrap();
    }

    #[track_caller]
    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }
}

fn launch(listen: &str, admin: &str, folder: &TempDir) -> Process {
    let mut command = optgate();
    command.args(["serve", "--config", "optgate.toml", "--upstream", "http://127.0.0.1:9"]);
    command.args(["--listen", listen, "--admin-listen", admin]).current_dir(folder.path());
    let gate = Process::start(command).unwrap();
    eventually("the gate listens", || std::net::TcpStream::connect(admin).ok());
    gate
}
