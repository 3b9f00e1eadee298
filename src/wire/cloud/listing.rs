//! Reading an account's templates from the provider: what is asked for, one page of the answer, and how much of the account's allowance is used.
//!
//! Source: Meta, "Template management", "Graph API: paginated results", "Rate limits: business use case".

use std::time::Duration;

use percent_encoding::{NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use serde_json::Value;

use super::templates::{ListedTemplate, once, template};

const FIELDS: &str = "name,language,status,category,correct_category,quality_score,components";
/// Any version that is still served answers alike; the provider serves one for two years at least.
const VERSION: &str = "v23.0";

/// The path that asks for templates of an account: all, or those whose name contains `name`; from the beginning or from a cursor on.
pub fn path(account: &str, name: Option<&str>, limit: u32, after: Option<&str>) -> String {
    let mut path = format!("/{VERSION}/{account}/message_templates?fields={FIELDS}&limit={limit}");
    for (key, value) in [("name", name), ("after", after)] {
        if let Some(value) = value {
            path.extend(["&", key, "="]);
            path.extend(utf8_percent_encode(value, NON_ALPHANUMERIC));
        }
    }
    path
}

/// One page of a list.
#[derive(Debug, PartialEq, Eq)]
pub struct Page {
    /// The templates that could be read.
    pub templates: Vec<ListedTemplate>,
    /// How many could not.
    pub unreadable: usize,
    /// What the next page comes after.
    pub after: Option<String>,
}

/// The page is no page, or says that there is another and not where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NotAPage;

impl std::fmt::Display for NotAPage {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the provider's answer is no page of templates")
    }
}

impl std::error::Error for NotAPage {}

/// Reads one page. The address of the next one is not followed but only searched for its cursor: it holds the token, and could lead anywhere.
pub fn page(body: &[u8]) -> Result<Page, NotAPage> {
    let document = once::read(body).map_err(|_| NotAPage)?;
    let items = document.get("data").and_then(Value::as_array).ok_or(NotAPage)?;
    let read: Vec<_> = items.iter().filter_map(|item| template(item).ok()).collect();
    let unreadable = items.len().saturating_sub(read.len());
    Ok(Page { templates: read, unreadable, after: after(&document)? })
}

fn after(document: &Value) -> Result<Option<String>, NotAPage> {
    let Some(paging) = document.get("paging") else { return Ok(None) };
    let Some(next) = paging.get("next").and_then(Value::as_str).filter(|next| !next.is_empty()) else {
        return Ok(None);
    };
    let named = paging.pointer("/cursors/after").and_then(Value::as_str).map(str::to_owned);
    let in_next = || {
        let (_, query) = next.split_once('?')?;
        let value = query.split('&').find_map(|pair| pair.strip_prefix("after="))?;
        Some(percent_decode_str(value).decode_utf8().ok()?.into_owned())
    };
    named.or_else(in_next).filter(|cursor| !cursor.is_empty()).map(Some).ok_or(NotAPage)
}

/// How much of what an account is allowed has been used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// The highest of the percentages; above 100 calls are refused.
    pub percent: u64,
    /// When calls will be taken again, if they are refused now.
    pub regain: Duration,
}

/// The header field that tells of an account's allowance.
pub const ACCOUNT_USAGE: &str = "x-business-use-case-usage";
/// The header field that tells of the app's.
pub const APP_USAGE: &str = "x-app-usage";

impl Usage {
    /// Reads either header field; what cannot be read says nothing.
    ///
    /// `x-business-use-case-usage` is `{"ACCOUNT": [{"call_count": 28, ...}]}`, `x-app-usage` the inner object alone.
    pub fn read(field: &[u8]) -> Self {
        let mut usage = Self::default();
        if let Ok(value) = serde_json::from_slice::<Value>(field) {
            usage.gather(&value);
        }
        usage
    }

    /// The worse of two.
    #[must_use]
    pub fn worse(self, other: Self) -> Self {
        Self { percent: self.percent.max(other.percent), regain: self.regain.max(other.regain) }
    }

    fn gather(&mut self, value: &Value) {
        match value {
            Value::Array(items) => items.iter().for_each(|item| self.gather(item)),
            Value::Object(fields) => {
                for (key, value) in fields {
                    let number = value.as_u64().or_else(|| whole(value.as_f64()?));
                    match (key.as_str(), number) {
                        ("call_count" | "total_cputime" | "total_time", Some(percent)) => {
                            self.percent = self.percent.max(percent);
                        }
                        ("estimated_time_to_regain_access", Some(minutes)) => {
                            let regain = Duration::from_secs(minutes.min(24 * 60).saturating_mul(60));
                            self.regain = self.regain.max(regain);
                        }
                        (_, _) => self.gather(value),
                    }
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
}

#[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a percentage, within 0 and 1000")]
fn whole(percent: f64) -> Option<u64> {
    percent.is_finite().then(|| percent.clamp(0.0, 1000.0).ceil() as u64)
}

/// Why the provider gave no page.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Too many calls.
    Limited,
    /// Too much at once: a smaller page may do.
    TooMuch,
    /// The token is none, is over, or may not read this.
    NotPermitted,
    /// Anything else.
    Other,
}

/// Reads an answer that is not 200. Source: Meta, "Graph API: handle errors", "Error codes".
pub fn refusal(status: u16, body: &[u8]) -> Refusal {
    let document: Option<Value> = serde_json::from_slice(body).ok();
    let code = document.as_ref().and_then(|document| document.pointer("/error/code")?.as_u64());
    match (code, status) {
        (Some(4 | 17 | 32 | 341 | 613 | 80_000..=80_014 | 130_429), _) | (_, 429) => Refusal::Limited,
        (Some(1), _) | (_, 413) => Refusal::TooMuch,
        (Some(0 | 3 | 10 | 102 | 190 | 200..=299), _) | (_, 401 | 403) => Refusal::NotPermitted,
        (Some(_) | None, _) => Refusal::Other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_path_escapes_what_it_is_given() {
        let all = path("102", None, 250, None);
        assert!(
            all.starts_with("/v23.0/102/message_templates?fields=name,") && all.ends_with("&limit=250"),
            "{all}"
        );
        let some = path("102", Some("a_b&x=1"), 25, Some("MjQZD/+="));
        assert!(some.ends_with("&limit=25&name=a%5Fb%26x%3D1&after=MjQZD%2F%2B%3D"), "{some}");
    }

    #[test]
    fn a_page_says_what_it_comes_before_and_never_where() {
        let item =
            r#"{"name":"a","language":"en-US","category":"UTILITY","quality_score":{"score":"YELLOW"}}"#;
        for (paging, after) in [
            (r#"{"cursors":{"before":"b","after":"c"}}"#, Ok(None)),
            (
                r#"{"cursors":{"before":"b","after":"c"},"next":"https://elsewhere.example/?after=d"}"#,
                Ok(Some("c")),
            ),
            (r#"{"next":"https://elsewhere.example/x?access_token=T&after=d%3D"}"#, Ok(Some("d="))),
            (r#"{"next":"https://elsewhere.example/x"}"#, Err(NotAPage)),
            ("{}", Ok(None)),
        ] {
            let body = format!(r#"{{"data":[{item},{{"name":"B"}}],"paging":{paging}}}"#);
            let page = page(body.as_bytes());
            assert_eq!(page.as_ref().map(|page| page.after.as_deref()), after.as_ref().copied(), "{paging}");
            if let Ok(page) = page {
                assert_eq!((page.templates.len(), page.unreadable), (1, 1));
                assert_eq!(page.templates[0].quality.as_deref(), Some("YELLOW"));
                assert_eq!(page.templates[0].language, "en_US");
            }
        }
        for body in ["", "{}", r#"{"data":7}"#, r#"{"data":[],"data":[]}"#] {
            assert_eq!(page(body.as_bytes()), Err(NotAPage), "{body}");
        }
    }

    #[test]
    fn usage_is_the_worst_of_what_is_told() {
        let account = br#"{"102":[{"type":"whatsapp","call_count":28,"total_cputime":5,"total_time":90,"estimated_time_to_regain_access":0},{"call_count":7.5,"estimated_time_to_regain_access":12}]}"#;
        let regain = Duration::from_secs(720);
        assert_eq!(Usage::read(account), Usage { percent: 90, regain });
        let app = Usage::read(br#"{"call_count":96.2,"total_time":1,"total_cputime":1}"#);
        assert_eq!(app, Usage { percent: 97, regain: Duration::ZERO });
        assert_eq!(Usage::read(account).worse(app), Usage { percent: 97, regain });
        for none in [&b""[..], b"x", b"[]", br#"{"1":[{"call_count":-1}]}"#] {
            assert_eq!(Usage::read(none), Usage::default());
        }
    }

    #[test]
    fn refusals_are_told_apart_by_code_before_status() {
        let body = |code: u32| format!(r#"{{"error":{{"message":"x","code":{code}}}}}"#);
        for (status, code, expected) in [
            (400, 80_007, Refusal::Limited),
            (400, 80_008, Refusal::Limited),
            (200, 4, Refusal::Limited),
            (401, 190, Refusal::NotPermitted),
            (403, 10, Refusal::NotPermitted),
            (500, 1, Refusal::TooMuch),
            (500, 2, Refusal::Other),
            (400, 100, Refusal::Other),
        ] {
            assert_eq!(refusal(status, body(code).as_bytes()), expected, "{code}");
        }
        assert_eq!(refusal(429, b"<html>"), Refusal::Limited);
        assert_eq!(refusal(502, b""), Refusal::Other);
    }
}
