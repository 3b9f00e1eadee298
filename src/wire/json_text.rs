//! Text and numbers of JSON that is written by hand, where a general serializer costs more than what it writes.

/// Writes text as it stands between the quotes of a JSON string (RFC 8259, section 7). Text without anything to escape is copied.
pub fn push(text: &str, out: &mut Vec<u8>) {
    // Not ended at the first: many bytes at a time are sooner looked at than one after another.
    let is_escaped = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if !text.bytes().fold(false, |any, byte| any | is_escaped(byte)) {
        return out.extend_from_slice(text.as_bytes());
    }
    let quoted = serde_json::Value::from(text).to_string();
    let inside = quoted.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')).unwrap_or_default();
    out.extend_from_slice(inside.as_bytes());
}

/// Writes a number in decimal.
pub fn push_number(mut number: usize, out: &mut Vec<u8>) {
    let mut digits = [b'0'; MOST_DIGITS];
    let mut begin = MOST_DIGITS;
    for (at, digit) in digits.iter_mut().enumerate().rev() {
        // Always below ten.
        *digit += u8::try_from(number % 10).unwrap_or_default();
        number /= 10;
        if number == 0 {
            begin = at;
            break;
        }
    }
    out.extend_from_slice(digits.get(begin..).unwrap_or_default());
}

/// Of the largest number.
const MOST_DIGITS: usize = usize::MAX.ilog10() as usize + 1;

#[cfg(test)]
mod tests {
    use super::{push, push_number};

    #[test]
    fn a_number_is_written_as_it_is_displayed() {
        for number in [0, 1, 9, 10, 100, 131_030, 1_234_567_890, usize::MAX - 1, usize::MAX] {
            let mut out = b"#".to_vec();
            push_number(number, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), format!("#{number}"));
        }
    }

    #[test]
    fn what_is_pushed_reads_back() {
        for text in ["", "plain", "Zürich ", "a \"b\" \\ c", "\u{0}\n\t\u{1f}", "\\", "\"", "end\\\""] {
            let mut out = b"\"".to_vec();
            push(text, &mut out);
            out.push(b'"');
            assert_eq!(serde_json::from_slice::<String>(&out).unwrap(), text);
        }
    }
}
