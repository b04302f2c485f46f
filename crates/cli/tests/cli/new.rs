//! `modrun new stage`: what it writes, and that it runs.

use std::fs;
use std::path::Path;
use std::process::Command;

use crate::support::Folder;

const SDK: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");

/// The languages, each with the file that says what happens to an event, and its program.
const LANGUAGES: [(&str, &str, &str); 5] = [
    ("python", "stage.py", "python3 stage.py"),
    ("typescript", "src/stage.ts", "node dist/main.js"),
    ("go", "stage.go", "bin/stage"),
    ("cpp", "stage.hpp", "build/stage"),
    ("rust", "src/stage.rs", "target/release/stage"),
];

/// Every file below a folder.
fn files(folder: &Path) -> Vec<std::path::PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

#[test]
fn a_stage_is_written_in_each_language() {
    let folder = Folder::new();
    for (language, file, program) in LANGUAGES {
        let (name, sdk) = (format!("my-{language}_1"), fs::canonicalize(SDK).unwrap().join(language));
        let shown =
            folder.run(&["new", "stage", &name, "--language", language, "--sdk", SDK]).succeeded().stdout;
        assert!(shown.contains(&format!("\n  cd {name}\n")), "{shown}");
        assert!(shown.contains("\n  modrun run pipeline.yaml --verify expected.ndjson\n"), "{shown}");
        let (_, next) = shown.split_once("\n  cd ").unwrap();
        let readme = folder.read(&format!("{name}/README.md"));
        for command in next.lines().skip(1) {
            assert!(readme.contains(&format!("\n{}\n", command.trim())), "{command}\n{readme}");
        }
        for path in files(&folder.path(&name)) {
            let text = fs::read_to_string(&path).unwrap();
            let is_open = text.split("{{").skip(1).any(|rest| rest.starts_with(|c: char| c.is_alphabetic()));
            assert!(!is_open, "{}:\n{text}", path.display());
        }
        for file in [file, "README.md", "events.ndjson", ".gitignore"] {
            assert!(folder.has(&format!("{name}/{file}")), "{language} has no {file}");
        }
        let named = files(&folder.path(&name))
            .iter()
            .any(|path| fs::read_to_string(path).unwrap().contains(sdk.to_str().unwrap()));
        assert!(named, "{language} does not name its SDK");
        let checked = folder.run(&["check", &format!("{name}/pipeline.yaml")]).succeeded().stdout;
        assert!(checked.contains(&format!("{program}, in {name}")), "{checked}");
    }
}

#[test]
fn a_stage_in_python_runs_and_passes_its_test_at_once() {
    let folder = Folder::new();
    folder.run(&["new", "stage", "levels", "--language", "python", "--path", "a b/c"]).succeeded();
    let there = folder.path("a b/c");
    let mut run = folder.command(&["run", "pipeline.yaml", "--verify", "expected.ndjson"]);
    run.current_dir(&there);
    crate::support::Running::start(run).end().succeeded();
    let mut test = Command::new("python3");
    test.args(["-m", "unittest"]).env("PYTHONPATH", Path::new(SDK).join("python")).current_dir(&there);
    let tested = crate::support::Running::start(test).end().succeeded();
    assert!(tested.stderr.contains("Ran 1 test"), "{}", tested.stderr);
}

#[test]
fn nothing_is_overwritten_and_names_are_checked() {
    let folder = Folder::new();
    let new = |options: &[&str]| folder.run(&[&["new", "stage"], options, &["--language", "go"]].concat());
    new(&["one"]).succeeded();
    let text = folder.read("one/stage.go");
    new(&["one"]).failed(
        1,
        &["error[E102]: cannot make the stage in `one`", "the folder is not empty", "--path FOLDER"],
    );
    folder.write("file", "");
    new(&["two", "--path", "file"]).failed(1, &["cannot make the stage in `file`"]);
    assert_eq!(folder.read("one/stage.go"), text);
    for name in ["One", "1st", "a b", "ä", "", "a/b", "..", "sink", "parse", &"a".repeat(61)] {
        new(&[name]).failed(2, &[&format!("`{name}` cannot be the name of the stage")]);
    }
    new(&["two", "--sdk", "nowhere"]).failed(2, &["there is no SDK in `nowhere/go`", "No such file"]);
    folder
        .run(&["new", "stage", "two", "--language", "cobol"])
        .failed(2, &["python, typescript, go, cpp, rust"]);
    assert!(!folder.has("two"));
}
