//! Input and output as they should not be: each ends in one clear message or in a dead letter, none in a panic.

use std::fs::{self, File, OpenOptions};
use std::io::Read;
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use serde_json::Value;

use crate::support::{EVENT_PIPELINE, Ended, Folder, Running};

const GOOD: &str = r#"{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u","value":10}"#;
const RESULT: &str = "{\"key\":\"click\",\"count\":1,\"sum\":10,\"avg\":10}\n";

/// Runs the event pipeline on one good event and `line`, which must become a dead letter; gives that.
#[track_caller]
fn dead_letter(line: impl AsRef<[u8]>, options: &[&str]) -> Value {
    let folder = Folder::new();
    folder.write("events.ndjson", [line.as_ref(), b"\n", GOOD.as_bytes()].concat());
    folder.run_events(&[options, &["--set", "limits.dead_letters=1"]].concat()).succeeded();
    assert_eq!(folder.read("results.ndjson"), RESULT);
    let letters = folder.lines("results.dead-letters.ndjson");
    assert_eq!(letters.len(), 1);
    letters[0].clone()
}

fn event(member: &str) -> String {
    format!(r#"{{"ts":"2026-01-01T00:00:00Z","type":"click","user":"u",{member}}}"#)
}

#[test]
fn lines_that_are_no_events_become_dead_letters() {
    let nested = format!("{}1{}", "[".repeat(100_000), "]".repeat(100_000));
    for (line, reason) in [
        (event(&format!("\"value\":10,\"more\":{nested}")), "not_json"),
        (nested, "not_object"),
        (event("\"value\":9223372036854775808"), "out_of_range"),
        (event("\"value\":-9223372036854775809"), "out_of_range"),
        (event("\"value\":10,\"more\":1e400"), "not_json"),
        (event("\"value\":10.0"), "wrong_type"),
        (event("\"value\":\"10\""), "wrong_type"),
        (event("\"value\":10,\"more\":\"\\ud83d\""), "not_json"),
        (event("\"value\":10,\"more\":\"\0\""), "not_json"),
        ("\0".to_owned(), "not_json"),
        ("[1, 2, 3, 4]".to_owned(), "not_object"),
        (event("\"value\":10") + "}", "not_json"),
        (event("\"value\":null"), "wrong_type"),
    ] {
        let letter = dead_letter(&line, &[]);
        let shown: String = line.chars().take(100).collect();
        assert_eq!(letter["reason"], reason, "{shown}: {}", letter["cause"]);
        assert_eq!(letter["raw"], line.as_str(), "{shown}");
    }
    let letter = dead_letter(b"{\"type\":\"\xff\"}", &[]);
    assert_eq!((&letter["reason"], &letter["raw_base64"]), (&"not_utf8".into(), &"eyJ0eXBlIjoi/yJ9".into()));
}

#[test]
fn a_line_longer_than_the_limit_is_cut_short() {
    for (length, options) in [
        (17 << 20, &[][..]),
        (4 << 20, &["--set", "limits.line=1MiB"]),
        (2000, &["--set", "limits.line=1KiB"]),
    ] {
        let line = event(&format!("\"value\":10,\"more\":\"{}\"", "x".repeat(length)));
        let letter = dead_letter(&line, options);
        assert_eq!((&letter["reason"], &letter["truncated"]), (&"too_long".into(), &true.into()));
        let raw = letter["raw"].as_str().unwrap();
        assert!(line.starts_with(raw) && raw.len() <= 4096, "{} bytes are kept", raw.len());
    }
}

#[test]
fn a_line_as_long_as_the_limit_is_an_event() {
    let folder = Folder::new();
    let padding = 1024 - GOOD.len();
    folder.write("events.ndjson", format!("{}{GOOD}\n", " ".repeat(padding)));
    folder.run_events(&["--set", "limits.line=1KiB", "--set", "limits.dead_letters=0"]).succeeded();
    assert_eq!(folder.read("results.ndjson"), RESULT);
}

#[test]
fn the_last_line_needs_no_newline_and_blank_lines_are_none() {
    let folder = Folder::new();
    for input in [GOOD.to_owned(), format!("\n\r\n  \t\n{GOOD}\r\n\n"), format!("\u{feff}{GOOD}\n")] {
        folder.write("events.ndjson", &input);
        folder.run_events(&["--report", "report.json", "--set", "limits.dead_letters=0"]).succeeded();
        assert_eq!(folder.read("results.ndjson"), RESULT, "{input:?}");
        assert_eq!(folder.json("report.json")["events"]["in"], 1, "{input:?}");
    }
}

#[test]
fn an_empty_file_gives_empty_results() {
    let folder = Folder::new();
    folder.write("events.ndjson", "").write("expected.ndjson", "");
    folder.run_events(&["--report", "report.json", "--verify", "expected.ndjson"]).succeeded();
    assert_eq!(folder.read("results.ndjson"), "");
    assert_eq!(folder.json("report.json")["events"]["in"], 0);
}

#[test]
fn input_that_cannot_be_read_is_named() {
    let folder = Folder::new();
    folder.run_events(&[]).failed(
        1,
        &["error[E101]: stage `ingest` failed", "cannot open input `events.ndjson`", "modrun gen --output"],
    );
    fs::create_dir(folder.path("events.ndjson")).unwrap();
    folder.run_events(&[]).failed(1, &["error[E101]", "`events.ndjson`", "is a directory"]);
    assert!(!folder.has("results.ndjson") && !folder.has("results.ndjson.partial"));

    let unreadable = folder.path("unreadable.ndjson");
    folder.write("unreadable.ndjson", GOOD);
    fs::set_permissions(&unreadable, fs::Permissions::from_mode(0o000)).unwrap();
    if File::open(&unreadable).is_ok() {
        eprintln!("not tried: this user may read every file");
        return;
    }
    folder
        .run_events(&["--set", "stages.ingest.with.path=unreadable.ndjson"])
        .failed(1, &["error[E101]", "`unreadable.ndjson`", "Permission denied"]);
}

#[test]
fn output_that_cannot_be_written_is_named() {
    let folder = Folder::new();
    folder.write("events.ndjson", format!("{GOOD}\n{{}}\n"));
    fs::create_dir(folder.path("directory")).unwrap();
    let check = |args: &[&str], parts: &[&str]| {
        let options = ["--set", "limits.dead_letters=1"];
        folder.run_events(&[args, &options].concat()).failed(1, &[&["error[E102]"], parts].concat());
    };
    check(&["--set", "stages.sink.with.path=directory"], &["`directory`", "is a directory"]);
    check(&["--set", "stages.sink.with.path=no/such/folder"], &["`no/such/folder`", "No such file"]);
    check(&["--set", "stages.sink.with.path=/dev/full"], &["`/dev/full`", "No space left"]);
    check(&["--dead-letters", "/dev/full"], &["`/dev/full`", "No space left"]);
    assert!(!folder.has("results.ndjson"), "a run that failed gives no results");
    check(&["--dead-letters", "directory"], &["`directory`", "is a directory"]);
    check(&["--report", "/dev/full"], &["`/dev/full`", "No space left", "the run itself is done"]);
    check(&["--report", "directory"], &["`directory`", "is a directory"]);
}

#[test]
fn a_full_or_closed_standard_output_is_an_error_of_its_own() {
    let folder = Folder::with_events(&["--events", "2000"]);
    folder.write(
        "copy.yaml",
        "pipeline: copy\n\
         stages:\n\
         \x20 ingest: {use: file, with: {path: events.ndjson}}\n\
         \x20 parse: {use: json, from: ingest, with: {fields: {user: string, value: int64}}}\n\
         \x20 sink: {use: file, from: parse, with: {path: '-'}}\n",
    );
    for args in [
        &["run", "copy.yaml"][..],
        &["schema"],
        &["check", "copy.yaml"],
        &["explain", "E001"],
        &["gen", "--output", "-"],
    ] {
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let closed = ended(&folder, args, writer.into());
        closed.failed(1, &["standard output", "Broken pipe"]);
        let full = ended(&folder, args, OpenOptions::new().write(true).open("/dev/full").unwrap().into());
        full.failed(1, &["standard output", "No space left"]);
    }
}

/// Runs the command with `stdout` as its standard output.
fn ended(folder: &Folder, args: &[&str], stdout: Stdio) -> Ended {
    let mut command = folder.command(args);
    command.stdout(stdout);
    let running = Running::start_with_stdout(command);
    running.end()
}

#[test]
fn a_failed_run_leaves_older_results_alone() {
    let folder = Folder::new();
    folder.write("events.ndjson", "no event\n").write("results.ndjson", "older\n");
    folder.run_events(&["--set", "limits.dead_letters=0"]).failed(1, &["error[E103]"]);
    assert_eq!(folder.read("results.ndjson"), "older\n");
}

#[test]
fn a_sum_beyond_int64_is_an_error_unless_it_comes_back() {
    let folder = Folder::new();
    let [max, min] =
        ["9223372036854775807", "-9223372036854775807"].map(|value| event(&format!("\"value\":{value}")));
    let all = ["--set", "stages.rules.with.where=value != 0"];
    folder.write("events.ndjson", format!("{max}\n{max}\n{min}\n{GOOD}\n"));
    folder.run_events(&all).failed(1, &["error[E104]", "the sum of `value` leaves the range of int64"]);
    folder.write("events.ndjson", format!("{max}\n{max}\n{min}\n{min}\n{GOOD}\n"));
    folder.run_events(&all).succeeded();
    assert_eq!(folder.lines("results.ndjson")[0]["sum"], 10);
}

#[test]
fn a_named_pipe_is_read_once_from_its_beginning() {
    let folder = Folder::new();
    let fifo = folder.path("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let args = ["run", EVENT_PIPELINE, "--set", "stages.ingest.with.path=fifo"];
    let running = Running::start(folder.command(&args));
    fs::write(&fifo, format!("{GOOD}\n")).unwrap();
    running.end().succeeded();
    assert_eq!(folder.read("results.ndjson"), RESULT);
}

#[test]
fn a_device_is_written_and_not_replaced() {
    let folder = Folder::new();
    folder.write("events.ndjson", GOOD);
    let fifo = folder.path("out");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let args = ["run", EVENT_PIPELINE, "--set", "stages.sink.with.path=out"];
    let running = Running::start(folder.command(&args));
    let mut results = String::new();
    File::open(&fifo).unwrap().read_to_string(&mut results).unwrap();
    running.end().succeeded();
    assert_eq!(results, RESULT);
}

#[test]
fn a_file_is_not_both_read_and_written() {
    let folder = Folder::new();
    folder.write("events.ndjson", GOOD).write("results.ndjson", "older\n");
    folder.write("results.dead-letters.ndjson", "{}\n");
    let sink = "stages.sink.with.path=";
    for (args, part) in [
        (&["--set", &format!("{sink}./events.ndjson")][..], "`./events.ndjson` would be read and replaced"),
        (&["--set", "stages.ingest.with.path=*.ndjson"], "`results.ndjson` would be read and replaced"),
        (&["--report", "events.ndjson"], "`events.ndjson` would be read and replaced"),
        (&["--set", "stages.ingest.with.path=results.dead-letters.ndjson"], "would be read and replaced"),
        (&["--report", "results.ndjson"], "`results.ndjson` would be written twice"),
    ] {
        folder.run_events(args).failed(2, &[part]);
    }
    assert_eq!(
        (folder.read("events.ndjson").as_str(), folder.read("results.ndjson").as_str()),
        (GOOD, "older\n")
    );
    folder.run_events(&["--set", &format!("{sink}/dev/null"), "--report", "/dev/null"]).succeeded();
}
