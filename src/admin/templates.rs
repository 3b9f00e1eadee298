//! `PUT /v1/templates/{account}` and `GET /v1/templates`: the template catalogue.

use std::sync::Arc;

use axum::extract::rejection::PathRejection;
use axum::extract::{Path, Request, State};
use axum::{Extension, Json};
use serde_json::{Value, json};

use super::auth::Caller;
use super::problem::{Fault, Problem};
use super::{Control, body};
use crate::templates::AccountList;
use crate::wire::cloud::templates::{ListedTemplate, parse_list};

/// The longest account id that is taken; the provider's have about 16 digits.
const MAX_ACCOUNT: usize = 64;

pub(super) async fn replace(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    path: Result<Path<String>, PathRejection>,
    request: Request,
) -> Result<Json<Value>, Problem> {
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
    let bytes = body::whole(request.into_body()).await?;
    let templates = parse_list(&bytes).map_err(|problems| {
        let what = "the template list was rejected and the one before stays in force; send it as GET /{account}/message_templates answers it";
        Problem::new(Fault::Invalid, what).listing(problems)
    })?;
    let count = control.catalogue.replace(&account, templates).await.map_err(|error| {
        tracing::warn!(error = &error as &dyn std::error::Error, "a template list was not stored");
        Problem::new(Fault::StoreUnavailable, "the list was not stored; the one before stays in force")
    })?;
    Ok(Json(json!({ "account": account, "templates": count })))
}

pub(super) async fn list(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
) -> Json<Value> {
    let accounts = control.catalogue.accounts();
    let own = accounts.iter().filter(|(account, _)| may_touch(&caller, &control, account));
    let accounts: Vec<Value> = own.map(|(account, list)| shown(account, list)).collect();
    Json(json!({ "accounts": accounts }))
}

fn shown(account: &str, list: &AccountList) -> Value {
    let template = |t: &ListedTemplate| json!({ "name": t.name, "language": t.language, "category": t.category, "correct_category": t.correct_category, "status": t.status, "asks_to_call": t.asks_to_call });
    let templates: Vec<Value> = list.templates.iter().map(template).collect();
    json!({ "account": account, "replaced_at": list.replaced_at, "templates": templates })
}

fn is_account(text: &str) -> bool {
    (1..=MAX_ACCOUNT).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// Whether an account's templates concern tenants of the caller's only.
fn may_touch(caller: &Caller, control: &Control, account: &str) -> bool {
    let mut users = control.tenants.senders().filter(|s| s.account.as_deref() == Some(account)).peekable();
    caller.is_unconfined() || (users.peek().is_some() && users.all(|sender| caller.may_touch(sender.tenant)))
}
