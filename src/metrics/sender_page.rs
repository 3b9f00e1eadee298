//! The senders' part of the page.

use std::fmt;

use prometheus_client::metrics::MetricType;

use super::labels::{AnswerLink, PollResult, StatusResult};
use super::page::{Page, counter, plain_counter};
use super::senders::{Moments, Numbers, OfSender};
use crate::consent::{Category, Quality};
use crate::wire::webhook::AccountEvent;

impl Page<'_, '_> {
    pub(super) fn senders(&mut self) -> fmt::Result {
        let numbers = self.hub.senders.now();
        self.moments(&numbers)?;
        self.ratings(&numbers)?;
        self.messages(&numbers)?;
        let help = "Messages that were billed as another category than they were judged as.";
        let mut family = self.family("optgate_category_mismatch", help, MetricType::Counter)?;
        for judged in Category::ALL.map(Category::name) {
            for billed in Category::ALL.map(Category::name) {
                if let Some(count) = numbers.mismatches.get(&(judged, billed)) {
                    counter(&mut family, &[("judged", judged), ("billed", billed)], *count)?;
                }
            }
        }
        let help = "What the provider told about accounts.";
        let mut family = self.family("optgate_account_events", help, MetricType::Counter)?;
        for event in AccountEvent::ALL.map(AccountEvent::name) {
            let count = numbers.account_events.get(event).copied().unwrap_or_default();
            counter(&mut family, &[("event", event)], count)?;
        }
        let help = "Messages whose ids could not be learnt, so that nobody is suspected of them.";
        let mut family = self.family("optgate_message_ids_lost", help, MetricType::Counter)?;
        plain_counter(&mut family, numbers.ids_lost)?;
        let help = "Statuses of messages that were left out of every count, because too many came at once.";
        let mut family = self.family("optgate_webhook_statuses_dropped", help, MetricType::Counter)?;
        plain_counter(&mut family, numbers.statuses_dropped)?;
        let help =
            "Links between a person's identities that answers to sends told of, by what became of them.";
        let mut family = self.family("optgate_answer_links", help, MetricType::Counter)?;
        for (link, count) in AnswerLink::ALL.iter().zip(numbers.links) {
            counter(&mut family, &[("result", link.name())], count)?;
        }
        Ok(())
    }

    fn moments(&mut self, numbers: &Numbers) -> fmt::Result {
        type Moment = fn(&Moments) -> u32;
        let families: [(&'static str, &str, Moment); 3] = [
            (
                "optgate_sender_last_webhook_timestamp_seconds",
                "When a sender's last genuine webhook came, since the epoch.",
                |moments| moments.webhook,
            ),
            (
                "optgate_sender_last_send_timestamp_seconds",
                "When the provider last took a message of a sender, since the epoch.",
                |moments| moments.send,
            ),
            (
                "optgate_sender_last_marketing_timestamp_seconds",
                "When the provider last took a marketing message of a sender, since the epoch.",
                |moments| moments.marketing,
            ),
        ];
        for (name, help, moment) in families {
            let mut family = self.family(name, help, MetricType::Gauge)?;
            for (sender, numbers) in &numbers.senders {
                let at = moment(&numbers.state.moments);
                if at > 0 {
                    family.encode_family(&[("sender", sender.as_str())])?.encode_gauge(&u64::from(at))?;
                }
            }
        }
        Ok(())
    }

    fn ratings(&mut self, numbers: &Numbers) -> fmt::Result {
        let help = "How the provider rates a sender's number.";
        let mut family = self.family("optgate_sender_quality", help, MetricType::Gauge)?;
        for (sender, numbers) in &numbers.senders {
            for quality in Quality::ALL {
                let labels = [("sender", sender.as_str()), ("quality", quality.name())];
                let is = u64::from(numbers.state.quality == quality);
                family.encode_family(&labels)?.encode_gauge(&is)?;
            }
        }
        let help = "Whether the provider says that a sender can send without limits.";
        let mut family = self.family("optgate_sender_can_send", help, MetricType::Gauge)?;
        for (sender, numbers) in &numbers.senders {
            if let Some(can_send) = numbers.state.can_send {
                let labels = [("sender", sender.as_str())];
                family.encode_family(&labels)?.encode_gauge(&u64::from(can_send))?;
            }
        }
        let help = "Marketing messages from numbers that are rated badly, which the policy only warns of.";
        self.of_senders("optgate_sender_health_warnings", help, numbers, |numbers| numbers.warned)?;
        let help = "Attempts to ask the provider how a sender's number is doing.";
        let mut family = self.family("optgate_sender_polls", help, MetricType::Counter)?;
        for (sender, numbers) in &numbers.senders {
            for (result, count) in PollResult::ALL.iter().zip(numbers.polls) {
                if count > 0 {
                    counter(&mut family, &[("sender", sender), ("result", result.name())], count)?;
                }
            }
        }
        Ok(())
    }

    fn messages(&mut self, numbers: &Numbers) -> fmt::Result {
        let help = "What the provider told about a sender's messages.";
        let mut family = self.family("optgate_sender_statuses", help, MetricType::Counter)?;
        for (sender, numbers) in &numbers.senders {
            for (result, count) in StatusResult::ALL.iter().zip(numbers.statuses) {
                if count > 0 {
                    counter(&mut family, &[("sender", sender), ("result", result.name())], count)?;
                }
            }
        }
        let help = "Messages of a sender that this deployment has not forwarded.";
        self.of_senders("optgate_bypass_suspected", help, numbers, |numbers| numbers.bypasses)
    }

    fn of_senders(
        &mut self,
        name: &'static str,
        help: &str,
        numbers: &Numbers,
        count: impl Fn(&OfSender) -> u64,
    ) -> fmt::Result {
        let mut family = self.family(name, help, MetricType::Counter)?;
        for (sender, numbers) in &numbers.senders {
            counter(&mut family, &[("sender", sender)], count(numbers))?;
        }
        Ok(())
    }
}
