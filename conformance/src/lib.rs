//! Checks a stage program of any language against the stage protocol.
//!
//! What it is: the runtime's side of `proto/PROTOCOL.md`, played by a script for each case, with a referee that knows
//! every rule and a reference that knows every answer.
//!
//! Guarantees: every program that was started is killed with its process group and reaped, whatever happens; every
//! wait has a bound, and running into it is a named failure; a payload that a stage has given credit for is
//! overwritten at once, so that a stage that still looks at it gives wrong answers.
//!
//! Refuses: judging speed. Times are compared only with what the kit itself made the stage wait for.
//!
//! ```text
//!   cases/*.yaml ──case──▶ runs ──script──▶ session ◀──── socket, segments ────▶ program under test
//!                           │                  │ every message
//!                           │                  ▼
//!                           │               referee: does it keep the rules?
//!                           ▼                  │ record
//!                       reference ──verdict────┴──▶ report
//! ```
//!
//! Neighbours: `modrun-wire` has the codec, `modrun-shm` segments and processes. `STAGES.md` says what the program under
//! test must offer, `README.md` how to write a case.

pub mod case;
mod generate;
mod json_line;
mod program;
mod record;
mod referee;
mod reference;
pub mod report;
pub mod runner;
mod script;
mod session;
mod shuffle;
mod slack;
mod stages;
pub mod step;
mod table;
mod time;
pub mod value;
mod vectors;
mod verdict;
mod yaml;

/// The result of everything that a run does.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a run ended.
#[derive(Clone, Debug, thiserror::Error)]
pub enum Error {
    /// The case makes no sense.
    #[error("{0}")]
    Case(String),
    /// The kit's own surroundings failed.
    #[error("{0}")]
    Kit(String),
    /// The stage broke a rule of the protocol.
    #[error("breaks {rule}: {what}")]
    Rule {
        /// The rule's name in `PROTOCOL.md`.
        rule: &'static str,
        /// What it did.
        what: String,
    },
    /// The stage kept the rules and did something else than it should.
    #[error("{0}")]
    Wrong(String),
    /// What the stage says of its time is not what the clocks of others say.
    #[error("breaks {rule}: {what}")]
    Time {
        /// The rule's name in `PROTOCOL.md`.
        rule: &'static str,
        /// What it said.
        what: String,
    },
    /// The stage was silent for too long.
    #[error("timed out after {seconds} s of silence: {what}")]
    Silent {
        /// How long it was waited for.
        seconds: u64,
        /// What was waited for.
        what: String,
    },
    /// The stage said that it failed, or closed its socket: no step makes sense any more.
    #[error("the stage ended before the script did")]
    Ended,
}

impl From<modrun_core::Error> for Error {
    fn from(error: modrun_core::Error) -> Self {
        Error::Kit(error.to_string())
    }
}

/// A broken rule.
fn broken<T>(rule: &'static str, what: impl Into<String>) -> Result<T> {
    Err(Error::Rule { rule, what: what.into() })
}
