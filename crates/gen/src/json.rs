//! JSON strings.

/// Appends `text` as a JSON string, escaping only what has to be.
pub(crate) fn append_string(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    text.chars().for_each(|c| append_char(c, out));
    out.push(b'"');
}

/// Appends `text` as a JSON string in which the character number `escaped` is a `\u` escape.
pub(crate) fn append_string_escaping(text: &str, escaped: usize, out: &mut Vec<u8>) {
    out.push(b'"');
    for (index, c) in text.chars().enumerate() {
        if index == escaped {
            append_escape(c, out);
        } else {
            append_char(c, out);
        }
    }
    out.push(b'"');
}

pub(crate) fn append_number(n: impl itoa::Integer, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(n).as_bytes());
}

/// Appends the last member of an event's metadata, where it has one.
pub(crate) fn append_padding(padding: &str, out: &mut Vec<u8>) {
    if !padding.is_empty() {
        out.extend_from_slice(br#","padding":"#);
        append_string(padding, out);
    }
}

fn append_char(c: char, out: &mut Vec<u8>) {
    match c {
        '"' | '\\' => out.extend([b'\\', c as u8]),
        '\0'..='\u{1f}' => append_escape(c, out),
        _ => out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
    }
}

/// Appends `c` as `\uXXXX`, twice if it needs a surrogate pair.
fn append_escape(c: char, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    for &mut unit in c.encode_utf16(&mut [0; 2]) {
        let digit = |shift: u16| HEX[usize::from(unit >> shift & 0xf)];
        out.extend([b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_escape_what_json_asks_for() {
        let check = |text: &str, expected: &str| {
            let mut out = Vec::new();
            append_string(text, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check("", r#""""#);
        check("a\"b\\c/é😀\u{7f}", "\"a\\\"b\\\\c/é😀\u{7f}\"");
        check("\0\n\u{1f}", r#""\u0000\u000a\u001f""#);
    }

    #[test]
    fn one_character_can_be_escaped() {
        let check = |escaped: usize, expected: &str| {
            let mut out = Vec::new();
            append_string_escaping("ab😀", escaped, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), expected);
        };
        check(1, r#""a\u0062😀""#);
        check(2, r#""ab\ud83d\ude00""#);
        check(3, r#""ab😀""#);
    }
}
