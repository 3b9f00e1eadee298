//! `POST /v1/check`: how a send would be judged, without sending it.

use std::borrow::Cow;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::{Extension, Json};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use utoipa::ToSchema;

use super::caller::Caller;
use super::explain::{self, Fields, Unread};
use super::openapi::Description;
use super::problem::{Fault, Problem};
use super::{Control, body};
use crate::consent::{Category, Recipient};
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

/// A send in brief: `to` or `recipient` names the person, `template` and `language` belong together.
#[derive(Deserialize, ToSchema)]
#[schema(as = Check)]
#[serde(deny_unknown_fields)]
struct CheckAsWritten {
    /// The phone number id that would send.
    #[serde(default)]
    #[schema(required, value_type = String, min_length = 1)]
    sender: Option<String>,
    /// The recipient as a send would write it.
    #[serde(default)]
    to: Option<String>,
    /// The recipient's BSUID.
    #[serde(default)]
    recipient: Option<String>,
    /// The name of a template.
    #[serde(default)]
    template: Option<String>,
    /// The template's language code.
    #[serde(default)]
    language: Option<String>,
    #[serde(default)]
    category: Option<Shape>,
}

/// Without a template: `service` (the default) is free-form, `utility` and `authentication` are Direct Send labels, `call` is a call, `marketing` goes
/// through `/marketing_messages`. Beside a template only `marketing` is taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum Shape {
    Service,
    Utility,
    Authentication,
    Call,
    Marketing,
}

/// How a send would be judged.
#[derive(Serialize, ToSchema)]
pub(super) struct Verdict {
    /// `allow` or `deny`.
    #[schema(example = "deny")]
    decision: &'static str,
    /// Why it is refused, or in shadow mode would be if it were enforced.
    #[schema(example = "no_consent")]
    reason: Option<&'static str>,
    /// What an allowed send rests on.
    basis: Option<&'static str>,
    /// The rule that decided, where one did.
    rule: Option<&'static str>,
    category: Category,
    /// `enforce` or `shadow`.
    #[schema(example = "enforce")]
    mode: &'static str,
    /// Names the policy that decided.
    revision: String,
    /// The body that the caller would get.
    #[schema(value_type = Option<Object>)]
    refusal: Option<Value>,
}

pub(super) fn described() -> Description {
    let example = json!({ "sender": "106540352242922", "to": "+15550000001", "template": "order_update", "language": "en_US" });
    Description::of("How a send would be judged, without sending it")
        .takes::<CheckAsWritten>(example)
        .answers::<Verdict>(200, "The judgement")
        .faults(&[
            Fault::TenantForbidden,
            Fault::MediaType,
            Fault::BodyTooLarge,
            Fault::BodyTimeout,
            Fault::Unreadable,
            Fault::Invalid,
        ])
}

pub(super) async fn post(
    State(control): State<Arc<Control>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Result<Json<Verdict>, Problem> {
    let bytes = body::json(request).await?;
    let refuse = |problems| Problem::new(Fault::Invalid, "the check cannot be made").listing(problems);
    let written = match explain::read::<CheckAsWritten>(&bytes, FIELDS) {
        Ok(written) => written,
        Err(Unread { problems, rest }) => {
            let of_the_rest = rest.as_ref().and_then(|rest| rest.send().err());
            return Err(refuse(explain::beside(problems, of_the_rest.unwrap_or_default())));
        }
    };
    let send = written.send().map_err(refuse)?;
    let tenant = control.judge.tenant_of(&send.sender);
    for name in send.to.iter().chain(&send.recipient) {
        if let Some(recipient) = Recipient::parse(name).or_else(|| Recipient::parse(&format!("+{name}"))) {
            caller.touches(tenant, &recipient);
        }
    }
    if !caller.is_unconfined() && !tenant.is_some_and(|tenant| caller.may_touch(tenant)) {
        return Err(Problem::new(
            Fault::TenantForbidden,
            "this token may check only senders of the tenants that it is confined to",
        ));
    }
    Ok(Json(answer(&control.judge.preview(&send).await)))
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
fn answer(judgement: &Judgement) -> Verdict {
    let (decision, basis, denial) = match &judgement.decision {
        Decision::Allow(permit) => ("allow", Some(permit.basis().name()), permit.would_deny()),
        Decision::Deny(denial) => ("deny", None, Some(denial)),
    };
    let refused = decision == "deny";
    Verdict {
        decision,
        reason: denial.map(|denial| denial.reason.name()),
        basis,
        rule: None,
        category: judgement.classified.headline,
        mode: judgement.policy.mode().name(),
        revision: judgement.policy.revision().to_owned(),
        refusal: denial.filter(|_| refused).map(|denial| refusal(denial, judgement)),
    }
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
