use std::cmp::Ordering;
use std::collections::BTreeMap;

use arrow_array::types::{Int8Type, UInt32Type};
use arrow_array::{
    BinaryArray, BooleanArray, DictionaryArray, Float64Array, StringArray, TimestampMicrosecondArray,
    UInt8Array,
};
use arrow_schema::{DataType, Field};
use modrun_core::env::Memory;
use modrun_core::{Limits, OpenContext, Type};
use proptest::prelude::*;
use serde_json::json;

use super::*;

mod model;

fn bind(config: &Value, schema: &SchemaRef) -> Bound {
    Aggregate.bind(config, Some(schema), &Columns::All).unwrap_or_else(|problems| panic!("{problems:?}"))
}

fn open(bound: &Bound, states: Vec<State>) -> Box<dyn Transform> {
    let Open::Transform(open) = &bound.open else { panic!("not a transform") };
    open(OpenContext { env: Memory::default().env(), limits: Limits::default(), states }).unwrap()
}

fn finish(instance: &mut Box<dyn Transform>, bound: &Bound) -> Result<String> {
    let mut out = Output::default();
    instance.finish(&mut out)?;
    let mut text = Vec::new();
    for batch in &out.batches {
        assert_eq!(Some(batch.schema()), bound.output);
        assert!((1..=ROWS_MAX).contains(&batch.num_rows()));
        ndjson::write_rows(batch, &mut text)?;
    }
    Ok(String::from_utf8(text).unwrap())
}

/// The output of one instance that sees all batches in order.
fn run(config: &Value, batches: &[RecordBatch]) -> Result<String> {
    let bound = bind(config, batches[0].schema_ref());
    let mut instance = open(&bound, vec![]);
    let mut out = Output::default();
    batches.iter().try_for_each(|batch| instance.process(batch.clone(), &mut out))?;
    assert!(out.batches.is_empty());
    finish(&mut instance, &bound)
}

fn batch(columns: Vec<(&str, ArrayRef)>) -> RecordBatch {
    RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true)))
        .unwrap()
}

/// Groups one key column, counting its rows.
fn keys(key: impl arrow_array::Array + 'static) -> String {
    let text =
        run(&json!({"by": ["k"], "values": {"n": "count()"}}), &[batch(vec![("k", Arc::new(key))])]).unwrap();
    text.lines()
        .map(|line| line.strip_prefix("{\"k\":").unwrap().replace(",\"n\":", "×").replace('}', " "))
        .collect()
}

/// Applies one function to one column without a key.
fn value(function: &str, column: impl arrow_array::Array + 'static) -> String {
    let config = json!({"values": {"v": format!("{function}(x)")}});
    let text = run(&config, &[batch(vec![("x", Arc::new(column))])]).unwrap();
    text.trim_end().strip_prefix("{\"v\":").unwrap().strip_suffix('}').unwrap().to_owned()
}

#[test]
fn the_event_pipelines_aggregate_comes_out_as_its_readers_expect() {
    let types: DictionaryArray<Int8Type> = ["purchase", "click", "click"].into_iter().collect();
    let rows =
        batch(vec![("type", Arc::new(types)), ("value", Arc::new(Int64Array::from(vec![100, 55, 56])))]);
    let config = json!({
        "by": {"key": "type"},
        "values": {"count": "count()", "sum": "sum(value)", "avg": "avg(value)"},
    });
    let expected = "{\"key\":\"click\",\"count\":2,\"sum\":111,\"avg\":55.5}\n\
                    {\"key\":\"purchase\",\"count\":1,\"sum\":100,\"avg\":100}\n";
    assert_eq!(run(&config, &[rows]).unwrap(), expected);
}

#[test]
fn rows_are_sorted_by_key_with_nulls_first() {
    assert_eq!(
        keys(StringArray::from(vec![
            Some("b"),
            None,
            Some(""),
            Some("a\0b"),
            Some("a"),
            Some("é"),
            Some("b"),
            None
        ])),
        "null×2 \"\"×1 \"a\"×1 \"a\\u0000b\"×1 \"b\"×2 \"é\"×1 "
    );
    assert_eq!(
        keys(Int64Array::from(vec![Some(1), Some(-1), None, Some(i64::MIN), Some(i64::MAX), Some(-1)])),
        "null×1 -9223372036854775808×1 -1×2 1×1 9223372036854775807×1 "
    );
    assert_eq!(
        keys(BooleanArray::from(vec![Some(true), None, Some(false), Some(true)])),
        "null×1 false×1 true×2 "
    );
    assert_eq!(
        keys(BinaryArray::from_opt_vec(vec![Some(b"\xff"), None, Some(b"\0")])),
        "null×1 \"AA==\"×1 \"/w==\"×1 "
    );
    assert_eq!(
        keys(TimestampMicrosecondArray::from(vec![Some(0), Some(-1), None]).with_timezone("UTC")),
        "null×1 \"1969-12-31T23:59:59.999999Z\"×1 \"1970-01-01T00:00:00.000Z\"×1 "
    );
}

#[test]
fn float_keys_are_equal_by_value() {
    let (nan, inf) = (f64::NAN, f64::INFINITY);
    let column = Float64Array::from(vec![
        Some(0.0),
        Some(-0.0),
        Some(nan),
        Some(-nan),
        Some(-inf),
        Some(inf),
        Some(-1.5),
        None,
    ]);
    assert_eq!(keys(column), "null×1 null×1 -1.5×1 0×2 null×1 null×2 ");
}

#[test]
fn a_dictionarys_values_without_rows_are_no_groups() {
    let strings: ArrayRef =
        Arc::new(StringArray::from(vec![Some("view"), Some("b"), None, Some("b"), Some("a")]));
    let codes = UInt8Array::from(vec![Some(3), Some(1), None, Some(4), Some(2)]);
    assert_eq!(keys(DictionaryArray::new(codes, strings)), "null×2 \"a\"×1 \"b\"×2 ");
}

#[test]
fn a_dictionary_may_change_from_batch_to_batch() {
    let of = |texts: [&str; 2]| {
        let types: DictionaryArray<UInt32Type> = texts.into_iter().collect();
        batch(vec![("k", Arc::new(types))])
    };
    let shared = of(["b", "a"]);
    let batches = [shared.slice(0, 1), shared.slice(1, 1), of(["a", "c"]), shared];
    let text = run(&json!({"by": ["k"], "values": {"n": "count()"}}), &batches).unwrap();
    assert_eq!(text, "{\"k\":\"a\",\"n\":3}\n{\"k\":\"b\",\"n\":2}\n{\"k\":\"c\",\"n\":1}\n");
}

#[test]
fn functions_skip_nulls_and_give_null_for_nothing() {
    let ints = Int64Array::from(vec![Some(5), None, Some(-2)]);
    let floats = Float64Array::from(vec![Some(1e100), Some(1.0), None, Some(-1e100), Some(-0.5)]);
    let nans = Float64Array::from(vec![Some(f64::NAN), Some(1.0)]);
    let strings = StringArray::from(vec![None, Some("b"), Some("a\u{1}"), Some("ä")]);
    let coded: DictionaryArray<Int8Type> = strings.iter().collect();
    let bools = BooleanArray::from(vec![Some(true), None, Some(false)]);
    let times = TimestampMicrosecondArray::from(vec![Some(1), None, Some(2_000)]).with_timezone("UTC");
    for (function, column, expected) in [
        ("count", Arc::new(ints.clone()) as ArrayRef, "2"),
        ("sum", Arc::new(ints.clone()), "3"),
        ("avg", Arc::new(ints.clone()), "1.5"),
        ("min", Arc::new(ints.clone()), "-2"),
        ("max", Arc::new(ints), "5"),
        ("count", Arc::new(floats.clone()), "4"),
        ("sum", Arc::new(floats.clone()), "0.5"),
        ("avg", Arc::new(floats.clone()), "0.125"),
        ("min", Arc::new(floats.clone()), "-1e+100"),
        ("max", Arc::new(floats), "1e+100"),
        ("min", Arc::new(nans.clone()), "1"),
        ("max", Arc::new(nans), "null"),
        ("count", Arc::new(strings.clone()), "3"),
        ("min", Arc::new(strings.clone()), r#""a\u0001""#),
        ("max", Arc::new(strings), r#""ä""#),
        ("count", Arc::new(coded.clone()), "3"),
        ("min", Arc::new(coded.clone()), r#""a\u0001""#),
        ("max", Arc::new(coded), r#""ä""#),
        ("min", Arc::new(bools.clone()), "false"),
        ("max", Arc::new(bools.clone()), "true"),
        ("count", Arc::new(bools), "2"),
        ("min", Arc::new(times.clone()), r#""1970-01-01T00:00:00.000001Z""#),
        ("max", Arc::new(times), r#""1970-01-01T00:00:00.002Z""#),
        ("count", Arc::new(BinaryArray::from_opt_vec(vec![None, Some(b"")])), "1"),
    ] {
        let all = batch(vec![("x", column.clone())]);
        let check = |rows: RecordBatch, expected: &str| {
            let config = json!({"values": {"v": format!("{function}(x)")}});
            assert_eq!(
                run(&config, &[rows]).unwrap(),
                format!("{{\"v\":{expected}}}\n"),
                "{function} of {column:?}"
            );
        };
        check(all.clone(), expected);
        check(all.slice(0, 0), if function == "count" { "0" } else { "null" });
    }
    assert_eq!(value("sum", Int64Array::from(vec![None, None])), "null");
}

#[test]
fn without_keys_there_is_one_group_even_for_no_rows() {
    let rows = batch(vec![("x", Arc::new(Int64Array::from(vec![1, 2])))]);
    for by in [json!({}), json!({"by": {}}), json!({"by": []})] {
        let mut config = by;
        config["values"] = json!({"n": "count()", "s": "sum(x)"});
        assert_eq!(run(&config, std::slice::from_ref(&rows)).unwrap(), "{\"n\":2,\"s\":3}\n");
        assert_eq!(run(&config, &[rows.slice(0, 0)]).unwrap(), "{\"n\":0,\"s\":null}\n");
    }
    let keyed = json!({"by": ["x"], "values": {"n": "count()"}});
    assert_eq!(run(&keyed, &[rows.slice(0, 0)]).unwrap(), "");
    let distinct = json!({"by": ["x"]});
    assert_eq!(run(&distinct, &[rows.clone(), rows]).unwrap(), "{\"x\":1}\n{\"x\":2}\n");
}

#[test]
fn results_come_in_batches_of_bounded_size() {
    let many: Int64Array = (0..20_000).rev().collect();
    let text =
        run(&json!({"by": ["k"], "values": {"m": "max(k)"}}), &[batch(vec![("k", Arc::new(many))])]).unwrap();
    let expected: String = (0..20_000).map(|k| format!("{{\"k\":{k},\"m\":{k}}}\n")).collect();
    assert!(text == expected);
}

#[test]
fn a_sum_beyond_int64_names_group_and_column() {
    let check = |values: Vec<i64>, by: Value, expected: Result<&str, &str>| {
        let keys = StringArray::from(vec!["a"; values.len()]);
        let rows = batch(vec![("k", Arc::new(keys)), ("x", Arc::new(Int64Array::from(values)))]);
        let config = json!({"by": by, "values": {"s": "sum(x)", "a": "avg(x)"}});
        match (run(&config, &[rows]), expected) {
            (Ok(text), Ok(expected)) => assert_eq!(text, expected),
            (Err(error), Err(expected)) => {
                assert_eq!(error.to_string(), expected);
                assert_eq!(error.code(), Some(Code::OVERFLOW));
                assert!(error.hint().unwrap().contains("avg(x)"));
            }
            (got, _) => panic!("{got:?}"),
        }
    };
    check(vec![i64::MAX, 1, -1], json!([]), Ok("{\"s\":9223372036854775807,\"a\":3074457345618258400}\n"));
    check(vec![i64::MAX, 1], json!([]), Err("the sum of `x` leaves the range of int64"));
    check(
        vec![i64::MIN, -1],
        json!({"key": "k"}),
        Err("the sum of `x` leaves the range of int64 in the group `{\"key\":\"a\"}`"),
    );
    let average_alone = json!({"values": {"a": "avg(x)"}});
    let rows = batch(vec![("x", Arc::new(Int64Array::from(vec![i64::MAX, i64::MAX])))]);
    assert_eq!(run(&average_alone, &[rows]).unwrap(), "{\"a\":9223372036854776000}\n");
}

#[test]
fn what_it_gives_and_uses_is_known_before_it_runs() {
    let schema = model::schema();
    let bound = bind(
        &json!({"by": {"key": "s"}, "values": {"n": "COUNT( )", "m": " min ( `t` ) ", "a": "avg(i)", "f": "sum(f)"}}),
        &schema,
    );
    assert_eq!(bound.concurrency, Concurrency::Mergeable);
    assert_eq!(bound.uses, Columns::from_iter(["s", "t", "i", "f"]));
    let fields = [
        ("key", Type::String, true),
        ("n", Type::Int64, false),
        ("m", Type::Timestamp, true),
        ("a", Type::Float64, true),
        ("f", Type::Float64, true),
    ];
    let fields = fields.map(|(name, of, nullable)| Field::new(name, of.to_arrow(), nullable));
    assert_eq!(bound.output, Some(Arc::new(Schema::new(fields.to_vec()))));
}

#[test]
fn every_problem_is_reported_where_it_is() {
    let check = |config: Value, expected: &[(Code, &str, &str, &str, Option<&str>)]| {
        let schema = Arc::new(Schema::new(vec![
            Field::new("type", DataType::Utf8, false),
            Field::new("value", DataType::Int64, true),
            Field::new("raw", DataType::Binary, true),
            Field::new("odd", DataType::Int32, true),
        ]));
        let problems = Aggregate.bind(&config, Some(&schema), &Columns::All).unwrap_err();
        let seen: Vec<_> = problems
            .iter()
            .map(|problem| {
                let path: Vec<String> = problem.path.iter().map(|step| format!("{step:?}")).collect();
                let text = problem.path.iter().fold(&config, |value, step| match step {
                    modrun_core::Segment::Key(key) => &value[key],
                    modrun_core::Segment::Index(index) => &value[index],
                });
                let within = problem.within.clone().map(|range| &text.as_str().unwrap()[range]);
                (
                    problem.code,
                    path.join("."),
                    problem.message.clone(),
                    problem.hint.clone().unwrap_or_default(),
                    within,
                )
            })
            .collect();
        let seen: Vec<_> =
            seen.iter().map(|p| (p.0, p.1.as_str(), p.2.as_str(), p.3.as_str(), p.4)).collect();
        assert_eq!(seen, expected);
    };
    let value_at = r#"Key("values").Key("v")"#;
    let one = |text: &str| json!({"by": ["type"], "values": {"v": text}});
    check(
        one("sum(valeu)"),
        &[(
            Code::UNKNOWN_COLUMN,
            value_at,
            "there is no column `valeu`",
            "did you mean `value`?",
            Some("valeu"),
        )],
    );
    check(
        one("summ(value)"),
        &[(Code::EXPRESSION, value_at, "there is no function `summ`", "did you mean `sum`?", Some("summ"))],
    );
    check(
        one(" avg( type )"),
        &[(
            Code::WRONG_TYPE,
            value_at,
            "`avg` cannot take `type`, which is string",
            "it takes int64 and float64",
            Some("type"),
        )],
    );
    check(
        one("max(raw)"),
        &[(
            Code::WRONG_TYPE,
            value_at,
            "`max` cannot take `raw`, which is binary",
            "it takes int64, float64, string, timestamp and bool",
            Some("raw"),
        )],
    );
    check(
        one("count(odd)"),
        &[(Code::WRONG_TYPE, value_at, "`odd` is Int32, which is no link type", "", Some("odd"))],
    );
    check(
        one("sum( )"),
        &[(Code::EXPRESSION, value_at, "`sum` needs a column", "such as `sum(value)`", Some("sum( )"))],
    );
    check(
        one("count(*)"),
        &[(Code::EXPRESSION, value_at, "`*` is no column", "write `count()` to count rows", Some("*"))],
    );
    check(
        one("sum(value"),
        &[(Code::EXPRESSION, value_at, "the closing parenthesis is missing", "", Some(""))],
    );
    check(
        one("value"),
        &[(
            Code::EXPRESSION,
            value_at,
            "`value` is no function of a column",
            "write a function and a column, such as `sum(value)`, or `count()`",
            Some("value"),
        )],
    );
    check(
        json!({"by": {"type": "typ", "n": "value"}, "values": {"n": "count()", "m": "min(x)"}}),
        &[
            (
                Code::UNKNOWN_COLUMN,
                r#"Key("by").Key("type")"#,
                "there is no column `typ`",
                "did you mean `type`?",
                None,
            ),
            (
                Code::WRONG_VALUE,
                r#"Key("values").Key("n")"#,
                "there are two output columns `n`",
                "give one of them another name",
                None,
            ),
            (
                Code::UNKNOWN_COLUMN,
                r#"Key("values").Key("m")"#,
                "there is no column `x`",
                "known here: type, value, raw, odd",
                Some("x"),
            ),
        ],
    );
    check(
        json!({"by": ["type", "type"]}),
        &[(
            Code::WRONG_VALUE,
            r#"Key("by").Index(1)"#,
            "there are two output columns `type`",
            "give one of them another name",
            None,
        )],
    );
    check(
        json!({}),
        &[(
            Code::MISSING_KEY,
            "",
            "`aggregate` has neither columns to group by nor values",
            "add `values: {count: count()}`",
            None,
        )],
    );
}

#[test]
fn a_state_of_another_configuration_is_refused() {
    let rows = batch(vec![("x", Arc::new(Int64Array::from(vec![1, 2])))]);
    let state = |config: Value| {
        let mut instance = open(&bind(&config, rows.schema_ref()), vec![]);
        instance.process(rows.clone(), &mut Output::default()).unwrap();
        instance.snapshot().unwrap()
    };
    let bound = bind(&json!({"values": {"s": "sum(x)"}}), rows.schema_ref());
    let Open::Transform(open) = &bound.open else { panic!("not a transform") };
    let open = |state| {
        open(OpenContext { env: Memory::default().env(), limits: Limits::default(), states: vec![state] })
    };
    assert!(open(state(json!({"values": {"s": "sum(x)"}}))).is_ok());
    assert!(open(state(json!({"values": {"s": "min(x)"}}))).is_err());
    let good = &state(json!({"values": {"s": "sum(x)"}}))[0];
    for (at, column) in [
        (0, Arc::new(Int64Array::from(vec![-1])) as ArrayRef),
        (1, Arc::new(Int64Array::from(vec![-1]))),
        (2, Arc::new(BinaryArray::from_vec(vec![b"short"]))),
    ] {
        let mut columns = good.columns().to_vec();
        columns[at] = column;
        assert!(open(vec![RecordBatch::try_new(good.schema(), columns).unwrap()]).is_err(), "column {at}");
    }
}

/// Everything that can be asked of the model's columns.
fn everything(by: &[&str]) -> Value {
    let mut values = serde_json::Map::new();
    for function in ["count", "sum", "avg", "min", "max"] {
        for column in ["i", "f", "s", "b", "t"] {
            if matches!(column, "i" | "f") || matches!(function, "count" | "min" | "max") {
                values.insert(format!("{function}_{column}"), format!("{function}({column})").into());
            }
        }
    }
    values.insert("rows".to_owned(), "count()".into());
    json!({"by": by, "values": values})
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn any_split_over_any_instances_gives_what_the_model_gives(
        rows in proptest::collection::vec(model::row(), 0..80),
        cuts in proptest::collection::vec((any::<prop::sample::Index>(), 0_usize..5, any::<bool>()), 1..8),
        order in Just([0, 1, 2, 3, 4]).prop_shuffle(),
        by in prop::sample::subsequence(vec!["s", "i", "f", "b", "t"], 0..=5).prop_shuffle(),
    ) {
        let config = everything(&by);
        let bound = bind(&config, &model::schema());
        let mut ends: Vec<_> = cuts.iter().map(|(end, to, coded)| (end.index(rows.len() + 1), *to, *coded)).collect();
        ends.sort_unstable();
        ends.push((rows.len(), 0, false));

        let mut instances: Vec<_> = (0..5).map(|_| open(&bound, vec![])).collect();
        let mut from = 0;
        for (end, to, coded) in ends {
            instances[to].process(model::batch(&rows[from..end], coded), &mut Output::default()).unwrap();
            from = end;
        }
        let states = order.iter().map(|i| instances[*i].snapshot().unwrap()).collect();
        let merged = finish(&mut open(&bound, states), &bound).unwrap();

        prop_assert_eq!(&merged, &run(&config, &[model::batch(&rows, true)]).unwrap());
        prop_assert_eq!(merged, model::aggregate(&config, &rows));
    }

    #[test]
    fn an_instance_goes_on_where_its_state_left_off(
        values in proptest::collection::vec((0_i64..3, any::<f64>()), 1..60),
        cut in any::<prop::sample::Index>(),
    ) {
        let rows = batch(vec![
            ("k", Arc::new(values.iter().map(|row| Some(row.0)).collect::<Int64Array>())),
            ("x", Arc::new(values.iter().map(|row| Some(row.1)).collect::<Float64Array>())),
        ]);
        let config = json!({"by": ["k"], "values": {"s": "sum(x)", "a": "avg(x)", "l": "min(x)", "g": "max(x)"}});
        let bound = bind(&config, rows.schema_ref());
        let cut = cut.index(values.len());
        let mut first = open(&bound, vec![]);
        first.process(rows.slice(0, cut), &mut Output::default()).unwrap();
        let mut second = open(&bound, vec![first.snapshot().unwrap()]);
        second.process(rows.slice(cut, values.len() - cut), &mut Output::default()).unwrap();
        prop_assert_eq!(finish(&mut second, &bound).unwrap(), run(&config, &[rows]).unwrap());
    }
}
