//! A run can be watched while it lasts: figures for Prometheus, and a live view for people.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;

use crate::support::{EVENT_PIPELINE, Folder, Running};

const GUIDE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/guide/watching-a-run.md");

/// Asks a server on this machine for a page.
fn get(address: &str, path: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    text
}

/// The names of the metrics in a page, without what the format adds to them.
fn families(page: &str) -> Vec<&str> {
    page.lines().filter_map(|line| line.strip_prefix("# TYPE ")?.split(' ').next()).collect()
}

#[test]
fn a_scrape_shows_how_far_a_run_has_come() {
    let folder = Folder::with_events(&["--events", "2000"]);
    let from_stdin = ["run", EVENT_PIPELINE, "--set", "stages.ingest.with.path=-"];
    let mut command = folder.command(&[&from_stdin[..], &["--metrics", "127.0.0.1:0"]].concat());
    command.stdin(Stdio::piped());
    let mut running = Running::start(command);
    let mut stdin = running.child.stdin.take().unwrap();
    stdin.write_all(folder.read("events.ndjson").as_bytes()).unwrap();
    let said = running.wait_for("/metrics").said().to_owned();
    let address = said.split("http://").nth(1).unwrap().split('/').next().unwrap();
    running.wait_for("2,000 events");
    let page = get(address, "/metrics");
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    for line in [
        "modrun_events_total 2000.0",
        "modrun_stage_events_total{stage=\"parse\"} 2000.0",
        "modrun_stage_activity_seconds_total{stage=\"parse\",activity=\"process\"} ",
        "modrun_dead_letters_total 0.0",
        "# EOF",
    ] {
        assert!(page.contains(line), "`{line}` is not in\n{page}");
    }
    assert!(get(address, "/").starts_with("HTTP/1.1 404"));
    let guide = std::fs::read_to_string(GUIDE).unwrap();
    let missing: Vec<_> = families(&page).into_iter().filter(|name| !guide.contains(*name)).collect();
    assert!(missing.is_empty(), "the guide does not name {missing:?}");
    drop(stdin);
    running.end().succeeded();
    assert!(TcpStream::connect(address).is_err(), "the server ends with the run");
}

#[test]
fn an_address_that_is_taken_and_a_missing_terminal_are_told() {
    let folder = Folder::with_events(&["--events", "10"]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let ended = folder.run_events(&["--metrics", &address]);
    ended.failed(1, &[&format!("cannot serve metrics at `{address}`"), "help: "]);
    folder.run_events(&["--top"]).failed(1, &["`--top` needs a terminal at standard error"]);
    folder.run_events(&["--top", "--quiet"]).failed(2, &["--quiet"]);
}
