//! `PUT /v1/templates/{account}` and `GET /v1/templates`: the template catalogue.

use std::ops::Bound;
use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::{Extension, Json};
use http::Uri;
use serde::Serialize;
use serde_json::json;
use utoipa::ToSchema;

use super::caller::Caller;
use super::openapi::{AnyObject, Description};
use super::page::Page;
use super::problem::{Fault, Problem};
use super::{Control, body};
use crate::consent::{Category, Timestamp};
use crate::templates::{AccountList, Row};
use crate::wire::cloud::templates::parse_list;

/// The longest account id that is taken; the provider's have about 16 digits.
const MAX_ACCOUNT: usize = 64;

/// A list that is in force.
#[derive(Serialize, ToSchema)]
pub(super) struct Replaced {
    /// The account that owns the templates.
    account: String,
    /// How many they are.
    templates: usize,
}

/// A page of the catalogue.
#[derive(Serialize, ToSchema)]
pub(super) struct TemplateLists {
    accounts: Vec<TemplateList>,
    /// Where the next page is; `null` on the last.
    #[schema(example = "/v1/templates?limit=100&after=MTAyMjkwMTI5MzQwMzk4")]
    next: Option<String>,
}

/// One account's list.
#[derive(Serialize, ToSchema)]
struct TemplateList {
    /// The account that owns the templates.
    account: String,
    /// When a list was last imported; `null` if none ever was.
    replaced_at: Option<Timestamp>,
    /// When the provider's list was last read to its end; `null` if it never was.
    synced_at: Option<Timestamp>,
    templates: Vec<Template>,
}

/// One template in one language.
#[derive(Serialize, ToSchema)]
struct Template {
    #[schema(example = "order_update")]
    name: String,
    #[schema(example = "en_US")]
    language: String,
    category: Category,
    /// The category that it will become.
    correct_category: Option<Category>,
    /// The change that the provider announced.
    announced: Option<Announced>,
    /// `APPROVED` and the like. Judged by nobody: the provider itself refuses what is paused or rejected.
    status: Option<String>,
    /// `GREEN` and the like, as people take it.
    quality: Option<String>,
    /// `operator` if it was imported, `provider` if it was read there, or `both`: the stricter of the two counts.
    #[schema(example = "provider")]
    source: &'static str,
    /// When it was last listed so.
    as_of: Timestamp,
    /// Whether that is longer ago than `[templates] stale_after`: it counts as marketing.
    stale: bool,
    /// Whether it asks for the permission to call; its sends need that consent too.
    asks_to_call: bool,
}

/// A change of category to come.
#[derive(Serialize, ToSchema)]
#[schema(as = AnnouncedChange)]
struct Announced {
    category: Category,
    /// From when on; `null` if the provider did not say.
    due: Option<Timestamp>,
}

pub(super) fn replacing() -> Description {
    let example = json!({ "data": [{ "name": "order_update", "language": "en_US", "category": "UTILITY", "status": "APPROVED" }] });
    Description::of("Replace an account's template list")
        .at_length(
            "The list as `GET /{account}/message_templates` of the provider answers it, or its array alone. Where the gate reads the account from the provider as well, \
             the stricter of the two counts; an empty list takes the imported one away.",
        )
        .in_path("account", ("The WhatsApp Business account id", "102290129340398"))
        .takes::<AnyObject>(example)
        .answers::<Replaced>(200, "It is in force")
        .faults(&[
            Fault::Unreadable,
            Fault::TenantForbidden,
            Fault::MediaType,
            Fault::BodyTooLarge,
            Fault::BodyTimeout,
            Fault::Invalid,
            Fault::StoreUnavailable,
        ])
}

pub(super) fn listing() -> Description {
    let operation = Description::of("The template catalogue, by account")
        .answers::<TemplateLists>(200, "A page of accounts, each with its whole list");
    Page::described(operation)
}

pub(super) async fn replace(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Replaced>, Problem> {
    let account =
        path.ok().map(|Path(account)| account).filter(|account| is_account(account)).ok_or_else(|| {
            Problem::new(
                Fault::Unreadable,
                "the account in the path is the id of a WhatsApp Business account: letters and digits",
            )
        })?;
    if !may_touch(&caller, &control, &account) {
        let remedy = "a token confined to tenants may replace only lists of accounts that stand at senders of those tenants and of no other";
        return Err(Problem::new(Fault::TenantForbidden, remedy));
    }
    let bytes = body::json(request).await?;
    let templates = parse_list(&bytes).map_err(|problems| {
        let what = "the template list was rejected and the one before stays in force; send it as GET /{account}/message_templates answers it";
        Problem::new(Fault::Invalid, what).listing(problems)
    })?;
    let count = control.catalogue.replace(&account, templates).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a template list was not stored");
        Problem::new(Fault::StoreUnavailable, "the list was not stored; the one before stays in force")
    })?;
    Ok(Json(Replaced { account, templates: count }))
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    uri: Uri,
) -> Result<Json<TemplateLists>, Problem> {
    let page = Page::read(&uri)?;
    let accounts = control.catalogue.accounts();
    let begin = page.after.as_deref().map_or(Bound::Unbounded, Bound::Excluded);
    let rest = accounts.range::<str, _>((begin, Bound::Unbounded));
    let mut own = rest.filter(|(account, _)| may_touch(&caller, &control, account));
    let accounts: Vec<TemplateList> =
        own.by_ref().take(page.limit).map(|(account, list)| shown(&control, account, list)).collect();
    let last = accounts.last().filter(|_| own.next().is_some());
    let next = last.map(|last| page.next("/v1/templates", &last.account));
    Ok(Json(TemplateLists { accounts, next }))
}

fn shown(control: &Control, account: &str, list: &AccountList) -> TemplateList {
    let template = |row: Row| Template {
        name: row.name,
        language: row.language,
        category: row.entry.category,
        correct_category: row.entry.correct_category,
        announced: row.announced.map(|told| Announced { category: told.category, due: told.due }),
        status: row.status,
        quality: row.quality,
        source: row.source.name(),
        as_of: row.as_of,
        stale: row.stale,
        asks_to_call: row.entry.asks_to_call,
    };
    TemplateList {
        account: account.to_owned(),
        replaced_at: list.replaced_at,
        synced_at: list.synced_at,
        templates: control.catalogue.rows(list).into_iter().map(template).collect(),
    }
}

fn is_account(text: &str) -> bool {
    (1..=MAX_ACCOUNT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether an account's templates concern tenants of the caller's only.
fn may_touch(caller: &Caller, control: &Control, account: &str) -> bool {
    let mut users = control.tenants.senders().filter(|s| s.account.as_deref() == Some(account)).peekable();
    caller.is_unconfined() || (users.peek().is_some() && users.all(|sender| caller.may_touch(sender.tenant)))
}
