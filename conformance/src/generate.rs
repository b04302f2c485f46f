//! Rows made from a number: the same ones in every run.
//!
//! What it is: [`rows`], which fills columns of any type by a [`Pattern`].
//!
//! Guarantees: the same pattern, columns and number of rows give the same rows. Whole numbers stay within ±2^53, so
//! that every form of every language has them as a number.

use modrun_core::Type;

use crate::case::{Generated, Pattern};
use crate::value::{Column, Row, Value, float};

const WORDS: [&str; 8] = ["view", "click", "", "purchase", "größe", "日本", "🙂", "a\0b"];
const FLOATS: [f64; 8] =
    [0.0, -0.0, 1.5, f64::MAX, f64::MIN_POSITIVE, f64::INFINITY, f64::NEG_INFINITY, f64::NAN];
/// 2^53 - 1.
const WHOLE_MAX: i64 = (1 << 53) - 1;
/// Seconds of two centuries, 1970 in their middle.
const SECONDS: u64 = 200 * 365 * 86_400;

/// Rows of `columns`, as many as are `wanted`.
pub(crate) fn rows(wanted: &Generated, columns: &[Column]) -> Vec<Row> {
    let mut bits = Bits(0x005e_ed0f_c0de);
    (0..wanted.rows)
        .map(|row| columns.iter().map(|column| cell(wanted, column, row, &mut bits)).collect())
        .collect()
}

fn cell(wanted: &Generated, column: &Column, row: usize, bits: &mut Bits) -> Value {
    match wanted.generate {
        Pattern::Mixed if column.nullable && bits.below(8) == 0 => Value::Null,
        Pattern::Mixed => mixed(column.data_type, bits),
        Pattern::Distinct => distinct(column.data_type, row),
        Pattern::Plain => plain(column.data_type, row),
        Pattern::Long if column.data_type == Type::String => {
            Value::String("longer ".repeat(wanted.bytes / 7))
        }
        Pattern::Long => plain(column.data_type, row),
    }
}

fn mixed(data_type: Type, bits: &mut Bits) -> Value {
    match data_type {
        Type::Bool => Value::Bool(bits.below(2) == 0),
        Type::Int64 => Value::Int64(match bits.below(16) {
            0 => WHOLE_MAX,
            1 => -WHOLE_MAX,
            2 => 0,
            _ => bits.below(2_000_001) as i64 - 1_000_000,
        }),
        Type::Float64 => match bits.below(4) {
            0 => float(FLOATS[bits.below(FLOATS.len() as u64) as usize]),
            _ => float(bits.below(1 << 53) as f64 / 1024.0 - 1e9),
        },
        Type::String => Value::String(match bits.below(4) {
            0 => format!("{}{}", WORDS[bits.below(WORDS.len() as u64) as usize], bits.below(10_000)),
            _ => WORDS[bits.below(WORDS.len() as u64) as usize].to_owned(),
        }),
        Type::Binary => {
            let length = bits.below(20);
            Value::Binary((0..length).map(|_| bits.below(256) as u8).collect())
        }
        Type::Timestamp => {
            let second = bits.below(SECONDS) as i64 - (SECONDS / 2) as i64;
            Value::Timestamp(second * 1_000_000 + bits.below(1_000_000) as i64)
        }
    }
}

fn distinct(data_type: Type, row: usize) -> Value {
    let number = row as i64;
    match data_type {
        Type::Bool => Value::Bool(row.is_multiple_of(3)),
        Type::Int64 => Value::Int64(number),
        Type::Float64 => float(number as f64 / 2.0),
        Type::String => Value::String(format!("key {row:07}")),
        Type::Binary => Value::Binary(number.to_be_bytes().to_vec()),
        Type::Timestamp => Value::Timestamp(number * 1_000_001),
    }
}

fn plain(data_type: Type, row: usize) -> Value {
    let small = (row % 5) as i64;
    match data_type {
        Type::Bool => Value::Bool(row.is_multiple_of(2)),
        Type::Int64 => Value::Int64(small),
        Type::Float64 => float(small as f64),
        Type::String => Value::String(format!("word {small}")),
        Type::Binary => Value::Binary(vec![small as u8; small as usize]),
        Type::Timestamp => Value::Timestamp(small),
    }
}

/// SplitMix64, by Sebastiano Vigna: one addition and three mixing steps a number.
struct Bits(u64);

impl Bits {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}
