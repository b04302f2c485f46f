//! What a person sees of a pipeline with problems.

mod kinds;

use kinds::{kinds, listed, plan_of, problems_of};
use modrun_plan::{Plan, Spec};
use serde_json::json;

const GOOD: &str = "\
pipeline: events
stages:
  ingest: {use: file, with: {path: events.ndjson}}
  parse: {use: json, from: ingest, with: {fields: {type: string, value: int64}}}
  sink: {use: file, from: parse, with: {path: results.ndjson}}
";

/// Each problem as `code line:column message [hint]`.
fn check(text: &str, overrides: &[&str], expected: &[&str]) {
    let problems = plan_of(text, overrides).expect_err("the pipeline has a problem");
    let found = listed(&problems);
    assert_eq!(found, expected, "\n{problems}");
}

fn check_changed(from: &str, to: &str, expected: &[&str]) {
    assert!(GOOD.contains(from), "{from}");
    check(&GOOD.replacen(from, to, 1), &[], expected);
}

#[test]
fn all_problems_are_reported_at_once_and_each_once() {
    let text = "\
pipeline: [events]
stage: {}
stages:
  ingest: {use: file, with: {paht: events.ndjson, block: 1 MB}}
  parse: {use: json, from: ingest, with: {fields: {type: strnig, value: int64}}}
  rules: {use: filter, from: parse, with: {where: 7, invert: no}}
  score: {use: scroe, from: rules}
  sink: {use: file, from: scores, with: {path: results.ndjson}}
placement: {parse: proces, snik: thread}
parallelism: 0
limits: {line: 16MB, dead_letters: 1.5}
";
    check(
        text,
        &[],
        &[
            "E004 1:1 `pipeline` must be a text, not a list",
            "E002 2:1 unknown key `stage` [did you mean `stages`?]",
            "E003 4:23 missing key `path` [`path`: the file, or a list of files]",
            "E002 4:30 unknown key `paht` [did you mean `path`?]",
            "E004 4:58 `block`: `1 MB` is no size: write `16MiB`, `64KiB`, `2GiB` or a number of bytes",
            "E004 5:58 `type` must be one of `timestamp`, `string`, `int64`, `float64`, `bool`, not `strnig` \
             [did you mean `string`?]",
            "E004 6:51 `where` must be a text, not the number 7 [put it in quotes: \"7\"]",
            "E004 6:62 `invert` must be `true` or `false`, not `no`",
            "E005 7:16 there is no kind of stage `scroe` [known here: file, json, filter, broken]",
            "E006 8:27 there is no stage `scores` [did you mean `score`?]",
            "E012 9:20 stage `parse` has no implementation `proces` [did you mean `process`?]",
            "E006 9:28 there is no stage `snik` [did you mean `sink`?]",
            "E004 10:14 `parallelism` must be at least 1, not 0",
            "E004 11:16 `line`: `16MB` is no size: write `16MiB`, `64KiB`, `2GiB` or a number of bytes",
            "E004 11:36 `dead_letters` must be a whole number or a text such as `1%`, not the number \
             1.5",
        ],
    );
}

#[test]
fn a_failed_stage_brings_no_problems_to_those_behind_it() {
    let text = "\
pipeline: events
stages:
  ingest: {use: file, with: {path: events.ndjson}}
  parse: {use: json, from: ingest}
  rules: {use: filter, from: parse, with: {where: missing > 1}}
  more: {use: filter, from: rules, with: {where: other > 1, inver: true}}
  sink: {use: file, from: more, with: {path: results.ndjson}}
";
    check(
        text,
        &[],
        &[
            "E003 4:3 missing key `fields` [`fields`: the fields by name, with their type]",
            "E002 6:61 unknown key `inver` [did you mean `invert`?]",
        ],
    );
}

#[test]
fn a_stage_whose_use_or_from_cannot_be_made_out_is_reported_once() {
    let missing =
        "E003 4:3 missing key `use` [`use`: the kind of stage; or give it a program of its own with `or`]";
    check_changed(
        "use: json",
        "u se: json",
        &[missing, "E002 4:11 unknown key `u se` [did you mean `use`?]"],
    );
    check_changed("use: json, ", "", &[missing]);
    check_changed("from: ingest", "from: [ingest]", &["E004 4:22 `from` must be a text, not a list"]);
    check_changed(
        "{use: json",
        "[]\n  other: {use: json",
        &["E004 4:3 `parse` must be a mapping, not a list"],
    );
}

#[test]
fn the_chain_is_checked() {
    check_changed(
        "from: ingest, ",
        "",
        &["E003 4:3 missing key `from`: `json` reads from a stage [add `from: ingest`]"],
    );
    check_changed("from: parse", "from: sink", &["E007 5:27 stage `sink` reads from itself"]);
    check_changed(
        "use: file, with",
        "use: gen, from: parse, with: {}, with",
        &[
            "E007 3:28 stages feed each other in a circle: ingest -> parse -> ingest [one of them must read from a source]",
            "E008 3:28 `gen` is a source: it reads from no stage [remove `from`]",
            "E002 3:45 key `with` is there twice [remove one of the two]",
        ],
    );
    check_changed(
        "from: ingest",
        "from: sink",
        &[
            "E007 4:28 stages feed each other in a circle: parse -> sink -> parse [one of them must read from a source]",
        ],
    );
    check_changed(
        "  sink:",
        "  dump: {use: file, from: parse, with: {path: all.ndjson}}\n  more: {use: json, from: dump, with: {fields: {}}}\n  sink:",
        &[
            "E008 6:3 no stage reads from `more`, and it is not a sink [let a stage read from it; the last one is a sink]",
            "E008 6:27 stage `dump` is a sink: no stage can read from `file`",
            "E008 7:27 stage `parse` is read by `dump` already [the stages form one chain: several readers of a \
             stage are not supported yet]",
        ],
    );
    check_changed(
        "  sink: {use: file, from: parse, with: {path: results.ndjson}}\n",
        "",
        &[
            "E008 4:3 no stage reads from `parse`, and it is not a sink [let a stage read from it; the last one is a sink]",
        ],
    );
    check_changed(
        "  parse:",
        "  other: {use: gen}\n  parse:",
        &[
            "E008 4:3 stage `other` is a second source beside `ingest` [the stages form one chain: several sources \
         are not supported yet]",
        ],
    );
    check("pipeline: x\nstages: {}\n", &[], &["E004 2:1 `stages` must not be empty"]);
}

#[test]
fn a_problem_in_an_expression_is_found_in_every_notation() {
    let pipeline = |rule: &str| {
        format!(
            "\
pipeline: events
stages:
  ingest: {{use: file, with: {{path: events.ndjson}}}}
  parse: {{use: json, from: ingest, with: {{fields: {{type: string, value: int64}}}}}}
  rules:
    use: filter
    from: parse
    with:
      where: {rule}
  sink: {{use: file, from: rules, with: {{path: results.ndjson}}}}
"
        )
    };
    for (rule, at) in [
        ("type != 'é' and valeu > 1", "9:30"),
        ("\"type != '\\u00e9' and valeu > 1\"", "9:36"),
        ("'type != ''é'' and valeu > 1'", "9:33"),
        ("|\n        type != 'é'\n        and valeu > 1", "11:13"),
        (">-\n        type != 'é'\n        and valeu > 1", "11:13"),
        ("type != 'é'\n        and valeu > 1", "10:13"),
        ("\"type != 'é'\n        and valeu > 1\"", "9:14"),
    ] {
        let expected = format!("E009 {at} there is no column `valeu` here [did you mean `value`?]");
        check(&pipeline(rule), &[], &[&expected]);
        check(&pipeline(rule).replace('\n', "\r\n"), &[], &[&expected]);
    }
}

#[test]
fn what_is_shown_has_the_line_a_caret_and_a_hint() {
    let text =
        GOOD.replace("int64", "int46").replace("  parse:", "  parse: # Größe ✓\n   ").replace('\n', "\r\n");
    assert_eq!(
        problems_of(&text, &[]),
        "\
error[E004]: `value` must be one of `timestamp`, `string`, `int64`, `float64`, `bool`, not `int46`
 --> pipeline.yaml:5:68
  |
5 |     {use: json, from: ingest, with: {fields: {type: string, value: int46}}}
  |                                                                    ^^^^^
  |
  = help: did you mean `int64`?"
    );
    let wide = GOOD.replace("type: string, value", "\"größe ✓\": string, \"日本\"").replace("int64", "int46");
    assert_eq!(
        problems_of(&wide, &[]).lines().skip(1).take(4).collect::<Vec<_>>(),
        [
            " --> pipeline.yaml:4:77",
            "  |",
            "4 |   parse: {use: json, from: ingest, with: {fields: {\"größe ✓\": string, \"日本\": int46}}}",
            "  |                                                                               ^^^^^",
        ]
    );
}

#[test]
fn a_key_that_is_there_twice_is_shown_at_both_places() {
    assert_eq!(
        problems_of(&format!("{GOOD}parallelism: 2\nlimits: {{}}\nparallelism: 4\n"), &[]),
        "\
error[E002]: key `parallelism` is there twice
 --> pipeline.yaml:8:1
  |
6 | parallelism: 2
  | ----------- it is here first
7 | limits: {}
8 | parallelism: 4
  | ^^^^^^^^^^^
  |
  = help: remove one of the two"
    );
}

#[test]
fn a_long_line_is_cut() {
    let text = GOOD.replace("results.ndjson", &"x".repeat(5000)).replace("{path: x", "{paht: x");
    let shown = problems_of(&text, &[]);
    assert!(shown.lines().all(|line| line.chars().count() < 200), "{shown}");
    assert!(shown.contains("^^^^"), "{shown}");
}

#[test]
fn a_file_without_a_pipeline_is_told_what_is_missing() {
    let empty = "E004 1:1 the pipeline must be a mapping, but it is empty";
    check("", &[], &[empty]);
    check("# nothing yet\n", &[], &[empty]);
    check("- a\n- b\n", &[], &["E004 1:1 the pipeline must be a mapping, not a list"]);
    check("just text", &[], &["E004 1:1 the pipeline must be a mapping, not `just text`"]);
    check(
        "{}",
        &[],
        &[
            "E003 1:1 missing key `pipeline` [`pipeline`: the name of the pipeline, as reports show it]",
            "E003 1:1 missing key `stages` [`stages`: the stages by name: one chain from a source to a sink]",
        ],
    );
    check(
        "pipeline: ''\nstages:\n",
        &[],
        &["E004 1:11 `pipeline` must not be empty", "E004 2:1 `stages` must be a mapping, but it is empty"],
    );
}

#[test]
fn yaml_that_a_pipeline_has_no_use_for_is_refused() {
    check_changed(
        "pipeline: events",
        "pipeline: &name events",
        &["E001 1:17 an anchor has no place in a pipeline file [write the value out where it is needed]"],
    );
    check_changed(
        "pipeline: events",
        "pipeline: !!str events",
        &[
            "E001 1:17 the tag `!!str` has no place in a pipeline file [remove it; a text that begins with `!` needs quotes]",
        ],
    );
    check(
        &format!("{GOOD}---\npipeline: other\n"),
        &[],
        &["E001 7:1 a pipeline file holds one document [remove everything from `---` on]"],
    );
    check_changed(
        "pipeline: events",
        "pipeline: events\n? [a, b]\n: c",
        &["E001 2:3 a key is a text, not a list, a mapping or an alias [write `key: value`]"],
    );
}

#[test]
fn problems_of_an_override_are_shown_as_it_was_typed() {
    assert_eq!(
        problems_of(GOOD, &["stages.parse.with.fields.value=int46", "parallelism=zero"]),
        "\
error[E004]: `value` must be one of `timestamp`, `string`, `int64`, `float64`, `bool`, not `int46`
--> command line:1:38
 |
 | --set stages.parse.with.fields.value=int46
 |                                      ^^^^^
 |
 = help: did you mean `int64`?

error[E004]: `parallelism` must be a whole number, not `zero`
--> command line:1:19
 |
 | --set parallelism=zero
 |                   ^^^^"
    );
    for (text, expected) in [
        ("stages.ingst.with.path=a", "E006 1:14 there is no stage `ingst` [did you mean `ingest`?]"),
        ("batch.rows=0", "E004 1:18 `rows` must be at least 1, not 0"),
        ("stages.ingest.use.x=a", "E004 1:25 `use` is no mapping, so it has no key `x`"),
        ("stages.ingest.with.paht=a", "E002 1:26 unknown key `paht` [did you mean `path`?]"),
        ("paralellism=2", "E002 1:7 unknown key `paralellism` [did you mean `parallelism`?]"),
        ("limits={line: 0}", "E004 1:21 `line` must be at least 1, not 0"),
    ] {
        check(GOOD, &[text], &[expected]);
    }
    let example = "[write it as `--set stages.ingest.with.path=events.ndjson`]";
    for (text, expected) in [
        ("parallelism", "E004 1:7 the value is missing"),
        ("", "E004 1:7 a key is missing here"),
        ("a..b=c", "E004 1:9 a key is missing here"),
        ("\"a\"b=c", "E004 1:10 a key ends with `.` or `=`"),
    ] {
        check(GOOD, &[text], &[&format!("{expected} {example}")]);
    }
    assert!(problems_of(GOOD, &["limits={line: 0"]).starts_with("error[E001]: "));
}

#[test]
fn problems_of_a_pipeline_made_in_code_have_a_path() {
    let spec = Spec::new("made")
        .stage("ingest", "file", json!({"path": "events.ndjson"}))
        .stage("parse", "json", json!({"fields": {"a.b": "int46"}}))
        .stage("sink", "file", json!({"path": "results.ndjson"}));
    assert_eq!(
        Plan::from_spec(&spec, &kinds()).unwrap_err().to_string(),
        "\
error[E004]: `a.b` must be one of `timestamp`, `string`, `int64`, `float64`, `bool`, not `int46`
--> made: stages.parse.with.fields.\"a.b\"
 = help: did you mean `int64`?"
    );
}

#[test]
fn a_kind_that_forgets_what_it_uses_is_blamed() {
    let text = GOOD.replace("value: int64", "user: string").replace(
        "  sink: {use: file, from: parse, with: {path: results.ndjson}}",
        "  middle: {use: broken, from: parse}\n  sink: {use: file, from: middle, with: {path: r, columns: [type]}}",
    );
    let shown = problems_of(&text, &[]);
    assert!(shown.contains("this is a defect of the kind of stage"), "{shown}");
}

#[test]
fn a_machine_gets_the_same_as_a_person() {
    let problems = plan_of(&GOOD.replace("int64", "int46"), &[]).unwrap_err();
    assert_eq!(
        serde_json::to_value(&problems).unwrap(),
        json!([{
            "code": "E004",
            "message": "`value` must be one of `timestamp`, `string`, `int64`, `float64`, `bool`, not `int46`",
            "file": "pipeline.yaml",
            "line": 4,
            "column": 73,
            "path": "stages.parse.with.fields.value",
            "hint": "did you mean `int64`?",
        }])
    );
    assert!(problems.render(true).contains("\u{1b}["));
}
