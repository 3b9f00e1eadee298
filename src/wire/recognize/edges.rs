//! The closed table of edges, as the documentation of [`super`] explains it.

use super::path::Segments;
use crate::wire::send::Surface;

/// How a write to an edge is treated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Treatment {
    /// Judged as a send.
    Send(Surface),
    /// Encrypted for the provider: cannot be judged.
    Opaque,
    /// Could be a send in a dialect that is not judged.
    Foreign,
    /// Passed; recipient, content and batch abort it.
    Safe,
    /// Passed even with content: nobody is contacted. Only a batch aborts it.
    Sample,
    /// The file of a resumable upload: the body is the file itself.
    File,
    /// Refused as steering.
    Steering,
    /// Refused as steering if one of the keys is present or if it deletes, else like [`Treatment::Safe`].
    SteeringIf(&'static [&'static str]),
    /// Like [`Treatment::SteeringIf`], and judged as a send if it carries a recipient.
    Node,
    /// Adds people to a group.
    Members,
    /// Creates a group; refused if it adds people.
    Groups,
    /// Marks a message as read on-premises; anything else is refused.
    Receipt,
    /// Inspected: nothing is known about it.
    Unknown,
}

/// One row of the table.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Edge {
    /// The name in the path, in the canonical letter case; also the metric label.
    pub(super) name: &'static str,
    /// How a write is treated.
    pub(super) treatment: Treatment,
}

impl Edge {
    /// Whether a recipient or content makes a send of a request to it, whatever its method.
    pub(super) fn sends(&self) -> bool {
        matches!(
            self.treatment,
            Treatment::Send(_) | Treatment::Opaque | Treatment::Foreign | Treatment::Receipt
        )
    }

    /// The names by which a write to it is told from a harmless one, beside those that are judged everywhere.
    pub(super) fn keys(&self) -> &'static [&'static str] {
        match self.treatment {
            Treatment::SteeringIf(keys) => keys,
            // `/?id={phone_number_id}` is that node, and nobody knows what else is.
            Treatment::Node | Treatment::Unknown => NODE_KEYS,
            Treatment::Groups => GROUP_KEYS,
            Treatment::Send(_)
            | Treatment::Opaque
            | Treatment::Foreign
            | Treatment::Safe
            | Treatment::Sample
            | Treatment::File
            | Treatment::Steering
            | Treatment::Members
            | Treatment::Receipt => &[],
        }
    }

    /// Whether a value that is filled in later could make a send of a request to it, or steer.
    pub(super) fn is_judged(&self) -> bool {
        matches!(
            self.treatment,
            Treatment::Send(_) | Treatment::Node | Treatment::Receipt | Treatment::SteeringIf(_)
        )
    }
}

const fn edge(name: &'static str, treatment: Treatment) -> Edge {
    Edge { name, treatment }
}

/// Keys of `POST /{phone_number_id}` that move webhooks or make WhatsApp notify users of a changed number.
const NODE_KEYS: &[&str] = &[
    "webhook_configuration",
    "override_callback_uri",
    "whatsapp_business_api_data",
    "notify_user_change_number",
];

/// Keys of `POST /{phone_number_id}/settings` that move calls or encrypt what arrives.
const SETTINGS_KEYS: &[&str] = &["payload_encryption", "calling.sip", "settings.sip", "settings.payload"];

/// What the keys are called that put people into a group that exists; Meta documents none, so any name that holds the word counts.
pub(super) const MEMBER_KEYS: &[&str] = &["*participant", "*invit"];

/// The same where a group is created: it has a subject, a description, a picture and a way to join.
const GROUP_KEYS: &[&str] =
    &["*participant", "*invit", "*member", "*user", "*recipient", "*contact", "*people", "*phone", "*wa_id"];

const MESSAGES: Edge = edge("messages", Treatment::Send(Surface::Messages));

/// Where nearly every send goes: what [`find`] finds for `/{digits}/messages`.
pub(super) static USUAL: Edge = MESSAGES;

/// Edges below an id.
static EDGES: &[Edge] = &[
    MESSAGES,
    edge("marketing_messages", Treatment::Send(Surface::MarketingMessages)),
    edge("calls", Treatment::Send(Surface::Calls)),
    edge("messages_encrypted", Treatment::Opaque),
    // Runs operations later, with nobody there to judge them. Source: Meta, Marketing API, "Asynchronous Batch Requests".
    edge("async_batch_requests", Treatment::Foreign),
    edge("graphql", Treatment::Foreign),
    // Messenger hands a conversation from one app to another; the person is told nothing. Source: Meta, Handover Protocol.
    edge("pass_thread_control", Treatment::Sample),
    edge("take_thread_control", Treatment::Sample),
    edge("request_thread_control", Treatment::Sample),
    edge("release_thread_control", Treatment::Sample),
    edge("media", Treatment::Safe),
    edge("message_templates", Treatment::Safe),
    edge("upsert_message_templates", Treatment::Safe),
    edge("migrate_message_templates", Treatment::Safe),
    edge("whatsapp_business_profile", Treatment::Safe),
    edge("whatsapp_business_encryption", Treatment::Safe),
    edge("whatsapp_commerce_settings", Treatment::Safe),
    edge("whatsapp_business_username", Treatment::Safe),
    edge("register", Treatment::Safe),
    edge("deregister", Treatment::Safe),
    edge("request_code", Treatment::Safe),
    edge("verify_code", Treatment::Safe),
    edge("block_users", Treatment::Safe),
    edge("message_qrdls", Treatment::Safe),
    edge("conversational_automation", Treatment::Safe),
    edge("phone_numbers", Treatment::Safe),
    edge("flows", Treatment::Safe),
    edge("migrate_flows", Treatment::Safe),
    edge("assets", Treatment::Safe),
    edge("publish", Treatment::Safe),
    edge("deprecate", Treatment::Safe),
    edge("uploads", Treatment::Safe),
    edge("groups", Treatment::Groups),
    edge("invite_link", Treatment::Safe),
    edge("join_requests", Treatment::Safe),
    edge("assigned_users", Treatment::Safe),
    edge("message_samples", Treatment::Sample),
    edge("participants", Treatment::Members),
    edge("settings", Treatment::SteeringIf(SETTINGS_KEYS)),
    // A delete ends the account's webhooks, however it is said. Source: Meta, "Subscribed apps", unsubscribing.
    edge("subscribed_apps", Treatment::SteeringIf(&["override_callback_uri", "method.delete"])),
    edge("subscriptions", Treatment::Steering),
    edge("webhook", Treatment::Steering),
    edge("application", Treatment::SteeringIf(&["webhooks"])),
    edge("signups", Treatment::Steering),
    edge("welcome_message_sequences", Treatment::Steering),
    edge("schedules", Treatment::Steering),
    edge("message_campaigns", Treatment::Steering),
];

/// What lies below an edge that steers.
static BELOW: Edge = edge("below_steering", Treatment::Steering);
static ROOT: Edge = edge("root", Treatment::Unknown);
static NODE: Edge = edge("node", Treatment::Node);
static FILE: Edge = edge("upload", Treatment::File);
static UNKNOWN: Edge = edge("other", Treatment::Unknown);
static FOREIGN: Edge = edge("foreign_messages", Treatment::Foreign);
static RECEIPT: Edge = edge("receipt", Treatment::Receipt);
static CONTACTS: Edge = edge("on_premises_contacts", Treatment::Sample);

/// The edge that a path leads to.
pub(super) fn find(path: &Segments<'_>) -> &'static Edge {
    let (id, name) = (path.at(0), path.at(1));
    match path.len {
        0 => &ROOT,
        1 if nearly(id).is_some_and(is_contacting) => &FOREIGN,
        1 if id.starts_with("upload:") => &FILE,
        1 if id.eq_ignore_ascii_case("contacts") && path.version.is_some_and(|v| !v.contains('.')) => {
            &CONTACTS
        }
        1 if is_node(id) => &NODE,
        // `/settings?ids={phone_number_id}`.
        1 => nearly(id).filter(|edge| steers(edge)).unwrap_or(&UNKNOWN),
        2 if nearly(id).is_some_and(is_contacting) => foreign_below(path),
        2 => below(id, name),
        _ if path.more || path.iter().any(|segment| nearly(segment).is_some_and(is_contacting)) => &FOREIGN,
        _ if is_below_steering(path) => &BELOW,
        3 => named(name).filter(|edge| is_deep(edge)).unwrap_or(&UNKNOWN),
        _ => &UNKNOWN,
    }
}

fn below(id: &str, name: &str) -> &'static Edge {
    match named(name) {
        Some(edge) if is_contacting(edge) && !is_node(id) => &FOREIGN,
        Some(edge) => edge,
        None if nearly(name).is_some_and(|edge| is_contacting(edge) || is_deep(edge)) => &FOREIGN,
        None => nearly(name).filter(|edge| steers(edge)).unwrap_or(&UNKNOWN),
    }
}

/// `/{id}/settings/calling`, `/latest/{id}/settings`.
fn is_below_steering(path: &Segments<'_>) -> bool {
    path.iter().zip(path.iter().skip(1)).any(|(id, name)| {
        is_number(id) && nearly(name).is_some_and(|edge| matches!(edge.treatment, Treatment::SteeringIf(_)))
    })
}

fn steers(edge: &Edge) -> bool {
    matches!(edge.treatment, Treatment::SteeringIf(_) | Treatment::Steering)
}

/// `/v1/messages/{message id}` marks as read on-premises.
fn foreign_below(path: &Segments<'_>) -> &'static Edge {
    let on_premises = path.version.is_some() && named(path.at(0)).is_some_and(|edge| edge.name == "messages");
    if on_premises { &RECEIPT } else { &FOREIGN }
}

/// Whether the edge of this name is judged, whatever the method: a value that is filled in later must not stand there.
pub(super) fn is_judged(name: &str) -> bool {
    [&NODE, &FOREIGN, &RECEIPT]
        .into_iter()
        .chain(EDGES)
        .any(|edge| edge.name == name && (edge.is_judged() || edge.sends()))
}

fn named(segment: &str) -> Option<&'static Edge> {
    EDGES.iter().find(|edge| edge.name.eq_ignore_ascii_case(segment))
}

/// `messages.json` and the like: a lenient router could cut the suffix.
fn nearly(segment: &str) -> Option<&'static Edge> {
    // No edge is a number, and every send has one in its path.
    if is_number(segment) {
        return None;
    }
    let stem =
        segment.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')).find(|stem| !stem.is_empty());
    stem.and_then(named)
}

fn is_contacting(edge: &Edge) -> bool {
    matches!(edge.treatment, Treatment::Send(_) | Treatment::Opaque | Treatment::Foreign)
}

/// Edges whose own children are treated alike: `/{id}/signups/{id}`.
fn is_deep(edge: &Edge) -> bool {
    matches!(edge.treatment, Treatment::Steering | Treatment::Members)
}

/// A numeric id, or the caller's own (`me`, on Messenger and Instagram).
fn is_node(id: &str) -> bool {
    is_number(id) || id.eq_ignore_ascii_case("me")
}

/// Whether an id can be a phone number id.
pub(super) fn is_number(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_usual_edge_is_the_one_that_is_found() {
        assert_eq!(find(&Segments::of("/v23.0/1/messages")), &USUAL);
    }

    #[test]
    fn every_path_has_one_treatment() {
        use Treatment::*;
        for (path, treatment) in [
            ("/v23.0/1/messages", Send(Surface::Messages)),
            ("/1/Messages", Send(Surface::Messages)),
            ("/me/messages", Send(Surface::Messages)),
            ("/v23.0/1/MARKETING_messages", Send(Surface::MarketingMessages)),
            ("/1/calls", Send(Surface::Calls)),
            ("/1/messages_encrypted", Opaque),
            ("/messages", Foreign),
            ("/v1/messages.json", Foreign),
            ("/v1/messages.json/x", Foreign),
            ("/a/messages.json/b", Foreign),
            ("/v1/messages", Foreign),
            ("/v1/messages/x", Receipt),
            ("/messages/x", Foreign),
            ("/US.1/messages", Foreign),
            ("/1/messages.json", Foreign),
            ("/g/participants.json", Foreign),
            ("/app/subscriptions,x", Foreign),
            ("/1/messages/json", Foreign),
            ("/a/b/messages", Foreign),
            ("/a/b/c/d/messages", Foreign),
            ("/1/messages,x", Foreign),
            ("/act_1/async_batch_requests", Foreign),
            ("/async_batch_requests.json", Foreign),
            ("/77/items_batch", Unknown),
            ("/v1/contacts", Sample),
            ("/v23.0/contacts", Unknown),
            ("/1/groups", Groups),
            ("/", Unknown),
            ("/v23.0", Unknown),
            ("/v23.0/1", Node),
            ("/v23.0/me", Node),
            ("/app/uploads", Safe),
            ("/upload:MT", File),
            ("/1/media", Safe),
            ("/1/signups/2", Steering),
            ("/g/participants", Members),
            ("/1/feed", Unknown),
            ("/oauth/access_token", Unknown),
            ("/1/settings", SteeringIf(SETTINGS_KEYS)),
            ("/settings", SteeringIf(SETTINGS_KEYS)),
            ("/1/settings.json", SteeringIf(SETTINGS_KEYS)),
            ("/v23.0/subscriptions", Steering),
            ("/1/settings/calling", Steering),
            ("/latest/1/settings", Steering),
            ("/v1/settings/profile/about", Unknown),
            ("/graphql", Foreign),
            ("/me/pass_thread_control", Sample),
        ] {
            assert_eq!(find(&Segments::of(path)).treatment, treatment, "{path}");
        }
    }
}
