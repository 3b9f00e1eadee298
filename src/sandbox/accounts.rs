//! Phone numbers and accounts: their fields, registration, profile, settings, subscriptions and blocked users.
//!
//! Any numeric id is both: Meta knows which it is, the sandbox answers what the fields or the edge make sense for.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::errors::GraphError;
use super::json::{Object, list, quoted, success};
use super::messages::whatsapp;
use super::parameters::scalar;
use super::recipient::Recipient;
use super::route::{Call, World};

const MOST_BLOCKED: usize = 10_000;
const DEFAULT_FIELDS: &[&str] = &[
    "verified_name",
    "code_verification_status",
    "display_phone_number",
    "quality_rating",
    "platform_type",
    "throughput",
];
const PROFILE: &[&str] =
    &["about", "address", "description", "email", "profile_picture_url", "websites", "vertical"];

/// What can be changed about the sandbox's accounts; one profile serves every number.
#[derive(Default)]
pub(super) struct Accounts {
    profile: Mutex<BTreeMap<String, Value>>,
    blocked: Mutex<Vec<String>>,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// `GET /{id}`: the fields that were asked for, in that order, and the id.
pub(super) fn describe(call: &Call<'_>, id: &str) -> Result<String, GraphError> {
    let fields = call.parameters.text("fields");
    let fields = match &fields {
        Some(fields) => names(fields),
        None => DEFAULT_FIELDS.to_vec(),
    };
    let mut object = Object::new();
    for name in fields.into_iter().filter(|name| *name != "id") {
        let value = field(name, id);
        let value = value.ok_or_else(|| GraphError::unknown_field(name, "WhatsAppBusinessPhoneNumber"))?;
        object = object.raw(name, value);
    }
    Ok(object.text("id", id).finish())
}

/// The names in a `fields` parameter, without what is asked of their own fields.
fn names(fields: &str) -> Vec<&str> {
    let mut depth = 0_usize;
    let top = fields.split(move |c: char| {
        match c {
            '{' | '(' => depth += 1,
            '}' | ')' => depth = depth.saturating_sub(1),
            _ => {}
        }
        c == ',' && depth == 0
    });
    let bare = top.map(|name| name.split(['{', '.', '(']).next().unwrap_or_default().trim());
    bare.filter(|name| !name.is_empty()).collect()
}

/// One field of a phone number or of an account, as JSON.
fn field(name: &str, id: &str) -> Option<String> {
    Some(match name {
        "display_phone_number" => quoted("+1 555-078-3881"),
        "verified_name" | "name" => quoted("Jasper's Market"),
        "quality_rating" => quoted("GREEN"),
        "quality_score" => r#"{"score":"GREEN"}"#.to_owned(),
        "status" => quoted("CONNECTED"),
        "name_status" | "account_review_status" => quoted("APPROVED"),
        "code_verification_status" => quoted("VERIFIED"),
        "platform_type" => quoted("CLOUD_API"),
        "account_mode" => quoted("LIVE"),
        "throughput" => r#"{"level":"STANDARD"}"#.to_owned(),
        "whatsapp_business_manager_messaging_limit" | "messaging_limit_tier" => quoted("TIER_2K"),
        "is_official_business_account" | "is_pin_enabled" => "false".to_owned(),
        "username" => quoted("jaspersmarket"),
        "webhook_configuration" => r#"{"application":"https://example.com/webhook"}"#.to_owned(),
        "health_status" => health(id),
        "timezone_id" => quoted("1"),
        "currency" => quoted("USD"),
        "message_template_namespace" => quoted("ba30dd89_2ebd_41e4_b805_f2c05ae04cc9"),
        _ => return None,
    })
}

fn health(id: &str) -> String {
    let entity = Object::new()
        .text("entity_type", "PHONE_NUMBER")
        .text("id", id)
        .text("can_send_message", "AVAILABLE")
        .finish();
    Object::new().text("can_send_message", "AVAILABLE").raw("entities", list([entity])).finish()
}

/// `GET /{account}/phone_numbers`.
pub(super) fn phone_numbers(call: &Call<'_>, world: &World) -> Result<String, GraphError> {
    let id = &world.settings.phone_number_id;
    let fields = call.parameters.text("fields");
    let data = match fields {
        Some(_) => describe(call, id)?,
        None => Object::new()
            .text("verified_name", "Jasper's Market")
            .text("display_phone_number", "+1 555-078-3881")
            .text("id", id)
            .text("quality_rating", "GREEN")
            .finish(),
    };
    let cursors = Object::new().text("before", "MAZDZD").text("after", "MAZDZD").finish();
    let paging = Object::new().raw("cursors", cursors).finish();
    Ok(Object::new().raw("data", list([data])).raw("paging", paging).finish())
}

/// `POST /{phone number}/register`.
pub(super) fn register(call: &Call<'_>) -> Result<String, GraphError> {
    whatsapp(&call.parameters)?;
    required(call, "pin")
}

/// `POST /{phone number}/request_code`.
pub(super) fn request_code(call: &Call<'_>) -> Result<String, GraphError> {
    required(call, "code_method")?;
    required(call, "language")
}

/// Succeeds if this parameter is given.
pub(super) fn required(call: &Call<'_>, name: &str) -> Result<String, GraphError> {
    call.parameters.text(name).map(|_| success()).ok_or_else(|| GraphError::required(name))
}

/// `GET /{phone number}/whatsapp_business_profile`.
pub(super) fn profile(call: &Call<'_>, world: &World) -> String {
    let profile = locked(&world.accounts.profile);
    let wanted = call.parameters.text("fields");
    let wanted: Vec<&str> = wanted.as_deref().map(names).unwrap_or_default();
    let mut data = Object::new();
    for name in PROFILE.iter().filter(|name| wanted.is_empty() || wanted.contains(name)) {
        let initial = match *name {
            "about" => quoted("Fresh groceries, every day"),
            "vertical" => quoted("RETAIL"),
            "email" => quoted("hello@example.com"),
            "websites" => list([quoted("https://example.com/")]),
            _ => continue,
        };
        data = data.raw(name, profile.get(*name).map_or(initial, Value::to_string));
    }
    let data = data.text("messaging_product", "whatsapp").finish();
    Object::new().raw("data", list([data])).finish()
}

/// `POST /{phone number}/whatsapp_business_profile`.
pub(super) fn change_profile(call: &Call<'_>, world: &World) -> Result<String, GraphError> {
    whatsapp(&call.parameters)?;
    let mut profile = locked(&world.accounts.profile);
    for name in PROFILE {
        if let Some(value) = call.parameters.value(name) {
            profile.insert((*name).to_owned(), value.clone());
        }
    }
    Ok(success())
}

/// `GET /{phone number}/settings`.
pub(super) fn settings() -> String {
    let calling = Object::new()
        .text("status", "ENABLED")
        .text("call_icon_visibility", "DEFAULT")
        .text("callback_permission_status", "ENABLED");
    Object::new().raw("calling", calling.finish()).finish()
}

/// `GET /{account}/subscribed_apps`.
pub(super) fn subscribed_apps() -> String {
    let app = Object::new()
        .text("id", "670843887433847")
        .text("link", "https://www.facebook.com/games/?app_id=670843887433847")
        .text("name", "Jasper's Market");
    let app = Object::new().raw("whatsapp_business_api_data", app.finish()).finish();
    Object::new().raw("data", list([app])).finish()
}

/// `GET /{phone number}/block_users`.
pub(super) fn blocked(world: &World) -> String {
    let blocked = locked(&world.accounts.blocked);
    let users = blocked
        .iter()
        .map(|wa_id| Object::new().text("messaging_product", "whatsapp").text("wa_id", wa_id).finish());
    Object::new().raw("data", list(users)).finish()
}

/// `POST` and `DELETE /{phone number}/block_users`.
pub(super) fn block(call: &Call<'_>, world: &World, block: Blocking) -> Result<String, GraphError> {
    whatsapp(&call.parameters)?;
    let users = call.parameters.value("block_users").and_then(Value::as_array);
    let users = users.ok_or_else(|| GraphError::required("block_users"))?;
    let mut changed = Vec::new();
    let mut blocked = locked(&world.accounts.blocked);
    for user in users {
        let input =
            user.get("user").and_then(scalar).ok_or_else(|| GraphError::required("block_users['user']"))?;
        let wa_id = Recipient::resolve(input.clone(), false)?.key().to_owned();
        changed.push(Object::new().text("input", &input).text("wa_id", &wa_id).finish());
        blocked.retain(|known| *known != wa_id);
        if matches!(block, Blocking::Add) && blocked.len() < MOST_BLOCKED {
            blocked.push(wa_id);
        }
    }
    let name = match block {
        Blocking::Add => "added_users",
        Blocking::Remove => "removed_users",
    };
    let changed = Object::new().raw(name, list(changed)).finish();
    Ok(Object::new().text("messaging_product", "whatsapp").raw("block_users", changed).finish())
}

/// Which way a user is moved.
#[derive(Clone, Copy)]
pub(super) enum Blocking {
    Add,
    Remove,
}
