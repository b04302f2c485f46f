//! Tables: what is written is what is read, and whatever is read is safe to use.

mod support;

use arrow_array::RecordBatch;
use arrow_buffer::Buffer;
use arrow_schema::SchemaRef;
use modrun_wire::table::{self, Layout};
use proptest::prelude::*;
use support::batches;

fn written(batch: &RecordBatch) -> Vec<u8> {
    let layout = Layout::of(batch).unwrap();
    // What a slot held before must not shine through.
    let mut slot = vec![0xaa; layout.length() + 3];
    layout.write(&mut slot);
    assert_eq!(slot.split_off(layout.length()), [0xaa; 3]);
    slot
}

fn read(bytes: &[u8], schema: &SchemaRef) -> Result<RecordBatch, modrun_wire::Garbage> {
    table::decode(Buffer::from_slice_ref(bytes), schema)
}

proptest! {
    #[test]
    fn what_is_written_is_read((batch, schema) in batches::batch()) {
        let bytes = written(&batch);
        let read = read(&bytes, &schema).unwrap();
        prop_assert_eq!(read.num_rows(), batch.num_rows());
        prop_assert_eq!(batches::values(&read), batches::values(&batch));
        prop_assert_eq!(written(&read), bytes);
    }
}
