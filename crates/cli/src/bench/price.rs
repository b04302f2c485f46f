//! `modrun bench --price`: what moving each stage into a process of its own costs.
//!
//! One stage at a time is moved out, at several batch sizes, in turns with the pipeline as it is written. What the
//! prices that follow say of other batch sizes, and of whole placements, is compared with runs that were held out.

use modrun_plan::Program;
use modrun_report::price::AS_WRITTEN;
use modrun_report::record::{Lane, Purpose};

use super::lanes::{Batch, MODRUN};
use super::plan::Placements;

/// Batch sizes that prices are made from.
const FITTED: [Batch; 4] = [Batch::Rows(100), Batch::Rows(1000), Batch::Rows(10_000), Batch::Adaptive];
/// One that they have to say something of.
const HELD_OUT: Batch = Batch::Rows(3000);

/// What can be moved out: `stage=word` for every stage that one of the placements runs as a process.
pub(crate) fn boundaries(placements: &Placements) -> Vec<String> {
    let mut boundaries = Vec::new();
    for plan in placements.plans() {
        for stage in plan.stages.iter().filter(|stage| stage.program != Program::Here) {
            let boundary = format!("{}={}", stage.name, stage.placement.word());
            if !boundaries.contains(&boundary) {
                boundaries.push(boundary);
            }
        }
    }
    boundaries
}

/// The lanes of a sweep over `boundaries`, and those that are held out.
pub(crate) fn lanes(
    boundaries: &[String],
    placements: &[String],
    batches: &[Batch],
    events: u64,
) -> Vec<Lane> {
    let lane = |placement: &str, batch: Option<Batch>, purpose| Lane {
        system: MODRUN.to_owned(),
        placement: Some(placement.to_owned()),
        batch: batch.map(|batch| batch.to_string()),
        events,
        purpose,
    };
    let mut lanes = vec![lane(AS_WRITTEN, None, Purpose::Figure)];
    for boundary in boundaries {
        lanes.extend(FITTED.map(|batch| lane(boundary, Some(batch), Purpose::Figure)));
        lanes.push(lane(boundary, Some(HELD_OUT), Purpose::HeldOut));
    }
    for placement in placements {
        lanes.extend(batches.iter().map(|&batch| lane(placement, Some(batch), Purpose::HeldOut)));
    }
    lanes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sweep_moves_one_stage_at_a_time_and_holds_some_out() {
        let lanes = lanes(&["rules=python".into()], &["polyglot".into()], &[Batch::Adaptive], 10);
        let names: Vec<_> = lanes
            .iter()
            .map(|lane| {
                (lane.placement.as_deref().unwrap(), lane.batch.as_deref().unwrap_or("-"), lane.purpose)
            })
            .collect();
        assert_eq!(
            names,
            [
                ("as written", "-", Purpose::Figure),
                ("rules=python", "100", Purpose::Figure),
                ("rules=python", "1000", Purpose::Figure),
                ("rules=python", "10000", Purpose::Figure),
                ("rules=python", "adaptive", Purpose::Figure),
                ("rules=python", "3000", Purpose::HeldOut),
                ("polyglot", "adaptive", Purpose::HeldOut),
            ]
        );
    }
}
