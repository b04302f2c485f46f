//! The shape of the lines seen so far, and the fast reader that expects the next line to have it.
//!
//! A feed's lines are all written by the same few programs: the same keys, the same white space, mostly the same
//! order. A [`Shape`] holds how the members of such a line begin (`"type":"`), what kind of value follows, and which
//! member came next the last time. The reader compares the line with what it expects, word by word, and reads the
//! values in between; where the expected member is not there it looks for another one, and where none fits it gives
//! up. It gives up on anything it does not know for sure: then the slow reader takes the line from its beginning.
//!
//! ```text
//!   {"ts":"2026-…","type":"click","value":42,"metadata":{…}}
//!   └open └key  └value      ↑ expected next     └ unknown: checked and skipped
//! ```
//!
//! Guarantees: every byte of an accepted line was compared or checked, each declared field was there exactly once,
//! and the values are what the slow reader would have read.

use modrun_core::Type;

use super::columns::{Columns, Place};
use super::scan::{self, HourCache};
use super::Field;

/// How many ways to write a line are remembered, and how many members each may have.
const SHAPES_MAX: usize = 4;
const MEMBERS_MAX: usize = 64;
/// How many lines are studied at most; a feed that is still new after so many has no shape.
const LESSONS_MAX: usize = 1024;

/// Bytes to be found at a position, as words.
struct Literal {
    bytes: Vec<u8>,
    /// The first sixteen bytes, and which bits of them count.
    words: [u64; 2],
    masks: [u64; 2],
}

impl Literal {
    fn new(bytes: &[u8]) -> Self {
        let mut padded = [[0u8; 8]; 2];
        let mut masks = [[0u8; 8]; 2];
        for (i, &byte) in bytes.iter().take(16).enumerate() {
            padded[i / 8][i % 8] = byte;
            masks[i / 8][i % 8] = 0xff;
        }
        Self {
            bytes: bytes.to_vec(),
            words: padded.map(u64::from_le_bytes),
            masks: masks.map(u64::from_le_bytes),
        }
    }

    /// The position after the literal, if it stands at `at`.
    #[inline(always)]
    fn pass(&self, text: &[u8], at: usize) -> Option<usize> {
        let end = at + self.bytes.len();
        let low = (scan::word(text, at)? ^ self.words[0]) & self.masks[0];
        if self.bytes.len() <= 8 {
            return (low == 0).then_some(end);
        }
        let high = (scan::word(text, at + 8)? ^ self.words[1]) & self.masks[1];
        if low | high != 0 {
            return None;
        }
        (self.bytes.len() <= 16 || text.get(at + 16..end)? == &self.bytes[16..]).then_some(end)
    }
}

/// What to do with a member's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Value {
    /// A declared field that is built.
    Build(Place),
    /// A declared field that nobody wants: checked for its type.
    Check(Type),
    /// A field that is not declared: checked to be JSON.
    Skip,
}

struct Member {
    /// From the key's quote to the value; the opening quote of a required string included.
    key: Literal,
    value: Value,
    /// May be null instead.
    optional: bool,
    /// The bit of its declared field, or 0.
    bit: u64,
}

/// How the lines of one writer look.
struct Shape {
    open: Literal,
    separator: Literal,
    close: Literal,
    members: Vec<Member>,
    /// Which member came after each member the last time, and at 0 which one came first.
    next: Vec<usize>,
}

/// Reads lines that look like the ones before.
pub(super) struct Reader {
    fields: Vec<Field>,
    places: Vec<Option<Place>>,
    required: u64,
    shapes: Vec<Shape>,
    lessons: usize,
    hours: HourCache,
    scratch: Vec<u8>,
}

impl Reader {
    pub(super) fn new(fields: &[Field], columns: &Columns) -> Self {
        let required = fields.iter().enumerate().filter(|(_, f)| !f.optional).fold(0, |bits, (i, _)| bits | bit(i));
        Self {
            fields: fields.to_vec(),
            places: fields.iter().map(|field| columns.place(&field.name)).collect(),
            required,
            shapes: Vec::new(),
            // The seen fields are the bits of one word.
            lessons: if fields.len() <= 64 { 0 } else { LESSONS_MAX },
            hours: HourCache::default(),
            scratch: Vec::new(),
        }
    }

    /// Reads the line at `at` into the columns; gives the position after its newline. The caller counts the row, or
    /// truncates the columns; after `None` it must truncate.
    #[inline(always)]
    pub(super) fn line(&mut self, text: &[u8], at: usize, columns: &mut Columns) -> Option<usize> {
        for shape in 0..self.shapes.len() {
            if let Some((end, seen)) = self.members(shape, text, at, columns) {
                if seen != self.required {
                    self.complete(seen, columns)?;
                }
                if shape > 0 {
                    self.shapes.swap(0, shape);
                }
                return Some(end);
            }
            columns.truncate();
        }
        None
    }

    /// Reads all members of a line; gives the position after the line and the fields seen.
    #[inline(always)]
    fn members(&mut self, shape: usize, text: &[u8], at: usize, columns: &mut Columns) -> Option<(usize, u64)> {
        let Shape { open, separator, close, members, next } = &mut self.shapes[shape];
        let mut at = open.pass(text, at)?;
        let (mut seen, mut previous) = (0, 0);
        loop {
            let mut current = next[previous];
            let start = match members[current].key.pass(text, at) {
                Some(start) => start,
                None => {
                    current = members.iter().position(|member| member.key.pass(text, at).is_some())?;
                    next[previous] = current;
                    at + members[current].key.bytes.len()
                }
            };
            let member = &members[current];
            if seen & member.bit != 0 {
                return None;
            }
            seen |= member.bit;
            at = if member.optional {
                optional_value(member.value, text, start, columns, &mut self.hours, &mut self.scratch)?
            } else {
                value(member.value, text, start, columns, &mut self.hours, &mut self.scratch)?
            };
            match separator.pass(text, at) {
                Some(after) => at = after,
                None => return Some((close.pass(text, at)?, seen)),
            }
            previous = current + 1;
        }
    }

    /// Remembers how a line looks that the slow reader accepted; `line` ends with its newline.
    #[cold]
    pub(super) fn learn(&mut self, line: &[u8]) {
        if self.lessons == LESSONS_MAX || !line.ends_with(b"\n") {
            return;
        }
        self.lessons += 1;
        let padded = [line, &[0; 16]].concat();
        let Some(lesson) = Lesson::study(&padded, line.len(), &self.fields, &self.places) else { return };
        let known = self.shapes.iter().position(|shape| {
            shape.open.bytes == lesson.open
                && shape.separator.bytes == lesson.separator
                && shape.close.bytes == lesson.close
        });
        let shape = match known {
            Some(known) => &mut self.shapes[known],
            None if self.shapes.len() == SHAPES_MAX => return,
            None => {
                let [open, separator, close] =
                    [lesson.open, lesson.separator, lesson.close].map(Literal::new);
                self.shapes.push(Shape { open, separator, close, members: vec![], next: vec![0] });
                let last = self.shapes.len() - 1;
                &mut self.shapes[last]
            }
        };
        for member in lesson.members {
            let known = shape.members.iter().any(|known| known.key.bytes == member.key.bytes);
            if !known && shape.members.len() < MEMBERS_MAX {
                shape.members.push(member);
                shape.next.push((shape.members.len()) % MEMBERS_MAX);
            }
        }
        // What comes next is a guess until it has been seen; it only has to name a member.
        let last = shape.members.len() - 1;
        shape.next.iter_mut().for_each(|next| *next = (*next).min(last));
    }

    /// Fills in optional fields that the line left out; `None` if a required one is missing.
    #[inline(never)]
    fn complete(&self, seen: u64, columns: &mut Columns) -> Option<()> {
        if self.required & !seen != 0 {
            return None;
        }
        for (i, place) in self.places.iter().enumerate() {
            if let (0, Some(place)) = (seen & bit(i), place) {
                columns.push_null(*place);
            }
        }
        Some(())
    }
}

/// Takes a line apart that the slow reader accepted.
struct Lesson<'a> {
    open: &'a [u8],
    separator: &'a [u8],
    close: &'a [u8],
    members: Vec<Member>,
}

impl<'a> Lesson<'a> {
    /// Studies `line`, which ends with its newline and is followed by at least sixteen bytes of padding.
    fn study(padded: &'a [u8], end: usize, fields: &[Field], places: &[Option<Place>]) -> Option<Self> {
        let brace = scan::blanks(padded, 0);
        let mut at = scan::blanks(padded, brace + (padded[brace] == b'{') as usize);
        let open = &padded[..at];
        let mut separator: Option<&[u8]> = None;
        let mut members = Vec::new();
        loop {
            let (member, value) = Self::member(padded, at, fields, places)?;
            members.push(member);
            let after = scan::skip(padded, value, scan::DEPTH_MAX)?;
            let comma = scan::blanks(padded, after);
            if padded[comma] == b'}' {
                let separator = separator.unwrap_or(&b","[..]);
                return Some(Self { open, separator, close: padded.get(after..end)?, members });
            }
            at = scan::blanks(padded, comma + 1);
            let this = &padded[after..at];
            if *separator.get_or_insert(this) != this {
                return None;
            }
        }
    }

    /// The member that begins at `at`, and where its value begins.
    fn member(
        padded: &[u8],
        at: usize,
        fields: &[Field],
        places: &[Option<Place>],
    ) -> Option<(Member, usize)> {
        let after = scan::skip_string(padded, at + 1)?;
        let content = at + 1..after - 1;
        if padded[content.clone()].contains(&b'\\') {
            return None;
        }
        let colon = scan::blanks(padded, after);
        let value_at = scan::blanks(padded, colon + 1);
        let Some(index) = fields.iter().position(|field| field.name.as_bytes() == &padded[content.clone()]) else {
            let key = Literal::new(&padded[at..value_at]);
            return Some((Member { key, value: Value::Skip, optional: false, bit: 0 }, value_at));
        };
        let Field { field_type, optional, .. } = fields[index];
        let quote = !optional && matches!(field_type, Type::String | Type::Timestamp);
        let key = Literal::new(&padded[at..value_at + quote as usize]);
        let value = places[index].map_or(Value::Check(field_type), Value::Build);
        Some((Member { key, value, optional, bit: bit(index) }, value_at))
    }
}

fn bit(field: usize) -> u64 {
    1 << (field % 64)
}

/// Reads the value of an optional field: null, or what the field holds.
#[inline(never)]
fn optional_value(
    expected: Value,
    text: &[u8],
    at: usize,
    columns: &mut Columns,
    hours: &mut HourCache,
    scratch: &mut Vec<u8>,
) -> Option<usize> {
    if text[at..].starts_with(b"null") {
        if let Value::Build(place) = expected {
            columns.push_null(place);
        }
        return Some(at + 4);
    }
    let quoted = matches!(
        expected,
        Value::Build(Place::String(_) | Place::Timestamp(_)) | Value::Check(Type::String | Type::Timestamp)
    );
    if quoted && text[at] != b'"' {
        return None;
    }
    value(expected, text, at + quoted as usize, columns, hours, scratch)
}

/// Reads one value at `at`; gives the position after it.
#[inline(always)]
fn value(
    value: Value,
    text: &[u8],
    at: usize,
    columns: &mut Columns,
    hours: &mut HourCache,
    scratch: &mut Vec<u8>,
) -> Option<usize> {
    match value {
        Value::Build(Place::String(column)) => {
            let (value, end) = scan::string(text, at, scratch)?;
            columns.strings[column].push(value);
            Some(end)
        }
        Value::Build(Place::Int64(column)) => {
            let (value, end) = scan::integer(text, at)?;
            columns.ints[column].push(value);
            Some(end)
        }
        Value::Build(Place::Timestamp(column)) => {
            let (value, end) = hours.timestamp(text, at, scratch)?;
            columns.ints[column].push(value);
            Some(end)
        }
        Value::Build(Place::Float64(column)) => {
            let (value, end) = scan::float(text, at)?;
            columns.floats[column].push(value);
            Some(end)
        }
        Value::Build(Place::Bool(column)) => {
            let (value, end) = scan::boolean(text, at)?;
            columns.bools[column].push(value);
            Some(end)
        }
        Value::Check(Type::String | Type::Binary) => scan::skip_string(text, at),
        Value::Check(Type::Int64) => scan::integer(text, at).map(|(_, end)| end),
        Value::Check(Type::Timestamp) => hours.timestamp(text, at, scratch).map(|(_, end)| end),
        Value::Check(Type::Float64) => scan::float(text, at).map(|(_, end)| end),
        Value::Check(Type::Bool) => scan::boolean(text, at).map(|(_, end)| end),
        Value::Skip => scan::skip(text, at, scan::DEPTH_MAX),
    }
}
