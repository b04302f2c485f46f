//! The reproducible event generator: the same [`Options`] give the same bytes on every machine.
//!
//! ```text
//! Options ── Generator::new ──▶ Generator ── fill / write ──▶ {"ts":…,"type":…,"user":…,"value":…,"metadata":…}⏎
//!                                  │ stream 1: the events          (always)
//!                                  │ stream 2: the style           (Style::Shuffled)
//!                                  └ stream 3: the dirty lines     (dirty > 0)
//! ```
//!
//! It guarantees that a draw means the same thing for ever: per event, in this order, the time since the event
//! before, the type, the user and the value, all from one [`Rng`]. Style and dirty lines draw from streams of
//! their own, so that asking for either leaves every event as it was.
//!
//! It refuses options that cannot give a file of well-formed lines ([`Error`] names each), and it never reads a
//! clock or a source of entropy.
//!
//! Neighbours: `modrun gen` writes files with it; tests take hostile lines from [`dirty`]; the benchmarks take
//! their input from it, and the reference results belong to its default options.

pub mod dirty;
mod generator;
mod json;
mod rng;
mod shuffled;
mod time;
mod users;

pub use generator::Generator;
pub use rng::Rng;
pub use time::Timestamp;

/// How many bytes [`Options::padding`] may be.
pub const PADDING_BYTES_MAX: u32 = 1 << 20;

/// What to generate; the defaults are those of the reference results.
#[derive(Clone, Debug, PartialEq)]
pub struct Options {
    /// How many events; dirty lines come on top.
    pub events: u64,
    /// How many different users, at least 1.
    pub users: u32,
    /// Seed of the random streams.
    pub seed: u32,
    /// The types of event, drawn uniformly; none may be empty.
    pub types: Vec<String>,
    /// How events spread over users.
    pub distribution: Distribution,
    /// The time before the first event.
    pub start: Timestamp,
    /// How the lines are written.
    pub style: Style,
    /// Bytes of a field `padding` in every event's metadata, at most [`PADDING_BYTES_MAX`]; with 0 there is no such field.
    /// All else stays as it is.
    pub padding: u32,
    /// Probability, 0 to 1, that a dirty line follows an event; see [`dirty`].
    pub dirty: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            events: 100_000,
            users: 10_000,
            seed: 42,
            types: ["click", "view", "purchase"].map(String::from).to_vec(),
            distribution: Distribution::Uniform,
            start: Timestamp::DEFAULT_START,
            style: Style::Plain,
            padding: 0,
            dirty: 0.0,
        }
    }
}

/// How events spread over users.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Distribution {
    /// Every user is as likely as any other: `floor(r * users)`.
    #[default]
    Uniform,
    /// A few users have most of the events: `floor(r * r * r * users)`.
    Zipf,
    /// Uniform, but at two events in a hundred one user starts a run of 50 to 249 events.
    ///
    /// Outside a run one draw decides whether a run starts (below 0.02). If so, the next draw gives its length,
    /// `50 + floor(r * 200)` events with this one the first, and a third its user; if not, the second gives the
    /// event's user. Inside a run nothing is drawn.
    Burst,
}

/// How the lines are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Style {
    /// The keys always in the same order, nothing escaped that need not be.
    #[default]
    Plain,
    /// The same events with the keys of every line in random order, and in every string value one character,
    /// chosen at random, as a `\u` escape: the hard case for a parser.
    Shuffled,
}

/// Why options cannot be generated from.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
pub enum Error {
    /// There has to be a user to have events.
    #[error("the number of users must be at least 1")]
    NoUsers,
    /// There has to be a type to draw.
    #[error("at least one type of event is needed")]
    NoTypes,
    /// A type without a name is a mistake such as a trailing comma.
    #[error("type number {number} is empty")]
    EmptyType {
        /// Its place in the list, from 1.
        number: usize,
    },
    /// A probability lies between 0 and 1.
    #[error("the ratio of dirty lines must be between 0 and 1, not `{ratio}`")]
    DirtyRatio {
        /// What was asked for.
        ratio: f64,
    },
    /// A line has to fit into the limits of whoever reads it.
    #[error("the padding must be at most {PADDING_BYTES_MAX} bytes, not `{padding}`")]
    Padding {
        /// What was asked for.
        padding: u32,
    },
    /// The text is not a time that an event can have.
    #[error("`{text}` is not a time such as `2026-01-01T00:00:00Z`: {problem}")]
    Timestamp {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// Timestamps have four digits for the year.
    #[error("`{events}` events from `{start}` could run past the year 9999; at most `{most}` fit")]
    TooManyEvents {
        /// What was asked for.
        events: u64,
        /// The time before the first event.
        start: Timestamp,
        /// How many events fit for certain.
        most: u64,
    },
}
