//! Cases as they are written: `cases/*.yaml`, one file a group, one entry a case.
//!
//! What it is: the types that the files are read into, and [`runs`], which spells out the forms, carriers and batch
//! sizes of each case.
//!
//! Guarantees: unknown keys are refused; what a case leaves out has the default that `README.md` names.
//!
//! Neighbours: `step` has the steps of a script; `stages` knows what a stage's columns are where a case does not say;
//! `script` performs a case.

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use crate::step::Step;
use crate::{Error, Result, yaml};

/// One entry of a file of cases.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// Its name in the group.
    pub name: String,
    /// The rules of `PROTOCOL.md` that it checks, besides those that every case does.
    #[serde(default)]
    pub rules: Vec<String>,
    /// The stage under test.
    pub stage: String,
    /// Forms of the handler; both, if only `carriers` are there.
    #[serde(default)]
    pub forms: Vec<Form>,
    /// How payloads travel; both ways, if only `forms` are there. Without both, `event` goes over `shm` and `batch` inline:
    /// a case about values needs every form and every carrier, but not every pair.
    #[serde(default)]
    pub carriers: Vec<Carrier>,
    /// What the program has to be able to do for the case to apply.
    #[serde(default)]
    pub needs: Option<Ability>,
    /// The stage's `with`; `$DIR` in a text stands for a fresh folder.
    #[serde(default = "empty_object")]
    pub config: Json,
    /// Input columns; the stage's own, if it is left out.
    #[serde(default)]
    pub input: Option<IndexMap<String, String>>,
    /// Output columns; the stage's own, if it is left out.
    #[serde(default)]
    pub output: Option<IndexMap<String, String>>,
    /// Input rows.
    #[serde(default)]
    pub rows: Rows,
    /// How they are cut into batches.
    #[serde(default)]
    pub batches: Batches,
    /// Instead of `batches`: a run for each of these batch sizes, with so many generated rows.
    #[serde(default)]
    pub sizes: IndexMap<String, usize>,
    /// How string columns travel.
    #[serde(default)]
    pub strings: Strings,
    /// What the runtime says in `Open`.
    #[serde(default)]
    pub open: Settings,
    /// How the runtime behaves.
    #[serde(default)]
    pub runtime: Behaviour,
    /// What the runtime does; what its side of a calm run does, if it is left out.
    #[serde(default)]
    pub script: Vec<Step>,
    /// The longest that the program may be silent while it is waited for.
    #[serde(default = "ten")]
    pub seconds: u64,
    /// What must come of it, where the reference does not know.
    #[serde(default)]
    pub expect: Expect,
}

fn empty_object() -> Json {
    Json::Object(serde_json::Map::new())
}

fn ten() -> u64 {
    10
}

/// The form of a stage's handler.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Form {
    /// One event a call.
    Event,
    /// One batch a call.
    Batch,
}

impl Form {
    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Form::Event => "event",
            Form::Batch => "batch",
        }
    }
}

/// How payloads travel.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum Carrier {
    /// Behind their messages; there are no segments.
    Inline,
    /// In segments.
    Shm,
}

impl Carrier {
    /// The word for it on a command line.
    pub fn word(self) -> &'static str {
        match self {
            Carrier::Inline => "inline",
            Carrier::Shm => "shm",
        }
    }
}

/// What not every SDK can do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ability {
    /// Handlers that await.
    Async,
    /// Events become columns once the handler has returned, not while it runs.
    Apart,
}

/// Input rows, written out or generated.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Rows {
    /// Cells in the order of the columns.
    Written(Vec<Vec<Json>>),
    /// As `generate` makes them.
    Generated(Generated),
}

impl Default for Rows {
    fn default() -> Self {
        Rows::Written(Vec::new())
    }
}

/// Rows that are generated.
#[derive(Clone, Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Generated {
    /// What they look like.
    pub generate: Pattern,
    /// How many there are; `sizes` says so where a case has them.
    #[serde(default)]
    pub rows: usize,
    /// Bytes of each string, about, where they are `long`.
    #[serde(default = "four_mebibytes")]
    pub bytes: usize,
}

fn four_mebibytes() -> usize {
    4 << 20
}

/// What generated rows look like.
#[derive(Clone, Copy, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Pattern {
    /// Values of all kinds that any form of any language takes, among them nulls.
    Mixed,
    /// Whole numbers that count up, and strings that are all different.
    Distinct,
    /// Few small values, without nulls.
    Plain,
    /// As `plain`, with strings of many bytes.
    Long,
}

/// How rows are cut into batches.
#[derive(Clone, Debug, Deserialize)]
#[serde(untagged)]
pub enum Batches {
    /// All in one batch; none, if there are no rows.
    One(()),
    /// Batches of so many rows.
    Each(usize),
    /// So many rows in the first, in the second, ….
    List(Vec<usize>),
}

impl Default for Batches {
    fn default() -> Self {
        Batches::One(())
    }
}

/// How string columns travel.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Strings {
    /// As offsets and bytes.
    #[default]
    Plain,
    /// As a dictionary, where the batch has at most 256 different ones.
    Dictionary,
    /// One batch so, the next one so.
    Alternating,
}

/// What the runtime says in `Open`, where it differs from the default.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The protocol's version; 1.
    pub protocol: Option<u32>,
    /// Batches without credit; 4.
    pub window_batches: Option<u32>,
    /// Bytes without credit; 64 MiB.
    pub window_bytes: Option<u64>,
    /// Bytes of a payload that travels inline; 64 MiB with the carrier `inline`, 0 with `shm`.
    pub inline_max: Option<u64>,
    /// Bytes of the input segment with the carrier `shm`; 64 MiB.
    pub input_segment: Option<u64>,
    /// Bytes of the output segment with the carrier `shm`; 64 MiB.
    pub output_segment: Option<u64>,
    /// Rows of an output batch; 0.
    pub policy_rows: Option<u32>,
    /// How long a smaller batch may wait, in microseconds; 0.
    pub policy_linger_us: Option<u64>,
    /// Whether the stage is told to keep no ledger.
    #[serde(default)]
    pub unmeasured: bool,
    /// Write the fields of `Open` in another order, among fields that nobody knows.
    #[serde(default)]
    pub shuffled: bool,
}

/// How the runtime behaves while a case runs.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Behaviour {
    /// When output batches get credit.
    #[serde(default)]
    pub credits: Credits,
    /// Bytes of a single write to the socket; everything that is there, if it is left out.
    pub write_bytes: Option<usize>,
    /// The numbers of the socket, the input and the output segment in the program; 3, 4 and 5, if they are left out.
    pub descriptors: Option<[i32; 3]>,
    /// Set the unused bits and bytes of tables instead of leaving them 0.
    #[serde(default)]
    pub dirty: bool,
}

/// When output batches get credit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Credits {
    /// As soon as they are there.
    #[default]
    Prompt,
    /// Only when the window is full, or nothing else goes on; the last one first.
    Reversed,
    /// Not before the step `release`.
    Withheld,
}

/// What must come of a case.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// Output rows; compared with the reference too.
    pub rows: Option<Vec<Vec<Json>>>,
    /// Rows of the source or of an ended run may be the beginning of those that the reference knows.
    #[serde(default)]
    pub beginning: bool,
    /// Events that failed, as the row's number in the whole input and the message.
    pub failed_rows: Option<Vec<(usize, String)>>,
    /// The stage's failure.
    pub failure: Option<Failure>,
    /// Whether the stage may also say that it failed.
    #[serde(default)]
    pub may_fail: bool,
    /// Events that were dropped on purpose.
    pub filtered: Option<u64>,
    /// Lines of the log, each with its level.
    #[serde(default)]
    pub log: Vec<(Level, String)>,
    /// Lines of the file `out.ndjson` in the case's folder, in the end.
    pub lines: Option<Vec<String>>,
    /// The same of `out.ndjson.partial`.
    pub partial_lines: Option<Vec<String>>,
    /// The exit code.
    pub exit: Option<i32>,
    /// Rows of every output batch but the last one.
    pub batch_rows: Option<u32>,
    /// Whether answers are selections: `all`, or `none`.
    pub selections: Option<Selections>,
    /// Chunks of the last snapshot, at least.
    pub state_chunks_min: Option<u32>,
    /// Chunks of the last snapshot, at most.
    pub state_chunks_max: Option<u32>,
    /// Output batches, at least.
    pub batches_min: Option<usize>,
    /// What the stage must say of its time, by activity, or of its CPU time, as `cpu`.
    #[serde(default)]
    pub activity: IndexMap<String, Range>,
    /// `Activity` messages, at least.
    pub activities_min: Option<usize>,
}

/// Where a time must lie.
#[derive(Clone, Copy, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Range {
    /// Not further from it than 5 %.
    pub about: Option<Time>,
    /// More than this.
    pub above: Option<Time>,
    /// Less than this.
    pub below: Option<Time>,
}

/// A time that the kit knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(untagged)]
pub enum Time {
    /// Milliseconds.
    Millis(u64),
    /// As a clock has said.
    Measured(Measured),
}

/// What was measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Measured {
    /// How long the script has paused, by the kit's clock.
    Paused,
    /// How long the stage `spin` was in its own code, as it says in its rows.
    Spun,
    /// CPU time of the program since `Ready`, as the kernel counts it.
    Used,
    /// What it says that it has processed for.
    Process,
}

/// The failure of a stage.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Failure {
    /// The kind of the error.
    pub kind: Kind,
    /// What its message holds.
    #[serde(default)]
    pub message: String,
}

/// The kind of a failure, as `stage.proto` names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Fix the pipeline.
    Invalid,
    /// User code failed.
    Stage,
    /// A defect, or a broken rule of the protocol.
    Internal,
}

/// The level of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// `<3>`.
    Error,
    /// `<4>`, or no prefix on stderr.
    Warning,
    /// `<6>`, or no prefix on stdout.
    Information,
    /// `<7>`.
    Debug,
}

/// Which answers are selections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Selections {
    /// Every one that keeps some rows.
    All,
    /// None.
    None,
}

/// One performance of a case.
#[derive(Clone, Debug)]
pub struct Run {
    /// `group/name/form/carrier`, with the batch size after the name where a case has several.
    pub id: String,
    /// `group/name`, with the batch size where a case has several.
    pub case_id: String,
    /// The case, its batch size filled in.
    pub case: Case,
    /// The handler's form.
    pub form: Form,
    /// The carrier.
    pub carrier: Carrier,
}

/// Reads the cases of one file, all of the group `group`, and spells out their runs.
pub fn runs(group: &str, text: &str) -> Result<Vec<Run>> {
    let located = |error: &dyn std::fmt::Display| Error::Case(format!("`{group}`: {error}"));
    let entries = yaml::read(text).map_err(|error| located(&error))?;
    let Json::Array(entries) = entries else {
        return Err(located(&"a file of cases is a list"));
    };
    let mut runs = Vec::new();
    for entry in entries {
        let name = entry["name"].as_str().unwrap_or("a case without a name").to_owned();
        let case: Case =
            serde_json::from_value(entry).map_err(|error| located(&format!("case `{name}`: {error}")))?;
        spell_out(group, &case, &mut runs)?;
    }
    Ok(runs)
}

fn spell_out(group: &str, case: &Case, runs: &mut Vec<Run>) -> Result<()> {
    let case_id = format!("{group}/{}", case.name);
    let mut variants = vec![(case_id.clone(), case.clone())];
    if !case.sizes.is_empty() {
        variants.clear();
    }
    for (size, &rows) in &case.sizes {
        let each =
            size.parse().map_err(|_| Error::Case(format!("`{case_id}`: `{size}` is no batch size")))?;
        let mut variant = case.clone();
        variant.batches = Batches::Each(each);
        match &mut variant.rows {
            Rows::Generated(generated) => generated.rows = rows,
            Rows::Written(_) => {
                return Err(Error::Case(format!("`{case_id}`: `sizes` need rows that are generated")));
            }
        }
        variants.push((format!("{case_id}/{size}"), variant));
    }
    for (case_id, case) in variants {
        for (form, carrier) in pairs(&case) {
            let id = format!("{case_id}/{}/{}", form.word(), carrier.word());
            runs.push(Run { id, case_id: case_id.clone(), case: case.clone(), form, carrier });
        }
    }
    Ok(())
}

fn pairs(case: &Case) -> Vec<(Form, Carrier)> {
    let forms = if case.forms.is_empty() { &[Form::Event, Form::Batch][..] } else { &case.forms };
    let carriers =
        if case.carriers.is_empty() { &[Carrier::Inline, Carrier::Shm][..] } else { &case.carriers };
    if case.forms.is_empty() && case.carriers.is_empty() {
        return vec![(Form::Event, Carrier::Shm), (Form::Batch, Carrier::Inline)];
    }
    forms.iter().flat_map(|&form| carriers.iter().map(move |&carrier| (form, carrier))).collect()
}
