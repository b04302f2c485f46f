//! The fast reader: expects the next line to look like the ones before.
//!
//! A feed's lines are all written by the same few programs: the same keys, the same white space, mostly the same
//! order. The [`Reader`] knows two ways through such a line, and gives up on everything else; then the slow reader
//! takes the line from its beginning, and the fast one studies it for the next time.
//!
//! ```text
//!   {"ts":"2026-…","type":"click","value":42,"metadata":{"seq":7}}
//!
//!   1. the track:   exactly the bytes of an earlier line, with other values in between
//!   2. the members: known keys in any order, each with its value; the separators of an earlier line
//! ```
//!
//! Guarantees: every byte of an accepted line was compared or checked, each declared field was there at most once
//! and each required one exactly once, and the values are what the slow reader would have read.

use super::Field;
use super::columns::{Columns, Place};
use super::literal::Literal;
use super::scan;
use super::track::{Memory, Track, Value, value};

/// How many ways to write a line are remembered, and how many members each may have.
const SHAPES_MAX: usize = 4;
const MEMBERS_MAX: usize = 64;
/// How many lines are studied at most; a feed that is still new after so many has no shape.
const LESSONS_MAX: usize = 1024;

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
}

/// Reads lines that look like the ones before.
pub(super) struct Reader {
    fields: Vec<Field>,
    places: Vec<Option<Place>>,
    required: u64,
    track: Option<Track>,
    /// Lines beside the track since it was laid, and after how many of them it is laid anew.
    strays: u32,
    patience: u32,
    shapes: Vec<Shape>,
    lessons: usize,
    memory: Memory,
}

impl Reader {
    pub(super) fn new(fields: &[Field], columns: &Columns) -> Self {
        let required =
            fields.iter().enumerate().filter(|(_, f)| !f.optional).fold(0, |bits, (i, _)| bits | bit(i));
        Self {
            fields: fields.to_vec(),
            places: fields.iter().map(|field| columns.place(&field.name)).collect(),
            required,
            track: None,
            strays: 0,
            patience: 1,
            shapes: Vec::new(),
            // The seen fields are the bits of one word.
            lessons: if fields.len() <= 64 { 0 } else { LESSONS_MAX },
            memory: Memory::default(),
        }
    }

    /// Reads the line at `at` into the columns; gives the position after its newline. The caller counts the row, or
    /// truncates the columns; after `None` it must truncate.
    #[inline(always)]
    pub(super) fn line(&mut self, text: &[u8], at: usize, columns: &mut Columns) -> Option<usize> {
        if let Some(track) = &self.track
            && let Some(end) = track.line(text, at, columns, &mut self.memory)
        {
            return Some(end);
        }
        self.stray(text, at, columns)
    }

    /// Reads a line beside the track.
    #[inline(never)]
    fn stray(&mut self, text: &[u8], at: usize, columns: &mut Columns) -> Option<usize> {
        for shape in 0..self.shapes.len() {
            columns.truncate();
            let Some((end, seen)) = self.members(shape, text, at, columns) else { continue };
            self.complete(seen, columns)?;
            self.shapes.swap(0, shape);
            self.strays += 1;
            if self.strays >= self.patience {
                self.lay_track(&text[at..end]);
            }
            return Some(end);
        }
        None
    }

    /// Reads all members of a line in whatever order; gives the position after the line and the fields seen.
    #[inline(always)]
    fn members(
        &mut self,
        shape: usize,
        text: &[u8],
        at: usize,
        columns: &mut Columns,
    ) -> Option<(usize, u64)> {
        let Shape { open, separator, close, members } = &self.shapes[shape];
        let mut at = open.pass(text, at)?;
        let mut seen = 0;
        loop {
            let (member, start) =
                members.iter().find_map(|member| Some((member, member.key.pass(text, at)?)))?;
            if seen & member.bit != 0 {
                return None;
            }
            seen |= member.bit;
            at = if member.optional {
                optional_value(member.value, text, start, columns, &mut self.memory)?
            } else {
                value(member.value, text, start, columns, &mut self.memory)?
            };
            match separator.pass(text, at) {
                Some(after) => at = after,
                None => return Some((close.pass(text, at)?, seen)),
            }
        }
    }

    /// Fills in optional fields that the line left out; `None` if a required one is missing.
    fn complete(&self, seen: u64, columns: &mut Columns) -> Option<()> {
        if self.required & !seen != 0 {
            return None;
        }
        for (i, (place, field)) in self.places.iter().zip(&self.fields).enumerate() {
            if let (true, 0, Some(place)) = (field.optional, seen & bit(i), place) {
                columns.push_null(*place);
            }
        }
        Some(())
    }

    /// Lays the track along `line`; the more often that was in vain, the longer it waits for the next time.
    #[cold]
    fn lay_track(&mut self, line: &[u8]) {
        (self.strays, self.patience) = (0, self.patience.saturating_mul(2));
        let padded = [line, &[0; 16]].concat();
        if let Some(track) = Track::lay(&padded, line.len(), &self.fields, &self.places) {
            self.track = Some(track);
        }
    }

    /// Remembers how a line looks that the slow reader accepted; `line` ends with its newline.
    #[cold]
    pub(super) fn learn(&mut self, line: &[u8]) {
        if self.lessons == LESSONS_MAX || !line.ends_with(b"\n") {
            return;
        }
        self.lessons += 1;
        if self.track.is_none() {
            self.lay_track(line);
        }
        let padded = [line, &[0; 16]].concat();
        let Some(lesson) = Lesson::study(&padded, line.len(), &self.fields, &self.places) else { return };
        let known = self.shapes.iter().position(|shape| {
            shape.open.bytes() == lesson.open
                && shape.separator.bytes() == lesson.separator
                && shape.close.bytes() == lesson.close
        });
        let shape = match known {
            Some(known) => &mut self.shapes[known],
            None if self.shapes.len() == SHAPES_MAX => return,
            None => {
                let [open, separator, close] =
                    [lesson.open, lesson.separator, lesson.close].map(Literal::new);
                self.shapes.push(Shape { open, separator, close, members: Vec::new() });
                let last = self.shapes.len() - 1;
                &mut self.shapes[last]
            }
        };
        for member in lesson.members {
            let known = shape.members.iter().any(|known| known.key.bytes() == member.key.bytes());
            if !known && shape.members.len() < MEMBERS_MAX {
                shape.members.push(member);
            }
        }
    }
}

/// A line taken apart into its members.
struct Lesson<'a> {
    open: &'a [u8],
    separator: &'a [u8],
    close: &'a [u8],
    members: Vec<Member>,
}

impl<'a> Lesson<'a> {
    /// Studies the line up to `end`, its newline included, that is followed by at least sixteen bytes of padding.
    fn study(padded: &'a [u8], end: usize, fields: &[Field], places: &[Option<Place>]) -> Option<Self> {
        let brace = scan::blanks(padded, 0);
        let mut at = scan::blanks(padded, brace + 1);
        let open = &padded[..at];
        let mut separator: Option<&[u8]> = None;
        let mut members = Vec::new();
        loop {
            let (member, value) = Self::member(padded, at, fields, places)?;
            members.push(member);
            let after = scan::skip(padded, value, scan::DEPTH_MAX)?;
            let comma = scan::blanks(padded, after);
            if padded[comma] == b'}' {
                let separator = separator.unwrap_or(b",");
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
        let Some(index) = fields.iter().position(|field| field.name.as_bytes() == &padded[content.clone()])
        else {
            let key = Literal::new(&padded[at..value_at]);
            return Some((Member { key, value: Value::Skip, optional: false, bit: 0 }, value_at));
        };
        let Field { field_type, optional, .. } = fields[index];
        let value = places[index].map_or(Value::Check(field_type), Value::Build);
        let key = Literal::new(&padded[at..value_at + (value.is_quoted() && !optional) as usize]);
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
    memory: &mut Memory,
) -> Option<usize> {
    if text[at..].starts_with(b"null") {
        if let Value::Build(place) = expected {
            columns.push_null(place);
        }
        return Some(at + 4);
    }
    if expected.is_quoted() && text.get(at) != Some(&b'"') {
        return None;
    }
    value(expected, text, at + expected.is_quoted() as usize, columns, memory)
}
