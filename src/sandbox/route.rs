//! Which part of Graph a call is for.

use std::io;
use std::sync::Arc;

use http::Method;
use percent_encoding::percent_decode_str;

use super::accounts::{self, Accounts, Blocking};
use super::errors::GraphError;
use super::faults::Faults;
use super::ids::Ids;
use super::journal::{Delivery, Journal};
use super::json::{Object, success};
use super::media::{self, Media, Upload};
use super::parameters::Parameters;
use super::templates::Templates;
use super::usage::Usage;
use super::webhook::{Accepted, Subscription, Unverified, Webhooks};
use super::{Settings, batch, calls, messages};

/// Everything one sandbox remembers.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) journal: Arc<Journal>,
    pub(super) faults: Arc<Faults>,
    pub(super) ids: Ids,
    pub(super) media: Media,
    pub(super) templates: Templates,
    pub(super) accounts: Accounts,
    pub(super) usage: Usage,
    pub(super) webhooks: Webhooks,
}

impl World {
    pub(super) fn new(settings: Settings) -> io::Result<Self> {
        Ok(World {
            journal: Arc::new(Journal::new(settings.journal_entries)),
            faults: Arc::default(),
            ids: Ids::new()?,
            media: Media::new(settings.media_memory),
            templates: Templates::new(),
            accounts: Accounts::default(),
            usage: Usage::new(),
            webhooks: Webhooks::new(&settings.account, settings.redelivery),
            settings,
        })
    }

    /// Verifies an endpoint and sends webhooks there.
    pub(super) async fn subscribe(&self, subscription: Subscription) -> Result<(), Unverified> {
        self.webhooks.subscribe(subscription, &self.ids.object("1")).await
    }
}

/// One call to Graph: a request, or one operation of a batch.
pub(super) struct Call<'a> {
    /// The method after any override by a parameter.
    pub(super) method: Method,
    /// The path as it was written.
    pub(super) path: String,
    pub(super) parameters: Parameters,
    pub(super) token: Option<String>,
    /// The sandbox's own URL as the caller knows it.
    pub(super) base: &'a str,
    /// The file that came with it.
    pub(super) upload: Option<Upload>,
}

/// The answer to one call, and the sends it asked for.
pub(super) struct Outcome {
    pub(super) reply: Result<String, GraphError>,
    pub(super) sends: Vec<Delivery>,
    /// Those among them that were accepted and of which webhooks will tell.
    pub(super) accepted: Vec<Accepted>,
}

impl From<Result<String, GraphError>> for Outcome {
    fn from(reply: Result<String, GraphError>) -> Self {
        Outcome { reply, sends: Vec::new(), accepted: Vec::new() }
    }
}

/// The method after the override that old clients use.
pub(super) fn effective(method: &Method, parameters: &Parameters) -> Method {
    let wanted = parameters.text("method").unwrap_or_default().to_ascii_lowercase();
    match (method, wanted.as_str()) {
        (&Method::GET | &Method::POST, "get") => Method::GET,
        (&Method::GET | &Method::POST, "post") => Method::POST,
        (&Method::GET | &Method::POST, "delete") => Method::DELETE,
        _ => method.clone(),
    }
}

/// The segments of a path: decoded, without empty ones, without the version.
pub(super) fn segments(path: &str) -> Vec<String> {
    let decoded = percent_decode_str(path).decode_utf8_lossy();
    let mut segments: Vec<String> =
        decoded.split('/').filter(|segment| !segment.is_empty()).map(str::to_owned).collect();
    if segments.first().is_some_and(|first| is_version(first)) {
        segments.remove(0);
    }
    segments
}

pub(super) fn is_version(segment: &str) -> bool {
    let number = segment.strip_prefix(['v', 'V']).and_then(|rest| rest.split_once('.'));
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    number.is_some_and(|(major, minor)| digits(major) && digits(minor))
}

/// Answers one call.
pub(super) fn answer(mut call: Call<'_>, world: &World) -> Outcome {
    // Each operation of a batch may bring a token of its own.
    if call.method == Method::POST && call.parameters.value("batch").is_some() {
        return batch::run(&call, world);
    }
    let segments = segments(&call.path);
    match segments.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        [node] => self::node(&call, world, node),
        [node, name] if is_id(node) || *node == "me" => {
            edge(&mut call, world, (node, &name.to_ascii_lowercase()))
        }
        _ => unknown(&call, segments.first().map_or("", String::as_str)),
    }
}

fn is_id(node: &str) -> bool {
    !node.is_empty() && node.bytes().all(|byte| byte.is_ascii_digit())
}

/// Whether there is a token at all: any will do.
fn authorized(call: &Call<'_>) -> Result<(), GraphError> {
    call.token.as_ref().map(|_| ()).ok_or_else(GraphError::bad_token)
}

/// A send without a token is refused, but it is a send: whoever let it through must find it counted.
fn authorized_send(call: &Call<'_>, outcome: Outcome) -> Outcome {
    match authorized(call) {
        Ok(()) => outcome,
        Err(error) => Outcome { reply: Err(error), accepted: Vec::new(), ..outcome },
    }
}

fn unknown(call: &Call<'_>, id: &str) -> Outcome {
    Outcome::from(authorized(call).and(Err(GraphError::unknown_object(call.method.as_str(), id))))
}

/// `/{id}`.
fn node(call: &Call<'_>, world: &World, id: &str) -> Outcome {
    if id == "me" && call.method == Method::GET && call.token.is_some() {
        let me = Object::new().text("name", "Sandbox System User").text("id", "122100000000000001");
        return Outcome::from(Ok(me.finish()));
    }
    if !is_id(id) {
        return unknown(call, id);
    }
    let media = id.starts_with(media::PREFIX);
    if call.method == Method::POST && messages::addressed(&call.parameters).is_some() {
        // Meta's specification lists a message as one answer of this path: a body that names a recipient is taken as a send.
        return authorized_send(call, messages::send(call, world));
    }
    if let Err(error) = authorized(call) {
        return Outcome::from(Err(error));
    }
    match call.method {
        Method::GET if media => Outcome::from(media::describe(call, world, id)),
        Method::DELETE if media => Outcome::from(media::delete(world, id)),
        Method::GET => {
            let template = world.templates.describe(call, id);
            Outcome::from(template.unwrap_or_else(|| accounts::describe(call, id)))
        }
        Method::POST if !media => {
            Outcome::from(world.templates.edit(call, id, world).unwrap_or_else(|| Ok(success())))
        }
        _ => unknown(call, id),
    }
}

/// `/{id}/{edge}`.
fn edge(call: &mut Call<'_>, world: &World, (id, edge): (&str, &str)) -> Outcome {
    let outcome = match (call.method.as_str(), edge) {
        ("POST", "messages") => messages::send(call, world),
        ("POST", "marketing_messages") => messages::send_marketing(call, world),
        ("POST", "messages_encrypted") => messages::send_encrypted(call, world),
        ("POST", "calls") => calls::call(call, world),
        _ => return Outcome::from(authorized(call).and_then(|()| management(call, world, (id, edge)))),
    };
    authorized_send(call, outcome)
}

/// The edges that contact nobody.
fn management(call: &mut Call<'_>, world: &World, (id, edge): (&str, &str)) -> Result<String, GraphError> {
    if matches!(edge, "message_templates" | "phone_numbers") {
        world.usage.count(id)?;
    }
    match (call.method.as_str(), edge) {
        ("GET", "call_permissions") => calls::permissions(call),
        ("POST", "media") => media::upload(call, world),
        ("GET", "message_templates") => world.templates.list(call, id),
        ("POST", "message_templates") => world.templates.create(call, id, world),
        ("DELETE", "message_templates") => world.templates.delete(call, id),
        ("GET", "phone_numbers") => accounts::phone_numbers(call, world),
        ("POST", "register") => accounts::register(call),
        ("POST", "request_code") => accounts::request_code(call),
        ("POST", "verify_code") => accounts::required(call, "code"),
        ("GET", "whatsapp_business_profile") => Ok(accounts::profile(call, world)),
        ("POST", "whatsapp_business_profile") => accounts::change_profile(call, world),
        ("GET", "settings") => Ok(accounts::settings()),
        ("GET", "subscribed_apps") => Ok(accounts::subscribed_apps()),
        ("POST" | "DELETE", "subscribed_apps")
        | (
            "POST",
            "deregister" | "settings" | "conversational_automation" | "whatsapp_business_encryption",
        ) => Ok(success()),
        ("GET", "block_users") => Ok(accounts::blocked(world)),
        ("POST", "block_users") => accounts::block(call, world, Blocking::Add),
        ("DELETE", "block_users") => accounts::block(call, world, Blocking::Remove),
        _ => Err(GraphError::unknown_object(call.method.as_str(), id)),
    }
}
