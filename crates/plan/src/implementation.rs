//! What a stage is beside its built-in form: programs in any language, and the columns that it says it has.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow_schema::{Field, Schema, SchemaRef};
use indexmap::IndexMap;
use modrun_core::{Type, raw_schema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::spec::StageSpec;

/// A program that does what the stage does: it runs as a process and speaks the stage protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Implementation")]
pub struct ImplementationSpec {
    /// The program and its arguments, such as `[python3, rules.py]`.
    #[schemars(length(min = 1))]
    pub run: Vec<String>,
    /// The folder that it runs in, from that of the pipeline file on; by default that folder itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub cwd: Option<String>,
    /// Environment variables that it gets beside the few that every stage gets.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub env: BTreeMap<String, String>,
    /// A command that makes the program, such as `[go, build, -o, bin/, .]`; it runs in the same folder.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1))]
    pub build: Option<Vec<String>>,
    /// The columns that it needs; by default those of the built-in kind, or all there are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uses: Option<Vec<String>>,
}

/// A program that a stage runs as, ready to be started.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Implementation {
    /// The word that `placement` has for it.
    pub name: String,
    /// The program and its arguments; at least one element.
    pub run: Vec<String>,
    /// A command that makes the program; at least one element.
    pub build: Option<Vec<String>>,
    /// The folder that both run in.
    pub folder: PathBuf,
    /// Environment variables that it gets beside [`ENVIRONMENT`].
    pub env: BTreeMap<String, String>,
    /// The stage's configuration as the program gets it: files that a relative path names for the built-in kind are
    /// named in full, because the program runs in another folder.
    pub with: Value,
}

/// Where relative paths of a pipeline file begin.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Base<'a> {
    /// The folder of the file, for programs.
    pub(crate) folder: &'a Path,
    /// The working directory, for data. Empty where it is not known.
    pub(crate) directory: &'a Path,
}

impl Implementation {
    /// All of a stage; `config` is the schema of its configuration where there is a kind.
    pub(crate) fn all(stage: &StageSpec, config: Option<&Value>, base: Base<'_>) -> Vec<Self> {
        let own = stage.implementations.iter();
        own.map(|(name, spec)| Self::new(name, spec, &stage.with, config, base)).collect()
    }

    /// `with` is the stage's configuration, and `config` its schema where there is a kind.
    pub(crate) fn new(
        name: &str,
        spec: &ImplementationSpec,
        with: &Map<String, Value>,
        config: Option<&Value>,
        base: Base<'_>,
    ) -> Self {
        let folder = spec.cwd.as_ref().map_or_else(|| base.folder.to_owned(), |cwd| base.folder.join(cwd));
        let mut with = with.clone();
        if folder != Path::new("") && folder != Path::new(".") && folder != base.directory {
            for path in
                with.iter_mut().filter(|(key, _)| is_path(config, key)).flat_map(|(_, value)| texts(value))
            {
                // `-` is a stream.
                if path != "-" {
                    *path = base.directory.join(&*path).display().to_string();
                }
            }
        }
        Self {
            with: Value::Object(with),
            name: name.to_owned(),
            run: spec.run.clone(),
            build: spec.build.clone(),
            // An empty path is no folder that a process could be started in.
            folder: if folder.as_os_str().is_empty() { PathBuf::from(".") } else { folder },
            env: spec.env.clone(),
        }
    }
}

fn is_path(config: Option<&Value>, key: &str) -> bool {
    let format = config.and_then(|config| config.get("properties")?.get(key)?.get("format"));
    format.and_then(Value::as_str) == Some("path")
}

/// A text, or each text of a list.
fn texts(value: &mut Value) -> Vec<&mut String> {
    match value {
        Value::String(text) => vec![text],
        Value::Array(items) => items.iter_mut().flat_map(texts).collect(),
        _ => Vec::new(),
    }
}

/// The environment variables that every stage gets from that of the command, where they are set; a name that ends in
/// `*` stands for all that begin so. Nothing else is passed on but what its `env` says.
pub const ENVIRONMENT: [&str; 16] = [
    "PATH",
    "HOME",
    "USER",
    "LANG",
    "LC_*",
    "TZ",
    "TMPDIR",
    // Where a language's tools and packages are.
    "LD_LIBRARY_PATH",
    "VIRTUAL_ENV",
    "PYTHONPATH",
    "NODE_PATH",
    "NODE_OPTIONS",
    "GOPATH",
    "GOCACHE",
    "GOROOT",
    "CARGO_HOME",
];

/// Whether a stage gets the environment variable `name` from that of the command.
pub fn passes_on(name: &str) -> bool {
    ENVIRONMENT.iter().any(|known| match known.strip_suffix('*') {
        Some(prefix) => name.starts_with(prefix),
        None => name == *known,
    })
}

/// The columns that a stage hands on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(rename = "Out")]
pub enum OutSpec {
    /// Lines of text as the built-in `file` reads them: `source`, `offset`, `line` and `text`.
    Raw,
    /// Columns by name, with their type; a `?` after the type lets a column be null.
    #[serde(untagged)]
    Columns(IndexMap<String, ColumnType>),
}

impl OutSpec {
    pub(crate) fn schema(&self) -> SchemaRef {
        match self {
            OutSpec::Raw => raw_schema(),
            OutSpec::Columns(columns) => {
                let fields = columns.iter().map(|(name, column)| column.named(name));
                Arc::new(Schema::new(fields.collect::<Vec<_>>()))
            }
        }
    }
}

macro_rules! column_types {
    ($($variant:ident $optional:ident $name:literal $optional_name:literal,)*) => {
        /// A column's type: `bool`, `int64`, `float64`, `string`, `binary` or `timestamp`, followed by `?` if it may
        /// be null.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
        #[allow(missing_docs, reason = "their names say it")]
        pub enum ColumnType {
            $(
                #[serde(rename = $name)]
                $variant,
                #[serde(rename = $optional_name)]
                $optional,
            )*
        }

        impl ColumnType {
            fn named(self, name: &str) -> Field {
                match self {
                    $(
                        ColumnType::$variant => Field::new(name, Type::$variant.to_arrow(), false),
                        ColumnType::$optional => Field::new(name, Type::$variant.to_arrow(), true),
                    )*
                }
            }
        }
    };
}

column_types! {
    Bool OptionalBool "bool" "bool?",
    Int64 OptionalInt64 "int64" "int64?",
    Float64 OptionalFloat64 "float64" "float64?",
    String OptionalString "string" "string?",
    Binary OptionalBinary "binary" "binary?",
    Timestamp OptionalTimestamp "timestamp" "timestamp?",
}
