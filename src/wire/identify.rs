//! Who a send would reach: every reading of its recipient.
//!
//! A recipient that could be several people is all of them until somebody writes it clearly.

use super::send::Send;
use crate::consent::{E164, Recipient, UserId, plan};

/// Two readings of each of `to` and `recipient`.
pub const MAX_READINGS: usize = 4;

/// How a number without `+` is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
pub enum BareNumbers {
    /// As an international number and as a national one of the sender's country, whichever exist.
    #[default]
    AllReadings,
    /// As an international number, as nearly everybody means it.
    International,
}

/// Everybody whom a send could reach; all of them must permit it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Readings {
    people: [Option<Recipient>; MAX_READINGS],
    ambiguous: bool,
}

impl Readings {
    /// Everybody.
    pub fn iter(&self) -> impl Iterator<Item = &Recipient> {
        self.people.iter().flatten()
    }

    /// Whether one field could be read as several people, so that writing it with `+` would help.
    pub fn ambiguous(&self) -> bool {
        self.ambiguous
    }

    fn push(&mut self, person: Recipient) {
        if let Some(free) = self.people.iter_mut().find(|p| p.is_none()) {
            *free = Some(person);
        }
    }
}

impl IntoIterator for Readings {
    type Item = Recipient;
    type IntoIter = std::iter::Flatten<std::array::IntoIter<Option<Recipient>, MAX_READINGS>>;

    fn into_iter(self) -> Self::IntoIter {
        self.people.into_iter().flatten()
    }
}

/// Who a send would reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Identified {
    /// These people.
    Readings(Readings),
    /// A group, whose members are not in the request.
    Group,
    /// Nobody that can be read, and why.
    Unreadable(&'static str),
}

const NO_RECIPIENT: &str =
    "the send names no recipient; write the number with + and the country calling code in `to`";
const NOT_A_NUMBER: &str = "the recipient is neither a phone number nor a user id; write + and the country calling code, then digits; spaces, hyphens and parentheses may stand between";
const TRUNK_ZERO: &str = "the recipient has a trunk zero in parentheses; write + and the country calling code, then the number without it";
const GROUP_OR_PERSON: &str = "the send goes to a group by its recipient_type and to a person by its recipient; write a group id in `to` and nothing else, or leave recipient_type out";
const NO_SUCH_NUMBER: &str =
    "the recipient is no possible phone number; write + and the country calling code in front of it";

/// Reads the recipient of a send in every way in which the provider could read it.
///
/// The provider prepends the sender's country calling code to what it takes for a national number (Meta, "Phone numbers", formatting), so digits without `+`
/// may be two people. `to` and `recipient` are both read: which one wins is the provider's choice and has changed before.
pub fn identify(send: &Send<'_>, sender_phone: Option<&E164>, bare: BareNumbers) -> Identified {
    if send.group {
        return group(send);
    }
    let sender_phone = sender_phone.filter(|_| bare == BareNumbers::AllReadings);
    let mut readings = Readings::default();
    for field in [&send.to, &send.recipient].into_iter().flatten() {
        if let Err(why) = read(field, sender_phone, &mut readings) {
            return Identified::Unreadable(why);
        }
    }
    if readings.iter().next().is_none() {
        return Identified::Unreadable(NO_RECIPIENT);
    }
    Identified::Readings(readings)
}

/// A send that says it goes to a group and names a person is not one.
fn group(send: &Send<'_>) -> Identified {
    let person = |field: &str| UserId::parse(field).is_some() || Written::read(field).is_ok();
    let to_person = send.to.as_deref().is_some_and(person);
    if to_person || send.to.is_none() || send.recipient.is_some() {
        return Identified::Unreadable(GROUP_OR_PERSON);
    }
    Identified::Group
}

fn read(field: &str, sender_phone: Option<&E164>, readings: &mut Readings) -> Result<(), &'static str> {
    if let Some(id) = UserId::parse(field) {
        readings.push(Recipient::UserId(id));
        return Ok(());
    }
    let written = Written::read(field)?;
    let international = E164::from_digits(written.digits()).filter(plan::is_sendable);
    if written.plus {
        readings.push(Recipient::Phone(international.ok_or(NO_SUCH_NUMBER)?));
        return Ok(());
    }
    let digits = std::str::from_utf8(written.digits()).unwrap_or_default();
    let national = sender_phone.and_then(|sender| plan::national_reading(digits, sender));
    match (international, national) {
        (None, None) => Err(NO_SUCH_NUMBER),
        (Some(one), None) | (None, Some(one)) => {
            readings.push(Recipient::Phone(one));
            Ok(())
        }
        (Some(one), Some(other)) => {
            readings.push(Recipient::Phone(one));
            if one != other {
                readings.push(Recipient::Phone(other));
                readings.ambiguous = true;
            }
            Ok(())
        }
    }
}

/// The digits of a number as it was written.
struct Written {
    plus: bool,
    digits: [u8; E164::MAX_DIGITS + 1],
    count: usize,
}

impl Written {
    /// Reads an optional `+` in front, then digits with spaces, hyphens and parentheses between. These are the separators that Meta documents; anything else,
    /// letters, other scripts' digits and invisible characters included, could be read by somebody as another number and is refused.
    fn read(field: &str) -> Result<Self, &'static str> {
        let (plus, rest) = match field.strip_prefix('+') {
            Some(rest) => (true, rest),
            None => (false, field),
        };
        let starts_well = rest.bytes().next().is_some_and(|b| b.is_ascii_digit() || b == b'(');
        let ends_well = rest.bytes().last().is_some_and(|b| b.is_ascii_digit());
        if !starts_well || !ends_well {
            return Err(NOT_A_NUMBER);
        }
        if rest.as_bytes().contains(&b'(') && rest.contains("(0)") {
            return Err(TRUNK_ZERO);
        }
        let mut written = Self { plus, digits: [0; E164::MAX_DIGITS + 1], count: 0 };
        let mut open = false;
        for byte in rest.bytes() {
            match byte {
                b'0'..=b'9' => written.push(byte)?,
                b' ' | b'-' => {}
                b'(' if !open => open = true,
                b')' if open => open = false,
                _ => return Err(NOT_A_NUMBER),
            }
        }
        // 00 and 011 are dialling prefixes of some countries, not of the provider.
        let prefixed = !plus && written.digits().starts_with(b"00");
        if open || prefixed || written.count < E164::MIN_DIGITS { Err(NOT_A_NUMBER) } else { Ok(written) }
    }

    fn push(&mut self, digit: u8) -> Result<(), &'static str> {
        *self.digits.get_mut(self.count).ok_or(NO_SUCH_NUMBER)? = digit;
        self.count += 1;
        Ok(())
    }

    fn digits(&self) -> &[u8] {
        self.digits.get(..self.count).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::borrow::Cow;

    use proptest::prelude::*;

    use super::*;
    use crate::wire::send::{Payload, Surface};

    fn send<'a>(to: Option<&'a str>, recipient: Option<&'a str>) -> Send<'a> {
        Send {
            surface: Surface::Messages,
            sender: Cow::Borrowed("106540352242922"),
            to: to.map(Cow::Borrowed),
            recipient: recipient.map(Cow::Borrowed),
            group: false,
            payload: Payload::default(),
            operation: None,
        }
    }

    fn people(
        to: Option<&str>,
        recipient: Option<&str>,
        sender: &str,
        bare: BareNumbers,
    ) -> Result<Vec<String>, &'static str> {
        let sender = E164::parse(sender).unwrap();
        match identify(&send(to, recipient), Some(&sender), bare) {
            Identified::Readings(readings) => Ok(readings.iter().map(Recipient::danger_string).collect()),
            Identified::Group => Ok(vec!["group".into()]),
            Identified::Unreadable(why) => Err(why),
        }
    }

    fn readings(to: &str, sender: &str) -> Result<Vec<String>, &'static str> {
        people(Some(to), None, sender, BareNumbers::AllReadings)
    }

    #[test]
    fn documented_spellings_are_read() {
        for spelling in [
            "+15550000001",
            "+1 555 000 0001",
            "+1-555-000-0001",
            "+1 (555) 000-0001",
            "15550000001",
            "1 555 000 0001",
            "1 (555) 000-0001",
        ] {
            assert_eq!(readings(spelling, "+15550783881"), Ok(vec!["+15550000001".to_owned()]), "{spelling}");
        }
    }

    #[test]
    fn everything_else_is_unreadable() {
        for spelling in [
            "",
            " ",
            "+",
            "0015550000002",
            "011 1 555 000 0002",
            "+1.555.000.0002",
            "+1\u{a0}555 000 0002",
            "１５５５００００００２",
            "١٥٥٥٠٠٠٠٠٠٢",
            " 15550000002",
            "15550000002 ",
            "15550000002\n",
            "15550000002@s.whatsapp.net",
            "whatsapp:+15550000002",
            "15550000001,15550000002",
            "15550000001/15550000002",
            "1555OOOOOO2",
            "++15550000002",
            "15550000002#",
            "15550000001x2",
            "tel:+15550000001",
            "1555000000¹",
            "[\"15550000001\"]",
            "+1 (0) 555 000 0002",
            "+1 ((555)) 000 0002",
            "+1 )555( 000 0002",
            "@someone",
            "Y2FwaV9ncm91cDoxNzA1NTU1MDEzOToxMjAzNjM0MDQ2OTQyMzM4MjAZD",
            "1555000\u{200b}0002",
            "+1555000000212345678",
            "123456",
            "-15550000001",
            "9990000000",
        ] {
            assert!(readings(spelling, "+15550783881").is_err(), "{spelling:?}");
        }
    }

    #[test]
    fn bare_digits_have_every_reading_that_exists() {
        for (digits, sender, expected) in [
            ("16505551234", "+15550783881", vec!["+16505551234"]),
            ("4915550000031", "+15550783881", vec!["+4915550000031"]),
            ("2025550143", "+15550783881", vec!["+2025550143", "+12025550143"]),
            ("9876543210", "+919876543210", vec!["+9876543210", "+919876543210"]),
        ] {
            let found = readings(digits, sender).unwrap();
            let expected: Vec<String> = expected
                .into_iter()
                .filter(|n| E164::parse(n).is_some_and(|n| plan::is_possible(&n)))
                .map(str::to_owned)
                .collect();
            assert_eq!(found, expected, "{digits}");
        }
        assert_eq!(
            people(Some("9876543210"), None, "+919876543210", BareNumbers::International)
                .ok()
                .map(|p| p.len()),
            E164::parse("+9876543210").filter(plan::is_possible).map(|_| 1)
        );
    }

    #[test]
    fn both_fields_are_read_and_a_user_id_may_stand_in_either() {
        let both = people(
            Some("+15550000001"),
            Some("US.20000000000000000002"),
            "+15550783881",
            BareNumbers::AllReadings,
        );
        assert_eq!(both.unwrap(), ["+15550000001", "US.20000000000000000002"]);
        assert_eq!(readings("US.20000000000000000002", "+15550783881").unwrap(), ["US.20000000000000000002"]);
        assert!(people(Some("+15550000001"), Some("?"), "+15550783881", BareNumbers::AllReadings).is_err());
        assert!(people(None, None, "+15550783881", BareNumbers::AllReadings).is_err());
    }

    #[test]
    fn trunk_zeros_are_not_part_of_a_number() {
        for spelling in [
            "+4407911123456",
            "+44 0 7911 123456",
            "+44 ( 0)7911123456",
            "+49017012345679",
            "49017012345679",
            "+5511 0 987650013000",
        ] {
            assert!(readings(spelling, "+15550783881").is_err(), "{spelling}");
        }
        assert_eq!(readings("+390612345678", "+15550783881").unwrap(), ["+390612345678"]);
    }

    #[test]
    fn a_person_is_no_group() {
        for (to, recipient, group) in [
            (Some("Y2FwaV9ncm91cDox"), None, true),
            (Some("+15550000001"), None, false),
            (Some("US.1"), None, false),
            (Some("Y2FwaV9ncm91cDox"), Some("+15550000001"), false),
            (None, Some("Y2FwaV9ncm91cDox"), false),
        ] {
            let send = Send { group: true, ..send(to, recipient) };
            assert_eq!(
                identify(&send, None, BareNumbers::AllReadings) == Identified::Group,
                group,
                "{to:?} {recipient:?}"
            );
        }
    }

    proptest! {
        #[test]
        fn nothing_makes_reading_panic(to in ".{0,40}") {
            let _ = readings(&to, "+15550783881");
        }

        #[test]
        fn separators_never_change_who_is_reached(digits in "[1-9][0-9]{9,12}", at in prop::collection::vec(1usize..9, 0..4)) {
            let mut spaced: Vec<char> = format!("+{digits}").chars().collect();
            for place in at { spaced.insert(place + 1, if place % 2 == 0 { ' ' } else { '-' }); }
            let spaced: String = spaced.into_iter().collect();
            prop_assert_eq!(readings(&spaced, "+15550783881"), readings(&format!("+{digits}"), "+15550783881"));
        }
    }
}
