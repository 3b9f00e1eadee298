//! One template in one language as one source lists it, and what webhooks have told of it since.
//!
//! What is told stands beside what was listed, each with its time, and what counts is computed from both: so the order and the number of deliveries do not
//! matter, and an announced change comes into force by itself.

use std::time::Duration;

use crate::consent::{Category, Timestamp};
use crate::wire::classify::TemplateEntry;
use crate::wire::cloud::templates::ListedTemplate;
use crate::wire::webhook::TemplateNews;

/// Within this of a list's own time nobody can say which was first: the provider tells whole seconds, and reading a page takes time.
const UNSURE: Duration = Duration::from_secs(5);
/// A list that is read so soon after a change may not show it yet.
const LAG: Duration = Duration::from_secs(30);

/// Who says so.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// The operator, with a list of an age that nobody knows.
    Operator,
    /// The provider, when it was read.
    Provider,
    /// Both of them.
    Both,
}

impl Source {
    /// The name in answers of the admin API.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Operator => "operator",
            Self::Provider => "provider",
            Self::Both => "both",
        }
    }
}

/// Something that was told, and when it was so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Told<T> {
    pub(super) at: Timestamp,
    pub(super) what: T,
}

/// A change of category that the provider announced.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Announced {
    /// What it will be.
    pub category: Category,
    /// From when on; until another list, if the provider did not say.
    pub due: Option<Timestamp>,
}

/// One template in one language, as one source knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) listed: ListedTemplate,
    /// When it was listed so.
    pub(super) as_of: Timestamp,
    pub(super) told: News,
}

/// The latest of each kind that webhooks told.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct News {
    /// A second category stands here only if two were told for the same second.
    pub(super) category: Option<Told<(Category, Option<Category>)>>,
    pub(super) announced: Option<Told<Announced>>,
    pub(super) status: Option<Told<String>>,
    pub(super) quality: Option<Told<String>>,
    pub(super) rewritten: Option<Timestamp>,
}

/// How something that was told stands to a list.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Standing {
    /// The list is newer.
    Spent,
    /// Nobody knows which is newer.
    Unsure,
    /// It is newer than the list.
    Newer,
}

impl Entry {
    pub(super) fn listed(listed: ListedTemplate, as_of: Timestamp) -> Self {
        Self { listed, as_of, told: News::default() }
    }

    fn standing(&self, source: Source, at: Timestamp) -> Standing {
        match source {
            _ if at > self.as_of.plus(UNSURE) => Standing::Newer,
            Source::Provider if at.plus(LAG) < self.as_of => Standing::Spent,
            Source::Provider | Source::Operator | Source::Both => Standing::Unsure,
        }
    }

    /// Notes what a webhook told, unless the list is newer. Without a time it can only make the template stricter.
    pub(super) fn hear(&mut self, source: Source, at: Option<Timestamp>, what: &TemplateNews) {
        let moment = at.unwrap_or(self.as_of);
        let spent = |at: Timestamp| self.standing(source, at) == Standing::Spent;
        let over = spent(moment);
        if let TemplateNews::Announced { now: _, then, due } = what
            // One that comes late still tells of what is to come.
            && !spent(due.unwrap_or(moment))
        {
            self.told.announced(moment, Announced { category: *then, due: *due });
        }
        if over {
            return;
        }
        let told = &mut self.told;
        match what {
            TemplateNews::Became(category) | TemplateNews::Announced { now: Some(category), .. } => {
                told.became(at, moment, *category);
            }
            TemplateNews::Announced { now: None, .. } => {}
            TemplateNews::Status { event, category } => {
                note(&mut told.status, moment, event.clone());
                if let Some(category) = category {
                    told.became(at, moment, *category);
                }
            }
            TemplateNews::Quality(score) => note(&mut told.quality, moment, score.clone()),
            TemplateNews::Rewritten => told.rewritten = told.rewritten.max(Some(moment)),
        }
        self.forget_a_rewriting_that_is_listed(source);
    }

    /// Whether a category was told of which nobody knows whether the list shows it: both count, and another look at the list would settle it.
    pub(super) fn is_in_doubt(&self, source: Source) -> bool {
        let listed = TemplateEntry {
            category: self.listed.category,
            correct_category: self.listed.correct_category,
            asks_to_call: self.listed.asks_to_call,
        };
        self.told.category.as_ref().is_some_and(|told| {
            let (category, also) = told.what;
            self.standing(source, told.at) == Standing::Unsure && with(listed, category, also) != listed
        })
    }

    /// Takes over what was told of the same template as another list had it.
    pub(super) fn succeed(mut self, source: Source, before: Option<&Self>) -> Self {
        if let Some(before) = before {
            self.told = before.told.clone();
            self.forget_what_is_spent(source);
        }
        self
    }

    /// Keeps only announcements that are not due yet: who replaces a list by hand knows everything else.
    pub(super) fn keep_only_what_is_to_come(&mut self, now: Timestamp) {
        let announced = self.told.announced.take();
        let to_come = announced.filter(|told| told.what.due.is_some_and(|due| due > now));
        self.told = News { announced: to_come, ..News::default() };
    }

    fn forget_what_is_spent(&mut self, source: Source) {
        let mut told = std::mem::take(&mut self.told);
        let spent = |at: Timestamp| self.standing(source, at) == Standing::Spent;
        told.category.take_if(|told| spent(told.at));
        told.announced.take_if(|told| spent(told.what.due.unwrap_or(told.at)));
        told.status.take_if(|told| spent(told.at));
        told.quality.take_if(|told| spent(told.at));
        self.told = told;
        self.forget_a_rewriting_that_is_listed(source);
    }

    /// Whoever has it read again on purpose waits until the list must show it.
    fn forget_a_rewriting_that_is_listed(&mut self, source: Source) {
        let as_of = self.as_of;
        self.told.rewritten.take_if(|at| source == Source::Provider && *at < as_of);
    }

    /// What the source says that it is, at a time.
    pub(super) fn effect(&self, source: Source, now: Timestamp) -> TemplateEntry {
        let ListedTemplate { category, correct_category, asks_to_call, .. } = self.listed;
        let mut entry = TemplateEntry { category, correct_category, asks_to_call };
        // What it was written anew to nobody knows before it is listed again.
        entry.asks_to_call |= self.told.rewritten.is_some();
        if let Some(told) = &self.told.category {
            let (category, also) = told.what;
            entry = match self.standing(source, told.at) {
                Standing::Spent => entry,
                Standing::Unsure => stricter(entry, with(entry, category, also)),
                Standing::Newer => {
                    let open = entry.correct_category.filter(|correct| *correct != category);
                    with(entry, category, also.or(open))
                }
            };
        }
        match self.announced() {
            None => entry,
            Some(Announced { category, due: Some(due) }) if due <= now => {
                let then = with(entry, category, None);
                match self.standing(source, due) {
                    Standing::Newer => then,
                    Standing::Unsure | Standing::Spent => stricter(entry, then),
                }
            }
            Some(Announced { category, .. }) => to_be(entry, category),
        }
    }

    /// The announcement that is still open, or came into force and has not been listed since.
    pub(super) fn announced(&self) -> Option<Announced> {
        let told = self.told.announced.as_ref()?;
        let done = self.told.category.as_ref().is_some_and(|news| {
            let fulfilled = news.what == (told.what.category, None) && news.at >= told.at;
            fulfilled || told.what.due.is_some_and(|due| news.at > due)
        });
        Some(told.what).filter(|_| !done)
    }

    pub(super) fn status(&self) -> Option<&String> {
        self.told.status.as_ref().map(|told| &told.what).or(self.listed.status.as_ref())
    }

    pub(super) fn quality(&self) -> Option<&String> {
        self.told.quality.as_ref().map(|told| &told.what).or(self.listed.quality.as_ref())
    }
}

impl News {
    fn became(&mut self, at: Option<Timestamp>, moment: Timestamp, category: Category) {
        let moment = match (&self.category, at) {
            (Some(known), None) => known.at.max(moment),
            (Some(_) | None, _) => moment,
        };
        match &mut self.category {
            Some(known) if known.at > moment => {}
            Some(known) if known.at == moment => known.what = both(known.what, category),
            slot => *slot = Some(Told { at: moment, what: (category, None) }),
        }
    }

    fn announced(&mut self, at: Timestamp, what: Announced) {
        match &mut self.announced {
            Some(known) if known.at > at => {}
            Some(known) if known.at == at => {
                let agreed = known.what.category == what.category;
                let category = if agreed { what.category } else { Category::Marketing };
                known.what = Announced { category, due: known.what.due.max(what.due) };
            }
            slot => *slot = Some(Told { at, what }),
        }
    }
}

/// Keeps the later; of two at one time the one that sorts last, so that their order does not matter.
fn note(slot: &mut Option<Told<String>>, at: Timestamp, what: String) {
    match slot {
        Some(known) if (known.at, &known.what) >= (at, &what) => {}
        _ => *slot = Some(Told { at, what }),
    }
}

fn with(entry: TemplateEntry, category: Category, correct_category: Option<Category>) -> TemplateEntry {
    TemplateEntry { category, correct_category, ..entry }
}

/// What it is now and what it will be, both of which count.
fn to_be(entry: TemplateEntry, category: Category) -> TemplateEntry {
    match entry.correct_category {
        None if entry.category == category => entry,
        None => TemplateEntry { correct_category: Some(category), ..entry },
        Some(correct) if correct == category => entry,
        Some(_) => stricter(entry, with(entry, category, None)),
    }
}

fn both(known: (Category, Option<Category>), category: Category) -> (Category, Option<Category>) {
    let entry =
        |(category, correct_category)| TemplateEntry { category, correct_category, asks_to_call: false };
    let joined = stricter(entry(known), entry((category, None)));
    (joined.category, joined.correct_category)
}

/// What both entries ask for: marketing where either is marketing, else every category that either names.
///
/// An entry has room for two categories, and beside marketing a template has only utility and authentication to choose from.
pub(super) fn stricter(one: TemplateEntry, other: TemplateEntry) -> TemplateEntry {
    let named = [Some(one.category), one.correct_category, Some(other.category), other.correct_category];
    let mut named: Vec<Category> = named.into_iter().flatten().collect();
    named.sort_unstable();
    named.dedup();
    let (category, correct_category) = match named.as_slice() {
        [only] => (*only, None),
        [Category::Authentication, Category::Utility] => (Category::Utility, Some(Category::Authentication)),
        _ => (Category::Marketing, None),
    };
    TemplateEntry { category, correct_category, asks_to_call: one.asks_to_call || other.asks_to_call }
}

#[cfg(test)]
mod tests;
