//! What the demo runs: a stand-in for the provider, a temporary folder, and a configuration of the gate between the two.

use std::io;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use super::Failure;
use crate::config::{self, Config, Overrides, Sources};
use crate::sandbox::{Sandbox, Settings};

/// The one sender; the sandbox knows it by the same id.
pub(super) const SENDER: &str = "106540352242922";
/// The account that owns the sender's templates.
pub(super) const ACCOUNT: &str = "102290129340398";
/// The business that people agree to hear from.
pub(super) const TENANT: &str = "acme";

/// What signs the stand-in's webhooks. It protects nothing: everything is on this machine and ends with the demo.
pub(super) const APP_SECRET: &str = "demo";
/// What the gate must know to be verified as their endpoint.
pub(super) const VERIFY_TOKEN: &str = "demo";

/// A running stand-in and the folder of the gate; both end with [`House::close`].
pub(super) struct House {
    sandbox: Sandbox,
    folder: TempDir,
}

impl House {
    /// Starts the stand-in and writes the gate's configuration.
    pub(super) async fn build() -> Result<(Self, Config), Failure> {
        let folder = TempDir::with_prefix("optgate-demo-").map_err(Failure::System)?;
        let sandbox = Sandbox::start(Settings {
            phone_number_id: SENDER.to_owned(),
            account: ACCOUNT.to_owned(),
            ..Settings::default()
        })
        .await
        .map_err(Failure::System)?;
        let config = configure(folder.path(), &sandbox.url())?;
        Ok((Self { sandbox, folder }, config))
    }

    /// Where the stand-in listens.
    pub(super) fn provider(&self) -> SocketAddr {
        self.sandbox.address()
    }

    /// The gate's files.
    pub(super) fn files(&self) -> Files {
        Files::below(self.folder.path())
    }

    /// Stops the stand-in and removes the folder.
    pub(super) async fn close(self) -> Result<(), Failure> {
        self.sandbox.stop().await;
        self.folder.close().map_err(Failure::System)
    }
}

/// The gate's files, as far as a reader of the demo wants to look into them.
pub(super) struct Files {
    /// The configuration.
    pub(super) config: PathBuf,
    /// The token of the admin API, which the gate makes.
    pub(super) token: PathBuf,
    /// The decision log.
    pub(super) decisions: PathBuf,
}

impl Files {
    fn below(folder: &Path) -> Self {
        Self {
            config: folder.join("optgate.toml"),
            token: folder.join(crate::admin::ADMIN_TOKEN_FILE),
            decisions: folder.join("decisions.ndjson"),
        }
    }

    /// Reads the token as the command line does.
    pub(super) fn read_token(&self) -> io::Result<String> {
        std::fs::read_to_string(&self.token).map(|text| text.trim().to_owned())
    }
}

/// Writes a file and loads it, as `optgate serve --config` would. This machine's environment has no say.
fn configure(folder: &Path, upstream: &str) -> Result<Config, Failure> {
    let files = Files::below(folder);
    std::fs::write(&files.config, written(folder, &files, upstream)).map_err(Failure::System)?;
    let sources = Sources {
        file: Some(files.config),
        environment: std::iter::empty(),
        overrides: Overrides::default(),
    };
    config::load(sources).map_err(|problems| Failure::Config(problems.to_string()))
}

fn written(folder: &Path, files: &Files, upstream: &str) -> String {
    // A JSON string is a TOML basic string as well.
    let quoted = |path: &Path| serde_json::Value::from(path.display().to_string());
    format!(
        r#"data_dir = {data_dir}

[proxy]
listen = "127.0.0.1:0"

[admin]
listen = "127.0.0.1:0"

[upstream]
url = "{upstream}"

[webhook]
listen = "127.0.0.1:0"
verify_token = "{VERIFY_TOKEN}"
app_secrets = ["{APP_SECRET}"]

[opt_out]
scope = "everything"

[decision_log]
file = {decisions}

[[tenants]]
name = "{TENANT}"

[[tenants.senders]]
phone_number_id = "{SENDER}"
account = "{ACCOUNT}"
phone = "+15550783881"
"#,
        data_dir = quoted(folder),
        decisions = quoted(&files.decisions),
    )
}
