//! `optgate senders`: the numbers that send, and how they are doing.

use std::process::ExitCode;

use clap::Args;
use serde_json::{Value, json};

use super::args::Global;
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown, table};

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate senders                        every number: webhooks, last sends, rating\n  \
    optgate senders 106540352242922        one number, with failures by the source of the consent\n  \
    optgate --json senders\n\n\
    RELAY is live if a webhook came within a day, silent if none did though the number sends, else idle. A number rated red sends \
    no marketing unless [policy] sender_health says otherwise.")]
pub(super) struct SendersArgs {
    /// The phone number id of one sender.
    #[arg(value_name = "SENDER")]
    sender: Option<String>,
}

pub(super) fn run(args: &SendersArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    match &args.sender {
        Some(sender) => one(&client, sender, global)?,
        None => all(&client, global)?,
    }
    Ok(ExitCode::SUCCESS)
}

fn all(client: &Client, global: &Global) -> Result<(), Failure> {
    let (mut senders, mut next) = (Vec::new(), Some("/v1/senders?limit=1000".to_owned()));
    while let Some(path) = next {
        let page = client.get(&path)?;
        senders.extend(list(&page, "senders").cloned());
        next = page.get("next").and_then(Value::as_str).map(str::to_owned);
    }
    let answer = json!({ "senders": senders });
    if global.json { print_json(&answer) } else { print(&listing(&answer)) }
}

fn one(client: &Client, sender: &str, global: &Global) -> Result<(), Failure> {
    let answer = client.get(&format!("/v1/senders/{}", segment(sender)))?;
    if global.json { print_json(&answer) } else { print(&detail(&answer)) }
}

fn list<'a>(value: &'a Value, member: &str) -> impl Iterator<Item = &'a Value> {
    value.get(member).and_then(Value::as_array).into_iter().flatten()
}

fn listing(answer: &Value) -> String {
    let columns = ["sender", "tenant", "relay", "last_webhook", "last_send", "last_marketing"];
    let health = ["quality", "status", "can_send", "messaging_limit"];
    let row = |sender: &Value| -> [String; 10] {
        let mut members = columns.iter().chain(&health);
        std::array::from_fn(|_| members.next().map(|member| shown(sender, member)).unwrap_or_default())
    };
    let rows: Vec<[String; 10]> = list(answer, "senders").map(row).collect();
    if rows.is_empty() {
        return "no senders: none is configured, and none has sent or was heard of\n".to_owned();
    }
    let heading = [
        "SENDER",
        "TENANT",
        "RELAY",
        "LAST WEBHOOK",
        "LAST SEND",
        "LAST MARKETING",
        "QUALITY",
        "STATUS",
        "CAN SEND",
        "LIMIT",
    ];
    list(answer, "senders").fold(table(heading, &rows), |text, sender| text + &warnings(sender))
}

fn warnings(sender: &Value) -> String {
    let warned = list(sender, "warnings").filter_map(Value::as_str);
    warned.fold(String::new(), |text, warning| text + "! " + &shown(sender, "sender") + ": " + warning + "\n")
}

fn detail(answer: &Value) -> String {
    let null = Value::Null;
    let sender = answer.get("sender").unwrap_or(&null);
    let mut text = String::new();
    for member in [
        "sender",
        "tenant",
        "account",
        "own_number",
        "relay",
        "last_webhook",
        "last_send",
        "last_marketing",
        "quality",
        "status",
        "can_send",
        "messaging_limit",
        "health_at",
    ] {
        text = text + member + ": " + &shown(sender, member) + "\n";
    }
    for obstacle in list(sender, "obstacles").filter_map(Value::as_str) {
        text = text + "obstacle: " + obstacle + "\n";
    }
    if let Some(state) = sender.get("account_state").filter(|state| state.is_object()) {
        text = text + "account told: " + &shown(state, "words") + " at " + &shown(state, "at") + "\n";
    }
    text += &warnings(sender);
    list(answer, "messages").fold(text, |text, period| text + "\n" + &messages(period))
}

fn messages(period: &Value) -> String {
    let heading = format!(
        "last {} days: {} sent, {} failed\n",
        shown(period, "days"),
        shown(period, "sent"),
        shown(period, "failed")
    );
    let members = ["code", "count", "per_mille", "source", "channel", "wording_version"];
    let rows: Vec<[String; 6]> =
        list(period, "failures").map(|failures| members.map(|member| shown(failures, member))).collect();
    if rows.is_empty() {
        return heading;
    }
    heading + &table(["CODE", "COUNT", "PER MILLE", "SOURCE", "CHANNEL", "WORDING"], &rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sender_is_one_line_and_its_warnings_stand_below() {
        let answer = json!({ "senders": [{ "sender": "1", "tenant": "acme", "relay": "silent", "quality": "red",
            "last_webhook": null, "warnings": ["send less"] }] });
        let text = listing(&answer);
        assert!(text.contains("1       acme    silent  -"), "{text}");
        assert!(text.ends_with("! 1: send less\n"), "{text}");
        assert!(listing(&json!({ "senders": [] })).starts_with("no senders"));
    }

    #[test]
    fn failures_stand_by_source_under_each_period() {
        let failures =
            json!([{ "code": 131_050, "count": 4, "per_mille": 40, "source": "shop", "channel": null }]);
        let text = detail(&json!({ "sender": { "sender": "1", "obstacles": ["WABA BLOCKED 1"] },
            "messages": [{ "days": 7, "sent": 96, "failed": 4, "failures": failures }, { "days": 28, "sent": 0, "failed": 0, "failures": [] }] }));
        for line in [
            "last 7 days: 96 sent, 4 failed",
            "131050  4      40         shop    -        -",
            "obstacle: WABA BLOCKED 1",
        ] {
            assert!(text.contains(line), "{line}: {text}");
        }
    }
}
