//! The pipeline as its author writes it, in YAML or in code.

use std::borrow::Cow;
use std::num::{NonZeroU32, NonZeroUsize};

use indexmap::IndexMap;
use modrun_core::Size;
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::{Map, Value};

use crate::batching::{BatchSpec, Span};
use crate::implementation::{ImplementationSpec, OutSpec};
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
    /// How each stage runs, by its name. A stage left out runs as a thread, or, where it has no `use`, as its only
    /// implementation.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    pub placement: IndexMap<String, Placement>,
    /// How many rows a batch should have that a process gets or gives; `adaptive` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSpec>,
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
    /// The kind of stage; left out where there are only implementations.
    #[serde(rename = "use", default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub kind: Option<String>,
    /// The stage whose output it reads; a source has none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub from: Option<String>,
    /// The configuration of this kind of stage, or of its implementations.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub with: Map<String, Value>,
    /// Programs that do the same, by a name that `placement` may have.
    #[serde(rename = "or", default, skip_serializing_if = "IndexMap::is_empty")]
    pub implementations: IndexMap<String, ImplementationSpec>,
    /// The columns that it hands on: `raw`, or each with its type. By default those of its kind; without one, those
    /// that it gets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub out: Option<OutSpec>,
    /// As the pipeline's `batch`, for what this stage hands on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub batch: Option<BatchSpec>,
    /// How many share this stage where it is a process: workers in a built-in one, processes of an implementation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1024))]
    pub parallelism: Option<NonZeroUsize>,
}

/// How a stage runs: `thread`, `process` or the name of one of its implementations.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Placement {
    /// A loop in the runtime's own process.
    #[default]
    Thread,
    /// The built-in kind in a process of its own.
    Process,
    /// The implementation of this name, as a process.
    Implementation(String),
}

impl Placement {
    /// The word that stands for it in a pipeline file and in reports.
    pub fn word(&self) -> &str {
        match self {
            Placement::Thread => "thread",
            Placement::Process => "process",
            Placement::Implementation(name) => name,
        }
    }
}

impl From<&str> for Placement {
    fn from(word: &str) -> Self {
        match word {
            "thread" => Placement::Thread,
            "process" => Placement::Process,
            name => Placement::Implementation(name.to_owned()),
        }
    }
}

impl Serialize for Placement {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.word())
    }
}

impl<'de> Deserialize<'de> for Placement {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(|word| Placement::from(word.as_str()))
    }
}

impl JsonSchema for Placement {
    fn schema_name() -> Cow<'static, str> {
        "Placement".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "How a stage runs: `thread`, a loop in the runtime's own process; `process`, the built-in \
                            kind in a process of its own; or the name of one of the stage's implementations.",
            "type": "string",
            "minLength": 1,
            "examples": ["thread", "process", "python"],
        })
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
    /// The shared memory through which a process gets, and that through which it gives; `64MiB` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<Size>,
    /// What may be on its way to a process, or back, before it is taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window: Option<WindowSpec>,
    /// How long a process may take to be ready, such as `30s`, which is the default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<Span>,
}

/// What may be on its way to a process, or back, before it is taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Window")]
pub struct WindowSpec {
    /// Batches; 32 by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65536))]
    pub batches: Option<NonZeroU32>,
    /// Bytes, `8MiB` by default; a single batch may always be on its way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<Size>,
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
        self.stages.insert(name, StageSpec { kind: Some(kind.into()), from, with, ..StageSpec::default() });
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
    /// An empty text stands for a `use`, `from` or word of `placement` that cannot be made out: the schema allows none.
    pub(crate) fn salvage(json: &Value) -> Self {
        let entries = |key: &str| json.get(key).and_then(Value::as_object).into_iter().flatten();
        let limits = json.get("limits").unwrap_or(&Value::Null);
        Self {
            pipeline: salvage(json, "pipeline").unwrap_or_default(),
            stages: entries("stages")
                .map(|(name, stage)| (name.clone(), StageSpec::salvage(stage)))
                .collect(),
            placement: entries("placement")
                .map(|(stage, word)| (stage.clone(), Placement::from(word.as_str().unwrap_or_default())))
                .collect(),
            batch: salvage(json, "batch"),
            parallelism: salvage(json, "parallelism"),
            limits: LimitsSpec {
                line: salvage(limits, "line"),
                dead_letters: salvage(limits, "dead_letters"),
                segment: salvage(limits, "segment"),
                window: salvage(limits, "window"),
                start: salvage(limits, "start"),
            },
        }
    }
}

impl StageSpec {
    fn salvage(json: &Value) -> Self {
        let word = |key: &str| match json.get(key) {
            None | Some(Value::Null) => None,
            Some(word) => Some(word.as_str().unwrap_or_default().to_owned()),
        };
        let implementations = json.get("or").and_then(Value::as_object).into_iter().flatten();
        // A stage whose programs cannot be made out may have been meant to have no kind.
        let is_unknown = json.get("or").is_some_and(|own| !own.is_object());
        Self {
            kind: word("use").or_else(|| is_unknown.then(String::new)),
            from: word("from"),
            with: salvage(json, "with").unwrap_or_default(),
            implementations: implementations
                .map(|(name, json)| (name.clone(), ImplementationSpec::deserialize(json).unwrap_or_default()))
                .collect(),
            out: salvage(json, "out"),
            batch: salvage(json, "batch"),
            parallelism: salvage(json, "parallelism"),
        }
    }
}

fn salvage<T: DeserializeOwned>(json: &Value, key: &str) -> Option<T> {
    T::deserialize(json.get(key)?).ok()
}
