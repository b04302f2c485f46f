//! `cargo xtask test`: everything that CI checks, quick things first.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::example::{self, Placement};
use crate::input::{self, Input};
use crate::steps::{self, Step};
use crate::{cmake, conformance, modrun, new_stage, process, python, rolling, sdk, setup, split};

const STEPS: &[Step] = &[
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("packages", setup::packages),
    ("styles of C++ and Python", styles),
    ("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("tests", || cargo(&["test", "--workspace"])),
    ("documentation", documentation),
    ("Python SDK", sdk::test_python),
    ("TypeScript SDK", sdk::test_typescript),
    ("Go SDK", sdk::test_go),
    ("C++ SDK", sdk::test_cpp),
    ("C++ SDK, sanitized", sdk::sanitize_cpp),
    ("event pipeline's stages", example::check),
    ("conformance of Python", || conformance::PYTHON.check()),
    ("conformance of TypeScript", || conformance::TYPESCRIPT.check()),
    ("conformance of Go", || conformance::GO.check()),
    ("conformance of C++", || conformance::CPP.check()),
    ("conformance of Rust", || conformance::RUST.check()),
    ("conformance page", conformance::make_page),
    ("release build", modrun::build),
    ("new stage in Python", || new_stage::PYTHON.test()),
    ("new stage in TypeScript", || new_stage::TYPESCRIPT.test()),
    ("new stage in Go", || new_stage::GO.test()),
    ("new stage in C++", || new_stage::CPP.test()),
    ("new stage in Rust", || new_stage::RUST.test()),
    ("golden runs, 100k events", || golden_runs(100_000)),
    ("golden runs, 1M events", || golden_runs(1_000_000)),
    ("golden runs in batches of 1 to 65536 events", batches),
    ("rolling features", rolling::test),
    ("golden run without add-ons of Node", without_addons),
    ("golden run, 10M events through a pipe", || example::verified_pipe(Input::plain(10_000_000))),
    ("simdjson baseline", simdjson_baseline),
    ("monolith baseline", || cmake::test("bench/baselines/monolith-cpp")),
    ("split baseline", split::test),
];

/// Does all of it, or the steps whose names contain one of `words`.
pub(crate) fn run(words: &[String]) -> Result<()> {
    let is_meant = |(name, _): &&Step| words.is_empty() || words.iter().any(|word| name.contains(word));
    let steps: Vec<Step> = STEPS.iter().filter(is_meant).copied().collect();
    if steps.is_empty() {
        let names: Vec<&str> = STEPS.iter().map(|(name, _)| *name).collect();
        bail!("no step has such a name; there are: {}", names.join("; "));
    }
    steps::run(&steps)
}

fn cargo(arguments: &[&str]) -> Result<()> {
    process::run(&mut process::command("cargo", arguments))
}

fn documentation() -> Result<()> {
    let arguments = ["doc", "--workspace", "--no-deps", "--document-private-items"];
    process::run(process::command("cargo", &arguments).env("RUSTDOCFLAGS", "-D warnings"))
}

/// What the compilers do not look at; the languages with a package manager of their own bring their own checks.
fn styles() -> Result<()> {
    python::install(&[&[python::CLANG_FORMAT, python::DUCKDB], &python::CHECKERS[..]].concat())?;
    let sources = process::output(&mut process::command("git", &["ls-files", "*.cpp", "*.hpp"]));
    let sources = sources.context("`git ls-files` must run: it names the sources")?;
    let sources: Vec<&str> = sources.lines().collect();
    let clang_format = python::interpreter().with_file_name("clang-format");
    process::run(process::command(clang_format, &["--dry-run", "-Werror"]).args(sources))?;
    python::check("bench/baselines/duckdb", &["."])
}

/// Every placement gives the expected results.
fn golden_runs(events: u64) -> Result<()> {
    let input = Input::plain(events);
    input.generate()?;
    for placement in Placement::ALL {
        example::verified_run(input, placement, &[])?;
    }
    Ok(())
}

/// So does every split in batches of any size, the last of which is seldom full.
fn batches() -> Result<()> {
    for placement in Placement::ALL.into_iter().filter(|placement| *placement != Placement::OneProcess) {
        for rows in [1, 7, 1000, 65_536] {
            let batch = ["--set", &format!("batch={{rows: {rows}}}")];
            example::verified_run(Input::plain(100_000), placement, &batch)?;
        }
    }
    Ok(())
}

/// So does Node where it may not map a segment.
fn without_addons() -> Result<()> {
    let run = ["--set", "stages.ingest.or.typescript.run=[node, --no-addons, dist/ingest.js]"];
    example::verified_run(Input::plain(1_000_000), Placement::Polyglot, &run).map(drop)
}

/// The baseline has to be right to be worth comparing with.
fn simdjson_baseline() -> Result<()> {
    const FOLDER: &str = "bench/baselines/simdjson";
    cmake::test(FOLDER)?;
    let input = Input::plain(100_000);
    let output = input::scratch("simdjson.ndjson")?;
    let output_name = output.display().to_string();
    let program = process::root().join(FOLDER).join("build/simdjson-pipeline");
    process::run(&mut process::command(
        program,
        &["--input", &input.path(), "--output", &output_name, "--threads", "2"],
    ))?;
    let expected = input.expected().context("results for 100k events are part of the project")?;
    if fs::read(process::root().join(&expected))? != fs::read(&output)? {
        bail!("`{output_name}` differs from `{expected}`");
    }
    Ok(())
}
