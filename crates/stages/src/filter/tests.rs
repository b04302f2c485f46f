use modrun_core::Segment;
use serde_json::json;

use super::*;
use crate::selection::tests::{bind, events, run, schema, set_aside};

fn check(rule: &str, wanted: Columns, expected: Value, filtered: u64) {
    let out = run(&Filter, &json!({"where": rule}), &wanted);
    assert_eq!((events(&out), out.filtered), (expected, filtered), "{rule}");
    assert!(out.dead_letters.is_empty(), "{rule}");
}

#[test]
fn only_true_rows_and_wanted_columns_go_on() {
    let wanted = || Columns::from_iter(["user", "type"]);
    check("type != 'view' and value >= 10", wanted(), json!([{"type": "click", "user": "cyd"}]), 3);
    check("value is null", wanted(), json!([{"type": "buy", "user": "dan"}]), 3);
    check("value > 100", wanted(), json!([]), 4);
    check("value = null", wanted(), json!([]), 4);
}

#[test]
fn all_rows_may_go_on_and_no_column_need() {
    check(
        "true",
        Columns::from_iter(["value"]),
        json!([{"value": 0}, {"value": 5}, {"value": 20}, {"value": null}]),
        0,
    );
    check("type in ('click', 'buy')", Columns::none(), json!([{}, {}, {}]), 1);
    check("user != ''", Columns::none(), json!([{}, {}, {}, {}]), 0);
}

#[test]
fn a_dictionary_stays_one() {
    let out = run(&Filter, &json!({"where": "value > 1"}), &Columns::All);
    assert!(out.batches[0].column_by_name("type").unwrap().as_any_dictionary_opt().is_some());
}

#[test]
fn a_row_that_fails_is_a_dead_letter_and_not_filtered() {
    let out = run(&Filter, &json!({"where": "100 / value < 10"}), &Columns::from_iter(["user"]));
    assert_eq!(set_aside(&out), [("`100 / value` divides by zero", json!({"user": "ann", "value": 0}))]);
    assert_eq!((events(&out), out.filtered), (json!([{"user": "cyd"}]), 2));
    check("value != 0 and 100 / value < 10", Columns::from_iter(["user"]), json!([{"user": "cyd"}]), 3);
}

#[test]
fn it_declares_what_it_uses_and_gives() {
    let bound = bind(&Filter, &json!({"where": "value > 1"}), &Columns::from_iter(["user", "type"]));
    assert_eq!(bound.uses, Columns::from_iter(["type", "user", "value"]));
    assert_eq!(*bound.output.unwrap(), schema().project(&[0, 1]).unwrap());
    assert_eq!(bound.concurrency, Concurrency::Stateless);
    assert_eq!(bind(&Filter, &json!({"where": "value > 1"}), &Columns::All).uses, Columns::All);
}

#[test]
fn problems_are_told_by_path_and_range() {
    let check = |rule: &str, code, range| {
        let problems = Filter.bind(&json!({"where": rule}), Some(&schema()), &Columns::All).unwrap_err();
        let found: Vec<_> = problems.into_iter().map(|p| (p.code, p.path, p.within)).collect();
        assert_eq!(found, [(code, vec![Segment::from("where")], Some(range))], "{rule}");
    };
    check("value >", Code::EXPRESSION, 7..7);
    check("valu > 1", Code::UNKNOWN_COLUMN, 0..4);
    check("value + 1", Code::WRONG_TYPE, 0..9);
    let problems = Filter.bind(&json!({"were": "true"}), Some(&schema()), &Columns::All).unwrap_err();
    assert_eq!(problems[0].code, Code::WRONG_VALUE);
}
