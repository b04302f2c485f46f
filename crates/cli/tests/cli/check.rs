//! `modrun check` and how problems are shown.

use crate::support::{EVENT_PIPELINE, Folder};

const BROKEN: &str = "\
pipeline: broken
stages:
  ingest: {use: file, with: {paht: events.ndjson}}
  parse: {use: json, from: ingest, with: {fields: {type: string, value: int64}}}
  rules: {use: filter, from: parse, with: {where: typ != 'view'}}
  sink: {use: file, from: ruels, with: {path: results.ndjson}}
";

#[test]
fn a_good_pipeline_is_shown_stage_by_stage() {
    let ended = Folder::new().run(&["check", EVENT_PIPELINE]).succeeded();
    assert_eq!(ended.stderr, "");
    assert_eq!(
        ended.stdout,
        "ok: event-pipeline\n\
         \x20 ingest     file       source string, offset int64, line int64?, text binary\n\
         \x20 parse      json       type string, value int64\n\
         \x20 rules      filter     type string, value int64\n\
         \x20 aggregate  aggregate  key string, count int64, sum int64?, avg float64?\n\
         \x20 sink       file\n"
    );
    let json = Folder::new().run(&["check", EVENT_PIPELINE, "--format", "json"]).succeeded();
    assert_eq!(json.stdout, "[]\n");
}

#[test]
fn all_problems_are_shown_at_once() {
    let folder = Folder::new();
    folder.write("broken.yaml", BROKEN);
    let ended = folder.run(&["check", "broken.yaml"]);
    ended.failed(2, &[]);
    for part in [
        "error[E002]",
        "--> broken.yaml:3:30",
        "help: did you mean `path`?",
        "error[E006]",
        "--> broken.yaml:6:27",
        "help: did you mean `rules`?",
        "problems\n",
    ] {
        assert!(ended.stdout.contains(part), "`{part}` is not in\n{}", ended.stdout);
    }
    let json = folder.run(&["check", "broken.yaml", "--format", "json"]);
    json.failed(2, &[]);
    let problems: Vec<serde_json::Value> = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!((&problems[0]["code"], &problems[0]["line"]), (&"E003".into(), &3.into()));

    // A run shows them too, and does nothing.
    folder.run(&["run", "broken.yaml"]).failed(2, &["error[E002]", "--> broken.yaml:3:30"]);
    assert!(!folder.has("results.ndjson.partial"));
}

#[test]
fn overrides_are_checked_like_the_file() {
    let folder = Folder::new();
    for (override_, part) in [
        ("stages.rules.with.where=valu > 1", "did you mean `value`?"),
        ("stages.ruels.with.where=value > 1", "did you mean `rules`?"),
        ("parallelism=none", "--> command line"),
        ("parallelism", "the value is missing"),
    ] {
        folder.run(&["run", EVENT_PIPELINE, "--set", override_]).failed(2, &["--set", part]);
    }
}

#[test]
fn a_pipeline_file_that_cannot_be_read_is_an_argument_that_is_wrong() {
    let folder = Folder::new();
    folder.write("binary.yaml", b"\xff\xfe");
    for (file, part) in
        [("missing.yaml", "No such file"), (".", "Is a directory"), ("binary.yaml", "valid UTF-8")]
    {
        for command in ["run", "check"] {
            folder
                .run(&[command, file])
                .failed(2, &[&format!("error: cannot read the pipeline `{file}`\n  caused by: "), part]);
        }
    }
    folder.run(&["check", "/dev/zero"]).failed(2, &[]);
}
