use arrow_array::cast::AsArray;
use serde_json::json;

use super::*;
use crate::selection::tests::{bind, events, run, schema, set_aside};

fn check(columns: Value, wanted: Columns, expected: Value) {
    let out = run(&Project, &json!({"columns": columns}), &wanted);
    // As text, because the order of the columns counts.
    assert_eq!(events(&out).to_string(), expected.to_string(), "{columns}");
    assert!(out.dead_letters.is_empty(), "{columns}");
}

fn check_problems(columns: Value, expected: &[(Code, Segment, Option<std::ops::Range<usize>>)]) {
    let problems = Project.bind(&json!({"columns": columns}), Some(&schema()), &Columns::All).unwrap_err();
    let found: Vec<_> = problems.into_iter().map(|p| (p.code, p.path, p.within)).collect();
    let expected: Vec<_> = expected
        .iter()
        .map(|(code, step, at)| (*code, vec!["columns".into(), step.clone()], at.clone()))
        .collect();
    assert_eq!(found, expected, "{columns}");
}

#[test]
fn columns_are_picked_renamed_and_computed_in_order() {
    check(
        json!(["value", "type"]),
        Columns::All,
        json!([
            {"value": 0, "type": "click"}, {"value": 5, "type": "view"},
            {"value": 20, "type": "click"}, {"value": null, "type": "buy"}
        ]),
    );
    check(
        json!({"half": "value / 2", "who": "upper(user)", "type": "'x'", "body": "raw"}),
        Columns::All,
        json!([
            {"half": 0.0, "who": "ANN", "type": "x", "body": "MA=="}, {"half": 2.5, "who": "BOB", "type": "x", "body": "MQ=="},
            {"half": 10.0, "who": "CYD", "type": "x", "body": "Mg=="}, {"half": null, "who": "DAN", "type": "x", "body": "Mw=="}
        ]),
    );
}

#[test]
fn only_what_is_wanted_is_computed() {
    let columns = json!({"kind": "type", "who": "user", "big": "value > 1"});
    check(
        columns.clone(),
        Columns::from_iter(["big"]),
        json!([{"big": false}, {"big": true}, {"big": true}, {"big": null}]),
    );
    check(columns.clone(), Columns::none(), json!([{}, {}, {}, {}]));
    let bound = bind(&Project, &json!({"columns": columns}), &Columns::from_iter(["who", "kind"]));
    assert_eq!(bound.uses, Columns::from_iter(["type", "user"]));
    let fields = [("kind", schema().field(0).clone()), ("who", schema().field(1).clone())];
    assert_eq!(
        *bound.output.unwrap(),
        Schema::new(fields.map(|(name, field)| field.with_name(name)).to_vec())
    );
}

#[test]
fn a_renamed_column_keeps_its_dictionary() {
    let out = run(&Project, &json!({"columns": {"kind": "type"}}), &Columns::All);
    assert!(out.batches[0].column(0).as_any_dictionary_opt().is_some());
}

#[test]
fn an_event_that_fails_is_one_dead_letter_whoever_wants_the_column() {
    let columns = json!({"who": "user", "rest": "100 % value", "ratio": "1 / value"});
    for wanted in [Columns::All, Columns::from_iter(["who"])] {
        let out = run(&Project, &json!({"columns": columns}), &wanted);
        let [(cause, event)] = &set_aside(&out)[..] else { panic!("one event fails: {out:?}") };
        assert_eq!((*cause, &event["user"]), ("`100 % value` divides by zero", &json!("ann")));
        let who: Vec<_> = events(&out).as_array().unwrap().iter().map(|event| event["who"].clone()).collect();
        assert_eq!(who, ["bob", "cyd", "dan"]);
        assert_eq!(out.filtered, 0);
    }
}

#[test]
fn all_problems_are_told_by_path_and_range() {
    check_problems(
        json!({"a": "valu", "b": "value +", "c": "type + user"}),
        &[
            (Code::UNKNOWN_COLUMN, "a".into(), Some(0..4)),
            (Code::EXPRESSION, "b".into(), Some(7..7)),
            (Code::WRONG_TYPE, "c".into(), Some(0..4)),
            (Code::WRONG_TYPE, "c".into(), Some(7..11)),
        ],
    );
    check_problems(
        json!(["type", "no such", "type"]),
        &[(Code::UNKNOWN_COLUMN, 1.into(), Some(0..7)), (Code::WRONG_VALUE, 2.into(), None)],
    );
    for nothing in [json!([]), json!({})] {
        let problems =
            Project.bind(&json!({"columns": nothing}), Some(&schema()), &Columns::All).unwrap_err();
        assert_eq!(
            (problems[0].code, problems[0].message.as_str()),
            (Code::WRONG_VALUE, "no column is declared")
        );
    }
}
