//! `POST /v1/check`: how a send would be judged, without sending it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use serde::Deserialize;
use serde_json::{Value, json};

use super::auth::Caller;
use super::explain::{self, Fields};
use super::problem::{Fault, Problem};
use super::{Control, body};
use crate::judge::Judgement;
use crate::policy::{Decision, Denial};
use crate::wire::refusal::{Cause, Dialect, Refusal, render};
use crate::wire::send::Label;
use crate::wire::{Payload, Send, Surface, Template};

const FIELDS: &Fields = &[
    ("sender", "text, the phone number id that would send"),
    ("to", "text, the recipient as a send would write it"),
    ("recipient", "text, a BSUID"),
    ("template", "text, the name of a template"),
    ("language", "text, the template's language code"),
    ("category", CATEGORIES),
];
const CATEGORIES: &str = "service or nothing (free-form), utility or authentication (a Direct Send with that label), \
                          call, or marketing (through /marketing_messages)";

/// A send in brief, as written.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CheckAsWritten {
    #[serde(default)]
    sender: Option<String>,
    #[serde(default)]
    to: Option<String>,
    #[serde(default)]
    recipient: Option<String>,
    #[serde(default)]
    template: Option<String>,
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    category: Option<Shape>,
}

/// Which shape the send would have where no template says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Shape {
    Service,
    Utility,
    Authentication,
    Call,
    Marketing,
}

pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Value>, Problem> {
    let bytes = body::whole(request.into_body()).await?;
    let refuse = |problems| Problem::new(Fault::Invalid, "the check cannot be made").listing(problems);
    let written: CheckAsWritten = explain::read(&bytes, FIELDS).map_err(refuse)?;
    let send = written.send().map_err(refuse)?;
    let tenant = control.judge.tenant_of(&send.sender);
    if !caller.is_unconfined() && !tenant.is_some_and(|tenant| caller.may_touch(tenant)) {
        return Err(Problem::new(
            Fault::TenantForbidden,
            "this token may check only senders of the tenants that it is confined to",
        ));
    }
    Ok(Json(answer(&control.judge.judge(&send).await)))
}

impl CheckAsWritten {
    /// The send that would be judged, or everything that keeps it from being one.
    fn send(&self) -> Result<Send<'_>, Vec<String>> {
        let mut problems = Vec::new();
        if self.sender.as_deref().is_none_or(str::is_empty) {
            problems.push("sender: missing; write the phone number id that would send".to_owned());
        }
        if self.to.is_none() && self.recipient.is_none() {
            problems.push("to: missing; write whom it would be sent to, in to or recipient".to_owned());
        }
        if self.template.is_some() != self.language.is_some() {
            problems
                .push("language: template and language belong together; write both or neither".to_owned());
        }
        if self.template.is_some() && self.category.is_some_and(|shape| shape != Shape::Marketing) {
            problems.push(
                "category: leave it out with a template, whose category the catalogue knows; only marketing (through /marketing_messages) may stand beside one"
                    .to_owned(),
            );
        }
        if !problems.is_empty() {
            return Err(problems);
        }
        Ok(Send {
            surface: self.surface(),
            sender: Cow::Borrowed(self.sender.as_deref().unwrap_or_default()),
            to: self.to.as_deref().map(Cow::Borrowed),
            recipient: self.recipient.as_deref().map(Cow::Borrowed),
            group: false,
            payload: self.payload(),
            operation: None,
        })
    }

    fn surface(&self) -> Surface {
        match self.category {
            Some(Shape::Marketing) => Surface::MarketingMessages,
            Some(Shape::Call) => Surface::Calls,
            Some(Shape::Service | Shape::Utility | Shape::Authentication) | None => Surface::Messages,
        }
    }

    fn payload(&self) -> Payload<'_> {
        let named = self.template.as_deref().zip(self.language.as_deref());
        let template = named.map(|(n, l)| Template { name: Cow::Borrowed(n), language: Cow::Borrowed(l) });
        let bare = template.is_none();
        Payload {
            template,
            unnamed_template: bare && self.category == Some(Shape::Marketing),
            free_form: bare && !matches!(self.category, Some(Shape::Marketing | Shape::Call)),
            call: self.category == Some(Shape::Call),
            label: match self.category {
                Some(Shape::Utility) => Some(Label::Utility),
                Some(Shape::Authentication) => Some(Label::Authentication),
                Some(Shape::Service | Shape::Call | Shape::Marketing) | None => None,
            },
        }
    }
}

/// The judgement as the API writes it.
///
/// In shadow mode an allowed send may carry the reason why enforcing would have refused it.
fn answer(judgement: &Judgement) -> Value {
    let (decision, basis, denial) = match &judgement.decision {
        Decision::Allow(permit) => ("allow", Some(permit.basis().name()), permit.would_deny()),
        Decision::Deny(denial) => ("deny", None, Some(denial)),
    };
    let refused = decision == "deny";
    json!({
        "decision": decision,
        "reason": denial.map(|denial| denial.reason.name()),
        "basis": basis,
        "rule": null,
        "category": judgement.classified.headline.name(),
        "mode": judgement.policy.mode().name(),
        "revision": judgement.policy.revision(),
        "refusal": denial.filter(|_| refused).map(|denial| refusal(denial, judgement)),
    })
}

/// The envelope that the caller would get; no decision was made, so it names none.
fn refusal(denial: &Denial, judgement: &Judgement) -> Value {
    let rendered = render(&Refusal {
        cause: Cause::Denied(denial.reason),
        category: Some(judgement.classified.headline),
        why: denial.why.as_deref(),
        operation: denial.operation,
        decision_id: "check",
        dialect: Dialect::Cloud,
    });
    serde_json::from_slice(&rendered.body).unwrap_or(Value::Null)
}
