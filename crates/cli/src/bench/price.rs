//! `modrun bench --price`: what moving each stage into a process of its own costs.
//!
//! ```text
//!   events as they are ───▶ as written, again │ each stage moved out × batch sizes │ placements, held out
//!   longer events ────────▶ as written        │ each stage that gets or gives text │ placements, held out
//! ```
//!
//! One stage at a time is moved out, at several batch sizes, in turns with the pipeline as it is written. Longer events
//! tell bytes apart from events, on links whose bytes they change. What the prices that follow say of other batch sizes
//! and lengths, and of whole placements, is compared with runs that were held out.

use modrun_core::raw_schema;
use modrun_plan::{PlannedStage, Program};
use modrun_report::price::AS_WRITTEN;
use modrun_report::record::{Lane, Purpose};

use super::lanes::{Batch, MODRUN};
use super::plan::Placements;

/// Batch sizes that prices are made from.
const FITTED: [Batch; 5] =
    [Batch::Rows(100), Batch::Rows(1000), Batch::Rows(10_000), Batch::Rows(50_000), Batch::Adaptive];
/// One that they have to say something of.
const HELD_OUT: Batch = Batch::Rows(3000);

/// Bytes by which longer events are longer, and batch sizes, that prices are made from.
const LONGER: u32 = 512;
const FITTED_LONGER: [Batch; 2] = [Batch::Rows(1000), Batch::Rows(10_000)];
/// Those that they have to say something of.
const HELD_OUT_LONGER: u32 = 256;

/// A stage that can be moved out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Boundary {
    /// As a word of a placement: `stage=word`.
    pub(crate) name: String,
    /// Whether text travels over it, whose bytes depend on how long events are.
    pub(crate) has_text: bool,
}

/// What can be moved out: every stage that one of the placements runs as a process.
pub(crate) fn boundaries(placements: &Placements) -> Vec<Boundary> {
    let mut boundaries = Vec::new();
    for plan in placements.plans() {
        for stage in plan.stages.iter().filter(|stage| stage.program != Program::Here) {
            let name = format!("{}={}", stage.name, stage.placement.word());
            let boundary = Boundary { name, has_text: has_text(stage) };
            if !boundaries.contains(&boundary) {
                boundaries.push(boundary);
            }
        }
    }
    boundaries
}

fn has_text(stage: &PlannedStage) -> bool {
    let columns = [stage.input.as_ref(), stage.bound.output.as_ref()];
    columns.into_iter().flatten().any(|columns| *columns == raw_schema())
}

/// The lanes of a sweep over `boundaries` with events as they are, and those that are held out.
pub(crate) fn lanes(
    boundaries: &[Boundary],
    placements: &[String],
    batches: &[Batch],
    events: u64,
) -> Vec<Lane> {
    let lane = |placement: &str, batch, purpose| lane(placement, batch, events, 0, purpose);
    let mut lanes = vec![lane(AS_WRITTEN, None, Purpose::Figure), lane(AS_WRITTEN, None, Purpose::Again)];
    for Boundary { name, .. } in boundaries {
        lanes.extend(FITTED.map(|batch| lane(name, Some(batch), Purpose::Figure)));
        lanes.push(lane(name, Some(HELD_OUT), Purpose::HeldOut));
    }
    for placement in placements {
        lanes.extend(batches.iter().map(|&batch| lane(placement, Some(batch), Purpose::HeldOut)));
    }
    lanes
}

/// The lanes with longer events, by how many bytes they are longer; none where no boundary has text.
pub(crate) fn longer(boundaries: &[Boundary], placements: &[String], events: u64) -> Vec<(u32, Vec<Lane>)> {
    let with_text = || boundaries.iter().filter(|boundary| boundary.has_text).map(|boundary| &boundary.name);
    if with_text().next().is_none() {
        return Vec::new();
    }
    let base = |padding| lane(AS_WRITTEN, None, events, padding, Purpose::Figure);
    let fitted = |name| FITTED_LONGER.map(|batch| lane(name, Some(batch), events, LONGER, Purpose::Figure));
    let held_out = |name| lane(name, Some(HELD_OUT), events, HELD_OUT_LONGER, Purpose::HeldOut);
    let swept = [base(LONGER)].into_iter().chain(with_text().flat_map(|name| fitted(name)));
    let other =
        [base(HELD_OUT_LONGER)].into_iter().chain(with_text().chain(placements).map(|name| held_out(name)));
    vec![(LONGER, swept.collect()), (HELD_OUT_LONGER, other.collect())]
}

fn lane(placement: &str, batch: Option<Batch>, events: u64, padding: u32, purpose: Purpose) -> Lane {
    let batch = batch.map(|batch| batch.to_string());
    let (system, placement) = (MODRUN.to_owned(), Some(placement.to_owned()));
    Lane { system, placement, batch, events, padding, purpose }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(boundaries: &[(&str, bool)]) -> Vec<String> {
        let boundary = |&(name, has_text): &(&str, bool)| Boundary { name: name.to_owned(), has_text };
        let boundaries: Vec<Boundary> = boundaries.iter().map(boundary).collect();
        let placements = ["polyglot".to_owned()];
        let usual = lanes(&boundaries, &placements, &[Batch::Adaptive], 10);
        let lanes = [vec![(0, usual)], longer(&boundaries, &placements, 10)].concat();
        let name = |lane: &Lane| {
            let (placement, batch) = (lane.placement.as_deref(), lane.batch.as_deref());
            format!("{} {} {:?}", placement.unwrap(), batch.unwrap_or("-"), lane.purpose)
        };
        let of_length = |(padding, lanes): &(u32, Vec<Lane>)| {
            assert!(lanes.iter().all(|lane| lane.padding == *padding));
            lanes.iter().map(|lane| format!("{padding} {}", name(lane))).collect::<Vec<_>>()
        };
        lanes.iter().flat_map(of_length).collect()
    }

    #[test]
    fn a_sweep_moves_one_stage_at_a_time_and_holds_some_out() {
        let usual = [
            "0 as written - Figure",
            "0 as written - Again",
            "0 rules=python 100 Figure",
            "0 rules=python 1000 Figure",
            "0 rules=python 10000 Figure",
            "0 rules=python 50000 Figure",
            "0 rules=python adaptive Figure",
            "0 rules=python 3000 HeldOut",
            "0 polyglot adaptive HeldOut",
        ];
        assert_eq!(names(&[("rules=python", false)]), usual);
        let longer = [
            "512 as written - Figure",
            "512 rules=python 1000 Figure",
            "512 rules=python 10000 Figure",
            "256 as written - Figure",
            "256 rules=python 3000 HeldOut",
            "256 polyglot 3000 HeldOut",
        ];
        assert_eq!(names(&[("rules=python", true)]), [&usual[..], &longer].concat());
    }
}
