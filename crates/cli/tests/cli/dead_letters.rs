//! Dirty input: what becomes a dead letter, compared with an independent reading of each line.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use modrun_core::value::timestamp;
use serde_json::Value;

use crate::support::Folder;

/// A line that is no event: its number, its offset and its bytes.
#[derive(Debug, PartialEq)]
struct Letter {
    line: u64,
    offset: u64,
    raw: Vec<u8>,
}

/// Reads `input` line by line: the letters, and the types and values of the events.
fn reference(input: &[u8]) -> (Vec<Letter>, Vec<(String, i64)>) {
    let (mut letters, mut events, mut offset) = (Vec::new(), Vec::new(), 0);
    for (at, line) in input.split_inclusive(|&byte| byte == b'\n').enumerate() {
        let text = line.strip_suffix(b"\n").unwrap_or(line);
        if !text.iter().all(|byte| b" \t\r".contains(byte)) {
            match event(text) {
                Some(event) => events.push(event),
                None => letters.push(Letter { line: at as u64 + 1, offset, raw: text.to_vec() }),
            }
        }
        offset += line.len() as u64;
    }
    (letters, events)
}

fn event(text: &[u8]) -> Option<(String, i64)> {
    let event: Value = serde_json::from_slice(text).ok()?;
    timestamp::parse(event.get("ts")?.as_str()?.as_bytes())?;
    event.get("user")?.as_str()?;
    Some((event.get("type")?.as_str()?.to_owned(), event.get("value")?.as_i64()?))
}

fn written(letter: &Value) -> Letter {
    assert_eq!((letter["stage"].as_str(), letter["source"].as_str()), (Some("parse"), Some("events.ndjson")));
    assert!(!letter["cause"].as_str().unwrap().is_empty() && !letter["reason"].as_str().unwrap().is_empty());
    let raw = match letter["raw"].as_str() {
        Some(raw) => raw.as_bytes().to_vec(),
        None => STANDARD.decode(letter["raw_base64"].as_str().unwrap()).unwrap(),
    };
    Letter { line: letter["line"].as_u64().unwrap(), offset: letter["offset"].as_u64().unwrap(), raw }
}

#[test]
fn dead_letters_are_what_an_independent_reading_finds() {
    let folder = Folder::with_events(&["--events", "5000", "--dirty", "0.3"]);
    let (letters, events) = reference(&std::fs::read(folder.path("events.ndjson")).unwrap());
    assert!(letters.len() > 500 && events.len() > 5000, "{} letters, {} events", letters.len(), events.len());
    let kept = |event: &&(String, i64)| event.0 != "view" && event.1 >= 10;
    for (workers, block) in [(1, "512KiB"), (2, "1KiB"), (4, "1")] {
        let overrides = [format!("parallelism={workers}"), format!("stages.ingest.with.block={block}")];
        let args = ["--report", "report.json", "--set", "limits.dead_letters=100%"];
        folder
            .run_events(&[&args[..], &["--set", &overrides[0], "--set", &overrides[1]]].concat())
            .succeeded();
        let found: Vec<Letter> = folder.lines("results.dead-letters.ndjson").iter().map(written).collect();
        for (found, expected) in found.iter().zip(&letters) {
            assert_eq!(found, expected, "{overrides:?}");
        }
        assert_eq!(found.len(), letters.len());

        let counts = &folder.json("report.json")["events"];
        assert_eq!(counts["in"], letters.len() + events.len());
        assert_eq!(counts["dead_letters"], letters.len());
        assert_eq!(counts["filtered"], events.iter().filter(|event| !kept(event)).count());
        for row in folder.lines("results.ndjson") {
            let group = events.iter().filter(kept).filter(|event| event.0 == row["key"]);
            let (count, sum) = group.fold((0, 0), |(count, sum), event| (count + 1, sum + event.1));
            assert_eq!((row["count"].as_i64(), row["sum"].as_i64()), (Some(count), Some(sum)), "{row}");
        }
    }
}

#[test]
fn a_run_without_dead_letters_leaves_no_file_of_them() {
    let folder = Folder::with_events(&["--events", "10"]);
    folder.write("results.dead-letters.ndjson", "of an earlier run\n");
    let ended = folder.run_events(&[]).succeeded();
    assert!(ended.stderr.contains("dead letters  0\n"), "{}", ended.stderr);
    assert!(!folder.has("results.dead-letters.ndjson"));
}

#[test]
fn dead_letters_go_where_they_are_told() {
    let folder = Folder::new();
    folder.write("events.ndjson", "{}\n");
    let ended =
        folder.run_events(&["--dead-letters", "odd.ndjson", "--set", "limits.dead_letters=1"]).succeeded();
    assert!(ended.stderr.contains("dead letters  1  odd.ndjson"), "{}", ended.stderr);
    assert_eq!(
        folder.read("odd.ndjson"),
        "{\"stage\":\"parse\",\"source\":\"events.ndjson\",\"line\":1,\"offset\":0,\
         \"reason\":\"missing_field\",\"cause\":\"field `ts` is missing\",\"raw\":\"{}\"}\n"
    );
}

#[test]
fn too_many_dead_letters_end_the_run() {
    let folder = Folder::with_events(&["--events", "2000", "--dirty", "0.3"]);
    for (limit, shown) in [("0", "0"), ("100", "100"), ("1%", "1%")] {
        let limit = format!("limits.dead_letters={limit}");
        folder.run_events(&["--set", &limit]).failed(
            1,
            &[
                "error[E103]",
                &format!("more than `limits.dead_letters: {shown}` allows"),
                "see `results.dead-letters.ndjson.partial`",
            ],
        );
        assert!(!folder.has("results.ndjson") && !folder.has("results.dead-letters.ndjson"));
        assert!(!folder.lines("results.dead-letters.ndjson.partial").is_empty());
    }
}
