//! Other programs that do what the pipeline does.
//!
//! ```yaml
//! monolith:
//!   run: [build/monolith, --input, "{input}", --output, "{output}", --report, "{report}"]
//!   build: cmake --build build
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::Context;
use indexmap::IndexMap;
use modrun_report::record::Part;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

use super::lanes::Kind;
use crate::failure::Failure;

/// The file's name beside a pipeline.
const FILE: &str = "baselines.yaml";
const BATCH: &str = "{batch}";

/// A program to compare with.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(crate) struct Baseline {
    /// The program and its arguments. In each, `{input}`, `{output}` and `{report}` are files, `{batch}` a number of
    /// events or `adaptive`, `{cores}` the machine's cores, and `{bin}` the folder of the command `modrun`.
    run: Vec<String>,
    /// What builds it, for whoever reads that it is missing.
    #[serde(default)]
    build: Option<String>,
}

/// All programs to compare with.
#[derive(Clone, Debug, Default)]
pub(crate) struct Baselines {
    folder: PathBuf,
    all: IndexMap<String, Baseline>,
}

/// What a run's words stand for.
pub(crate) struct Words<'a> {
    pub(crate) input: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) report: &'a Path,
    pub(crate) batch: Option<&'a str>,
}

impl Baselines {
    /// Reads the file; `.` is that beside the pipeline.
    pub(crate) fn read(file: &Path, pipeline: &Path) -> Result<Self, Failure> {
        let beside = pipeline.with_file_name(FILE);
        let file = if file.as_os_str() == "." { &beside } else { file };
        let text = std::fs::read_to_string(file)
            .with_context(|| format!("cannot read the baselines `{}`", file.display()))
            .map_err(Failure::Arguments)?;
        let all = modrun_plan::read(&file.display().to_string(), &text, "the file of baselines")?;
        Ok(Self { folder: file.parent().map(PathBuf::from).unwrap_or_default(), all })
    }

    /// What there is to compare.
    pub(crate) fn kinds(&self) -> Vec<Kind> {
        let has_batches = |baseline: &Baseline| baseline.run.iter().any(|word| word.contains(BATCH));
        let kind = |(name, baseline): (&String, &Baseline)| Kind {
            name: name.clone(),
            has_batches: has_batches(baseline),
        };
        self.all.iter().map(kind).collect()
    }

    /// The program of a baseline and its arguments.
    ///
    /// # Errors
    /// Why it cannot be run.
    pub(crate) fn command(&self, name: &str, words: &Words<'_>) -> Result<(PathBuf, Vec<String>), String> {
        let baseline = self.all.get(name).ok_or("there is no such baseline")?;
        let bin = std::env::current_exe().ok().and_then(|exe| exe.parent().map(PathBuf::from));
        let values = BTreeMap::from([
            ("{input}", words.input.display().to_string()),
            ("{output}", words.output.display().to_string()),
            ("{report}", words.report.display().to_string()),
            (BATCH, words.batch.unwrap_or_default().to_owned()),
            ("{cores}", super::machine::cores().to_string()),
            ("{bin}", bin.unwrap_or_default().display().to_string()),
        ]);
        let filled =
            |word: &String| values.iter().fold(word.clone(), |word, (name, value)| word.replace(name, value));
        let mut run: Vec<String> = baseline.run.iter().map(filled).collect();
        if run.is_empty() {
            return Err("its `run` names no program".to_owned());
        }
        let arguments = run.split_off(1);
        let named = PathBuf::from(&run[0]);
        // A bare name is looked up as everywhere; a path is relative to the file.
        let program = if named.components().count() > 1 { self.folder.join(&named) } else { named };
        if program.components().count() > 1 && !program.is_file() {
            let build = baseline.build.as_ref().map(|build| format!("; `{build}` makes it"));
            return Err(format!("there is no `{}`{}", program.display(), build.unwrap_or_default()));
        }
        Ok((program, arguments))
    }
}

/// What a baseline's report says of the time from when it was ready until the results were there, in seconds.
pub(crate) fn wall_seconds(report: &Value) -> Option<f64> {
    report["stream_seconds"].as_f64().or_else(|| report["wall_seconds"].as_f64())
}

/// The processes or threads that it tells of.
pub(crate) fn parts(report: &Value) -> Vec<Part> {
    let list = ["services", "stages"].into_iter().find_map(|key| report[key].as_array());
    list.into_iter().flatten().map(part).collect()
}

/// The sum of the largest resident memory of its processes, if it tells of them.
pub(crate) fn peak_rss_bytes(report: &Value) -> Option<u64> {
    let services = report["services"].as_array()?;
    services.iter().map(|service| service["peak_rss_bytes"].as_u64()).sum()
}

fn part(value: &Value) -> Part {
    let text = |key: &str| value[key].as_str().unwrap_or_default().to_owned();
    let seconds = |keys: &[&str]| keys.iter().find_map(|key| value[key].as_f64());
    let blocked = [value["pop_blocked_seconds"].as_f64(), value["push_blocked_seconds"].as_f64()];
    let blocked = blocked.into_iter().flatten().reduce(|a, b| a + b);
    Part {
        name: text("name"),
        language: text("language"),
        process_seconds: seconds(&["process_seconds"]),
        ipc_send_seconds: seconds(&["ipc_send_seconds", "push_seconds"]),
        ipc_receive_seconds: seconds(&["ipc_receive_seconds", "pop_seconds"]),
        waiting_seconds: seconds(&["waiting_seconds"]).or(blocked),
        cpu_seconds: seconds(&["cpu_seconds"]),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn parts_are_services_or_threads() {
        let service = json!({"services": [{"name": "rules", "language": "python", "process_seconds": 1.5,
            "ipc_send_seconds": 2.0, "ipc_receive_seconds": null, "waiting_seconds": 0.5, "cpu_seconds": 3.0}]});
        let thread = json!({"stages": [{"name": "rules", "process_seconds": 1.5, "push_seconds": 2.0,
            "pop_blocked_seconds": 0.25, "push_blocked_seconds": 0.25}]});
        let (service, thread) = (parts(&service).remove(0), parts(&thread).remove(0));
        assert_eq!((service.ipc_send_seconds, service.ipc_receive_seconds), (Some(2.0), None));
        assert_eq!((thread.ipc_send_seconds, thread.waiting_seconds), (Some(2.0), Some(0.5)));
    }
}
