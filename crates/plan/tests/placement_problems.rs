//! What a person sees of stages that cannot run as they should.

mod kinds;

use kinds::{listed, plan_of, plan_with};
use modrun_plan::LoadOptions;

const GOOD: &str = "\
pipeline: events
stages:
  ingest: {use: file, with: {path: events.ndjson}, or: {typescript: {run: [node, ingest.js]}}}
  parse: {use: json, from: ingest, with: {fields: {type: string, value: int64}}, or: {go: {run: [bin/parse]}}}
  rules: {from: parse, or: {python: {run: [python3, rules.py]}, go: {run: [bin/rules]}}}
  sink: {use: file, from: rules, with: {path: results.ndjson}}
placement: {rules: python}
";

#[track_caller]
fn check(changes: &[(&str, &str)], expected: &[&str]) {
    let mut text = GOOD.to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replacen(from, to, 1);
    }
    let problems = plan_of(&text, &[]).expect_err("the pipeline has a problem");
    assert_eq!(listed(&problems), expected, "\n{problems}");
}

#[test]
fn all_problems_of_placement_and_programs_are_reported_at_once() {
    let text = "\
pipeline: events
stages:
  ingest: {use: file, with: {path: a}, or: {process: {run: [a]}, '': {run: [b]}, ts: {run: []}}, parallelism: 2}
  parse: {use: json, from: ingest, with: {fields: {a: string}}, or: {go: {rnu: [a], env: {A: 1}}}, batch: {linger: 1s}}
  rules: {from: parse, or: {python: {run: [a], uses: [b]}, go: {run: [a]}}, batch: adaptve, out: {a: strnig}}
  more: {from: rules}
  sink: {use: file, from: more, with: {path: results.ndjson}, batch: {rows: 0}}
placement: {ingest: tss, parse: 7, rules: thread, mroe: process}
batch: 100
limits: {segment: 0, window: {batches: 0, bites: 1}, start: soon}
";
    let problems = plan_of(text, &[]).unwrap_err();
    assert_eq!(
        listed(&problems),
        [
            "E004 3:45 an implementation must not be named `process`: in `placement` it means the built-in stage",
            "E004 3:66 the name of an implementation must not be empty",
            "E004 3:87 `run` needs at least 1 element",
            "E004 3:111 stage `ingest` cannot be shared: a source is one [remove `parallelism`]",
            "E003 4:70 missing key `run` [`run`: the program and its arguments, such as `[python3, rules.py]`]",
            "E002 4:75 unknown key `rnu` [did you mean `run`?]",
            "E004 4:94 `A` must be a text, not the number 1 [put it in quotes: \"1\"]",
            "E003 4:100 missing key `rows` [`rows`: the rows of a full batch]",
            "E009 5:55 there is no column `b` here [did you mean `a`?]",
            "E004 5:84 `batch` must be `adaptive`, not `adaptve` [did you mean `adaptive`?]",
            "E004 5:102 `a` must be one of `bool`, `bool?`, `int64`, `int64?`, `float64`, `float64?`, `string`, \
             `string?`, `binary`, `binary?`, `timestamp`, `timestamp?`, not `strnig` [did you mean `string`?]",
            "E003 6:3 missing key `use` [`use`: the kind of stage; or give it a program of its own with `or`]",
            "E004 7:77 `rows` must be at least 1, not 0",
            "E012 8:21 stage `ingest` has no implementation `tss` [did you mean `ts`?]",
            "E004 8:33 `parse` must be a text such as `thread`, not the number 7",
            "E012 8:43 stage `rules` has no `use`, so it cannot run as `thread` [its implementations: `python`, `go`]",
            "E006 8:51 there is no stage `mroe` [did you mean `more`?]",
            "E004 9:8 `batch` must be `adaptive` or a mapping, not the number 100",
            "E004 10:19 `segment` must be at least 1, not 0",
            "E004 10:40 `batches` must be at least 1, not 0",
            "E002 10:43 unknown key `bites` [did you mean `bytes`?]",
            "E004 10:61 `start`: `soon` is no span of time: write `10ms`, `500us`, `30s` or `2min`",
        ],
        "\n{problems}"
    );
}

#[test]
fn a_placement_that_cannot_be_is_reported() {
    check(
        &[("placement: {rules: python}\n", "")],
        &["E012 5:3 stage `rules` has several implementations, and `placement` names none of them \
           [add `rules: python` to `placement`; its implementations: `python`, `go`]"],
    );
    check(
        &[("rules: python}", "rules: pythn, parse: rust, sink: typescript}")],
        &[
            "E012 7:20 stage `rules` has no implementation `pythn` [did you mean `python`?]",
            "E012 7:34 stage `parse` has no implementation `rust` [known here: thread, process, go]",
            "E012 7:46 stage `sink` has no implementation `typescript` [known here: thread, process]",
        ],
    );
    check(
        &[("rules: python", "rules: process")],
        &[
            "E012 7:20 stage `rules` has no `use`, so it cannot run as `process` [its implementations: `python`, `go`]",
        ],
    );
}

#[test]
fn columns_that_an_implementation_declares_are_checked_wherever_it_is_placed() {
    check(
        &[
            ("run: [bin/rules]", "run: [bin/rules], uses: [type, valeu]"),
            ("[bin/parse]", "[bin/parse], uses: [txet]"),
        ],
        &[
            "E009 4:117 there is no column `txet` here [did you mean `text`?]",
            "E009 5:101 there is no column `valeu` here [did you mean `value`?]",
        ],
    );
    check(
        &[("[node, ingest.js]", "[node, ingest.js], uses: [text]")],
        &["E009 3:101 there is no column `text`: a source gets none [remove `uses`]"],
    );
    check(
        &[
            ("or: {go: {run: [bin/parse]}}", "out: {value: int64, type: string}"),
            ("{path: results.ndjson}", "{path: r}, out: raw"),
        ],
        &[
            "E013 4:82 `out` is not what `json` hands on [remove `out`, or write `out: {type: string, value: int64}`]",
            "E013 6:51 `out` is not what `file` hands on [remove `out`: a sink hands on nothing]",
        ],
    );
    assert!(
        plan_of(&GOOD.replace("or: {go: {run: [bin/parse]}}", "out: {type: string, value: int64}"), &[])
            .is_ok()
    );
}

#[test]
fn a_source_and_a_sink_without_a_kind_need_their_place() {
    check(
        &[("use: file, with: {path: events.ndjson}, ", "")],
        &["E003 3:3 missing key `out`: a source without `use` says which columns it hands on \
           [write `out: raw` for lines of text, or the columns such as `out: {id: int64, name: \"string?\"}`]"],
    );
    check(
        &[(
            "use: file, from: rules, with: {path: results.ndjson}",
            "from: rules, or: {go: {run: [a]}}, out: {a: string}",
        )],
        &[
            "E008 6:3 no stage reads from `sink`, and it is not a sink [let a stage read from it; the last one is a sink]",
        ],
    );
    check(
        &[("rules: {from: parse", "other: {out: raw, or: {go: {run: [a]}}}\n  rules: {from: parse")],
        &[
            "E008 5:3 stage `other` is a second source beside `ingest` [the stages form one chain: several sources are not supported yet]",
        ],
    );
    // Nothing more is said of what reads from a stage that is none.
    check(
        &[("use: file, with: {path: events.ndjson}, or: {typescript: {run: [node, ingest.js]}}", "or: 7")],
        &["E004 3:16 `or` must be a mapping, not the number 7"],
    );
}

#[test]
fn what_means_nothing_is_refused() {
    check(
        &[("path: results.ndjson}", "path: results.ndjson}, batch: {rows: 1}")],
        &["E004 6:64 stage `sink` is a sink, which sends no batches \
           [remove `batch`; that of the stage before is for what the sink gets]"],
    );
    check(
        &[("[node, ingest.js]", "[node], env: {'A=B': c, MODRUN_STAGE: d, '': e, A: f}")],
        &[
            "E004 3:89 `A=B` cannot be the name of an environment variable",
            "E004 3:99 `MODRUN_STAGE` is set by the run itself, as all that begins with `MODRUN_`",
            "E004 3:116 `` cannot be the name of an environment variable",
        ],
    );
}

#[test]
fn what_needs_order_is_not_shared() {
    check(
        &[("path: results.ndjson}", "path: results.ndjson}, parallelism: 2")],
        &["E004 6:77 stage `sink` cannot be shared: a sink is one [remove `parallelism`]"],
    );
    for parallelism in ["parallelism: 2", "parallelism: 1"] {
        let text = GOOD.replace("rules: {from: parse,", &format!("rules: {{from: parse, {parallelism},"));
        assert!(plan_of(&text, &[]).is_ok(), "a program says itself whether it can be");
    }
}

#[test]
fn a_line_must_fit_into_a_segment_that_it_crosses() {
    let crossing = "E004 8:19 a line of 16MiB does not fit into a segment of 16MiB on its way from `ingest` to `parse` \
                    [set `limits.segment` to 17MiB or more, or `limits.line` to less]";
    let limits = |limits: &str| format!("rules: python, parse: process}}\nlimits: {{{limits}}}");
    check(&[("rules: python}", &limits("segment: 16MiB"))], &[crossing]);
    check(
        &[("rules: python}", &limits("line: 64MiB"))],
        &[
            "E004 8:16 a line of 64MiB does not fit into a segment of 64MiB on its way from `ingest` to `parse` \
           [set `limits.segment` to 65MiB or more, or `limits.line` to less]",
        ],
    );
    for fitting in [limits("segment: 17MiB"), limits("segment: 1MiB, line: 512KiB")] {
        assert!(plan_of(&GOOD.replace("rules: python}", &fitting), &[]).is_ok(), "{fitting}");
    }
    // Lines that stay in one process are under no such limit.
    assert!(plan_of(&format!("{GOOD}limits: {{segment: 1MiB}}\n"), &[]).is_ok());
}

fn laid(placement: Option<&str>, place: &[&str]) -> Vec<String> {
    let options = LoadOptions {
        placement: placement.map(|text| ("split.yaml".to_owned(), text.to_owned())),
        place: place.iter().map(ToString::to_string).collect(),
        ..LoadOptions::default()
    };
    let problems = plan_with(GOOD, &options).expect_err("the placement has a problem");
    problems
        .iter()
        .map(|p| p.file.clone())
        .zip(listed(&problems))
        .map(|(file, shown)| format!("{file}: {shown}"))
        .collect()
}

#[test]
fn problems_of_a_placement_file_are_shown_in_it() {
    for (text, expected) in [
        (
            "rules: python\nparse: gO!\n",
            &["split.yaml: E012 2:8 stage `parse` has no implementation `gO!` [did you mean `go`?]"][..],
        ),
        (
            "placement:\n  rules: python\n  prase: go\nparallelism: 0\n",
            &[
                "split.yaml: E006 3:3 there is no stage `prase` [did you mean `parse`?]",
                "split.yaml: E004 4:14 `parallelism` must be at least 1, not 0",
            ],
        ),
        (
            "placement: {rules: python}\nstages: {}\nbacth: adaptive\n",
            &[
                "split.yaml: E002 2:1 unknown key `stages` of a placement [known here: placement, batch, parallelism]",
                "split.yaml: E002 3:1 unknown key `bacth` of a placement [did you mean `batch`?]",
            ],
        ),
        (
            "rules: python\nbatch: adaptive\n",
            &["split.yaml: E006 2:1 there is no stage `batch` [known here: ingest, parse, rules, sink]"],
        ),
        ("- rules\n", &["split.yaml: E004 1:1 `placement` must be a mapping, not a list"]),
        ("rules: [\n", &["split.yaml: E001 1:8 unclosed bracket '['"]),
    ] {
        assert_eq!(laid(Some(text), &[]), expected, "{text}");
    }
    let empty = laid(Some(""), &["parse=go"]);
    assert_eq!(empty[0], "split.yaml: E004 1:1 `placement` must be a mapping, but it is empty", "{empty:?}");
}

#[test]
fn problems_of_a_placed_word_are_shown_as_it_was_typed() {
    for (word, expected) in [
        ("parse=og", "E012 1:15 stage `parse` has no implementation `og` [did you mean `go`?]"),
        ("prase=go", "E006 1:9 there is no stage `prase` [did you mean `parse`?]"),
        ("parse", "E004 1:9 a stage and its placement are missing [write it as `--place rules=python`]"),
        ("parse=", "E004 1:9 a stage and its placement are missing [write it as `--place rules=python`]"),
        ("=go", "E004 1:9 a stage and its placement are missing [write it as `--place rules=python`]"),
    ] {
        assert_eq!(laid(None, &[word]), [format!("command line: {expected}")]);
    }
    let options = LoadOptions { place: vec!["parse=og".to_owned()], ..LoadOptions::default() };
    assert!(
        plan_with(GOOD, &options)
            .unwrap_err()
            .to_string()
            .contains("\n | --place parse=og\n |               ^^\n")
    );
}
