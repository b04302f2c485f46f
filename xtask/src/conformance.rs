//! The stage protocol: each SDK's conformance program against the cases in `conformance`.
//!
//! The reports of the SDKs together are a page, `target/xtask/conformance.md`.

use std::fs;
use std::path::PathBuf;

use anyhow::{Context, Result};

use crate::{go, input, modrun, process, python, sdk};

/// One SDK's program, and what the runner has to know of it.
pub(crate) struct Program {
    language: &'static str,
    build: fn() -> Result<()>,
    command: fn() -> Vec<PathBuf>,
    options: &'static [&'static str],
}

pub(crate) const PYTHON: Program = Program {
    language: "python",
    build: python::install_sdk_once,
    command: || vec![python::interpreter(), "sdk/python/conformance.py".into()],
    options: &["--async"],
};

pub(crate) const TYPESCRIPT: Program = Program {
    language: "typescript",
    build: sdk::setup_typescript,
    command: || vec!["node".into(), "sdk/typescript/dist/src/conformance.js".into()],
    options: &["--async", "--safe-int64"],
};

pub(crate) const GO: Program = Program {
    language: "go",
    build: || go::build(sdk::GO, "build/", &["./conformance"]),
    command: || vec!["sdk/go/build/conformance".into()],
    options: &[],
};

pub(crate) const CPP: Program = Program {
    language: "cpp",
    build: sdk::setup_cpp,
    command: || vec!["sdk/cpp/build/conformance/conformance".into()],
    options: &["--gathers-early"],
};

pub(crate) const RUST: Program = Program {
    language: "rust",
    build: || {
        let build = ["build", "--release", "--package", "modular-runtime", "--example", "conformance"];
        process::run(&mut process::command("cargo", &build))
    },
    command: || vec![modrun::program().with_file_name("examples/conformance")],
    options: &[],
};

pub(crate) const ALL: [Program; 5] = [PYTHON, TYPESCRIPT, GO, CPP, RUST];
const RUNNER: [&str; 5] = ["run", "--quiet", "--package", "modrun-conformance", "--"];

impl Program {
    /// The language of its SDK.
    pub(crate) fn language(&self) -> &'static str {
        self.language
    }

    /// Builds the program.
    pub(crate) fn build(&self) -> Result<()> {
        (self.build)()
    }

    /// What starts it, with the whole path of each file; the stage and the form of its handler are appended.
    pub(crate) fn command(&self) -> Vec<PathBuf> {
        let whole = |word: PathBuf| match word.components().count() {
            1 => word,
            _ => process::root().join(word),
        };
        (self.command)().into_iter().map(whole).collect()
    }

    /// Builds the program and runs the cases.
    pub(crate) fn check(&self) -> Result<()> {
        self.build()?;
        let mut run = process::command("cargo", &RUNNER);
        run.args(self.options).arg("--report").arg(self.report()?);
        let known = format!("conformance/known-failing/{}.txt", self.language);
        if process::root().join(&known).exists() {
            run.args(["--known-failing", &known]);
        }
        process::run(run.arg("--").args(self.command()))
    }

    fn report(&self) -> Result<PathBuf> {
        input::scratch(&format!("conformance-{}.json", self.language))
    }
}

/// Makes the page that shows what came of the runs of all SDKs.
pub(crate) fn make_page() -> Result<()> {
    let mut matrix = process::command("cargo", &RUNNER);
    matrix.arg("matrix");
    for program in &ALL {
        matrix.arg(program.report()?);
    }
    let page = process::output(&mut matrix).context("there is no report of some SDK: its runs went wrong")?;
    let made = input::scratch("conformance.md")?;
    fs::write(&made, page.trim_end().to_owned() + "\n")?;
    println!("{}", made.display());
    Ok(())
}
