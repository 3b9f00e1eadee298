//! Taking over a configuration that changed while the gate runs: tenants, senders, tokens and the policy.
//!
//! Everything or nothing: a file with any problem leaves the one before in force. What was begun under it is finished under it, and no connection is dropped.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::assemble;
use super::watching::{Change, LOOK_EVERY, Watch, looks_half_written};
use crate::admin::{Control, Desk, ensure_admin_token};
use crate::config::{Config, Origin};
use crate::consent::tenant::Tenants;
use crate::metrics::Reload;
use crate::policy::Policy;
use crate::store::StoreError;

/// How long the store may take to number new tenants before the attempt counts as failed and is made again.
const NUMBERING: Duration = Duration::from_secs(10);

/// What is said of a file that somebody may not have finished writing.
const HALF_WRITTEN: &str = "the file looks half-written: it is the beginning of the one in force, or its last line has no end; replace the file by renaming \
                            another over it, or send SIGHUP to take it as it is";

/// Reloads the configuration.
pub(super) struct Reloader {
    origin: Origin,
    /// As the gate was started; what only a restart puts in force is compared with it.
    started: Config,
    control: Control,
    desk: Desk,
    watch: Option<Watch>,
    /// The file's text that is in force.
    in_force: Vec<u8>,
    /// The files of the admin listener's TLS.
    certificates: Vec<Watch>,
    /// Who asked for the last attempt, if it failed for a reason that passes by itself.
    again: Option<Asked>,
}

/// Who asks for the configuration to be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// The operator: the file is meant as it is.
    BySignal,
    /// The file: it changed.
    ByFile(Change),
}

/// Why the configuration of before stays in force.
enum Kept {
    /// What is written will not do.
    Written(Vec<String>),
    /// The store could not number the new tenants; it is asked again.
    Store(StoreError),
}

impl Reloader {
    pub(super) fn new(started: Config, control: Control, desk: Desk) -> Self {
        let origin = started.origin.clone();
        let watch = origin.file().map(|path| Watch::on(path.to_owned()));
        let in_force = origin.file().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        let tls = started
            .admin
            .tls
            .iter()
            .flat_map(|tls| [Some(&tls.cert), Some(&tls.key), tls.client_ca.as_ref()]);
        let certificates = tls.flatten().map(|path| Watch::on(path.clone())).collect();
        Self { origin, started, control, desk, watch, in_force, certificates, again: None }
    }

    /// Runs as long as the gate: at each SIGHUP, which also opens the logs anew because log rotation sends it, and when the file changes.
    pub(super) async fn run(mut self, mut hangups: Signal) {
        let mut looks = interval(LOOK_EVERY);
        looks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let asked = tokio::select! {
                heard = hangups.recv() => {
                    if heard.is_none() {
                        return;
                    }
                    self.control.reopen_files();
                    self.watch.iter_mut().chain(&mut self.certificates).for_each(Watch::acknowledge);
                    Some(Asked::BySignal)
                }
                _ = looks.tick() => self.look(),
            };
            if let Some(asked) = asked.filter(|_| self.origin.file().is_some()) {
                self.reload(asked).await;
            }
        }
    }

    /// Looks at every file; certificates are read anew at once.
    fn look(&mut self) -> Option<Asked> {
        let renewed = self.certificates.iter_mut().filter_map(Watch::changed).count();
        if renewed > 0 {
            self.control.tls.reload();
        }
        self.watch.as_mut().and_then(Watch::changed).map(Asked::ByFile).or(self.again)
    }

    async fn reload(&mut self, asked: Asked) {
        let retried = self.again.take().is_some();
        match self.take_over(asked).await {
            Ok(waiting) => {
                tracing::info!(
                    policy.revision = self.control.judge.policy().revision(),
                    "configuration reloaded"
                );
                for key in &waiting {
                    tracing::warn!(
                        config.key = key,
                        "this setting needs a restart; the gate goes on with the one before"
                    );
                }
                let waiting = waiting.join(", ");
                let warning = format!("these settings were changed and need a restart: {waiting}");
                self.control.reloads.say(if waiting.is_empty() { vec![] } else { vec![warning] });
                // Last: who waits for this number finds everything else in place.
                self.control.metrics.reloaded(Reload::Ok);
            }
            Err(kept) => self.keep(&kept, retried, asked),
        }
    }

    /// Says why nothing changed. A store that stays away is complained of once.
    fn keep(&mut self, kept: &Kept, retried: bool, asked: Asked) {
        const KEPT: &str = "configuration not reloaded, the one before stays in force";
        let reason = match kept {
            Kept::Written(problems) => {
                for problem in problems {
                    tracing::error!(config.problem = problem, "{KEPT}");
                }
                let more = problems.len().saturating_sub(1);
                let first = problems.first().cloned().unwrap_or_default();
                if more == 0 { first } else { format!("{first} (and {more} more, see the log)") }
            }
            Kept::Store(error) => {
                self.again = Some(asked);
                if !retried {
                    tracing::error!(
                        error = error as &dyn Error,
                        "{KEPT} until the consent store knows the new tenants"
                    );
                }
                "the consent store does not answer; trying again".to_owned()
            }
        };
        if !retried {
            self.control.metrics.reloaded(Reload::Failed);
        }
        self.control.reloads.say(vec![format!("{KEPT}: {reason}")]);
    }

    /// Puts what is written in force; gives the keys that wait for a restart.
    async fn take_over(&mut self, asked: Asked) -> Result<Vec<String>, Kept> {
        let (config, text) = self.read(asked)?;
        let before = self.control.judge.tenants();
        let tenants = Arc::new(before.succeeded_by(config.tenants.clone()));
        let tokens = assemble::tokens(&config, &tenants, || ensure_admin_token(&self.started.data_dir))
            .map_err(|error| Kept::Written(vec![error.to_string()]))?;
        let names: Vec<String> = tenants.all().iter().map(|tenant| tenant.name.clone()).collect();
        let terms = |tenants: &Tenants| tenants.all().iter().map(|t| t.terms.clone()).collect::<Vec<_>>();
        if terms(&tenants) != terms(&before) {
            let naming = self.control.store.name_tenants(names.clone(), terms(&tenants));
            let numbered = tokio::time::timeout(NUMBERING, naming).await;
            numbered.unwrap_or(Err(StoreError::NotReady)).map_err(Kept::Store)?;
        }
        // Nothing fails from here on.
        self.control.audit.name_tenants(names.clone());
        self.control.metrics.set_tenants(names);
        self.desk.reopen(Control { tenants: Arc::clone(&tenants), ..self.control.clone() }, tokens);
        self.control.senders.serve(&tenants);
        self.control.senders.brake(config.policy.sender_health);
        self.control.judge.serve(tenants);
        self.control.catalogue.read_with(assemble::template_tokens(&config));
        self.enforce(&config);
        self.in_force = text;
        let mut waiting = self.started.written.needing_restart(&config.written);
        if config.webhook_urls != self.started.webhook_urls {
            waiting.push("tenants.senders.webhook_url".to_owned());
        }
        Ok(waiting)
    }

    /// Reads the file once, so that what is looked at is what is taken.
    fn read(&self, asked: Asked) -> Result<(Config, Vec<u8>), Kept> {
        let refused = |why: &str| Err(Kept::Written(vec![why.to_owned()]));
        let file = self.origin.file().and_then(|path| std::fs::read(path).ok()).unwrap_or_default();
        if self.origin.file().is_some_and(std::path::Path::exists) && file.trim_ascii().is_empty() {
            // Every tenant and every token would be gone: rather a file that is still being written.
            return refused("the file is empty; restart the gate to run it without one");
        }
        if asked == Asked::ByFile(Change::InPlace)
            && !file.is_empty()
            && looks_half_written(&self.in_force, &file)
        {
            return refused(HALF_WRITTEN);
        }
        let loaded = match std::str::from_utf8(&file) {
            Ok(text) if !file.is_empty() => self.origin.load_text(text),
            // Says what is the matter with it.
            Ok(_) | Err(_) => self.origin.load(),
        };
        let config =
            loaded.map_err(|problems| Kept::Written(problems.iter().map(ToString::to_string).collect()))?;
        Ok((config, file))
    }

    fn enforce(&self, config: &Config) {
        let policy = Policy::new(config.policy.clone());
        if policy.revision() != self.control.judge.policy().revision() {
            self.control.log.note_policy(&policy, self.control.clock.now());
            self.control.judge.enforce(policy);
        }
        super::warn_of_shadow(&config.policy);
    }
}
