//! `calls` and `call_permissions`.

use super::errors::GraphError;
use super::journal::Delivery;
use super::json::{Object, list, success};
use super::messages::{addressed, whatsapp};
use super::recipient::{Recipient, requested_error};
use super::route::{Call, Outcome, World};

const ACTIONS: &str = "ACCEPT, CONNECT, PRE_ACCEPT, REJECT, TERMINATE";

/// `POST /{phone number}/calls`: only `connect` rings anybody.
pub(super) fn call(call: &Call<'_>, world: &World) -> Outcome {
    let parameters = &call.parameters;
    let action = parameters.text("action").unwrap_or_default().to_ascii_lowercase();
    match action.as_str() {
        "connect" => {
            let to = addressed(parameters);
            let sends = to.map(|to| Delivery { to, category: "call".to_owned() });
            Outcome { sends: sends.into_iter().collect(), ..Outcome::from(connect(call, world)) }
        }
        "pre_accept" | "accept" | "reject" | "terminate" => Outcome::from(answered(call)),
        "" => Outcome::from(Err(GraphError::required("action"))),
        other => Outcome::from(Err(GraphError::not_one_of("action", ACTIONS, other))),
    }
}

fn connect(call: &Call<'_>, world: &World) -> Result<String, GraphError> {
    whatsapp(&call.parameters)?;
    let input = addressed(&call.parameters).ok_or_else(|| GraphError::required("to"))?;
    call.parameters.object("session").ok_or_else(|| GraphError::required("session"))?;
    if let Some(error) = requested_error(&input) {
        return Err(error);
    }
    let recipient = Recipient::resolve(input, false)?;
    let id = Object::new().text("id", &world.ids.call(recipient.key())).finish();
    Ok(Object::new().text("messaging_product", "whatsapp").raw("calls", list([id])).finish())
}

fn answered(call: &Call<'_>) -> Result<String, GraphError> {
    whatsapp(&call.parameters)?;
    call.parameters.text("call_id").ok_or_else(|| GraphError::required("call_id"))?;
    Ok(success())
}

/// `GET /{phone number}/call_permissions`.
pub(super) fn permissions(call: &Call<'_>) -> Result<String, GraphError> {
    let user = call.parameters.text("user_wa_id").or_else(|| call.parameters.text("recipient"));
    user.ok_or_else(|| GraphError::required("user_wa_id"))?;
    let permission = Object::new().text("status", "temporary").raw("expiration_time", 4_102_444_800_u64);
    let asking = action("send_call_permission_request", &[("PT24H", 1), ("P7D", 2)]);
    let calling = action("start_call", &[("PT24H", 5)]);
    Ok(Object::new()
        .text("messaging_product", "whatsapp")
        .raw("permission", permission.finish())
        .raw("actions", list([asking, calling]))
        .finish())
}

fn action(name: &str, limits: &[(&str, u32)]) -> String {
    let limits = limits.iter().map(|(period, most)| {
        Object::new().text("time_period", period).raw("max_allowed", most).raw("current_usage", 0).finish()
    });
    Object::new()
        .text("action_name", name)
        .raw("can_perform_action", true)
        .raw("limits", list(limits))
        .finish()
}
