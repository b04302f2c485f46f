//! What a real feed contains besides well-formed lines, one kind of dirt at a time.
//!
//! Some kinds are still events to a careful reader (reordered keys, escapes, white space), some are not (broken
//! JSON, invalid UTF-8), and some are what the reader's rules make of them (duplicate keys). [`Kind::append`] makes a
//! line of one kind; the generator picks kinds uniformly.
//!
//! A dirty line never contains a newline before its end, so that the lines around it keep their numbers.

use crate::json::{append_number, append_padding, append_string};
use crate::{Error, Rng};

/// Tells the dirty lines' stream from the events', given the same seed: an arbitrary constant.
const DIRTY_STREAM: u32 = 0xD1F7_1135;

/// One kind of dirty line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Kind {
    /// An event with its keys in another order.
    ReorderedKeys,
    /// An event with one to three more members: scalars, and objects and arrays nested up to eight deep.
    ExtraFields,
    /// An event without one of `ts`, `type`, `user` and `value`.
    MissingField,
    /// An event with `\n`, `\u00e9`, a surrogate pair and other escapes in its type or user.
    Escapes,
    /// An event with two, three and four bytes of UTF-8 to a character in its type or user.
    NonAscii,
    /// An event whose value is a string, `"42"`.
    NumberAsString,
    /// An event with `null` for one of its fields.
    NullValue,
    /// An event whose value is a whole number beyond 64 bits.
    IntOverflow,
    /// An event whose value is written as a float: `42.0`, `4.2e1`, `42.5`.
    FloatForInt,
    /// An event with half of a surrogate pair, `\ud83d`, in its user.
    LoneSurrogate,
    /// An event with one of its keys a second time, with another value.
    DuplicateKeys,
    /// An event with spaces, tabs and carriage returns around its tokens.
    Whitespace,
    /// The beginning of an event.
    Truncated,
    /// An event with a comma before its closing brace.
    TrailingComma,
    /// An event with one to three bytes of ASCII in the wrong place, control characters included.
    StrayBytes,
    /// An event with bytes that are no UTF-8 in one of its strings.
    InvalidUtf8,
    /// Nothing at all.
    Empty,
    /// An event whose line ends with `\r\n`.
    Crlf,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 18] = [
        Self::ReorderedKeys,
        Self::ExtraFields,
        Self::MissingField,
        Self::Escapes,
        Self::NonAscii,
        Self::NumberAsString,
        Self::NullValue,
        Self::IntOverflow,
        Self::FloatForInt,
        Self::LoneSurrogate,
        Self::DuplicateKeys,
        Self::Whitespace,
        Self::Truncated,
        Self::TrailingComma,
        Self::StrayBytes,
        Self::InvalidUtf8,
        Self::Empty,
        Self::Crlf,
    ];

    /// Appends `event` to `out` as a line of this kind, its newline included, drawing the details from `rng`.
    pub fn append(self, event: &Event<'_>, rng: &mut Rng, out: &mut Vec<u8>) {
        let mut line = self.line(event, rng);
        line.push(b'\n');
        out.append(&mut line);
    }

    fn line(self, event: &Event<'_>, rng: &mut Rng) -> Vec<u8> {
        let mut members = event.members();
        match self {
            Self::ReorderedKeys => reorder(&mut members, rng),
            Self::ExtraFields => add_fields(&mut members, rng),
            Self::MissingField => drop(members.remove(rng.index(FIELDS))),
            Self::Escapes => add_to_string(&mut members, rng.pick(&ESCAPES), rng),
            Self::NonAscii => add_to_string(&mut members, rng.pick(&NON_ASCII), rng),
            Self::NumberAsString => members[VALUE].json = format!("\"{}\"", event.value).into(),
            Self::NullValue => members[rng.index(FIELDS)].json = b"null".to_vec(),
            Self::IntOverflow => members[VALUE].json = rng.pick(&OVERFLOWS).as_bytes().to_vec(),
            Self::FloatForInt => members[VALUE].json = float(event.value, rng).into(),
            Self::LoneSurrogate => insert_in_string(&mut members[USER].json, rng.pick(&LONE_SURROGATES), rng),
            Self::DuplicateKeys => duplicate(&mut members, event, rng),
            Self::Whitespace => return spaced(&members, rng),
            Self::Truncated => return truncated(joined(&members), rng),
            Self::TrailingComma => return with_trailing_comma(joined(&members)),
            Self::StrayBytes => return with_stray_bytes(joined(&members), rng),
            Self::InvalidUtf8 => add_to_string(&mut members, rng.pick(&INVALID_UTF8), rng),
            Self::Empty => return Vec::new(),
            Self::Crlf => return [joined(&members), b"\r".to_vec()].concat(),
        }
        joined(&members)
    }
}

/// The values of one event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Event<'a> {
    /// Its time, as `2026-01-01T00:00:00.000Z`.
    pub ts: &'a str,
    /// Its type.
    pub r#type: &'a str,
    /// Its user.
    pub user: String,
    /// Its value.
    pub value: u32,
    /// Its number in the file, from 0.
    pub seq: u64,
    /// What makes it longer, if anything.
    pub padding: &'a str,
}

impl Event<'_> {
    /// The members of the event's object in their usual order: `FIELDS` of them, then the metadata.
    fn members(&self) -> Vec<Member> {
        let mut metadata = br#"{"source":"generator","seq":"#.to_vec();
        append_number(self.seq, &mut metadata);
        append_padding(self.padding, &mut metadata);
        metadata.push(b'}');
        vec![
            Member::string("ts", self.ts),
            Member::string("type", self.r#type),
            Member::string("user", &self.user),
            Member::new("value", self.value.to_string()),
            Member::new("metadata", metadata),
        ]
    }
}

/// Decides where dirty lines go, and makes them.
#[derive(Clone, Debug)]
pub(crate) struct Dirt {
    /// A line follows if the 32 bits drawn are below this: the ratio times 2^32.
    falls_below: u64,
    rng: Rng,
}

impl Dirt {
    pub(crate) fn new(ratio: f64, seed: u32) -> Result<Self, Error> {
        if !(0.0..=1.0).contains(&ratio) {
            return Err(Error::DirtyRatio { ratio });
        }
        Ok(Self { falls_below: (ratio * 4_294_967_296.0) as u64, rng: Rng::new(seed ^ DIRTY_STREAM) })
    }

    /// Whether a dirty line comes next.
    #[inline]
    pub(crate) fn falls(&mut self) -> bool {
        self.falls_below > 0 && u64::from(self.rng.draw()) < self.falls_below
    }

    /// Appends a dirty line made from `event`.
    pub(crate) fn append(&mut self, event: &Event<'_>, out: &mut Vec<u8>) {
        self.rng.pick(&Kind::ALL).append(event, &mut self.rng, out);
    }
}

/// How many members are fields of the event; the metadata follow them.
const FIELDS: usize = 4;
const TYPE: usize = 1;
const USER: usize = 2;
const VALUE: usize = 3;

const ESCAPES: [&[u8]; 6] = [br"\n", br"\u00e9", br"\ud83d\ude00", br#"\""#, br"\\\/\b\f\r\t", br"\u0000"];
const NON_ASCII: [&[u8]; 4] =
    ["é".as_bytes(), "日本".as_bytes(), "😀".as_bytes(), "e\u{301}\u{feff}".as_bytes()];
const LONE_SURROGATES: [&[u8]; 4] = [br"\ud83d", br"\ude00", br"\ude00\ud83d", br"\ud83d\u0041"];
/// A bare continuation, a start without one, an overlong slash, a surrogate, beyond the last plane, never a byte.
const INVALID_UTF8: [&[u8]; 6] =
    [b"\x80", b"\xc3", b"\xc0\xaf", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xff"];
const OVERFLOWS: [&str; 4] =
    ["9223372036854775808", "-9223372036854775809", "18446744073709551616", "100000000000000000000000000000"];
const EXTRAS: [(&str, &str); 8] = [
    ("country", r#""DE""#),
    ("score", "-0.5e-3"),
    ("flags", "[true,false,null]"),
    ("", "{}"),
    ("nested", r#"{"type":"view","value":[1,{"user":"u0000"}]}"#),
    ("deep", "[[[[[[[[1]]]]]]]]"),
    ("values", r#"{"value":7}"#),
    ("text", r#""}{\"][,:""#),
];

/// A member of an object: a key, and a value as it will be written.
struct Member {
    key: &'static str,
    json: Vec<u8>,
}

impl Member {
    fn new(key: &'static str, json: impl Into<Vec<u8>>) -> Self {
        Self { key, json: json.into() }
    }

    fn string(key: &'static str, text: &str) -> Self {
        let mut json = Vec::new();
        append_string(text, &mut json);
        Self { key, json }
    }
}

/// Shuffles until the order is another one.
fn reorder(members: &mut [Member], rng: &mut Rng) {
    let usual = |members: &[Member]| members.iter().map(|member| member.key).collect::<Vec<_>>();
    let before = usual(members);
    while usual(members) == before {
        rng.shuffle(members);
    }
}

fn add_fields(members: &mut Vec<Member>, rng: &mut Rng) {
    for _ in 0..=rng.below(3) {
        let (key, json) = rng.pick(&EXTRAS);
        members.insert(rng.index(members.len() + 1), Member::new(key, json));
    }
}

/// Puts `bytes` into the type or the user.
fn add_to_string(members: &mut [Member], bytes: &[u8], rng: &mut Rng) {
    let member = rng.pick(&[TYPE, USER]);
    insert_in_string(&mut members[member].json, bytes, rng);
}

/// Puts `bytes` at the beginning or the end of a string, where they cannot split what stands in it.
fn insert_in_string(json: &mut Vec<u8>, bytes: &[u8], rng: &mut Rng) {
    let at = rng.pick(&[1, json.len() - 1]);
    json.splice(at..at, bytes.iter().copied());
}

fn float(value: u32, rng: &mut Rng) -> String {
    match rng.below(4) {
        0 => format!("{value}.0"),
        1 => format!("{value}.5"),
        2 => format!("{value}e0"),
        _ => format!("{}E-1", value * 10),
    }
}

/// Gives one key a second value, which is another one.
fn duplicate(members: &mut Vec<Member>, event: &Event<'_>, rng: &mut Rng) {
    let second = match rng.below(4) {
        0 => Member::new("ts", r#""1999-12-31T23:59:59.999Z""#),
        1 => Member::string("type", &format!("{}2", event.r#type)),
        2 => Member::string("user", &format!("{}2", event.user)),
        _ => Member::new("value", (event.value + 1).to_string()),
    };
    members.insert(rng.index(members.len() + 1), second);
}

fn joined(members: &[Member]) -> Vec<u8> {
    let mut separator = b'{';
    let mut line = Vec::new();
    for member in members {
        line.push(separator);
        append_string(member.key, &mut line);
        line.push(b':');
        line.extend_from_slice(&member.json);
        separator = b',';
    }
    line.push(b'}');
    line
}

fn spaced(members: &[Member], rng: &mut Rng) -> Vec<u8> {
    let mut line = Vec::new();
    let mut separator = b'{';
    for member in members {
        for token in [&[separator], format!("\"{}\"", member.key).as_bytes(), b":", &member.json] {
            line.extend_from_slice(space(rng));
            line.extend_from_slice(token);
        }
        separator = b',';
    }
    for token in [b"}", space(rng)] {
        line.extend_from_slice(space(rng));
        line.extend_from_slice(token);
    }
    line
}

fn space(rng: &mut Rng) -> &'static [u8] {
    rng.pick(&[b"".as_slice(), b" ", b"\t", b"\r", b"   \t "])
}

fn truncated(mut line: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    line.truncate(1 + rng.index(line.len() - 1));
    line
}

fn with_trailing_comma(mut line: Vec<u8>) -> Vec<u8> {
    line.insert(line.len() - 1, b',');
    line
}

/// Puts its bytes where no string stands: before, after, or instead of the first colon.
fn with_stray_bytes(mut line: Vec<u8>, rng: &mut Rng) -> Vec<u8> {
    let stray: Vec<u8> = (0..=rng.below(3)).map(|_| rng.pick(b"\0\x01\x1f\x7f\\/'}{][;%a")).collect();
    let colon = br#"{"ts""#.len();
    let (start, end) = rng.pick(&[(0, 0), (line.len(), line.len()), (colon, colon + 1)]);
    line.splice(start..end, stray);
    line
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    /// The lines of one kind, without their newlines.
    fn lines(kind: Kind) -> Vec<Vec<u8>> {
        let mut rng = Rng::new(1);
        let event = Event {
            ts: "2026-01-01T00:00:00.000Z",
            r#type: "a\"b",
            user: "u0001".into(),
            value: 42,
            seq: 7,
            padding: "",
        };
        let line = |_| {
            let mut line = Vec::new();
            kind.append(&event, &mut rng, &mut line);
            assert_eq!(line.pop(), Some(b'\n'), "{kind:?}");
            line
        };
        (0..200).map(line).collect()
    }

    #[test]
    fn a_kind_is_one_line_and_json_or_not() {
        for kind in Kind::ALL {
            let broken = matches!(
                kind,
                Kind::LoneSurrogate
                    | Kind::Truncated
                    | Kind::TrailingComma
                    | Kind::StrayBytes
                    | Kind::InvalidUtf8
                    | Kind::Empty
            );
            for line in lines(kind) {
                let text = String::from_utf8_lossy(&line);
                assert!(!line.contains(&b'\n'), "{kind:?}: {text}");
                assert_eq!(serde_json::from_slice::<Value>(&line).is_err(), broken, "{kind:?}: {text}");
            }
        }
    }

    #[test]
    fn a_kind_is_what_it_says() {
        fn every(kind: Kind, holds: impl Fn(&Value) -> bool) {
            for line in lines(kind) {
                let text = String::from_utf8_lossy(&line);
                assert!(holds(&serde_json::from_slice(&line).unwrap()), "{kind:?}: {text}");
            }
        }
        let keys = |event: &Value| event.as_object().unwrap().len();
        every(Kind::ReorderedKeys, |event| {
            keys(event) == 5 && event["type"] == "a\"b" && event["value"] == 42
        });
        every(Kind::ExtraFields, |event| (6..9).contains(&keys(event)) && event["type"] == "a\"b");
        every(Kind::MissingField, |event| keys(event) == 4 && event.get("metadata").is_some());
        every(Kind::NumberAsString, |event| event["value"] == "42");
        every(Kind::NullValue, |event| event.as_object().unwrap().values().any(Value::is_null));
        every(Kind::IntOverflow, |event| event["value"].as_i64().is_none() && event["value"].is_number());
        every(Kind::FloatForInt, |event| event["value"].is_f64());
        every(Kind::DuplicateKeys, |event| keys(event) == 5);
        every(Kind::Whitespace, |event| keys(event) == 5 && event["user"] == "u0001");
        every(Kind::Crlf, |event| keys(event) == 5 && event["user"] == "u0001");
        every(Kind::NonAscii, |event| !format!("{}{}", event["type"], event["user"]).is_ascii());
        assert!(lines(Kind::Escapes).iter().all(|line| line.is_ascii() && line.contains(&b'\\')));
        assert!(lines(Kind::InvalidUtf8).iter().all(|line| str::from_utf8(line).is_err()));
    }
}
