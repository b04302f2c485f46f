//! The split baseline: five services in four languages, each set up by its own package manager into its own folder.
//!
//! ```text
//! python -m venv, pip ──▶ protoc (from grpcio-tools) ──▶ messages for Python, TypeScript, Go ──▶ tsc, go build
//! npm ci, go build ─────▶ its plug-ins ───────┘                                      cargo: its own, without protoc
//! ```
//!
//! Everything it makes lies in ignored folders beside the sources and in `target`; nothing is installed for the
//! machine.

use std::path::PathBuf;

use anyhow::Result;

use crate::process::within;
use crate::{go, modrun, npm, process};

const FOLDER: &str = "bench/baselines/split-grpc";
const RULES: &str = "bench/baselines/split-grpc/rules";
const AGGREGATE: &str = "bench/baselines/split-grpc/aggregate";
/// Relative to [`RULES`].
const PYTHON: &str = ".venv/bin/python";

/// The built orchestrator, which starts everything else.
pub(crate) fn program() -> PathBuf {
    modrun::program().with_file_name("split-orchestrator")
}

/// Installs what the services need, generates their messages and builds them.
pub(crate) fn setup() -> Result<()> {
    install()?;
    generate()?;
    build()
}

fn install() -> Result<()> {
    if !process::root().join(RULES).join(PYTHON).exists() {
        process::run(&mut within(RULES, "python3", &["-m", "venv", ".venv"]))?;
    }
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "-r", "requirements.txt"];
    process::run(&mut within(RULES, PYTHON, &pip))?;
    npm::install(FOLDER)?;
    let plugins =
        ["google.golang.org/protobuf/cmd/protoc-gen-go", "google.golang.org/grpc/cmd/protoc-gen-go-grpc"];
    go::build(AGGREGATE, "build/", &plugins)
}

fn generate() -> Result<()> {
    for folder in ["rules/split_rules/generated", "wire/typescript/generated", "aggregate/splitpb"] {
        std::fs::create_dir_all(process::root().join(FOLDER).join(folder))?;
    }
    protoc(
        RULES,
        // The path of the source becomes that of the Python module.
        "-Isplit_rules/generated=../proto",
        "split_rules/generated/split.proto",
        &[
            "--plugin=.venv/bin/protoc-gen-mypy",
            "--plugin=.venv/bin/protoc-gen-mypy_grpc",
            "--python_out=.",
            "--grpc_python_out=.",
            "--mypy_out=quiet:.",
            "--mypy_grpc_out=quiet:.",
        ],
    )?;
    protoc(
        FOLDER,
        "-Iproto",
        "split.proto",
        &[
            "--plugin=node_modules/.bin/protoc-gen-ts_proto",
            "--ts_proto_out=wire/typescript/generated",
            "--ts_proto_opt=outputServices=grpc-js,esModuleInterop=true,env=node,forceLong=bigint,importSuffix=.js",
            "--ts_proto_opt=outputJsonMethods=false,outputPartialMethods=false",
        ],
    )?;
    protoc(
        AGGREGATE,
        "-I../proto",
        "split.proto",
        &[
            "--plugin=build/protoc-gen-go",
            "--plugin=build/protoc-gen-go-grpc",
            "--go_out=.",
            "--go_opt=module=split/aggregate",
            "--go-grpc_out=.",
            "--go-grpc_opt=module=split/aggregate",
        ],
    )
}

fn protoc(folder: &str, include: &str, source: &str, outputs: &[&str]) -> Result<()> {
    let python = process::root().join(RULES).join(PYTHON);
    let protoc = ["-m", "grpc_tools.protoc", include, source];
    process::run(&mut within(folder, &python.display().to_string(), &[&protoc, outputs].concat()))
}

/// Builds the services and the orchestrator.
pub(crate) fn build() -> Result<()> {
    npm::script(FOLDER, "build")?;
    go::build(AGGREGATE, "build/", &["."])?;
    let packages = ["--package", "split-parse", "--package", "split-orchestrator"];
    process::run(&mut process::command("cargo", &[&["build", "--release"], &packages[..]].concat()))
}

/// Sets it up and runs each language's checks, then those of the whole. The Rust tests run with the workspace's.
pub(crate) fn test() -> Result<()> {
    setup()?;
    for check in [
        &["ruff", "format", "--quiet", "--check", "."][..],
        &["ruff", "check", "--quiet", "."],
        &["mypy"],
        &["pytest", "--quiet"],
    ] {
        process::run(&mut within(RULES, PYTHON, &[&["-m"], check].concat()))?;
    }
    npm::script(FOLDER, "check")?;
    npm::script(FOLDER, "test")?;
    go::check(AGGREGATE)?;
    let orchestrator = program().display().to_string();
    process::run(&mut process::command("sh", &[&format!("{FOLDER}/tests/command_test.sh"), &orchestrator]))
}
