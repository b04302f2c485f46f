//! Keys as bytes that are equal where the keys are, and sort as the keys do.
//!
//! Each column in order: `00` for null, else `01` and the value: a bool as one byte; int64, timestamp and float64 as
//! eight bytes, the highest first, with the sign turned so that negatives come first; string and binary with `00`
//! written as `00 ff`, and `00 00` at the end.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::{Array, ArrayRef, BooleanArray, Float64Array, Int64Array, TimestampMicrosecondArray};
use modrun_core::Type;
use modrun_core::value::Column;

/// Appends the value of a row of one column to a key.
#[inline]
pub(super) fn write_key(column: &Column<'_>, row: usize, key: &mut Vec<u8>) {
    match column {
        Column::Bool(array) if array.is_valid(row) => {
            key.extend_from_slice(&[VALUE, u8::from(array.value(row))])
        }
        Column::Int64(array) if array.is_valid(row) => write_number(array.value(row), key),
        Column::Float64(array) if array.is_valid(row) => {
            write_number(order_of_f64(array.value(row) + 0.0), key)
        }
        Column::String(strings) => match strings.get(row) {
            Some(text) => write_bytes(text.as_bytes(), key),
            None => key.push(NULL),
        },
        Column::Binary(array) if array.is_valid(row) => write_bytes(array.value(row), key),
        Column::Timestamp(array) if array.is_valid(row) => write_number(array.value(row), key),
        _ => key.push(NULL),
    }
}

const NULL: u8 = 0;
const VALUE: u8 = 1;

/// Turns a float64 into an integer that sorts like it: all NaNs are one, above the numbers.
pub(super) fn order_of_f64(value: f64) -> i64 {
    let bits = if value.is_nan() { f64::NAN.to_bits() & (u64::MAX >> 1) } else { value.to_bits() } as i64;
    flip_negative(bits)
}

/// The inverse of [`order_of_f64`].
pub(super) fn f64_of_order(order: i64) -> f64 {
    f64::from_bits(flip_negative(order) as u64)
}

/// A float64's bits as an integer sort the wrong way round below zero; the source is IEEE 754's totalOrder.
fn flip_negative(bits: i64) -> i64 {
    bits ^ ((bits >> 63) & i64::MAX)
}

/// Appends a key of one string column: the value of a row.
#[inline]
pub(super) fn write_string(text: Option<&str>, key: &mut Vec<u8>) {
    match text {
        Some(text) => write_bytes(text.as_bytes(), key),
        None => key.push(NULL),
    }
}

fn write_number(value: i64, key: &mut Vec<u8>) {
    key.push(VALUE);
    key.extend_from_slice(&(value ^ i64::MIN).to_be_bytes());
}

#[inline]
fn write_bytes(bytes: &[u8], key: &mut Vec<u8>) {
    key.push(VALUE);
    // Without an early exit, so that the compiler checks whole vectors of a text without a zero, which is nearly any.
    if bytes.iter().fold(false, |any, byte| any | (*byte == 0)) {
        bytes.split_inclusive(|byte| *byte == 0).for_each(|part| {
            key.extend_from_slice(part);
            if part.ends_with(&[0]) {
                key.push(0xff);
            }
        });
    } else {
        key.extend_from_slice(bytes);
    }
    key.extend_from_slice(&[0, 0]);
}

/// Takes the next column's values off the front of each of `keys`.
///
/// # Panics
/// If the keys were not written with a column of this type at their front.
pub(super) fn read_column(key_type: Type, keys: &mut [&[u8]]) -> ArrayRef {
    let keys = keys.iter_mut();
    match key_type {
        Type::Bool => {
            Arc::new(keys.map(|key| is_value(key).then(|| take::<1>(key) == [1])).collect::<BooleanArray>())
        }
        Type::Int64 => Arc::new(keys.map(read_number).collect::<Int64Array>()),
        Type::Float64 => {
            Arc::new(keys.map(|key| read_number(key).map(f64_of_order)).collect::<Float64Array>())
        }
        Type::Timestamp => {
            Arc::new(keys.map(read_number).collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
        }
        Type::Binary => {
            let mut builder = BinaryBuilder::new();
            keys.for_each(|key| builder.append_option(read_bytes(key)));
            Arc::new(builder.finish())
        }
        Type::String => {
            let text = |bytes| String::from_utf8(bytes).expect("a string column's key holds its UTF-8 text");
            let mut builder = StringBuilder::new();
            keys.for_each(|key| builder.append_option(read_bytes(key).map(text)));
            Arc::new(builder.finish())
        }
    }
}

fn take<const N: usize>(key: &mut &[u8]) -> [u8; N] {
    let (taken, rest) = key.split_first_chunk().expect("a key holds each of its columns");
    *key = rest;
    *taken
}

fn is_value(key: &mut &[u8]) -> bool {
    take::<1>(key) == [VALUE]
}

fn read_number(key: &mut &[u8]) -> Option<i64> {
    is_value(key).then(|| i64::from_be_bytes(take(key)) ^ i64::MIN)
}

fn read_bytes(key: &mut &[u8]) -> Option<Vec<u8>> {
    if !is_value(key) {
        return None;
    }
    let mut bytes = Vec::new();
    loop {
        let zero = memchr::memchr(0, key).expect("a text in a key has an end");
        bytes.extend_from_slice(&key[..zero]);
        *key = &key[zero + 1..];
        if take::<1>(key) == [0] {
            return Some(bytes);
        }
        bytes.push(0);
    }
}
