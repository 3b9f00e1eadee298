//! `optgate webhooks`: webhooks that no bot took in time.

use std::process::ExitCode;

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::args::Global;
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown, table};

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    optgate webhooks dead-letters list\n  \
    optgate webhooks dead-letters retry --all")]
pub(super) enum WebhooksCommand {
    /// List, retry or drop what no bot took in seven days.
    #[command(subcommand)]
    DeadLetters(DeadLettersCommand),
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    optgate webhooks dead-letters list\n  \
    optgate webhooks dead-letters retry --all\n  \
    optgate webhooks dead-letters drop 000000000000002a\n\n\
    There are dead letters only with [webhook] relay = \"queue\". They are forgotten after seven days.")]
pub(super) enum DeadLettersCommand {
    /// List them, the oldest first.
    #[command(
        after_help = "Examples:\n  optgate webhooks dead-letters list\n  optgate --json webhooks dead-letters list"
    )]
    List,
    /// Have them delivered anew, for seven days.
    #[command(
        after_help = "Examples:\n  optgate webhooks dead-letters retry 000000000000002a\n  optgate webhooks dead-letters retry --all"
    )]
    Retry(Which),
    /// Drop them for good.
    #[command(
        after_help = "Examples:\n  optgate webhooks dead-letters drop 000000000000002a\n  optgate webhooks dead-letters drop --all"
    )]
    Drop(Which),
}

#[derive(Debug, Args)]
#[group(required = true, multiple = false)]
pub(super) struct Which {
    /// Their ids, as the list shows them.
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// All that there are.
    #[arg(long)]
    all: bool,
}

pub(super) fn run(command: &WebhooksCommand, global: &Global) -> Result<ExitCode, Failure> {
    let WebhooksCommand::DeadLetters(command) = command;
    let client = Client::new(global)?;
    match command {
        DeadLettersCommand::List => list(&client, global),
        DeadLettersCommand::Retry(which) => {
            let retry = |id: &str| client.post_json(&format!("{}/retry", path_of(id)), &json!({})).map(drop);
            settle(&client, global, which, ("retried", &retry))
        }
        DeadLettersCommand::Drop(which) => {
            let remove = |id: &str| client.delete(&path_of(id)).map(drop);
            settle(&client, global, which, ("dropped", &remove))
        }
    }
}

const PATH: &str = "/v1/webhooks/dead-letters";

fn path_of(id: &str) -> String {
    format!("{PATH}/{}", segment(id))
}

fn all(client: &Client) -> Result<Vec<Value>, Failure> {
    let (mut letters, mut next) = (Vec::new(), Some(format!("{PATH}?limit=1000")));
    while let Some(path) = next {
        let page = client.get(&path)?;
        letters.extend(page.get("dead_letters").and_then(Value::as_array).cloned().unwrap_or_default());
        next = page.get("next").and_then(Value::as_str).map(str::to_owned);
    }
    Ok(letters)
}

fn list(client: &Client, global: &Global) -> Result<ExitCode, Failure> {
    let letters = all(client)?;
    if global.json {
        print_json(&json!({ "dead_letters": letters }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |letter: &Value| {
        ["id", "sender", "queued_at", "died_at", "attempts", "error"].map(|member| shown(letter, member))
    };
    let rows: Vec<_> = letters.iter().map(row).collect();
    if rows.is_empty() {
        print("no dead letters\n")?;
    } else {
        print(&table(["ID", "SENDER", "QUEUED AT", "DIED AT", "ATTEMPTS", "ERROR"], &rows))?;
    }
    Ok(ExitCode::SUCCESS)
}

/// What is done to each, and its name in the past.
type Deed<'a> = (&'a str, &'a dyn Fn(&str) -> Result<(), super::client::ClientError>);

fn settle(
    client: &Client,
    global: &Global,
    which: &Which,
    (past, deed): Deed<'_>,
) -> Result<ExitCode, Failure> {
    let listed = if which.all { all(client)? } else { Vec::new() };
    let listed = listed.iter().filter_map(|letter| letter.get("id")?.as_str().map(str::to_owned));
    let ids: Vec<String> = which.ids.iter().cloned().chain(listed).collect();
    for id in &ids {
        deed(id)?;
        if !global.json {
            print(&format!("{past} {id}\n"))?;
        }
    }
    if global.json {
        print_json(&json!({ past: ids }))?;
    }
    Ok(ExitCode::SUCCESS)
}
