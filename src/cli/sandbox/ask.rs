//! Asking a running sandbox for what people do and what becomes of templates.

use std::process::ExitCode;
use std::time::Duration;

use http::Uri;
use serde_json::{Value, json};

use super::super::args::Global;
use super::super::failure::Failure;
use super::super::output::{print, print_json};
use super::args::{PreferenceArgs, SayArgs, Talk, TemplateArgs, Way, Wish};

/// Longer than a sandbox waits for the endpoint.
const PATIENCE: Duration = Duration::from_secs(20);

pub(super) fn say(args: &SayArgs, global: &Global) -> Result<ExitCode, Failure> {
    let (text, id) = (&args.text, args.id.as_ref().unwrap_or(&args.text));
    let (name, said) = match args.way {
        Way::Text => ("text", json!(text)),
        Way::Button => ("button", json!({ "text": text, "payload": id })),
        Way::Reply => ("reply", json!({ "title": text, "id": id })),
        Way::List => ("list", json!({ "title": text, "id": id })),
    };
    told(&ask(&args.place.sandbox, "say", &person(&args.talk, (name, said)))?, global)
}

pub(super) fn preference(args: &PreferenceArgs, global: &Global) -> Result<ExitCode, Failure> {
    let wish = match args.wish {
        Wish::Stop => "stop",
        Wish::Resume => "resume",
    };
    told(&ask(&args.place.sandbox, "preference", &person(&args.talk, ("value", json!(wish))))?, global)
}

pub(super) fn template(args: &TemplateArgs, global: &Global) -> Result<ExitCode, Failure> {
    let body = json!({ "name": args.name, "language": args.language, "category": args.category,
        "correct_category": args.announce, "status": args.status });
    told(&ask(&args.place.sandbox, "templates", &body)?, global)
}

/// What a person does, in one field.
fn person(talk: &Talk, (name, what): (&str, Value)) -> Value {
    json!({ "from": talk.from, "to": talk.to, name: what })
}

fn told(answer: &Value, global: &Global) -> Result<ExitCode, Failure> {
    if global.json {
        print_json(answer)?;
    } else {
        match answer.get("took_ms").and_then(Value::as_f64) {
            Some(took) => print(&format!("told: the webhook was answered 200 after {took} ms\n"))?,
            None => print("done\n")?,
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn ask(sandbox: &Uri, endpoint: &str, body: &Value) -> Result<Value, Failure> {
    let base = sandbox.to_string();
    let failed = |why: String| Failure::Sandbox(base.clone(), why);
    let config = ureq::Agent::config_builder()
        .http_status_as_error(false)
        .timeout_global(Some(PATIENCE))
        // A stand-in is on this machine or near it: a proxy from the environment has no say.
        .proxy(None)
        .build();
    let url = format!("{}/_sandbox/{endpoint}", base.trim_end_matches('/'));
    let answer = ureq::Agent::new_with_config(config).post(url).send_json(body);
    let mut answer = answer.map_err(|cause| failed(cause.to_string()))?;
    let told: Value =
        answer.body_mut().read_json().map_err(|_| failed("its answer is no sandbox's".to_owned()))?;
    match told.get("error") {
        Some(error) => Err(failed(error.as_str().unwrap_or("its answer is no sandbox's").to_owned())),
        None => Ok(told),
    }
}
