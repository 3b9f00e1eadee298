//! `optgate sandbox`: a local stand-in for the provider, to try the gate and one's own software against.

mod args;
mod ask;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::Duration;

use super::args::Global;
use super::failure::Failure;
use crate::net;
use crate::sandbox::{Sandbox, Settings, Subscription};
pub(super) use args::SandboxArgs;
use args::{SandboxCommand, ServeArgs};

/// Between two attempts to have the webhook endpoint verified.
const PAUSE: Duration = Duration::from_secs(1);

/// Serves the stand-in until SIGINT or SIGTERM, or asks one that runs for something.
pub(super) fn run(args: SandboxArgs, global: &Global) -> Result<ExitCode, Failure> {
    match args.command {
        None => serve(args.serve).map(|()| ExitCode::SUCCESS),
        Some(SandboxCommand::Say(args)) => ask::say(&args, global),
        Some(SandboxCommand::Preference(args)) => ask::preference(&args, global),
        Some(SandboxCommand::Template(args)) => ask::template(&args, global),
    }
}

fn serve(args: ServeArgs) -> Result<(), Failure> {
    let ServeArgs { listen, webhook_url, app_secret, verify_token } = args;
    let subscription = webhook_url.map(|url| Subscription { url, app_secret, verify_token });
    let served = || {
        let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
        runtime.block_on(async {
            let sandbox = Sandbox::start(Settings { listen, ..Settings::default() }).await?;
            greet(&mut io::stdout().lock(), &sandbox.url())?;
            tokio::select! {
                asked = net::asked_to_end() => asked?,
                () = subscribe(&sandbox, subscription) => {}
            }
            sandbox.stop().await;
            io::Result::Ok(())
        })
    };
    served().map_err(|cause| Failure::Sandbox(listen.to_string(), cause.to_string()))
}

/// Has the endpoint verified, however long that takes: a gate may start after its stand-in. Never ends.
async fn subscribe(sandbox: &Sandbox, subscription: Option<Subscription>) {
    let Some(subscription) = subscription else { return std::future::pending().await };
    let url = subscription.url.clone();
    let mut told = None;
    while let Err(unverified) = sandbox.subscribe(subscription.clone()).await {
        let trouble = unverified.to_string();
        if told.as_ref() != Some(&trouble) {
            eprintln!(
                "Webhooks:     not sent yet, {url} is not verified: {trouble}. It is asked every second."
            );
            told = Some(trouble);
        }
        tokio::time::sleep(PAUSE).await;
    }
    // Standard output may be closed; then there is nobody to tell.
    let _ = writeln!(io::stdout(), "Webhooks:     {url} is verified and gets them.");
    std::future::pending::<()>().await;
}

fn greet(out: &mut impl Write, url: &str) -> io::Result<()> {
    let sender = Settings::default().phone_number_id;
    let message =
        r#"{"messaging_product":"whatsapp","to":"+15550000001","type":"text","text":{"body":"Hello"}}"#;
    writeln!(
        out,
        "A stand-in for the WhatsApp Cloud API is at {url}. Nothing sent there reaches anybody.\n\
         Guide:        {url}/_sandbox\n\
         What arrived: {url}/_sandbox/requests\n\
         Send:         curl -s {url}/v23.0/{sender}/messages -H 'Authorization: Bearer any' \
         -H 'Content-Type: application/json' -d '{message}'\n\
         Gate:         optgate serve --upstream {url}\n\
         Ctrl-C ends it."
    )
}
