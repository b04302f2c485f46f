//! The stages that one thread carries a batch through.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use arrow_array::RecordBatch;
use modrun_core::{
    Activity, Code, Concurrency, Error, Ledger, Output, Result, Sink, StageId, State, Transform, Written,
};

use modrun_link::Passed;

use crate::Passage;
use crate::live::Counts;

/// A stage of a chain, by name and by its position in the pipeline.
#[derive(Clone, Debug)]
pub struct Step {
    /// Its position in the pipeline.
    pub id: StageId,
    /// Its name in the pipeline.
    pub name: String,
}

/// What a stage of a chain does with a batch.
pub enum Operator {
    /// The source: the inlet polls it, batches pass its place untouched.
    Source,
    /// A transform, and how many instances of it there may be.
    Transform(Box<dyn Transform>, Concurrency),
    /// The place of a transform that is opened when all partial states are there.
    Merge,
    /// The sink, and the account of what it wrote.
    Sink(Box<dyn Sink>, Written),
}

/// Counts of one stage within one loop.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events received; where a batch holds text, those found in it.
    pub events_in: u64,
    /// Batches received.
    pub batches_in: u64,
    /// Events that a rule dropped.
    pub filtered: u64,
    /// Events that went wrong.
    pub dead_letters: u64,
}

impl Tally {
    /// Adds another loop's counts of the same stage.
    pub fn add(&mut self, other: &Tally) {
        self.events_in += other.events_in;
        self.batches_in += other.batches_in;
        self.filtered += other.filtered;
        self.dead_letters += other.dead_letters;
    }
}

impl From<Passed> for Tally {
    fn from(passed: Passed) -> Self {
        Self {
            events_in: passed.events,
            batches_in: passed.batches,
            filtered: passed.filtered,
            dead_letters: passed.dead_letters,
        }
    }
}

/// A sink whose results are durable and wait for their final name, and the account of them.
pub type Prepared = (Box<dyn Sink>, Written);

/// The stages of one loop, in order.
pub struct Chain {
    steps: Vec<Step>,
    operators: Vec<Operator>,
    counts: Arc<[Counts]>,
    output: Output,
    /// How many of the events that entered the pipeline were told of already.
    events_told: u64,
}

impl Chain {
    /// A chain of stages, in the order of the data; without any it hands on what comes.
    pub fn new(stages: Vec<(Step, Operator)>) -> Self {
        let (steps, operators): (Vec<_>, Vec<_>) = stages.into_iter().unzip();
        let counts = steps.iter().map(|_| Counts::default()).collect();
        Self { steps, operators, counts, output: Output::default(), events_told: 0 }
    }

    /// How many stages it has.
    #[expect(clippy::len_without_is_empty, reason = "what asks counts")]
    pub fn len(&self) -> usize {
        self.steps.len()
    }

    /// What others may see of it: its stages and their counts.
    pub(crate) fn seen(&self) -> (Vec<StageId>, Arc<[Counts]>) {
        (self.steps.iter().map(|step| step.id).collect(), self.counts.clone())
    }

    /// Carries batches from its beginning to its end.
    pub(crate) fn carry(&mut self, rows: Vec<RecordBatch>, ledger: &mut Ledger) -> Result<Passage> {
        let mut passage = Passage { rows, dead_letters: Vec::new() };
        self.carry_from(0, &mut passage, ledger)?;
        Ok(passage)
    }

    fn carry_from(&mut self, first: usize, passage: &mut Passage, ledger: &mut Ledger) -> Result<()> {
        for at in first..self.operators.len() {
            let rows = std::mem::take(&mut passage.rows);
            match &mut self.operators[at] {
                Operator::Source => passage.rows = rows,
                // Dead letters come in without a batch; they pass.
                Operator::Merge if rows.is_empty() => {}
                Operator::Merge => {
                    return Err(Error::internal("a batch came to where partial states are merged"));
                }
                Operator::Transform(transform, _) => {
                    ledger.enter(at, Activity::Process);
                    for batch in rows {
                        let events = batch.num_rows() as u64;
                        guard(&self.steps[at], || transform.process(batch, &mut self.output))?;
                        self.counts[at].batches_in.add(1);
                        self.counts[at].events_in.add(self.output.events_found.take().unwrap_or(events));
                    }
                    self.collect(at, passage);
                }
                Operator::Sink(sink, written) => {
                    ledger.enter(at, Activity::Process);
                    for batch in rows {
                        self.counts[at].batches_in.add(1);
                        self.counts[at].events_in.add(batch.num_rows() as u64);
                        guard(&self.steps[at], || sink.write(batch, written))?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Moves what the stage at `at` handed on to the passage.
    fn collect(&mut self, at: usize, passage: &mut Passage) {
        let (step, counts, output) = (&self.steps[at], &self.counts[at], &mut self.output);
        counts.filtered.add(std::mem::take(&mut output.filtered));
        counts.dead_letters.add(output.dead_letters.len() as u64);
        passage.rows.append(&mut output.batches);
        passage.dead_letters.extend(output.dead_letters.drain(..).map(|letter| (step.id, letter)));
    }

    /// The input has ended: lets each stage hand on what it held back, and makes the sink's results durable.
    pub(crate) fn finish(&mut self, ledger: &mut Ledger) -> Result<Passage> {
        let mut passage = Passage::default();
        for at in 0..self.operators.len() {
            match &mut self.operators[at] {
                Operator::Transform(transform, Concurrency::Mergeable | Concurrency::Ordered) => {
                    ledger.enter(at, Activity::Process);
                    guard(&self.steps[at], || transform.finish(&mut self.output))?;
                }
                Operator::Sink(sink, _) => {
                    ledger.enter(at, Activity::Process);
                    guard(&self.steps[at], || sink.prepare())?;
                }
                _ => continue,
            }
            let mut held_back = Passage::default();
            self.collect(at, &mut held_back);
            self.carry_from(at + 1, &mut held_back, ledger)?;
            passage.rows.append(&mut held_back.rows);
            passage.dead_letters.append(&mut held_back.dead_letters);
        }
        Ok(passage)
    }

    /// The partial state of its last stage.
    pub(crate) fn snapshot(&mut self, ledger: &mut Ledger) -> Result<State> {
        let last = self.operators.len() - 1;
        ledger.enter(last, Activity::Process);
        match &mut self.operators[last] {
            Operator::Transform(transform, _) => guard(&self.steps[last], || transform.snapshot()),
            _ => Err(Error::internal("only a transform has a partial state")),
        }
    }

    /// Puts the merged transform where the partial states came in.
    pub(crate) fn replace_head(&mut self, merged: Box<dyn Transform>) {
        self.operators[0] = Operator::Transform(merged, Concurrency::Mergeable);
    }

    /// Events that entered the pipeline here since the last call: those of the stage behind the source.
    pub(crate) fn take_events(&mut self) -> u64 {
        let first = self.steps.iter().position(|step| step.id == StageId(1));
        let events = first.map_or(0, |at| self.counts[at].events_in.get());
        events - std::mem::replace(&mut self.events_told, events)
    }

    /// Takes it apart: its stages, their counts and its sink.
    pub(crate) fn close(self) -> (Vec<Step>, Vec<Tally>, Option<Prepared>) {
        let sink = self.operators.into_iter().find_map(|operator| match operator {
            Operator::Sink(sink, written) => Some((sink, written)),
            _ => None,
        });
        (self.steps, self.counts.iter().map(Counts::tally).collect(), sink)
    }
}

/// Runs a stage's own code: an error or a panic in it is named after the stage.
fn guard<T>(step: &Step, code: impl FnOnce() -> Result<T>) -> Result<T> {
    // After a panic the run ends, and nothing that the stage left half done is used.
    let done = catch_unwind(AssertUnwindSafe(code)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<&str>().copied();
        let text =
            text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message");
        Err(Error::stage(format!("its code panicked: {text}")).with_code(Code::STAGE))
    });
    done.map_err(|error| error.in_stage(&step.name))
}
