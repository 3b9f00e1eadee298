//! Reading an account's templates from the provider, page by page, at the pace that it allows.

use std::collections::{BTreeMap, HashSet};
use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use arc_swap::ArcSwap;
use http::header::{DATE, RETRY_AFTER};

use super::account::Reading;
use super::pace::Pace;
use crate::consent::{Clock, Timestamp};
use crate::upstream::{Read, ReadFailure, Reader, Token};
use crate::wire::cloud::listing::{ACCOUNT_USAGE, APP_USAGE, NotAPage, Refusal, Usage, page, path, refusal};

/// Templates on a page at first; the provider refuses pages whose components are too long together.
const PAGE: u32 = 250;
/// The smallest page that is asked for.
const SMALLEST_PAGE: u32 = 25;
/// More pages than any account has.
const MOST_PAGES: usize = 2_000;
/// Pages that a look-up reads: the provider finds every name that holds the one sought.
const LOOKUP_PAGES: usize = 4;
/// A provider's clock that differs by more is not believed.
const CLOCKS_DIFFER: Duration = Duration::from_secs(3600);

/// The token of each account that is read.
pub type Tokens = BTreeMap<String, Token>;

/// The provider, as far as its lists of templates go.
pub struct Provider {
    reader: Reader,
    clock: Clock,
    retry: Duration,
    tokens: ArcSwap<Tokens>,
    paces: Mutex<BTreeMap<String, Pace>>,
}

/// Why a list could not be read to its end.
#[derive(Debug)]
pub(super) enum Failure {
    /// The account has no token.
    NoToken,
    /// No answer came.
    Unread(ReadFailure),
    /// Too many calls; none before this is over.
    Limited(Duration),
    /// The token is none, is over, or may not read this account.
    NotPermitted(u16),
    /// The provider refused otherwise.
    Refused(u16),
    /// The answer is no list.
    NotAPage(NotAPage),
    /// One page leads to another without end.
    Endless,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoToken => f.write_str("the account has no token any more"),
            Self::Unread(cause) => cause.fmt(f),
            Self::Limited(wait) => {
                write!(f, "the account's allowance of calls is used up; waiting {} s", wait.as_secs())
            }
            Self::NotPermitted(status) => write!(
                f,
                "the provider answered {status}: the token is no token, is over, or lacks whatsapp_business_management for this account"
            ),
            Self::Refused(status) => write!(f, "the provider answered {status}"),
            Self::NotAPage(cause) => cause.fmt(f),
            Self::Endless => f.write_str("the pages of the list come to no end"),
        }
    }
}

impl std::error::Error for Failure {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            // Its own text stands above already.
            Self::Unread(cause) => cause.source(),
            Self::NoToken
            | Self::Limited(_)
            | Self::NotPermitted(_)
            | Self::Refused(_)
            | Self::NotAPage(_)
            | Self::Endless => None,
        }
    }
}

impl Provider {
    /// A provider that has not been asked anything yet.
    pub fn new(reader: Reader, clock: Clock, retry: Duration, tokens: Tokens) -> Self {
        Self { reader, clock, retry, tokens: ArcSwap::from_pointee(tokens), paces: Mutex::default() }
    }

    /// Reads other accounts from now on, or the same with other tokens.
    pub fn serve(&self, tokens: Tokens) {
        self.tokens.store(Arc::new(tokens));
    }

    /// The accounts that are read.
    pub(super) fn accounts(&self) -> Vec<String> {
        self.tokens.load().keys().cloned().collect()
    }

    pub(super) fn reads(&self, account: &str) -> bool {
        self.tokens.load().contains_key(account)
    }

    /// Asks the account's pace.
    pub(super) fn pace<T>(&self, account: &str, ask: impl FnOnce(&mut Pace, Instant) -> T) -> T {
        let mut paces = self.paces.lock().unwrap_or_else(PoisonError::into_inner);
        let now = Instant::now();
        let pace = paces.entry(account.to_owned()).or_insert_with(|| Pace::new(self.retry, now));
        ask(pace, now)
    }

    /// Reads an account's whole list. What was read before a failure comes with it.
    pub(super) async fn whole_list(&self, account: &str) -> (Reading, Result<(), Failure>) {
        self.pages((account, None), MOST_PAGES).await
    }

    /// Reads the templates whose names hold `name`.
    pub(super) async fn look_up(&self, account: &str, name: &str) -> (Reading, Result<(), Failure>) {
        let (mut reading, end) = self.pages((account, Some(name)), LOOKUP_PAGES).await;
        reading.whole_since = None;
        // More names hold this one than are worth reading; what was read counts.
        (reading, if matches!(end, Err(Failure::Endless)) { Ok(()) } else { end })
    }

    async fn pages(
        &self,
        (account, name): (&str, Option<&str>),
        most: usize,
    ) -> (Reading, Result<(), Failure>) {
        let mut reading = Reading::default();
        let (mut begun, mut after, mut limit) = (None, None::<String>, PAGE);
        let mut cursors = HashSet::new();
        while cursors.len() < most {
            let path = path(account, name, limit, after.as_deref());
            match self.one_page(account, &path).await {
                Ok(One { templates, as_of, next }) => {
                    begun = begun.or(Some(as_of));
                    reading.templates.extend(templates.into_iter().map(|template| (template, as_of)));
                    let Some(next) = next else {
                        reading.whole_since = begun;
                        return (reading, Ok(()));
                    };
                    if !cursors.insert(next.clone()) {
                        break;
                    }
                    after = Some(next);
                }
                Err(Stopped::TooMuch(_)) if limit > SMALLEST_PAGE => {
                    limit = (limit / 2).max(SMALLEST_PAGE);
                }
                Err(Stopped::TooMuch(status)) => return (reading, Err(Failure::Refused(status))),
                Err(Stopped::Failed(failure)) => return (reading, Err(failure)),
            }
        }
        (reading, Err(Failure::Endless))
    }

    async fn one_page(&self, account: &str, path: &str) -> Result<One, Stopped> {
        let tokens = self.tokens.load_full();
        let token = tokens.get(account).ok_or(Stopped::Failed(Failure::NoToken))?;
        let asked_at = self.clock.now();
        let read =
            self.reader.get(path, token).await.map_err(|cause| Stopped::Failed(Failure::Unread(cause)))?;
        let usage = usage(&read);
        if read.status.as_u16() != 200 {
            return Err(self.refused(account, &read, usage));
        }
        let page = page(&read.body).map_err(|cause| Stopped::Failed(Failure::NotAPage(cause)))?;
        if page.unreadable > 0 {
            tracing::warn!(
                account,
                templates.unreadable = page.unreadable,
                "templates of the provider's list could not be read; they count as marketing"
            );
        }
        if let Some(wait) = self.pace(account, |pace, now| pace.answered(now, usage))
            && page.after.is_some()
        {
            return Err(Stopped::Failed(Failure::Limited(wait)));
        }
        Ok(One { templates: page.templates, as_of: as_of(&read, asked_at), next: page.after })
    }

    fn refused(&self, account: &str, read: &Read, usage: Usage) -> Stopped {
        let status = read.status.as_u16();
        match refusal(status, &read.body) {
            Refusal::Limited => {
                let after = read.headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
                let asked_for = usage.regain.max(Duration::from_secs(after.unwrap_or_default()));
                let wait = self.pace(account, |pace, now| pace.limited(now, asked_for));
                Stopped::Failed(Failure::Limited(wait))
            }
            Refusal::TooMuch => Stopped::TooMuch(status),
            Refusal::NotPermitted => Stopped::Failed(Failure::NotPermitted(status)),
            Refusal::Other => Stopped::Failed(Failure::Refused(status)),
        }
    }
}

/// One page of a list.
struct One {
    templates: Vec<crate::wire::cloud::templates::ListedTemplate>,
    as_of: Timestamp,
    next: Option<String>,
}

/// Why there is none.
enum Stopped {
    /// The page would be too long.
    TooMuch(u16),
    /// A smaller one would not help.
    Failed(Failure),
}

fn usage(read: &Read) -> Usage {
    let field = |name: &str| read.headers.get(name).map(|value| Usage::read(value.as_bytes()));
    field(ACCOUNT_USAGE).unwrap_or_default().worse(field(APP_USAGE).unwrap_or_default())
}

/// When the page was so, by the provider's own clock, as webhooks tell times by it: not before the request was made.
fn as_of(read: &Read, asked_at: Timestamp) -> Timestamp {
    let date = read.headers.get(DATE).and_then(|value| httpdate::parse_http_date(value.to_str().ok()?).ok());
    let since_epoch = date.and_then(|date| date.duration_since(std::time::UNIX_EPOCH).ok());
    let told = since_epoch.map(|since| Timestamp::EPOCH.plus(since.saturating_sub(read.took)));
    told.filter(|told| told.since(asked_at).max(asked_at.since(*told)) < CLOCKS_DIFFER).unwrap_or(asked_at)
}
