//! National numbering plans: whether a number is possible, and how digits without `+` could be read.
//!
//! The metadata is a kept library's (Google's libphonenumber); what the hot path needs of it is laid out in a table once, at first use.

use std::sync::LazyLock;

use rlibphonenumber::{NumberLengthType, PHONE_NUMBER_UTIL, PhoneNumber};

use super::phone::E164;

/// Country calling codes have at most three digits (ITU-T E.164, section 6.2.1).
const CODES: usize = 1000;

/// For each calling code the possible lengths of what follows it, as bits.
static LENGTHS: LazyLock<Box<[u32]>> = LazyLock::new(|| {
    let mut table = vec![0u32; CODES].into_boxed_slice();
    for code in PHONE_NUMBER_UTIL.get_supported_calling_codes() {
        if let Some(entry) = usize::try_from(code).ok().and_then(|at| table.get_mut(at)) {
            *entry = possible_lengths(code);
        }
    }
    table
});

/// Lays the table out now instead of within the first decision.
pub fn warm_up() {
    LazyLock::force(&LENGTHS);
}

fn possible_lengths(code: i32) -> u32 {
    (2u32..=15)
        .filter(|length| {
            let number = PhoneNumber {
                country_code: code,
                national_number: 10u64.pow(length - 1),
                ..PhoneNumber::default()
            };
            matches!(
                PHONE_NUMBER_UTIL.is_possible_number_with_reason(&number),
                Ok(NumberLengthType::IsPossible)
            )
        })
        .fold(0, |lengths, length| lengths | 1 << length)
}

/// A calling code at the front of digits, as a number and its count of digits. No code begins another, so there is at most one.
fn calling_code(digits: &[u8]) -> Option<(usize, usize)> {
    let mut code = 0usize;
    for (at, digit) in digits.iter().take(3).enumerate() {
        code = code * 10 + usize::from(digit.checked_sub(b'0')?);
        if LENGTHS.get(code).is_some_and(|lengths| *lengths != 0) {
            return Some((code, at + 1));
        }
    }
    None
}

fn possible(code: usize, national_digits: usize) -> bool {
    LENGTHS.get(code).is_some_and(|lengths| national_digits < 32 && lengths & (1 << national_digits) != 0)
}

/// Whether a number has a calling code that exists and a length that is possible there, as it is written or in its canonical spelling
/// (Mexico's former `52 1` is no longer in the plan, and WhatsApp still uses it).
pub fn is_possible(number: &E164) -> bool {
    [*number, number.canonical()].iter().any(|number| {
        let digits = number.digits().as_bytes();
        calling_code(digits).is_some_and(|(code, len)| possible(code, digits.len() - len))
    })
}

/// Whether a number is possible and in its one plain form: with a trunk or carrier prefix behind the calling code it would be another key for the same person.
pub fn is_plain(number: &E164) -> bool {
    is_possible(number) && has_no_prefix(number)
}

/// Calling codes in whose plan every prefix for dialing begins with one digit, with which no other number begins.
///
/// An import asks about millions of numbers, and nearly all of them are settled by this. A test holds the table against the library.
const TRUNK_DIGITS: [(usize, u8); 26] = [
    (1, b'1'),
    (7, b'8'),
    (20, b'0'),
    (27, b'0'),
    (31, b'0'),
    (32, b'0'),
    (33, b'0'),
    (40, b'0'),
    (41, b'0'),
    (44, b'0'),
    (46, b'0'),
    (49, b'0'),
    (60, b'0'),
    (62, b'0'),
    (64, b'0'),
    (66, b'0'),
    (84, b'0'),
    (90, b'0'),
    (91, b'0'),
    (92, b'0'),
    (212, b'0'),
    (234, b'0'),
    (254, b'0'),
    (966, b'0'),
    (971, b'0'),
    (972, b'0'),
];

/// Whether something would be cut off behind the calling code.
fn has_no_prefix(number: &E164) -> bool {
    let digits = number.digits().as_bytes();
    let begins_otherwise = calling_code(digits).is_some_and(|(code, len)| {
        let trunk = TRUNK_DIGITS.iter().find(|(known, _)| *known == code);
        trunk.is_some_and(|(_, trunk)| digits.get(len) != Some(trunk))
    });
    begins_otherwise || library_finds_no_prefix(number)
}

/// Asks the library, which knows every country's prefixes.
fn library_finds_no_prefix(number: &E164) -> bool {
    let Ok(parsed) = PHONE_NUMBER_UTIL.parse(number.danger_international(), None) else { return false };
    let significant = rlibphonenumber::get_national_significant_number_owned(&parsed);
    let plain = E164::from_digits(format!("{}{significant}", parsed.country_code).as_bytes());
    plain.is_some_and(|plain| plain.canonical() == number.canonical())
}

/// Like [`is_plain`], at the price of a table look-up for nearly every number: asks the library only where the national part begins with 0, as trunk prefixes do.
pub fn is_sendable(number: &E164) -> bool {
    let digits = number.digits().as_bytes();
    let begins_with_zero = calling_code(digits).is_some_and(|(_, len)| digits.get(len) == Some(&b'0'));
    is_possible(number) && (!begins_with_zero || has_no_prefix(number))
}

/// How digits without `+` could be read by a provider that puts the sender's own calling code in front of what it takes for a national number.
///
/// `None` where that reading does not exist: the digits already begin with the sender's code followed by a valid number, or are no valid number there. (Possible is not
/// enough: 91 and eight digits have a possible length in India, and are a mobile number without its code.)
/// Source: Meta, "Phone numbers", formatting of WhatsApp user phone numbers.
pub fn national_reading(digits: &str, sender: &E164) -> Option<E164> {
    let (code, code_len) = calling_code(sender.digits().as_bytes())?;
    let bytes = digits.as_bytes();
    // A national number may carry the trunk prefix 0 in front.
    let after_trunk = bytes.strip_prefix(b"0").is_some_and(|rest| possible(code, rest.len()));
    if !possible(code, bytes.len()) && !after_trunk {
        return None;
    }
    if let Some((own, len)) = calling_code(bytes)
        && own == code
        && possible(code, bytes.len() - len)
        && is_valid(digits)
    {
        return None;
    }
    validated(sender.digits().get(..code_len)?, digits)
}

/// Whether international digits are a number that exists, by the library.
fn is_valid(international: &str) -> bool {
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{international}"), None);
    parsed.is_ok_and(|number| PHONE_NUMBER_UTIL.is_valid_number(&number))
}

/// Asks the library, which knows trunk prefixes and area codes.
fn validated(code: &str, national: &str) -> Option<E164> {
    let parsed = PHONE_NUMBER_UTIL.parse(format!("+{code}{national}"), None).ok()?;
    if !PHONE_NUMBER_UTIL.is_valid_number(&parsed) {
        return None;
    }
    let significant = rlibphonenumber::get_national_significant_number_owned(&parsed);
    E164::from_digits(format!("{code}{significant}").as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(text: &str) -> E164 {
        E164::parse(text).unwrap()
    }

    #[test]
    fn possible_numbers_have_a_code_and_a_length_of_their_country() {
        for (text, expected) in [
            ("+15550000001", true),
            ("+1555000000", false),
            ("+155500000011", false),
            ("+4915550000031", true),
            ("+525555500021", true),
            ("+5215555500011", true),
            ("+5491155500012", true),
            ("+551187650013", true),
            ("+5511987650013", true),
            ("+391234567", true),
            ("+9990000000", false),
        ] {
            assert_eq!(is_possible(&number(text)), expected, "{text}");
        }
    }

    #[test]
    fn a_national_reading_exists_only_where_the_provider_could_take_it() {
        let american = number("+15550783881");
        let indian = number("+919876543210");
        let german = number("+4930901820");
        for (digits, sender, expected) in [
            ("2025550143", american, Some("+12025550143")),
            ("12025550143", american, None),
            ("15550000001", american, None),
            ("4915550000031", american, None),
            ("9876543210", indian, Some("+919876543210")),
            ("919876543210", indian, None),
            // Its own code is the start of the number: without it, the eight digits that follow are nobody.
            ("9123456789", indian, Some("+919123456789")),
            ("16315551234", indian, None),
            ("6315551234", indian, Some("+916315551234")),
            ("015112345678", german, Some("+4915112345678")),
            ("15112345678", german, Some("+4915112345678")),
        ] {
            let reading = national_reading(digits, &sender).map(|n| n.danger_international());
            assert_eq!(reading.as_deref(), expected, "{digits}");
        }
    }

    #[test]
    fn no_prefix_is_found_by_the_library_where_the_table_knows_of_none() {
        let mut tail = 1u64;
        let mut asked = 0;
        for (code, trunk) in TRUNK_DIGITS {
            let lengths = (4..15).filter(|length| possible(code, *length));
            for (length, head) in lengths.flat_map(|length| (0..1000).map(move |head| (length, head))) {
                tail = tail.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let digits = format!("{code}{head:03}{:012}", (tail >> 16) % 1_000_000_000_000);
                let code_len = code.to_string().len();
                let Some(number) =
                    digits.get(..code_len + length).and_then(|digits| E164::from_digits(digits.as_bytes()))
                else {
                    continue;
                };
                if number.digits().as_bytes()[code_len] != trunk {
                    asked += 1;
                    assert!(
                        library_finds_no_prefix(&number),
                        "{number:?} of {code} with {head} and {length} digits"
                    );
                }
            }
        }
        assert!(asked > 20_000, "{asked}");
    }
}
