//! What the operator wants: the policy as written, and as the program runs on it.

use serde_json::{Map, Value, json};

use crate::consent::{Category, CategorySet};

/// Whether refusals are carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Mode {
    /// Refusals are refused.
    #[default]
    Enforce,
    /// Everything is forwarded and what would have been refused is recorded. The kill switch works all the same.
    Shadow,
}

impl Mode {
    /// Both modes, in the order in which metrics count them.
    pub const ALL: [Self; 2] = [Self::Enforce, Self::Shadow];

    /// The name in configuration, metrics and the decision log.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Enforce => "enforce",
            Self::Shadow => "shadow",
        }
    }
}

/// What happens to a send of a category while the store cannot answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum FailureStance {
    /// Refuse.
    #[default]
    Closed,
    /// Let pass, and count it.
    Open,
}

impl FailureStance {
    const fn name(self) -> &'static str {
        match self {
            Self::Closed => "closed",
            Self::Open => "open",
        }
    }
}

/// What happens to writes that could make the provider send by itself or move webhooks away.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Steering {
    /// Refuse.
    #[default]
    Refuse,
    /// Let pass.
    Pass,
}

/// What happens to sends to a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum Groups {
    /// Refuse.
    #[default]
    Refuse,
    /// Let pass where every member has agreed, as webhooks tell who that is.
    Members,
    /// Let pass, except marketing, whoever is in it.
    Permit,
}

/// When a service send needs an open customer service window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum ServiceWindow {
    /// As soon as windows are known for the tenant, by a relay or an inbound event.
    #[default]
    Auto,
    /// Always.
    Required,
}

/// What a number that recipients block means for marketing from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum SenderHealth {
    /// Rated red, it sends none: before the provider blocks the number altogether.
    #[default]
    Refuse,
    /// A warning is logged and counted.
    Warn,
    /// Nothing; the rating is still shown.
    Off,
}

impl SenderHealth {
    /// The name in the configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Refuse => "refuse",
            Self::Warn => "warn",
            Self::Off => "off",
        }
    }
}

/// The policy as written.
#[derive(Clone, Debug, PartialEq, Eq, Default)]
pub struct Settings {
    /// Whether refusals are carried out.
    pub mode: Mode,
    /// By [`Category::index`].
    pub failure_stance: [FailureStance; 5],
    /// Steering writes.
    pub steering: Steering,
    /// Group sends.
    pub groups: Groups,
    /// The customer service window.
    pub service_window: ServiceWindow,
    /// Marketing from a number that is rated badly.
    pub sender_health: SenderHealth,
    /// The categories of which nothing is sent now.
    pub kill_switch: CategorySet,
}

/// The policy in force, with its revision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    settings: Settings,
    revision: String,
}

impl Policy {
    /// Puts settings in force. The revision is a digest of them: the same policy has the same revision on every node.
    pub fn new(settings: Settings) -> Self {
        let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, format!("{settings:?}").as_bytes());
        Self { settings, revision: hex::encode(hash.as_ref().get(..6).unwrap_or_default()) }
    }

    /// Whether refusals are carried out.
    pub fn mode(&self) -> Mode {
        self.settings.mode
    }

    /// What happens to a category while the store is away.
    pub fn failure_stance(&self, category: Category) -> FailureStance {
        self.settings.failure_stance.get(category.index()).copied().unwrap_or_default()
    }

    /// Steering writes.
    pub fn steering(&self) -> Steering {
        self.settings.steering
    }

    /// Group sends.
    pub fn groups(&self) -> Groups {
        self.settings.groups
    }

    /// The customer service window.
    pub fn service_window(&self) -> ServiceWindow {
        self.settings.service_window
    }

    /// Marketing from a number that is rated badly.
    pub fn sender_health(&self) -> SenderHealth {
        self.settings.sender_health
    }

    /// The categories of which nothing is sent now.
    pub fn kill_switch(&self) -> CategorySet {
        self.settings.kill_switch
    }

    /// Every setting by its name in the configuration, to be shown.
    pub fn describe(&self) -> Value {
        let Settings { mode, failure_stance, steering, groups, service_window, sender_health, kill_switch } =
            &self.settings;
        let stances = Category::ALL.into_iter().zip(failure_stance);
        json!({
            "mode": mode.name(),
            "failure_stance": stances.map(|(c, stance)| (c.name().to_owned(), stance.name().into())).collect::<Map<_, _>>(),
            "steering": match steering { Steering::Refuse => "refuse", Steering::Pass => "pass" },
            "groups": match groups { Groups::Refuse => "refuse", Groups::Members => "members", Groups::Permit => "permit" },
            "service_window": match service_window { ServiceWindow::Auto => "auto", ServiceWindow::Required => "required" },
            "sender_health": sender_health.name(),
            "kill_switch": kill_switch.iter().map(Category::name).collect::<Vec<_>>(),
        })
    }

    /// Names this policy in the decision log.
    pub fn revision(&self) -> &str {
        &self.revision
    }
}
