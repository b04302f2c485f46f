//! Dead letters on their way to the runtime, which knows the events by their rows.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use modrun_core::{DeadLetter, ErrorKind, Payload, Seq, raw_schema};
use modrun_wire::Failed;

/// Bytes of an event that are told; of a larger one only the beginning is.
const EVENT_BYTES_MAX: usize = 512 << 10;
const SHOWN_BYTES: usize = 1 << 10;

/// What the runtime is told of an event of the batch `input` that went wrong.
pub(super) fn failed(letter: DeadLetter, input: Seq, rows: &RecordBatch) -> Failed {
    let DeadLetter { reason, cause, detail, origin, payload } = letter;
    let told = Failed {
        kind: ErrorKind::Stage,
        code: reason.into_owned(),
        message: cause,
        detail: detail.unwrap_or_default(),
        input,
        rows: vec![0],
        ..Failed::default()
    };
    let line = origin.filter(|_| rows.schema() == raw_schema()).and_then(|origin| line(rows, origin.offset));
    if let Some((row, text_offset, text_length)) = line {
        return Failed { rows: vec![row], text_offset, text_length, ..told };
    }
    let event = match payload {
        Payload::Event(event) => serde_json::Value::Object(event),
        Payload::Raw { bytes, .. } => serde_json::json!({ "raw": String::from_utf8_lossy(&bytes) }),
    };
    let mut event = event.to_string();
    if event.len() > EVENT_BYTES_MAX {
        let shown: String = event.chars().take(SHOWN_BYTES).collect();
        event = serde_json::json!({ "begins": shown, "truncated": true }).to_string();
    }
    Failed { event, ..told }
}

/// The row, the offset in its text and the length of the line that begins at `offset` of the source.
fn line(raw: &RecordBatch, offset: u64) -> Option<(u32, u64, u64)> {
    let (offsets, texts) = (raw.column(1).as_primitive::<Int64Type>(), raw.column(3).as_binary::<i32>());
    (0..raw.num_rows()).find_map(|row| {
        let begin = offset.checked_sub(offsets.value(row) as u64)?;
        let line = texts.value(row).get(begin as usize..).filter(|line| !line.is_empty())?;
        let length = line.iter().position(|&byte| byte == b'\n').unwrap_or(line.len());
        Some((row as u32, begin, length as u64))
    })
}
