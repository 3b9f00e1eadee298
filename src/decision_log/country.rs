//! The country of a recipient, for reports by country. Read on the writing thread, never on a worker.

use rlibphonenumber::PHONE_NUMBER_UTIL;

use super::event::Text;
use crate::consent::{E164, Recipient};

/// Two letters; `None` for a number that belongs to no country, to none in particular, or to no plan.
pub(super) fn of(recipient: &Recipient) -> Option<Text<2>> {
    match recipient {
        Recipient::Phone(number) => of_number(number),
        // A user id starts with its country. Source: Meta, "Business-scoped user IDs".
        Recipient::UserId(id) => Text::plain(id.danger_str().split_once('.')?.0),
        Recipient::Hashed(_) => None,
    }
}

fn of_number(number: &E164) -> Option<Text<2>> {
    let parsed = PHONE_NUMBER_UTIL.parse(number.danger_international(), None).ok()?;
    Text::plain(parsed.get_region_code()?.as_region_str().as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_user_ids_have_a_country() {
        for (recipient, country) in [
            ("+4915112345678", Some("DE")),
            ("+16502530000", Some("US")),
            ("+14165550123", Some("CA")),
            ("+525555500011", Some("MX")),
            ("+80012345678", None), // international freephone
            ("+99912345678", None), // no country has 999
            ("BR.ENT.13491208655302741918", Some("BR")),
        ] {
            let found = of(&Recipient::parse(recipient).unwrap());
            assert_eq!(found.as_ref().map(Text::as_str), country, "{recipient}");
        }
    }
}
