//! What the tests of `filter` and `project` share: a batch, and one run over it.

use std::sync::Arc;

use arrow_array::types::UInt8Type;
use arrow_array::{Array, ArrayRef, BinaryArray, DictionaryArray, Int64Array, RecordBatch, StringArray};
use arrow_schema::SchemaRef;
use modrun_core::env::Memory;
use modrun_core::{Bound, Columns, Kind, Limits, Open, OpenContext, Output, Payload};
use serde_json::{Value, json};

use modrun_core::value::ndjson;

/// Four events: `type` is dictionary-encoded, and `value` is null in the last one.
pub(crate) fn batch() -> RecordBatch {
    let types: DictionaryArray<UInt8Type> = ["click", "view", "click", "buy"].into_iter().collect();
    let columns: [(&str, ArrayRef, bool); 4] = [
        ("type", Arc::new(types), false),
        ("user", Arc::new(StringArray::from(vec!["ann", "bob", "cyd", "dan"])), false),
        ("value", Arc::new(Int64Array::from(vec![Some(0), Some(5), Some(20), None])), true),
        ("raw", Arc::new(BinaryArray::from_vec(vec![b"0", b"1", b"2", b"3"])), false),
    ];
    RecordBatch::try_from_iter_with_nullable(columns).unwrap()
}

/// The batch's schema as stages declare it: strings are plain.
pub(crate) fn schema() -> SchemaRef {
    let plain = |field: &Arc<arrow_schema::Field>| match field.data_type() {
        arrow_schema::DataType::Dictionary(..) => {
            field.as_ref().clone().with_data_type(arrow_schema::DataType::Utf8)
        }
        _ => field.as_ref().clone(),
    };
    Arc::new(arrow_schema::Schema::new(batch().schema().fields().iter().map(plain).collect::<Vec<_>>()))
}

/// Binds a kind to [`schema`].
pub(crate) fn bind(kind: &dyn Kind, config: &Value, wanted: &Columns) -> Bound {
    kind.bind(config, Some(&schema()), wanted).unwrap_or_else(|problems| panic!("{config}: {problems:?}"))
}

/// What a kind makes of the columns of [`batch`] that it uses.
pub(crate) fn run(kind: &dyn Kind, config: &Value, wanted: &Columns) -> Output {
    let Bound { output, uses, open, .. } = bind(kind, config, wanted);
    let Open::Transform(open) = open else { panic!("not a transform") };
    let env = Memory::default().env();
    let mut transform = open(OpenContext { env, limits: Limits::default(), states: vec![] }).unwrap();
    let batch = batch();
    let used: Vec<usize> =
        (0..batch.num_columns()).filter(|i| uses.contains(batch.schema().field(*i).name())).collect();
    let mut out = Output::default();
    transform.process(batch.project(&used).unwrap(), &mut out).unwrap();
    let declared: Vec<String> = output.unwrap().fields().iter().map(|field| field.name().clone()).collect();
    for batch in &out.batches {
        let given: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
        assert_eq!(given, declared, "{config}");
        assert!(batch.num_rows() > 0, "{config}");
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            assert!(field.is_nullable() || array.null_count() == 0, "{config}");
        }
    }
    out
}

/// The rows of all batches as JSON.
pub(crate) fn events(out: &Output) -> Value {
    let rows =
        out.batches.iter().flat_map(|batch| (0..batch.num_rows()).map(|row| ndjson::event(batch, row)));
    json!(rows.collect::<Vec<_>>())
}

/// The dead letters: cause and event.
pub(crate) fn set_aside(out: &Output) -> Vec<(&str, Value)> {
    let letters = out.dead_letters.iter().map(|letter| match &letter.payload {
        Payload::Event(event) => {
            assert_eq!((&*letter.reason, &letter.origin), ("expression", &None));
            (letter.cause.as_str(), json!(event))
        }
        other => panic!("no event: {other:?}"),
    });
    letters.collect()
}
