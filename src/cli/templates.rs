//! `optgate templates`: the catalogue that says which category a template has.

use std::process::ExitCode;

use serde_json::{Value, json};

use super::args::{Global, TemplatesImportArgs};
use super::client::{Client, segment};
use super::failure::Failure;
use super::import::read_whole;
use super::output::{print, print_json, shown, table};
use crate::consent::{Clock, Timestamp};

pub(super) fn import(args: &TemplatesImportArgs, global: &Global) -> Result<ExitCode, Failure> {
    let list = read_whole(&args.file)?;
    let path = format!("/v1/templates/{}", segment(&args.account));
    let answer = Client::new(global)?.write("PUT", &path, ("application/json", &list))?;
    if global.json {
        print_json(&answer)?;
    } else {
        print(&format!("account {}: {} templates\n", args.account, shown(&answer, "templates")))?;
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) fn list(global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let (mut accounts, mut next) = (Vec::new(), Some("/v1/templates?limit=1000".to_owned()));
    while let Some(path) = next {
        let page = client.get(&path)?;
        accounts.extend(page.get("accounts").and_then(Value::as_array).cloned().unwrap_or_default());
        next = page.get("next").and_then(Value::as_str).map(str::to_owned);
    }
    let answer = json!({ "accounts": accounts });
    if global.json { print_json(&answer) } else { print(&listing(&answer)) }?;
    Ok(ExitCode::SUCCESS)
}

fn listing(answer: &Value) -> String {
    let accounts = members(answer, "accounts");
    let rows: Vec<[String; 8]> = accounts.iter().flat_map(rows_of).collect();
    if rows.is_empty() {
        return "no templates: every template send counts as marketing. Give the gate a token ([upstream] token_file), or run `optgate templates import`\n"
            .to_owned();
    }
    let head = ["ACCOUNT", "NAME", "LANGUAGE", "CATEGORY", "ANNOUNCED", "STATUS", "SOURCE", "AGE"];
    table(head, &rows)
}

fn rows_of(account: &Value) -> Vec<[String; 8]> {
    let id = shown(account, "account");
    let row = |template: &Value| {
        let of = |member: &str| shown(template, member);
        [
            id.clone(),
            of("name"),
            of("language"),
            category(template),
            announced(template),
            of("status"),
            of("source"),
            age(template),
        ]
    };
    members(account, "templates").iter().map(row).collect()
}

fn members(value: &Value, name: &str) -> Vec<Value> {
    value.get(name).and_then(Value::as_array).cloned().unwrap_or_default()
}

/// What counts: both categories where the provider names two.
fn category(template: &Value) -> String {
    let text = |member: &str| template.get(member).and_then(Value::as_str);
    let listed = text("category").unwrap_or("-");
    match text("correct_category").filter(|correct| *correct != listed) {
        Some(correct) => format!("{listed}+{correct}"),
        None => listed.to_owned(),
    }
}

fn announced(template: &Value) -> String {
    let text = |member: &str| template.get("announced").and_then(|told| told.get(member)?.as_str());
    match (text("category"), text("due")) {
        (Some(category), Some(due)) => format!("{category} from {due}"),
        (Some(category), None) => category.to_owned(),
        (None, _) => "-".to_owned(),
    }
}

/// How long ago it was last listed so.
fn age(template: &Value) -> String {
    let as_of = template.get("as_of").and_then(Value::as_str).and_then(Timestamp::parse_rfc3339);
    let Some(as_of) = as_of else { return "-".to_owned() };
    let seconds = Clock::System.now().since(as_of).as_secs();
    let (count, unit) = match seconds {
        0..120 => (seconds, "s"),
        120..7_200 => (seconds / 60, "m"),
        7_200..172_800 => (seconds / 3_600, "h"),
        _ => (seconds / 86_400, "d"),
    };
    let stale = template.get("stale").and_then(Value::as_bool).unwrap_or_default();
    format!("{count}{unit}{}", if stale { " (stale: counts as marketing)" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_shows_what_counts_and_what_is_to_come() {
        let long_ago = Timestamp::from_millis(Clock::System.now().as_millis() - 3 * 3_600_000);
        let template = json!({ "name": "order_update", "language": "en_US", "category": "utility", "correct_category": "marketing", "status": "APPROVED",
            "announced": { "category": "marketing", "due": "2026-02-01T00:00:00Z" }, "source": "provider", "as_of": long_ago.to_string(), "stale": true });
        let shown = listing(&json!({ "accounts": [{ "account": "1022", "templates": [template] }] }));
        for part in
            ["1022", "utility+marketing", "marketing from 2026-02-01T00:00:00Z", "provider", "3h (stale"]
        {
            assert!(shown.contains(part), "{part} is missing in {shown}");
        }
        assert!(listing(&json!({ "accounts": [] })).starts_with("no templates"));
    }
}
