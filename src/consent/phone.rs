//! A phone number in international form, and the one key under which all spellings of a subscriber meet.

use std::fmt;
use std::hash::{Hash, Hasher};

/// An international number (ITU-T E.164): up to 15 digits, the first not zero, kept without the `+`.
///
/// `Debug` shows only how long it is, and there is no `Display`.
#[derive(Clone, Copy)]
pub struct E164 {
    digits: [u8; Self::MAX_DIGITS],
    len: u8,
}

impl E164 {
    /// E.164, section 6.2.1: at most 15 digits.
    pub const MAX_DIGITS: usize = 15;
    /// Shorter strings are service codes or typing errors, never a subscriber.
    pub const MIN_DIGITS: usize = 7;

    /// Reads `+` and digits, nothing else between or around.
    pub fn parse(text: &str) -> Option<Self> {
        Self::from_digits(text.strip_prefix('+')?.as_bytes())
    }

    /// Reads ASCII digits that already stand in international form.
    pub fn from_digits(text: &[u8]) -> Option<Self> {
        if !(Self::MIN_DIGITS..=Self::MAX_DIGITS).contains(&text.len()) || text.first() == Some(&b'0') {
            return None;
        }
        let mut digits = [0; Self::MAX_DIGITS];
        for (to, from) in digits.iter_mut().zip(text) {
            *to = Some(*from).filter(u8::is_ascii_digit)?;
        }
        Some(Self { digits, len: u8::try_from(text.len()).ok()? })
    }

    /// The digits, without `+`. For storing, hashing and answering the person's own data, never for logs.
    pub fn digits(&self) -> &str {
        std::str::from_utf8(self.bytes()).unwrap_or_default()
    }

    /// The same for who does not mind that they are text, which would be looked at once more.
    pub fn bytes(&self) -> &[u8] {
        self.digits.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// The number as one word, to be kept where only words fit. No number begins with 0, so none is lost.
    pub(super) fn packed(&self) -> u64 {
        self.digits().bytes().fold(0, |number, digit| number * 10 + u64::from(digit - b'0'))
    }

    /// The number that [`E164::packed`] made a word of.
    pub(super) fn unpacked(mut packed: u64) -> Option<Self> {
        let mut digits = [0; Self::MAX_DIGITS];
        let mut len = 0;
        while packed > 0 {
            *digits.get_mut(len)? = b'0' + u8::try_from(packed % 10).ok()?;
            (packed, len) = (packed / 10, len + 1);
        }
        let digits = digits.get_mut(..len)?;
        digits.reverse();
        Self::from_digits(digits)
    }

    /// The number with its `+`, for the admin API and the command line, never for logs.
    pub fn danger_international(&self) -> String {
        format!("+{}", self.digits())
    }

    /// One subscriber, one number: folds the spellings that WhatsApp delivers to the same account.
    ///
    /// Mexico's former mobile prefix (`52 1` and ten digits), Argentina's mobile `9` (`54 9` and ten digits) and Brazil's ninth mobile digit fold into one form;
    /// a Brazilian landline (eight digits from 2 to 5) stays a person of its own. Source: Meta, "Phone numbers", formatting; Anatel resolution 553/2010.
    #[must_use]
    pub fn canonical(&self) -> Self {
        match self.bytes() {
            [b'5', b'2', b'1', rest @ ..] if rest.len() == 10 => self.without(2),
            [b'5', b'4', b'9', rest @ ..] if rest.len() == 10 => self.without(2),
            [b'5', b'5', _, _, b'9', b'6'..=b'9', rest @ ..] if rest.len() == 7 => self.without(4),
            _ => *self,
        }
    }

    /// This number less the digit at `place`.
    fn without(&self, place: usize) -> Self {
        let kept: Vec<u8> =
            self.bytes().iter().enumerate().filter(|(at, _)| *at != place).map(|(_, digit)| *digit).collect();
        Self::from_digits(&kept).unwrap_or(*self)
    }
}

impl PartialEq for E164 {
    fn eq(&self, other: &Self) -> bool {
        self.bytes() == other.bytes()
    }
}

impl Eq for E164 {}

impl PartialOrd for E164 {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for E164 {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.bytes().cmp(other.bytes())
    }
}

impl Hash for E164 {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.bytes().hash(state);
    }
}

impl fmt::Debug for E164 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "E164({} digits)", self.len)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plus_and_seven_to_fifteen_digits_are_a_number() {
        for good in ["+1234567", "+15550000001", "+123456789012345"] {
            assert_eq!(E164::parse(good).unwrap().danger_international(), good);
        }
        for bad in [
            "15550000001",
            "+123456",
            "+1234567890123456",
            "+05550000001",
            "+1 555",
            "+1555000000１",
            "",
            "+",
        ] {
            assert!(E164::parse(bad).is_none(), "{bad}");
        }
    }

    #[test]
    fn spellings_of_one_subscriber_meet_and_landlines_do_not() {
        for (one, other, same) in [
            ("+5215555500011", "+525555500011", true),
            ("+5491155500012", "+541155500012", true),
            ("+5511987650013", "+551187650013", true),
            ("+5511932650013", "+551132650013", false), // a mobile number and a landline
            ("+551132650013", "+551132650014", false),
            ("+15550000001", "+15550000002", false),
        ] {
            let [one, other] = [one, other].map(|n| E164::parse(n).unwrap().canonical());
            assert_eq!(one == other, same, "{one:?} {other:?}");
        }
    }

    #[test]
    fn debug_hides_the_digits() {
        assert_eq!(format!("{:?}", E164::parse("+15550000001").unwrap()), "E164(11 digits)");
    }
}
