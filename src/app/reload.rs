//! Taking over a configuration that changed while the gate runs: tenants, senders, tokens and the policy.
//!
//! Everything or nothing: a file with any problem leaves the one before in force. What was begun under it is finished under it, and no connection is dropped.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use tokio::signal::unix::Signal;
use tokio::time::{MissedTickBehavior, interval};

use super::assemble;
use super::watching::{LOOK_EVERY, Watch};
use crate::admin::{Control, Desk, ensure_admin_token};
use crate::config::{Config, Origin};
use crate::consent::tenant::Tenants;
use crate::metrics::Reload;
use crate::policy::Policy;
use crate::store::StoreError;

/// How long the store may take to number new tenants before the attempt counts as failed and is made again.
const NUMBERING: Duration = Duration::from_secs(10);

/// Reloads the configuration.
pub(super) struct Reloader {
    origin: Origin,
    /// As the gate was started; what only a restart puts in force is compared with it.
    started: Config,
    control: Control,
    desk: Desk,
    watch: Option<Watch>,
    /// The last attempt failed for a reason that passes by itself.
    again: bool,
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
        Self { origin, started, control, desk, watch, again: false }
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
                    if let Some(watch) = &mut self.watch {
                        watch.acknowledge();
                    }
                    true
                }
                _ = looks.tick() => self.watch.as_mut().is_some_and(Watch::changed) || self.again,
            };
            if asked && self.origin.file().is_some() {
                self.reload().await;
            }
        }
    }

    async fn reload(&mut self) {
        let retried = std::mem::take(&mut self.again);
        match self.take_over().await {
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
            Err(kept) => self.keep(&kept, retried),
        }
    }

    /// Says why nothing changed. A store that stays away is complained of once.
    fn keep(&mut self, kept: &Kept, retried: bool) {
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
                self.again = true;
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
    async fn take_over(&mut self) -> Result<Vec<String>, Kept> {
        let config = self.read()?;
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
        self.enforce(&config);
        let mut waiting = self.started.written.needing_restart(&config.written);
        if config.webhook_urls != self.started.webhook_urls {
            waiting.push("tenants.senders.webhook_url".to_owned());
        }
        Ok(waiting)
    }

    fn read(&self) -> Result<Config, Kept> {
        let file = self.origin.file().and_then(|path| std::fs::read(path).ok());
        if file.is_some_and(|content| content.trim_ascii().is_empty()) {
            // Every tenant and every token would be gone: rather a file that is still being written.
            return Err(Kept::Written(vec![
                "the file is empty; restart the gate to run it without one".to_owned(),
            ]));
        }
        self.origin
            .load()
            .map_err(|problems| Kept::Written(problems.iter().map(ToString::to_string).collect()))
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
