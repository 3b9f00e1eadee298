//! The names of parameters that are judged, and how close another name may come to one.

/// Defines the judged names, each with its place in [`Seen`].
macro_rules! names {
    ($($variant:ident = $text:literal),+ $(,)?) => {
        /// A parameter that decides whether a request is a send, to whom, and of which category.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Name { $($variant),+ }

        impl Name {
            /// Reads a name as the provider documents it.
            fn exact(text: &[u8]) -> Option<Self> {
                $(if text == $text.as_bytes() { return Some(Self::$variant); })+
                None
            }
        }

        #[cfg(test)]
        pub(super) const ALL: &[(Name, &str)] = &[$((Name::$variant, $text)),+];
    };
}

names! {
    MessagingProduct = "messaging_product", To = "to", RecipientType = "recipient_type", Type = "type", Template = "template", Text = "text",
    Recipient = "recipient", Interactive = "interactive", Image = "image", Video = "video", Audio = "audio", Document = "document", Sticker = "sticker",
    Location = "location", Contacts = "contacts", Reaction = "reaction", Hsm = "hsm", Pin = "pin", Category = "category", Status = "status",
    Action = "action", Method = "method", UnderscoreMethod = "_method", Batch = "batch",
}

impl Name {
    /// Whether the name carries content wherever it stands. `pin` does so on a send edge only: elsewhere it is the pin of two-step verification.
    pub(super) const fn is_payload(self) -> bool {
        matches!(
            self,
            Self::Template
                | Self::Text
                | Self::Interactive
                | Self::Image
                | Self::Video
                | Self::Audio
                | Self::Document
                | Self::Sticker
                | Self::Location
                | Self::Contacts
                | Self::Reaction
                | Self::Hsm
        )
    }

    /// Whether the name makes a write suspicious wherever it stands.
    pub(super) const fn is_telling(self) -> bool {
        self.is_payload() || matches!(self, Self::To | Self::Recipient | Self::Batch)
    }
}

/// How a name in a request compares with the judged ones.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spelled {
    /// One of them.
    Exactly(Name),
    /// What a lenient reader could take for one: another letter case, brackets, stray spaces or signs around it.
    Nearly(Name),
    /// A name that nobody could take for a judged one, but not a plain one either.
    Strangely,
    /// Any other plain name.
    Otherwise,
}

impl Spelled {
    /// Compares a name, unescaped.
    pub(super) fn of(name: &str) -> Self {
        if let Some(exact) = Name::exact(name.as_bytes()) {
            return Self::Exactly(exact);
        }
        let plain = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_';
        if name.bytes().all(plain) && !name.is_empty() {
            return if name.ends_with(BATCH) { Self::Nearly(Name::Batch) } else { Self::Otherwise };
        }
        near(name).map_or_else(|| if is_tame(name) { Self::Otherwise } else { Self::Strangely }, Self::Nearly)
    }

    /// The judged name that it is, or could be taken for.
    pub(super) const fn name(self) -> Option<Name> {
        match self {
            Self::Exactly(name) | Self::Nearly(name) => Some(name),
            Self::Strangely | Self::Otherwise => None,
        }
    }
}

/// What the name of everything that runs many operations at once ends in: `batch`, `asyncbatch`, `adbatch`. Only the first of them is read.
///
/// Source: Meta, Marketing API, "Asynchronous Batch Requests".
pub(super) const BATCH: &str = "batch";

fn is_tame(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b))
}

/// The judged name that a lenient reader could file this one under.
///
/// PHP cuts at NUL and `[`, trims, and writes `_` for spaces and dots; others fold letter case and full-width forms, or drop what they do not know.
fn near(name: &str) -> Option<Name> {
    let stem = stem(name, &CUTS);
    folded(stem, Name::exact).or_else(|| is_batch(stem).then_some(Name::Batch))
}

/// Whether a name ends in `batch`, however long it is.
fn is_batch(stem: &str) -> bool {
    let end = stem.trim_end_matches(|c: char| !is_part(c));
    end.chars().rev().filter_map(fold).take(BATCH.len()).eq(BATCH.bytes().rev())
}

/// Where a reader could cut a name, in both widths.
pub(super) const CUTS: [char; 5] = ['\0', '[', ']', '\u{ff3b}', '\u{ff3d}'];

/// What is left of a name where a reader first drops the signs before it and then cuts it.
fn stem<'n>(name: &'n str, cuts: &[char]) -> &'n str {
    let start = name.trim_start_matches(|c: char| !is_part(c));
    start.split(cuts).next().unwrap_or_default()
}

/// Whether a lenient reader could file a name under a key: cut at `[`, or with `_` in its place where no `]` closes it, as PHP does.
pub(super) fn is_near(name: &str, key: &str) -> bool {
    let is_key = |folded: &[u8]| {
        std::str::from_utf8(folded).ok().filter(|name| name.trim_matches('_') == key).map(|_| ())
    };
    folded(stem(name, &CUTS), is_key).or_else(|| folded(stem(name, &['\0']), is_key)).is_some()
}

/// Whether a word stands anywhere in a name, however its letters are spelled.
pub(super) fn holds(name: &str, word: &str) -> bool {
    let folded: Vec<u8> = name.chars().filter_map(fold).collect();
    folded.windows(word.len()).any(|window| window == word.as_bytes())
}

/// Reads a name with everything folded that a reader could fold.
fn folded<T>(cut: &str, read: impl Fn(&[u8]) -> Option<T>) -> Option<T> {
    const ROOM: usize = 32;
    let mut folded = [0_u8; ROOM];
    let mut len = 0;
    for c in cut.trim_matches(|c: char| !is_part(c)).chars().filter_map(fold) {
        *folded.get_mut(len)? = c;
        len += 1;
    }
    read(folded.get(..len)?)
}

/// Whether a reader that drops the signs around a name keeps this character.
pub(super) fn is_part(c: char) -> bool {
    let c = narrow(c);
    c.is_ascii_alphanumeric() || c == '_'
}

/// The ASCII character that another one is a wide or compatible form of. Source: Unicode, NFKC and case folding.
fn narrow(c: char) -> char {
    match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => c,
    }
}

/// Folds one character as a lenient reader might; what it would drop is `None`.
pub(super) fn fold(c: char) -> Option<u8> {
    match narrow(c) {
        '.' | ' ' | '-' | '[' => Some(b'_'),
        c if c.is_ascii_graphic() => u8::try_from(c.to_ascii_lowercase()).ok(),
        _ => None,
    }
}

/// Which judged names have been seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen(u32);

impl Seen {
    /// Notes a name; `false` if it had been seen before.
    pub(super) fn insert(&mut self, name: Name) -> bool {
        let bit = 1 << name as u32;
        let new = self.0 & bit == 0;
        self.0 |= bit;
        new
    }

    /// Whether a name has been seen.
    pub(super) const fn has(self, name: Name) -> bool {
        self.0 & (1 << name as u32) != 0
    }

    /// The same without one name.
    pub(super) const fn without(self, name: Name) -> Self {
        Self(self.0 & !(1 << name as u32))
    }

    /// Adds what was seen elsewhere.
    pub(super) fn merge(&mut self, other: Self) {
        self.0 |= other.0;
    }

    /// Whether a name that carries content has been seen.
    pub(super) const fn has_payload(self) -> bool {
        self.has_any(&[
            Name::Template,
            Name::Text,
            Name::Interactive,
            Name::Image,
            Name::Video,
            Name::Audio,
            Name::Document,
            Name::Sticker,
            Name::Location,
            Name::Contacts,
            Name::Reaction,
            Name::Hsm,
        ])
    }

    /// Whether a recipient has been seen.
    pub(super) const fn has_recipient(self) -> bool {
        self.has_any(&[Name::To, Name::Recipient])
    }

    const fn has_any(self, names: &[Name]) -> bool {
        let mut rest = names;
        while let [name, after @ ..] = rest {
            if self.has(*name) {
                return true;
            }
            rest = after;
        }
        false
    }
}

/// Whether a top-level name of a send is known to carry no content, so that an object under it is no payload.
///
/// Source: Meta, "Messages" reference; the Direct Send and Marketing Messages additions.
pub(super) fn is_inert(name: &str) -> bool {
    matches!(
        name,
        "context"
            | "typing_indicator"
            | "direct_send_config"
            | "biz_opaque_callback_data"
            | "recipient_identity_key_hash"
            | "message_activity_sharing"
            | "product_policy"
            | "ttl_seconds"
            | "ttl"
            | "messaging_account_id"
            | "paid_messaging_account_id"
            | "preview_url"
            | "message_id"
            | "session"
            | "call_id"
            | "access_token"
            | "appsecret_proof"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_judged_name_is_recognized_and_its_variants_are_near() {
        for (name, text) in ALL {
            assert_eq!(Spelled::of(text), Spelled::Exactly(*name));
            for variant in [
                text.to_uppercase(),
                format!(" {text}"),
                format!("{text}[]"),
                format!("{text}\0x"),
                format!("\u{feff}{text}"),
                format!("{text}."),
            ] {
                assert_eq!(Spelled::of(&variant), Spelled::Nearly(*name), "{variant:?}");
            }
        }
        assert_eq!(Spelled::of("recipient.type"), Spelled::Nearly(Name::RecipientType));
        assert_eq!(Spelled::of("t\u{200b}o"), Spelled::Nearly(Name::To));
        assert_eq!(Spelled::of("\u{ff54}\u{ff4f}"), Spelled::Nearly(Name::To));
        assert_eq!(Spelled::of("hs\u{ff2d}"), Spelled::Nearly(Name::Hsm));
        assert_eq!(Spelled::of("h\u{17f}m"), Spelled::Nearly(Name::Hsm));
    }

    #[test]
    fn a_name_is_cut_behind_the_signs_that_stand_before_it() {
        for name in ["-[to", "-\n[*\"to\":\"[x", "[]to[]", "\0-to]x", "\u{ff3b}to\u{ff3b}x", "[\u{e9}[to"] {
            assert_eq!(Spelled::of(name), Spelled::Nearly(Name::To), "{name:?}");
            assert!(is_near(name, "to"), "{name:?}");
        }
        for name in ["-[auto", "-[x[to", "to_[x"] {
            assert!(!matches!(Spelled::of(name), Spelled::Nearly(_)), "{name:?}");
        }
    }

    #[test]
    fn other_names_are_told_apart_by_how_plain_they_are() {
        for plain in ["context", "biz_opaque_callback_data", "x-y", "totals", "batch_id", "batches"] {
            assert_eq!(Spelled::of(plain), Spelled::Otherwise, "{plain}");
        }
        for strange in ["", "{\"a\":1}", "na\u{ef}ve", "a b"] {
            assert_eq!(Spelled::of(strange), Spelled::Strangely, "{strange}");
        }
    }

    #[test]
    fn every_name_that_ends_in_batch_is_near_it() {
        let long = "x".repeat(200) + "_batch";
        for name in ["asyncbatch", "adbatch", "AsyncBatch[]", "async batch", "ad_ba\u{200b}tch.", &long] {
            assert_eq!(Spelled::of(name), Spelled::Nearly(Name::Batch), "{name}");
        }
    }

    #[test]
    fn seeing_a_name_twice_is_told() {
        let mut seen = Seen::default();
        assert!(
            seen.insert(Name::To) && !seen.insert(Name::To) && seen.has_recipient() && !seen.has_payload()
        );
        for (name, _) in ALL {
            let mut one = Seen::default();
            one.insert(*name);
            assert_eq!(one.has_payload(), name.is_payload());
        }
    }
}
