//! Where the consent came from that people regret: failures by the source of the grant, in sums by day.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

use crate::consent::dossier::Dossier;
use crate::consent::event::Kind;
use crate::consent::{Category, Event};
use crate::store::notes::Sum;

/// How many sources a day tells apart; all further ones are one.
const MAX_SOURCES: usize = 500;
/// The longest text of a source that is kept.
const MAX_TEXT: usize = 64;

/// How a consent was obtained.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) struct Origin {
    /// As the event names it: a form, a shop, an import.
    pub(super) source: String,
    pub(super) channel: Option<String>,
    pub(super) wording: Option<String>,
    /// Whether it was taken in from old records without evidence.
    pub(super) legacy: bool,
}

/// What is summed up.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(super) enum Name {
    /// A sender's messages that were sent.
    Sent(String),
    /// A sender's messages that failed, whatever the reason.
    Failed(String),
    /// A sender's messages that failed with a code, by the source of the consent.
    Code(String, u64, Origin),
}

impl Name {
    pub(super) fn encode(&self) -> String {
        // Plain data serializes.
        serde_json::to_string(self).unwrap_or_default()
    }

    pub(super) fn decode(text: &str) -> Option<Self> {
        serde_json::from_str(text).ok()
    }
}

impl Origin {
    /// The source of the grant that the last send rested on, as far as a person's events tell.
    pub(super) fn of(dossier: Option<&Dossier>) -> Self {
        let history = dossier.map(Dossier::history).unwrap_or_default();
        let grants = || history.iter().filter(|event| event.kind == Kind::Grant);
        let newest = |event: &&&Event| event.effective_at();
        let marketing = grants().filter(|event| event.covers(Category::Marketing)).max_by_key(newest);
        let Some(grant) = marketing.or_else(|| grants().max_by_key(newest)) else {
            return Self { source: "unknown".to_owned(), ..Self::default() };
        };
        let evidence = grant.evidence.as_ref();
        let text = |text: Option<&String>| text.map(|text| text.chars().take(MAX_TEXT).collect());
        Self {
            source: text(Some(&grant.source)).unwrap_or_default(),
            channel: text(evidence.and_then(|evidence| evidence.channel.as_ref())),
            wording: text(evidence.and_then(|evidence| evidence.wording_version.as_ref())),
            legacy: grant.legacy,
        }
    }
}

/// Keeps the number of names in bounds.
#[derive(Default)]
pub(super) struct Bounds {
    day: u32,
    known: HashSet<Origin, ahash::RandomState>,
}

impl Bounds {
    /// The source, or what stands for all that are too many.
    pub(super) fn within(&mut self, day: u32, source: Origin) -> Origin {
        if day != self.day {
            *self = Self { day, ..Self::default() };
        }
        if self.known.len() >= MAX_SOURCES && !self.known.contains(&source) {
            return Origin { source: "other".to_owned(), ..Origin::default() };
        }
        self.known.insert(source.clone());
        source
    }
}

/// Of a sender's sums what some days come to, until today.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Totals {
    pub(super) sent: u64,
    pub(super) failed: u64,
    pub(super) codes: std::collections::BTreeMap<(u64, Origin), u64>,
}

impl Totals {
    pub(super) fn of(sender: &str, sums: &[Sum], from: u32) -> Self {
        let mut totals = Self::default();
        for (_, name, sum) in sums.iter().filter(|(day, _, _)| *day >= from) {
            match Name::decode(name) {
                Some(Name::Sent(of)) if of == sender => totals.sent += sum,
                Some(Name::Failed(of)) if of == sender => totals.failed += sum,
                Some(Name::Code(of, code, source)) if of == sender => {
                    *totals.codes.entry((code, source)).or_default() += sum;
                }
                Some(Name::Sent(_) | Name::Failed(_) | Name::Code(..)) | None => {}
            }
        }
        totals
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_of_a_sender_are_added_up_over_the_days_asked_for() {
        let web = Origin { source: "website".to_owned(), ..Origin::default() };
        let code = |sender: &str| Name::Code(sender.to_owned(), 131_050, web.clone()).encode();
        let sent = Name::Sent("1".to_owned()).encode();
        let sums = [
            (10, sent.clone(), 100),
            (20, sent, 50),
            (20, Name::Failed("1".to_owned()).encode(), 3),
            (20, code("1"), 2),
            (19, code("1"), 1),
            (20, code("2"), 9),
            (20, "not a name".to_owned(), 9),
        ];
        let week = Totals::of("1", &sums, 14);
        assert_eq!((week.sent, week.failed, week.codes[&(131_050, web)]), (50, 3, 3));
        assert_eq!(Totals::of("1", &sums, 0).sent, 150);
    }

    #[test]
    fn a_day_has_a_bounded_number_of_sources() {
        let mut bounds = Bounds::default();
        let source = |n: usize| Origin { source: n.to_string(), ..Origin::default() };
        for n in 0..MAX_SOURCES {
            assert_eq!(bounds.within(1, source(n)), source(n));
        }
        assert_eq!(bounds.within(1, source(MAX_SOURCES)).source, "other");
        assert_eq!(bounds.within(1, source(3)), source(3));
        assert_eq!(bounds.within(2, source(MAX_SOURCES)), source(MAX_SOURCES));
    }
}
