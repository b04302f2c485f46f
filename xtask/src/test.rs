//! `cargo xtask test`: everything that CI checks, quick things first.

use std::fs;

use anyhow::{Context, Result, bail};

use crate::input::{self, Input};
use crate::steps::{self, Step};
use crate::{cmake, demo, modrun, process, setup, split};

const STEPS: &[Step] = &[
    ("format", || cargo(&["fmt", "--all", "--check"])),
    ("packages", setup::packages),
    ("styles of C++ and Python", styles),
    ("lints", || cargo(&["clippy", "--workspace", "--all-targets", "--", "-D", "warnings"])),
    ("tests", || cargo(&["test", "--workspace"])),
    ("documentation", documentation),
    ("release build", modrun::build),
    ("golden run, 100k events", || demo::verified_run(Input::plain(100_000)).map(drop)),
    ("golden run, 1M events", || demo::verified_run(Input::plain(1_000_000)).map(drop)),
    ("golden run, 10M events through a pipe", || demo::verified_pipe(Input::plain(10_000_000))),
    ("simdjson baseline", simdjson_baseline),
    ("monolith baseline", || cmake::test("bench/baselines/monolith-cpp")),
    ("split baseline", split::test),
];

/// Does all of it.
pub(crate) fn run() -> Result<()> {
    steps::run(STEPS)
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
    let python = setup::python(&["clang-format==23.1.5", setup::DUCKDB, "mypy==2.4.1", "ruff==0.17.6"])?;
    let sources = process::output(&mut process::command("git", &["ls-files", "*.cpp", "*.hpp"]));
    let sources = sources.context("`git ls-files` must run: it names the sources")?;
    let sources: Vec<&str> = sources.lines().collect();
    let clang_format = python.with_file_name("clang-format");
    process::run(process::command(clang_format, &["--dry-run", "-Werror"]).args(sources))?;
    for check in
        [&["ruff", "format", "--check"][..], &["ruff", "check"], &["mypy", "--strict", "--no-error-summary"]]
    {
        process::run(process::command(&python, &["-m"]).args(check).arg("bench/baselines/duckdb"))?;
    }
    Ok(())
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
