//! Scalars: what a plain one means, and where a part of a text stands in its source.

use std::iter::Peekable;
use std::ops::Range;
use std::str::CharIndices;

use serde_json::{Number, Value as Json};

/// What a plain scalar means by the [core schema](https://yaml.org/spec/1.2.2/#103-core-schema) of YAML 1.2.
///
/// `.inf` and `.nan` stay texts, as JSON has no such numbers, and so `no` and `on` do.
pub(crate) fn resolve(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => Json::Null,
        "true" | "True" | "TRUE" => Json::Bool(true),
        "false" | "False" | "FALSE" => Json::Bool(false),
        _ => number(text).map_or_else(|| Json::String(text.to_owned()), Json::Number),
    }
}

fn number(text: &str) -> Option<Number> {
    if let Some(octal) = text.strip_prefix("0o") {
        return digits(octal).then(|| u64::from_str_radix(octal, 8).ok()).flatten().map(Number::from);
    }
    if let Some(hex) = text.strip_prefix("0x") {
        let hexadecimal = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
        return hexadecimal.then(|| u64::from_str_radix(hex, 16).ok()).flatten().map(Number::from);
    }
    let unsigned = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits(unsigned) {
        let whole = text.strip_prefix('+').unwrap_or(text);
        let exact =
            whole.parse::<i64>().map(Number::from).or_else(|_| whole.parse::<u64>().map(Number::from));
        return exact.ok().or_else(|| float(text));
    }
    let (mantissa, exponent) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
    let (before, after) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    let well_formed = digits(&format!("{before}{after}"))
        && (!before.is_empty() || mantissa.starts_with('.'))
        && digits(exponent.strip_prefix(['-', '+']).unwrap_or(exponent));
    well_formed.then(|| float(text)).flatten()
}

/// The nearest finite number.
fn float(text: &str) -> Option<Number> {
    text.parse().ok().and_then(Number::from_f64)
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// The bytes of `source`, a scalar as written, that stand for the bytes `within` of its `text`.
///
/// `None` for a quoted one over several lines.
pub(crate) fn locate(source: &str, text: &str, within: &Range<usize>) -> Option<Range<usize>> {
    let (start, end) = (within.start.min(text.len()), within.end.min(text.len()));
    let map = match source.as_bytes().first()? {
        _ if source == text => return Some(start..end.max(start)),
        b'\'' => offsets(source, text, single_quoted)?,
        b'"' => offsets(source, text, double_quoted)?,
        _ => offsets_between_blanks(source, text)?,
    };
    Some(map[start]..map[end.max(start)])
}

/// A character of a quoted scalar, read from its source; `None` at the closing quote or a broken escape.
type NextCharacter = fn(&mut Peekable<CharIndices<'_>>) -> Option<char>;

/// For each byte of `text`, and its end, where it stands in `source`.
fn offsets(source: &str, text: &str, next: NextCharacter) -> Option<Vec<usize>> {
    let mut characters = source.char_indices().peekable();
    characters.next();
    let mut map = Vec::with_capacity(text.len() + 1);
    for expected in text.chars() {
        let at = characters.peek()?.0;
        if next(&mut characters)? != expected {
            return None;
        }
        map.extend(std::iter::repeat_n(at, expected.len_utf8()));
    }
    map.push(characters.peek()?.0);
    Some(map)
}

/// As [`offsets`], for plain and block scalars over several lines: they differ from their text in blanks alone.
fn offsets_between_blanks(source: &str, text: &str) -> Option<Vec<usize>> {
    let mut written = source.char_indices().filter(|(_, c)| !c.is_whitespace());
    let mut map = Vec::with_capacity(text.len() + 1);
    let mut end = 0;
    for expected in text.chars() {
        let mut at = end;
        if !expected.is_whitespace() {
            at = written.next().filter(|(_, character)| *character == expected)?.0;
            end = at + expected.len_utf8();
        }
        map.extend(std::iter::repeat_n(at, expected.len_utf8()));
    }
    map.push(end);
    Some(map)
}

fn single_quoted(characters: &mut Peekable<CharIndices<'_>>) -> Option<char> {
    match characters.next()?.1 {
        '\'' => characters.next_if(|(_, c)| *c == '\'').map(|(_, c)| c),
        other => Some(other),
    }
}

fn double_quoted(characters: &mut Peekable<CharIndices<'_>>) -> Option<char> {
    let escaped = match characters.next()?.1 {
        '\\' => characters.next()?.1,
        '"' => return None,
        other => return Some(other),
    };
    let mut hexadecimal = |digits: usize| -> Option<char> {
        let mut code = 0;
        for _ in 0..digits {
            code = code * 16 + characters.next()?.1.to_digit(16)?;
        }
        char::from_u32(code)
    };
    // The escapes of YAML 1.2.2, section 5.7.
    Some(match escaped {
        '0' => '\0',
        'a' => '\x07',
        'b' => '\x08',
        't' | '\t' => '\t',
        'n' => '\n',
        'v' => '\x0b',
        'f' => '\x0c',
        'r' => '\r',
        'e' => '\x1b',
        'N' => '\u{85}',
        '_' => '\u{a0}',
        'L' => '\u{2028}',
        'P' => '\u{2029}',
        'x' => hexadecimal(2)?,
        'u' => hexadecimal(4)?,
        'U' => hexadecimal(8)?,
        other => other,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn plain_scalars_follow_the_core_schema() {
        for (text, value) in [
            ("", json!(null)),
            ("~", json!(null)),
            ("true", json!(true)),
            ("no", json!("no")),
            ("0", json!(0)),
            ("010", json!(10)),
            ("+7", json!(7)),
            ("-7", json!(-7)),
            ("0o17", json!(15)),
            ("0x1F", json!(31)),
            ("18446744073709551615", json!(u64::MAX)),
            ("1.5", json!(1.5)),
            (".5", json!(0.5)),
            ("1.", json!(1.0)),
            ("1e3", json!(1000.0)),
            ("-1.5E-3", json!(-0.0015)),
            (".", json!(".")),
            ("-", json!("-")),
            ("+-1", json!("+-1")),
            ("e5", json!("e5")),
            ("1e", json!("1e")),
            (".nan", json!(".nan")),
            (".inf", json!(".inf")),
            ("inf", json!("inf")),
            ("1e999", json!("1e999")),
            ("1_000", json!("1_000")),
            ("12:30", json!("12:30")),
            ("2026-01-01", json!("2026-01-01")),
        ] {
            assert_eq!(resolve(text), value, "{text}");
        }
    }

    #[test]
    fn a_part_of_a_text_is_found_in_its_source() {
        for (source, text, within, found) in [
            ("a == b", "a == b", 5..6, Some(5..6)),
            ("'a == ''b'''", "a == 'b'", 5..8, Some(6..11)),
            (r#""a\t== \u00e9 x""#, "a\t== é x", 8..9, Some(14..15)),
            (r#""é \"b\"""#, "é \"b\"", 3..6, Some(4..9)),
            ("'ab'", "ab", 2..2, Some(3..3)),
            ("ab", "ab", 1..99, Some(1..2)),
            ("'a\n b'", "a b", 2..3, None),
            ("a\n  == é\n", "a == é\n", 5..7, Some(7..9)),
            ("a\r\n  b", "a b", 3..3, Some(6..6)),
            ("\"a b", "a c", 2..3, None),
        ] {
            assert_eq!(locate(source, text, &within), found, "{source}");
        }
    }
}
