//! Runs whose stages are processes: their results, their logs and how they fail.

use std::path::Path;

use nix::sys::stat::Mode;
use nix::unistd::mkfifo;

use crate::support::{Ended, Folder};

const PIPELINE: &str = "\
pipeline: logs
stages:
  ingest: {use: file, with: {path: events.ndjson}}
  say: {from: ingest, with: {any: 1}, or: {sh: {run: [sh, say.sh, 'a b'], env: {GREETING: hello}}}}
  sink: {from: say, or: {sh: {run: [sh, say.sh], cwd: other}}}
";

/// A program that never gets ready; the run ends it.
const WAIT: &str = "exec sleep 600\n";

#[test]
fn results_are_the_same_whichever_stages_are_processes() {
    let folder = Folder::with_events(&["--events", "20000"]);
    folder.run_events(&["--report", "report.json"]).succeeded();
    let expected = folder.read("results.ndjson");
    let stages = ["ingest", "parse", "rules", "aggregate", "sink"];
    let every: Vec<&[&str]> =
        stages.chunks(1).chain([&stages[..], &stages[1..3], &stages[1..], &stages[..4]]).collect();
    for processes in every {
        let words: Vec<String> = processes.iter().map(|stage| format!("{stage}=process")).collect();
        let options: Vec<&str> = words.iter().flat_map(|word| ["--place", word]).collect();
        let last = ["--verify", "expected.ndjson", "--report", "report.json"];
        folder.write("expected.ndjson", &expected);
        folder.run_events(&[&options[..], &last].concat()).succeeded();
        let report = folder.json("report.json");
        for stage in stages {
            let word = if processes.contains(&stage) { "process" } else { "thread" };
            assert_eq!(report["placement"][stage], word, "{processes:?}");
        }
        assert_eq!(report["events"]["in"], 20000);
    }
}

fn said(log: &[&str]) -> Ended {
    let folder = Folder::new();
    folder.write("events.ndjson", "").write("pipeline.yaml", PIPELINE);
    folder.write(
        "say.sh",
        "echo \"<7>$#\"; echo '<6>fine'; echo plain; echo '<4>odd'; echo unmarked >&2; echo \"<3>$GREETING\"; exit 3\n",
    );
    std::fs::create_dir(folder.path("other")).unwrap();
    folder.write("other/say.sh", WAIT);
    folder.run(&[&["run", "pipeline.yaml"], log].concat())
}

#[test]
fn what_a_stage_logs_is_shown_from_a_level_on() {
    let lines = [
        "debug  1",
        "information  fine",
        "information  plain",
        "warning  odd",
        "warning  unmarked",
        "error  hello",
    ];
    for (options, shown) in [
        (&[][..], &lines[1..]),
        (&["--log", "debug"], &lines[..]),
        (&["--log", "information"], &lines[1..]),
        (&["--log", "warning"], &lines[3..]),
        (&["--log", "error"], &lines[5..]),
        (&["--quiet"], &lines[3..]),
        (&["--quiet", "--log", "debug"], &lines[..]),
    ] {
        let ended = said(options);
        ended.failed(1, &["error[E108]: stage `say` failed", "exit status 3"]);
        for line in lines {
            let is_there = ended.stderr.contains(&format!("stage say  {line}\n"));
            assert_eq!(is_there, shown.contains(&line), "{options:?} {line}\n{}", ended.stderr);
        }
    }
}

#[test]
fn a_program_that_cannot_be_started_is_named() {
    let folder = Folder::new();
    folder.write("events.ndjson", "").write("pipeline.yaml", PIPELINE).write("say.sh", WAIT);
    let run = || folder.run(&["run", "pipeline.yaml"]);
    let set = |from: &str, to: &str| folder.write("pipeline.yaml", PIPELINE.replace(from, to));
    run().failed(1, &["error[E107]: stage `sink` failed", "`other`"]);
    set("run: [sh, say.sh, 'a b']", "run: [none-such]");
    run().failed(1, &["error[E107]: stage `say` failed", "cannot start `none-such`"]);
    set("run: [sh, say.sh, 'a b']", "run: [./say.sh]");
    run().failed(1, &["error[E107]: stage `say` failed", "cannot start `./say.sh`", "Permission denied"]);
}

#[test]
fn a_program_that_fails_while_another_one_starts_ends_the_run() {
    let folder = Folder::new();
    folder.write("events.ndjson", "").write("pipeline.yaml", PIPELINE);
    std::fs::create_dir(folder.path("other")).unwrap();
    mkfifo(&folder.path("pid"), Mode::S_IRWXU).unwrap();
    // The first one is still starting when the second one fails: it has said which process it is.
    folder.write("say.sh", format!("echo $$ > pid; {WAIT}"));
    folder.write("other/say.sh", "read pid < ../pid; echo \"beside $pid\"; exit 3\n");
    for place in [&[][..], &["--place", "ingest=process"]] {
        let ended = folder.run(&[&["run", "pipeline.yaml"], place].concat());
        ended.failed(1, &["error[E108]: stage `sink` failed", "exit status 3"]);
        let (_, pid) = ended.stderr.split_once("stage sink  information  beside ").unwrap();
        let pid = pid.lines().next().unwrap();
        assert!(!Path::new("/proc").join(pid).exists(), "the process {pid} is left");
        let (_, words) = ended.stderr.split_once("exit status 3").unwrap();
        assert!(words.contains(&format!("beside {pid}")), "{}", ended.stderr);
    }
}

#[test]
fn the_source_is_opened_when_all_others_are_ready() {
    let folder = Folder::new();
    let pipeline = "\
pipeline: order
stages:
  ingest: {use: file, with: {path: events.ndjson}, or: {sh: {run: [sh, ingest.sh]}}}
  sink: {from: ingest, or: {sh: {run: [sh, sink.sh]}}}
placement: {ingest: sh}
";
    folder.write("events.ndjson", "").write("pipeline.yaml", pipeline);
    mkfifo(&folder.path("begun"), Mode::S_IRWXU).unwrap();
    // The sink is never ready. It gives the source the time to read what it was sent: nothing.
    folder.write("ingest.sh", "echo > begun; head -c 1 <&3 > opened\n");
    folder.write("sink.sh", "read _ < begun; for at in $(seq 100000); do :; done; exit 3\n");
    folder.run(&["run", "pipeline.yaml"]).failed(1, &["error[E108]: stage `sink` failed", "exit status 3"]);
    assert_eq!(folder.read("opened"), "");
}

#[test]
fn a_source_that_ends_before_it_is_opened_says_how() {
    let folder = Folder::new();
    let source = "ingest: {use: file, with: {path: events.ndjson}, or: {sh: {run: [sh, ingest.sh]}}}";
    let sink = "sink: {use: file, from: ingest, with: {path: results.txt}}";
    folder.write("events.ndjson", "").write("ingest.sh", "echo no input; exit 3\n");
    for sinks in ["thread", "process"] {
        let placement = format!("placement: {{ingest: sh, sink: {sinks}}}");
        folder
            .write("pipeline.yaml", format!("pipeline: gone\nstages:\n  {source}\n  {sink}\n{placement}\n"));
        let ended = folder.run(&["run", "pipeline.yaml"]);
        ended.failed(1, &["error[E108]: stage `ingest` failed", "exit status 3", "no input"]);
    }
}

#[test]
fn a_built_in_stage_is_not_started_by_hand() {
    let folder = Folder::new();
    let start =
        |kind: &str| folder.run(&["stage", kind, "--role", "sink", "--workers", "1", "--line-bytes", "1024"]);
    start("file").failed(2, &["this is a stage that `modrun run` starts"]);
    start("json").failed(2, &["there is no built-in `json` here"]);
    let help = folder.run(&["--help"]).succeeded();
    assert!(!help.stdout.contains("built-in"), "{}", help.stdout);
}
