//! Reads single JSON values at a position, eight or sixteen bytes at a time.
//!
//! Every function checks each byte that it passes and answers `None` for whatever it is not sure of: the caller
//! then hands the whole line to the slow reader, which knows the cause. What is accepted here, the slow reader
//! accepts with the same value.

use modrun_core::value::timestamp;
use wide::i8x16;

/// The deepest nesting inside the object of a line: serde_json allows 127 levels, the object included.
pub(super) const DEPTH_MAX: u32 = 126;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The eight bytes at `at`, the first one lowest; `None` near the end of the text.
#[inline(always)]
pub(super) fn word(text: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(*text.get(at..)?.first_chunk()?))
}

/// A bit for each of sixteen bytes that a string cannot simply pass: quote, backslash, control characters, non-ASCII.
#[inline(always)]
fn stops(chunk: &[u8; 16]) -> u32 {
    let bytes = i8x16::new(chunk.map(|byte| byte as i8));
    // As signed numbers, non-ASCII bytes are negative.
    let other = bytes.simd_lt(i8x16::splat(b' ' as i8));
    (bytes.simd_eq(i8x16::splat(b'"' as i8)) | bytes.simd_eq(i8x16::splat(b'\\' as i8)) | other).to_bitmask()
}

/// How many plain bytes stand at `at`, sixteen at most.
#[inline(always)]
fn plain_bytes(text: &[u8], at: usize) -> Option<usize> {
    Some((stops(text.get(at..)?.first_chunk()?) | 1 << 16).trailing_zeros() as usize)
}

/// Reads a string whose opening quote is just before `at`; gives its text and the position after the closing quote.
#[inline(always)]
pub(super) fn string<'a>(text: &'a [u8], at: usize, scratch: &'a mut Vec<u8>) -> Option<(&'a [u8], usize)> {
    let end = at + plain_bytes(text, at)?;
    if *text.get(end)? == b'"' {
        return Some((&text[at..end], end + 1));
    }
    scratch.clear();
    let end = long_string(text, at, end, scratch)?;
    let decoded = if scratch.is_empty() { &text[at..end] } else { scratch };
    Some((decoded, end + 1))
}

/// Checks a string whose opening quote is just before `at`; gives the position after the closing quote.
#[inline(always)]
pub(super) fn skip_string(text: &[u8], at: usize) -> Option<usize> {
    let end = at + plain_bytes(text, at)?;
    if *text.get(end)? == b'"' {
        return Some(end + 1);
    }
    Some(long_string(text, at, end, &mut Discard)? + 1)
}

/// Where the text of a string with escapes goes.
trait Decoded {
    fn text(&mut self, text: &[u8]);
    fn character(&mut self, character: char);
}

impl Decoded for Vec<u8> {
    fn text(&mut self, text: &[u8]) {
        self.extend_from_slice(text);
    }
    fn character(&mut self, character: char) {
        match u8::try_from(character) {
            Ok(byte) if byte.is_ascii() => self.push(byte),
            _ => self.extend_from_slice(character.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
}

/// Nowhere: the string is only checked.
struct Discard;

impl Decoded for Discard {
    fn text(&mut self, _: &[u8]) {}
    fn character(&mut self, _: char) {}
}

/// Goes on at `from` in a string that starts at `at`; gives the position of its closing quote.
///
/// Without escapes nothing goes to `decoded`, with any the whole text does.
#[inline(never)]
fn long_string(text: &[u8], at: usize, mut from: usize, decoded: &mut impl Decoded) -> Option<usize> {
    let (mut run, mut ascii) = (at, true);
    loop {
        let plain = plain_bytes(text, from)?;
        from += plain;
        if plain == 16 {
            continue;
        }
        match text[from] {
            b'"' => break,
            b'\\' => {
                decoded.text(&text[run..from]);
                let (character, after) = escape(text, from + 1)?;
                decoded.character(character);
                (run, from) = (after, after);
            }
            0x80.. => {
                ascii = false;
                from += 1;
            }
            _ => return None,
        }
    }
    if run != at {
        decoded.text(&text[run..from]);
    }
    if !ascii {
        std::str::from_utf8(&text[at..from]).ok()?;
    }
    Some(from)
}

/// The character of an escape, whose backslash is just before `at`, and the position after it.
#[inline(always)]
fn escape(text: &[u8], at: usize) -> Option<(char, usize)> {
    let character = match *text.get(at)? {
        b'u' => return unicode_escape(text, at + 1),
        same @ (b'"' | b'\\' | b'/') => same as char,
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        _ => return None,
    };
    Some((character, at + 1))
}

/// The character of an escape after its `\u`; surrogates only in pairs.
#[inline(always)]
fn unicode_escape(text: &[u8], at: usize) -> Option<(char, usize)> {
    let first = hex4(text, at)?;
    if !(0xd800..0xe000).contains(&first) {
        return Some((char::from_u32(first)?, at + 4));
    }
    if !text.get(at + 4..)?.starts_with(b"\\u") {
        return None;
    }
    let second = hex4(text, at + 6)?;
    if !(0xdc00..0xe000).contains(&second) {
        return None;
    }
    // A second half in the first place makes a number beyond the last character.
    Some((char::from_u32(0x10000 + ((first - 0xd800) << 10) + (second - 0xdc00))?, at + 10))
}

#[inline(always)]
fn hex4(text: &[u8], at: usize) -> Option<u32> {
    let digits: &[u8; 4] = text.get(at..)?.first_chunk()?;
    digits.iter().try_fold(0, |value, &digit| Some(value << 4 | (digit as char).to_digit(16)?))
}

/// Reads an integer of at most 18 digits; gives it and the position after it.
#[inline(always)]
pub(super) fn integer(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let first = word(text, at)?;
    let (digits, count) = leading_digits(first);
    let leading_zero = first as u8 == b'0' && count > 1;
    if count.wrapping_sub(1) < 7 && !leading_zero {
        return Some((eight_digits(digits << (64 - 8 * count)) as i64, at + count));
    }
    let (more, count_of_more) = leading_digits(word(text, at + 8)?);
    if count == 8 && count_of_more < 8 && !leading_zero {
        // In two steps, as a word cannot be shifted out whole.
        let low = eight_digits(more << 8 << (56 - 8 * count_of_more));
        let value = eight_digits(digits) * POWERS_OF_TEN[count_of_more] + low;
        return Some((value as i64, at + 8 + count_of_more));
    }
    odd_integer(text, at)
}

const POWERS_OF_TEN: [u64; 8] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000];

/// Checks a number of any kind; gives the position after it.
#[inline(always)]
pub(super) fn skip_number(text: &[u8], at: usize) -> Option<usize> {
    match integer(text, at) {
        Some((_, end)) if !matches!(text.get(end), Some(b'.' | b'e' | b'E')) => Some(end),
        _ => float(text, at).map(|(_, end)| end),
    }
}

/// The first bytes of a word as digit values, and how many of them are digits.
#[inline(always)]
fn leading_digits(w: u64) -> (u64, usize) {
    let digits = w ^ (ONES * b'0' as u64);
    let other = (digits | (digits & !HIGH).wrapping_add(ONES * 0x76)) & HIGH;
    (digits, other.trailing_zeros() as usize / 8)
}

/// The number that eight digit values spell, the first one lowest (D. Lemire, *Quickly parsing eight digits*, 2018).
#[inline(always)]
fn eight_digits(digits: u64) -> u64 {
    let pairs = digits.wrapping_mul(10).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00ff_0000_00ff).wrapping_mul(0x000f_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00ff_0000_00ff).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// An integer that is negative, long or none.
#[inline(never)]
fn odd_integer(text: &[u8], at: usize) -> Option<(i64, usize)> {
    let negative = text[at] == b'-';
    let start = at + negative as usize;
    let digits = text[start..].iter().take(19).take_while(|b| b.is_ascii_digit()).count();
    let number = &text[start..start + digits];
    if digits == 0 || digits > 18 || (digits > 1 && number[0] == b'0') {
        return None;
    }
    let magnitude = number.iter().fold(0, |value, &d| value * 10 + (d - b'0') as i64);
    if negative && magnitude == 0 {
        return None; // `-0` is a float
    }
    Some((if negative { -magnitude } else { magnitude }, start + digits))
}

/// Reads a number as a float; gives it and the position after it.
pub(super) fn float(text: &[u8], at: usize) -> Option<(f64, usize)> {
    let end = number_end(text, at)?;
    let value: f64 = std::str::from_utf8(&text[at..end]).ok()?.parse().ok()?;
    value.is_finite().then_some((value, end))
}

/// The position after a number of JSON's grammar.
fn number_end(text: &[u8], at: usize) -> Option<usize> {
    let digits = |from: usize| from + text[from..].iter().take_while(|b| b.is_ascii_digit()).count();
    let start = at + (*text.get(at)? == b'-') as usize;
    let mut end = digits(start);
    if end == start || (text[start] == b'0' && end > start + 1) {
        return None;
    }
    if text.get(end) == Some(&b'.') {
        let fraction = end + 1;
        end = digits(fraction);
        if end == fraction {
            return None;
        }
    }
    if matches!(text.get(end), Some(b'e' | b'E')) {
        let exponent = end + 1 + matches!(text.get(end + 1), Some(b'+' | b'-')) as usize;
        end = digits(exponent.min(text.len()));
        if end <= exponent {
            return None;
        }
    }
    Some(end)
}

/// Reads `true` or `false`; gives it and the position after it.
#[inline(always)]
pub(super) fn boolean(text: &[u8], at: usize) -> Option<(bool, usize)> {
    let rest = text.get(at..)?;
    if rest.starts_with(b"true") {
        return Some((true, at + 4));
    }
    rest.starts_with(b"false").then_some((false, at + 5))
}

/// Checks a value of any type without keeping it; gives the position after it.
pub(super) fn skip(text: &[u8], at: usize, depth: u32) -> Option<usize> {
    match *text.get(at)? {
        b'"' => skip_string(text, at + 1),
        b'{' => skip_members(text, at + 1, depth, b'}'),
        b'[' => skip_members(text, at + 1, depth, b']'),
        b't' | b'f' => boolean(text, at).map(|(_, end)| end),
        b'n' => text[at..].starts_with(b"null").then_some(at + 4),
        _ => skip_number(text, at),
    }
}

/// Checks the members of an object (`close` is `}`) or the elements of an array, after the opening bracket.
fn skip_members(text: &[u8], at: usize, depth: u32, close: u8) -> Option<usize> {
    let depth = depth.checked_sub(1)?;
    let mut at = blanks(text, at);
    if *text.get(at)? == close {
        return Some(at + 1);
    }
    loop {
        if close == b'}' {
            if *text.get(at)? != b'"' {
                return None;
            }
            at = blanks(text, skip_string(text, at + 1)?);
            if *text.get(at)? != b':' {
                return None;
            }
            at = blanks(text, at + 1);
        }
        at = blanks(text, skip(text, at, depth)?);
        match *text.get(at)? {
            b',' => at = blanks(text, at + 1),
            end if end == close => return Some(at + 1),
            _ => return None,
        }
    }
}

/// The position after white space; a newline ends the line and is none.
#[inline(always)]
pub(super) fn blanks(text: &[u8], mut at: usize) -> usize {
    while matches!(text.get(at), Some(b' ' | b'\t' | b'\r')) {
        at += 1;
    }
    at
}

/// The microseconds of a timestamp's hour, which most neighbours share.
pub(super) struct HourCache {
    prefix: [u64; 2],
    start: i64,
}

impl Default for HourCache {
    /// Holds a prefix that no text has: its words overlap by two bytes and disagree on them.
    fn default() -> Self {
        Self { prefix: [0, u64::MAX], start: 0 }
    }
}

impl HourCache {
    /// Reads a timestamp whose opening quote is just before `at`; gives it and the position after its closing quote.
    #[inline(always)]
    pub(super) fn timestamp(
        &mut self,
        text: &[u8],
        at: usize,
        scratch: &mut Vec<u8>,
    ) -> Option<(i64, usize)> {
        // `2026-01-01T00:MM:SS.mmmZ"`: the first fourteen bytes as two words that overlap, then eleven of our own.
        let prefix = [word(text, at)?, word(text, at + 6)?];
        let tail = word(text, at + 17)?;
        if prefix == self.prefix
            && tail >> 48 == u64::from_le_bytes(*b"Z\"\0\0\0\0\0\0")
            && let Some(micros) = minute_to_milli(word(text, at + 14)?, (tail >> 40) as u8)
        {
            return Some((self.start + micros, at + 25));
        }
        self.any_timestamp(text, at, prefix, scratch)
    }

    #[inline(never)]
    fn any_timestamp(
        &mut self,
        text: &[u8],
        at: usize,
        prefix: [u64; 2],
        scratch: &mut Vec<u8>,
    ) -> Option<(i64, usize)> {
        let (content, end) = string(text, at, scratch)?;
        let micros = timestamp::parse(content)?;
        let plain = end == at + 25;
        if plain && content.len() == 24 && content.ends_with(b"Z") {
            *self = Self { prefix, start: micros - micros.rem_euclid(3_600_000_000) };
        }
        Some((micros, end))
    }
}

/// The microseconds of `MM:SS.mm` and one more digit.
#[inline(always)]
fn minute_to_milli(w: u64, last: u8) -> Option<i64> {
    let x = w ^ u64::from_le_bytes(*b"00:00.00");
    // A digit may be up to 9, a separator nothing but itself.
    let bound = u64::from_le_bytes([0x76, 0x76, 0x7f, 0x76, 0x76, 0x7f, 0x76, 0x76]);
    let last = last.wrapping_sub(b'0');
    if (x | (x & !HIGH).wrapping_add(bound)) & HIGH != 0 || last > 9 {
        return None;
    }
    let digit = |n: u32| (x >> (8 * n) & 0xf) as i64;
    let (minute, second) = (digit(0) * 10 + digit(1), digit(3) * 10 + digit(4));
    let milli = digit(6) * 100 + digit(7) * 10 + last as i64;
    (minute < 60 && second < 60).then_some((minute * 60 + second) * 1_000_000 + milli * 1000)
}
