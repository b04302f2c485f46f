//! When the ledger of a loop changes from one activity to another: the whole sequence, look by look at the clock.
//!
//! What it is: [`served`] sees stages that are processes, [`loops`] those of the runtime. The clock stands still but at
//! one look, when it moves by a nanosecond, so that nothing is ever late; what the account is longer by then is what
//! went on until that look. A life for each look gives the sequence.
//!
//! A letter stands for an activity: Receive, Decode, Process, Encode, Send, sTarved, Backpressured.

#![allow(clippy::unwrap_used, reason = "a test may fail anywhere")]

mod loops;
mod served;

use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant};

use arrow_array::{BooleanArray, Int64Array, RecordBatch};
use arrow_schema::{DataType, Field, Schema, SchemaRef};
use modrun_core::env::{Clock, Env, Memory};
use modrun_core::{Activity, Output, Polled, Progress, Result, Sink, Source, State, Transform, Written};
use modrun_wire::table::Layout;

const ROWS: usize = 3;

/// A clock that counts the looks at it.
struct Looks {
    looks: AtomicUsize,
    /// At which look it moves; 0: at none.
    moves_at: usize,
    /// What else happens at a look, by its number.
    at_look: Box<dyn Fn(usize) + Send + Sync>,
}

impl Looks {
    /// How often anybody has looked.
    fn so_far(&self) -> usize {
        self.looks.load(Ordering::SeqCst)
    }
}

impl Clock for Looks {
    fn now(&self) -> Instant {
        let look = self.looks.fetch_add(1, Ordering::SeqCst) + 1;
        (self.at_look)(look);
        beginning() + Duration::from_nanos(u64::from(self.moves_at != 0 && look >= self.moves_at))
    }

    fn thread_cpu(&self) -> Duration {
        Duration::ZERO
    }
}

impl fmt::Debug for Looks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Looks").field("looks", &self.looks).finish_non_exhaustive()
    }
}

static STILL: LazyLock<Memory> = LazyLock::new(Memory::default);

fn beginning() -> Instant {
    STILL.now()
}

/// A clock that stands.
fn still() -> Arc<dyn Clock> {
    STILL.env().clock
}

/// What went on until each look: what `life` says of a life whose clock moves at that look alone, as one word for each
/// nanosecond, or `.` if its account has none.
fn sequence(life: &dyn Fn(usize) -> (Arc<Looks>, Vec<String>)) -> Vec<String> {
    let (clock, words) = life(0);
    assert!(words.is_empty(), "no time has passed: {words:?}");
    let looks = 1..=clock.so_far();
    looks
        .map(|look| {
            let (_, mut words) = life(look);
            assert!(words.len() <= 1, "one moment is accounted for as {words:?}");
            words.pop().unwrap_or_else(|| ".".into())
        })
        .collect()
}

/// A letter for each nanosecond.
fn letters(spent: impl Fn(Activity) -> Duration) -> String {
    let letter = |activity| match activity {
        Activity::Receive => "R",
        Activity::Decode => "D",
        Activity::Process => "P",
        Activity::Encode => "E",
        Activity::Send => "S",
        Activity::Starved => "T",
        Activity::Backpressured => "B",
    };
    Activity::ALL.map(|activity| letter(activity).repeat(spent(activity).as_nanos() as usize)).concat()
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("n", DataType::Int64, false)]))
}

fn rows() -> RecordBatch {
    let numbers = Int64Array::from_iter_values(0..ROWS as i64);
    RecordBatch::try_new(schema(), vec![Arc::new(numbers)]).unwrap()
}

/// The same rows as a payload.
fn table() -> Vec<u8> {
    let rows = rows();
    let layout = Layout::of(&rows).unwrap();
    let mut bytes = vec![0; layout.length()];
    layout.write(&mut bytes);
    bytes
}

/// A stage of any place; whenever its code runs, it looks at the clock.
#[derive(Clone)]
struct Looking {
    env: Env,
    /// What it has to give, as a source.
    gives: Vec<Given>,
    waited: Duration,
    form: Form,
}

/// What a source does when it is asked.
#[derive(Clone, Copy)]
enum Given {
    Rows,
    /// Waits for its input, which does not come in time.
    Wait,
}

/// What a transform makes of a batch.
#[derive(Clone, Copy)]
enum Form {
    Batch,
    Selection,
    /// Nothing, until the end.
    Held,
}

impl Looking {
    fn new(env: &Env, form: Form) -> Self {
        Self { env: env.clone(), gives: Vec::new(), waited: Duration::ZERO, form }
    }

    fn source(env: &Env, gives: &[Given]) -> Self {
        let gives = gives.iter().rev().copied().collect();
        Self { gives, ..Self::new(env, Form::Batch) }
    }

    fn look(&self) -> Instant {
        self.env.clock.now()
    }
}

impl Source for Looking {
    fn poll(&mut self, _until: Instant) -> Result<Polled> {
        let before = self.look();
        Ok(match self.gives.pop() {
            Some(Given::Rows) => Polled::Batch(rows()),
            Some(Given::Wait) => {
                self.waited += self.look() - before;
                Polled::Idle
            }
            None => Polled::End,
        })
    }

    fn progress(&self) -> Progress {
        Progress { waited: self.waited, ..Progress::default() }
    }

    fn snapshot(&mut self) -> Result<State> {
        self.look();
        Ok(vec![rows()])
    }
}

impl Transform for Looking {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        self.look();
        if !matches!(self.form, Form::Held) {
            out.emit(batch);
        }
        Ok(())
    }

    fn select(&mut self, batch: &RecordBatch, _out: &mut Output) -> Result<Option<BooleanArray>> {
        let select = matches!(self.form, Form::Selection);
        Ok(select.then(|| {
            self.look();
            BooleanArray::from(vec![true; batch.num_rows()])
        }))
    }

    fn finish(&mut self, out: &mut Output) -> Result<()> {
        self.look();
        if matches!(self.form, Form::Held) {
            out.emit(rows());
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        self.look();
        Ok(vec![rows()])
    }
}

impl Sink for Looking {
    fn write(&mut self, _batch: RecordBatch, _written: &mut Written) -> Result<()> {
        self.look();
        Ok(())
    }

    fn prepare(&mut self) -> Result<()> {
        self.look();
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}
