//! The pipeline as its author writes it, in YAML or in code.

use std::num::NonZeroUsize;

use indexmap::IndexMap;
use modrun_core::Size;
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::limits::DeadLetterLimit;

/// A pipeline file: its stages, and how they run today.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "modrun pipeline")]
pub struct Spec {
    /// The name of the pipeline, as reports show it.
    #[schemars(length(min = 1))]
    pub pipeline: String,
    /// The stages by name: one chain from a source to a sink.
    #[schemars(extend("minProperties" = 1))]
    pub stages: IndexMap<String, StageSpec>,
    /// How each stage runs, by its name; a stage left out runs as a thread.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub placement: IndexMap<String, Placement>,
    /// How many workers share the stages that allow it; by default one for each core.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub parallelism: Option<NonZeroUsize>,
    /// What bounds the run.
    #[serde(default, skip_serializing_if = "LimitsSpec::is_default")]
    pub limits: LimitsSpec,
}

/// One stage: what it does, what it reads from and how it is configured.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Stage")]
pub struct StageSpec {
    /// The kind of stage.
    #[serde(rename = "use")]
    #[schemars(length(min = 1))]
    pub kind: String,
    /// The stage whose output it reads; a source has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub from: Option<String>,
    /// The configuration of this kind of stage.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
}

/// How a stage runs: this version knows `thread` alone, a loop in the runtime's own process.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Placement {
    /// A loop in the runtime's own process.
    #[default]
    Thread,
}

impl Placement {
    /// The word that stands for it in a pipeline file and in reports.
    pub fn word(self) -> &'static str {
        match self {
            Placement::Thread => "thread",
        }
    }
}

/// What bounds a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Limits")]
pub struct LimitsSpec {
    /// The longest line that is read, such as `16MiB`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<Size>,
    /// The run ends after more dead letters than this count or percentage of events; without it, it never does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dead_letters: Option<DeadLetterLimit>,
}

impl LimitsSpec {
    fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

impl Spec {
    /// A pipeline without stages; [`Spec::stage`] adds them.
    pub fn new(pipeline: impl Into<String>) -> Self {
        Self { pipeline: pipeline.into(), ..Self::default() }
    }

    /// Adds a stage of `kind` that reads from the stage added before; the first one is the source.
    ///
    /// # Panics
    /// If `with` is not a JSON object, or a stage of this name is there already.
    pub fn stage(mut self, name: impl Into<String>, kind: impl Into<String>, with: Value) -> Self {
        let (name, from) = (name.into(), self.stages.keys().next_back().cloned());
        let Value::Object(with) = with else {
            panic!("the configuration of stage `{name}` is not an object")
        };
        assert!(!self.stages.contains_key(&name), "there are two stages named `{name}`");
        self.stages.insert(name, StageSpec { kind: kind.into(), from, with });
        self
    }

    /// Sets how many workers share the stages that allow it.
    pub fn parallelism(mut self, workers: NonZeroUsize) -> Self {
        self.parallelism = Some(workers);
        self
    }

    /// Sets what bounds the run.
    pub fn limits(mut self, limits: LimitsSpec) -> Self {
        self.limits = limits;
        self
    }

    /// What can be made out in `json`, so that the check goes on past what does not fit the schema.
    ///
    /// An empty text stands for a `use` or `from` that cannot be made out: the schema allows none.
    pub(crate) fn salvage(json: &Value) -> Self {
        let entries = |key: &str| json.get(key).and_then(Value::as_object).into_iter().flatten();
        let limits = json.get("limits").unwrap_or(&Value::Null);
        Self {
            pipeline: salvage(json, "pipeline").unwrap_or_default(),
            stages: entries("stages")
                .map(|(name, stage)| (name.clone(), StageSpec::salvage(stage)))
                .collect(),
            placement: entries("placement")
                .map(|(stage, word)| (stage.clone(), Placement::deserialize(word).unwrap_or_default()))
                .collect(),
            parallelism: salvage(json, "parallelism"),
            limits: LimitsSpec {
                line: salvage(limits, "line"),
                dead_letters: salvage(limits, "dead_letters"),
            },
        }
    }
}

impl StageSpec {
    fn salvage(json: &Value) -> Self {
        let from = match json.get("from") {
            None | Some(Value::Null) => None,
            Some(from) => Some(from.as_str().unwrap_or_default().to_owned()),
        };
        Self {
            kind: salvage(json, "use").unwrap_or_default(),
            from,
            with: salvage(json, "with").unwrap_or_default(),
        }
    }
}

fn salvage<T: DeserializeOwned>(json: &Value, key: &str) -> Option<T> {
    T::deserialize(json.get(key)?).ok()
}
