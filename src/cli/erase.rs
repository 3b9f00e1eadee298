//! `optgate consent erase`: forgetting a person.

use std::io::{self, BufRead, IsTerminal};
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
    optgate consent erase +15550000001\n  \
    optgate --json consent erase US.13491208655302741918 --tenant acme --yes\n\n\
    Takes out everything about the person, under every linked identity: events, evidence, links, windows. What is left is a keyed hash that \
    refuses every send until the person agrees again; it names nobody, and somebody of whom nothing is known gets one too. Erasing again \
    changes nothing.")]
pub(super) struct EraseArgs {
    /// +E.164 or a business-scoped user id.
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
    /// The business that the person spoke to; may be left out where there is one.
    #[arg(long, value_name = "NAME", default_value = ONLY_TENANT, hide_default_value = true)]
    tenant: String,
    /// Do not ask.
    #[arg(long)]
    yes: bool,
}

pub(super) fn run(args: &EraseArgs, global: &Global) -> Result<ExitCode, Failure> {
    if !args.yes && !confirmed()? {
        print("nothing was erased\n")?;
        return Ok(ExitCode::FAILURE);
    }
    let path = format!("/v1/tenants/{}/recipients/{}", segment(&args.tenant), segment(&args.recipient));
    let answer = Client::new(global)?.delete(&path)?;
    if global.json { print_json(&answer) } else { print(&readable(&answer)) }?;
    Ok(ExitCode::SUCCESS)
}

/// Asks on a terminal. A program that runs this has to say so instead.
fn confirmed() -> Result<bool, Failure> {
    if !io::stdin().is_terminal() {
        return Err(Failure::Senseless(
            "an erasure cannot be undone: add --yes where nobody can be asked".to_owned(),
        ));
    }
    print("This cannot be undone. Erase everything about this person, under every linked identity? [y/N] ")?;
    let mut answer = String::new();
    let read = io::stdin().lock().read_line(&mut answer);
    read.map_err(|cause| Failure::Input("standard input".to_owned(), cause))?;
    Ok(matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes"))
}

fn readable(answer: &Value) -> String {
    let mut text = match answer.get("was").and_then(Value::as_str) {
        Some("erased") => format!("erased before, at {}\n", shown(answer, "erased_at")),
        Some("unknown") => "nothing was known about them; they are refused from now on\n".to_owned(),
        Some(_) | None => {
            format!(
                "erased: {} events of {} identities\n",
                shown(answer, "events"),
                shown(answer, "identities")
            )
        }
    };
    match answer.get("residue").and_then(Value::as_str) {
        Some("unused_pages") => text += "the store's file is being written anew without them\n",
        Some("server_files") => {
            text += "files of the Redis server keep old bytes until it writes them anew (BGREWRITEAOF); so do backups\n";
        }
        Some(_) | None => {}
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_says_what_went_and_what_is_left() {
        let answer = |was: &str, residue: &str| {
            readable(
                &serde_json::json!({"erased_at": "2026-01-31T09:30:00Z", "was": was, "identities": 2, "events": 3, "residue": residue}),
            )
        };
        assert_eq!(answer("known", "none"), "erased: 3 events of 2 identities\n");
        assert_eq!(answer("erased", "none"), "erased before, at 2026-01-31T09:30:00Z\n");
        assert!(answer("unknown", "none").starts_with("nothing was known"));
        assert!(answer("known", "unused_pages").contains("being written anew"));
        assert!(answer("known", "server_files").contains("BGREWRITEAOF"));
    }
}
