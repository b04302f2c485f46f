//! One stage as a process of its own: what a stage program in Rust is, and `placement: process`.
//!
//! What it is: [`serve`] takes over the descriptors that the runtime left, binds and opens the stage, and does what the
//! runtime asks for until it goes.
//!
//! Guarantees: the stage runs as it would inside the runtime: the same configuration, columns and results; a
//! stateless transform on several threads, its answers in the order of the input.
//!
//! Refuses: anything but the stage protocol; `proto/PROTOCOL.md` is the contract.
//!
//! ```text
//!   Open ──bind, open──▶ Ready     Batch ──▶ process ──▶ Batch…, Failed…, Credit     End ──▶ finish ──▶ Done
//! ```
//!
//! Neighbours: `modrun_link::Guest` is the way to the runtime.

mod account;
mod letters;
mod sink;
mod source;
mod state;
mod transform;

use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use modrun_core::env::Env;
use modrun_core::{Bound, Columns, Concurrency, Error, Kind, Limits, Open, OpenContext, Result, Role, State};
use modrun_link::{Guest, Request};
use modrun_wire::{Done, FromStage, Ready, Schema};

/// The version of the stage protocol.
const PROTOCOL: u32 = 1;

/// How a stage is served.
#[derive(Clone, Debug)]
pub struct ServeOptions {
    /// Time and disk.
    pub env: Env,
    /// The bounds that it must keep.
    pub limits: Limits,
    /// How many threads share a stateless transform.
    pub workers: NonZeroUsize,
    /// What it is made with, as it names itself to the runtime.
    pub sdk: String,
}

/// Serves a stage of `kind` over the descriptors that `variable` names, until the runtime needs it no more.
///
/// # Errors
/// What ended it; the runtime has been told.
pub fn serve(kind: &Arc<dyn Kind>, variable: &str, options: &ServeOptions) -> Result<()> {
    let guest = Guest::start(variable, options.env.clock.clone())?;
    let stage = Stage {
        kind: kind.clone(),
        guest: guest.clone(),
        options: options.clone(),
        is_done: AtomicBool::new(false),
    };
    let served = stage.run();
    if let Err(error) = &served
        && !stage.is_done.load(Ordering::Relaxed)
    {
        guest.give_up(error);
    }
    served
}

/// A stage that is being served.
struct Stage {
    kind: Arc<dyn Kind>,
    guest: Guest,
    options: ServeOptions,
    /// Whether it has sent `Done`, after which it cannot fail any more.
    is_done: AtomicBool,
}

impl Stage {
    fn run(&self) -> Result<()> {
        let spoken = self.guest.opened_with().protocol;
        if spoken != PROTOCOL {
            let what = format!("the runtime speaks version {spoken} of the stage protocol, not {PROTOCOL}");
            return Err(Error::invalid(what));
        }
        let bound = self.bind()?;
        match &bound.open {
            Open::Source(open) => source::run(self, &bound, open),
            Open::Transform(open) => transform::run(self, &bound, open),
            Open::Sink(open) => sink::run(self, &bound, open(self.context()?)?),
            Open::Elsewhere(_) => Err(Error::internal("a stage's program does not hold its code")),
        }
    }

    /// Binds the kind to the columns that the pipeline has here.
    fn bind(&self) -> Result<Bound> {
        let open = self.guest.opened_with();
        let config = serde_json::from_str(&open.config)
            .map_err(|error| Error::internal("the configuration is not JSON").with_source(error))?;
        let wanted = open.output.as_ref().map_or_else(Columns::none, |output| {
            output.columns.iter().map(|column| column.name.clone()).collect()
        });
        self.kind.bind(&config, self.guest.input(), &wanted).map_err(|problems| {
            let all: Vec<String> = problems.into_iter().map(|problem| problem.message).collect();
            Error::invalid(all.join("; "))
        })
    }

    fn context(&self) -> Result<OpenContext> {
        let states = match self.guest.state() {
            [] => Vec::new(),
            bytes => vec![state::read(bytes)?],
        };
        Ok(self.context_with(states))
    }

    fn context_with(&self, states: Vec<State>) -> OpenContext {
        OpenContext { env: self.options.env.clone(), limits: self.options.limits, states }
    }

    /// Tells the runtime that the stage has sent all that it will.
    fn done(&self, done: Done) -> Result<()> {
        self.guest.say(&FromStage::Done(done))?;
        self.is_done.store(true, Ordering::Relaxed);
        self.guest.flush()
    }

    /// Tells the runtime that the stage is open.
    fn ready(&self, bound: &Bound) -> Result<()> {
        let output = bound.output.as_ref().map(|output| Schema::of(output)).transpose();
        let output = output
            .map_err(|error| Error::invalid("a column has a type that no link carries").with_source(error))?;
        let concurrency = match bound.concurrency {
            Concurrency::Stateless => Concurrency::Stateless,
            _ => Concurrency::Ordered,
        };
        let (sdk, role): (_, Role) = (self.options.sdk.clone(), bound.open.role());
        self.guest.say(&FromStage::Ready(Ready { protocol: PROTOCOL, sdk, role, concurrency, output }))?;
        self.guest.flush()
    }
}

/// Does what is still asked for until the runtime goes, which is how a stage that is done ends.
fn leave(guest: &Guest, act: &mut dyn FnMut(Request) -> Result<()>) -> Result<()> {
    loop {
        match guest.next(None, &mut |_| {})? {
            Some(Request::Exit) => return Ok(()),
            // Told to stop when it had stopped already.
            Some(Request::End) | None => {}
            Some(request) => act(request)?,
        }
    }
}
