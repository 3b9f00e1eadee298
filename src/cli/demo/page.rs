//! How the demo looks: short aligned lines, colors on a terminal only.

use std::io::{self, IsTerminal, Stdout, Write};
use std::time::Duration;

use serde_json::Value;

use super::exchange::{Answer, Door, Doors, Request};
use super::house::{Files, SENDER, TENANT};

/// What a piece of text is, which decides its color.
#[derive(Clone, Copy)]
enum Ink {
    Heading,
    Good,
    Bad,
    Quiet,
}

/// Everything that is printed, in order.
pub(super) struct Page<W = Stdout> {
    out: W,
    colored: bool,
    scenes: usize,
}

impl Page {
    /// A page on standard output. <https://no-color.org> is honored.
    pub(super) fn to_stdout() -> Self {
        let out = io::stdout();
        let asked_not_to = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self { colored: out.is_terminal() && !asked_not_to, out, scenes: 0 }
    }
}

impl<W: Write> Page<W> {
    /// What stands where.
    pub(super) fn picture(&mut self, doors: &Doors) -> io::Result<()> {
        let [gate, admin, relay, provider] =
            [Door::Gate, Door::Admin, Door::Relay, Door::Provider].map(|door| doors.address(door));
        let title = self.inked(Ink::Heading, "optgate demo: nothing leaves this machine");
        writeln!(self.out, "{title}\n")?;
        writeln!(self.out, "   your bot ────▶ gate {gate} ────▶ provider's stand-in {provider}")?;
        writeln!(self.out, "   your website ─▶ admin API {admin}")?;
        writeln!(self.out, "   WhatsApp ─────▶ webhook relay {relay}")
    }

    /// What happens before the first scene.
    pub(super) fn preparation(&mut self, what: &str) -> io::Result<()> {
        let heading = self.inked(Ink::Heading, &format!("0  {what}"));
        writeln!(self.out, "\n{heading}")
    }

    /// The next scene.
    pub(super) fn heading(&mut self, what: &str) -> io::Result<()> {
        self.scenes += 1;
        let heading = self.inked(Ink::Heading, &format!("{}  {what}", self.scenes));
        writeln!(self.out, "\n{heading}")
    }

    /// A request about to be made.
    pub(super) fn request(&mut self, request: &Request) -> io::Result<()> {
        let essence = self.inked(Ink::Quiet, &request.essence());
        let line = format!("   ▶ {:<4} {}  {essence}", request.method.as_str(), request.target);
        writeln!(self.out, "{}", line.trim_end())
    }

    /// Its answer, and the gate's decision if it names one.
    pub(super) fn answer(&mut self, answer: &Answer) -> io::Result<()> {
        let ink = if answer.status < 400 { Ink::Good } else { Ink::Bad };
        let status = self.inked(ink, &answer.status.to_string());
        writeln!(self.out, "   ◀ {status}  {}", answer.essence())?;
        let Some(decision) = &answer.decision else { return Ok(()) };
        let header = self.inked(Ink::Quiet, &format!("optgate-decision: {decision}"));
        writeln!(self.out, "     {header}")
    }

    /// How soon after its acknowledgement a stop was enforced.
    pub(super) fn enforced(&mut self, after: Duration) -> io::Result<()> {
        let after = format!("refused {:.1} ms after the STOP was acknowledged", after.as_secs_f64() * 1000.0);
        let line = self.inked(Ink::Good, &after);
        writeln!(self.out, "     {line}")
    }

    /// The sends in the provider's journal, and how many there are.
    pub(super) fn journal(&mut self, entries: &[Value]) -> io::Result<usize> {
        let sends: Vec<_> =
            entries.iter().flat_map(|entry| each_send(entry).map(move |send| (entry, send))).collect();
        let heading = self.inked(Ink::Heading, &format!("The provider saw {} sends", sends.len()));
        writeln!(self.out, "\n{heading}")?;
        for (entry, send) in &sends {
            let [method, target] = ["method", "target"].map(|field| text(entry, field));
            let [to, category] = ["to", "category"].map(|field| text(send, field));
            writeln!(self.out, "     {method:<4} {target}  to: {to}, category: {category}")?;
        }
        Ok(sends.len())
    }

    /// How many webhooks told the gate what became of them and what people wrote.
    pub(super) fn webhooks(&mut self, count: u64) -> io::Result<()> {
        let heading = self.inked(Ink::Heading, &format!("It told the gate {count} things by webhook"));
        writeln!(
            self.out,
            "\n{heading}: what the person wrote, and of each send that it was sent, delivered and read"
        )?;
        self.out.flush()
    }

    /// What a reader may try next.
    pub(super) fn try_it(&mut self, doors: &Doors, files: &Files) -> io::Result<()> {
        let heading =
            self.inked(Ink::Heading, "Now you: paste these. Ctrl-C ends everything and removes the folder");
        writeln!(self.out, "\n{heading}\n\n{}", lines_to_try(doors, files))?;
        self.out.flush()
    }

    fn inked(&self, ink: Ink, text: &str) -> String {
        if !self.colored || text.is_empty() {
            return text.to_owned();
        }
        let code = match ink {
            Ink::Heading => "1",
            Ink::Good => "32",
            Ink::Bad => "31",
            Ink::Quiet => "2",
        };
        format!("\x1b[{code}m{text}\x1b[0m")
    }
}

fn each_send(entry: &Value) -> impl Iterator<Item = &Value> {
    entry["sends"].as_array().map(Vec::as_slice).unwrap_or_default().iter()
}

fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or_default()
}

/// Shell commands that work as they stand. The token is read from its file, so it shows on no screen.
fn lines_to_try(doors: &Doors, files: &Files) -> String {
    let [gate, admin, provider] = [Door::Gate, Door::Admin, Door::Provider].map(|door| doors.address(door));
    let (token, decisions) = (files.token.display(), files.decisions.display());
    let person = "+15550000002";
    format!(
        r#"JSON='Content-Type: application/json'
ADMIN="Authorization: Bearer $(cat '{token}')"

# Send an order update to somebody new. Refused; run it again after the grant below.
curl -s http://{gate}/v23.0/{SENDER}/messages -H 'Authorization: Bearer any' -H "$JSON" \
  -d '{{"messaging_product":"whatsapp","to":"{person}","type":"template","template":{{"name":"order_update","language":{{"code":"en_US"}}}}}}'

# They agree.
curl -s http://{admin}/v1/events -H "$ADMIN" -H "$JSON" \
  -d '{{"tenant":"{TENANT}","recipient":"{person}","kind":"grant","categories":["utility"],"occurred_at":"'$(date -u +%FT%TZ)'",
       "actor":"person","source":"website","evidence":{{"channel":"website","user_action":"checked_box","name_and_logo_shown":true,
       "number_confirmed":true,"categories_shown":["utility"],"business_named":"Acme","wording":"I agree to order updates from Acme on WhatsApp"}}}}'

# Somebody else writes STOP on WhatsApp; START takes it back.
curl -s http://{provider}/_sandbox/say -d '{{"from":"+15550000003","text":"STOP"}}'

# What is known of them; what was decided; what the provider saw; what was counted.
curl -s http://{admin}/v1/tenants/{TENANT}/recipients/{person} -H "$ADMIN"
tail -n 3 '{decisions}'
curl -s http://{provider}/_sandbox/requests
curl -s http://{admin}/metrics

# The guide to the stand-in.
curl -s http://{provider}/_sandbox"#
    )
}
