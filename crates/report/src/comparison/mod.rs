//! Runs beside each other: which lanes there are, what came of each, and which differences are more than noise.
//!
//! ```text
//! Measured ── Comparison::of ──▶ groups, one an input ──▶ lanes ──▶ figures, turn by turn
//!                                  └─ noise: pairs of a lane and the same lane again
//! ```
//!
//! Guarantees: no figure is taken from a lane of which any run failed; ratios are taken pair by pair, of runs that stood
//! next to each other.

mod noise;
mod share;

use std::collections::BTreeMap;

use crate::Summary;
use crate::price::{Prediction, Prices};
use crate::read::{Measured, Measurement};
use crate::record::{Figures, Lane, Outcome, Purpose, Session};
use crate::units;

pub use noise::{Noise, Verdict};
pub use share::{Bound, Share};

/// All that was measured, ordered to be compared.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// By number of events and their length, rising.
    pub groups: Vec<Group>,
    /// Where and by what it was measured.
    pub sessions: Vec<Session>,
    /// What the reader should know of the files.
    pub notes: Vec<String>,
    /// Cores that other programs used just before each run.
    pub cores_taken: Vec<f64>,
    /// Whether the runs took turns: those of a benchmark do, single reports do not.
    pub is_benchmark: bool,
    /// What boundaries cost, and what that says of runs that were held out; none where no sweep for it was made.
    pub prices: Option<(Prices, Vec<Prediction>)>,
}

/// What ran on the same input.
#[derive(Clone, Debug)]
pub struct Group {
    /// Events in the input.
    pub events: u64,
    /// Bytes by which each of them is longer than usual.
    pub padding: u32,
    /// The lanes in the order in which they were first run, but those that only serve to judge others.
    pub lanes: Vec<Column>,
    /// The lanes that were run again, for the noise.
    again: Vec<Column>,
    /// The lanes that were run without a ledger.
    unmeasured: Vec<Column>,
}

/// A lane and what came of it.
#[derive(Clone, Debug)]
pub struct Column {
    /// What was run.
    pub lane: Lane,
    /// What came of it.
    pub state: State,
    /// Whether the results were compared with the expected ones.
    pub is_verified: bool,
}

/// What came of a lane.
#[derive(Clone, Debug)]
pub enum State {
    /// Figures by turn.
    Measured(BTreeMap<Turn, Figures>),
    /// So many of so many runs failed, the first for this reason.
    Failed(usize, usize, String),
    /// It was not run; why.
    LeftOut(String),
}

/// Which runs stood next to each other: the file, and the round in it.
pub type Turn = (usize, u32);

impl Comparison {
    /// Orders what was read.
    #[must_use]
    pub fn of(measured: &Measured) -> Self {
        let size = |measured: &Measurement| (measured.run.lane.events, measured.run.lane.padding);
        let mut sizes: Vec<(u64, u32)> = measured.runs.iter().map(size).collect();
        sizes.sort_unstable();
        sizes.dedup();
        let runs = || measured.runs.iter().map(|measured| &measured.run);
        let prices = Prices::of(runs()).filter(|prices| !prices.of.is_empty());
        Self {
            groups: sizes.into_iter().map(|size| Group::of(size, &measured.runs)).collect(),
            sessions: measured.sessions.clone(),
            notes: measured.notes.clone(),
            cores_taken: measured.runs.iter().filter(|m| m.was_run()).map(|m| m.run.cores_taken).collect(),
            is_benchmark: !measured.sessions.is_empty() || measured.runs.iter().any(|m| m.is_verified),
            prices: prices
                .map(|prices| (prices.predictions(runs()), prices))
                .map(|(said, prices)| (prices, said)),
        }
    }

    /// The groups of events of the usual length: others only serve to find what a byte costs.
    pub fn usual(&self) -> impl Iterator<Item = &Group> {
        self.groups.iter().filter(|group| group.padding == 0)
    }

    /// All lanes of the [usual](Self::usual) groups that have figures, with their group.
    pub fn measured(&self) -> impl Iterator<Item = (&Group, &Column)> {
        let of_group = |group| Group::measured(group).map(move |column| (group, column));
        self.usual().flat_map(of_group)
    }

    /// The families of lanes, such as all batch sizes of one placement, in the order of the lanes.
    #[must_use]
    pub fn families(&self) -> Vec<Family> {
        let mut families = Vec::new();
        for column in self.groups.iter().flat_map(|group| &group.lanes) {
            if !families.contains(&column.family()) {
                families.push(column.family());
            }
        }
        families
    }
}

impl Measurement {
    fn was_run(&self) -> bool {
        self.is_verified || matches!(self.run.outcome, Outcome::Failed(_))
    }
}

/// A system, and the placement where it has some.
pub type Family = (String, Option<String>);

impl Group {
    fn of((events, padding): (u64, u32), runs: &[Measurement]) -> Self {
        let mut columns: Vec<(Lane, Vec<&Measurement>)> = Vec::new();
        let is_of = |lane: &Lane| lane.events == events && lane.padding == padding;
        for measured in runs.iter().filter(|measured| is_of(&measured.run.lane)) {
            match columns.iter_mut().find(|(lane, _)| *lane == measured.run.lane) {
                Some((_, of_lane)) => of_lane.push(measured),
                None => columns.push((measured.run.lane.clone(), vec![measured])),
            }
        }
        let mut group =
            Self { events, padding, lanes: Vec::new(), again: Vec::new(), unmeasured: Vec::new() };
        for (lane, of_lane) in columns {
            let place = match lane.purpose {
                Purpose::Figure | Purpose::HeldOut => &mut group.lanes,
                Purpose::Again => &mut group.again,
                Purpose::Unmeasured => &mut group.unmeasured,
            };
            place.push(Column::of(lane, &of_lane));
        }
        group.lanes = beside_families(group.lanes);
        group
    }

    /// What it is called.
    #[must_use]
    pub fn title(&self) -> String {
        let events = units::exact(self.events);
        match self.padding {
            0 => format!("{events} events"),
            bytes => format!("{events} events, each longer by {bytes} bytes and a key"),
        }
    }

    /// The lanes that have figures.
    pub fn measured(&self) -> impl Iterator<Item = &Column> {
        self.lanes.iter().filter(|column| column.turns().is_some())
    }

    /// The lane that the others are compared with: the first that has figures.
    #[must_use]
    pub fn reference(&self) -> Option<&Column> {
        self.measured().next()
    }

    /// What the ledger costs: how long each lane took that was also run without one, over how long it took without.
    #[must_use]
    pub fn measuring(&self) -> Vec<(&Lane, Summary)> {
        let ratio = |without: &Column| {
            let with = self.lanes.iter().find(|column| column.is_like(without))?;
            Some((&with.lane, Summary::of(&with.ratios(without, |figures| figures.wall_seconds))?))
        };
        self.unmeasured
            .iter()
            .filter_map(|without| {
                let (_, summary) = ratio(without)?;
                Some((&without.lane, summary))
            })
            .collect()
    }

    /// Lanes of any purpose that failed or were left out.
    pub fn without_figures(&self) -> impl Iterator<Item = &Column> {
        let all = self.lanes.iter().chain(&self.again).chain(&self.unmeasured);
        all.filter(|column| column.turns().is_none())
    }
}

/// Puts the lanes that were left out, which are recorded before anything is run, before the others of their family.
fn beside_families(lanes: Vec<Column>) -> Vec<Column> {
    let is_left_out = |column: &Column| matches!(column.state, State::LeftOut(_));
    let (left_out, mut ordered): (Vec<_>, Vec<_>) = lanes.into_iter().partition(is_left_out);
    for column in left_out {
        let is_of_family = |other: &Column| other.family() == column.family() && !is_left_out(other);
        let at = ordered.iter().position(is_of_family);
        ordered.insert(at.unwrap_or(ordered.len()), column);
    }
    ordered
}

impl Column {
    fn of(lane: Lane, runs: &[&Measurement]) -> Self {
        let mut turns = BTreeMap::new();
        let (mut failed, mut left_out) = (Vec::new(), None);
        for measured in runs {
            match &measured.run.outcome {
                Outcome::Verified(figures) => {
                    turns.insert((measured.file, measured.run.turn), figures.clone());
                }
                Outcome::Failed(why) => failed.push(why.clone()),
                Outcome::LeftOut(why) => left_out = Some(why.clone()),
            }
        }
        let state = match (failed.first(), left_out) {
            (Some(why), _) => State::Failed(failed.len(), failed.len() + turns.len(), why.clone()),
            (None, Some(why)) if turns.is_empty() => State::LeftOut(why),
            _ => State::Measured(turns),
        };
        Self { lane, state, is_verified: runs.iter().any(|measured| measured.is_verified) }
    }

    /// Its figures by turn, if it has some.
    #[must_use]
    pub fn turns(&self) -> Option<&BTreeMap<Turn, Figures>> {
        match &self.state {
            State::Measured(turns) => Some(turns),
            State::Failed(..) | State::LeftOut(_) => None,
        }
    }

    /// One measure of its runs, summarised; none where it is not measured in all of them.
    pub fn summary(&self, measure: impl Fn(&Figures) -> Option<f64>) -> Option<Summary> {
        let sample: Option<Vec<f64>> = self.turns()?.values().map(measure).collect();
        Summary::of(&sample?)
    }

    /// Its run in the middle, by the time it took.
    #[must_use]
    pub fn typical(&self) -> Option<&Figures> {
        let mut runs: Vec<&Figures> = self.turns()?.values().collect();
        runs.sort_by(|a, b| a.whole_seconds.total_cmp(&b.whole_seconds));
        runs.get(runs.len().checked_sub(1)? / 2).copied()
    }

    /// A measure of its runs over that of another lane's runs in the same turns.
    pub fn ratios(&self, other: &Column, measure: impl Fn(&Figures) -> f64) -> Vec<f64> {
        let (Some(ours), Some(theirs)) = (self.turns(), other.turns()) else { return Vec::new() };
        let pair = |(turn, figures): (&Turn, &Figures)| Some(measure(figures) / measure(theirs.get(turn)?));
        ours.iter().filter_map(pair).filter(|ratio| ratio.is_finite()).collect()
    }

    /// How many times as fast it is as another lane once everything is ready, pair by pair.
    #[must_use]
    pub fn speeds_against(&self, other: &Column) -> Vec<f64> {
        other.ratios(self, |figures| figures.wall_seconds)
    }

    /// The same, summarised.
    #[must_use]
    pub fn speed_against(&self, other: &Column) -> Option<Summary> {
        Summary::of(&self.speeds_against(other))
    }

    /// Median throughput in events/s, once everything is ready.
    #[must_use]
    pub fn events_per_second(&self) -> Option<f64> {
        let events = self.lane.events as f64;
        Some(self.summary(|figures| Some(events / figures.wall_seconds))?.median)
    }

    /// The family that it belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        self.lane.family()
    }

    /// Whether the other one runs the same, for whatever purpose.
    fn is_like(&self, other: &Column) -> bool {
        self.family() == other.family() && self.lane.batch == other.lane.batch
    }
}

/// The name of a family in tables and plots.
#[must_use]
pub fn family_name((system, placement): &Family) -> String {
    match placement {
        None => system.clone(),
        Some(placement) if system == "modrun" => placement.clone(),
        Some(placement) => format!("{system} ({placement})"),
    }
}

impl Lane {
    /// The family that it belongs to.
    #[must_use]
    pub fn family(&self) -> Family {
        (self.system.clone(), self.placement.clone())
    }

    /// Its name in tables and plots.
    #[must_use]
    pub fn name(&self) -> String {
        let family = family_name(&self.family());
        match &self.batch {
            Some(batch) => format!("{family}, {}", batch_name(batch)),
            None => family,
        }
    }

    /// Whether it moves one stage out only to find what that costs.
    #[must_use]
    pub fn is_swept(&self) -> bool {
        self.placement.as_ref().is_some_and(|placement| placement.contains('='))
    }

    /// The number of events that travel together, where it is one.
    #[must_use]
    pub fn batch_size(&self) -> Option<u64> {
        self.batch.as_ref()?.parse().ok()
    }
}

/// `batch 10`, or `adaptive`.
#[must_use]
pub fn batch_name(batch: &str) -> String {
    if batch.parse::<u64>().is_ok() { format!("batch {batch}") } else { batch.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_left_out_stands_with_its_family() {
        let column = |system: &str, batch: &str, state: State| {
            let (system, batch) = (system.to_owned(), Some(batch.to_owned()));
            let (events, padding, purpose) = (1, 0, Purpose::Figure);
            let lane = Lane { system, placement: None, batch, events, padding, purpose };
            Column { lane, state, is_verified: true }
        };
        let left_out = || State::LeftOut("too long".to_owned());
        let measured = || State::Measured(BTreeMap::new());
        let lanes = vec![
            column("split", "1", left_out()),
            column("split", "2", left_out()),
            column("other", "1", left_out()),
            column("modrun", "1", measured()),
            column("split", "10", measured()),
        ];
        let names: Vec<String> = beside_families(lanes).iter().map(|column| column.lane.name()).collect();
        assert_eq!(
            names,
            ["modrun, batch 1", "split, batch 1", "split, batch 2", "split, batch 10", "other, batch 1"]
        );
    }
}
