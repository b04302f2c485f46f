//! Stages that run as processes: what `check`, `doctor` and the building before a run make of them.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::support::{Ended, Folder};

const PIPELINE: &str = "\
pipeline: split
stages:
  ingest: {use: file, with: {path: events.ndjson}}
  parse: {use: json, from: ingest, with: {fields: {type: string, value: int64}}}
  rules:
    use: filter
    from: parse
    with: {where: value >= 10}
    or:
      python: {run: [python3, rules.py], cwd: rules, env: {B: 'x y', A: z}}
      go: {run: [bin/rules], build: [./build, 'a b'], cwd: rules}
  sink: {use: file, from: rules, with: {path: results.ndjson}}
placement: {parse: process, rules: python}
";

/// A folder with the pipeline, and placements beside it.
fn folder() -> Folder {
    let folder = Folder::new();
    fs::create_dir_all(folder.path("p/placements")).unwrap();
    fs::create_dir(folder.path("p/rules")).unwrap();
    folder.write("p/split.yaml", PIPELINE);
    folder.write("p/placements/one.yaml", "{}").write("p/placements/go.yaml", "placement: {rules: go}\n");
    folder
}

fn program(path: &Path, text: &str) {
    fs::write(path, text).unwrap();
    fs::set_permissions(path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn check_shows_what_runs_as_a_process() {
    let folder = folder();
    let shown = folder.run(&["check", "p/split.yaml"]).succeeded().stdout;
    let (_, processes) = shown.split_once("processes\n").unwrap();
    assert_eq!(
        processes,
        "  parse  process  the built-in `json`\n\
         \x20 rules  python   python3 rules.py, in p/rules, with A B\n\
         environment of a process, where set: PATH HOME USER LANG LC_* TZ TMPDIR LD_LIBRARY_PATH VIRTUAL_ENV PYTHONPATH \
         NODE_PATH NODE_OPTIONS GOPATH GOCACHE GOROOT CARGO_HOME\n"
    );
    let go = folder.run(&["check", "p/split.yaml", "--placement", "go"]).succeeded().stdout;
    assert!(go.contains("\n  rules  go  bin/rules, in p/rules, after ./build 'a b'\n"), "{go}");
}

#[test]
fn the_placement_comes_from_a_name_a_file_and_single_words() {
    let folder = folder();
    folder.write("other.yaml", "{parse: process}").write("wrong.yaml", "\nplacement: {rules: goo}\n");
    for (options, expected) in [
        (&["--placement", "one"][..], &[][..]),
        (&["--placement", "go"], &["rules  go "]),
        (&["--placement", "go", "--place", "rules=thread", "--place", "parse=process"], &["parse  process "]),
        (&["--placement", "other.yaml"], &["parse  process "]),
        (&["--placement", "./other.yaml"], &["parse  process "]),
        (&["--placement", "one", "--set", "placement.rules=python"], &["rules  python "]),
    ] {
        let shown = folder.run(&[&["check", "p/split.yaml"], options].concat()).succeeded().stdout;
        let processes: Vec<&str> = match shown.split_once("processes\n") {
            Some((_, processes)) => processes.lines().filter(|line| line.starts_with("  ")).collect(),
            None => Vec::new(),
        };
        assert_eq!(processes.len(), expected.len(), "{options:?}\n{shown}");
        for (found, expected) in processes.iter().zip(expected) {
            assert!(found.trim_start().starts_with(expected), "{options:?}\n{shown}");
        }
    }
    let run = |options: &[&str]| folder.run(&[&["run", "p/split.yaml"], options].concat());
    run(&["--placement", "wrong.yaml"])
        .failed(2, &["error[E012]", "--> wrong.yaml:2:20", "did you mean `go`?"]);
    run(&["--place", "rules=goo"]).failed(2, &["error[E012]", "--> command line", "--place rules=goo"]);
    run(&["--placement", "two"])
        .failed(2, &["error: cannot read the placement `p/placements/two.yaml`", "No such file"]);
}

fn run_go(folder: &Folder, options: &[&str]) -> Ended {
    folder.run(&[&["run", "p/split.yaml", "--placement", "go"], options].concat())
}

#[test]
fn a_program_that_cannot_be_built_ends_the_run_before_it_begins() {
    let folder = folder();
    let build = folder.path("p/rules/build");
    folder.write("events.ndjson", "");

    let what = "error[E110]: cannot build stage `rules` as `go`\n";
    run_go(&folder, &[])
        .failed(1, &[what, "cannot start `./build` in `p/rules`", "there is no program `./build`"]);
    program(&build, "#!/bin/sh\necho said $#; echo wrong: $1 >&2; exit 3\n");
    let failed = run_go(&folder, &[]);
    failed.failed(
        1,
        &[
            "building rules (go): ./build 'a b'\n  said 1\n  wrong: a b\n",
            what,
            "caused by: `./build 'a b'` in `p/rules` ended with exit code 3\n",
            "help: mend the program, or run what is there with `--no-build`\n",
        ],
    );
    assert!(!folder.has("results.ndjson.partial"));
    let quiet = run_go(&folder, &["--quiet"]);
    quiet.failed(1, &["  wrong: a b\n"]);
    assert!(!quiet.stderr.contains("building"), "{}", quiet.stderr);

    fs::remove_file(&build).unwrap();
    fs::remove_dir(folder.path("p/rules")).unwrap();
    run_go(&folder, &[]).failed(1, &[what, "there is no folder `p/rules`"]);
}

#[test]
fn what_a_successful_build_says_is_not_shown() {
    let folder = folder();
    program(&folder.path("p/rules/build"), "#!/bin/sh\necho noise\necho noise >&2\ntouch built\n");
    // The run itself fails: there is no input.
    let ended = run_go(&folder, &[]);
    assert!(folder.has("p/rules/built") && !ended.stderr.contains("noise"), "{}", ended.stderr);
    fs::remove_file(folder.path("p/rules/built")).unwrap();
    run_go(&folder, &["--no-build"]);
    folder.run(&["run", "p/split.yaml", "--placement", "one"]);
    assert!(!folder.has("p/rules/built"), "only what the placement chooses is built");
}

/// Runs `modrun doctor` where `PATH` is the folder `tools` alone.
fn doctor(folder: &Folder, options: &[&str]) -> Ended {
    let mut command = folder.command(&[&["doctor"], options].concat());
    command.env("PATH", folder.path("tools"));
    crate::support::Running::start(command).end()
}

#[track_caller]
fn check_row(ended: &Ended, expected: &[&str]) {
    let is_row = |line: &str| {
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        cells[1..].starts_with(expected)
    };
    assert!(ended.stdout.lines().any(is_row), "{expected:?} is not in\n{}", ended.stdout);
}

#[test]
fn doctor_tells_which_tools_are_here_and_how_to_get_the_others() {
    let folder = folder();
    fs::create_dir(folder.path("tools")).unwrap();
    let nothing = doctor(&folder, &[]).succeeded();
    check_row(&nothing, &["python3", "Python", "3.10 or later", "missing"]);
    assert!(
        nothing.stdout.contains("  go: apt install golang-go; https://go.dev/doc/install\n"),
        "{}",
        nothing.stdout
    );

    program(
        &folder.path("tools/python3"),
        "#!/bin/sh\ncase $1 in -c) echo 21.0.0;; *) echo Python 3.11.2;; esac\n",
    );
    program(&folder.path("tools/node"), "#!/bin/sh\necho v18.19.0\n");
    let some = doctor(&folder, &[]).succeeded();
    check_row(&some, &["python3", "Python", "3.10 or later", "3.11"]);
    check_row(&some, &["pyarrow", "Python", "21.0 or later", "21.0"]);
    check_row(&some, &["node", "TypeScript", "20.0 or later", "18.19: too old"]);
    assert!(!some.stdout.contains("  python3: "), "{}", some.stdout);
}

#[test]
fn doctor_tells_which_programs_of_a_pipeline_could_run() {
    let folder = folder();
    fs::create_dir(folder.path("tools")).unwrap();
    let check = |options: &[&str], code: i32, rows: &[&[&str]]| {
        let ended = doctor(&folder, &[&["p/split.yaml"], options].concat());
        assert_eq!(ended.code(), Some(code), "{ended:#?}");
        rows.iter().for_each(|row| check_row(&ended, row));
    };
    check(
        &[],
        2,
        &[
            &["rules", "python", "yes", "there is no program `python3`"],
            &["rules", "go", "", "there is no program `./build`"],
        ],
    );
    // What the placement does not choose may be missing.
    check(&["--placement", "one"], 0, &[&["rules", "python", "", "there is no program `python3`"]]);

    program(
        &folder.path("tools/python3"),
        "#!/bin/sh\ncase $1 in -c) exit 1;; *) echo Python 3.11.2;; esac\n",
    );
    program(&folder.path("p/rules/build"), "#!/bin/sh\n");
    check(
        &[],
        2,
        &[
            &["rules", "python", "yes", "there is no file `rules.py`"],
            &["rules", "go", "", "ready to be built: ./build 'a b'"],
        ],
    );
    check(&["--placement", "go"], 0, &[&["rules", "go", "yes", "ready to be built: ./build 'a b'"]]);

    folder.write("p/rules/rules.py", "");
    let almost = "ready, but handlers of batches need `pyarrow` 21.0 or later";
    check(&[], 0, &[&["rules", "python", "yes", almost]]);
    program(
        &folder.path("tools/python3"),
        "#!/bin/sh\ncase $1 in -c) echo 21.0.0;; *) echo Python 3.11.2;; esac\n",
    );
    program(
        &folder.path("tools/python3"),
        "#!/bin/sh\ncase $2 in *modular*) exit 1;; *pyarrow*) echo 21.0.0;; *) echo Python 3.11.2;; esac\n",
    );
    check(&[], 0, &[&["rules", "python", "yes", "ready"]]);
    folder.write("p/rules/rules.py", "from modular_runtime import run\n");
    check(
        &[],
        2,
        &[&[
            "rules",
            "python",
            "yes",
            "`python3` does not find the package `modular_runtime`: pip install sdk/python",
        ]],
    );
    folder.write("p/rules/rules.py", "");
    fs::create_dir(folder.path("p/rules/bin")).unwrap();
    program(&folder.path("p/rules/bin/rules"), "#!/bin/sh\n");
    check(&[], 0, &[&["rules", "python", "yes", "ready"], &["rules", "go", "", "ready"]]);

    folder.write(
        "node.yaml",
        PIPELINE.replace("go: {run: [bin/rules], build: [./build, 'a b']", "ts: {run: [node, rules.js]"),
    );
    folder.write("p/rules/rules.js", "").write("p/rules/package.json", "{\"dependencies\": {}}");
    program(&folder.path("tools/node"), "#!/bin/sh\necho v20.1.0\n");
    let node = |state: &str| {
        let ended = doctor(&folder, &["node.yaml", "--set", "stages.rules.or.ts.cwd=p/rules"]);
        check_row(&ended, &["rules", "ts", "", state]);
    };
    node("`npm install` is to be run in `p/rules`");
    fs::create_dir(folder.path("p/rules/node_modules")).unwrap();
    node("ready");

    folder.write(
        "here.yaml",
        PIPELINE.split("    or:").next().unwrap().to_owned()
            + "  sink: {use: file, from: rules, with: {path: r}}\n",
    );
    let ended = doctor(&folder, &["here.yaml"]).succeeded();
    assert!(ended.stdout.contains("\nsplit has no stage with a program of its own\n"), "{}", ended.stdout);
    doctor(&folder, &["none.yaml"]).failed(2, &["cannot read the pipeline `none.yaml`"]);
}
