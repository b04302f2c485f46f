//! The files of a new stage.
//!
//! A template is a file with places for the stage's name, and for where its SDK is: `{{name}}` and the like.

use std::path::Path;

/// A language that stages are written in.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    Python,
    #[value(name = "typescript")]
    TypeScript,
    Go,
    Cpp,
    Rust,
}

/// Name and text of a file.
type File = (&'static str, &'static str);

macro_rules! template {
    ($language:literal: $($name:literal from $file:literal),*) => {
        &[$(($name, include_str!(concat!("../../templates/", $language, "/", $file)))),*]
    };
}

const SHARED: &[File] = template!("shared": "events.ndjson" from "events.ndjson", "expected.ndjson" from "expected.ndjson",
    "pipeline.yaml" from "pipeline.yaml");
const PYTHON: &[File] = template!("python": "stage.py" from "stage.py", "test_stage.py" from "test_stage.py",
    "pyproject.toml" from "pyproject.toml", "README.md" from "README.md", ".gitignore" from "gitignore");
const TYPESCRIPT: &[File] = template!("typescript": "src/stage.ts" from "stage.ts", "src/main.ts" from "main.ts",
    "src/stage.test.ts" from "stage.test.ts", "package.json" from "package.json", "tsconfig.json" from "tsconfig.json",
    "README.md" from "README.md", ".gitignore" from "gitignore");
const GO: &[File] = template!("go": "stage.go" from "stage.go", "main.go" from "main.go",
    "stage_test.go" from "stage_test.go", "go.mod" from "go.mod", "README.md" from "README.md",
    ".gitignore" from "gitignore");
const CPP: &[File] = template!("cpp": "stage.hpp" from "stage.hpp", "main.cpp" from "main.cpp", "test.cpp" from "test.cpp",
    "CMakeLists.txt" from "CMakeLists.txt", "CMakePresets.json" from "CMakePresets.json", "README.md" from "README.md",
    ".gitignore" from "gitignore");
const RUST: &[File] = template!("rust": "src/stage.rs" from "stage.rs", "src/main.rs" from "main.rs",
    "Cargo.toml" from "manifest.toml", "README.md" from "README.md", ".gitignore" from "gitignore");

impl Language {
    /// The name of its folder among the SDKs.
    pub(crate) fn sdk_folder(self) -> &'static str {
        match self {
            Language::Python => "python",
            Language::TypeScript => "typescript",
            Language::Go => "go",
            Language::Cpp => "cpp",
            Language::Rust => "rust",
        }
    }

    fn files(self) -> &'static [File] {
        match self {
            Language::Python => PYTHON,
            Language::TypeScript => TYPESCRIPT,
            Language::Go => GO,
            Language::Cpp => CPP,
            Language::Rust => RUST,
        }
    }

    /// How the pipeline runs the program.
    fn implementation(self, sdk: Option<&Path>) -> String {
        match self {
            Language::Python => {
                let env = sdk.map(|sdk| format!(", env: {{PYTHONPATH: {}}}", quoted(sdk)));
                format!("{{python: {{run: [python3, stage.py]{}}}}}", env.unwrap_or_default())
            }
            Language::TypeScript => {
                "{typescript: {run: [node, dist/main.js], build: [npm, run, --silent, build]}}".to_owned()
            }
            Language::Go => "{go: {run: [bin/stage], build: [go, build, -o, bin/stage, .]}}".to_owned(),
            Language::Cpp => {
                "{cpp: {run: [build/stage], build: [cmake, --workflow, --preset, release]}}".to_owned()
            }
            Language::Rust => {
                let build = "[cargo, build, --quiet, --release, --target-dir, target]";
                format!("{{rust: {{run: [target/release/stage], build: {build}}}}}")
            }
        }
    }

    /// How its manifest names the SDK.
    fn dependency(self, sdk: Option<&Path>) -> String {
        let version = env!("CARGO_PKG_VERSION");
        match (self, sdk) {
            (Language::Python, Some(sdk)) => format!("modular-runtime @ file://{}", sdk.display()),
            (Language::Python, None) => format!("modular-runtime>={version}"),
            (Language::TypeScript, Some(sdk)) => format!("file:{}", sdk.display()),
            (Language::TypeScript, None) => format!("^{version}"),
            (Language::Go, Some(sdk)) => format!("\nreplace modularruntime/modrun => {}\n", quoted(sdk)),
            (Language::Go, None) => String::new(),
            (Language::Cpp, Some(sdk)) => {
                format!("add_subdirectory({} modular_runtime EXCLUDE_FROM_ALL)", quoted(sdk))
            }
            (Language::Cpp, None) => format!("find_package(modular_runtime {version} REQUIRED)"),
            (Language::Rust, Some(sdk)) => format!("{{ path = {} }}", quoted(sdk)),
            (Language::Rust, None) => quoted(Path::new(version)),
        }
    }

    /// The commands to begin with, in the folder of the stage; its README has the same.
    fn commands(self, sdk: Option<&Path>) -> Vec<String> {
        let (install, test) = match self {
            Language::Python => match sdk {
                Some(sdk) => (None, format!("PYTHONPATH={} python3 -m unittest", quoted(sdk))),
                None => (Some("python3 -m pip install ."), "python3 -m unittest".to_owned()),
            },
            Language::TypeScript => (Some("npm install"), "npm test".to_owned()),
            Language::Go => (None, "go test .".to_owned()),
            Language::Cpp => (None, "cmake --workflow --preset test".to_owned()),
            Language::Rust => (None, "cargo test --release".to_owned()),
        };
        let run = "modrun run pipeline.yaml --verify expected.ndjson".to_owned();
        self.build_sdk(sdk).into_iter().chain(install.map(str::to_owned)).chain([run, test]).collect()
    }

    /// As [`Self::commands`], without what is done: later stages find the compiled SDK of the first one.
    pub(crate) fn next(self, sdk: Option<&Path>) -> Vec<String> {
        let mut commands = self.commands(sdk);
        if sdk.is_some_and(|sdk| sdk.join("dist").is_dir()) {
            commands.retain(|command| Some(command) != self.build_sdk(sdk).as_ref());
        }
        commands
    }

    /// Compiles the SDK of a checkout, which in TypeScript has to be done before.
    fn build_sdk(self, sdk: Option<&Path>) -> Option<String> {
        let sdk = quoted(sdk.filter(|_| self == Language::TypeScript)?);
        Some(format!("npm --prefix {sdk} ci && npm --prefix {sdk} run build"))
    }
}

/// The files of a stage, by their names in its folder.
pub(crate) fn files(language: Language, name: &str, sdk: Option<&Path>) -> Vec<(&'static str, String)> {
    let places = [
        ("{{name}}", name.to_owned()),
        ("{{implementation}}", language.implementation(sdk)),
        ("{{dependency}}", language.dependency(sdk)),
        ("{{commands}}", language.commands(sdk).join("\n")),
    ];
    let filled =
        |text: &str| places.iter().fold(text.to_owned(), |text, (place, value)| text.replace(place, value));
    let own = language.files();
    let shared = SHARED.iter().filter(|(name, _)| own.iter().all(|(other, _)| other != name));
    own.iter().chain(shared).map(|(name, text)| (*name, filled(text))).collect()
}

/// A path in double quotes, which mean the same in YAML, TOML, CMake, go.mod and a shell.
fn quoted(path: &Path) -> String {
    format!("\"{}\"", path.display().to_string().replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use clap::ValueEnum;

    use super::*;

    #[test]
    fn without_a_checkout_the_sdk_comes_from_a_registry() {
        for language in Language::value_variants() {
            for (name, text) in files(*language, "levels", None) {
                let is_open =
                    text.split("{{").skip(1).any(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
                assert!(!is_open, "{name}:\n{text}");
                let refers_to_folder = ["PYTHONPATH", "file:", "replace ", "add_subdirectory", "{ path"];
                assert!(refers_to_folder.iter().all(|part| !text.contains(part)), "{name}:\n{text}");
            }
        }
    }

    #[test]
    fn the_name_of_the_stage_is_in_its_pipeline() {
        let files = files(Language::Go, "levels", None);
        let (_, pipeline) = files.iter().find(|(name, _)| *name == "pipeline.yaml").unwrap();
        assert!(pipeline.contains("pipeline: levels\n") && pipeline.contains("from: levels,"), "{pipeline}");
    }
}
