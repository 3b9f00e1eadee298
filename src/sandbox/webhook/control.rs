//! The control endpoints of webhooks, below `/_sandbox` like the others: no path of Graph begins so.

use std::time::Duration;

use http::request::Parts;
use http::{Method, StatusCode, Uri};

use super::super::control::{Control, json, problem};
use super::super::json::{Object, success};
use super::super::route::World;
use super::Subscription;
use super::asked::{Asked, Asking};

/// Longer than one attempt takes.
const PATIENCE: Duration = Duration::from_secs(15);

/// How the guide explains these endpoints.
pub(in crate::sandbox) const GUIDE: &str = "\
Webhooks: a recipient whose digits end in 98 and an error code gets a message that is accepted and then fails with it.
  +1 20 98 131 050 -> a status failed with 131050      +1 20 98 131 026 -> 131026
Of every other message the webhooks say that it was sent, delivered and read. They are signed, repeated until they are answered 200
(five attempts within 15 seconds), and in order for each person.

POST   /_sandbox/webhook             {\"url\":U,\"app_secret\":S,\"verify_token\":T}: verifies the endpoint as Meta does, then sends there
GET    /_sandbox/webhook             where webhooks go, and how many wait, were delivered, failed and were given up
DELETE /_sandbox/webhook             sends no more
GET    /_sandbox/webhook/settled     the last 200 webhooks that were delivered or given up
POST   /_sandbox/say                 {\"from\":P,\"text\":\"STOP\"}: a person writes; or they press a button:
                                     \"button\":{\"text\":X,\"payload\":Y}, \"reply\":{\"title\":X,\"id\":Y}, \"list\":{\"title\":X,\"id\":Y}
POST   /_sandbox/preference          {\"from\":P,\"value\":\"stop\"}: they stop (or resume) marketing in their own app
POST   /_sandbox/change              {\"field\":F,\"value\":{...}}: any other change of the account, as it stands
                                     P = a phone number or a user id; \"to\" = the number written to; \"at\" = seconds since 1970.
                                     The answer comes when the first delivery was answered.
POST   /_sandbox/templates (above) tells of a category that changed or will (\"due\": seconds since 1970), of a status and of new components;
                                     with \"quiet\":true of nothing
";

/// Whether a path is one of these endpoints.
pub(in crate::sandbox) fn owns(path: &str) -> bool {
    let name = path.trim_end_matches('/').strip_prefix("/_sandbox/");
    matches!(name, Some("webhook" | "webhook/settled" | "say" | "preference" | "change"))
}

/// Answers one of them.
pub(in crate::sandbox) async fn answer(head: &Parts, body: &[u8], world: &World) -> Control {
    let name = head.uri.path().trim_end_matches('/').trim_start_matches("/_sandbox/");
    let asked = match (&head.method, name) {
        (&Method::POST, "webhook") => return subscribe(body, world).await,
        (&Method::DELETE, "webhook") => {
            world.webhooks.unsubscribe();
            return json(success());
        }
        (&Method::GET, "webhook") => return json(state(world)),
        (&Method::GET, "webhook/settled") => {
            let courier = world.webhooks.courier();
            return json(courier.map_or_else(|| "[]".to_owned(), |courier| courier.settled()));
        }
        (&Method::POST, "say") => Asking::read(body, world).and_then(|asking| asking.say()),
        (&Method::POST, "preference") => Asking::read(body, world).and_then(|asking| asking.preference()),
        (&Method::POST, "change") => Asking::read(body, world).and_then(|asking| asking.change()),
        _ => return problem(StatusCode::NOT_FOUND, "see GET /_sandbox"),
    };
    match asked {
        Ok(asked) => told(asked).await,
        Err(reason) => problem(StatusCode::BAD_REQUEST, reason),
    }
}

fn state(world: &World) -> String {
    let courier = world.webhooks.courier();
    courier.map_or_else(|| Object::new().raw("url", "null").finish(), |courier| courier.state())
}

async fn subscribe(body: &[u8], world: &World) -> Control {
    let subscription = match Asking::read(body, world).and_then(|asking| subscription(&asking)) {
        Ok(subscription) => subscription,
        Err(reason) => return problem(StatusCode::BAD_REQUEST, reason),
    };
    match world.subscribe(subscription).await {
        Ok(()) => json(success()),
        Err(unverified) => problem(StatusCode::BAD_GATEWAY, &unverified.to_string()),
    }
}

fn subscription(asking: &Asking<'_>) -> Result<Subscription, &'static str> {
    let url = asking.text("url").and_then(|url| url.parse::<Uri>().ok());
    let url = url.filter(|url| matches!(url.scheme_str(), Some("http" | "https")));
    Ok(Subscription {
        url: url.ok_or("url is no address that begins with http:// or https://")?,
        app_secret: asking.text("app_secret").ok_or("app_secret is missing")?,
        verify_token: asking.text("verify_token").ok_or("verify_token is missing")?,
    })
}

/// Waits for the first delivery.
async fn told(asked: Asked) -> Control {
    let attempt = match tokio::time::timeout(PATIENCE, asked.told).await {
        Ok(Ok(attempt)) => attempt,
        Ok(Err(_)) => {
            return problem(StatusCode::SERVICE_UNAVAILABLE, "too many webhooks wait: it was dropped");
        }
        Err(_) => return problem(StatusCode::GATEWAY_TIMEOUT, "it waits behind webhooks that are not taken"),
    };
    if !attempt.is_taken() {
        let again = format!("not taken, and will be repeated: {}", attempt.trouble());
        return problem(StatusCode::BAD_GATEWAY, &again);
    }
    let took = format!("{:.1}", attempt.took.as_secs_f64() * 1000.0);
    json(Object::new().maybe("id", asked.id.as_deref()).raw("delivered", true).raw("took_ms", took).finish())
}
