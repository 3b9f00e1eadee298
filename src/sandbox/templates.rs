//! Message templates: a small catalogue to begin with, listing with filters and cursors, creation and deletion.
//!
//! Every account begins with the same catalogue. What is created belongs to its account, is answered as PENDING and is APPROVED from
//! then on, except that a name ending in `_pending` stays PENDING and one ending in `_rejected` becomes REJECTED.

use std::sync::{Mutex, MutexGuard, PoisonError};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::errors::GraphError;
use super::ids::Ids;
use super::json::{Object, list, quoted, success};
use super::parameters::Parameters;
use super::route::Call;

const MOST: usize = 6_000;
const CATEGORIES: &str = "AUTHENTICATION, MARKETING, UTILITY";
const DEFAULT_FIELDS: &[&str] =
    &["name", "parameter_format", "components", "language", "status", "category", "id"];

/// Fields that Graph knows and leaves out of the answer for a template that does not use them; none of ours does.
const UNSET_FIELDS: &[&str] = &[
    "message_send_ttl_seconds",
    "library_template_name",
    "cta_url_link_tracking_opted_out",
    "degrees_of_freedom_spec",
    "previous_category",
    "sub_category",
];

#[derive(Clone)]
struct Template {
    /// `None`: every account has it.
    account: Option<String>,
    id: String,
    name: String,
    language: String,
    category: String,
    parameter_format: String,
    /// JSON.
    components: String,
    /// What a test says in place of what follows from the category and the name.
    correct_category: Option<String>,
    said_status: Option<String>,
}

/// The templates of one sandbox.
pub(super) struct Templates(Mutex<Vec<Template>>);

impl Templates {
    pub(super) fn new() -> Self {
        Templates(Mutex::new(catalogue()))
    }

    fn all(&self) -> MutexGuard<'_, Vec<Template>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The category of a template in any account.
    pub(super) fn category(&self, name: &str, language: &str) -> Option<String> {
        let all = self.all();
        let found = all.iter().rev().find(|template| template.name == name && template.language == language);
        found.map(|template| template.category.clone())
    }

    /// `GET /{account}/message_templates`.
    pub(super) fn list(&self, call: &Call<'_>, account: &str) -> Result<String, GraphError> {
        let parameters = &call.parameters;
        let all: Vec<Template> =
            self.all().iter().filter(|template| template.visible(account, parameters)).cloned().collect();
        let page = Page::read(parameters, all.len())?;
        let fields = parameters.text("fields");
        let shown = all.get(page.first..page.end).unwrap_or_default();
        let data =
            shown.iter().map(|template| template.json(fields.as_deref())).collect::<Result<Vec<_>, _>>()?;
        let mut reply = Object::new().raw("data", list(data));
        if !shown.is_empty() {
            reply = reply.raw("paging", page.json(call));
        }
        if let Some(fields) = parameters.text("summary") {
            reply = reply.raw("summary", summary(&fields, page.total)?);
        }
        Ok(reply.finish())
    }

    /// `POST /{account}/message_templates`.
    pub(super) fn create(&self, call: &Call<'_>, account: &str, ids: &Ids) -> Result<String, GraphError> {
        let parameters = &call.parameters;
        let required = |name: &str| parameters.text(name).ok_or_else(|| GraphError::required(name));
        let template = Template {
            account: Some(account.to_owned()),
            id: ids.object("8800"),
            name: required("name")?,
            language: required("language")?,
            category: required("category")?.to_ascii_uppercase(),
            parameter_format: parameters.text("parameter_format").unwrap_or_else(|| "POSITIONAL".to_owned()),
            components: parameters
                .value("components")
                .ok_or_else(|| GraphError::required("components"))?
                .to_string(),
            correct_category: None,
            said_status: None,
        };
        template.check()?;
        let mut all = self.all();
        let same = |other: &Template| {
            other.belongs_to(account) && other.name == template.name && other.language == template.language
        };
        if all.iter().any(same) {
            return Err(GraphError::template_exists());
        }
        if all.len() >= MOST {
            return Err(GraphError::invalid("The account has no room for more templates"));
        }
        let reply = Object::new().text("id", &template.id).text("status", "PENDING");
        let reply = reply.text("category", &template.category).finish();
        all.push(template);
        Ok(reply)
    }

    /// `DELETE /{account}/message_templates?name=`: every language, or one with `hsm_id`.
    pub(super) fn delete(&self, call: &Call<'_>, account: &str) -> Result<String, GraphError> {
        let name = call.parameters.text("name").ok_or_else(|| GraphError::required("name"))?;
        let id = call.parameters.text("hsm_id");
        let mut all = self.all();
        let before = all.len();
        all.retain(|template| {
            let same = template.belongs_to(account) && template.name == name;
            !same || id.as_ref().is_some_and(|id| *id != template.id)
        });
        if all.len() == before { Err(GraphError::template_missing()) } else { Ok(success()) }
    }

    /// Reads the body of `POST /_sandbox/templates`.
    pub(super) fn put(&self, body: &[u8], ids: &Ids) -> Result<(), &'static str> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let template = Template {
            account: None,
            id: ids.object("8800"),
            name: text("name").ok_or("name is missing")?,
            language: text("language").ok_or("language is missing")?,
            category: text("category").ok_or("category is missing")?.to_ascii_uppercase(),
            parameter_format: "POSITIONAL".to_owned(),
            components: value.get("components").map_or_else(|| "[]".to_owned(), Value::to_string),
            correct_category: text("correct_category"),
            said_status: text("status"),
        };
        let mut all = self.all();
        all.retain(|other| other.name != template.name || other.language != template.language);
        all.push(template);
        Ok(())
    }

    /// Takes a template away from every account.
    pub(super) fn remove(&self, name: &str) {
        self.all().retain(|template| template.name != name);
    }

    /// `GET /{template}`, if it is one.
    pub(super) fn describe(&self, call: &Call<'_>, id: &str) -> Option<Result<String, GraphError>> {
        let all = self.all();
        let template = all.iter().find(|template| template.id == id)?;
        Some(template.json(call.parameters.text("fields").as_deref()))
    }

    /// `POST /{template}`, if it is one: changes its components or category.
    pub(super) fn edit(&self, call: &Call<'_>, id: &str) -> Option<Result<String, GraphError>> {
        let mut all = self.all();
        let template = all.iter_mut().find(|template| template.id == id)?;
        let mut edited = template.clone();
        if let Some(components) = call.parameters.value("components") {
            edited.components = components.to_string();
        }
        if let Some(category) = call.parameters.text("category") {
            edited.category = category.to_ascii_uppercase();
        }
        Some(edited.check().map(|()| {
            *template = edited;
            success()
        }))
    }
}

impl Template {
    fn belongs_to(&self, account: &str) -> bool {
        self.account.as_deref().is_none_or(|owner| owner == account)
    }

    fn status(&self) -> &str {
        if let Some(status) = &self.said_status {
            status
        } else if self.name.ends_with("_pending") {
            "PENDING"
        } else if self.name.ends_with("_rejected") {
            "REJECTED"
        } else {
            "APPROVED"
        }
    }

    fn check(&self) -> Result<(), GraphError> {
        let named = self.name.bytes().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == b'_');
        if !named || self.name.len() > 512 {
            return Err(GraphError::invalid("Template names hold lowercase letters, digits and underscores"));
        }
        match self.category.as_str() {
            "AUTHENTICATION" | "MARKETING" | "UTILITY" => Ok(()),
            other => Err(GraphError::not_one_of("category", CATEGORIES, other)),
        }
    }

    fn visible(&self, account: &str, filter: &Parameters) -> bool {
        let is = |name: &str, value: &str| {
            filter.text(name).is_none_or(|wanted| wanted.eq_ignore_ascii_case(value))
        };
        let contains = |name: &str, value: &str| filter.text(name).is_none_or(|part| value.contains(&part));
        self.belongs_to(account)
            && contains("name", &self.name)
            && contains("name_or_content", &format!("{}\n{}", self.name, self.components))
            && is("language", &self.language)
            && is("status", self.status())
            && is("category", &self.category)
    }

    fn json(&self, fields: Option<&str>) -> Result<String, GraphError> {
        let Some(fields) = fields else {
            let fields = DEFAULT_FIELDS.iter().filter_map(|field| Some((*field, self.field(field)?)));
            return Ok(fields.fold(Object::new(), |object, (name, value)| object.raw(name, value)).finish());
        };
        let mut object = Object::new();
        for field in names(fields).filter(|field| *field != "id" && !UNSET_FIELDS.contains(field)) {
            let value = self.field(field);
            object =
                object.raw(field, value.ok_or_else(|| GraphError::unknown_field(field, "MessageTemplate"))?);
        }
        Ok(object.text("id", &self.id).finish())
    }

    /// One field as JSON.
    fn field(&self, name: &str) -> Option<String> {
        Some(match name {
            "id" => quoted(&self.id),
            "name" => quoted(&self.name),
            "language" => quoted(&self.language),
            "status" => quoted(self.status()),
            "category" => quoted(&self.category),
            "correct_category" => quoted(self.correct_category.as_ref().unwrap_or(&self.category)),
            "parameter_format" => quoted(&self.parameter_format),
            "components" => self.components.clone(),
            "quality_score" => r#"{"score":"GREEN","date":1731705721}"#.to_owned(),
            "rejected_reason" => quoted("NONE"),
            "source" => quoted("USER"),
            _ => return None,
        })
    }
}

/// Which part of a list is shown.
/// The names in a list with commas.
fn names(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty())
}

/// What `summary=` asks about the whole list.
fn summary(fields: &str, total: usize) -> Result<String, GraphError> {
    let mut object = Object::new();
    for field in names(fields) {
        object = match field {
            "total_count" | "message_template_count" => object.raw(field, total),
            "message_template_limit" => object.raw(field, MOST),
            "are_translations_complete" => object.raw(field, true),
            _ => return Err(GraphError::unknown_field(field, "MessageTemplate")),
        };
    }
    Ok(object.finish())
}

struct Page {
    first: usize,
    end: usize,
    total: usize,
    limit: usize,
}

impl Page {
    fn read(parameters: &Parameters, total: usize) -> Result<Self, GraphError> {
        let limit = match parameters.text("limit").map(|limit| limit.parse::<usize>()) {
            None => 25,
            Some(Ok(limit)) if limit > 0 => limit.min(1_000),
            Some(_) => return Err(GraphError::invalid("limit is not a positive number")),
        };
        let position = |name: &str| parameters.text(name).map(|cursor| place(&cursor)).transpose();
        let (first, end) = match (position("after")?, position("before")?) {
            (Some(after), _) => (after.saturating_add(1), after.saturating_add(1).saturating_add(limit)),
            (None, Some(before)) => (before.saturating_sub(limit), before),
            (None, None) => (0, limit),
        };
        Ok(Page { first: first.min(total), end: end.min(total), total, limit })
    }

    fn json(&self, call: &Call<'_>) -> String {
        let (before, after) = (cursor(self.first), cursor(self.end.saturating_sub(1)));
        let cursors = Object::new().text("before", &before).text("after", &after).finish();
        let mut paging = Object::new().raw("cursors", cursors);
        if self.end < self.total {
            paging = paging.text("next", &self.link(call, "after", &after));
        }
        if self.first > 0 {
            paging = paging.text("previous", &self.link(call, "before", &before));
        }
        paging.finish()
    }

    /// The absolute URL of the page before or after, with every filter of this one.
    fn link(&self, call: &Call<'_>, direction: &str, cursor: &str) -> String {
        let kept = [
            "access_token",
            "fields",
            "summary",
            "name",
            "name_or_content",
            "language",
            "status",
            "category",
        ];
        let mut url = format!("{}{}?limit={}", call.base, call.path, self.limit);
        for name in kept {
            if let Some(value) = call.parameters.text(name) {
                url.extend(["&", name, "="]);
                url.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
            }
        }
        format!("{url}&{direction}={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC))
    }
}

/// Meta's cursors: the base64 of a position with `ZD` in place of each `=`. No position encodes to a text with `ZD` in it.
fn cursor(place: usize) -> String {
    STANDARD.encode(place.to_string()).replace('=', "ZD")
}

fn place(cursor: &str) -> Result<usize, GraphError> {
    let decoded = STANDARD.decode(cursor.replace("ZD", "=")).ok();
    let place = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
    place.ok_or_else(|| GraphError::invalid("The cursor is not one of this list"))
}

fn catalogue() -> Vec<Template> {
    // Meta approves no template with a placeholder and without an example for it, and clients rely on that.
    let body = |text: &str| {
        let example = if text.contains("{{1}}") { r#","example":{"body_text":[["Ann"]]}"# } else { "" };
        format!(r#"[{{"type":"BODY","text":{}{example}}}]"#, quoted(text))
    };
    let template = |id: &str, name: &str, language: &str, category: &str, text: &str| Template {
        account: None,
        id: id.to_owned(),
        name: name.to_owned(),
        language: language.to_owned(),
        category: category.to_owned(),
        parameter_format: "POSITIONAL".to_owned(),
        components: body(text),
        correct_category: None,
        said_status: None,
    };
    vec![
        template("1387372356726601", "hello_world", "en_US", "UTILITY", "Welcome and congratulations!"),
        template("1387372356726602", "order_update", "en_US", "UTILITY", "Your order {{1}} is on its way."),
        template("1387372356726603", "promo_sale", "en_US", "MARKETING", "Hi {{1}}, our sale has begun."),
        template(
            "1387372356726604",
            "promo_sale",
            "es",
            "MARKETING",
            "Hola {{1}}, han empezado las rebajas.",
        ),
        template(
            "1387372356726605",
            "otp_code",
            "en_US",
            "AUTHENTICATION",
            "{{1}} is your verification code.",
        ),
    ]
}
