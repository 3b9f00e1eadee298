//! The page that Prometheus reads, written by the library of the format.

use std::fmt;
use std::sync::PoisonError;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeGaugeValue, MetricEncoder, NoLabelSet, text};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Registry;

use super::cells::Cells;
use super::histogram::{Histogram, Summed};
use super::labels::{
    AuthFailure, DecisionLabels, Kind, Outcome, Reload, StatusClass, TemplateLookup, TemplateSync,
    UpstreamFailure, WebhookOutcome,
};
use super::{Hub, Metrics};
use crate::consent::Category;
use crate::consent::lookup::Source;
use crate::policy::Mode;

/// Labels as the library takes them.
pub(super) type Labels<'a, const N: usize> = [(&'static str, &'a str); N];

/// The whole page.
pub(super) fn render(metrics: &Metrics) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(metrics.clone()));
    let mut page = String::new();
    // Writing to a string does not fail; were it to, an empty page shows up as a failed scrape.
    match text::encode(&mut page, &registry) {
        Ok(()) => page,
        Err(fmt::Error) => String::new(),
    }
}

impl Collector for Metrics {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let mut page = Page { hub: &self.0, encoder };
        page.requests()?;
        page.decisions()?;
        page.durations()?;
        page.webhooks()?;
        page.webhook_queue()?;
        page.templates()?;
        page.senders()?;
        page.health()?;
        page.process()
    }
}

/// The page being written.
pub(super) struct Page<'h, 'e> {
    pub(super) hub: &'h Hub,
    encoder: DescriptorEncoder<'e>,
}

impl Page<'_, '_> {
    fn requests(&mut self) -> fmt::Result {
        let hub = self.hub;
        let help = "Requests by what became of them. A send here was allowed.";
        let mut family = self.family("optgate_requests", help, MetricType::Counter)?;
        for kind in Kind::ALL {
            let count = total(hub, |cells| cells.requests.get(kind.index()));
            counter(&mut family, &[("kind", kind.name())], count)?;
        }
        let help = "Sends whose caller went away before they were decided.";
        let mut family = self.family("optgate_aborted", help, MetricType::Counter)?;
        plain_counter(&mut family, total(hub, |cells| Some(&cells.aborted)))?;
        let help = "Requests, sends and others, that went on and to which the upstream gave no answer.";
        let mut family = self.family("optgate_upstream_failures", help, MetricType::Counter)?;
        for failure in UpstreamFailure::ALL {
            let count = total(hub, |cells| cells.upstream_failures.get(failure.index()));
            counter(&mut family, &[("kind", failure.name())], count)?;
        }
        let help = "Requests being served now.";
        let in_flight = total(hub, |cells| Some(&cells.in_flight));
        self.gauge("optgate_in_flight", help, &in_flight)
    }

    fn decisions(&mut self) -> fmt::Result {
        let hub = self.hub;
        let help = "Decisions about sends; on allow the reason is the basis.";
        let mut family = self.family("optgate_decisions", help, MetricType::Counter)?;
        let tenants = hub.tenants.load_full();
        for (labels, count) in decided(hub, tenants.len()) {
            let (decision, reason) = labels.outcome.names();
            let tenant = labels.tenant.and_then(|index| tenants.get(index));
            let labels: Labels<'_, 5> = [
                ("tenant", tenant.map_or("unknown", String::as_str)),
                ("category", labels.category.map_or("none", Category::name)),
                ("decision", decision),
                ("reason", reason),
                ("mode", labels.mode.name()),
            ];
            counter(&mut family, &labels, count)?;
        }
        let help = "Sends that passed only because the store was away and the policy fails open.";
        let mut family = self.family("optgate_fail_open", help, MetricType::Counter)?;
        for category in Category::ALL {
            let count = total(hub, |cells| cells.fail_open.get(category.index()));
            counter(&mut family, &[("category", category.name())], count)?;
        }
        let help = "Grants without evidence that were taken in from old records.";
        let mut family = self.family("optgate_legacy_grants", help, MetricType::Counter)?;
        let counts = hub.legacy_grants.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (place, tenant) in tenants.iter().enumerate() {
            let count = counts.get(&place).copied().unwrap_or_default();
            counter(&mut family, &[("tenant", tenant.as_str())], count)?;
        }
        Ok(())
    }

    fn durations(&mut self) -> fmt::Result {
        let hub = self.hub;
        let help = "From the request read to the decision made.";
        let mut family = self.family("optgate_decision_seconds", help, MetricType::Histogram)?;
        histogram(&mut family, &summed(hub, |cells| Some(&cells.decision_seconds)))?;
        let help = "Time that the gate added to a send.";
        let mut family = self.family("optgate_added_seconds", help, MetricType::Histogram)?;
        histogram(&mut family, &summed(hub, |cells| Some(&cells.added_seconds)))?;
        let help = "Lookups of consent, by where the answer came from.";
        let mut family = self.family("optgate_lookup_seconds", help, MetricType::Histogram)?;
        for source in Source::ALL {
            let labels = [("source", source.name())];
            let times = summed(hub, |cells| Some(cells.lookup(source)));
            histogram(&mut family.encode_family(&labels)?, &times)?;
        }
        let help = "How long the upstream took to answer.";
        let mut family = self.family("optgate_upstream_seconds", help, MetricType::Histogram)?;
        for class in StatusClass::ALL {
            let times = summed(hub, |cells| cells.upstream_seconds.get(class.index()));
            if times.count() > 0 {
                let labels = [("status_class", class.name())];
                histogram(&mut family.encode_family(&labels)?, &times)?;
            }
        }
        let help = "From a change in the store to this node's cache.";
        let mut family = self.family("optgate_propagation_seconds", help, MetricType::Histogram)?;
        histogram(&mut family, &Summed::of([&hub.propagation].into_iter()))
    }

    fn health(&mut self) -> fmt::Result {
        let hub = self.hub;
        let up = u64::from(hub.store_up.load(Ordering::Relaxed));
        self.gauge("optgate_store_up", "Whether the consent store answers.", &up)?;
        let up = u64::from(hub.invalidation_up.load(Ordering::Relaxed));
        self.gauge(
            "optgate_invalidation_up",
            "Whether withdrawals written elsewhere reach this node's cache.",
            &up,
        )?;
        let help = "Decisions that went unrecorded because the log was full.";
        let mut family = self.family("optgate_decision_log_dropped", help, MetricType::Counter)?;
        plain_counter(&mut family, hub.decision_log_dropped.load(Ordering::Relaxed))?;
        let help = "Decisions that are logged and were not kept for explaining.";
        let mut family = self.family("optgate_decisions_not_kept", help, MetricType::Counter)?;
        plain_counter(&mut family, hub.decisions_not_kept.load(Ordering::Relaxed))?;
        self.reloads()?;
        self.auth_failures()
    }

    fn auth_failures(&mut self) -> fmt::Result {
        let hub = self.hub;
        let help = "Requests to the admin API that were turned away, by why.";
        let mut family = self.family("optgate_admin_auth_failures", help, MetricType::Counter)?;
        for why in AuthFailure::ALL {
            let count = hub.auth_failures.get(why.index()).map_or(0, |count| count.load(Ordering::Relaxed));
            counter(&mut family, &[("reason", why.name())], count)?;
        }
        Ok(())
    }

    fn reloads(&mut self) -> fmt::Result {
        let hub = self.hub;
        let ok = u64::from(hub.reload_ok.load(Ordering::Relaxed));
        let help = "Whether the configuration in force is the one that was last written.";
        self.gauge("optgate_config_reload_ok", help, &ok)?;
        let help = "Attempts to reload the configuration.";
        let mut family = self.family("optgate_config_reloads", help, MetricType::Counter)?;
        for how in Reload::ALL {
            let count = hub.reloads.get(how.index()).map_or(0, |count| count.load(Ordering::Relaxed));
            counter(&mut family, &[("result", how.name())], count)?;
        }
        Ok(())
    }

    fn webhooks(&mut self) -> fmt::Result {
        let hub = self.hub;
        let help = "Webhooks that the provider delivered, by what became of them.";
        let mut family = self.family("optgate_webhooks", help, MetricType::Counter)?;
        for (outcome, count) in WebhookOutcome::ALL.iter().zip(&hub.webhooks) {
            counter(&mut family, &[("outcome", outcome.name())], count.load(Ordering::Relaxed))?;
        }
        let help = "Items of genuine webhooks from which nothing could be learnt.";
        let mut family = self.family("optgate_webhook_items_unreadable", help, MetricType::Counter)?;
        plain_counter(&mut family, hub.webhook_items_unreadable.load(Ordering::Relaxed))
    }

    fn templates(&mut self) -> fmt::Result {
        let hub = self.hub;
        let help = "How long ago an account's template list was whole.";
        let mut family = self.family("optgate_template_catalogue_age_seconds", help, MetricType::Gauge)?;
        let ages = hub.template_ages.lock().unwrap_or_else(PoisonError::into_inner).clone();
        for (account, source, age) in &ages {
            let labels: Labels<'_, 2> = [("account", account), ("source", source)];
            family.encode_family(&labels)?.encode_gauge(&age.as_secs_f64())?;
        }
        let help = "Readings of whole template lists from the provider, by how they went.";
        let mut family = self.family("optgate_template_syncs", help, MetricType::Counter)?;
        for (how, count) in TemplateSync::ALL.iter().zip(&hub.template_syncs) {
            counter(&mut family, &[("result", how.name())], count.load(Ordering::Relaxed))?;
        }
        let help = "Look-ups of templates that a send named and nobody knew, by what came of them.";
        let mut family = self.family("optgate_template_lookups", help, MetricType::Counter)?;
        for (what, count) in TemplateLookup::ALL.iter().zip(&hub.template_lookups) {
            counter(&mut family, &[("result", what.name())], count.load(Ordering::Relaxed))?;
        }
        Ok(())
    }

    fn process(&mut self) -> fmt::Result {
        let mut family = self.family("optgate_build", "The running version.", MetricType::Info)?;
        family.encode_info(&[("version", env!("CARGO_PKG_VERSION"))])?;
        let started = self.hub.started.since(crate::consent::Timestamp::EPOCH).as_secs_f64();
        self.gauge("process_start_time_seconds", "When the process started, since the epoch.", &started)?;
        match resident_bytes() {
            Some(bytes) => self.gauge("process_resident_memory_bytes", "Memory in use.", &bytes),
            None => Ok(()),
        }
    }

    pub(super) fn family(
        &mut self,
        name: &'static str,
        help: &str,
        kind: MetricType,
    ) -> Result<MetricEncoder<'_>, fmt::Error> {
        self.encoder.encode_descriptor(name, help, None, kind)
    }

    pub(super) fn gauge(
        &mut self,
        name: &'static str,
        help: &str,
        value: &impl EncodeGaugeValue,
    ) -> fmt::Result {
        self.family(name, help, MetricType::Gauge)?.encode_gauge(value)
    }
}

/// Every combination of labels that has been counted, in a fixed order.
fn decided(hub: &Hub, tenants: usize) -> impl Iterator<Item = (DecisionLabels, u64)> {
    let tenants = (0..tenants).map(Some).chain([None]);
    tenants
        .flat_map(|tenant| {
            Category::ALL.into_iter().map(Some).chain([None]).map(move |category| (tenant, category))
        })
        .flat_map(|(tenant, category)| Outcome::all().map(move |outcome| (tenant, category, outcome)))
        .flat_map(|(tenant, category, outcome)| {
            Mode::ALL.into_iter().map(move |mode| DecisionLabels { tenant, category, outcome, mode })
        })
        .map(|labels| (labels, total(hub, |cells| cells.decided(labels))))
        .filter(|(_, count)| *count > 0)
}

/// A counter summed over all workers.
fn total(hub: &Hub, counter: impl Fn(&Cells) -> Option<&AtomicU64>) -> u64 {
    let workers = hub.workers();
    let counts = workers.iter().filter_map(|cells| counter(cells));
    counts.fold(0, |sum, count| sum.wrapping_add(count.load(Ordering::Relaxed)))
}

/// A histogram summed over all workers.
fn summed(hub: &Hub, histogram: impl Fn(&Cells) -> Option<&Histogram>) -> Summed {
    Summed::of(hub.workers().iter().filter_map(|cells| histogram(cells)))
}

pub(super) fn counter<const N: usize>(
    family: &mut MetricEncoder<'_>,
    labels: &Labels<'_, N>,
    count: u64,
) -> fmt::Result {
    plain_counter(&mut family.encode_family(labels)?, count)
}

pub(super) fn plain_counter(metric: &mut MetricEncoder<'_>, count: u64) -> fmt::Result {
    metric.encode_counter::<NoLabelSet, _, u64>(&count, None)
}

fn histogram(metric: &mut MetricEncoder<'_>, times: &Summed) -> fmt::Result {
    metric.encode_histogram::<NoLabelSet>(times.seconds(), times.count(), &times.buckets(), None)
}

/// Resident memory as Linux tells it; elsewhere it stays off the page.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    kibibytes.checked_mul(1024)
}
