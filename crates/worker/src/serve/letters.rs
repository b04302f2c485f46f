//! Dead letters on their way to the runtime, which knows the events by their rows.

use arrow_array::RecordBatch;
use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use modrun_core::value::ndjson;
use modrun_core::{DeadLetter, ErrorKind, Payload, Seq, raw_schema};
use modrun_wire::Failed;

/// Bytes of an event that are told; of a larger one only the beginning is.
const EVENT_BYTES_MAX: usize = 512 << 10;
const SHOWN_BYTES: usize = 1 << 10;

/// What the runtime is told of the events of the batch `input` that went wrong, in their order.
pub(super) fn told(letters: impl Iterator<Item = DeadLetter>, input: Seq, rows: &RecordBatch) -> Vec<Failed> {
    let mut next = 0;
    let mut all: Vec<Failed> = Vec::new();
    for letter in letters {
        let failed = failed(letter, input, rows, &mut next);
        let words = |failed: &Failed| (failed.code.clone(), failed.message.clone(), failed.detail.clone());
        let is_whole = |failed: &Failed| failed.event.is_empty() && failed.text_length == 0;
        match all.last_mut() {
            Some(last) if is_whole(last) && is_whole(&failed) && words(last) == words(&failed) => {
                last.rows.extend(failed.rows);
            }
            _ => all.push(failed),
        }
    }
    all
}

/// One event; a row before `next` is none that it can be.
fn failed(letter: DeadLetter, input: Seq, rows: &RecordBatch, next: &mut usize) -> Failed {
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
    if let Payload::Event(event) = &payload
        && let Some(row) = (*next..rows.num_rows()).find(|&row| ndjson::event(rows, row) == *event)
    {
        *next = row + 1;
        return Failed { rows: vec![row as u32], ..told };
    }
    let event = match payload {
        Payload::Event(event) => serde_json::Value::Object(event),
        Payload::Raw { bytes, .. } => serde_json::json!({ "raw": String::from_utf8_lossy(&bytes) }),
    };
    Failed { event: shown(&event), ..told }
}

/// What the runtime is told where `row` of `rows` is more than a payload can be; it became of the event of the row
/// `became_of`, if that is known.
pub(super) fn too_large(rows: &RecordBatch, row: usize, input: Seq, became_of: Option<usize>) -> Failed {
    let event = match became_of {
        Some(_) => String::new(),
        None => shown(&serde_json::Value::Object(ndjson::event(rows, row))),
    };
    Failed {
        kind: ErrorKind::Stage,
        code: "too_large".to_owned(),
        message: "what became of the event is larger than the segment: raise `limits.segment`".to_owned(),
        input,
        rows: vec![became_of.unwrap_or(0) as u32],
        event,
        ..Failed::default()
    }
}

/// An event as text; of one that is too long the beginning.
fn shown(event: &serde_json::Value) -> String {
    let event = event.to_string();
    if event.len() <= EVENT_BYTES_MAX {
        return event;
    }
    let begins: String = event.chars().take(SHOWN_BYTES).collect();
    serde_json::json!({ "begins": begins, "truncated": true }).to_string()
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
