//! Results: equal to the byte whatever the workers and blocks, compared with references that are computed otherwise.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::support::{EVENT_PIPELINE, Folder, Running};

const EXPECTED_100K: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/event-pipeline/expected/100k.ndjson");

/// The event pipeline's results, row by row with serde_json.
fn reference(events: &str) -> String {
    let mut groups: BTreeMap<String, (u64, i64)> = BTreeMap::new();
    for line in events.lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let (kind, value) = (event["type"].as_str().unwrap(), event["value"].as_i64().unwrap());
        if kind != "view" && value >= 10 {
            let group = groups.entry(kind.to_owned()).or_default();
            *group = (group.0 + 1, group.1 + value);
        }
    }
    let row = |(key, (count, sum)): (String, (u64, i64))| {
        format!(
            "{{\"key\":\"{key}\",\"count\":{count},\"sum\":{sum},\"avg\":{}}}\n",
            sum as f64 / count as f64
        )
    };
    groups.into_iter().map(row).collect()
}

/// Runs `pipeline` for several numbers of workers and sizes of blocks and asserts that the results are `expected`.
#[track_caller]
fn check(folder: &Folder, pipeline: &str, blocks: &[&str], expected: &str) {
    for workers in [1, 2, 4] {
        for block in blocks {
            let overrides = [format!("parallelism={workers}"), format!("stages.ingest.with.block={block}")];
            folder
                .run(&["run", pipeline, "--quiet", "--set", &overrides[0], "--set", &overrides[1]])
                .succeeded();
            assert_eq!(folder.read("results.ndjson"), expected, "{overrides:?}");
            std::fs::remove_file(folder.path("results.ndjson")).unwrap();
        }
    }
}

#[test]
fn results_are_the_same_for_all_workers_and_blocks() {
    let folder = Folder::with_events(&["--events", "1000"]);
    let expected = reference(&folder.read("events.ndjson"));
    assert_eq!(expected.lines().count(), 2);
    check(&folder, EVENT_PIPELINE, &["1", "100", "4KiB", "16MiB"], &expected);
}

#[test]
fn the_golden_results_are_met_at_100k() {
    let folder = Folder::with_events(&["--events", "100000"]);
    let expected = std::fs::read_to_string(EXPECTED_100K).unwrap();
    assert_eq!(reference(&folder.read("events.ndjson")), expected);
    check(&folder, EVENT_PIPELINE, &["64KiB", "512KiB", "16MiB"], &expected);
}

#[test]
fn float_sums_are_exact_in_any_order() {
    let folder = Folder::new();
    folder.write(
        "floats.yaml",
        "pipeline: floats\n\
         stages:\n\
         \x20 ingest: {use: file, with: {path: events.ndjson}}\n\
         \x20 parse: {use: json, from: ingest, with: {fields: {k: string, x: float64}}}\n\
         \x20 totals: {use: aggregate, from: parse, with: {by: [k], values: {sum: sum(x), avg: avg(x)}}}\n\
         \x20 sink: {use: file, from: totals, with: {path: results.ndjson}}\n",
    );
    // Added in order, `a` gives 0 and `b` 99999.99999998085 as a plain sum.
    let rounds = 1000;
    let mut events = String::new();
    for x in ["1e16", "1", "-1e16", "1e-7"] {
        for _ in 0..rounds {
            events += &format!("{{\"k\":\"a\",\"x\":{x}}}\n");
        }
    }
    for _ in 0..10 * rounds {
        events += "{\"k\":\"b\",\"x\":0.1}\n";
    }
    folder.write("events.ndjson", &events);
    let plain = |key: &str| -> f64 {
        let lines = events.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
        lines.filter(|event| event["k"] == key).fold(0.0, |sum, event| sum + event["x"].as_f64().unwrap())
    };
    assert_ne!((plain("a"), plain("b")), (1000.0001, 1000.0), "a plain sum would do");
    let expected =
        "{\"k\":\"a\",\"sum\":1000.0001,\"avg\":0.250000025}\n{\"k\":\"b\",\"sum\":1000,\"avg\":0.1}\n";
    check(&folder, "floats.yaml", &["1", "1KiB", "16MiB"], expected);
}

#[test]
fn results_are_verified() {
    let folder = Folder::with_events(&["--events", "1000"]);
    let expected = reference(&folder.read("events.ndjson"));
    folder.write("expected.ndjson", &expected);
    folder.run_events(&["--verify", "expected.ndjson"]).succeeded();

    folder.write("expected.ndjson", expected.replacen("\"sum\":1", "\"sum\":2", 1) + "{}\n");
    folder.run_events(&["--quiet", "--verify", "expected.ndjson"]).failed(
        1,
        &[
            "error[E105]: the results differ from `expected.ndjson` in 2 lines",
            "line 1:\n  - {\"key\":\"click\"",
            "line 3:\n  - {}\n  + (no more lines)",
        ],
    );
    folder.run_events(&["--verify", "nothing.ndjson"]).failed(1, &["error[E101]", "`nothing.ndjson`"]);
}

#[test]
fn the_report_accounts_for_all_events_and_all_time() {
    let folder = Folder::with_events(&["--events", "20000", "--dirty", "0.05"]);
    for workers in ["parallelism=1", "parallelism=2"] {
        folder
            .run_events(&["--report", "report.json", "--set", workers, "--set", "limits.dead_letters=100%"])
            .succeeded();
        let report = folder.json("report.json");
        let count = |key: &str| report["events"][key].as_u64().unwrap();
        let aggregated: u64 =
            folder.lines("results.ndjson").iter().map(|row| row["count"].as_u64().unwrap()).sum();
        assert_eq!(count("in"), count("filtered") + count("dead_letters") + aggregated);
        assert!(count("dead_letters") > 100 && count("in") > 20_000, "{report:#}");
        assert_eq!(count("results"), folder.read("results.ndjson").lines().count() as u64);

        let stages = report["stages"].as_array().unwrap();
        let activities =
            stages.iter().flat_map(|stage| stage["activity_seconds"].as_object().unwrap().values());
        let spent: f64 = activities.map(|seconds| seconds.as_f64().unwrap()).sum();
        let lived = report["thread_seconds"].as_f64().unwrap();
        assert!((spent - lived).abs() <= 0.01 * lived, "{spent} of {lived} s are accounted for");
        for pair in stages.windows(2) {
            assert_eq!(pair[0]["events_out"], pair[1]["events_in"], "{report:#}");
        }
    }
}

#[test]
fn input_comes_from_several_files_and_patterns() {
    let folder = Folder::with_events(&["--events", "1000"]);
    let events = folder.read("events.ndjson");
    let expected = reference(&events);
    let half = events.len() / 2 + events[events.len() / 2..].find('\n').unwrap() + 1;
    std::fs::create_dir(folder.path("logs")).unwrap();
    // The first file ends without a newline, and is one event shorter for nobody.
    folder.write("logs/1.ndjson", &events[..half - 1]).write("logs/2.ndjson", &events[half..]);
    for path in ["logs/*.ndjson", "[logs/1.ndjson, logs/2.ndjson]", "['logs/1*', logs/2.ndjson]"] {
        folder.run_events(&["--set", &format!("stages.ingest.with.path={path}")]).succeeded();
        assert_eq!(folder.read("results.ndjson"), expected, "{path}");
    }
    folder
        .run_events(&["--set", "stages.ingest.with.path=nothing-*.ndjson"])
        .failed(1, &["error[E101]", "no file matches `nothing-*.ndjson`"]);
}

#[test]
fn standard_input_and_output_are_a_dash() {
    let folder = Folder::with_events(&["--events", "1000"]);
    let expected = reference(&folder.read("events.ndjson"));
    let streams = ["--set", "stages.ingest.with.path=-", "--set", "stages.sink.with.path=-"];
    let mut command = folder.command(&[&["run", EVENT_PIPELINE], &streams[..]].concat());
    command.stdin(std::fs::File::open(folder.path("events.ndjson")).unwrap());
    let ended = Running::start(command).end().succeeded();
    assert_eq!(ended.stdout, expected);
    assert!(ended.stderr.contains("events in     1,000"), "{}", ended.stderr);

    // The pipeline itself from standard input.
    let mut command = folder.command(&["run", "-", "--quiet"]);
    command.stdin(std::fs::File::open(EVENT_PIPELINE).unwrap());
    let ended = Running::start(command).end().succeeded();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
    assert_eq!(folder.read("results.ndjson"), expected);

    let mut command = folder.command(&["run", "-", "--set", "stages.ingest.with.path=-"]);
    command.stdin(std::fs::File::open(EVENT_PIPELINE).unwrap());
    Running::start(command).end().failed(2, &["cannot both come from standard input"]);
}

#[test]
fn the_memory_in_the_report_is_that_of_the_run() {
    const HELD: usize = 256 << 20;
    let folder = Folder::with_events(&["--events", "1000"]);
    // What this process holds is no memory of the one that it starts.
    let held = std::hint::black_box(vec![1u8; HELD]);
    folder.run_events(&["--report", "report.json"]).succeeded();
    drop(held);
    let peak = folder.json("report.json")["peak_rss_bytes"].as_u64().unwrap();
    assert!((1 << 20..64 << 20).contains(&peak), "{peak} bytes");
}

#[test]
fn the_example_with_optional_and_computed_columns_gives_what_it_says() {
    const EXAMPLE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/sensor-readings");
    let folder = Folder::new();
    for file in ["pipeline.yaml", "readings.ndjson", "expected.ndjson"] {
        std::fs::copy(std::path::Path::new(EXAMPLE).join(file), folder.path(file)).unwrap();
    }
    let ended = folder.run(&["run", "pipeline.yaml", "--verify", "expected.ndjson"]).succeeded();
    assert!(ended.stderr.contains("dead letters  1  devices.dead-letters.ndjson"), "{}", ended.stderr);
}
