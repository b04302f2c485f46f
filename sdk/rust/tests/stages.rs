//! Stages made of functions, run in pipelines from YAML and from code.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;

use modular_runtime::{Kind, LoadOptions, Options, Outcome, Plan, Result, Spec, builtin, load, run, stage};
use serde_json::{Value, json};
use tempfile::TempDir;

const EVENTS: &str = r#"{"type":"click","value":5}
{"type":"view","value":50}
{"type":"click","value":null}
{"type":"purchase","value":50}
"#;

struct Pipeline {
    folder: TempDir,
    kinds: Vec<Arc<dyn Kind>>,
}

impl Pipeline {
    /// The built-in stages and `kind`, and a folder with `events`.
    fn new(kind: Arc<dyn Kind>, events: &str) -> Self {
        let folder = TempDir::new().unwrap();
        fs::write(folder.path().join("events.ndjson"), events).unwrap();
        let mut kinds = builtin();
        kinds.push(kind);
        Self { folder, kinds }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn spec(&self, word: &str) -> Spec {
        Spec::new("test")
            .stage("ingest", "file", json!({"path": self.path("events.ndjson"), "block": "40B"}))
            .stage("parse", "json", json!({"fields": {"type": "string", "value": "int64?"}}))
            .stage("own", word, json!({}))
            .stage("sink", "file", json!({"path": self.path("results.ndjson")}))
    }

    fn run(&self, word: &str) -> Result<Outcome> {
        run(Plan::from_spec(&self.spec(word), &self.kinds).unwrap(), Options::default())
    }

    fn results(&self) -> String {
        fs::read_to_string(self.path("results.ndjson")).unwrap()
    }
}

#[test]
fn a_function_filters_and_an_error_costs_its_event_alone() {
    let large = stage::filter("large", &["value"], |event| Ok(event.int64("value")? >= 10));
    let pipeline = Pipeline::new(large, EVENTS);
    let outcome = pipeline.run("large").unwrap();
    assert_eq!(
        pipeline.results(),
        "{\"type\":\"view\",\"value\":50}\n{\"type\":\"purchase\",\"value\":50}\n"
    );
    let events = outcome.report.events;
    assert_eq!((events.r#in, events.filtered, events.dead_letters, events.results), (4, 1, 1, 2));
    let letters = fs::read_to_string(outcome.dead_letters.unwrap()).unwrap();
    let letter: Value = serde_json::from_str(&letters).unwrap();
    assert_eq!(
        letter,
        json!({
            "stage": "own", "reason": "function", "cause": "column `value` is null",
            "event": {"type": "click", "value": null},
        })
    );
}

#[test]
fn a_stage_of_a_function_stands_in_a_pipeline_file() {
    let text = "pipeline: p\n\
        stages:\n\
        \x20 ingest: {use: file, with: {path: events.ndjson}}\n\
        \x20 parse: {use: json, from: ingest, with: {fields: {type: string, value: int64}}}\n\
        \x20 rules: {use: no-views, from: parse}\n\
        \x20 sink: {use: file, from: rules, with: {path: results.ndjson}}\n";
    let rule = |column: &'static str| {
        stage::filter("no-views", &[column], move |event| Ok(event.str(column)? != "view"))
    };
    let kinds = |rule: Arc<dyn Kind>| builtin().into_iter().chain([rule]).collect::<Vec<_>>();
    let plan = load("p.yaml", text, &LoadOptions::default(), &kinds(rule("type"))).unwrap();
    assert_eq!(plan.stages[2].kind.as_deref(), Some("no-views"));

    let problems = load("p.yaml", text, &LoadOptions::default(), &kinds(rule("typ"))).unwrap_err();
    let problem = problems.iter().next().unwrap();
    assert_eq!((problem.code.0, problem.line), ("E009", Some(5)));
    assert_eq!(problem.hint.as_deref(), Some("did you mean `type`?"));
    let configured = text.replace("use: no-views,", "use: no-views, with: {limit: 1},");
    let problems = load("p.yaml", &configured, &LoadOptions::default(), &kinds(rule("type"))).unwrap_err();
    assert_eq!(problems.iter().next().unwrap().code.0, "E002");
}

#[test]
fn a_function_changes_batches() {
    let first = stage::map_batch("first", |batch| Ok(batch.slice(0, 1)));
    let pipeline = Pipeline::new(first, EVENTS);
    assert_eq!(pipeline.run("first").unwrap().report.events.results, 4, "a block of 40 bytes holds one line");

    let narrow = stage::map_batch("narrow", |batch| Ok(batch.project(&[0])?));
    let error = Pipeline::new(narrow, EVENTS).run("narrow").unwrap_err();
    assert_eq!(error.to_string(), "stage `own` failed");
    let failing = stage::map_batch("failing", |_| Err("no luck".into()));
    let error = Pipeline::new(failing, EVENTS).run("failing").unwrap_err();
    assert_eq!(error.code().unwrap().0, "E106");
}

#[test]
fn a_function_that_panics_costs_its_event_alone() {
    let faulty =
        stage::filter("faulty", &["value"], |event| Ok(event.int64("value").expect("there is tea") >= 0));
    let report = Pipeline::new(faulty, EVENTS).run("faulty").unwrap().report;
    assert_eq!((report.events.results, report.events.dead_letters), (3, 1));
}

#[test]
fn the_example_tells_sessions() {
    let pipeline = Pipeline::new(
        stage::map_batch("unused", Ok),
        r#"{"ts":"2026-01-01T00:00:00Z","type":"click","user":"a"}
{"ts":"2026-01-01T00:00:01Z","type":"view","user":"b"}
{"ts":"2026-01-01T00:20:00Z","type":"click","user":"a"}
{"ts":"2026-01-01T00:50:00Z","type":"click","user":"a"}
{"ts":"2026-01-01T01:20:00.000001Z","type":"click","user":"a"}
"#,
    );
    // Examples are built beside the folder of this test's own program.
    let program = std::env::current_exe().unwrap().with_file_name("../examples/sessions");
    let ran = Command::new(program)
        .args([pipeline.path("events.ndjson"), pipeline.path("results.ndjson")])
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&ran.stdout), "5 events in, 2 sessions\n", "{ran:?}");
    let begins: Vec<Value> =
        pipeline.results().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(begins[1]["ts"], "2026-01-01T01:20:00.000001Z");
}
