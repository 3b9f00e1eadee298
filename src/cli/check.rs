//! `optgate check`: how a send would be judged.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{CheckArgs, Global};
use super::client::Client;
use super::failure::Failure;
use super::output::{print, print_json, shown};

pub(super) fn run(args: &CheckArgs, global: &Global) -> Result<ExitCode, Failure> {
    let mut question = json!({
        "sender": args.sender,
        "to": args.to,
        "recipient": args.recipient,
        "template": args.template,
        "language": args.language,
        "category": args.category,
    });
    if let Some(members) = question.as_object_mut() {
        members.retain(|_, value| !value.is_null());
    }
    let answer = Client::new(global)?.post_json("/v1/check", &question)?;
    if global.json { print_json(&answer) } else { print(&sentence(&answer)) }?;
    Ok(ExitCode::SUCCESS)
}

fn sentence(answer: &Value) -> String {
    let category = shown(answer, "category");
    let verdict = match answer.get("decision").and_then(Value::as_str) {
        Some("allow") => format!("allowed as {category} (basis: {})", shown(answer, "basis")),
        _ => format!("refused as {category} (reason: {})", shown(answer, "reason")),
    };
    let would_deny =
        verdict.starts_with("allowed").then(|| answer.get("reason").and_then(Value::as_str)).flatten();
    let would_deny = would_deny.map(|reason| format!("enforcing would refuse it (reason: {reason})"));
    let told = answer.pointer("/refusal/error/message").and_then(Value::as_str);
    let details = answer.pointer("/refusal/error/error_data/details").and_then(Value::as_str);
    let lines =
        would_deny.as_deref().into_iter().chain(told).chain(details).map(|line| format!("  {line}\n"));
    format!(
        "{verdict}\n{}policy {} ({})\n",
        lines.collect::<String>(),
        shown(answer, "revision"),
        shown(answer, "mode")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_what_the_caller_would_read() {
        let answer = json!({"decision": "deny", "reason": "no_consent", "category": "marketing", "mode": "enforce", "revision": "ab",
            "refusal": {"error": {"message": "(#131030) no", "error_data": {"details": "optgate: record a grant"}}}});
        let text = sentence(&answer);
        assert_eq!(
            text,
            "refused as marketing (reason: no_consent)\n  (#131030) no\n  optgate: record a grant\npolicy ab (enforce)\n"
        );
    }
}
