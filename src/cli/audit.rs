//! `optgate audit ...`: checkpoints, the search for tampering, and receipts, which are checked without a gate.

use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Subcommand, ValueHint};
use serde_json::{Value, json};

use super::args::Global;
use super::client::{Client, segment};
use super::failure::Failure;
use super::output::{print, print_json, shown, table};
use crate::audit::PublicKey;
use crate::audit::receipt::{Checked, Doubt, check};
use crate::consent::tenant::ONLY_TENANT;
use crate::wire::cloud::templates::once;

/// The exit code for a receipt whose key nobody vouches for.
const KEY_NOT_VERIFIED: u8 = 3;

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    optgate audit verify\n  \
    optgate audit receipt +15550000001 > receipt.json\n  \
    optgate audit key > audit.pub\n  \
    optgate audit verify-receipt receipt.json --key audit.pub")]
pub(super) enum AuditCommand {
    /// Look for signs that somebody changed the record behind the gate's back.
    #[command(after_help = "Examples:\n  \
        optgate audit verify\n  \
        optgate audit verify --tenant acme\n  \
        optgate --json audit verify > findings.ndjson\n\n\
        Recomputes every chain and compares with every checkpoint, while the gate goes on. Exits 1 if anything was found. People are \
        named by keyed hashes. What was written since the newest checkpoint is covered by none; compare that checkpoint's hash \
        with the program log of the node that made it.")]
    Verify(TenantArgs),
    /// Sign what every history is now, without waiting for the next checkpoint.
    #[command(
        after_help = "Examples:\n  optgate audit checkpoint\n  optgate --json audit checkpoint --tenant acme\n\n\
        With Redis a checkpoint speaks about the moment [audit] grace_seconds ago, so that writes under way at other gates do not matter."
    )]
    Checkpoint(TenantArgs),
    /// Print a signed receipt of how a person stands and what that rests on.
    #[command(after_help = "Examples:\n  optgate audit receipt +15550000001 > receipt.json\n  \
        optgate audit receipt US.13491208655302741918 --tenant acme\n\n\
        Its fields are described in deploy/RECEIPT.md.")]
    Receipt(ReceiptArgs),
    /// Check a receipt against a key that you trust. Needs no gate.
    #[command(after_help = "Examples:\n  optgate audit verify-receipt receipt.json --key audit.pub\n  \
        optgate audit verify-receipt - --key 5f0c... < receipt.json\n  \
        optgate audit verify-receipt receipt.json --key-from-gate\n\n\
        Exits 0 if the receipt is to be believed, 1 if it is not, and 3 if nobody vouches for its key: without --key or \
        --key-from-gate it is only shown to agree with itself, for the key in it could be anybody's.")]
    VerifyReceipt(VerifyReceiptArgs),
    /// Print the public key of checkpoints and receipts.
    #[command(after_help = "Examples:\n  optgate audit key > audit.pub\n  optgate --json audit key")]
    Key,
}

#[derive(Debug, Args)]
pub(super) struct TenantArgs {
    /// The tenant; every tenant of the token if left out.
    #[arg(long, value_name = "NAME")]
    tenant: Option<String>,
}

#[derive(Debug, Args)]
pub(super) struct ReceiptArgs {
    /// +E.164 or a business-scoped user id.
    #[arg(value_name = "RECIPIENT")]
    recipient: String,
    /// The business that the person spoke to; may be left out where there is one.
    #[arg(long, value_name = "NAME", default_value = ONLY_TENANT, hide_default_value = true)]
    tenant: String,
}

#[derive(Debug, Args)]
pub(super) struct VerifyReceiptArgs {
    /// The receipt; - is standard input.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    file: PathBuf,
    /// The public key that you trust: 64 hexadecimal digits or base64, or a file with them, as `optgate audit key` prints it.
    #[arg(long, value_name = "FILE|HEX|BASE64", conflicts_with = "key_from_gate")]
    key: Option<String>,
    /// Trust the key of the gate that --admin names.
    #[arg(long)]
    key_from_gate: bool,
}

pub(super) fn run(command: &AuditCommand, global: &Global) -> Result<ExitCode, Failure> {
    match command {
        AuditCommand::Verify(args) => verify(args, global),
        AuditCommand::Checkpoint(args) => checkpoint(args, global),
        AuditCommand::Receipt(args) => receipt(args, global),
        AuditCommand::VerifyReceipt(args) => verify_receipt(args, global),
        AuditCommand::Key => key(global),
    }
}

impl TenantArgs {
    fn at(&self, path: &str) -> String {
        self.tenant.as_ref().map_or(path.to_owned(), |tenant| format!("{path}?tenant={}", segment(tenant)))
    }
}

fn verify(args: &TenantArgs, global: &Global) -> Result<ExitCode, Failure> {
    let answer = Client::new(global)?.stream(&args.at("/v1/audit/verify"))?;
    let mut done = None;
    for line in BufReader::new(answer).lines() {
        let line = line.map_err(|cause| Failure::Input("the answer of the admin API".to_owned(), cause))?;
        let Ok(told) = serde_json::from_str::<Value>(&line) else { continue };
        if global.json {
            print(&format!("{line}\n"))?;
        } else if let Some(recipients) = told.pointer("/progress/recipients") {
            eprintln!("{recipients} recipients read");
        } else {
            print(&readable(&told))?;
        }
        if let Some(why) = told.get("failed").and_then(Value::as_str) {
            return Err(Failure::Senseless(why.to_owned()));
        }
        done = told.pointer("/done/findings").and_then(Value::as_u64).or(done);
    }
    match done {
        None => Err(Failure::Senseless("the verification broke off before its end; run it again".to_owned())),
        Some(0) => Ok(ExitCode::SUCCESS),
        Some(_) => Ok(ExitCode::FAILURE),
    }
}

/// A line of the verification as a person reads it.
fn readable(told: &Value) -> String {
    if let Some(finding) = told.get("finding") {
        let mut text = format!(
            "FOUND {} (tenant {}): {}\n",
            shown(finding, "kind"),
            shown(finding, "tenant"),
            shown(finding, "text")
        );
        for (member, means) in [
            ("recipient", "recipient"),
            ("entries", "entries"),
            ("checkpoint", "checkpoint of"),
            ("buckets", "recipients whose hash begins with"),
        ] {
            if finding.get(member).is_some() {
                text = text + "  " + means + ": " + &shown(finding, member) + "\n";
            }
        }
        return text;
    }
    let Some(verified) = told.get("verified") else { return String::new() };
    let mut text = format!(
        "tenant {}: {} recipients, {} entries ({} erased, {} adopted), {} checkpoints, covered until {}: {} findings\n",
        shown(verified, "tenant"),
        shown(verified, "recipients"),
        shown(verified, "entries"),
        shown(verified, "erased"),
        shown(verified, "adopted"),
        shown(verified, "checkpoints"),
        shown(verified, "covered_until"),
        shown(verified, "findings"),
    );
    if let Some(hash) = verified.get("checkpoint").and_then(Value::as_str) {
        text = text + "  newest checkpoint: " + hash + "\n";
    }
    if verified.get("unchained").and_then(Value::as_u64).is_some_and(|unchained| unchained > 0) {
        text = text
            + "  without a chain yet, because an older optgate wrote them: "
            + &shown(verified, "unchained")
            + "\n";
    }
    text
}

fn checkpoint(args: &TenantArgs, global: &Global) -> Result<ExitCode, Failure> {
    let answer = Client::new(global)?.post_json(&args.at("/v1/audit/checkpoints"), &json!({}))?;
    if global.json {
        print_json(&answer)?;
        return Ok(ExitCode::SUCCESS);
    }
    let row = |made: &Value| {
        ["tenant", "at", "recipients", "entries", "new", "hash"].map(|member| shown(made, member))
    };
    let made = answer.get("checkpoints").and_then(Value::as_array).into_iter().flatten();
    let rows: Vec<_> = made.map(row).collect();
    print(&table(["TENANT", "AT", "RECIPIENTS", "ENTRIES", "NEW", "HASH"], &rows))?;
    Ok(ExitCode::SUCCESS)
}

fn receipt(args: &ReceiptArgs, global: &Global) -> Result<ExitCode, Failure> {
    let path =
        format!("/v1/tenants/{}/recipients/{}/receipt", segment(&args.tenant), segment(&args.recipient));
    let receipt = Client::new(global)?.get(&path)?;
    if global.json { print_json(&receipt) } else { print(&format!("{receipt:#}\n")) }?;
    Ok(ExitCode::SUCCESS)
}

fn key(global: &Global) -> Result<ExitCode, Failure> {
    let key = Client::new(global)?.get("/v1/audit/key")?;
    if global.json { print_json(&key) } else { print(&(shown(&key, "public") + "\n")) }?;
    Ok(ExitCode::SUCCESS)
}

fn verify_receipt(args: &VerifyReceiptArgs, global: &Global) -> Result<ExitCode, Failure> {
    let trusted = match &args.key {
        Some(given) => Some(trusted_key(given)?),
        None if args.key_from_gate => Some(key_of_gate(global)?),
        None => None,
    };
    // Of a key that stands twice one reader sees the first value and another the last.
    let receipt = once::read(text_of(&args.file)?.as_bytes())
        .map_err(|cause| Failure::Senseless(format!("{} is no receipt: {cause}", args.file.display())))?;
    let checked = check(&receipt, trusted.as_ref());
    if global.json {
        print_json(&told(&checked))?;
    }
    match checked {
        Err(_) if global.json => Ok(ExitCode::FAILURE),
        Err(doubt) => Err(Failure::Senseless(format!("not to be believed: {doubt}"))),
        Ok(Checked { key_id, key_known, events }) => {
            let matching = format!("{events} events match what the chain commits to\n");
            if !global.json && key_known {
                print(&format!("valid: signed with the trusted key {key_id}, {matching}"))?;
            } else if !global.json {
                print(&format!(
                    "key NOT verified: signed with key {key_id}, which nobody vouches for; {matching}"
                ))?;
            }
            if key_known {
                return Ok(ExitCode::SUCCESS);
            }
            eprintln!(
                "optgate: the receipt agrees with itself, which a forged one does too: give --key with the public key that you trust, or --key-from-gate"
            );
            Ok(ExitCode::from(KEY_NOT_VERIFIED))
        }
    }
}

/// What is said to programs; `valid` only of a receipt that a trusted key signed.
fn told(checked: &Result<Checked, Doubt>) -> Value {
    match checked {
        Ok(Checked { key_id, key_known, events }) => {
            let verdict = if *key_known { "valid" } else { "key_not_verified" };
            json!({ "valid": key_known, "verdict": verdict, "key_id": key_id, "key_known": key_known, "events": events })
        }
        Err(doubt) => json!({ "valid": false, "verdict": "not_to_be_believed", "reason": doubt.to_string() }),
    }
}

fn key_of_gate(global: &Global) -> Result<PublicKey, Failure> {
    let answer = Client::new(global)?.get("/v1/audit/key")?;
    let public = answer.get("public").and_then(Value::as_str).and_then(digits);
    public.ok_or_else(|| Failure::Senseless("the admin API named no public key".to_owned()))
}

/// A key in hexadecimal digits or in base64.
fn digits(text: &str) -> Option<PublicKey> {
    let mut key: PublicKey = [0; 32];
    let of_hex = hex::decode_to_slice(text.trim(), &mut key).ok().map(|()| key);
    of_hex.or_else(|| STANDARD.decode(text.trim()).ok()?.try_into().ok())
}

fn trusted_key(given: &str) -> Result<PublicKey, Failure> {
    if let Some(key) = digits(given) {
        return Ok(key);
    }
    let content = text_of(Path::new(given))?;
    // The key alone, or the JSON of `optgate --json audit key`.
    let json: Option<Value> = serde_json::from_str(&content).ok();
    let of_json = json.as_ref().and_then(|json| json.get("public")).and_then(Value::as_str);
    let key = digits(of_json.unwrap_or(&content));
    let wrong = || {
        Failure::Senseless(format!(
            "--key: {given} holds no public key; write 64 hexadecimal digits, base64, or a file that `optgate audit key` printed"
        ))
    };
    let key = key.ok_or_else(wrong)?;
    Ok(key)
}

fn text_of(file: &Path) -> Result<String, Failure> {
    let mut text = String::new();
    let read = if file == Path::new("-") {
        std::io::stdin().lock().read_to_string(&mut text)
    } else {
        std::fs::File::open(file).and_then(|mut file| file.read_to_string(&mut text))
    };
    read.map_err(|cause| Failure::Input(file.display().to_string(), cause))?;
    Ok(text)
}
