//! `optgate consent grant|revoke|resume|show`: one event recorded, one record shown.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, ValueEnum, ValueHint};
use serde_json::{Value, json};

use super::args::Global;
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown, table};
use crate::consent::event::EventAsWritten;
use crate::consent::evidence::Evidence;
use crate::consent::tenant::ONLY_TENANT;
use crate::consent::{Actor, Category, Clock, Kind, Timestamp};

/// Whom an event concerns and where it comes from.
#[derive(Debug, Args)]
pub(super) struct EventArgs {
    /// +E.164 or a business-scoped user id.
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
    /// The business that the person spoke to; may be left out where there is one.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
    /// The system or page that the event comes from.
    #[arg(long, value_name = "NAME", default_value = "cli")]
    source: String,
    /// Who caused it: person, operator, system or provider.
    #[arg(long, value_name = "WHO", default_value = "person", value_parser = actor)]
    actor: Actor,
    /// When the person said it, such as 2026-01-31T09:30:00Z; now if left out.
    #[arg(long, value_name = "TIME", value_parser = timestamp)]
    occurred_at: Option<Timestamp>,
    /// Another identity of the same person; may be given several times.
    #[arg(long, value_name = "RECIPIENT")]
    link: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent grant +15550000001 --category utility,marketing --source website --channel website --user-action checked_box \\\n    \
      --wording 'I agree to receive offers from Acme on WhatsApp' --business Acme --categories-shown utility,marketing \\\n    \
      --name-and-logo-shown --number-confirmed\n  \
    optgate consent grant US.13491208655302741918 --tenant acme --category service --channel phone --user-action said_yes \\\n    \
      --wording 'May Acme answer you on WhatsApp?' --business Acme --categories-shown service --number-confirmed\n  \
    optgate consent grant +15550000001 --category marketing --confirms EVENT --channel email --user-action pressed_button ...\n  \
    optgate consent grant +15550000001 --category utility --legacy --actor system --source old-crm\n\n\
Which evidence a grant needs says the tenant's opt_in_rules; what is missing is listed with its remedy.")]
pub(super) struct GrantArgs {
    #[command(flatten)]
    event: EventArgs,
    /// What the person agreed to: authentication, call, marketing, service, utility.
    #[arg(long, value_name = "A,B", value_delimiter = ',', required = true, value_parser = category)]
    category: Vec<Category>,
    /// The grant counts only once the person confirms it (double opt-in).
    #[arg(long)]
    pending: bool,
    /// The pending grant that this one confirms, by its event id (consent show names it).
    #[arg(long, value_name = "EVENT", conflicts_with = "pending")]
    confirms: Option<String>,
    /// The grant comes from old records without evidence; needs legacy_imports of the tenant.
    #[arg(long, conflicts_with_all = ["pending", "confirms"])]
    legacy: bool,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

/// How a grant came about.
#[derive(Debug, Args)]
#[command(next_help_heading = "Evidence")]
pub(super) struct EvidenceArgs {
    /// Where: website, app, email, sms, phone, in_person, paper.
    #[arg(long, value_name = "CHANNEL")]
    channel: Option<String>,
    /// What the person did: checked_box, pressed_button, signed, said_yes, texted_keyword, filled_form.
    #[arg(long, value_name = "ACTION")]
    user_action: Option<String>,
    /// The sentence that the person agreed to.
    #[arg(long, value_name = "TEXT")]
    wording: Option<String>,
    /// Which version of the wording.
    #[arg(long, value_name = "VERSION")]
    wording_version: Option<String>,
    /// The language of the wording.
    #[arg(long, value_name = "LOCALE")]
    locale: Option<String>,
    /// The page on which it stood.
    #[arg(long, value_name = "URL")]
    url: Option<String>,
    /// Where the proof itself lies: a message, a recording, a ticket, a scanned form.
    #[arg(long, value_name = "TEXT")]
    reference: Option<String>,
    /// The business that was named.
    #[arg(long, value_name = "NAME")]
    business: Option<String>,
    /// The types of message that were named.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = category)]
    categories_shown: Vec<Category>,
    /// It stood beside the WhatsApp name and logo.
    #[arg(long)]
    name_and_logo_shown: bool,
    /// The person could see and change the number.
    #[arg(long)]
    number_confirmed: bool,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent revoke +15550000001\n  \
    optgate consent revoke +15550000001 --category marketing --source phone\n\n\
    Without --category everything is withdrawn, categories of the future included.")]
pub(super) struct RevokeArgs {
    #[command(flatten)]
    event: EventArgs,
    /// What the person withdrew; everything if left out.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = category)]
    category: Vec<Category>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent resume +15550000001 --source phone --channel phone --user-action said_yes --reference 'call 4711'\n  \
    optgate consent resume +15550000001 --category marketing --source website --channel website --user-action pressed_button \\\n    \
      --wording 'Write to me again on WhatsApp'\n\n\
    It lifts the person's own withdrawals of the same --source and grants nothing new: an earlier grant stands again. It needs \
    evidence of how the person asked for it.")]
pub(super) struct ResumeArgs {
    #[command(flatten)]
    event: EventArgs,
    /// Of what the person took their withdrawal back; of everything if left out.
    #[arg(long, value_name = "A,B", value_delimiter = ',', value_parser = category)]
    category: Vec<Category>,
    #[command(flatten)]
    evidence: EvidenceArgs,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent show +15550000001\n  \
    optgate --json consent show US.13491208655302741918 --tenant acme")]
pub(super) struct ShowArgs {
    /// +E.164 or a business-scoped user id.
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
    /// The business that the person spoke to; may be left out where there is one.
    #[arg(long, value_name = "NAME", default_value = ONLY_TENANT, hide_default_value = true)]
    tenant: String,
}

/// `optgate consent import`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent import opt-ins.ndjson\n  \
    optgate consent import opt-ins.csv --tenant acme\n  \
    optgate consent import opt-ins.csv --dry-run\n  \
    optgate consent import opt-ins.csv --resume\n  \
    optgate consent import crm.csv --ignore-column customer_no\n  \
    zcat opt-ins.csv.gz | optgate consent import - --format csv\n\n\
    NDJSON holds one event a line. CSV has the same fields in a header row, dotted (evidence.channel), separated by commas, semicolons or \
    tabs as the header has it; several categories or links stand in one cell, separated by ; | or a comma. Every event needs recipient, \
    kind, occurred_at, actor and source. What is rejected is written with its reasons to a file of its own, to be corrected there \
    and imported again; everything else is kept.\n\n\
    An import that ends early, by Ctrl-C, kill or a lost connection, is continued by the same command with --resume. What was under way then \
    (--chunk events at most) is sent again. That changes nothing, and neither does a repeat of the whole import.\n\n\
    Exit codes: 0 everything was taken; 1 a line was rejected, or the import ended early; 2 the command line makes no sense; 130 or 143 \
    it was interrupted (SIGINT, SIGTERM).")]
pub(super) struct ImportArgs {
    /// The file; - is standard input.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// The business of events that name none.
    #[arg(long, value_name = "NAME")]
    pub(super) tenant: Option<String>,
    /// How the file is written; read from its name if left out, and NDJSON if that says nothing.
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// Have everything checked and store nothing.
    #[arg(long, conflicts_with = "resume")]
    pub(super) dry_run: bool,
    /// Go on where an import of the same file was cut short; FILE.import-state says where that was.
    #[arg(long)]
    pub(super) resume: bool,
    /// Where rejected events go, with their reasons: opt-ins.rejected.csv beside opt-ins.csv if left out.
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) rejects: Option<PathBuf>,
    /// Leave a column of a CSV file out, by its name; may be given several times.
    #[arg(long, value_name = "NAME")]
    pub(super) ignore_column: Vec<String>,
    /// Leave out every column of a CSV file that no event has; they are named.
    #[arg(long)]
    pub(super) ignore_unknown_columns: bool,
    /// How many events go to the gate at a time, at most: the first chunks are smaller.
    #[arg(long, value_name = "N", default_value_t = 10_000, value_parser = clap::value_parser!(u64).range(1..=10_000))]
    pub(super) chunk: u64,
}

/// `optgate consent export`
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate consent export -o consent.ndjson\n  \
    optgate consent export --tenant acme --format csv > acme.csv\n\n\
    Every event with its evidence, as import takes them. The last line of NDJSON says that the export is whole; one that is cut off \
    fails, and leaves no file. A link that the provider showed comes back as such, if the token that imports has the scope admin. \
    Hashes (of erased people, and of everybody with hash_recipients) are understood by stores with the same key only: optgate consent key --help.")]
pub(super) struct ExportArgs {
    /// The business; all that the token may read if left out.
    #[arg(long, value_name = "NAME")]
    pub(super) tenant: Option<String>,
    /// How it is written; read from the name of --output if left out, and NDJSON if that says nothing.
    #[arg(long, value_name = "FORMAT")]
    pub(super) format: Option<Format>,
    /// The file; standard output if left out.
    #[arg(short, long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) output: Option<PathBuf>,
}

/// How a file of events is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(super) enum Format {
    /// One JSON object a line.
    Ndjson,
    /// A header row and one event a row.
    Csv,
}

/// Reads a category's name.
pub(super) fn category(text: &str) -> Result<Category, String> {
    let known = || Category::ALL.map(Category::name).join(", ");
    Category::from_name(text.trim()).ok_or_else(|| format!("known categories: {}", known()))
}

fn actor(text: &str) -> Result<Actor, String> {
    serde_json::from_value(json!(text)).map_err(|_| "write person, operator, system or provider".to_owned())
}

fn timestamp(text: &str) -> Result<Timestamp, String> {
    let right = "write RFC 3339 with an offset, such as 2026-01-31T09:30:00Z";
    Timestamp::parse_rfc3339(text).ok_or_else(|| right.to_owned())
}

pub(super) fn grant(args: GrantArgs, global: &Global) -> Result<ExitCode, Failure> {
    let evidence = Some(args.evidence.evidence()).filter(|evidence| !evidence.is_empty());
    let event = EventAsWritten {
        evidence,
        pending: args.pending.then_some(true),
        confirms: args.confirms,
        legacy: args.legacy.then_some(true),
        ..args.event.event(Kind::Grant, args.category)
    };
    record(&event, global)
}

pub(super) fn revoke(args: RevokeArgs, global: &Global) -> Result<ExitCode, Failure> {
    record(&args.event.event(Kind::Revoke, args.category), global)
}

pub(super) fn resume(args: ResumeArgs, global: &Global) -> Result<ExitCode, Failure> {
    let evidence = Some(args.evidence.evidence()).filter(|evidence| !evidence.is_empty());
    record(&EventAsWritten { evidence, ..args.event.event(Kind::Resume, args.category) }, global)
}

impl EventArgs {
    fn event(self, kind: Kind, categories: Vec<Category>) -> EventAsWritten {
        EventAsWritten {
            tenant: self.tenant,
            recipient: self.recipient,
            kind: Some(kind),
            categories: Some(categories).filter(|categories| !categories.is_empty()),
            occurred_at: Some(self.occurred_at.unwrap_or_else(|| Clock::System.now())),
            actor: Some(self.actor),
            source: Some(self.source),
            links: self.link,
            ..EventAsWritten::default()
        }
    }
}

impl EvidenceArgs {
    /// What is not stated stays unstated: a flag that is absent is no "no".
    fn evidence(self) -> Evidence {
        Evidence {
            channel: self.channel,
            user_action: self.user_action,
            name_and_logo_shown: self.name_and_logo_shown.then_some(true),
            number_confirmed: self.number_confirmed.then_some(true),
            categories_shown: Some(self.categories_shown).filter(|shown| !shown.is_empty()),
            business_named: self.business,
            wording: self.wording,
            wording_version: self.wording_version,
            locale: self.locale,
            url: self.url,
            reference: self.reference,
        }
    }
}

fn record(event: &EventAsWritten, global: &Global) -> Result<ExitCode, Failure> {
    let answer = Client::new(global)?.post_json("/v1/events", &json!(event))?;
    if global.json {
        print_json(&answer)?;
    } else {
        print(&outcome(&answer))?;
    }
    Ok(ExitCode::SUCCESS)
}

fn outcome(answer: &Value) -> String {
    let reasons = answer.pointer("/results/0/reasons").and_then(Value::as_array).into_iter().flatten();
    let applied = answer.get("applied").and_then(Value::as_u64) == Some(1);
    let heading = if applied { "recorded\n" } else { "ignored: it changes nothing\n" };
    reasons.filter_map(Value::as_str).fold(heading.to_owned(), |text, reason| text + "  - " + reason + "\n")
}

pub(super) fn show(args: &ShowArgs, global: &Global) -> Result<ExitCode, Failure> {
    let path = format!("/v1/tenants/{}/recipients/{}", segment(&args.tenant), segment(&args.recipient));
    let record = Client::new(global)?.get(&path)?;
    if global.json { print_json(&record) } else { print(&readable(&record)) }?;
    Ok(ExitCode::SUCCESS)
}

fn readable(record: &Value) -> String {
    let row = |category: Category| {
        let of_category = record.pointer(&format!("/categories/{}", category.name())).unwrap_or(&Value::Null);
        let [state, since, until, event] =
            ["state", "since", "until", "event"].map(|m| shown(of_category, m));
        [category.name().to_owned(), state, since, until, event]
    };
    let mut text = format!("{} of tenant {}\n\n", shown(record, "recipient"), shown(record, "tenant"));
    text += &table(["CATEGORY", "STATE", "SINCE", "UNTIL", "EVENT"], &Category::ALL.map(row));
    text = text + "\ncustomer service window until: " + &shown(record, "window_until") + "\n";
    for link in record.get("links").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str)
    {
        text = text + "same person: " + link + "\n";
    }
    if record.get("legacy") == Some(&Value::Bool(true)) {
        text += "has a grant without evidence\n";
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_reads_as_a_table() {
        let record = json!({"recipient": "+15550000001", "tenant": "acme", "window_until": null, "links": ["US.1"], "legacy": true,
            "categories": {"marketing": {"state": "granted", "since": "2026-01-31T09:30:00Z", "until": null, "event": "e1"}}});
        let text = readable(&record);
        assert!(text.contains("marketing       granted  2026-01-31T09:30:00Z  -      e1\n"), "{text}");
        assert!(text.contains("call            -        -") && text.contains("same person: US.1"), "{text}");
        assert!(text.ends_with("has a grant without evidence\n"), "{text}");
    }

    #[test]
    fn an_ignored_event_says_why() {
        let answer = json!({"applied": 0, "ignored": 1, "results": [{"line": 1, "result": "ignored", "reasons": ["known"]}]});
        assert_eq!(outcome(&answer), "ignored: it changes nothing\n  - known\n");
    }
}
