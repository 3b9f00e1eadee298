//! Which part of a list is shown, and the links to the parts before and after.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::super::errors::GraphError;
use super::super::json::Object;
use super::super::parameters::Parameters;
use super::super::route::Call;

/// A part of a list.
pub(super) struct Page {
    pub(super) first: usize,
    pub(super) end: usize,
    pub(super) total: usize,
    limit: usize,
}

impl Page {
    pub(super) fn read(parameters: &Parameters, total: usize) -> Result<Self, GraphError> {
        let limit = match parameters.text("limit").map(|limit| limit.parse::<usize>()) {
            None => 25,
            Some(Ok(limit)) if limit > 0 => limit.min(1_000),
            Some(_) => return Err(GraphError::invalid("limit is not a positive number")),
        };
        let position = |name: &str| parameters.text(name).map(|cursor| place(&cursor)).transpose();
        let (first, end) = match (position("after")?, position("before")?) {
            (Some(after), _) => (after.saturating_add(1), after.saturating_add(1).saturating_add(limit)),
            (None, Some(before)) => (before.saturating_sub(limit), before),
            (None, None) => (0, limit),
        };
        Ok(Page { first: first.min(total), end: end.min(total), total, limit })
    }

    pub(super) fn json(&self, call: &Call<'_>) -> String {
        let (before, after) = (cursor(self.first), cursor(self.end.saturating_sub(1)));
        let cursors = Object::new().text("before", &before).text("after", &after).finish();
        let mut paging = Object::new().raw("cursors", cursors);
        if self.end < self.total {
            paging = paging.text("next", &self.link(call, "after", &after));
        }
        if self.first > 0 {
            paging = paging.text("previous", &self.link(call, "before", &before));
        }
        paging.finish()
    }

    /// The absolute URL of the page before or after, with every filter of this one.
    fn link(&self, call: &Call<'_>, direction: &str, cursor: &str) -> String {
        let kept = [
            "access_token",
            "fields",
            "summary",
            "name",
            "name_or_content",
            "language",
            "status",
            "category",
        ];
        let mut url = format!("{}{}?limit={}", call.base, call.path, self.limit);
        for name in kept {
            if let Some(value) = call.parameters.text(name) {
                url.extend(["&", name, "="]);
                url.extend(utf8_percent_encode(&value, NON_ALPHANUMERIC));
            }
        }
        format!("{url}&{direction}={}", utf8_percent_encode(cursor, NON_ALPHANUMERIC))
    }
}

/// Meta's cursors: the base64 of a position with `ZD` in place of each `=`. No position encodes to a text with `ZD` in it.
fn cursor(place: usize) -> String {
    STANDARD.encode(place.to_string()).replace('=', "ZD")
}

fn place(cursor: &str) -> Result<usize, GraphError> {
    let decoded = STANDARD.decode(cursor.replace("ZD", "=")).ok();
    let place = decoded.and_then(|bytes| String::from_utf8(bytes).ok()).and_then(|text| text.parse().ok());
    place.ok_or_else(|| GraphError::invalid("The cursor is not one of this list"))
}
