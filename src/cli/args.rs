//! What may be written on the command line, and the help that explains it.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, CommandFactory, FromArgMatches, Parser, Subcommand, ValueHint};

use super::audit::AuditCommand;
use super::consent::{ExportArgs, GrantArgs, ImportArgs, ResumeArgs, RevokeArgs, ShowArgs};
use super::erase::EraseArgs;
use super::history::HistoryArgs;
use super::sandbox::SandboxArgs;
use super::senders::SendersArgs;
use super::webhooks::WebhooksCommand;

/// A consent gate for business messaging: a proxy in front of the WhatsApp Business API that refuses every send nobody agreed to.
#[derive(Debug, Parser)]
#[command(
    name = "optgate",
    version,
    subcommand_required = true,
    arg_required_else_help = true,
    after_help = "Examples:\n  \
        optgate demo                                    see it work: a send refused, a grant, the same send delivered\n  \
        optgate serve --config optgate.toml             run the gate\n  \
        optgate consent show +15550000001               what a person agreed to\n\n\
        Exit codes: 0 done, 1 failed or partly rejected, 2 wrong usage, 3 a receipt whose key nobody vouches for, 78 the configuration has problems."
)]
pub(super) struct Cli {
    #[command(flatten)]
    pub(super) global: Global,
    #[command(subcommand)]
    pub(super) command: Command,
}

/// The commands that ask no admin API, with what of [`Global`] they do without.
const ALONE: [(&str, &[&str]); 4] = [
    ("serve", &ADMIN),
    ("demo", &[ADMIN[0], ADMIN[1], ADMIN[2], ADMIN[3], "data_dir"]),
    ("sandbox", &[ADMIN[0], ADMIN[1], ADMIN[2], ADMIN[3], "data_dir"]),
    ("token", &[ADMIN[0], ADMIN[1], ADMIN[2], ADMIN[3], "data_dir"]),
];
/// How a command finds the admin API.
const ADMIN: [&str; 4] = ["admin", "admin_ca", "admin_cert", "admin_key"];

impl Cli {
    /// Reads the arguments. The help of a command shows no option that does nothing there.
    pub(super) fn read(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        Self::from_arg_matches(&Self::described().try_get_matches_from(args)?)
    }

    pub(super) fn described() -> clap::Command {
        let mut command = Self::command();
        // Hands the options of every command down to each.
        command.build();
        ALONE.into_iter().fold(command, |command, (name, useless)| {
            command.mut_subcommand(name, |alone| without(alone, useless))
        })
    }
}

/// A command and those below it, with options that their help does not show.
fn without(command: clap::Command, useless: &[&str]) -> clap::Command {
    let below: Vec<String> = command.get_subcommands().map(|below| below.get_name().to_owned()).collect();
    let command = command.mut_args(|arg| {
        let hidden = useless.contains(&arg.get_id().as_str());
        if hidden { arg.hide(true) } else { arg }
    });
    below
        .into_iter()
        .fold(command, |command, name| command.mut_subcommand(name, |below| without(below, useless)))
}

/// What every command takes.
#[derive(Debug, Args)]
pub(super) struct Global {
    /// Print JSON, for programs.
    #[arg(long, global = true)]
    pub(super) json: bool,
    /// The admin API of the running gate.
    #[arg(long, global = true, value_name = "URL", default_value = "http://127.0.0.1:9090", value_hint = ValueHint::Url)]
    pub(super) admin: String,
    /// The authorities (PEM) that signed the gate's certificate, for --admin https://...; the public ones if left out.
    #[arg(long, global = true, value_name = "FILE", env = "OPTGATE_ADMIN_CA", value_hint = ValueHint::FilePath)]
    pub(super) admin_ca: Option<PathBuf>,
    /// This command's own certificate (PEM), where the gate asks for one; with --admin-key.
    #[arg(long, global = true, value_name = "FILE", env = "OPTGATE_ADMIN_CERT", value_hint = ValueHint::FilePath)]
    pub(super) admin_cert: Option<PathBuf>,
    /// The private key (PEM) of --admin-cert.
    #[arg(long, global = true, value_name = "FILE", env = "OPTGATE_ADMIN_KEY", value_hint = ValueHint::FilePath)]
    pub(super) admin_key: Option<PathBuf>,
    /// The gate's data folder: overrides data_dir, and other commands find admin.token there unless OPTGATE_TOKEN is set.
    #[arg(long, global = true, value_name = "PATH", value_hint = ValueHint::DirPath)]
    pub(super) data_dir: Option<PathBuf>,
}

#[derive(Debug, Subcommand)]
pub(super) enum Command {
    /// Run the gate.
    Serve(ServeArgs),
    /// See it work: a stand-in for the provider, the gate and a scene of real requests, in a temporary folder.
    Demo(DemoArgs),
    /// Run a local stand-in for the provider's API, to try things against.
    Sandbox(Box<SandboxArgs>),
    /// Record and show what people agreed to.
    #[command(subcommand)]
    Consent(ConsentCommand),
    /// Fill and list the catalogue that says which category a template has.
    #[command(subcommand)]
    Templates(TemplatesCommand),
    /// See to webhooks that bots did not take.
    #[command(subcommand)]
    Webhooks(WebhooksCommand),
    /// Prove what the record says, and that nobody changed it.
    #[command(subcommand)]
    Audit(AuditCommand),
    /// Show the numbers that send: whether their webhooks come, and how WhatsApp rates them.
    Senders(SendersArgs),
    /// Ask how a send would be judged, without sending it.
    Check(CheckArgs),
    /// Show a decision and what it rested on: the consent event, the template's category, the policy.
    Explain(ExplainArgs),
    /// Make tokens for the admin API.
    #[command(subcommand)]
    Token(TokenCommand),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate serve --config optgate.toml\n  \
    optgate serve --listen 127.0.0.1:8080 --upstream http://127.0.0.1:8090 --store /tmp/try.redb\n  \
    OPTGATE_STORE__KIND=redis OPTGATE_STORE__URL=redis://:secret@cache:6379 optgate serve --config optgate.toml\n\n\
    Every setting stands with its default in deploy/optgate.default.toml. Any of them can be given as an environment variable \
    OPTGATE_SECTION__KEY, such as OPTGATE_PROXY__LISTEN; flags prevail over the environment, the environment over the file.")]
pub(super) struct ServeArgs {
    /// The configuration file. Without it the defaults hold.
    #[arg(long, value_name = "FILE", env = "OPTGATE_CONFIG", value_hint = ValueHint::FilePath)]
    pub(super) config: Option<PathBuf>,
    /// Where callers connect (proxy.listen).
    #[arg(long, value_name = "ADDR")]
    pub(super) listen: Option<String>,
    /// Where the admin API listens (admin.listen).
    #[arg(long, value_name = "ADDR")]
    pub(super) admin_listen: Option<String>,
    /// The provider's API (upstream.url).
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url)]
    pub(super) upstream: Option<String>,
    /// Where consent is kept: PATH, redis://..., rediss://..., redis+cluster://A,B,C or redis+sentinel://A,B/NAME.
    #[arg(long, value_name = "PATH|URL")]
    pub(super) store: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    optgate consent grant --help\n  \
    optgate consent revoke +15550000001\n  \
    optgate consent show +15550000001\n  \
    optgate consent history +15550000001\n  \
    optgate consent erase +15550000001\n  \
    optgate consent import opt-ins.csv\n  \
    optgate consent export -o consent.ndjson\n  \
    optgate consent key > recipients.key")]
pub(super) enum ConsentCommand {
    /// Record that a person agreed.
    Grant(Box<GrantArgs>),
    /// Record that a person withdrew.
    Revoke(RevokeArgs),
    /// Record that a person took their own withdrawal back.
    Resume(Box<ResumeArgs>),
    /// Show how a person stands.
    Show(ShowArgs),
    /// Show everything that was learnt about a person, with evidence.
    History(HistoryArgs),
    /// Forget a person and go on refusing them.
    Erase(EraseArgs),
    /// Record many events from a file.
    Import(ImportArgs),
    /// Write every event to a file that imports back.
    Export(ExportArgs),
    /// Print the key of the store's hashes, for another store that is to understand them.
    #[command(
        after_help = "Examples:\n  optgate consent key > recipients.key\n  optgate --json consent key\n\n\
        An export holds erased people, and with hash_recipients everybody, as keyed hashes. A store that was made with this key in \
        [privacy] recipients_key_file, and with the same tenants in the same order, takes them in; any other rejects them. Whoever has \
        the key can try numbers against hashes: keep it as you keep the store."
    )]
    Key,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  \
    optgate templates import templates.json --account 102290129340398\n  \
    optgate templates list")]
pub(super) enum TemplatesCommand {
    /// Replace an account's templates by those of a file.
    #[command(after_help = "Examples:\n  \
        curl -s -H \"Authorization: Bearer $TOKEN\" 'https://graph.facebook.com/v23.0/102290129340398/message_templates?limit=1000' > templates.json\n  \
        optgate templates import templates.json --account 102290129340398")]
    Import(TemplatesImportArgs),
    /// List what the catalogue holds.
    #[command(after_help = "Examples:\n  optgate templates list\n  optgate --json templates list")]
    List,
}

#[derive(Debug, Args)]
pub(super) struct TemplatesImportArgs {
    /// The list as the provider answers GET /{account}/message_templates; - is standard input.
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub(super) file: PathBuf,
    /// The WhatsApp Business account that owns the templates.
    #[arg(long, value_name = "ID")]
    pub(super) account: String,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate check --sender 106540352242922 --to +15550000001\n  \
    optgate check --sender 106540352242922 --to +15550000001 --template order_update --language en_US\n\n\
    Exits 0 whenever the gate answered, allowed or refused; a program reads the answer with --json.")]
pub(super) struct CheckArgs {
    /// The phone number id that would send.
    #[arg(long, value_name = "ID")]
    pub(super) sender: String,
    /// The recipient as a send would write it.
    #[arg(long, value_name = "NUMBER", required_unless_present = "recipient")]
    pub(super) to: Option<String>,
    /// The recipient's business-scoped user id.
    #[arg(long, value_name = "BSUID")]
    pub(super) recipient: Option<String>,
    /// The template, which decides the category.
    #[arg(long, value_name = "NAME", requires = "language")]
    pub(super) template: Option<String>,
    /// The template's language.
    #[arg(long, value_name = "CODE", requires = "template")]
    pub(super) language: Option<String>,
    /// What is sent if it is no template.
    #[arg(long, value_name = "CATEGORY", value_parser = super::consent::category)]
    pub(super) category: Option<crate::consent::Category>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate explain 01JH2V8Q4ZK6Y3W9F0T7M5N1RB\n  \
    optgate explain wamid.HBgLMTU1NTAwMDAwMDEVAgARGBI5QTNDQTVCM0Q0Q0Q2RTY3RTcA\n  \
    optgate explain 01JH2V8Q4ZK6Y3W9F0T7M5N1RB --recipient +15550000001 --json\n\n\
    The id stands in the header optgate-decision-id and, of a refusal, in fbtrace_id; the message id in messages[].id of the \
    provider's answer. A gate explains its own decisions, as long as [decisions] keeps them; older ones stand in its decision log.\n\n\
    Exit codes: 0 the decision is shown, allowed or refused; 1 it is not kept here, the token may not see it, or the gate does not answer; 2 the \
    command line makes no sense.")]
pub(super) struct ExplainArgs {
    /// The decision's id, or the message id that the provider answered with.
    #[arg(value_name = "DECISION_ID|WAMID")]
    pub(super) id: String,
    /// The recipient, if you know it: +E.164 or a BSUID. Finds the consent without a look through the whole store.
    #[arg(long, value_name = "RECIPIENT")]
    pub(super) recipient: Option<String>,
}

#[derive(Debug, Subcommand)]
#[command(after_help = "Examples:\n  optgate token new --name crm --scope consent:read,consent:write")]
pub(super) enum TokenCommand {
    /// Print a new token, once, and the lines that let it in.
    New(TokenNewArgs),
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate token new\n  \
    optgate token new --name crm --scope consent:read,consent:write --tenant acme\n\n\
    Nothing is stored: put the lines into the configuration and the token where its user keeps secrets.")]
pub(super) struct TokenNewArgs {
    /// The token's name in the configuration.
    #[arg(long, value_name = "NAME", default_value = "new-token")]
    pub(super) name: String,
    /// What it may do.
    #[arg(long, value_name = "SCOPE", value_delimiter = ',', default_value = "admin", value_parser = super::token::scope)]
    pub(super) scope: Vec<crate::config::Scope>,
    /// The tenants that it may touch; all if left out.
    #[arg(long, value_name = "TENANT", value_delimiter = ',')]
    pub(super) tenant: Vec<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate demo\n  \
    optgate demo --once")]
pub(super) struct DemoArgs {
    /// Play the scene and end, in place of serving until Ctrl-C.
    #[arg(long)]
    pub(super) once: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn help(command: &mut clap::Command) -> String {
        command.render_long_help().to_string()
    }

    #[test]
    fn no_help_shows_an_option_that_does_nothing_there() {
        let mut all = Cli::described();
        for (name, hidden, shown) in [
            (&["sandbox"][..], &["--admin", "--data-dir"][..], "--json"),
            (&["sandbox", "say"], &["--admin", "--data-dir"], "--sandbox"),
            (&["token", "new"], &["--admin", "--data-dir"], "--scope"),
            (&["demo"], &["--admin", "--data-dir"], "--once"),
            (&["serve"], &["--admin-ca", "--admin <", "--admin-key"], "--data-dir"),
            (&["consent", "show"], &[], "--admin-ca"),
        ] {
            let command =
                name.iter().fold(&mut all, |command, name| command.find_subcommand_mut(name).unwrap());
            let help = help(command);
            assert!(help.contains(shown), "{name:?}: {help}");
            assert!(hidden.iter().all(|option| !help.contains(option)), "{name:?}: {help}");
        }
    }

    #[test]
    fn options_are_read_wherever_they_stand() {
        for words in [
            &["optgate", "--json", "--admin", "http://a", "consent", "show", "+15550000001"][..],
            &["optgate", "consent", "show", "+15550000001", "--admin", "http://a", "--json"],
            &["optgate", "sandbox", "say", "STOP", "--json", "--admin", "http://a"],
        ] {
            let cli = Cli::read(words.iter().map(OsString::from)).unwrap();
            assert!(cli.global.json && cli.global.admin == "http://a", "{words:?}");
        }
    }
}
