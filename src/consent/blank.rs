//! Text that shows nothing, whatever it is made of.

/// Whether a reader would see nothing: white space, controls, and characters without a shape of their own.
pub fn is_blank(text: &str) -> bool {
    text.chars().all(|c| c.is_whitespace() || c.is_control() || is_invisible(c))
}

/// Unicode's default-ignorable code points, and the few others that are drawn as nothing (the Hangul and Braille blanks, interlinear marks).
///
/// Source: Unicode 16, DerivedCoreProperties.txt, Default_Ignorable_Code_Point.
pub const fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{00AD}' | '\u{034F}' | '\u{061C}' | '\u{115F}'..='\u{1160}' | '\u{17B4}'..='\u{17B5}' | '\u{180B}'..='\u{180F}'
        | '\u{200B}'..='\u{200F}' | '\u{202A}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{2800}' | '\u{3164}' | '\u{FE00}'..='\u{FE0F}'
        | '\u{FEFF}' | '\u{FFA0}' | '\u{FFF0}'..='\u{FFFB}' | '\u{1BCA0}'..='\u{1BCA3}' | '\u{1D173}'..='\u{1D17A}'
        | '\u{E0000}'..='\u{E0FFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_shows_nothing_is_blank_and_the_least_sign_is_not() {
        for text in [
            "",
            " \t\r\n",
            "\u{200B}",
            "\u{a0}\u{2003}",
            "\u{FEFF}\u{2060}",
            "\u{3164}\u{115F}",
            "\u{2800}",
            "\0\u{1b}",
            "\u{E0041}",
        ] {
            assert!(is_blank(text), "{text:?}");
        }
        for text in [".", "\u{200B}a", "是", "👍\u{FE0F}", "ـ"] {
            assert!(!is_blank(text), "{text:?}");
        }
    }
}
