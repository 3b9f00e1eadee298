//! `optgate consent history`: everything that was learnt about a person.

use std::process::ExitCode;

use clap::Args;
use serde_json::Value;

use super::args::Global;
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown};
use crate::consent::tenant::ONLY_TENANT;

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent history +15550000001\n  \
    optgate --json consent history US.13491208655302741918 --tenant acme\n\n\
    In the order of arrival, with evidence and the place in the person's hash chain. --json gives one entry a line.")]
pub(super) struct HistoryArgs {
    /// +E.164 or a business-scoped user id.
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
    /// The business that the person spoke to; may be left out where there is one.
    #[arg(long, value_name = "NAME", default_value = ONLY_TENANT, hide_default_value = true)]
    tenant: String,
}

pub(super) fn run(args: &HistoryArgs, global: &Global) -> Result<ExitCode, Failure> {
    let client = Client::new(global)?;
    let path =
        format!("/v1/tenants/{}/recipients/{}/history", segment(&args.tenant), segment(&args.recipient));
    let mut after = 0;
    loop {
        let page = client.get(&format!("{path}?limit=1000&after={after}"))?;
        for entry in page.get("entries").and_then(Value::as_array).into_iter().flatten() {
            if global.json { print_json(entry) } else { print(&readable(entry)) }?;
        }
        match page.get("next").and_then(Value::as_u64) {
            Some(next) => after = next,
            None => return Ok(ExitCode::SUCCESS),
        }
    }
}

fn readable(entry: &Value) -> String {
    let mut text = format!("#{} {}", shown(entry, "seq"), shown(entry, "at"));
    let null = Value::Null;
    let (event, link) = (entry.get("event").unwrap_or(&null), entry.get("link").unwrap_or(&null));
    if event.is_object() {
        let who = format!("by {} ({})", shown(event, "actor"), shown(event, "source"));
        text = text + " " + &shown(event, "kind") + " " + &shown(event, "categories") + " " + &who + "\n";
        for member in ["id", "recipient", "occurred_at", "received_at", "expires_at"] {
            if event.get(member).is_some() {
                text = text + "   " + member + ": " + &shown(event, member) + "\n";
            }
        }
        for (name, value) in event.get("evidence").and_then(Value::as_object).into_iter().flatten() {
            let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            text = text + "   evidence." + name + ": " + &value + "\n";
        }
    } else if link.is_object() {
        text = text + " same person: " + &shown(link, "link") + "\n";
    } else {
        text += " erased\n";
    }
    if entry.get("head").is_some_and(Value::is_string) {
        text = text + "   head: " + &shown(entry, "head") + "\n";
    }
    text
}
