//! What is run beside each other.

use std::fmt;
use std::str::FromStr;

use modrun_report::record::{Lane, Purpose};

/// The name of this project's own lanes.
pub(crate) const MODRUN: &str = "modrun";

/// How many rows travel together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Batch {
    Adaptive,
    Rows(u32),
}

impl FromStr for Batch {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.parse() {
            _ if text == "adaptive" => Ok(Self::Adaptive),
            Ok(rows @ 1..) => Ok(Self::Rows(rows)),
            _ => Err(format!("a batch is a positive number or `adaptive`, not `{text}`")),
        }
    }
}

impl fmt::Display for Batch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Adaptive => f.write_str("adaptive"),
            Self::Rows(rows) => write!(f, "{rows}"),
        }
    }
}

/// A placement or a baseline, and whether it has batch sizes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Kind {
    pub(crate) name: String,
    pub(crate) has_batches: bool,
}

/// What a comparison is to have.
#[derive(Clone, Debug)]
pub(crate) struct Wanted {
    pub(crate) placements: Vec<Kind>,
    pub(crate) batches: Vec<Batch>,
    pub(crate) baselines: Vec<Kind>,
    pub(crate) ledger_cost: bool,
}

impl Wanted {
    /// The lanes of a number of events, in the order of a turn. The first lane of each sort is run twice in a turn.
    pub(crate) fn lanes(&self, events: u64) -> Vec<Lane> {
        let mut lanes = Vec::new();
        for placement in &self.placements {
            let of = |batch: Option<String>, purpose| Lane {
                system: MODRUN.to_owned(),
                placement: Some(placement.name.clone()),
                batch,
                events,
                padding: 0,
                purpose,
            };
            let batches = self.batches_of(placement);
            for batch in &batches {
                lanes.push(of(batch.clone(), Purpose::Figure));
            }
            let again = batches.last().cloned().flatten();
            lanes.push(of(again.clone(), Purpose::Again));
            if self.ledger_cost {
                lanes.push(of(again, Purpose::Unmeasured));
            }
        }
        for (at, baseline) in self.baselines.iter().enumerate() {
            let of = |batch: Option<String>, purpose| Lane {
                system: baseline.name.clone(),
                placement: None,
                batch,
                events,
                padding: 0,
                purpose,
            };
            let batches = self.batches_of(baseline);
            lanes.extend(batches.iter().map(|batch| of(batch.clone(), Purpose::Figure)));
            // One of a sort says how much its like differs from itself.
            if at == 0 || baseline.has_batches {
                lanes.extend(batches.last().map(|batch| of(batch.clone(), Purpose::Again)));
            }
        }
        lanes
    }

    fn batches_of(&self, kind: &Kind) -> Vec<Option<String>> {
        match kind.has_batches {
            true => self.batches.iter().map(|batch| Some(batch.to_string())).collect(),
            false => vec![None],
        }
    }
}

/// What a person calls a lane.
pub(crate) fn shown(lane: &Lane) -> String {
    let mut text = match &lane.placement {
        Some(placement) => format!("{} {placement}", lane.system),
        None => lane.system.clone(),
    };
    if let Some(batch) = &lane.batch {
        text += &format!(", batch {batch}");
    }
    if lane.padding > 0 {
        text += &format!(", events longer by {} bytes", lane.padding);
    }
    match lane.purpose {
        Purpose::Figure => {}
        Purpose::Again => text += ", again",
        Purpose::Unmeasured => text += ", without a ledger",
        Purpose::HeldOut => text += ", held out",
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(name: &str, has_batches: bool) -> Kind {
        Kind { name: name.to_owned(), has_batches }
    }

    #[test]
    fn a_turn_has_every_combination_once_and_pairs_for_the_noise() {
        let wanted = Wanted {
            placements: vec![kind("one-process", false), kind("polyglot", true)],
            batches: vec![Batch::Rows(100), Batch::Adaptive],
            baselines: vec![kind("monolith", false), kind("lock-free", false), kind("grpc", true)],
            ledger_cost: true,
        };
        let names: Vec<String> = wanted.lanes(7).iter().map(shown).collect();
        assert_eq!(
            names,
            [
                "modrun one-process",
                "modrun one-process, again",
                "modrun one-process, without a ledger",
                "modrun polyglot, batch 100",
                "modrun polyglot, batch adaptive",
                "modrun polyglot, batch adaptive, again",
                "modrun polyglot, batch adaptive, without a ledger",
                "monolith",
                "monolith, again",
                "lock-free",
                "grpc, batch 100",
                "grpc, batch adaptive",
                "grpc, batch adaptive, again",
            ]
        );
    }

    #[test]
    fn a_batch_is_a_positive_number_or_adaptive() {
        for (text, expected) in
            [("1", Some(Batch::Rows(1))), ("adaptive", Some(Batch::Adaptive)), ("0", None), ("x", None)]
        {
            assert_eq!(text.parse::<Batch>().ok(), expected, "{text}");
        }
    }
}
