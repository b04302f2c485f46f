use std::num::NonZeroU32;

use arrow_array::types::UInt8Type;
use arrow_array::{DictionaryArray, StringArray, UInt8Array};
use modrun_core::value::ndjson;

use super::*;

const PACE: Duration = Duration::from_millis(5);

/// Some instant; only differences matter.
#[expect(clippy::disallowed_methods, reason = "an instant cannot be made otherwise")]
fn begin() -> Instant {
    Instant::now()
}

fn schema() -> SchemaRef {
    Arc::new(Schema::new(vec![
        Field::new("s", DataType::Utf8, true),
        Field::new("n", DataType::Int64, false),
    ]))
}

/// Rows `from..to`; every other batch is encoded, with a dictionary of its own.
fn batch(from: i64, to: i64) -> RecordBatch {
    let numbers = Int64Array::from_iter_values(from..to);
    let text = |n: i64| (n % 5 > 0).then(|| format!("s{}", n % 4));
    let strings: ArrayRef = if from % 2 == 0 {
        let names: Vec<String> = (0..4).map(|n| format!("s{}", (n + from) % 4)).collect();
        let code = |n: i64| text(n).map(|text| names.iter().position(|name| *name == text).unwrap() as u8);
        let codes = UInt8Array::from_iter((from..to).map(code));
        let values = Arc::new(StringArray::from_iter_values(&names));
        Arc::new(DictionaryArray::<UInt8Type>::try_new(codes, values).unwrap())
    } else {
        Arc::new(StringArray::from_iter((from..to).map(text)))
    };
    let fields =
        vec![Field::new("s", strings.data_type().clone(), true), Field::new("n", DataType::Int64, false)];
    RecordBatch::try_new(Arc::new(Schema::new(fields)), vec![strings, Arc::new(numbers)]).unwrap()
}

fn lines_of(batches: &[RecordBatch]) -> String {
    let mut out = Vec::new();
    batches.iter().for_each(|batch| ndjson::write_rows(batch, &mut out).unwrap());
    String::from_utf8(out).unwrap()
}

fn rows(rows: u32, linger: Option<Duration>) -> BatchPolicy {
    BatchPolicy::Rows { rows: NonZeroU32::new(rows).unwrap(), linger }
}

fn drain(batcher: &mut Batcher, facts: Facts) -> Vec<RecordBatch> {
    std::iter::from_fn(|| batcher.take(facts).unwrap()).collect()
}

#[test]
fn a_policy_of_rows_gives_as_many_and_the_rest_at_the_end() {
    for (size, inputs) in
        [(1, vec![5, 1, 7]), (3, vec![1, 1, 1, 10]), (4, vec![16, 2]), (100, vec![3, 4]), (7, vec![0, 7, 7])]
    {
        let mut batcher = Batcher::new(rows(size, None), PACE, &schema());
        let now = begin();
        let (mut at, mut input, mut output) = (0, Vec::new(), Vec::new());
        for length in inputs {
            let rows = batch(at, at + length);
            at += length;
            input.push(rows.clone());
            batcher.push(rows, now);
            let facts = Facts { in_flight: 0, more: true, ended: false, now };
            output.append(&mut drain(&mut batcher, facts));
            assert!(output.iter().all(|rows| rows.num_rows() == size as usize));
        }
        let facts = Facts { in_flight: 0, more: false, ended: true, now };
        output.append(&mut drain(&mut batcher, facts));
        let (_, full) = output.split_last().unwrap();
        assert!(full.iter().all(|rows| rows.num_rows() == size as usize));
        assert_eq!(lines_of(&output), lines_of(&input));
    }
}

#[test]
fn rows_leave_when_the_oldest_has_lingered() {
    let linger = Duration::from_millis(10);
    let mut batcher = Batcher::new(rows(100, Some(linger)), PACE, &schema());
    let now = begin();
    batcher.push(batch(0, 3), now);
    assert_eq!(batcher.deadline(), Some(now + linger));
    let facts = Facts { in_flight: 0, more: false, ended: false, now };
    assert!(batcher.take(facts).unwrap().is_none());
    let later = Facts { now: now + linger, ..facts };
    assert_eq!(batcher.take(later).unwrap().unwrap().num_rows(), 3);
    assert_eq!(batcher.deadline(), None);
}

#[test]
fn the_adaptive_policy_gathers_while_the_receiver_is_busy_and_more_is_at_hand() {
    let now = begin();
    let cases = [
        ("idle", Facts { in_flight: 0, more: true, ended: false, now }, true),
        ("busy, and more comes", Facts { in_flight: BUSY_BATCHES, more: true, ended: false, now }, false),
        ("busy, and nothing comes", Facts { in_flight: 9, more: false, ended: false, now }, true),
        ("at the end", Facts { in_flight: 9, more: true, ended: true, now }, true),
    ];
    for (what, facts, leaves) in cases {
        let mut batcher = Batcher::new(BatchPolicy::Adaptive, PACE, &schema());
        batcher.push(batch(0, 3), now);
        assert_eq!(batcher.take(facts).unwrap().is_some(), leaves, "{what}");
    }
    let mut batcher = Batcher::new(BatchPolicy::Adaptive, PACE, &schema());
    for at in 0..5 {
        batcher.push(batch(at * 30_000, (at + 1) * 30_000), now);
    }
    let busy = Facts { in_flight: BUSY_BATCHES, more: true, ended: false, now };
    assert_eq!(batcher.take(busy).unwrap().unwrap().num_rows(), 150_000);
}

#[test]
fn the_adaptive_policy_keeps_a_pace() {
    let first = begin();
    let mut batcher = Batcher::new(BatchPolicy::Adaptive, PACE, &schema());
    let mut taken = |at: Instant, rows: i64, ended: bool| {
        batcher.push(batch(0, rows), at);
        let taken = batcher.take(Facts { in_flight: 0, more: false, ended, now: at }).unwrap();
        (taken.map(|rows| rows.num_rows()), batcher.deadline())
    };
    let soon = first + PACE / 2;
    assert_eq!(taken(first, 3, false), (Some(3), None), "the first one leaves at once");
    assert_eq!(taken(soon, 4, false), (None, Some(first + PACE)), "the next one is held back");
    assert_eq!(taken(soon, 5, false), (None, Some(first + PACE)));
    assert_eq!(taken(first + PACE, 0, false), (Some(9), None), "until it is due");
    let late = first + 3 * PACE;
    assert_eq!(taken(late, 1, false), (Some(1), None), "after a pause one leaves at once");
    assert_eq!(taken(late, ADAPTIVE_ROWS as i64, false).0, Some(ADAPTIVE_ROWS), "so does a full one");
    assert_eq!(taken(late, 2, true).0, Some(2), "and the last one");
}

#[test]
fn text_is_split_between_lines() {
    let text = |offset: i64, line: Option<i64>, text: &str| {
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from(vec!["f"])),
            Arc::new(Int64Array::from_iter_values([offset])),
            Arc::new(Int64Array::from_iter([line])),
            Arc::new(BinaryArray::from_iter_values([text.as_bytes()])),
        ];
        RecordBatch::try_new(raw_schema(), columns).unwrap()
    };
    let mut batcher = Batcher::new(rows(2, None), PACE, &raw_schema());
    let now = begin();
    batcher.push(text(0, Some(1), "a\nbb\nccc\n"), now);
    batcher.push(text(9, Some(4), "dddd\ne"), now);
    let facts = Facts { in_flight: 0, more: false, ended: true, now };
    let seen: Vec<Vec<(i64, i64, Vec<u8>)>> = drain(&mut batcher, facts)
        .iter()
        .map(|batch| {
            let (offsets, lines) = (batch.column(1).as_primitive::<Int64Type>(), batch.column(2));
            let lines = lines.as_primitive::<Int64Type>();
            (0..batch.num_rows())
                .map(|row| (offsets.value(row), lines.value(row), texts(batch).value(row).to_vec()))
                .collect()
        })
        .collect();
    let row = |offset, line, text: &str| (offset, line, text.as_bytes().to_vec());
    assert_eq!(
        seen,
        [vec![row(0, 1, "a\nbb\n")], vec![row(5, 3, "ccc\n"), row(9, 4, "dddd\n")], vec![row(14, 5, "e")],]
    );
}

#[test]
fn more_strings_than_codes_become_plain() {
    let part = |from: usize| {
        let values = StringArray::from_iter_values((0..200).map(|n| format!("v{}", from + n)));
        let codes = UInt8Array::from_iter_values(0..200);
        let strings = DictionaryArray::<UInt8Type>::try_new(codes, Arc::new(values)).unwrap();
        let field = Field::new("s", strings.data_type().clone(), false);
        RecordBatch::try_new(Arc::new(Schema::new(vec![field])), vec![Arc::new(strings)]).unwrap()
    };
    let parts = vec![part(0), part(100)];
    let joined = join(parts.clone()).unwrap();
    assert_eq!(joined.column(0).data_type(), &DataType::Utf8);
    assert_eq!(lines_of(&[joined]), lines_of(&parts));
}
