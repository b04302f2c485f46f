//! Tables and frames that every reader must refuse.

use std::sync::Arc;

use arrow_array::types::UInt8Type;
use arrow_array::{
    ArrayRef, BinaryArray, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
};
use arrow_buffer::Buffer;
use modrun_wire::{FromStage, Incoming, Split, ToStage, split, table};
use serde_json::json;

use super::folder::{self, Vectors};
use super::support::tables::written;
use super::tables::{Edit, batch, number, schema_json, schema_of, set};

/// The columns of the table that is broken, by their number.
const BOOL: usize = 0;
const INT: usize = 1;
const STRING: usize = 2;
const DICTIONARY: usize = 3;
const BINARY: usize = 4;
const FLOAT: usize = 5;

const ROWS: usize = 5;

/// Where a column's fields are, behind the beginning of its struct.
const NULLS: usize = 4;
const VALUES_OF_DICTIONARY: usize = 8;
const VALIDITY: usize = 16;
const VALUES: usize = 24;
const OFFSETS: usize = 32;
const BYTES: usize = 40;

fn head(column: usize) -> usize {
    16 + 48 * column
}

/// Where a buffer of a column begins.
fn start(table: &[u8], column: usize, buffer: usize) -> usize {
    number(table, head(column) + buffer) as usize
}

fn sound() -> RecordBatch {
    let dictionary: DictionaryArray<UInt8Type> =
        [Some("é"), None, Some("b"), Some("é"), Some("c")].into_iter().collect();
    let columns: Vec<(&str, ArrayRef, bool)> = vec![
        ("b", Arc::new(BooleanArray::from(vec![Some(true), None, None, Some(false), Some(true)])), true),
        ("n", Arc::new(Int64Array::from(vec![1, 2, 3, 4, 5])), false),
        ("s", Arc::new(StringArray::from(vec!["ab", "é", "", "☃x", "c"])), true),
        ("d", Arc::new(dictionary), true),
        ("r", Arc::new(BinaryArray::from(vec![&b"\xff"[..], b"", b"ab", b"c", b""])), false),
        ("x", Arc::new(Float64Array::from(vec![Some(0.5), None, Some(1.5), Some(2.5), None])), true),
    ];
    batch(columns)
}

fn edit(edit: impl Fn(&mut Vec<u8>) + 'static) -> Edit {
    Box::new(edit)
}

/// Sets a number of a column's struct.
fn field(column: usize, at: usize, value: u32) -> Edit {
    edit(move |table| set(table, head(column) + at, value))
}

/// Sets a byte of a column's struct.
fn byte(column: usize, at: usize, value: u8) -> Edit {
    edit(move |table| table[head(column) + at] = value)
}

/// Sets bytes of a buffer.
fn data(column: usize, buffer: usize, at: usize, bytes: &'static [u8]) -> Edit {
    edit(move |table| {
        let at = start(table, column, buffer) + at;
        table[at..at + bytes.len()].copy_from_slice(bytes);
    })
}

fn headers() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        ("nothing", "no bytes at all", edit(Vec::clear)),
        ("header_cut_off", "15 bytes", edit(|table| table.truncate(15))),
        ("columns_cut_off", "it ends within the columns' structs", edit(|table| table.truncate(head(6) - 1))),
        ("magic", "it does not begin with `MRB1`", edit(|table| table[3] = b'2')),
        ("columns_fewer", "5 columns instead of 6", edit(|table| set(table, 8, 5))),
        ("columns_more", "7 columns instead of 6", edit(|table| set(table, 8, 7))),
        ("columns_max", "2^32 - 1 columns", edit(|table| set(table, 8, u32::MAX))),
        ("rows_more", "6 rows, with buffers for 5", edit(|table| set(table, 4, 6))),
        ("rows_fewer", "no rows, with buffers for 5", edit(|table| set(table, 4, 0))),
        ("rows_max", "2^32 - 1 rows", edit(|table| set(table, 4, u32::MAX))),
        ("reserved_of_table", "the number at 12 is not 0", edit(|table| set(table, 12, 1))),
        ("reserved_of_column", "the u16 at 2 is not 0", byte(INT, 3, 1)),
        ("reserved_of_column_too", "the u32 at 12 is not 0", field(INT, 12, 1)),
    ]
}

fn columns() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        ("type_none", "type 0", byte(INT, 0, 0)),
        ("type_other", "float64 where the schema says int64", byte(INT, 0, 3)),
        ("type_binary_as_string", "string where the schema says binary", byte(BINARY, 0, 4)),
        ("type_unknown", "type 7", byte(INT, 0, 7)),
        ("encoding_unknown", "encoding 2", byte(STRING, 1, 2)),
        ("encoding_of_int64", "a dictionary of int64", byte(INT, 1, 1)),
        ("encoding_of_binary", "a dictionary of binary", byte(BINARY, 1, 1)),
        (
            "dictionary_values_of_plain",
            "a plain column with dictionary values",
            field(STRING, VALUES_OF_DICTIONARY, 1),
        ),
        (
            "nulls_not_nullable",
            "a null in a column that has none",
            edit(|table| {
                // As the nullable column has it, validity bits and all.
                let validity = table[head(FLOAT) + VALIDITY..][..8].to_vec();
                table[head(INT) + VALIDITY..][..8].copy_from_slice(&validity);
                set(table, head(INT) + NULLS, 2);
            }),
        ),
        ("nulls_too_few", "1 null, though 2 bits are 0", field(BOOL, NULLS, 1)),
        ("nulls_too_many", "3 nulls, though 2 bits are 0", field(BOOL, NULLS, 3)),
        ("nulls_beyond_rows", "2^32 - 1 nulls", field(BOOL, NULLS, u32::MAX)),
        ("nulls_without_validity", "nulls, and no validity bits", field(BOOL, VALIDITY + 4, 0)),
        (
            "validity_without_nulls",
            "validity bits, and no nulls",
            edit(|table| {
                let at = start(table, BOOL, VALIDITY);
                table[at] = 0xff;
                set(table, head(BOOL) + NULLS, 0);
            }),
        ),
        ("validity_too_long", "2 bytes of validity bits for 5 rows", field(BOOL, VALIDITY + 4, 2)),
    ]
}

fn buffers() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        ("values_too_short", "39 bytes for 5 int64", field(INT, VALUES + 4, 39)),
        ("values_too_long", "48 bytes for 5 int64", field(INT, VALUES + 4, 48)),
        ("values_of_string", "values of a plain string column", field(STRING, VALUES + 4, 5)),
        ("values_none", "no values for 5 bools", field(BOOL, VALUES + 4, 0)),
        ("bits_too_long", "2 bytes for 5 bools", field(BOOL, VALUES + 4, 2)),
        (
            "offset_outside",
            "values that begin behind the payload",
            edit(|table| {
                let behind = table.len().next_multiple_of(8) as u32;
                set(table, head(INT) + VALUES, behind);
            }),
        ),
        ("offset_max", "values whose end is beyond 2^32", field(INT, VALUES, u32::MAX - 7)),
        ("offset_in_header", "values that begin at 0", field(INT, VALUES, 0)),
        ("offset_in_columns", "values that begin within the columns' structs", field(INT, VALUES, 64)),
        (
            "offset_not_aligned",
            "int64 that begin at no multiple of 8",
            edit(|table| {
                let at = head(INT) + VALUES;
                let offset = number(table, at);
                set(table, at, offset + 4);
            }),
        ),
        (
            "offset_of_bytes_not_aligned",
            "string bytes that begin at no multiple of 8",
            edit(|table| {
                let at = head(STRING) + BYTES;
                let offset = number(table, at);
                set(table, at, offset + 1);
            }),
        ),
        (
            "empty_buffer_outside",
            "a buffer of length 0 behind the payload",
            edit(|table| {
                let behind = table.len() as u32 + 1;
                set(table, head(INT) + VALIDITY, behind);
            }),
        ),
        ("end_cut_off", "the last buffer lacks its last byte", edit(|table| table.truncate(table.len() - 1))),
    ]
}

fn strings() -> Vec<(&'static str, &'static str, Edit)> {
    vec![
        ("offsets_too_few", "5 string offsets for 5 rows", field(STRING, OFFSETS + 4, 20)),
        ("offsets_none", "no string offsets", field(STRING, OFFSETS + 4, 0)),
        ("offsets_of_int64", "string offsets of an int64 column", field(INT, OFFSETS + 4, 24)),
        ("offsets_first", "string offsets that begin with 1", data(STRING, OFFSETS, 0, &[1])),
        ("offsets_fall", "string offsets that fall", data(STRING, OFFSETS, 4, &[5])),
        ("offsets_negative", "a string offset below 0", data(STRING, OFFSETS, 4, &[0xff; 4])),
        ("offsets_end_negative", "the last string offset below 0", data(STRING, OFFSETS, 20, &[0xff; 4])),
        ("offsets_beyond", "a string offset beyond the last one", data(BINARY, OFFSETS, 8, &[100])),
        (
            "offsets_end_short",
            "the last string offset is less than the string bytes",
            data(BINARY, OFFSETS, 20, &[3]),
        ),
        ("bytes_too_short", "fewer string bytes than the last offset says", field(BINARY, BYTES + 4, 3)),
        ("bytes_too_long", "more string bytes than the last offset says", field(BINARY, BYTES + 4, 5)),
        ("utf8_never", "a byte that UTF-8 never has", data(STRING, BYTES, 0, &[0xff])),
        ("utf8_cut_off", "a character that the string's end cuts off", data(STRING, OFFSETS, 8, &[3])),
        ("utf8_overlong", "a NUL in two bytes", data(STRING, BYTES, 2, &[0xc0, 0x80])),
        ("utf8_surrogate", "half a surrogate pair", data(STRING, BYTES, 4, &[0xed, 0xa0, 0x80])),
        ("utf8_of_dictionary", "a dictionary value that is not UTF-8", data(DICTIONARY, BYTES, 1, b"x")),
        ("code_unknown", "code 3 of 3 dictionary values", data(DICTIONARY, VALUES, 4, &[3])),
        (
            "code_of_no_values",
            "codes without dictionary values",
            edit(|table| {
                for (at, number) in [(VALUES_OF_DICTIONARY, 0), (OFFSETS + 4, 4), (BYTES + 4, 0)] {
                    set(table, head(DICTIONARY) + at, number);
                }
            }),
        ),
        (
            "dictionary_257_values",
            "more values than codes can tell apart",
            edit(|table| {
                let offsets = table.len().next_multiple_of(8);
                table.resize(offsets + 4 * 258, 0);
                for (at, number) in [
                    (VALUES_OF_DICTIONARY, 257),
                    (OFFSETS, offsets as u32),
                    (OFFSETS + 4, 4 * 258),
                    (BYTES + 4, 0),
                ] {
                    set(table, head(DICTIONARY) + at, number);
                }
            }),
        ),
        (
            "dictionary_values_more",
            "more dictionary values than string offsets",
            field(DICTIONARY, VALUES_OF_DICTIONARY, 4),
        ),
        ("codes_too_short", "4 codes for 5 rows", field(DICTIONARY, VALUES + 4, ROWS as u32 - 1)),
    ]
}

#[test]
fn the_vectors_of_garbage_are_refused() {
    let batch = sound();
    let schema = schema_json(&batch.schema());
    let mut expected = Vectors::new();
    for (name, why, edit) in [headers(), columns(), buffers(), strings()].into_iter().flatten() {
        let mut table = written(&batch);
        edit(&mut table);
        let vector = (table, json!({"why": why, "schema": schema}));
        assert!(expected.insert(name.to_owned(), vector).is_none(), "`{name}` stands there twice");
    }
    let mut reasons = Vec::new();
    for (name, (bytes, meaning)) in folder::check("garbage", &expected) {
        let read = table::decode(Buffer::from_slice_ref(&bytes), &schema_of(&meaning["schema"]));
        reasons.push(format!("{name}: {}", read.expect_err(&name)));
    }
    folder::check_reasons("garbage.txt", &reasons);
}

/// A frame that no one may send: direction, name, why, bytes.
type Broken = (&'static str, &'static str, &'static str, Vec<u8>);

fn frame(message: &[u8], payload_length: u32, behind: &[u8]) -> Vec<u8> {
    let message_length = (message.len() as u32).to_le_bytes();
    [&message_length[..], &payload_length.to_le_bytes(), message, behind].concat()
}

/// A batch of 16 bytes at `offset`.
fn batch_message(offset: u64, form: u8) -> Vec<u8> {
    let mut message = vec![0x12, 0x2a, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x11];
    message.extend_from_slice(&offset.to_le_bytes());
    message.extend_from_slice(&[0x1d, 16, 0, 0, 0, 0x25, 0, 0, 0, 0, 0x2d, form, 0, 0, 0, 0x31]);
    message.extend_from_slice(&[0xff; 8]);
    message
}

const CREDIT: [u8; 21] = [0x1a, 0x13, 0x09, 0, 0, 0, 0, 0, 0, 0, 0, 0x15, 0, 0, 0, 0, 0x1d, 0, 0, 0, 0];

fn broken_messages() -> Vec<Broken> {
    let alone = |message: &[u8]| frame(message, 0, b"");
    let mut swapped = batch_message(0, 0);
    swapped[2..20].rotate_left(9);
    let mut varint = batch_message(0, 0);
    varint[30..35].copy_from_slice(&[0x28, 0x80, 0x80, 0x80, 0x00]);
    let credit_short = [&[0x1a, 0x0e], &CREDIT[2..16]].concat();
    let credit_more = [&CREDIT[..], &[0xa0, 0x06, 0x01]].concat();
    vec![
        ("ToStage", "message_too_long", "a message of 1 MiB and a byte", vec![1, 0, 16, 0, 0, 0, 0, 0]),
        ("ToStage", "message_none", "a message without a field", alone(b"")),
        ("ToStage", "message_unknown", "a message of no known kind", alone(b"\xa2\x06\x00")),
        ("ToStage", "not_protobuf", "bytes that are not protobuf", alone(b"\xff\xff\xff")),
        ("ToStage", "string_not_utf8", "`stage` is not UTF-8", alone(b"\x0a\x03\x1a\x01\xff")),
        ("ToStage", "field_cut_off", "a string is longer than its message", alone(b"\x0a\x03\x1a\x05x")),
        ("ToStage", "wire_type", "`config` is a number", alone(b"\x0a\x02\x20\x01")),
        ("ToStage", "type_unknown", "a column of type 9", alone(b"\x0a\x06\x2a\x04\x0a\x02\x10\x09")),
        ("ToStage", "batch_offset", "an offset that is no multiple of 64", alone(&batch_message(32, 0))),
        ("ToStage", "batch_form", "a batch of form 2", alone(&batch_message(0, 2))),
        ("ToStage", "batch_order", "a batch whose `offset` stands before its `seq`", alone(&swapped)),
        ("ToStage", "batch_varint", "a batch whose `form` is a varint", alone(&varint)),
        ("ToStage", "credit_short", "a credit without `filtered`", alone(&credit_short)),
        ("ToStage", "credit_more", "a credit and an unknown field", alone(&credit_more)),
        ("FromStage", "role", "a stage of no role", alone(b"\x0a\x02\x08\x01")),
    ]
}

fn broken_payloads() -> Vec<Broken> {
    let (slot, inline) = (batch_message(0, 0), batch_message(u64::MAX, 0));
    let state = frame(b"\x22\x00", (1 << 20) + 1, b"");
    let too_long = frame(&inline, 65, b"");
    let both = frame(&slot, 16, &[0; 16]);
    let other = frame(&inline, 15, &[0; 15]);
    vec![
        ("ToStage", "payload_of_end", "`End` has a payload", frame(b"\x32\x00", 1, b"x")),
        ("ToStage", "payload_of_credit", "`Credit` has a payload", frame(&CREDIT, 1, b"x")),
        ("ToStage", "payload_of_state_too_long", "a chunk of state of 1 MiB and a byte", state),
        ("ToStage", "payload_too_long", "an inline payload beyond `inline_max`", too_long),
        ("ToStage", "payload_of_slot", "a batch in the segment with an inline payload", both),
        ("ToStage", "payload_other_length", "an inline batch of 16 bytes with 15", other),
        ("ToStage", "payload_missing", "an inline batch without a payload", frame(&inline, 0, b"")),
        ("FromStage", "payload_of_done", "`Done` has a payload", frame(b"\x42\x00", 1, b"x")),
    ]
}

#[test]
fn the_vectors_of_broken_frames_are_refused() {
    const INLINE_MAX: usize = 64;
    let mut expected = Vectors::new();
    for (direction, name, why, bytes) in [broken_messages(), broken_payloads()].concat() {
        let meaning = json!({"why": why, "direction": direction, "inline_max": INLINE_MAX});
        assert!(expected.insert(name.to_owned(), (bytes, meaning)).is_none(), "`{name}` stands there twice");
    }
    fn refused<M: Incoming>(bytes: &[u8]) -> String {
        match split::<M>(bytes, INLINE_MAX) {
            Ok(Split::Short(length)) => format!("short of {length} bytes"),
            Ok(Split::Message { .. }) => "a message".to_owned(),
            Err(error) => error.to_string(),
        }
    }
    let mut reasons = Vec::new();
    for (name, (bytes, meaning)) in folder::check("garbage/frames", &expected) {
        let to_stage = meaning["direction"] == "ToStage";
        let reason = if to_stage { refused::<ToStage>(&bytes) } else { refused::<FromStage>(&bytes) };
        reasons.push(format!("{name}: {reason}"));
    }
    folder::check_reasons("frames.txt", &reasons);
}
