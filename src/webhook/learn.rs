//! From what a webhook tells to consent events.
//!
//! Every event has an id made from what the provider said, so that a delivery that is repeated, or comes late, changes nothing.

use aws_lc_rs::digest;

use super::Relay;
use crate::consent::dossier::Provenance;
use crate::consent::evidence::Evidence;
use crate::consent::tenant::Tenants;
use crate::consent::words::{OptOut, SAID, Wish};
use crate::consent::{Actor, Category, CategorySet, Event, EventId, Kind, Recipient, Timestamp};
use crate::store::{GroupMark, Incoming, StoreError};
use crate::wire::webhook::{GroupNews, GroupNotice, Inbound, Notice, Person, Reading, Stage, Status, What};

/// The source of the provider's own switch, which a failed send tells of as well.
const PREFERENCE: &str = "whatsapp:user_preferences";
/// The source of everything else.
const WEBHOOK: &str = "whatsapp:webhook";
/// "User has stopped marketing messages": the provider's answer to a marketing template. Source: Meta, "Error codes".
const STOPPED_MARKETING: u64 = 131_050;

/// Has the store keep what a webhook tells. Returns once it is durable and in force on this node.
pub(super) async fn learn(relay: &Relay, reading: &Reading) -> Result<(), StoreError> {
    let tenants = relay.judge.tenants();
    let lessons: Vec<Incoming> =
        reading.notices.iter().flat_map(|notice| lessons(relay, &tenants, notice)).collect();
    let met = reading.groups.iter().flat_map(|notice| meetings(relay, &tenants, notice));
    let lessons: Vec<Incoming> = lessons.into_iter().chain(met).collect();
    if !lessons.is_empty() {
        relay.store.apply(lessons).await?;
    }
    for notice in &reading.groups {
        if let Some(tenant) = tenants.tenant_of(&notice.sender) {
            let marks = marks(&notice.what);
            relay.store.tell_group(tenant, notice.group.danger_reveal(), notice.at, &marks).await?;
        }
    }
    Ok(())
}

/// What holds of a group from now on, or does not.
fn marks(news: &GroupNews) -> Vec<(GroupMark, bool)> {
    let all = |people: &[Person], holds| {
        let identities = people.iter().flat_map(Person::identities);
        identities.map(|identity| (GroupMark::Member(identity.key()), holds)).collect::<Vec<_>>()
    };
    match news {
        GroupNews::Created => vec![(GroupMark::Exists, true)],
        GroupNews::Deleted => vec![(GroupMark::Exists, false)],
        GroupNews::Joined(people) => all(people, true),
        GroupNews::SomebodyJoined => vec![(GroupMark::Unclear, true)],
        GroupNews::Left(people) => all(people, false),
        GroupNews::Wrote(person) => {
            let mut marks = all(std::slice::from_ref(person), true);
            marks.push((GroupMark::Wrote, true));
            marks
        }
    }
}

/// The links between the identities that a member is named by.
fn meetings(relay: &Relay, tenants: &Tenants, notice: &GroupNotice) -> Vec<Incoming> {
    let Some(tenant) = tenants.tenant_of(&notice.sender) else { return Vec::new() };
    let people = match &notice.what {
        GroupNews::Joined(people) => people.as_slice(),
        GroupNews::Wrote(person) => std::slice::from_ref(person),
        GroupNews::Created | GroupNews::Deleted | GroupNews::SomebodyJoined | GroupNews::Left(_) => &[],
    };
    let (at, received_at) = (notice.at, relay.clock.now());
    let link = |person: &Person| {
        let (recipient, links) = split(person).filter(|(_, others)| !others.is_empty())?;
        let id = format!("g-{}", at.as_secs_u32());
        let origin = (WEBHOOK, id);
        let event =
            Event { links, ..blank((at, received_at), recipient, (Kind::Link, Actor::Provider), origin) };
        Some(Incoming { tenant, event, provenance: Provenance::Observed, retold: false })
    };
    people.iter().filter_map(link).collect()
}

fn lessons(relay: &Relay, tenants: &Tenants, notice: &Notice) -> Vec<Incoming> {
    // Whoever it was told to does not send through this gate.
    let Some(tenant) = tenants.tenant_of(&notice.sender) else { return Vec::new() };
    let Some(opt_out) = tenants.all().get(tenant).map(|tenant| &tenant.opt_out) else { return Vec::new() };
    let incoming = |(event, provenance)| Incoming { tenant, event, provenance, retold: false };
    let told = Told { notice, received_at: relay.clock.now() };
    match &notice.what {
        What::Inbound(inbound) => told.inbound(inbound, opt_out),
        What::Preference(wish) => told.preference(*wish),
        What::Status(status) => told.status(status),
        What::Moved(now) => told.moved(now),
    }
    .into_iter()
    .map(incoming)
    .collect()
}

type Lesson = (Event, Provenance);

/// A notice and when it came.
struct Told<'a> {
    notice: &'a Notice,
    received_at: Timestamp,
}

impl Told<'_> {
    /// A message or call: the window, and the wish if it is one word.
    fn inbound(&self, inbound: &Inbound, opt_out: &OptOut) -> Vec<Lesson> {
        let id = short(&inbound.id);
        let mut lessons = Vec::new();
        if inbound.opens_window {
            lessons.extend(self.event(Kind::Inbound, Actor::Person, (WEBHOOK, format!("w-{id}"))));
        }
        let wish = |text: &String| opt_out.words.wish(text);
        // A button whose payload says one thing and whose title another: the stop counts.
        let stops = inbound.texts.iter().any(|text| wish(text) == Some(Wish::Stop));
        let resumes = inbound.shown.as_ref().filter(|text| wish(text) == Some(Wish::Resume));
        let (kind, name, categories, evidence) = match resumes {
            _ if stops => (Kind::Revoke, "stop", opt_out.scope.categories(), None),
            // It lifts whatever a word stopped, by whatever scope, and grants nothing. Only what the person wrote or saw can.
            Some(text) => (Kind::Resume, "resume", None, Some(asked_for(inbound, text))),
            None => return lessons,
        };
        let said = self.event(kind, Actor::Person, (SAID, format!("w-{id}-{name}")));
        lessons.extend(said.map(|lesson| proven(about(lesson, categories), evidence)));
        lessons
    }

    /// The switch for marketing messages in the person's own app.
    fn preference(&self, wish: Wish) -> Vec<Lesson> {
        let (kind, name, evidence) = match wish {
            Wish::Stop => (Kind::Revoke, "stop", None),
            Wish::Resume => (Kind::Resume, "resume", Some(self.switched())),
        };
        let id = format!("p-{}-{name}", self.notice.at.as_secs_u32());
        let told = self.event(kind, Actor::Provider, (PREFERENCE, id));
        let marketing = |lesson| about(lesson, Some(CategorySet::of(Category::Marketing)));
        told.map(|lesson| proven(marketing(lesson), evidence)).into_iter().collect()
    }

    /// How the person took a stop back in their own app.
    fn switched(&self) -> Evidence {
        let reference = Some(format!("webhook user_preferences of {}", self.notice.at));
        Evidence { reference, ..in_chat("pressed_button") }
    }

    /// A failed marketing template tells that the person had used that switch.
    fn status(&self, status: &Status) -> Vec<Lesson> {
        if status.stage != Stage::Failed || !status.codes.contains(&STOPPED_MARKETING) {
            return Vec::new();
        }
        let id = format!("s-{}", short(&status.id));
        let told = self.event(Kind::Revoke, Actor::Provider, (PREFERENCE, id));
        told.map(|lesson| about(lesson, Some(CategorySet::of(Category::Marketing)))).into_iter().collect()
    }

    /// Withdrawals follow a person to another number or id, grants do not: the number may belong to somebody else by now.
    fn moved(&self, now: &Person) -> Vec<Lesson> {
        let mut links = self.notice.person.identities();
        let Some((recipient, others)) = split(now) else { return Vec::new() };
        links.extend(others);
        let id = format!("m-{}", self.notice.at.as_secs_u32());
        let mut event = self.blank(recipient, Kind::Link, Actor::Provider, (WEBHOOK, id));
        event.links = links;
        let mut lessons = vec![(event, Provenance::Declared)];
        if now.phone.is_some() && now.phone != self.notice.person.phone {
            lessons.extend(self.left());
        }
        lessons
    }

    /// What was agreed for a number that was given up ends: whoever has it next has agreed to nothing. An answer to what they write is theirs. It ends nothing
    /// else: the person has not withdrawn, and under the other number they have agreed to nothing or to what they agreed to for that one.
    fn left(&self) -> Option<Lesson> {
        self.notice.person.phone?;
        let categories =
            Category::ALL.into_iter().filter(|category| *category != Category::Service).collect();
        let id = format!("m-{}-left", self.notice.at.as_secs_u32());
        let (event, _) = self.event(Kind::Revoke, Actor::Provider, (Event::MOVED, id))?;
        Some(about((Event { links: Vec::new(), ..event }, Provenance::Observed), Some(categories)))
    }

    /// An event about the person, linked to their other identities as the provider shows them.
    fn event(&self, kind: Kind, actor: Actor, origin: (&str, String)) -> Option<Lesson> {
        let (recipient, links) = split(&self.notice.person)?;
        let mut event = self.blank(recipient, kind, actor, origin);
        event.links = links;
        if kind == Kind::Revoke {
            event.occurred_at = end_of_second(event.occurred_at);
        }
        Some((event, Provenance::Observed))
    }

    fn blank(&self, recipient: Recipient, kind: Kind, actor: Actor, origin: (&str, String)) -> Event {
        blank((self.notice.at, self.received_at), recipient, (kind, actor), origin)
    }
}

/// An event of which the rest is to be filled in.
fn blank(
    (occurred_at, received_at): (Timestamp, Timestamp),
    recipient: Recipient,
    (kind, actor): (Kind, Actor),
    (source, id): (&str, String),
) -> Event {
    Event {
        id: EventId(id),
        recipient,
        kind,
        categories: None,
        occurred_at,
        received_at,
        expires_at: None,
        actor,
        source: source.to_owned(),
        links: Vec::new(),
        evidence: None,
        pending: false,
        confirms: None,
        legacy: false,
    }
}

/// The provider tells whole seconds: of a stop and a grant within one, nobody knows which came first, and the stop must count.
fn end_of_second(at: Timestamp) -> Timestamp {
    let millis = at.as_millis();
    Timestamp::from_millis(if millis.is_multiple_of(1000) { millis + 999 } else { millis })
}

/// How the person took a stop back by a message: in its words, and by the hash of its id, which holds their number.
fn asked_for(inbound: &Inbound, text: &str) -> Evidence {
    let action = if inbound.pressed { "pressed_button" } else { "texted_keyword" };
    let reference = Some(format!("message with the id of sha256 {}...", short(&inbound.id)));
    Evidence { wording: Some(text.to_owned()), reference, ..in_chat(action) }
}

fn in_chat(action: &str) -> Evidence {
    let (channel, user_action) = (Some("whatsapp".to_owned()), Some(action.to_owned()));
    Evidence { channel, user_action, ..Evidence::default() }
}

fn proven((event, provenance): Lesson, evidence: Option<Evidence>) -> Lesson {
    (Event { evidence, ..event }, provenance)
}

fn about((event, provenance): Lesson, categories: Option<CategorySet>) -> Lesson {
    (Event { categories, ..event }, provenance)
}

fn split(person: &Person) -> Option<(Recipient, Vec<Recipient>)> {
    let mut identities = person.identities().into_iter();
    Some((identities.next()?, identities.collect()))
}

/// A name made from the provider's id of a message, which holds the person's number.
fn short(id: &str) -> String {
    let hash = digest::digest(&digest::SHA256, id.as_bytes());
    hex::encode(hash.as_ref().get(..12).unwrap_or_default())
}
