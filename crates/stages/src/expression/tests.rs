//! Tables of single cases; [`reference`] holds the property test.

mod reference;

use std::sync::Arc;

use arrow_array::types::{Float64Type, Int8Type, Int64Type, UInt16Type};
use arrow_array::{
    Array, ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, PrimitiveArray,
    RecordBatch, RecordBatchOptions, StringArray, TimestampMicrosecondArray, UInt8Array,
};
use arrow_schema::{Field, Schema};
use modrun_core::{Code, Problem, Type};
use serde_json::{Value, json};

use super::{Evaluated, Expression};
use modrun_core::value::ndjson;

/// Three rows, nulls in the last one: of every type, and strings in three encodings.
fn batch() -> RecordBatch {
    let words = [Some("view"), Some("Öl click"), None];
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("n", Arc::new(Int64Array::from(vec![Some(7), Some(-7), None]))),
        ("zero", Arc::new(Int64Array::from(vec![0, 2, 0]))),
        ("big", Arc::new(Int64Array::from(vec![i64::MAX, i64::MIN, 0]))),
        ("f", Arc::new(Float64Array::from(vec![Some(2.5), Some(f64::NAN), None]))),
        (
            "edge",
            Arc::new(Float64Array::from(vec![
                9_223_372_036_854_775_808.0,
                -9_223_372_036_854_775_808.0,
                -0.0,
            ])),
        ),
        ("b", Arc::new(BooleanArray::from(vec![Some(true), Some(false), None]))),
        ("s", Arc::new(StringArray::from(words.to_vec()))),
        ("code", Arc::new(words.into_iter().collect::<DictionaryArray<UInt16Type>>())),
        ("small", Arc::new(words.into_iter().collect::<DictionaryArray<Int8Type>>())),
        ("bytes", Arc::new(BinaryArray::from(vec![Some(b"x".as_slice()), Some(b""), None]))),
        (
            "at",
            Arc::new(
                TimestampMicrosecondArray::from(vec![Some(0), Some(1_000_000), None]).with_timezone("UTC"),
            ),
        ),
        ("in", Arc::new(Int64Array::from(vec![1, 2, 3]))),
    ];
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

fn evaluate(text: &str, batch: &RecordBatch) -> (Type, Evaluated) {
    let bound =
        Expression::parse(text).unwrap().bind(batch.schema_ref()).unwrap_or_else(|p| panic!("{text}: {p:?}"));
    (bound.data_type(), bound.evaluate(batch).unwrap())
}

/// A column as JSON, as the sinks write it.
fn rows(column: &ArrayRef) -> Vec<Value> {
    let schema = Schema::new(vec![Field::new("x", column.data_type().clone(), true)]);
    let batch = RecordBatch::try_new(Arc::new(schema), vec![column.clone()]).unwrap();
    (0..column.len()).map(|row| ndjson::event(&batch, row)["x"].clone()).collect()
}

/// What `text` gives for the three rows: its type and values.
fn check(text: &str, data_type: Type, expected: Value) {
    let (found, Evaluated { column, errors }) = evaluate(text, &batch());
    assert_eq!((found, errors), (data_type, vec![]), "{text}");
    assert_eq!(Type::from_arrow(column.data_type()), Some(data_type), "{text}");
    assert_eq!(Value::Array(rows(&column)), expected, "{text}");
}

fn check_bool(text: &str, expected: [Option<bool>; 3]) {
    check(text, Type::Bool, json!(expected));
}

/// The rows for which `text` fails, and why.
fn check_errors(text: &str, expected: &[(usize, &str)]) {
    let (_, Evaluated { errors, .. }) = evaluate(text, &batch());
    let errors: Vec<_> = errors.iter().map(|(row, cause)| (*row, cause.as_str())).collect();
    assert_eq!(errors, expected, "{text}");
}

/// The problem of a text that cannot be read, with what its range covers.
fn check_unreadable(text: &str, covers: &str, message: &str) {
    let problem = Expression::parse(text).expect_err(text);
    assert_eq!(problem.code, Code::EXPRESSION, "{text}");
    assert_eq!(problem.message, message, "{text}");
    assert_eq!(&text[problem.within.unwrap()], covers, "{text}");
}

/// The problems of a text that does not fit the columns: code, what the range covers, message, hint.
fn check_problems(text: &str, expected: &[(Code, &str, &str, &str)]) {
    let problems = Expression::parse(text).unwrap().bind(batch().schema_ref()).expect_err(text);
    let shown = |problem: &Problem| {
        let covers = text[problem.within.clone().unwrap()].to_owned();
        (problem.code, covers, problem.message.clone(), problem.hint.clone().unwrap_or_default())
    };
    let found: Vec<_> = problems.iter().map(shown).collect();
    let expected: Vec<_> =
        expected.iter().map(|(c, r, m, h)| (*c, (*r).to_owned(), (*m).to_owned(), (*h).to_owned())).collect();
    assert_eq!(found, expected, "{text}");
}

const T: Option<bool> = Some(true);
const F: Option<bool> = Some(false);
const N: Option<bool> = None;

#[test]
fn unreadable_texts_are_told_where_and_why() {
    check_unreadable("", "", "the expression is empty");
    check_unreadable("  ", "  ", "the expression is empty");
    check_unreadable("n >", "", "expected a column, a value or `(`, found the end");
    check_unreadable("n > > 1", ">", "expected a column, a value or `(`, found `>`");
    check_unreadable("(n > 1", "", "expected `)`, found the end");
    check_unreadable("n > 1)", ")", "expected an operator or the end, found `)`");
    check_unreadable("n 1", "1", "expected an operator or the end, found a number");
    check_unreadable("n = 'a", "'a", "this string does not end");
    check_unreadable("`n = 1", "`n = 1", "this column name does not end");
    check_unreadable("n && b", "&&", "`&&` is no operator here");
    check_unreadable("!b", "!", "`!` is no operator here");
    check_unreadable("n = #", "#", "`#` means nothing here");
    check_unreadable("n = é and 1x", "1x", "`1x` is no number");
    check_unreadable("n = 1.", "1.", "`1.` is no number");
    check_unreadable(
        "n = 9223372036854775808",
        "9223372036854775808",
        "`9223372036854775808` lies outside the range of int64",
    );
    check_unreadable(
        "n = -9223372036854775809",
        "9223372036854775809",
        "`9223372036854775809` lies outside the range of int64",
    );
    check_unreadable("f = 1e999", "1e999", "`1e999` lies outside the range of float64");
    check_unreadable("1 < n < 3", "<", "a comparison cannot be compared again");
    check_unreadable("n is 3", "3", "expected `null`, found a number");
    check_unreadable("n in ()", ")", "expected a column, a value or `(`, found `)`");
    check_unreadable("n in 3", "3", "expected `(`, found a number");
    check_unreadable("in = 3", "in", "expected a column, a value or `(`, found `in`");
    check_unreadable("lowr(s)", "lowr", "there is no function `lowr`");
    check_unreadable("lower()", "lower()", "`lower` takes one argument, not 0");
    check_unreadable("contains(s)", "contains(s)", "`contains` takes two arguments, not 1");
    let hint = Expression::parse("lowr(s)").unwrap_err().hint;
    assert_eq!(hint.as_deref(), Some("did you mean `lower`?"));
}

#[test]
fn depth_is_bounded_and_length_is_not() {
    for deep in [
        "(".repeat(100_000) + "n",
        "not ".repeat(100_000) + "b",
        "- ".repeat(100_000) + "n",
        "lower(".repeat(100_000) + "s",
        vec!["n"; 100_000].join(" + "),
    ] {
        let problem = Expression::parse(&deep).unwrap_err();
        assert!(problem.message.ends_with("nested more than 64 levels deep"), "{}", problem.message);
    }
    let deepest = format!("{}n{} > 1", "(".repeat(64), ")".repeat(64));
    check_bool(&deepest, [T, F, N]);
    check_bool(&vec!["n > 1"; 10_000].join(" and "), [T, F, N]);
    check_bool(&format!("n in ({})", vec!["7"; 2_000].join(", ")), [T, F, N]);
}

#[test]
fn all_problems_with_columns_and_types_are_told_at_once() {
    use Code as C;
    let no = |name| (C::UNKNOWN_COLUMN, name, format!("there is no column `{name}` here"));
    let (code, range, message) = no("smal");
    check_problems("n > 1 and smal = 'x'", &[(code, range, &message, "did you mean `small`?")]);
    check_problems(
        "s > 10 or n = '10' or not n",
        &[
            (
                C::WRONG_TYPE,
                "s > 10",
                "`s` is string and `10` is int64: they cannot be compared",
                "write it in quotes: '10'",
            ),
            (
                C::WRONG_TYPE,
                "n = '10'",
                "`n` is int64 and `'10'` is string: they cannot be compared",
                "write 10 without quotes",
            ),
            (C::WRONG_TYPE, "n", "`not` takes bool, but `n` is int64", "compare it with a value"),
        ],
    );
    let cases = [
        (
            "b = 'true'",
            "b = 'true'",
            "`b` is bool and `'true'` is string: they cannot be compared",
            "write true without quotes",
        ),
        ("b < true", "b < true", "bool has no order", "compare it with `=` or `!=`"),
        (
            "bytes = 'x'",
            "bytes = 'x'",
            "binary cannot be compared",
            "test it with `is null` or `is not null`",
        ),
        ("n + s", "s", "`+` takes numbers, but `s` is string", "use a column of type int64 or float64"),
        ("-at", "at", "`-` takes numbers, but `at` is timestamp", "use a column of type int64 or float64"),
        ("n and b", "n", "`and` takes bool, but `n` is int64", "compare it with a value"),
        (
            "length(n)",
            "n",
            "`length` takes strings, but `n` is int64",
            "give it a string column or a value in quotes",
        ),
        (
            "at > 'noon'",
            "'noon'",
            "`'noon'` is no timestamp with an offset or `Z`",
            "write it as '2026-01-01T00:00:00Z'",
        ),
        (
            "at > s",
            "s",
            "`s` is string, but a timestamp stands beside it",
            "only a value in quotes can be read as a timestamp",
        ),
        (
            "s in ('a', 3)",
            "3",
            "`s` is string and `3` is int64: they cannot be compared",
            "write it in quotes: '3'",
        ),
        (
            "s in ('a', at)",
            "s",
            "`s` is string, but a timestamp stands beside it",
            "only a value in quotes can be read as a timestamp",
        ),
        (
            "coalesce(n, s)",
            "s",
            "`s` is string, but `coalesce` gives int64 here",
            "give it values of one type",
        ),
        ("coalesce(bytes)", "bytes", "`coalesce` does not take binary", "leave it out"),
        (
            "null",
            "null",
            "`null` alone has no type",
            "compute it from a column, as in `coalesce(column, null)`",
        ),
    ];
    for (text, covers, message, hint) in cases {
        check_problems(text, &[(C::WRONG_TYPE, covers, message, hint)]);
    }
}

#[test]
fn comparisons_and_their_nulls() {
    check_bool("n = 7", [T, F, N]);
    check_bool("n == 7", [T, F, N]);
    check_bool("n != 7", [F, T, N]);
    check_bool("n <> 7", [F, T, N]);
    check_bool("n < 7", [F, T, N]);
    check_bool("7 <= n", [T, F, N]);
    check_bool("n > zero", [T, F, N]);
    check_bool("n >= -7", [T, T, N]);
    check_bool("n = null", [N, N, N]);
    check_bool("null = null", [N, N, N]);
    check_bool("b = true", [T, F, N]);
    check_bool("b != true", [F, T, N]);
    check_bool("at >= '1970-01-01T01:00:01+01:00'", [F, T, N]);
    check_bool("'1970-01-01T00:00:00Z' in (at)", [T, F, N]);
    check_bool("at in ('1970-01-01T00:00:00Z')", [T, F, N]);
    check_bool("n is null", [F, F, T]);
    check_bool("n IS NOT NULL", [T, T, F]);
    check_bool("bytes is null", [F, F, T]);
    check_bool("null is null", [T, T, T]);
    check_bool("`in` in (1, 3)", [T, F, T]);
    check_bool("n in (1, null)", [N, N, N]);
    check_bool("n in (7, null)", [T, N, N]);
    check_bool("n not in (7, 8)", [F, T, N]);
    check_bool("n in (7.0, 2.5)", [T, F, N]);
    check_bool("null in (1)", [N, N, N]);
}

#[test]
fn floats_follow_ieee_and_integers_are_compared_exactly() {
    check_bool("f = f", [T, F, N]);
    check_bool("f != f", [F, T, N]);
    check_bool("f > 2", [T, F, N]);
    check_bool("n < 7.5", [T, T, N]);
    check_bool("big < edge", [T, F, F]);
    check_bool("big = edge", [F, T, T]);
    check_bool("edge <= big", [F, T, T]);
    check_bool("big = 9223372036854775807.0", [F, F, F]);
    check_bool("big < 9223372036854775808.0", [T, T, T]);
    check_bool("edge = -9223372036854775808", [F, T, F]);
    check_bool("n != f", [T, T, N]);
    check_bool("n < f or n >= f", [T, F, N]);
}

#[test]
fn logic_has_three_values() {
    check_bool("b and null", [N, F, N]);
    check_bool("b or null", [T, N, N]);
    check_bool("not b", [F, T, N]);
    check_bool("b and n > 0 or n is null", [T, F, T]);
    check_bool("true or false and false", [T, T, T]);
    check_bool("not b = true", [F, T, N]);
    check_bool("NOT (b AND NOT b)", [T, T, N]);
}

#[test]
fn arithmetic() {
    check("n + 1 * 2 - -3", Type::Int64, json!([12, -2, null]));
    check("(n + 1) * 2", Type::Int64, json!([16, -12, null]));
    check("n / 2", Type::Float64, json!([3.5, -3.5, null]));
    check("n % 4", Type::Int64, json!([3, -3, null]));
    check("big % -1", Type::Int64, json!([0, 0, 0]));
    check("-n", Type::Int64, json!([-7, 7, null]));
    check("- -9223372036854775807", Type::Int64, json!(vec![i64::MAX; 3]));
    check("-9223372036854775808", Type::Int64, json!(vec![i64::MIN; 3]));
    check("n * f", Type::Float64, json!([17.5, null, null]));
    check("f / 0", Type::Float64, json!([null, null, null]));
    check("-f", Type::Float64, json!([-2.5, null, null]));
    check("1 / edge < 0", Type::Bool, json!([false, true, true]));
    check("1 / -edge > 0", Type::Bool, json!([false, true, true]));
    check("n + null", Type::Int64, json!([null, null, null]));
    check("1.5e1", Type::Float64, json!([15.0, 15.0, 15.0]));
}

#[test]
fn a_row_that_leaves_int64_or_divides_by_zero_fails_alone() {
    check_errors("big + 1", &[(0, "`big + 1` leaves the range of int64")]);
    check_errors("big - 1 > 0", &[(1, "`big - 1` leaves the range of int64")]);
    check_errors("-big", &[(1, "`-big` leaves the range of int64")]);
    let doubled = "`big * 2` leaves the range of int64";
    check_errors("big * 2", &[(0, doubled), (1, doubled)]);
    check_errors("10 / zero", &[(0, "`10 / zero` divides by zero"), (2, "`10 / zero` divides by zero")]);
    check_errors("n % zero", &[(0, "`n % zero` divides by zero")]);
    check_errors("n % zero + big * 2", &[(0, "`n % zero` divides by zero"), (1, doubled)]);
    check_errors("(n % zero) is null", &[(0, "`(n % zero)` divides by zero")]);
    check_errors("1 % 0 = 1", &[0, 1, 2].map(|row| (row, "`1 % 0` divides by zero")));
}

#[test]
fn what_a_row_does_not_need_cannot_fail() {
    check_bool("zero != 0 and 10 / zero > 1", [F, T, F]);
    check_bool("zero = 0 or 10 / zero > 1", [T, T, T]);
    check_bool("zero in (0, 10 % zero)", [T, F, T]);
    check_errors("coalesce(n, 10 % zero)", &[(2, "`10 % zero` divides by zero")]);
}

#[test]
fn strings_in_every_encoding() {
    for column in ["s", "code", "small"] {
        let check_bool = |text: &str, expected| check_bool(&text.replace('@', column), expected);
        check_bool("@ = 'view'", [T, F, N]);
        check_bool("'view' != @", [F, T, N]);
        check_bool("@ < 'w'", [T, F, N]);
        check_bool("@ >= s", [T, T, N]);
        check_bool("@ in ('view', \"x\")", [T, F, N]);
        check_bool("@ in ('view', null)", [T, N, N]);
        check_bool("@ not in ('view', lower('X'))", [F, T, N]);
        check_bool("starts_with(@, 'v')", [T, F, N]);
        check_bool("ends_with(@, 'click')", [F, T, N]);
        check_bool("contains(@, 'l c')", [F, T, N]);
        check_bool("contains(@, '')", [T, T, N]);
        check_bool("contains('a view', @)", [T, F, N]);
        check_bool("starts_with(@, s) and contains(@, code)", [T, T, N]);
        check_bool("@ = 'it''s' or @ is null", [F, F, T]);
        let check = |text: &str, of, expected| check(&text.replace('@', column), of, expected);
        check("lower(@)", Type::String, json!(["view", "öl click", null]));
        check("UPPER(@)", Type::String, json!(["VIEW", "ÖL CLICK", null]));
        check("length(@)", Type::Int64, json!([4, 8, null]));
        check("coalesce(@, 'none')", Type::String, json!(["view", "Öl click", "none"]));
        check("coalesce(null, @, null)", Type::String, json!(["view", "Öl click", null]));
    }
    check("'a'", Type::String, json!(["a", "a", "a"]));
    check("length(null)", Type::Int64, json!([null, null, null]));
    check("coalesce(at, '1970-01-01T00:00:00Z') = at", Type::Bool, json!([true, true, null]));
    check("coalesce(n, 0.5)", Type::Float64, json!([7.0, -7.0, 0.5]));
}

#[test]
fn a_picked_column_stays_what_it_is_and_changed_values_stay_distinct() {
    let batch = batch();
    let (_, picked) = evaluate("code", &batch);
    assert!(Arc::ptr_eq(&picked.column, batch.column_by_name("code").unwrap()));
    let (_, lowered) = evaluate("lower(code)", &batch);
    assert_eq!(lowered.column.data_type(), batch.column_by_name("code").unwrap().data_type());

    let both: DictionaryArray<Int8Type> = ["a", "A"].into_iter().collect();
    let batch = RecordBatch::try_from_iter([("s", Arc::new(both) as ArrayRef)]).unwrap();
    let (_, lowered) = evaluate("lower(s)", &batch);
    assert_eq!(lowered.column.as_ref(), &StringArray::from(vec!["a", "a"]) as &dyn Array);
}

#[test]
fn a_null_row_may_hold_any_code_and_a_value_may_be_null() {
    let keys = UInt8Array::new(vec![200, 0, 1].into(), Some(vec![false, true, true].into()));
    let array = DictionaryArray::new(keys, Arc::new(StringArray::from(vec![Some("a"), None])));
    let batch = RecordBatch::try_from_iter([("s", Arc::new(array) as ArrayRef)]).unwrap();
    let cases = [
        ("s = 'a'", json!([null, true, null])),
        ("s is null", json!([true, false, true])),
        ("lower(s)", json!([null, "a", null])),
        ("length(s)", json!([null, 1, null])),
        ("coalesce(s, 'b')", json!(["b", "a", "b"])),
    ];
    for (text, expected) in cases {
        assert_eq!(json!(rows(&evaluate(text, &batch).1.column)), expected, "{text}");
    }
}

#[test]
fn long_and_sliced_batches_are_packed_right() {
    let numbers: PrimitiveArray<Int64Type> = (0..200).map(|row| (row % 3 != 0).then_some(row)).collect();
    let floats: PrimitiveArray<Float64Type> = (0..200).map(|row| Some(f64::from(row) / 2.0)).collect();
    let columns = [("n", Arc::new(numbers) as ArrayRef), ("f", Arc::new(floats))];
    let whole =
        RecordBatch::try_from_iter_with_nullable(columns.map(|(name, array)| (name, array, true))).unwrap();
    for (from, length) in [(0, 200), (1, 64), (3, 63), (7, 130), (9, 0)] {
        let (_, Evaluated { column, .. }) =
            evaluate("n >= 100 and n != 2 * f + 1", &whole.slice(from, length));
        let expected = (from..from + length).map(|row| match (row % 3 != 0, row >= 100) {
            (true, holds) => json!(holds),
            (false, _) => json!(null),
        });
        assert_eq!(rows(&column), expected.collect::<Vec<_>>(), "{from} {length}");
    }
}

#[test]
fn a_batch_without_columns_has_rows_all_the_same() {
    let options = RecordBatchOptions::new().with_row_count(Some(2));
    let batch = RecordBatch::try_new_with_options(Arc::new(Schema::empty()), vec![], &options).unwrap();
    assert_eq!(rows(&evaluate("1 + 1 = 2", &batch).1.column), [json!(true), json!(true)]);
}

#[test]
fn a_batch_that_is_not_as_declared_is_an_error() {
    let bound = Expression::parse("n > 1").unwrap().bind(batch().schema_ref()).unwrap();
    let error = bound.evaluate(&batch().project(&[1]).unwrap()).unwrap_err();
    assert_eq!(error.to_string(), "column `n` is not in the batch as it was declared");
}

#[test]
fn an_expression_tells_its_columns() {
    let expression = Expression::parse("n > 1 and lower(s) in ('a', code) or n = `in`").unwrap();
    assert_eq!(expression.columns().into_iter().collect::<Vec<_>>(), ["code", "in", "n", "s"]);
    let bound = expression.bind(batch().schema_ref()).unwrap();
    assert_eq!(bound.columns().collect::<Vec<_>>(), ["n", "s", "code", "in"]);
    assert!(!bound.is_fallible());
}
