//! From bytes to text: the encodings and escapes that somebody might undo before reading parameters.

/// Every text that some bytes could be, given what a content type says of them.
pub(crate) fn texts(bytes: &[u8], content_type: &str) -> Vec<String> {
    let mut texts = vec![String::from_utf8_lossy(bytes).trim_start_matches('\u{feff}').to_owned()];
    let told =
        ["utf-16", "utf16", "ucs-2", "ucs2", "utf-32", "unicode"].iter().any(|c| content_type.contains(c));
    let looks = bytes.starts_with(&[0xfe, 0xff])
        || bytes.starts_with(&[0xff, 0xfe])
        || bytes.iter().take(8).any(|byte| *byte == 0);
    if told || looks {
        for read in [u16::from_le_bytes as fn([u8; 2]) -> u16, u16::from_be_bytes] {
            let units: Vec<u16> = bytes.chunks_exact(2).map(|pair| read([pair[0], pair[1]])).collect();
            let text = String::from_utf16_lossy(&units);
            texts.push(text.trim_start_matches('\u{feff}').replace('\0', ""));
        }
    }
    texts
}

/// Whether the bytes are compressed in a way that anybody would recognize.
pub(crate) fn is_compressed(bytes: &[u8]) -> bool {
    [&[0x1f, 0x8b][..], &[0x28, 0xb5, 0x2f, 0xfd]].iter().any(|magic| bytes.starts_with(magic))
}

/// Undoes `+` and percent escapes once; a broken escape stays as it is.
pub(crate) fn unescape(text: &str, plus: bool) -> String {
    let bytes = text.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while at < bytes.len() {
        let hex = bytes.get(at + 1..at + 3).and_then(|hex| std::str::from_utf8(hex).ok());
        let escaped = hex.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        if let Some(byte) = escaped {
            out.push(byte);
            at += 3;
        } else {
            out.push(if plus && bytes[at] == b'+' { b' ' } else { bytes[at] });
            at += 1;
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

/// Full-width forms and the two letters that fold into ASCII, in lower case.
pub(crate) fn folded(text: &str) -> String {
    let narrow = |c: char| match c {
        '\u{ff01}'..='\u{ff5e}' => char::from_u32(u32::from(c) - 0xfee0).unwrap_or(c),
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => c,
    };
    text.chars().map(narrow).filter(|c| !is_invisible(*c)).collect::<String>().to_ascii_lowercase()
}

fn is_invisible(c: char) -> bool {
    matches!(c, '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}' | '\u{feff}' | '\u{ad}')
}

/// What base64 holds, letters of other alphabets skipped.
pub(crate) fn from_base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => Some(c - b'A'),
        b'a'..=b'z' => Some(c - b'a' + 26),
        b'0'..=b'9' => Some(c - b'0' + 52),
        b'+' | b'-' => Some(62),
        b'/' | b'_' => Some(63),
        _ => None,
    };
    let digits: Vec<u8> = text.bytes().filter_map(digit).collect();
    let whole = |chunk: &[u8]| {
        let bits = chunk.iter().fold(0_u32, |bits, digit| bits << 6 | u32::from(*digit));
        let bits = bits << (6 * (4 - chunk.len()));
        bits.to_be_bytes()[1..chunk.len()].to_vec()
    };
    digits.chunks(4).flat_map(whole).collect()
}

/// What quoted-printable holds.
pub(crate) fn from_quoted_printable(text: &str) -> String {
    unescape(&text.replace("=\r\n", "").replace("=\n", "").replace('%', "=25").replace('=', "%"), false)
}
