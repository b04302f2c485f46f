//! What the view shows of a run: how it went in the last moments.

use std::collections::VecDeque;
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use modrun_core::{Activity, Carrier, StageId};
use modrun_runtime::{Carried, Link, Live, StageNow};

/// Rates are taken over at least so long: a process tells of its time about once a second.
const WINDOW: Duration = Duration::from_millis(2200);

/// A stage and how it is placed.
#[derive(Clone, Debug)]
pub(crate) struct Placed {
    /// Its name.
    pub(crate) name: String,
    /// The word of its placement.
    pub(crate) word: String,
    /// Whether it runs in this process, where loops of several stages take turns.
    pub(crate) is_here: bool,
}

/// The run at a moment.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sample {
    pub(crate) pipeline: String,
    pub(crate) elapsed: Duration,
    pub(crate) events: u64,
    pub(crate) events_per_second: f64,
    pub(crate) dead_letters: u64,
    /// How much of the input was read, where its size is known.
    pub(crate) read: Option<f64>,
    /// In the order of the data.
    pub(crate) stages: Vec<StageSample>,
    pub(crate) links: Vec<LinkSample>,
}

/// One stage in the last moments.
#[derive(Clone, Debug, Default)]
pub(crate) struct StageSample {
    pub(crate) id: StageId,
    pub(crate) name: String,
    pub(crate) word: String,
    pub(crate) loops: usize,
    pub(crate) events_per_second: f64,
    pub(crate) dead_letters: u64,
    /// Shares of its loops' time by activity, in the order of [`Activity::ALL`]; what is left was another stage's turn.
    pub(crate) shares: [f64; Activity::ALL.len()],
}

impl StageSample {
    /// Share of the time in which it did not wait.
    pub(crate) fn busy(&self) -> f64 {
        let waiting = [Activity::Starved, Activity::Backpressured];
        let busy = Activity::ALL.into_iter().filter(|activity| !waiting.contains(activity));
        busy.map(|activity| self.shares[activity as usize]).sum()
    }
}

/// One link in the last moments.
#[derive(Clone, Debug)]
pub(crate) struct LinkSample {
    pub(crate) from: StageId,
    pub(crate) carrier: Carrier,
    pub(crate) rows_per_second: f64,
    pub(crate) rows_per_batch: f64,
    /// Batches on their way, and how many there may be.
    pub(crate) queue: (usize, usize),
    /// Seconds in which half of the rows, and 99 % of them, had credit; since the run began.
    pub(crate) latency: (f64, f64),
}

/// Takes samples.
pub(crate) struct Sampler {
    pipeline: String,
    stages: Vec<Placed>,
    begin: Instant,
    /// The youngest last; the oldest is what the next sample is compared with.
    seen: VecDeque<Seen>,
}

struct Seen {
    at: Instant,
    events: u64,
    stages: Vec<StageNow>,
    links: Vec<(Link, Carried)>,
}

impl Sampler {
    pub(crate) fn new(pipeline: &str, stages: Vec<Placed>) -> Self {
        Self { pipeline: pipeline.to_owned(), stages, begin: Instant::now(), seen: VecDeque::new() }
    }

    /// How the run goes.
    pub(crate) fn take(&mut self, live: &Live, now: Instant) -> Sample {
        let (stages, links) = live.observe(now);
        let seen = Seen { at: now, events: live.events.load(Ordering::Relaxed), stages, links };
        while self.seen.len() > 1 && now - self.seen[1].at >= WINDOW {
            self.seen.pop_front();
        }
        let before = self.seen.front();
        let seconds = before.map_or(0.0, |before| (now - before.at).as_secs_f64());
        let rate = |more: u64| if seconds > 0.0 { more as f64 / seconds } else { 0.0 };
        let (read, total) =
            (live.bytes_read.load(Ordering::Relaxed), live.bytes_total.load(Ordering::Relaxed));
        let mut of_stages: Vec<StageSample> =
            seen.stages.iter().map(|stage| self.stage(stage, before, seconds)).collect();
        // What a source hands on is what the stage behind it receives.
        if let [source, next, ..] = &mut of_stages[..] {
            source.events_per_second = next.events_per_second;
        }
        let sample = Sample {
            pipeline: self.pipeline.clone(),
            elapsed: now - self.begin,
            events: seen.events,
            events_per_second: rate(seen.events - before.map_or(seen.events, |before| before.events)),
            dead_letters: live.dead_letters.load(Ordering::Relaxed),
            read: (total > 0).then(|| (read as f64 / total as f64).min(1.0)),
            stages: of_stages,
            links: seen.links.iter().map(|link| link_sample(link, before, &rate)).collect(),
        };
        self.seen.push_back(seen);
        sample
    }

    fn stage(&self, now: &StageNow, before: Option<&Seen>, seconds: f64) -> StageSample {
        let placed = self.stages.get(now.id.0);
        let was = before.and_then(|before| before.stages.iter().find(|stage| stage.id == now.id));
        let spent = Activity::ALL.map(|activity| {
            let was = was.map(|was| was.row.spent(activity)).unwrap_or_default();
            now.row.spent(activity).saturating_sub(was).as_secs_f64()
        });
        // What a process tells of covers other moments than these; its parts are right among themselves.
        let whole = match placed.is_some_and(|placed| placed.is_here) {
            true => seconds * now.loops as f64,
            false => spent.iter().sum(),
        };
        let events = now.tally.events_in - was.map_or(now.tally.events_in, |was| was.tally.events_in);
        StageSample {
            id: now.id,
            name: placed.map(|placed| placed.name.clone()).unwrap_or_default(),
            word: placed.map(|placed| placed.word.clone()).unwrap_or_default(),
            loops: now.loops,
            events_per_second: if seconds > 0.0 { events as f64 / seconds } else { 0.0 },
            dead_letters: now.tally.dead_letters,
            shares: spent.map(|spent| if whole > 0.0 { (spent / whole).min(1.0) } else { 0.0 }),
        }
    }
}

fn link_sample(
    (link, carried): &(Link, Carried),
    before: Option<&Seen>,
    rate: &impl Fn(u64) -> f64,
) -> LinkSample {
    let same = |other: &&(Link, Carried)| other.0.from == link.from && other.0.carrier == link.carrier;
    let was = before.and_then(|before| before.links.iter().find(same)).map(|(_, carried)| carried);
    let rows = carried.rows - was.map_or(carried.rows, |was| was.rows);
    let batches = carried.batches - was.map_or(carried.batches, |was| was.batches);
    let (rows_held, batches_held) =
        if batches > 0 { (rows, batches) } else { (carried.rows, carried.batches) };
    let at = |quantile| carried.latency.value_at_quantile(quantile) as f64 * 1e-9;
    LinkSample {
        from: link.from,
        carrier: link.carrier,
        rows_per_second: rate(rows),
        rows_per_batch: rows_held as f64 / batches_held.max(1) as f64,
        queue: link.queue(),
        latency: (at(0.5), at(0.99)),
    }
}
