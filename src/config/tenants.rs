//! Who sends: tenants, their senders, and the names that must be unique among them.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;

use http::Uri;

use crate::consent::evidence::EvidenceField;
use crate::consent::tenant::{DEFAULT_TENANT, OptInRules, Sender, Tenant, Tenants};
use crate::consent::terms::{MAX_WORDINGS, Terms, Wording};
use crate::consent::words::OptOut;
use crate::consent::{E164, Pulse, Timestamp};
use crate::upstream::Token;

use super::section::{Section, Wrong};
use super::token;
use super::value::{non_empty_list, one_of, owned, parsed, parsed_unseen, switch, web_address};
use super::words;

/// A tenant as written.
pub(super) struct Written {
    tenant: Tenant,
    token: Option<Token>,
    senders: Vec<WrittenSender>,
}

struct WrittenSender {
    phone_number_id: String,
    account: Option<String>,
    phone: Option<E164>,
    webhook_url: Option<Uri>,
    token: Option<Token>,
}

/// What the program runs on.
pub(super) struct Compiled {
    pub(super) tenants: Tenants,
    /// Where each sender's webhooks go, by phone number id.
    pub(super) webhook_urls: BTreeMap<String, Uri>,
    /// The gate's own token for each sender, by phone number id.
    pub(super) tokens: BTreeMap<String, Token>,
}

/// Values that may be used once in a configuration, and where they were.
pub(super) struct Unique<T>(RefCell<BTreeMap<T, String>>);

impl<T> Default for Unique<T> {
    fn default() -> Self {
        Self(RefCell::default())
    }
}

impl<T: Ord + Clone> Unique<T> {
    /// Notes a problem if a value was seen before. The value is not repeated.
    pub(super) fn check(&self, section: &Section<'_>, key: &str, value: Option<&T>) {
        let Some(value) = value else { return };
        let place = section.place_of(key).map(ToString::to_string).unwrap_or_default();
        match self.0.borrow_mut().entry(value.clone()) {
            std::collections::btree_map::Entry::Vacant(free) => {
                free.insert(place);
            }
            std::collections::btree_map::Entry::Occupied(taken) => {
                let wrong = format!("is used already at {}", taken.get());
                section.reject(key, Wrong::new(wrong, "each must be different"));
            }
        }
    }
}

/// Every `[[tenants]]`.
///
/// Those that do not say how they hear people out do it as the whole gate does.
pub(super) fn tenants(root: &Section<'_>, opt_out: Option<&OptOut>) -> Option<Vec<Written>> {
    let (names, ids) = (Unique::default(), Unique::default());
    let relayed = root.place_of("webhook").is_some();
    root.tables("tenants", |section| {
        let name = section.value("name", parsed(NAME, name));
        let own = section.optional_table("opt_out", words::opt_out);
        let tenant = tenant(section, name.clone());
        let token = token::token(section);
        let senders = section.tables("senders", |section| {
            let sender = sender(section, relayed);
            ids.check(section, "phone_number_id", sender.as_ref().map(|s| &s.phone_number_id));
            sender
        });
        names.check(section, "name", name.as_ref());
        let opt_out = own?.or_else(|| opt_out.cloned()).unwrap_or_default();
        Some(Written { tenant: Tenant { opt_out, ..tenant? }, token: token?, senders: senders? })
    })
}

/// What a tenant asks of its grants, and when they end.
fn tenant(section: &Section<'_>, name: Option<String>) -> Option<Tenant> {
    let rules = [("strict", OptInRules::Strict), ("general", OptInRules::General)];
    let opt_in_rules = section.optional("opt_in_rules", one_of(rules));
    let fields = EvidenceField::ALL.map(|field| (field.name(), field));
    let required_fields = section.optional("required_fields", non_empty_list(one_of(fields)));
    let legacy_imports = section.optional("legacy_imports", switch);
    let legacy_until = section.optional("legacy_until", parsed(TIME, Timestamp::parse_rfc3339));
    let double_opt_in = section.optional("double_opt_in", switch);
    let grants_expire_after = section.optional("grants_expire_after", parsed(LENGTH, length));
    let wordings = wordings(section);
    Some(Tenant {
        opt_in_rules: opt_in_rules?.unwrap_or_default(),
        required_fields: required_fields?.unwrap_or_default(),
        legacy_imports: legacy_imports?.unwrap_or_default(),
        double_opt_in: double_opt_in?.unwrap_or_default(),
        grants_expire_after: grants_expire_after?,
        terms: Terms { wordings: wordings?, legacy_until: legacy_until? },
        ..Tenant::named(name?)
    })
}

fn wordings(section: &Section<'_>) -> Option<Vec<Wording>> {
    let versions = Unique::default();
    let wordings = section.tables("wordings", |section| {
        let version = section.value("version", owned);
        let expires_older_at = section.optional("expires_older_at", parsed(TIME, Timestamp::parse_rfc3339));
        let ends_at = section.optional("ends_at", parsed(TIME, Timestamp::parse_rfc3339));
        versions.check(section, "version", version.as_ref());
        Some(Wording { version: version?, expires_older_at: expires_older_at?, ends_at: ends_at? })
    })?;
    if wordings.len() > MAX_WORDINGS {
        let right =
            format!("list at most {MAX_WORDINGS}; an unlisted version counts as older than all listed");
        section.reject("wordings", Wrong::new(format!("has {} versions", wordings.len()), right));
        return None;
    }
    Some(wordings)
}

const TIME: &str = "write RFC 3339 with an offset in quotes, such as \"2026-06-01T00:00:00Z\"";
const LENGTH: &str = "write days, weeks or years of 365 days: \"90d\", \"26w\" or \"2y\"";

fn length(text: &str) -> Option<Duration> {
    const DAY: u64 = 24 * 60 * 60;
    let days = [("d", 1), ("w", 7), ("y", 365)];
    let (digits, days) = days.iter().find_map(|(unit, days)| Some((text.strip_suffix(unit)?, days)))?;
    let count: u64 = digits.parse().ok().filter(|count| (1..=36_500).contains(count))?;
    Some(Duration::from_secs(count * days * DAY))
}

const NAME: &str = "write 1 to 63 of a-z, 0-9, - and _, beginning with a letter or digit";

fn name(text: &str) -> Option<String> {
    let first = text.bytes().next()?;
    let letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let good = letter(first) && text.len() <= 63 && text.bytes().all(|b| letter(b) || b"_-".contains(&b));
    good.then(|| text.to_owned())
}

fn sender(section: &Section<'_>, relayed: bool) -> Option<WrittenSender> {
    let phone_number_id = section.value("phone_number_id", parsed(PHONE_NUMBER_ID, digits));
    let account = section.optional("account", parsed(ACCOUNT, digits));
    let phone = section.optional("phone", parsed_unseen(PHONE, E164::parse));
    let webhook_url = section.optional("webhook_url", web_address);
    let token = token::token(section);
    if !relayed && matches!(webhook_url, Some(Some(_))) {
        let wrong = Wrong::new("nothing is relayed without [webhook]", "add [webhook] or remove the key");
        section.reject("webhook_url", wrong);
    }
    Some(WrittenSender {
        phone_number_id: phone_number_id?,
        account: account?,
        phone: phone?,
        webhook_url: webhook_url?,
        token: token?,
    })
}

const PHONE_NUMBER_ID: &str = "write the digits of the phone number id, in quotes";
const ACCOUNT: &str = "write the digits of the WhatsApp Business account id, in quotes";
const PHONE: &str = "write the sender's own number as + and digits, such as +15550783881";

fn digits(text: &str) -> Option<String> {
    let good = (1..=32).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_digit());
    good.then(|| text.to_owned())
}

/// The names by which other sections may refer to a tenant.
pub(super) fn names(written: &[Written]) -> Vec<&str> {
    if written.is_empty() { vec![DEFAULT_TENANT] } else { written.iter().map(|t| &*t.tenant.name).collect() }
}

/// The tenants that the program runs on, and what belongs to each sender; a sender's own token prevails over its tenant's, that over the `usual` one.
pub(super) fn compile(written: Vec<Written>, usual: Option<&Token>) -> Compiled {
    let (mut all, mut senders) = (Vec::new(), Vec::new());
    let (mut webhook_urls, mut tokens) = (BTreeMap::new(), BTreeMap::new());
    for (tenant, Written { tenant: rules, token: of_all, senders: of_tenant }) in
        written.into_iter().enumerate()
    {
        all.push(rules);
        for WrittenSender { phone_number_id, account, phone, webhook_url, token } in of_tenant {
            webhook_urls.extend(webhook_url.map(|url| (phone_number_id.clone(), url)));
            let token = token.or_else(|| of_all.clone()).or_else(|| usual.cloned());
            tokens.extend(token.map(|token| (phone_number_id.clone(), token)));
            senders.push(Sender { phone_number_id, account, phone, tenant, pulse: Pulse::default() });
        }
    }
    Compiled { tenants: Tenants::new(all, senders), webhook_urls, tokens }
}
