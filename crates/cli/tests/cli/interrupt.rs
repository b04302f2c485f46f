//! Ctrl-C: the first stops the input and drains, the second ends the process; both leave no half-written result.

use std::io::Write;
use std::process::{ChildStdin, Stdio};

use nix::sys::signal::Signal;

use crate::support::{EVENT_PIPELINE, Folder, Running};

/// A pipeline whose results nobody reads: it blocks when the pipe is full.
const COPY: &str = "pipeline: copy\n\
    stages:\n\
    \x20 ingest: {use: file, with: {path: events.ndjson}}\n\
    \x20 parse: {use: json, from: ingest, with: {fields: {user: string, value: int64}}}\n\
    \x20 sink: {use: file, from: parse, with: {path: '-'}}\n";

/// Starts the event pipeline on an input that never ends, and waits until it has read all there is.
fn endless(folder: &Folder, args: &[&str]) -> (Running, ChildStdin) {
    let events = folder.read("events.ndjson");
    let stdin = ["run", EVENT_PIPELINE, "--set", "stages.ingest.with.path=-"];
    let mut command = folder.command(&[&stdin[..], args].concat());
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    stdin.write_all(events.as_bytes()).unwrap();
    let read = format!("{},000 events", events.lines().count() / 1000);
    running.wait_for(&read);
    (running, stdin)
}

#[test]
fn the_first_signal_stops_the_input_and_drains() {
    let folder = Folder::with_events(&["--events", "1000"]);
    folder.run_events(&[]).succeeded();
    let expected = folder.read("results.ndjson");
    for (signal, workers) in
        [(Signal::SIGINT, "1"), (Signal::SIGINT, "2"), (Signal::SIGTERM, "2"), (Signal::SIGHUP, "2")]
    {
        folder.write("results.ndjson", "older\n");
        let workers = format!("parallelism={workers}");
        let (running, stdin) = endless(&folder, &["--set", &workers, "--report", "report.json"]);
        running.signal(signal);
        let ended = running.end();
        drop(stdin);
        ended.failed(
            130,
            &["stopping: ", "interrupted: what was written so far is in `results.ndjson.partial`"],
        );
        assert_eq!(folder.read("results.ndjson"), "older\n");
        assert_eq!(folder.read("results.ndjson.partial"), expected);
        assert!(!folder.has("report.json"));
        assert_eq!(folder.json("report.json.partial")["events"]["in"], 1000);
    }
}

/// Starts a run whose results nobody takes, and stops it once.
fn stuck(folder: &Folder) -> Running {
    folder.write("copy.yaml", COPY);
    let mut command = folder.command(&["run", "copy.yaml"]);
    // The pipe's reading end stays with the child, unread.
    command.stdout(Stdio::piped());
    let mut running = Running::start_with_stdout(command);
    running.wait_for(" events/s").signal(Signal::SIGINT);
    running.wait_for("stopping: ");
    running
}

#[test]
fn the_second_signal_ends_a_run_that_does_not_drain() {
    let folder = Folder::with_events(&["--events", "100000"]);
    let running = stuck(&folder);
    running.signal(Signal::SIGINT);
    let ended = running.end();
    ended.failed(130, &[]);
    assert!(!ended.stderr.contains("interrupted"), "it ended by itself: {}", ended.stderr);
}

#[test]
fn a_run_that_does_not_drain_is_given_up() {
    let folder = Folder::with_events(&["--events", "100000"]);
    stuck(&folder).end().failed(130, &["interrupted: not at the end after 5 s"]);
}
