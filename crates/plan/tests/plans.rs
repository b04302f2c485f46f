//! What a checked plan holds.

mod kinds;

use std::num::NonZeroUsize;

use arrow_schema::SchemaRef;
use kinds::{kinds, plan_of};
use modrun_core::{Role, Size};
use modrun_plan::{DeadLetterLimit, Limits, LimitsSpec, Placement, Plan, Spec, json_schema};
use serde_json::json;

const PIPELINE: &str = "\
pipeline: events
stages:
  sink: {use: file, from: rules, with: {path: results.ndjson, columns: [user]}}
  ingest: {use: file, with: {path: events.ndjson}}
  rules: {use: filter, from: parse, with: {where: value >= 10}}
  parse: {use: json, from: ingest, with: {fields: {ts: timestamp, user: string, type: string, value: int64}}}
placement: {parse: thread}
";

fn columns(schema: Option<&SchemaRef>) -> Vec<&str> {
    schema.map(|s| s.fields().iter().map(|f| f.name().as_str()).collect()).unwrap_or_default()
}

#[test]
fn stages_are_in_the_order_of_the_data_and_give_only_what_is_used() {
    let plan = plan_of(PIPELINE, &[]).unwrap();
    let stages: Vec<(&str, Vec<&str>)> =
        plan.stages.iter().map(|s| (s.name.as_str(), columns(s.bound.output.as_ref()))).collect();
    assert_eq!(
        stages,
        [
            ("ingest", vec!["source", "offset", "line", "text"]),
            ("parse", vec!["user", "value"]),
            ("rules", vec!["user"]),
            ("sink", vec![]),
        ]
    );
    for pair in plan.stages.windows(2) {
        assert_eq!(pair[1].input, pair[0].bound.output);
    }
    assert_eq!(plan.stages[0].input, None);
    assert_eq!(plan.stages[0].bound.open.role(), Role::Source);
    assert_eq!(plan.stages[3].bound.open.role(), Role::Sink);
    assert_eq!(plan.stages[2].with, json!({"where": "value >= 10"}));
    assert!(plan.stages.iter().all(|stage| stage.placement == Placement::Thread));
    assert_eq!((plan.parallelism, plan.limits), (None, Limits::default()));
}

#[test]
fn limits_and_parallelism_are_read() {
    let text = format!("{PIPELINE}parallelism: 2\nlimits: {{line: 64KiB, dead_letters: 1%}}\n");
    let plan = plan_of(&text, &[]).unwrap();
    assert_eq!(plan.parallelism, NonZeroUsize::new(2));
    assert_eq!(plan.limits.stage.line_bytes, 64 << 10);
    assert_eq!(plan.limits.dead_letters, Some(DeadLetterLimit::Ratio(0.01)));
}

#[test]
fn overrides_take_the_place_of_what_the_file_says() {
    for (overrides, path) in [
        (&["stages.ingest.with.path=-"][..], json!("-")),
        (&["stages.ingest.with.path=*.ndjson"], json!("*.ndjson")),
        (&["stages.ingest.with.path=a: b # c = d"], json!("a: b # c = d")),
        (&["stages.ingest.with.path=[a, 'b c']"], json!(["a", "b c"])),
        (&["stages.ingest.with.path=\"7\""], json!("7")),
        (&["stages.\"ingest\".'with'.path=a.b"], json!("a.b")),
        (&["stages.ingest.with.path=a", "stages.ingest.with.path=b"], json!("b")),
    ] {
        let plan = plan_of(PIPELINE, overrides).unwrap();
        assert_eq!(plan.stages[0].with, json!({"path": path}), "{overrides:?}");
    }
    let plan = plan_of(PIPELINE, &["parallelism=3", "limits.dead_letters=5", "limits.line=1KiB"]).unwrap();
    assert_eq!(plan.parallelism, NonZeroUsize::new(3));
    assert_eq!(plan.limits.dead_letters, Some(DeadLetterLimit::Count(5)));
    assert_eq!(plan.limits.stage.line_bytes, 1024);
}

#[test]
fn a_pipeline_made_in_code_is_the_same_as_one_from_a_file() {
    let spec = Spec::new("events")
        .stage("ingest", "file", json!({"path": "events.ndjson"}))
        .stage("parse", "json", json!({"fields": {"user": "string", "value": "int64"}}))
        .stage("sink", "file", json!({"path": "results.ndjson"}))
        .parallelism(NonZeroUsize::MIN)
        .limits(LimitsSpec {
            line: Some(Size(4096)),
            dead_letters: Some(DeadLetterLimit::Count(1)),
            ..LimitsSpec::default()
        });
    let made = Plan::from_spec(&spec, &kinds()).unwrap();

    // JSON is YAML.
    let text = serde_json::to_string(&spec).unwrap();
    let read = plan_of(&text, &[]).unwrap();
    assert_eq!(serde_json::from_str::<Spec>(&text).unwrap(), spec);
    assert_eq!(format!("{made:?}"), format!("{read:?}"));
}

#[test]
fn a_byte_order_mark_and_crlf_make_no_difference() {
    let text = format!("\u{feff}{}", PIPELINE.replace('\n', "\r\n"));
    assert_eq!(
        format!("{:?}", plan_of(&text, &[]).unwrap()),
        format!("{:?}", plan_of(PIPELINE, &[]).unwrap())
    );
}

#[test]
fn the_json_schema_knows_every_kind_at_its_place() {
    let schema = json_schema(&kinds());
    let stage = &schema["$defs"]["Stage"];
    let words: Vec<_> =
        stage["properties"]["use"]["oneOf"].as_array().unwrap().iter().map(|w| &w["const"]).collect();
    assert_eq!(words, ["file", "gen", "json", "filter", "broken"]);
    let rule = |word: &str, reads: bool| {
        let rules = stage["allOf"].as_array().unwrap().iter();
        let mut fitting = rules.filter(|rule| {
            rule["if"]["properties"]["use"]["const"] == word && rule["if"].get("not").is_none() == reads
        });
        fitting.next().unwrap()["then"].clone()
    };
    assert_eq!(
        rule("file", false),
        json!({"properties": {"with": {"$ref": "#/$defs/source.file"}}, "required": ["with"]})
    );
    assert_eq!(
        rule("file", true),
        json!({"properties": {"with": {"$ref": "#/$defs/sink.file"}}, "required": ["with"]})
    );
    assert_eq!(rule("gen", false), json!({"properties": {"with": {"$ref": "#/$defs/source.gen"}}}));
    assert_eq!(rule("json", false), json!(false));
    check_references(&schema, &schema);
}

/// Every reference leads to a definition.
fn check_references(schema: &serde_json::Value, root: &serde_json::Value) {
    if let Some(reference) = schema.get("$ref").and_then(|r| r.as_str()) {
        assert!(root.pointer(&reference[1..]).is_some(), "{reference}");
    }
    schema.as_object().into_iter().flat_map(|o| o.values()).for_each(|value| check_references(value, root));
    schema.as_array().into_iter().flatten().for_each(|value| check_references(value, root));
}
