//! Pages of long lists: `limit` says how many items, `after` where the page before ended, `next` is the link to the page after.
//!
//! To page a list: keep it in an order of keys, take one item more than [`Page::limit`] after [`Page::after`], and give [`Page::next`] the key of the last
//! item shown if there was one more. A key is opaque to callers; a page is what the list is when it is asked for.

use axum::extract::Query;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use http::Uri;
use utoipa::openapi::schema::{ObjectBuilder, Type};

use super::openapi::Description;
use super::problem::{Fault, Problem};

const DEFAULT_LIMIT: usize = 100;
const MAX_LIMIT: usize = 1000;

/// Which part of a list is asked for.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Page {
    /// How many items, 1 to 1000.
    pub(super) limit: usize,
    /// The key of the last item of the page before.
    pub(super) after: Option<String>,
}

impl Page {
    /// Reads the query.
    pub(super) fn read(uri: &Uri) -> Result<Self, Problem> {
        let unreadable =
            || Problem::new(Fault::Unreadable, "the query is no list of name=value, percent-encoded");
        let Query(pairs) = Query::<Vec<(String, String)>>::try_from_uri(uri).map_err(|_| unreadable())?;
        let (mut limit, mut after, mut problems) = (None, None, Vec::new());
        for (name, value) in &pairs {
            let new = match name.as_str() {
                "limit" => of(value).map(|value| limit.replace(value).is_none()),
                "after" => opened(value).map(|value| after.replace(value).is_none()),
                // The guard refuses whatever the operation does not take.
                _ => Ok(true),
            };
            match new {
                Ok(true) => {}
                Ok(false) => problems.push(format!("{name}: write it once")),
                Err(problem) => problems.push(format!("{name}: {problem}")),
            }
        }
        if problems.is_empty() {
            return Ok(Self { limit: limit.unwrap_or(DEFAULT_LIMIT), after });
        }
        Err(Problem::new(Fault::Invalid, "the query is not valid").listing(problems))
    }

    /// The link to the page after the one that ends with `last`.
    pub(super) fn next(&self, path: &str, last: &str) -> String {
        format!("{path}?limit={}&after={}", self.limit, URL_SAFE_NO_PAD.encode(last))
    }

    /// Adds both parameters to an operation's description.
    pub(super) fn described(operation: Description) -> Description {
        let limit = ObjectBuilder::new().schema_type(Type::Integer).minimum(Some(1)).maximum(Some(MAX_LIMIT));
        let after = ObjectBuilder::new().schema_type(Type::String).pattern(Some("^[A-Za-z0-9_-]*$"));
        operation
            .in_query("limit", "How many items, 100 if left out", limit)
            .in_query(
                "after",
                "Where the page before ended, as its next says it; leave it out for the first",
                after,
            )
            .faults(&[Fault::Unreadable, Fault::Invalid])
    }
}

fn of(text: &str) -> Result<usize, String> {
    let plain = text.bytes().all(|b| b.is_ascii_digit());
    let number = text.parse().ok().filter(|number| plain && (1..=MAX_LIMIT).contains(number));
    number.ok_or_else(|| format!("write a number from 1 to {MAX_LIMIT}"))
}

fn opened(text: &str) -> Result<String, String> {
    let bytes = URL_SAFE_NO_PAD.decode(text).ok();
    let key = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
    key.ok_or_else(|| "copy it from the next of the page before".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(query: &str) -> Result<Page, String> {
        let uri = format!("/v1/templates{query}").parse().unwrap();
        Page::read(&uri).map_err(|problem| format!("{problem:?}"))
    }

    #[test]
    fn the_next_link_leads_to_the_page_after() {
        let page = read("?limit=2").unwrap();
        assert_eq!(page, Page { limit: 2, after: None });
        let next: Uri = page.next("/v1/templates", "10/ü").parse().unwrap();
        assert_eq!(Page::read(&next).unwrap(), Page { limit: 2, after: Some("10/ü".to_owned()) });
        assert_eq!(read("").unwrap(), Page { limit: 100, after: None });
    }

    #[test]
    fn every_problem_of_a_query_is_told() {
        let told = read("?limit=0&after=%20&limit=1001&after=&after=").unwrap_err();
        for says in ["limit: write a number", "after: copy it", "after: write it once"] {
            assert!(told.contains(says), "{says}: {told}");
        }
        for bad in
            ["?limit=", "?limit=-1", "?limit=1.0", "?limit=%2B5", "?limit=99999999999999999999", "?after=_w"]
        {
            assert!(read(bad).is_err(), "{bad}");
        }
    }
}
