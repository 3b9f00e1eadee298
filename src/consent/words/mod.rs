//! Opt-out words: what a whole message means when a person says no more than "stop" or "start".
//!
//! Owns the packs of words and how a message is compared with them. Knows neither where the message came from nor what follows from it.

mod opt_out;

use std::collections::{BTreeSet, HashMap};
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::canonical_combining_class;

pub use opt_out::{OptOut, Scope};

/// The packs, one row for each language and source.
const PACKS: &str = include_str!("packs.txt");
/// The source of events that rest on a word. A resume lifts a stop of its own source only.
pub const SAID: &str = "whatsapp:word";
/// A longer message says more than a word; its bytes are not even looked at.
const MAX_BYTES: usize = 256;

/// What a person wants who writes a word.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wish {
    /// No more messages.
    Stop,
    /// What was stopped may go on; grants nothing new.
    Resume,
}

/// The words that a tenant listens to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Words {
    /// By [`plain`] form.
    wishes: HashMap<Box<str>, Wish, ahash::RandomState>,
}

/// The tenant's changes to the packs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The languages whose packs are listened to; `None` is all of them.
    pub packs: Option<BTreeSet<String>>,
    /// More words that stop.
    pub stop: Vec<String>,
    /// More words that resume.
    pub resume: Vec<String>,
    /// Words of the packs that mean nothing in this tenant's conversations.
    pub ignore: Vec<String>,
}

/// One row of the packs.
#[derive(Clone, Copy, Debug)]
struct Row {
    language: &'static str,
    wish: Wish,
    on: bool,
    words: &'static str,
}

static BY_DEFAULT: LazyLock<Words> = LazyLock::new(|| Words::of_packs(|_| true));

impl Default for Words {
    fn default() -> Self {
        BY_DEFAULT.clone()
    }
}

impl Words {
    /// The packs with a tenant's changes. A word that both stops and resumes stops.
    pub fn new(changes: &Changes) -> Self {
        let mut words =
            Self::of_packs(|language| changes.packs.as_ref().is_none_or(|packs| packs.contains(language)));
        for word in &changes.ignore {
            words.wishes.remove(plain(word).as_str());
        }
        for word in &changes.resume {
            words.wishes.insert(plain(word).into(), Wish::Resume);
        }
        for word in &changes.stop {
            words.wishes.insert(plain(word).into(), Wish::Stop);
        }
        // A word of nothing but punctuation would be every sticker's meaning.
        words.wishes.remove("");
        words
    }

    /// The words that are on by default in the packs of some languages.
    fn of_packs(wanted: impl Fn(&str) -> bool) -> Self {
        let on = rows().filter(|row| row.on && wanted(row.language));
        let words = on.flat_map(|row| row.words.split(',').map(move |word| (plain(word).into(), row.wish)));
        Self { wishes: words.collect() }
    }

    /// What a whole message means; `None` for anything that says more than a word.
    pub fn wish(&self, message: &str) -> Option<Wish> {
        if message.len() > MAX_BYTES {
            return None;
        }
        self.wishes.get(plain(message).as_str()).copied()
    }
}

/// Whether a tenant's word can ever be a message: it has a letter or digit and is short enough.
pub fn is_word(text: &str) -> bool {
    text.len() <= MAX_BYTES && !plain(text).is_empty()
}

/// The languages that there are packs for.
pub fn languages() -> BTreeSet<&'static str> {
    rows().map(|row| row.language).collect()
}

/// Whether two texts are one word.
pub fn is_same_word(one: &str, other: &str) -> bool {
    plain(one) == plain(other)
}

/// The form in which words are compared: compatibility-decomposed, accents and case gone, letters and digits with single spaces between.
///
/// Turkish has an i with and one without a dot, and either may arrive as the capital of the other: both are read as `i`. Zero-width characters vanish; other
/// characters that are neither letters nor digits separate.
fn plain(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut gap = false;
    let shown = text.nfkd().filter(|c| canonical_combining_class(*c) == 0 && !is_invisible(*c));
    for c in shown.flat_map(char::to_lowercase).filter(|c| canonical_combining_class(*c) == 0) {
        if !c.is_alphanumeric() {
            gap = true;
            continue;
        }
        if gap && !plain.is_empty() {
            plain.push(' ');
        }
        gap = false;
        plain.push(if c == 'ı' { 'i' } else { c });
    }
    plain
}

/// Characters that show nothing and separate nothing: soft hyphen, Arabic tatweel, zero-width spaces and joiners, direction marks, variation selectors, BOM.
const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{0640}' | '\u{034F}' | '\u{061C}' | '\u{180E}' | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}'
        | '\u{2060}'..='\u{2064}' | '\u{2066}'..='\u{206F}' | '\u{FE00}'..='\u{FE0F}' | '\u{FEFF}' | '\u{20E3}')
}

fn rows() -> impl Iterator<Item = Row> {
    PACKS.lines().filter_map(row)
}

/// Reads `language | effect | on or off | words | source`.
fn row(line: &'static str) -> Option<Row> {
    let line = line.split('#').next()?;
    let mut cells = line.split('|').map(str::trim);
    let language = cells.next()?;
    let wish = match cells.next()? {
        "stop" => Wish::Stop,
        "resume" => Wish::Resume,
        _ => return None,
    };
    let on = cells.next()? == "on";
    let words = cells.next()?;
    // The source is for the reader of the file; a row without one is no row.
    cells.next().filter(|source| !source.is_empty())?;
    Some(Row { language, wish, on, words })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_of_the_packs_is_read_and_names_its_source() {
        let written = PACKS.lines().filter(|line| !line.starts_with('#') && !line.trim().is_empty());
        assert_eq!(written.clone().count(), rows().count());
        assert!(written.clone().all(|line| ["on", "off"].contains(&line.split('|').nth(2).unwrap().trim())));
        assert!(rows().all(|row| row.words.split(',').all(is_word)));
        for language in ["en", "es", "pt", "fr", "de", "it", "nl", "hi", "id", "ar", "tr", "ru"] {
            for wish in ["stop", "resume"] {
                let of = |line: &&str| line.starts_with(language) && line.contains(wish);
                assert!(written.clone().any(|line| of(&line)), "{language} {wish}");
            }
        }
    }

    #[test]
    fn no_word_both_stops_and_resumes() {
        let mut seen = HashMap::new();
        for row in rows() {
            for word in row.words.split(',') {
                assert!(seen.insert(plain(word), row.wish).is_none_or(|wish| wish == row.wish), "{word}");
            }
        }
    }

    #[test]
    fn a_word_is_understood_however_it_is_typed() {
        let words = Words::default();
        for message in [
            "stop",
            "STOP",
            " Stop. ",
            "STOP!!!",
            "«Stop»",
            "ＳＴＯＰ",
            "s\u{200B}top",
            "🛑 STOP 🛑",
            "𝗦𝗧𝗢𝗣",
            "Opt-Out",
            "opt\u{A0}out",
            "Stop promotions",
            "ARRÊT",
            "arret",
            "Arre\u{302}t",
            "Désabonnement",
            "إيقاف",
            "ايقاف",
            "إيـقاف",
            "إِيقَاف",
            "बंद करो",
            "बंद करो।",
            "СТОП",
            "İPTAL",
            "iptal",
            "ıptal",
            "IPTAL",
            "Abonelıği iptal et",
            "darme  de\nbaja",
            "REVOKE",
            "Cancel",
        ] {
            assert_eq!(words.wish(message), Some(Wish::Stop), "{message}");
        }
        for message in ["START", "unstop", "Resume promotions", "ابدأ", "возобновить"] {
            assert_eq!(words.wish(message), Some(Wish::Resume), "{message}");
        }
    }

    #[test]
    fn a_message_that_says_more_than_a_word_is_none() {
        let words = Words::default();
        let long = format!("stop{}", " ".repeat(MAX_BYTES));
        for message in [
            "We have got to STOP this bill",
            "don't stop",
            "stop stop",
            "stopping",
            "yes",
            "no",
            "",
            "!!!",
            "🛑",
            "please cancel my order",
            "sto p",
            &long,
        ] {
            assert_eq!(words.wish(message), None, "{message}");
        }
    }

    #[test]
    fn a_tenant_changes_the_packs() {
        let changes = Changes {
            stop: vec!["No más".into(), "yes".into(), "🛑".into()],
            resume: vec!["yes".into(), "hola".into()],
            ignore: vec!["CANCEL".into(), "end".into()],
            packs: None,
        };
        let words = Words::new(&changes);
        for (message, wish) in [
            ("no mas", Some(Wish::Stop)),
            ("yes", Some(Wish::Stop)),
            ("Hola!", Some(Wish::Resume)),
            ("cancel", None),
            ("End", None),
            ("stop", Some(Wish::Stop)),
            ("🛑", None),
            ("", None),
        ] {
            assert_eq!(words.wish(message), wish, "{message}");
        }
    }

    #[test]
    fn a_tenant_listens_to_the_languages_that_it_chose() {
        let words =
            Words::new(&Changes { packs: Some(BTreeSet::from(["de".to_owned()])), ..Changes::default() });
        for (message, wish) in [
            ("Abmelden", Some(Wish::Stop)),
            ("wieder anmelden", Some(Wish::Resume)),
            ("stop", None),
            ("arrêt", None),
        ] {
            assert_eq!(words.wish(message), wish, "{message}");
        }
        assert!(languages().contains("de"));
    }
}
