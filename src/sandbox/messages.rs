//! `messages`, `marketing_messages` and `messages_encrypted`: validated in the order and in the words of Meta.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};

use super::errors::GraphError;
use super::journal::Delivery;
use super::json::{Object, list, success};
use super::parameters::{Parameters, scalar};
use super::recipient::{Recipient, requested_error, requested_failure};
use super::route::{Call, Outcome, World, segments};
use super::webhook::Accepted;

const TYPES: &str =
    "AUDIO, CONTACTS, DOCUMENT, IMAGE, INTERACTIVE, LOCATION, PIN, REACTION, STICKER, TEMPLATE, TEXT, VIDEO";
const LONGEST_TEXT: usize = 4096;

/// `POST /{phone number}/messages`.
pub(super) fn send(call: &Call<'_>, world: &World) -> Outcome {
    let parameters = &call.parameters;
    if parameters.value("messaging_product").is_none() && parameters.object("recipient").is_some() {
        return Outcome::from(Ok(other_product(parameters, world)));
    }
    if parameters.value("status").is_some() {
        return Outcome::from(read(parameters));
    }
    let category = category(parameters, world);
    // A template that is not listed would be refused; as far as it is not, Meta bills the dearest.
    let billed = if category == "unknown" { "marketing" } else { &category };
    judged(call, world, (&category, billed), resolved(parameters))
}

/// `POST /{phone number}/marketing_messages`: templates only, and always marketing.
pub(super) fn send_marketing(call: &Call<'_>, world: &World) -> Outcome {
    let parameters = &call.parameters;
    let resolved = match parameters.text("type").as_deref() {
        Some("template") => resolved(parameters),
        None | Some(_) => Err(GraphError::listed(134_100).unwrap_or_else(GraphError::unreadable)),
    };
    judged(call, world, ("marketing", "marketing_lite"), resolved)
}

/// `POST /{phone number}/messages_encrypted`: nobody but the recipient's side can read who it is for.
pub(super) fn send_encrypted(call: &Call<'_>, world: &World) -> Outcome {
    let reply = whatsapp(&call.parameters).map(|()| {
        let id = Object::new().text("id", &world.ids.message("encrypted")).finish();
        Object::new().text("messaging_product", "whatsapp").raw("messages", list([id])).finish()
    });
    let delivery = Delivery { to: String::new(), category: "encrypted".to_owned() };
    Outcome { sends: vec![delivery], ..Outcome::from(reply) }
}

/// A message that can be sent: to whom, and its type.
type Resolved = (Recipient, String);

/// Accepts a message that can be sent; what the call asked for counts as a send either way.
fn judged(
    call: &Call<'_>,
    world: &World,
    (category, billed): (&str, &str),
    resolved: Result<Resolved, GraphError>,
) -> Outcome {
    let to = addressed(&call.parameters);
    let sends = to.iter().map(|to| Delivery { to: to.clone(), category: category.to_owned() }).collect();
    let (recipient, kind) = match resolved {
        Ok(resolved) => resolved,
        Err(error) => return Outcome { sends, ..Outcome::from(Err(error)) },
    };
    let id = world.ids.message(recipient.key());
    let reply = receipt(&recipient, &kind, &id);
    let accepted = Accepted {
        sender: segments(&call.path).into_iter().next().unwrap_or_default(),
        id,
        recipient,
        billed: billed.to_owned(),
        callback_data: call.parameters.text("biz_opaque_callback_data"),
        failure: to.as_deref().and_then(requested_failure),
    };
    Outcome { reply: Ok(reply), sends, accepted: vec![accepted] }
}

/// `to` wins over `recipient`.
pub(super) fn addressed(parameters: &Parameters) -> Option<String> {
    parameters.text("to").or_else(|| parameters.text("recipient"))
}

/// `messaging_product` is `whatsapp`.
pub(super) fn whatsapp(parameters: &Parameters) -> Result<(), GraphError> {
    let product = parameters.text("messaging_product");
    let product = product.ok_or_else(|| GraphError::required("messaging_product"))?;
    if product.eq_ignore_ascii_case("whatsapp") {
        return Ok(());
    }
    Err(GraphError::not_one_of("messaging_product", "WHATSAPP", &product))
}

fn category(parameters: &Parameters, world: &World) -> String {
    let template = parameters.object("template");
    if let Some(category) = parameters.text("category") {
        return category.to_ascii_lowercase();
    }
    let Some(template) = template else { return "service".to_owned() };
    let name = template.get("name").and_then(Value::as_str).unwrap_or_default();
    let language = template.get("language").and_then(|language| language.get("code"));
    let language = language.and_then(Value::as_str).unwrap_or_default();
    world.templates.category(name, language).map_or("unknown".to_owned(), |found| found.to_ascii_lowercase())
}

fn resolved(parameters: &Parameters) -> Result<Resolved, GraphError> {
    whatsapp(parameters)?;
    let input = addressed(parameters).ok_or_else(|| GraphError::required("to"))?;
    let group = match parameters.text("recipient_type").as_deref() {
        None | Some("individual") => false,
        Some("group") => true,
        Some(other) => return Err(GraphError::not_one_of("recipient_type", "GROUP, INDIVIDUAL", other)),
    };
    let kind = parameters.text("type").unwrap_or_else(|| "text".to_owned());
    payload(&kind, parameters)?;
    if let Some(error) = requested_error(&input) {
        return Err(error);
    }
    Ok((Recipient::resolve(input, group)?, kind))
}

fn receipt(recipient: &Recipient, kind: &str, id: &str) -> String {
    let contact = match recipient {
        Recipient::Phone { input, wa_id } => Object::new().text("input", input).text("wa_id", wa_id),
        Recipient::User(id) => Object::new().text("input", id).text("user_id", id),
        Recipient::Group(id) => Object::new().text("input", id).text("wa_id", id),
    };
    let status = (kind == "template").then_some("accepted");
    let message = Object::new().text("id", id);
    Object::new()
        .text("messaging_product", "whatsapp")
        .raw("contacts", list([contact.finish()]))
        .raw("messages", list([message.maybe("message_status", status).finish()]))
        .finish()
}

/// Checks the object that the type names.
fn payload(kind: &str, parameters: &Parameters) -> Result<(), GraphError> {
    match kind {
        "text" => text(object(parameters, kind)?),
        "image" | "video" | "audio" | "document" | "sticker" => media(kind, object(parameters, kind)?),
        "location" => fields(kind, object(parameters, kind)?, &["latitude", "longitude"]),
        "reaction" => fields(kind, object(parameters, kind)?, &["message_id"]),
        "pin" => fields(kind, object(parameters, kind)?, &["type", "message_id"]),
        "interactive" => fields(kind, object(parameters, kind)?, &["type", "action"]),
        "template" => template(object(parameters, kind)?),
        "contacts" => match parameters.value(kind).and_then(Value::as_array) {
            Some(contacts) if !contacts.is_empty() => Ok(()),
            Some(_) | None => Err(GraphError::required(kind)),
        },
        "order" | "system" | "button" | "unsupported" | "hsm" => Err(GraphError::unsupported_type()),
        other => Err(GraphError::not_one_of("type", TYPES, other)),
    }
}

fn object<'a>(parameters: &'a Parameters, name: &str) -> Result<&'a Map<String, Value>, GraphError> {
    parameters.object(name).ok_or_else(|| GraphError::required(name))
}

fn fields(kind: &str, object: &Map<String, Value>, names: &[&str]) -> Result<(), GraphError> {
    let absent = names.iter().find(|name| object.get(**name).is_none_or(Value::is_null));
    absent.map_or(Ok(()), |name| Err(GraphError::required(&format!("{kind}['{name}']"))))
}

fn text(text: &Map<String, Value>) -> Result<(), GraphError> {
    let body = text.get("body").and_then(scalar).ok_or_else(|| GraphError::required("text['body']"))?;
    if body.chars().count() > LONGEST_TEXT {
        return Err(GraphError::invalid("Param text['body'] must be at most 4096 characters long."));
    }
    Ok(())
}

fn media(kind: &str, media: &Map<String, Value>) -> Result<(), GraphError> {
    let source = media.get("id").or_else(|| media.get("link")).and_then(scalar);
    source.map(drop).ok_or_else(|| GraphError::required(&format!("{kind}['id'] or {kind}['link']")))
}

fn template(template: &Map<String, Value>) -> Result<(), GraphError> {
    template.get("name").and_then(scalar).ok_or_else(|| GraphError::required("template['name']"))?;
    let language = template.get("language").and_then(|language| language.get("code"));
    let code = language.and_then(scalar);
    code.map(drop).ok_or_else(|| GraphError::required("template['language']['code']"))
}

/// Marks a message as read, with or without a typing indicator.
fn read(parameters: &Parameters) -> Result<String, GraphError> {
    whatsapp(parameters)?;
    let status = parameters.text("status").unwrap_or_default();
    if !status.eq_ignore_ascii_case("read") {
        return Err(GraphError::not_one_of("status", "READ", &status));
    }
    let id = parameters.text("message_id").ok_or_else(|| GraphError::required("message_id"))?;
    let encoded = id.strip_prefix("wamid.").filter(|encoded| !encoded.is_empty());
    let decoded = encoded.map(|encoded| STANDARD.decode(encoded));
    match decoded {
        Some(Ok(_)) => Ok(success()),
        Some(Err(_)) | None => Err(GraphError::bad_value("Message ID is invalid")),
    }
}

/// Messenger and Instagram have an edge of the same name, whose `recipient` is an object.
fn other_product(parameters: &Parameters, world: &World) -> String {
    let recipient = parameters.object("recipient").and_then(|recipient| recipient.get("id"));
    Object::new()
        .text("recipient_id", &recipient.and_then(scalar).unwrap_or_default())
        .text("message_id", &format!("m_{}", world.ids.trace()))
        .finish()
}
