//! The reference pages under `docs/reference` say what the command says. `UPDATE_REFERENCE=1` writes them anew.

use std::path::Path;

use crate::support::Folder;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/reference");

/// Asserts that a page is `expected`, or makes it so.
#[track_caller]
fn check(name: &str, expected: &str) {
    let path = Path::new(FOLDER).join(name);
    if std::env::var_os("UPDATE_REFERENCE").is_some() {
        std::fs::create_dir_all(FOLDER).unwrap();
        std::fs::write(&path, expected).unwrap();
        return;
    }
    let page = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        page == expected,
        "docs/reference/{name} is out of date: run `UPDATE_REFERENCE=1 cargo test -p modrun reference`"
    );
}

fn stdout(args: &[&str]) -> String {
    Folder::new().run(args).succeeded().stdout
}

#[test]
fn the_reference_of_the_commands_is_their_help() {
    let mut page = String::from("# The command `modrun`\n\nGenerated from the command's own help.\n");
    for command in ["", "run", "check", "doctor", "explain", "schema", "gen", "bench", "report", "new stage"]
    {
        let title = format!("modrun {command}");
        let args: Vec<&str> = title.split_whitespace().skip(1).chain(["--help"]).collect();
        page += &format!("\n## `{}`\n\n```text\n{}\n```\n", title.trim(), stdout(&args).trim_end());
    }
    check("cli.md", &page);
}

#[test]
fn the_reference_of_the_pipeline_file_is_its_schema() {
    check("pipeline.schema.json", &stdout(&["schema"]));
}

#[test]
fn the_reference_of_the_run_report_is_its_schema() {
    check("run-report.schema.json", &stdout(&["schema", "report"]));
}
