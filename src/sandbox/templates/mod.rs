//! Message templates: a small catalogue to begin with, listing with filters and cursors, creation and deletion.
//!
//! Every account begins with the same catalogue. What is created belongs to its account, is answered as PENDING and is APPROVED from
//! then on, except that a name ending in `_pending` stays PENDING and one ending in `_rejected` becomes REJECTED.

mod catalogue;
mod news;
mod page;

use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;

use super::errors::GraphError;
use super::ids::Ids;
use super::json::{Object, list, quoted, success};
use super::parameters::Parameters;
use super::route::{Call, World};
use super::webhook::News;
use page::Page;

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
        Templates(Mutex::new(catalogue::catalogue()))
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
    pub(super) fn create(&self, call: &Call<'_>, account: &str, world: &World) -> Result<String, GraphError> {
        let parameters = &call.parameters;
        let required = |name: &str| parameters.text(name).ok_or_else(|| GraphError::required(name));
        let template = Template {
            account: Some(account.to_owned()),
            id: world.ids.object("8800"),
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
        world.webhooks.tell_of_template(&template.news(None, None));
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

    /// Reads the body of `POST /_sandbox/templates`, and gives what is to be told of it.
    pub(super) fn put(&self, body: &[u8], ids: &Ids) -> Result<Vec<News>, &'static str> {
        let value: Value = serde_json::from_slice(body).map_err(|_| "the body is not JSON")?;
        let text = |name: &str| value.get(name).and_then(Value::as_str).map(str::to_owned);
        let mut template = Template {
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
        let same = |other: &Template| other.name == template.name && other.language == template.language;
        let before = all.iter().position(same).map(|place| all.remove(place));
        if let Some(before) = &before {
            template.id.clone_from(&before.id);
            if value.get("components").is_none() {
                template.components.clone_from(&before.components);
            }
        }
        let news = template.news(before.as_ref(), value.get("due").and_then(Value::as_u64));
        all.push(template);
        let quiet = value.get("quiet").and_then(Value::as_bool) == Some(true);
        Ok(if quiet { Vec::new() } else { news })
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
    pub(super) fn edit(
        &self,
        call: &Call<'_>,
        id: &str,
        world: &World,
    ) -> Option<Result<String, GraphError>> {
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
            world.webhooks.tell_of_template(&edited.news(Some(template), None));
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
