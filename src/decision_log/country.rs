//! The country of a recipient, for reports by country.

use crate::consent::Recipient;

/// Two letters; `None` for a number that belongs to no country or to none in particular.
pub(super) fn of(_recipient: &Recipient) -> Option<&'static str> {
    None
}
