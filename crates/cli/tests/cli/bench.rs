//! Comparisons: in turns, verified, and going on where they were interrupted.

use serde_json::Value;

use crate::support::{Folder, Running};

const PIPELINE: &str = "pipeline: counts\n\
    stages:\n\
    \x20 ingest: {use: file, with: {path: events.ndjson}}\n\
    \x20 parse: {use: json, from: ingest, with: {fields: {type: string}}}\n\
    \x20 count: {use: aggregate, from: parse, with: {by: [type], values: {count: count()}}}\n\
    \x20 sink: {use: file, from: count, with: {path: results.ndjson}}\n";

fn folder() -> Folder {
    let folder = Folder::new();
    folder.write("counts.yaml", PIPELINE);
    folder.write("processes.yaml", "count: process\n");
    folder
}

/// The runs in a journal: what was run, and what came of it.
fn runs(text: &str) -> Vec<(String, String)> {
    let lines = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    let runs = lines.filter_map(|mut line| Some(line.get_mut("run")?.take()));
    runs.map(|run| {
        let lane = &run["lane"];
        let word = |key: &str| lane[key].as_str().unwrap_or("-").to_owned();
        let name =
            [word("system"), word("placement"), word("batch"), word("purpose"), run["turn"].to_string()];
        let outcome = run["outcome"].as_object().unwrap().keys().next().unwrap().clone();
        (name.join(" "), outcome)
    })
    .collect()
}

const BENCH: [&str; 9] =
    ["bench", "counts.yaml", "--events", "500", "--runs", "2", "--placements", ".,processes.yaml", "--batch"];

#[test]
fn lanes_take_turns_and_an_interrupted_comparison_goes_on() {
    let folder = folder();
    let args = [&BENCH[..], &["10,adaptive"]].concat();
    folder.run(&args).succeeded();
    let text = folder.read("bench.jsonl");
    let of_turn = |turn: u32| {
        [
            "modrun as written - figure",
            "modrun as written - again",
            "modrun processes.yaml 10 figure",
            "modrun processes.yaml adaptive figure",
            "modrun processes.yaml adaptive again",
        ]
        .map(|name| (format!("{name} {turn}"), "verified".to_owned()))
    };
    let expected = [of_turn(1), of_turn(2)].concat();
    assert_eq!(runs(&text), expected);

    // All but the session and the first two runs, and half of the third, is lost.
    let kept: usize = text.split_inclusive('\n').take(3).map(str::len).sum();
    folder.write("bench.jsonl", &text[..kept + 100]);
    let ended = folder.run(&args).succeeded();
    assert!(ended.stderr.contains("`bench.jsonl` has 2 runs already"), "{}", ended.stderr);
    assert_eq!(runs(&folder.read("bench.jsonl")), expected);
}

#[test]
fn no_figure_is_taken_from_a_program_with_other_results() {
    let folder = folder();
    folder.write("wrong.sh", "echo '{\"type\":\"click\",\"count\":1}' > \"$2\"\n");
    let wrong = folder.path("wrong.sh").display().to_string();
    let yaml = format!(
        "wrong: {{run: [sh, {wrong}, '{{input}}', '{{output}}']}}\nmissing: {{run: [./not-there], build: make it}}\n"
    );
    folder.write("baselines.yaml", &yaml);
    let args = ["bench", "counts.yaml", "--events", "500", "--runs", "1", "--baselines"];
    let ended = folder.run(&args);
    ended.failed(
        1,
        &[
            "wrong results: line 1 is\n  {\"type\":\"click\",\"count\":1}",
            "there is no `./not-there`; `make it` makes it",
        ],
    );
    let outcomes: Vec<_> =
        runs(&folder.read("bench.jsonl")).into_iter().map(|(_, outcome)| outcome).collect();
    assert_eq!(outcomes, ["left_out", "verified", "verified", "failed", "failed"]);
}

#[test]
fn wrong_arguments_are_told_before_anything_runs() {
    let folder = folder();
    let bench = |more: &[&str]| folder.run(&[&["bench", "counts.yaml"][..], more].concat());
    bench(&["--placements", "nowhere"]).failed(2, &["cannot read the placement `placements/nowhere.yaml`"]);
    bench(&["--batch", "0"]).failed(2, &["a batch is a positive number or `adaptive`, not `0`"]);
    bench(&["--runs", "0"]).failed(2, &["--runs"]);
    bench(&["--leave-out-above", "0"]).failed(2, &["--leave-out-above"]);
    bench(&["--input", "missing.ndjson"]).failed(2, &["cannot read `missing.ndjson`"]);
    bench(&["--baselines"]).failed(2, &["cannot read the baselines `baselines.yaml`"]);
    folder.write("baselines.yaml", "a: {ran: [x]}\n");
    bench(&["--baselines"]).failed(2, &["baselines.yaml:1:5", "`ran`", "did you mean `run`?"]);
    folder.write("bench.jsonl", "nonsense\n");
    bench(&[]).failed(2, &["`bench.jsonl`, line 1: ", "begin it anew with `--again`"]);
    assert_eq!(folder.read("bench.jsonl"), "nonsense\n");
}

#[test]
fn a_signal_ends_the_program_that_runs_and_keeps_what_is_over() {
    let folder = folder();
    folder.write("baselines.yaml", "slow: {run: [sleep, '1000']}\n");
    let command = folder.command(&["bench", "counts.yaml", "--events", "500", "--runs", "1", "--baselines"]);
    let mut running = Running::start(command);
    running.wait_for("warm-up: slow");
    running.signal(nix::sys::signal::Signal::SIGINT);
    running.end().failed(130, &["interrupted"]);
    assert!(runs(&folder.read("bench.jsonl")).is_empty());
}

#[test]
fn a_price_is_made_of_stages_moved_out_one_at_a_time() {
    let folder = folder();
    let args = ["bench", "counts.yaml", "--events", "20000", "--runs", "2", "--placements", "processes.yaml"];
    let ended = folder.run(&[&args[..], &["--price"]].concat()).succeeded();
    for part in ["| count | process |", "- `count` in process: ", "| processes.yaml | adaptive | 20,000 |"] {
        assert!(ended.stdout.contains(part), "`{part}` is not in\n{}", ended.stdout);
    }
    folder.run(&["report", "bench.jsonl", "--markdown", "page.md"]).succeeded();
    for part in ["## What a boundary costs", "- `count` in process: ", "CPU time is off by "] {
        assert!(folder.read("page.md").contains(part), "`{part}` is not in the page");
    }
    folder.run(&["bench", "counts.yaml", "--price", "--again"]).failed(2, &["no boundary to price"]);
}

#[test]
fn longer_events_tell_what_a_byte_costs_where_text_travels() {
    let folder = folder();
    folder.write("both.yaml", "ingest: process\ncount: process\n");
    let args =
        ["bench", "counts.yaml", "--events", "3000", "--runs", "2", "--placements", "both.yaml", "--price"];
    let ended = folder.run(&args).succeeded();
    let row = |stage: &str| {
        let begin = format!("| {stage} ");
        let row = ended.stdout.lines().find(|line| line.starts_with(&begin)).unwrap_or_default();
        row.split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>()
    };
    let of_byte = |stage: &str| row(stage).get(5).cloned().unwrap_or_default();
    assert!(of_byte("ingest").contains(" ± "), "{}", ended.stdout);
    assert_eq!(of_byte("count"), "in b", "{}", ended.stdout);
    assert!(ended.stdout.contains("3,000, longer by 256 B"), "{}", ended.stdout);

    // What was held out aside, longer events ran at two sizes of batches and as written, and gave the same results.
    let text = folder.read("bench.jsonl");
    let longer: Vec<&str> = text.lines().filter(|line| line.contains("\"padding\":512")).collect();
    assert_eq!(longer.len(), 2 * 3, "{longer:?}");
    assert!(longer.iter().all(|line| line.contains("\"verified\"")), "{longer:?}");
    folder.run(&["report", "bench.jsonl", "--markdown", "page.md"]).succeeded();
    assert!(folder.read("page.md").contains("### 3,000 events, each longer by 512 bytes and a key"));
}

#[test]
fn a_report_is_one_page_and_its_plots() {
    let folder = folder();
    folder.run(&["bench", "counts.yaml", "--events", "2000", "--runs", "1"]).succeeded();
    folder.run(&["report", "bench.jsonl", "--output", "page.html", "--markdown", "page.md"]).succeeded();
    let (html, markdown) = (folder.read("page.html"), folder.read("page.md"));
    assert!(html.starts_with("<!doctype html>") && html.contains("<svg"), "{}", &html[..200]);
    for elsewhere in ["src=\"", "<link", "@import", "<script"] {
        assert!(!html.contains(elsewhere), "the page needs more than itself: `{elsewhere}`");
    }
    let plots: Vec<&str> =
        markdown.split("](page/").skip(1).filter_map(|rest| rest.split(')').next()).collect();
    assert!(!plots.is_empty(), "{markdown}");
    plots.iter().for_each(|plot| assert!(folder.read(&format!("page/{plot}")).contains("<svg"), "{plot}"));
    let printed = folder.run(&["report", "bench.jsonl", "--output", "-"]).succeeded();
    assert_eq!(printed.stdout, html);
}

#[test]
fn a_report_says_which_file_it_cannot_use_and_why() {
    let folder = folder();
    let report = |files: &[&str]| folder.run(&[&["report"], files].concat());
    report(&["missing.json"]).failed(2, &["cannot read `missing.json`"]);
    folder.write("empty.json", "");
    report(&["empty.json"]).failed(2, &["`empty.json`, line 1: the file is empty"]);
    folder.write("other.json", "{\"a\": 1}\n");
    report(&["other.json"]).failed(2, &["`other.json`, line 1: it is no run report", "modrun run --report"]);
    for name in ["counts", "others"] {
        let pipeline = folder.read("counts.yaml").replace("pipeline: counts", &format!("pipeline: {name}"));
        folder.write(&format!("{name}.yaml"), &pipeline);
        let output = format!("{name}.jsonl");
        let bench = ["bench", &format!("{name}.yaml"), "--events", "200", "--runs", "1", "--output", &output];
        folder.run(&bench).succeeded();
    }
    report(&["counts.jsonl", "others.jsonl"]).failed(2, &["different pipelines", "counts, others"]);
    assert!(!folder.has("report.html"));
}
