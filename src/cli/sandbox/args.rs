//! What may be written after `optgate sandbox`.

use std::net::SocketAddr;

use clap::{Args, Subcommand, ValueEnum, ValueHint};
use http::Uri;

/// What the sandbox signs with, and is verified with, unless told otherwise.
const SECRET: &str = "sandbox";

#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "Examples:\n  \
    optgate sandbox\n  \
    optgate sandbox --listen 127.0.0.1:0\n  \
    optgate sandbox --webhook-url http://127.0.0.1:8081/ --app-secret sandbox --verify-token sandbox\n  \
    optgate sandbox say STOP --from +15550000001\n\n\
    With --webhook-url it verifies the endpoint as Meta does, again every second until it is answered with the challenge, and then \
    sends it signed webhooks: sent, delivered and read of each message that is accepted, what people say, and changes of templates. What is not \
    answered 200 is repeated four times within 15 seconds. A gate takes them with [webhook] listen = \"127.0.0.1:8081\", \
    verify_token = \"sandbox\", app_secrets = [\"sandbox\"]. GET /_sandbox explains the control endpoints."
)]
pub(in crate::cli) struct SandboxArgs {
    #[command(flatten)]
    pub(super) serve: ServeArgs,
    #[command(subcommand)]
    pub(super) command: Option<SandboxCommand>,
}

#[derive(Debug, Args)]
pub(super) struct ServeArgs {
    /// Where it listens; port 0 takes a free one.
    #[arg(long, value_name = "ADDR", default_value = "127.0.0.1:8090")]
    pub(super) listen: SocketAddr,
    /// Where webhooks go: a gate's [webhook] listen, or a bot. None are sent if left out.
    #[arg(long, value_name = "URL", value_hint = ValueHint::Url, value_parser = endpoint)]
    pub(super) webhook_url: Option<Uri>,
    /// The secret that signs webhooks. No real one: everybody on this machine can read the command line.
    #[arg(long, value_name = "SECRET", default_value = SECRET)]
    pub(super) app_secret: String,
    /// What the endpoint must know to be verified.
    #[arg(long, value_name = "TOKEN", default_value = SECRET)]
    pub(super) verify_token: String,
}

#[derive(Debug, Subcommand)]
pub(super) enum SandboxCommand {
    /// Have a person write, or press a button.
    Say(SayArgs),
    /// Have a person stop or resume marketing in their own app.
    Preference(PreferenceArgs),
    /// Change or add a template, and tell of it.
    Template(TemplateArgs),
}

#[derive(Debug, Args)]
pub(super) struct Place {
    /// The running sandbox.
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:8090", value_hint = ValueHint::Url, value_parser = endpoint)]
    pub(super) sandbox: Uri,
}

#[derive(Debug, Args)]
pub(super) struct Talk {
    /// The person: a phone number or a user id.
    #[arg(long, value_name = "PERSON", default_value = "+15550000001")]
    pub(super) from: String,
    /// The phone number id of the business; the sandbox's own if left out.
    #[arg(long, value_name = "ID")]
    pub(super) to: Option<String>,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate sandbox say STOP\n  \
    optgate sandbox say 'Where is my order?' --from +4915100000001 --to 106540352242922\n  \
    optgate sandbox say 'Stop promotions' --as button --id OFF-17\n\n\
    Exits 0 when the endpoint has answered 200, and 1 when it has not; then the sandbox repeats the webhook.")]
pub(super) struct SayArgs {
    /// What they write, or the label of what they press.
    #[arg(value_name = "TEXT")]
    pub(super) text: String,
    #[command(flatten)]
    pub(super) talk: Talk,
    /// How they say it.
    #[arg(long = "as", value_name = "WAY", value_enum, default_value_t = Way::Text)]
    pub(super) way: Way,
    /// The payload or id of what they press; the label if left out.
    #[arg(long, value_name = "ID")]
    pub(super) id: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
}

/// How a person says something.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Way {
    /// They write it.
    Text,
    /// They press a button of a template.
    Button,
    /// They press a button of an interactive message.
    Reply,
    /// They choose an item of a list.
    List,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate sandbox preference stop\n  \
    optgate sandbox preference resume --from +4915100000001\n\n\
    Until they resume, the sandbox fails marketing messages to them with 131050, by webhook.")]
pub(super) struct PreferenceArgs {
    /// What they choose.
    #[arg(value_name = "WISH", value_enum)]
    pub(super) wish: Wish,
    #[command(flatten)]
    pub(super) talk: Talk,
    #[command(flatten)]
    pub(super) place: Place,
}

/// What a person may choose about marketing messages.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub(super) enum Wish {
    Stop,
    Resume,
}

#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  \
    optgate sandbox template order_update --category MARKETING\n  \
    optgate sandbox template order_update --category UTILITY --announce MARKETING\n  \
    optgate sandbox template promo_sale --category MARKETING --status PAUSED")]
pub(super) struct TemplateArgs {
    /// Its name.
    #[arg(value_name = "NAME")]
    pub(super) name: String,
    /// Its language.
    #[arg(long, value_name = "CODE", default_value = "en_US")]
    pub(super) language: String,
    /// The category that it has from now on.
    #[arg(long, value_name = "CATEGORY")]
    pub(super) category: String,
    /// The category that it will have in a day.
    #[arg(long, value_name = "CATEGORY")]
    pub(super) announce: Option<String>,
    /// Its status, such as APPROVED or PAUSED.
    #[arg(long, value_name = "STATUS")]
    pub(super) status: Option<String>,
    #[command(flatten)]
    pub(super) place: Place,
}

/// Reads an address that can be called.
fn endpoint(text: &str) -> Result<Uri, String> {
    let uri = text.parse::<Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
    uri.ok_or_else(|| "write an address that begins with http:// or https://".to_owned())
}
