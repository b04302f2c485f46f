//! The smaller commands, and what goes to which stream.

use crate::support::Folder;

#[test]
fn codes_are_explained_and_listed() {
    let folder = Folder::new();
    let page = folder.run(&["explain", "e101"]).succeeded();
    assert!(page.stdout.starts_with("# E101: "), "{}", page.stdout);
    let list = folder.run(&["explain"]).succeeded();
    assert!(list.stdout.lines().any(|line| line.starts_with("E101: ")), "{}", list.stdout);
    folder.run(&["explain", "E999"]).failed(2, &["there is no error `E999`", "\nE001: "]);
}

#[test]
fn help_names_the_exit_codes() {
    let folder = Folder::new();
    for args in [&["--help"][..], &["run", "--help"], &["check", "--help"]] {
        let help = folder.run(args).succeeded().stdout;
        assert!(help.contains("Exit codes:\n  0 "), "{help}");
    }
    folder.run(&["run"]).failed(2, &["Usage: modrun run"]);
    folder.run(&["fly"]).failed(2, &["unrecognized subcommand 'fly'"]);
}

#[test]
fn a_quiet_run_says_nothing() {
    let folder = Folder::with_events(&["--events", "10"]);
    let ended = folder.run_events(&["--quiet"]).succeeded();
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
}

#[test]
fn a_run_ends_with_a_summary_and_says_where_the_time_went() {
    let folder = Folder::with_events(&["--events", "1000"]);
    let ended = folder.run_events(&[]).succeeded();
    assert_eq!(ended.stdout, "");
    let names: Vec<&str> = ended.stderr.lines().filter_map(|line| line.strip_prefix("  ")).collect();
    for (line, name) in names.iter().zip([
        "events in     1,000",
        "filtered      ",
        "dead letters  0",
        "results       2  results.ndjson",
        "wall          ",
        "CPU           ",
        "events/s      ",
        "peak memory   ",
    ]) {
        assert!(line.starts_with(name), "{line:?} is not {name:?}");
    }
    for (stage, placed) in [("ingest", "thread"), ("parse", "thread"), ("sink", "thread")] {
        let row = names.iter().find(|line| line.starts_with(stage)).unwrap();
        assert!(row.contains(placed), "{row}");
    }
    assert!(names.iter().any(|line| line.starts_with("bottleneck  ")), "{names:?}");
    assert!(!ended.stderr.contains('\x1b'), "escapes go to terminals only");
}
