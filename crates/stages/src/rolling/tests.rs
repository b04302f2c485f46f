use arrow_array::types::Int8Type;
use arrow_array::{DictionaryArray, StringArray};
use modrun_core::env::Memory;
use modrun_core::{Limits, OpenContext};
use proptest::prelude::*;
use serde_json::json;

use super::*;

fn config(last: usize) -> Value {
    json!({"by": "user", "value": "value", "last": last})
}

fn bind(config: &Value, input: Vec<Field>) -> Result<Bound, Vec<Problem>> {
    Rolling.bind(config, Some(&Arc::new(Schema::new(input))), &Columns::All)
}

fn open(last: usize, states: Vec<State>) -> Box<dyn Transform> {
    let input = vec![Field::new("user", DataType::Utf8, true), Field::new("value", DataType::Int64, true)];
    let bound = bind(&config(last), input).unwrap_or_else(|problems| panic!("{problems:?}"));
    assert_eq!(bound.concurrency, Concurrency::Ordered);
    let Open::Transform(open) = bound.open else { panic!("not a transform") };
    open(OpenContext { env: Memory::default().env(), limits: Limits::default(), states }).unwrap()
}

type Event = (Option<&'static str>, Option<i64>);

fn batch(events: &[Event], is_dictionary: bool) -> RecordBatch {
    let users = events.iter().map(|(user, _)| *user);
    let users: ArrayRef = if is_dictionary {
        Arc::new(users.collect::<DictionaryArray<Int8Type>>())
    } else {
        Arc::new(users.collect::<StringArray>())
    };
    let values: ArrayRef = Arc::new(events.iter().map(|(_, value)| *value).collect::<Int64Array>());
    RecordBatch::try_from_iter_with_nullable([("user", users, true), ("value", values, true)]).unwrap()
}

/// The features of each event that goes on, and the causes of those that do not.
fn rows(out: &Output) -> (Vec<[i64; 5]>, Vec<String>) {
    let row = |batch: &RecordBatch, row: usize| {
        Features::NAMES.map(|name| named(batch, name).unwrap().as_primitive::<Int64Type>().value(row))
    };
    let rows = out.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(move |at| row(batch, at)));
    (rows.collect(), out.dead_letters.iter().map(|letter| letter.cause.clone()).collect())
}

/// The definition, word by word, over 128 bits and all values that a key ever had.
fn model(last: usize, events: &[Event]) -> Vec<[i64; 5]> {
    let mut rows = Vec::new();
    for (at, (user, _)) in events.iter().enumerate() {
        let mut values: Vec<i128> = events[..=at]
            .iter()
            .filter(|(other, _)| other == user)
            .map(|(_, value)| value.unwrap().into())
            .collect();
        values.drain(..values.len().saturating_sub(last));
        let n = values.len() as i128;
        let floor = |a: i128, b: i128| (a - (a % b + b) % b) / b;
        let mean = floor(1000 * values.iter().sum::<i128>(), n);
        let deviation = floor(values.iter().map(|value| (1000 * value - mean).abs()).sum(), n);
        let normalised: Vec<i128> = values
            .iter()
            .map(|value| if deviation == 0 { 0 } else { floor(1000 * (1000 * value - mean), deviation) })
            .collect();
        let modulus = (1 << 31) - 1;
        let digest = normalised.iter().fold(0, |digest, one| {
            let next = 1_000_003 * digest + one;
            next - floor(next, modulus) * modulus
        });
        let row = [n, mean, deviation, *normalised.last().unwrap(), digest];
        rows.push(row.map(|number| i64::try_from(number).unwrap()));
    }
    rows
}

#[test]
fn three_events_worked_by_hand() {
    let mut out = Output::default();
    let events = [(Some("ada"), Some(10)), (Some("ada"), Some(20)), (Some("ada"), Some(-5))];
    open(2, vec![]).process(batch(&events, false), &mut out).unwrap();
    let first = [1, 10_000, 0, 0, 0];
    // 10 and 20 are 5 on either side of 15: −1000, then 1000.
    let second = [2, 15_000, 5_000, 1000, (1_000_003 * (2_147_483_647 - 1000) + 1000) % 2_147_483_647];
    // 10 has left.
    let third = [2, 7_500, 12_500, -1000, 1000 * 1_000_003 - 1000];
    assert_eq!(rows(&out).0, [first, second, third]);
}

#[test]
fn what_a_window_cannot_hold_is_a_dead_letter_and_in_no_window() {
    let mut out = Output::default();
    let million = 1_000_000_000;
    let events = [
        (Some("ada"), Some(million)),
        (Some("ada"), Some(million + 1)),
        (Some("ada"), None),
        (Some("ada"), Some(i64::MIN)),
        (Some("ada"), Some(-million)),
    ];
    open(4096, vec![]).process(batch(&events, true), &mut out).unwrap();
    let beyond = "`value` is beyond 1000000000, the most that a window can hold";
    let null = "`value` is null, which no window can hold";
    let (rows, causes) = rows(&out);
    assert_eq!(causes, [beyond, null, beyond]);
    assert_eq!(rows, model(4096, &[events[0], events[4]]));
}

#[test]
fn what_cannot_be_bound_says_why() {
    let input = |value: DataType, third: &str| {
        vec![
            Field::new("user", DataType::Utf8, false),
            Field::new("value", value, false),
            Field::new(third, DataType::Int64, false),
        ]
    };
    let config = config(32);
    let cases = [
        (json!({"by": "usr", "value": "value", "last": 2}), DataType::Int64, "x", "there is no column `usr`"),
        (json!({"by": [], "value": "value", "last": 2}), DataType::Int64, "x", "no column is named"),
        (config.clone(), DataType::Float64, "x", "`value` is float64, but a window is of an int64 column"),
        (config, DataType::Int64, "mean", "`rolling` adds a column `mean`, but its input has one"),
    ];
    for (config, value, third, expected) in cases {
        let problems = bind(&config, input(value, third)).unwrap_err();
        let messages: Vec<String> = problems.iter().map(|problem| format!("{problem:?}")).collect();
        assert!(messages.len() == 1 && messages[0].contains(expected), "{messages:?}");
    }
}

#[test]
fn a_state_of_other_columns_is_refused() {
    let input = vec![Field::new("value", DataType::Int64, false)];
    let bound = bind(&json!({"by": "value", "value": "value", "last": 2}), input).unwrap();
    let state = open(2, vec![]).snapshot().unwrap();
    assert!(state.is_empty());
    let mut other = open(2, vec![]);
    other.process(batch(&[(Some("a"), Some(1))], false), &mut Output::default()).unwrap();
    let Open::Transform(open) = bound.open else { panic!("not a transform") };
    let states = vec![other.snapshot().unwrap()];
    assert!(open(OpenContext { env: Memory::default().env(), limits: Limits::default(), states }).is_err());
}

proptest! {
    /// In batches of any size, plain or as a dictionary, and through a snapshot after each.
    #[test]
    fn is_what_the_definition_says(
        events in prop::collection::vec(
            (
                prop::sample::select(vec![None, Some("a"), Some("b")]),
                prop_oneof![-5_i64..5, -1_000_000_000_i64..=1_000_000_000].prop_map(Some),
            ),
            1..120,
        ),
        last in prop_oneof![2_usize..6, Just(4096)],
        rows_of_batch in 1_usize..40,
    ) {
        let mut out = Output::default();
        let mut instance = open(last, vec![]);
        for (at, events) in events.chunks(rows_of_batch).enumerate() {
            instance.process(batch(events, at % 2 == 0), &mut out).unwrap();
            instance = open(last, vec![instance.snapshot().unwrap()]);
        }
        prop_assert_eq!(rows(&out), (model(last, &events), vec![]));
    }
}
