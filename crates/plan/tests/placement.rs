//! Stages that run as processes: which program, which columns, and what the command line may change.

mod kinds;

use std::num::{NonZeroU32, NonZeroUsize};
use std::path::Path;
use std::time::Duration;

use arrow_schema::SchemaRef;
use kinds::{kinds, plan_of, plan_with};
use modrun_core::{BatchPolicy, Columns, Concurrency, Role, Type, Window, raw_schema};
use modrun_plan::{Implementation, LoadOptions, Placement, Plan, PlannedStage, Program, Spec, passes_on};
use serde_json::json;

const PIPELINE: &str = "\
pipeline: events
stages:
  ingest: {use: file, with: {path: events.ndjson}, or: {typescript: {run: [node, dist/ingest.js]}}}
  parse: {use: json, from: ingest, with: {fields: {ts: timestamp, type: string, user: string, value: int64}}}
  rules:
    use: filter
    from: parse
    with: {where: value >= 10}
    or:
      python: {run: [python3, rules.py], cwd: rules, env: {A: b}, build: [pip, install], uses: [type, value]}
      go: {run: [bin/rules]}
  sink: {use: file, from: rules, with: {path: results.ndjson, columns: [user]}, or: {typescript: {run: [node, sink.js]}}}
";

/// The columns of a schema as `name type`, with `?` where they may be null.
fn columns(schema: Option<&SchemaRef>) -> Vec<String> {
    let column = |field: &std::sync::Arc<arrow_schema::Field>| {
        let optional = if field.is_nullable() { "?" } else { "" };
        format!(
            "{} {}{optional}",
            field.name(),
            Type::from_arrow(field.data_type()).expect("a link carries it")
        )
    };
    schema.map(|schema| schema.fields().iter().map(column).collect()).unwrap_or_default()
}

#[track_caller]
fn placed(placement: &str) -> Plan {
    plan_of(&format!("{PIPELINE}placement: {placement}\n"), &[]).expect("it is a good placement")
}

fn stage<'a>(plan: &'a Plan, name: &str) -> &'a PlannedStage {
    plan.stages.iter().find(|stage| stage.name == name).expect("there is such a stage")
}

#[test]
fn a_word_chooses_the_program() {
    let plan = placed("{ingest: typescript, parse: process, rules: python}");
    let programs: Vec<&Program> = plan.stages.iter().map(|stage| &stage.program).collect();
    let program = |name: &str, run: [&str; 2], with| Implementation {
        name: name.to_owned(),
        run: run.map(str::to_owned).to_vec(),
        build: None,
        folder: "folder".into(),
        env: Default::default(),
        with,
    };
    let rules = Implementation {
        build: Some(vec!["pip".to_owned(), "install".to_owned()]),
        folder: "folder/rules".into(),
        env: [("A".to_owned(), "b".to_owned())].into(),
        ..program("python", ["python3", "rules.py"], json!({"where": "value >= 10"}))
    };
    assert_eq!(
        programs,
        [
            &Program::Foreign(program(
                "typescript",
                ["node", "dist/ingest.js"],
                json!({"path": "events.ndjson"})
            )),
            &Program::BuiltIn,
            &Program::Foreign(rules),
            &Program::Here,
        ]
    );
    let words: Vec<&str> = plan.stages.iter().map(|stage| stage.placement.word()).collect();
    assert_eq!(words, ["typescript", "process", "python", "thread"]);
    let here = placed("{}").stages.iter().all(|stage| stage.program == Program::Here);
    assert!(here, "a stage that is left out runs as a thread");
}

#[test]
fn a_folder_is_never_empty() {
    for (base, cwd, folder) in
        [("", "", "."), ("", "rules", "rules"), ("a/b", "", "a/b"), ("a", "/opt/rules", "/opt/rules")]
    {
        let cwd = if cwd.is_empty() { String::new() } else { format!(", cwd: {cwd}") };
        let text = format!(
            "pipeline: x\nstages:\n  a: {{or: {{go: {{run: [a]{cwd}}}}}, out: raw}}\n  b: {{from: a, or: {{go: {{run: [b]}}}}}}\n"
        );
        let options = LoadOptions { folder: base.into(), ..LoadOptions::default() };
        let plan = plan_with(&text, &options).unwrap();
        let Program::Foreign(implementation) = &plan.stages[0].program else {
            panic!("{:?}", plan.stages[0])
        };
        assert_eq!(implementation.folder, Path::new(folder));
    }
}

#[test]
fn a_program_in_another_folder_gets_full_paths_of_data() {
    for (folder, cwd, path, given) in [
        ("p", "", "\"a/b\"", json!("/data/a/b")),
        ("", "p", "[a, /b, '*.c']", json!(["/data/a", "/b", "/data/*.c"])),
        ("p", "", "'-'", json!("-")),
        ("", "", "a", json!("a")),
        ("/data", "", "a", json!("a")),
        ("/data", "p", "a", json!("/data/a")),
    ] {
        let cwd = if cwd.is_empty() { String::new() } else { format!(", cwd: {cwd}") };
        let text = PIPELINE.replace("path: events.ndjson", &format!("path: {path}"));
        let text = text.replace("run: [node, dist/ingest.js]", &format!("run: [a]{cwd}"));
        let options = LoadOptions {
            folder: folder.into(),
            directory: "/data".into(),
            place: vec!["ingest=typescript".to_owned(), "rules=go".to_owned()],
            ..LoadOptions::default()
        };
        let plan = plan_with(&text, &options).unwrap();
        let with = |stage: &PlannedStage| match &stage.program {
            Program::Foreign(implementation) => implementation.with.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(with(&plan.stages[0])["path"], given, "{folder} {cwd} {path}");
        assert_eq!(with(&plan.stages[2]), json!({"where": "value >= 10"}));
    }
}

#[test]
fn an_implementation_is_sent_what_it_and_later_stages_use() {
    for (placement, sent, handed_on) in [
        // The built-in filter drops what it alone uses.
        ("{}", "user value", "user"),
        ("{rules: process}", "user value", "user"),
        // An implementation hands on what it gets: its own columns, or those of the kind, and `user` for the sink.
        ("{rules: python}", "type user value", "type user value"),
        ("{rules: go}", "user value", "user value"),
        // One of a kind that makes columns makes all of them.
        ("{parse: process, sink: typescript}", "user value", "user"),
    ] {
        let plan = placed(placement);
        let names = |schema: Option<&SchemaRef>| {
            schema.unwrap().fields().iter().map(|f| f.name().as_str()).collect::<Vec<_>>().join(" ")
        };
        let rules = stage(&plan, "rules");
        assert_eq!(names(rules.input.as_ref()), sent, "{placement}");
        assert_eq!(names(rules.bound.output.as_ref()), handed_on, "{placement}");
        for pair in plan.stages.windows(2) {
            assert_eq!(pair[1].input, pair[0].bound.output, "{placement}");
        }
    }
}

#[test]
fn an_implementation_of_a_kind_hands_on_all_its_columns_whatever_is_used() {
    let text = PIPELINE.replace("int64}}}", "int64}}, or: {go: {run: [parse]}}}");
    let plan = plan_of(&format!("{text}placement: {{parse: go}}\n"), &[]).unwrap();
    let all = ["ts timestamp", "type string", "user string", "value int64"];
    assert_eq!(columns(stage(&plan, "parse").bound.output.as_ref()), all);
    assert_eq!(columns(stage(&plan, "rules").bound.output.as_ref()), ["user string"]);
    let parse = &stage(&plan, "parse").bound;
    assert_eq!((parse.open.role(), parse.concurrency), (Role::Transform, Concurrency::Stateless));
}

const ALONE: &str = "\
pipeline: alone
stages:
  read: {out: {id: int64, name: 'string?', at: timestamp}, or: {python: {run: [read]}}}
  enrich: {from: read, with: {any: [1, {thing: true}]}, or: {go: {run: [enrich]}}}
  score: {from: enrich, or: {python: {run: [score], uses: [name]}, go: {run: [score]}}, out: {score: float64}}
  write: {from: score, or: {cpp: {run: [write]}}}
placement: {score: python}
";

#[test]
fn a_stage_of_implementations_alone_is_what_its_place_makes_it() {
    let plan = plan_of(ALONE, &[]).unwrap();
    let found: Vec<_> = plan
        .stages
        .iter()
        .map(|s| (s.placement.word(), s.bound.open.role(), columns(s.bound.output.as_ref())))
        .collect();
    let given = ["id int64", "name string?", "at timestamp"].map(str::to_owned).to_vec();
    assert_eq!(
        found,
        [
            ("python", Role::Source, given.clone()),
            ("go", Role::Transform, given),
            ("python", Role::Transform, vec!["score float64".to_owned()]),
            ("cpp", Role::Sink, vec![]),
        ]
    );
    assert!(plan.stages.iter().all(|s| s.kind.is_none() && s.bound.concurrency == Concurrency::Ordered));
    assert_eq!(stage(&plan, "enrich").with, json!({"any": [1, {"thing": true}]}));
    assert_eq!(stage(&plan, "enrich").bound.uses, Columns::All);
    assert_eq!(stage(&plan, "score").bound.uses, Columns::from_iter(["name"]));
    let raw = plan_of(
        &ALONE
            .replace("{id: int64, name: 'string?', at: timestamp}", "raw")
            .replace("uses: [name]", "uses: [text]"),
        &[],
    )
    .unwrap();
    assert_eq!(raw.stages[0].bound.output, Some(raw_schema()));
}

#[test]
fn a_stage_alone_that_hands_on_its_input_gets_what_is_wanted_behind_it() {
    let text = "\
pipeline: x
stages:
  ingest: {use: file, with: {path: a}}
  parse: {use: json, from: ingest, with: {fields: {a: string, b: string, c: string, d: string}}}
  check: {from: parse, or: {python: {run: [check], uses: [b]}}}
  sink: {use: file, from: check, with: {path: r, columns: [d]}}
";
    let plan = plan_of(text, &[]).unwrap();
    assert_eq!(columns(stage(&plan, "check").input.as_ref()), ["b string", "d string"]);
    assert_eq!(columns(stage(&plan, "check").bound.output.as_ref()), ["b string", "d string"]);
}

#[test]
fn batches_parallelism_and_limits_are_read() {
    let rows = |rows, linger| BatchPolicy::Rows { rows: NonZeroU32::new(rows).unwrap(), linger };
    let text =
        PIPELINE.replace("from: ingest,", "from: ingest, batch: {rows: 5, linger: 10ms}, parallelism: 3,");
    let policies = |batch: &str| {
        let plan = plan_of(&format!("{text}{batch}"), &[]).unwrap();
        plan.stages.iter().map(|stage| stage.batch).collect::<Vec<_>>()
    };
    let own = rows(5, Some(Duration::from_millis(10)));
    let adaptive = BatchPolicy::Adaptive;
    assert_eq!(policies(""), [adaptive, own, adaptive, adaptive]);
    assert_eq!(policies("batch: adaptive\n"), [adaptive, own, adaptive, adaptive]);
    let all = rows(100, None);
    assert_eq!(policies("batch: {rows: 100}\n"), [all, own, all, all]);

    let limits = "limits: {line: 1MiB, segment: 2MiB, window: {batches: 4, bytes: 1MiB}, start: 5s}\n";
    let plan = plan_of(&format!("{text}{limits}"), &[]).unwrap();
    assert_eq!(stage(&plan, "parse").parallelism, NonZeroUsize::new(3));
    assert_eq!((stage(&plan, "rules").parallelism, plan.parallelism), (None, None));
    assert_eq!((plan.limits.segment, plan.limits.start), (2 << 20, Duration::from_secs(5)));
    assert_eq!(plan.limits.window, Window { batches: 4, bytes: 1 << 20 });
    let plan = plan_of(&format!("{text}limits: {{window: {{batches: 1}}}}\n"), &[]).unwrap();
    assert_eq!(plan.limits.window, Window { batches: 1, bytes: 8 << 20 });
}

#[test]
fn a_spec_with_everything_is_the_same_in_code_and_in_a_file() {
    let text = PIPELINE
        .replace("from: ingest,", "from: ingest, batch: {rows: 5, linger: 10ms}, parallelism: 3,")
        + "placement: {rules: python}\nbatch: adaptive\nlimits: {segment: 32MiB, window: {batches: 2}, start: 1min}\n";
    let read = plan_of(&text, &[]).unwrap();
    let spec = json!({
        "pipeline": "events",
        "stages": {
            "ingest": {"use": "file", "with": {"path": "events.ndjson"}, "or": {"typescript": {"run": ["node", "dist/ingest.js"]}}},
            "parse": {"use": "json", "from": "ingest", "with": {"fields": {"ts": "timestamp", "type": "string", "user": "string", "value": "int64"}}, "batch": {"rows": 5, "linger": "10ms"}, "parallelism": 3},
            "rules": {"use": "filter", "from": "parse", "with": {"where": "value >= 10"}, "or": {
                "python": {"run": ["python3", "rules.py"], "cwd": "rules", "env": {"A": "b"}, "build": ["pip", "install"], "uses": ["type", "value"]},
                "go": {"run": ["bin/rules"]},
            }},
            "sink": {"use": "file", "from": "rules", "with": {"path": "results.ndjson", "columns": ["user"]}, "or": {"typescript": {"run": ["node", "sink.js"]}}},
        },
        "placement": {"rules": "python"},
        "batch": "adaptive",
        "limits": {"segment": "32MiB", "window": {"batches": 2}, "start": "1min"},
    });
    let made: Spec = serde_json::from_value(spec.clone()).unwrap();
    assert_eq!(serde_json::to_value(&made).unwrap(), spec);
    let made = Plan::from_spec(&made, &kinds()).unwrap();
    // A pipeline in code has no folder of its own.
    let read = format!("{read:?}").replace("\"folder/rules\"", "\"rules\"").replace("\"folder\"", "\".\"");
    assert_eq!(format!("{made:?}"), read);
}

/// The words of the stages of `PIPELINE` with `typescript` for the source, and what the command line lays over them.
fn words(placement: Option<&str>, place: &[&str], overrides: &[&str]) -> Vec<String> {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let options = LoadOptions {
        placement: placement.map(|text| ("placements/p.yaml".to_owned(), text.to_owned())),
        place: owned(place),
        overrides: owned(overrides),
        ..LoadOptions::default()
    };
    let plan =
        plan_with(&format!("{PIPELINE}placement: {{ingest: typescript}}\n"), &options).expect("it is good");
    plan.stages.iter().map(|stage| stage.placement.word().to_owned()).collect()
}

#[test]
fn the_command_line_changes_the_placement() {
    for (file, place, overrides, expected) in [
        (None, &[][..], &[][..], ["typescript", "thread", "thread", "thread"]),
        (None, &["rules=go", "rules=python"], &[], ["typescript", "thread", "python", "thread"]),
        // A file takes the place of the whole section.
        (Some("{parse: process}"), &[], &[], ["thread", "process", "thread", "thread"]),
        (Some("# nothing\n{}"), &[], &[], ["thread", "thread", "thread", "thread"]),
        (
            Some("placement: {parse: process}\nparallelism: 4\n"),
            &[],
            &[],
            ["thread", "process", "thread", "thread"],
        ),
        (
            Some("{parse: process, rules: go}"),
            &["rules=python"],
            &[],
            ["thread", "process", "python", "thread"],
        ),
        (
            Some("{rules: go}"),
            &["rules=python"],
            &["placement.rules=process"],
            ["thread", "thread", "process", "thread"],
        ),
    ] {
        assert_eq!(words(file, place, overrides), expected, "{file:?} {place:?} {overrides:?}");
    }
    let options = LoadOptions {
        placement: Some(("p".to_owned(), "{placement: {}, batch: {rows: 7}, parallelism: 4}".to_owned())),
        ..LoadOptions::default()
    };
    let plan = plan_with(&format!("{PIPELINE}batch: adaptive\nparallelism: 2\n"), &options).unwrap();
    let seven = BatchPolicy::Rows { rows: NonZeroU32::new(7).unwrap(), linger: None };
    assert_eq!((plan.parallelism, plan.stages[0].batch), (NonZeroUsize::new(4), seven));
}

#[test]
fn few_variables_are_passed_on() {
    for (name, passed) in [
        ("PATH", true),
        ("LC_ALL", true),
        ("LC_", true),
        ("VIRTUAL_ENV", true),
        ("PATHS", false),
        ("AWS_SECRET_ACCESS_KEY", false),
        ("LC", false),
        ("MODRUN_STAGE", false),
        ("", false),
    ] {
        assert_eq!(passes_on(name), passed, "{name}");
    }
}

#[test]
fn placements_are_words() {
    for word in ["thread", "process", "python"] {
        assert_eq!(Placement::from(word).word(), word);
    }
}
