//! What a comparison leaves behind: a file of runs, one JSON document a line.
//!
//! Guarantees: a run is appended once it is over, so that a file that breaks off holds whole runs, and whoever goes on
//! knows which are there already ([`Run::lane`], [`Run::turn`]).

use std::collections::BTreeMap;

use modrun_core::RunReport;
use serde::{Deserialize, Serialize};

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Line {
    /// From here on, runs were measured by this command on this machine.
    Session(Session),
    /// A run.
    Run(Box<Run>),
}

/// Where and by what the runs behind it were measured: a figure without that is worth nothing.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Session {
    /// The pipeline's name.
    pub pipeline: String,
    /// The command with its arguments.
    pub command: String,
    /// When it began, in seconds since 1970.
    pub begun_unix_seconds: u64,
    /// The processor's name.
    pub cpu: String,
    /// How many cores there are.
    pub cores: u32,
    /// Memory, in bytes.
    pub memory_bytes: u64,
    /// The kernel.
    pub system: String,
    /// Versions by program: `modrun`, `commit` where known, `python`, `node`, `go`, …
    pub versions: BTreeMap<String, String>,
}

/// What was run, and how.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Lane {
    /// `modrun`, or the name of a baseline.
    pub system: String,
    /// The placement, of `modrun`.
    pub placement: Option<String>,
    /// Events that travel together: a number or `adaptive`; null where nothing is said of it.
    pub batch: Option<String>,
    /// Events in the input.
    pub events: u64,
    /// Bytes by which each of them is longer than events usually are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub padding: u32,
    /// Why it is run.
    pub purpose: Purpose,
}

fn is_zero(bytes: &u32) -> bool {
    *bytes == 0
}

/// Why a lane is run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Purpose {
    /// To be compared.
    #[default]
    Figure,
    /// The same as the lane of that kind that is compared: how much two runs of one thing differ is the noise.
    Again,
    /// The same without a ledger: what measuring costs.
    Unmeasured,
    /// Left out of the fit of prices, to see how well it predicts.
    HeldOut,
}

/// One run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Run {
    /// What was run.
    pub lane: Lane,
    /// The round, from 1; warm-ups are not recorded.
    pub turn: u32,
    /// Cores that other programs used just before, 0 on an idle machine.
    pub cores_taken: f64,
    /// How it went.
    pub outcome: Outcome,
}

/// How a run went.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// The results are the expected ones.
    Verified(Figures),
    /// They are not, or the program failed; why. No figure is taken from such a run.
    Failed(String),
    /// It was not run: it would have taken too long, or cannot run here; why.
    LeftOut(String),
}

/// What a verified run took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Figures {
    /// From before the first process is started until the last is gone, in seconds.
    pub whole_seconds: f64,
    /// From when everything is ready until the results are there, in seconds; the whole where it is not told apart.
    pub wall_seconds: f64,
    /// CPU time of all processes in `whole_seconds`, in seconds.
    pub whole_cpu_seconds: f64,
    /// CPU time of all processes in `wall_seconds`, in seconds; null where it was not measured.
    pub cpu_seconds: Option<f64>,
    /// The sum of every process's largest resident memory, in bytes.
    pub peak_rss_bytes: u64,
    /// The report, of `modrun`.
    pub report: Option<Box<RunReport>>,
    /// What a baseline reports of its processes or threads.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parts: Vec<Part>,
}

/// A process or thread of a baseline, as it reports itself; null is not measured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Part {
    /// Its name.
    pub name: String,
    /// Its language.
    pub language: String,
    /// Its own work.
    pub process_seconds: Option<f64>,
    /// Encoding and sending.
    pub ipc_send_seconds: Option<f64>,
    /// Receiving and decoding.
    pub ipc_receive_seconds: Option<f64>,
    /// Waiting for input or for room.
    pub waiting_seconds: Option<f64>,
    /// CPU time.
    pub cpu_seconds: Option<f64>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_without_padding_has_none() {
        let text =
            r#"{"system":"modrun","placement":"as written","batch":null,"events":10,"purpose":"figure"}"#;
        let lane: Lane = serde_json::from_str(text).unwrap();
        assert_eq!((lane.padding, serde_json::to_string(&lane).unwrap()), (0, text.to_owned()));
        let padded = serde_json::to_string(&Lane { padding: 512, ..lane }).unwrap();
        assert!(padded.contains(r#""padding":512"#), "{padded}");
    }
}
