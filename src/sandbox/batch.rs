//! Graph batches: several calls in one, answered in order.
//!
//! References between operations (`{result=…}`) are not resolved: an operation that holds one is taken literally.

use http::Method;
use serde_json::Value;

use super::errors::GraphError;
use super::json::{Object, list};
use super::parameters::{Parameters, scalar};
use super::route::{Call, Outcome, World, answer, effective};

const MOST: usize = 50;

/// Answers every operation of the `batch` parameter.
pub(super) fn run(call: &Call<'_>, world: &World) -> Outcome {
    let Some(operations) = call.parameters.value("batch").and_then(Value::as_array) else {
        return Outcome::from(Err(GraphError::invalid("batch is not a list of operations")));
    };
    if operations.len() > MOST {
        return Outcome::from(Err(GraphError::batch_too_long()));
    }
    let (mut sends, mut accepted) = (Vec::new(), Vec::new());
    let mut results = Vec::new();
    for operation in operations {
        let outcome = one(call, operation, world);
        sends.extend(outcome.sends);
        accepted.extend(outcome.accepted);
        let omitted = operation.get("omit_response_on_success").and_then(Value::as_bool) == Some(true);
        results.push(match outcome.reply {
            Ok(_) if omitted => "null".to_owned(),
            Ok(body) => element(200, &body),
            Err(error) => element(error.status, &error.body(&world.ids.trace())),
        });
    }
    Outcome { reply: Ok(list(results)), sends, accepted }
}

fn one(outer: &Call<'_>, operation: &Value, world: &World) -> Outcome {
    let member = |name: &str| operation.get(name).and_then(scalar);
    let Some(url) = member("relative_url") else {
        return Outcome::from(Err(GraphError::required("relative_url")));
    };
    let method = member("method").unwrap_or_else(|| "GET".to_owned()).to_ascii_uppercase();
    let Ok(method) = method.parse::<Method>() else {
        return Outcome::from(Err(GraphError::invalid("method is none")));
    };
    let (path, query) = url.split_once('?').unwrap_or((&url, ""));
    let mut parameters = Parameters::default();
    parameters.absorb_form(query);
    match operation.get("body") {
        Some(Value::Object(object)) => parameters.absorb_object(object.clone()),
        Some(Value::String(body)) if body.trim_start().starts_with('{') => {
            if let Err(error) = parameters.absorb_body("application/json", body.as_bytes()) {
                return Outcome::from(Err(error));
            }
        }
        Some(Value::String(body)) => parameters.absorb_form(body),
        Some(_) | None => {}
    }
    if parameters.value("batch").is_some() {
        return Outcome::from(Err(GraphError::invalid("A batch cannot hold a batch")));
    }
    let token = member("access_token").or_else(|| parameters.text("access_token"));
    let inner = Call {
        method: effective(&method, &parameters),
        path: format!("/{}", path.trim_start_matches('/')),
        parameters,
        token: token.or_else(|| outer.token.clone()),
        base: outer.base,
        upload: None,
    };
    answer(inner, world)
}

/// One answer inside the answer: its body is JSON in a string.
fn element(code: u16, body: &str) -> String {
    let header = Object::new().text("name", "Content-Type").text("value", "application/json; charset=UTF-8");
    Object::new().raw("code", code).raw("headers", list([header.finish()])).text("body", body).finish()
}
