//! `optgate sandbox`: a local stand-in for the provider, to try the gate and one's own software against.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use crate::net;
use crate::sandbox::{Sandbox, Settings};

/// Serves the stand-in until SIGINT or SIGTERM.
pub fn run(listen: SocketAddr) -> ExitCode {
    match serve(listen) {
        Ok(()) => ExitCode::SUCCESS,
        Err(cause) => {
            // Standard error may be closed; then there is nobody to tell.
            let _ = writeln!(io::stderr(), "optgate: the sandbox cannot serve on {listen}: {cause}");
            ExitCode::FAILURE
        }
    }
}

fn serve(listen: SocketAddr) -> io::Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let sandbox = Sandbox::start(Settings { listen, ..Settings::default() }).await?;
        greet(&mut io::stdout().lock(), &sandbox.url())?;
        net::asked_to_end().await?;
        sandbox.stop().await;
        Ok(())
    })
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
