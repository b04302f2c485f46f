//! From checked options to lines.

use std::io::{self, Write};

use crate::dirty::{Dirt, Event};
use crate::json::{append_number, append_padding, append_string};
use crate::shuffled;
use crate::time::Clock;
use crate::users::Users;
use crate::{Error, Options, PADDING_BYTES_MAX, Rng, Style};

/// The time between two events is 250 ms and up to this many more.
const DELTA_SPREAD_MS: u32 = 1000;
const DELTA_MS_MIN: u32 = 250;
/// Values are 1 to this.
const VALUE_MAX: u32 = 100;
/// How much [`Generator::write`] hands over at a time: small enough to stay in cache until it is written.
const CHUNK_BYTES: usize = 256 * 1024;

/// Tells the style's stream from the events', given the same seed: an arbitrary constant.
const STYLE_STREAM: u32 = 0x5EED_57E1;

/// Generates the lines of one set of options, in order, once.
#[derive(Clone, Debug)]
pub struct Generator {
    events: u64,
    seq: u64,
    rng: Rng,
    clock: Clock,
    users: Users,
    types: Vec<Type>,
    padding: String,
    /// What stands behind the number of the event in a plain line.
    tail: Vec<u8>,
    /// The stream of [`Style::Shuffled`]; none for [`Style::Plain`].
    shuffle: Option<Rng>,
    dirt: Dirt,
}

#[derive(Clone, Debug)]
struct Type {
    name: String,
    /// What stands between the time and the number of the user in a plain line.
    plain: Vec<u8>,
}

/// What was drawn for one event; its time is the clock's.
#[derive(Clone, Copy)]
struct Draw {
    r#type: usize,
    user: u32,
    value: u32,
}

impl Generator {
    /// Checks `options` and stands before the first line.
    ///
    /// # Errors
    /// If there is no user, no type or an empty one, if `dirty` is not a ratio, if there is too much padding, or if so many
    /// events could run past the year 9999.
    pub fn new(options: &Options) -> Result<Self, Error> {
        if options.users == 0 {
            return Err(Error::NoUsers);
        }
        if options.types.is_empty() {
            return Err(Error::NoTypes);
        }
        if let Some(index) = options.types.iter().position(String::is_empty) {
            return Err(Error::EmptyType { number: index + 1 });
        }
        if options.padding > PADDING_BYTES_MAX {
            return Err(Error::Padding { padding: options.padding });
        }
        let padding = "x".repeat(options.padding as usize);
        let delta_ms_max = u64::from(DELTA_MS_MIN + DELTA_SPREAD_MS - 1);
        let most = options.start.remaining_ms() / delta_ms_max;
        if options.events > most {
            return Err(Error::TooManyEvents { events: options.events, start: options.start, most });
        }
        Ok(Self {
            events: options.events,
            seq: 0,
            rng: Rng::new(options.seed),
            clock: Clock::new(options.start),
            users: Users::new(options.users, options.distribution),
            types: options.types.iter().map(|name| Type::new(name)).collect(),
            tail: tail(&padding),
            padding,
            shuffle: (options.style == Style::Shuffled).then(|| Rng::new(options.seed ^ STYLE_STREAM)),
            dirt: Dirt::new(options.dirty, options.seed)?,
        })
    }

    /// Appends lines to `out` until it holds at least `size` bytes, and says whether there are more to come.
    pub fn fill(&mut self, out: &mut Vec<u8>, size: usize) -> bool {
        while self.seq < self.events && out.len() < size {
            self.append_event(out);
        }
        self.seq < self.events
    }

    /// Writes every line that is left and gives their size in bytes.
    ///
    /// # Errors
    /// Those of `out`.
    pub fn write(mut self, out: &mut impl Write) -> io::Result<u64> {
        let mut chunk = Vec::with_capacity(CHUNK_BYTES + CHUNK_BYTES / 8);
        let mut written = 0;
        let mut more = true;
        while more {
            chunk.clear();
            more = self.fill(&mut chunk, CHUNK_BYTES);
            out.write_all(&chunk)?;
            written += chunk.len() as u64;
        }
        Ok(written)
    }

    fn append_event(&mut self, out: &mut Vec<u8>) {
        self.clock.advance(DELTA_MS_MIN + self.rng.below(DELTA_SPREAD_MS));
        let draw = Draw {
            r#type: self.rng.index(self.types.len()),
            user: self.users.draw(&mut self.rng),
            value: self.rng.below(VALUE_MAX) + 1,
        };
        let event = || event(&self.clock, &self.types, draw, self.seq, &self.padding);
        match &mut self.shuffle {
            None => append_plain(&self.clock, &self.types[draw.r#type], draw, self.seq, &self.tail, out),
            Some(rng) => shuffled::append(&event(), rng, out),
        }
        if self.dirt.falls() {
            self.dirt.append(&event(), out);
        }
        self.seq += 1;
    }
}

impl Type {
    fn new(name: &str) -> Self {
        let mut plain = br#"","type":"#.to_vec();
        append_string(name, &mut plain);
        plain.extend_from_slice(br#","user":""#);
        Self { name: name.to_owned(), plain }
    }
}

/// The end of a plain line, from behind the number of the event.
fn tail(padding: &str) -> Vec<u8> {
    let mut tail = Vec::new();
    append_padding(padding, &mut tail);
    tail.extend_from_slice(b"}}\n");
    tail
}

fn event<'a>(clock: &'a Clock, types: &'a [Type], draw: Draw, seq: u64, padding: &'a str) -> Event<'a> {
    let Draw { r#type, user, value } = draw;
    Event { ts: clock.text(), r#type: &types[r#type].name, user: format!("u{user:04}"), value, seq, padding }
}

#[inline]
fn append_plain(clock: &Clock, r#type: &Type, draw: Draw, seq: u64, tail: &[u8], out: &mut Vec<u8>) {
    out.extend_from_slice(br#"{"ts":""#);
    out.extend_from_slice(clock.text().as_bytes());
    out.extend_from_slice(&r#type.plain);
    append_user(draw.user, out);
    out.extend_from_slice(br#"","value":"#);
    append_number(draw.value, out);
    out.extend_from_slice(br#","metadata":{"source":"generator","seq":"#);
    append_number(seq, out);
    out.extend_from_slice(tail);
}

/// Appends `u` and the user's number with at least four digits.
#[inline]
fn append_user(user: u32, out: &mut Vec<u8>) {
    let mut digits = itoa::Buffer::new();
    let digits = digits.format(user).as_bytes();
    out.push(b'u');
    out.extend_from_slice(&b"0000"[digits.len().min(4)..]);
    out.extend_from_slice(digits);
}
