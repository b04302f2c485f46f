//! Numbers: comparison without rounding, and arithmetic that notices when it leaves int64.

use std::cmp::Ordering;

use arrow_buffer::{ArrowNativeType, BooleanBuffer};

use super::bits;
use super::syntax::{Comparison, Operator};
use super::vector::Numbers;

/// Whether each pair of numbers of one kind compares so; NaN is equal to nothing and has no order, as IEEE 754 says.
pub(super) fn compare<T: ArrowNativeType + PartialOrd>(
    comparison: Comparison,
    left: &Numbers<T>,
    right: &Numbers<T>,
    rows: usize,
) -> BooleanBuffer {
    match comparison {
        Comparison::Equal => test(left, right, rows, |a, b| a == b),
        Comparison::NotEqual => test(left, right, rows, |a, b| a != b),
        Comparison::Less => test(left, right, rows, |a, b| a < b),
        Comparison::LessOrEqual => test(left, right, rows, |a, b| a <= b),
        Comparison::Greater => test(left, right, rows, |a, b| a > b),
        Comparison::GreaterOrEqual => test(left, right, rows, |a, b| a >= b),
    }
}

/// Whether each pair of an integer and a float compares so, by their exact values.
pub(super) fn compare_mixed(
    comparison: Comparison,
    left: &Numbers<i64>,
    right: &Numbers<f64>,
    rows: usize,
) -> BooleanBuffer {
    test(left, right, rows, |a, b| match (comparison, exact_order(a, b)) {
        (Comparison::NotEqual, order) => order != Some(Ordering::Equal),
        (_, None) => false,
        (Comparison::Equal, Some(order)) => order.is_eq(),
        (Comparison::Less, Some(order)) => order.is_lt(),
        (Comparison::LessOrEqual, Some(order)) => order.is_le(),
        (Comparison::Greater, Some(order)) => order.is_gt(),
        (Comparison::GreaterOrEqual, Some(order)) => order.is_ge(),
    })
}

/// The order of an integer and a float by their exact values; none with NaN.
fn exact_order(integer: i64, float: f64) -> Option<Ordering> {
    // Rounding keeps order, so only numbers that round to the same float are undecided; then `float` is whole and
    // at most 2^63, and fits i128.
    match (integer as f64).partial_cmp(&float) {
        Some(Ordering::Equal) => Some(i128::from(integer).cmp(&(float as i128))),
        order => order,
    }
}

/// The result of an operator on integers, and whether any row left int64 or was divided by zero; such a row's
/// result means nothing. [`fails`] tells the rows.
pub(super) enum Checked {
    Int(Numbers<i64>, bool),
    Float(Numbers<f64>, bool),
}

/// Integer arithmetic. `/` gives a float, `%` the remainder with the sign of the dividend.
pub(super) fn integers(operator: Operator, left: &Numbers<i64>, right: &Numbers<i64>) -> Checked {
    let (numbers, failed) = match operator {
        Operator::Add => checked(left, right, i64::overflowing_add),
        Operator::Subtract => checked(left, right, i64::overflowing_sub),
        Operator::Multiply => checked(left, right, i64::overflowing_mul),
        Operator::Remainder => checked(left, right, |a, b| match b {
            0 => (0, true),
            _ => (a.wrapping_rem(b), false),
        }),
        Operator::Divide => {
            let (numbers, failed) = checked(left, right, |a, b| (a as f64 / b as f64, b == 0));
            return Checked::Float(numbers, failed);
        }
    };
    Checked::Int(numbers, failed)
}

/// Whether the operator fails on this pair.
pub(super) fn fails(operator: Operator, left: i64, right: i64) -> bool {
    match operator {
        Operator::Add => left.checked_add(right).is_none(),
        Operator::Subtract => left.checked_sub(right).is_none(),
        Operator::Multiply => left.checked_mul(right).is_none(),
        Operator::Divide | Operator::Remainder => right == 0,
    }
}

/// Float arithmetic, as IEEE 754 says: it never fails. `%` has the sign of the dividend, as C's `fmod`.
pub(super) fn floats(operator: Operator, left: &Numbers<f64>, right: &Numbers<f64>) -> Numbers<f64> {
    match operator {
        Operator::Add => combine(left, right, |a, b| a + b),
        Operator::Subtract => combine(left, right, |a, b| a - b),
        Operator::Multiply => combine(left, right, |a, b| a * b),
        Operator::Divide => combine(left, right, |a, b| a / b),
        Operator::Remainder => combine(left, right, |a, b| a % b),
    }
}

fn test<A: ArrowNativeType, B: ArrowNativeType>(
    left: &Numbers<A>,
    right: &Numbers<B>,
    rows: usize,
    answer: impl Fn(A, B) -> bool,
) -> BooleanBuffer {
    match (left, right) {
        (Numbers::One(a), Numbers::One(b)) => bits::constant(answer(*a, *b), rows),
        (Numbers::Many(left), Numbers::One(b)) => bits::pack(left, |a| answer(a, *b)),
        (Numbers::One(a), Numbers::Many(right)) => bits::pack(right, |b| answer(*a, b)),
        (Numbers::Many(left), Numbers::Many(right)) => bits::pack_pairs(left, right, answer),
    }
}

fn combine<A: ArrowNativeType, B: ArrowNativeType>(
    left: &Numbers<A>,
    right: &Numbers<A>,
    result: impl Fn(A, A) -> B,
) -> Numbers<B> {
    match (left, right) {
        (left, Numbers::One(b)) => left.map(|a| result(a, *b)),
        (Numbers::One(a), right) => right.map(|b| result(*a, b)),
        (Numbers::Many(left), Numbers::Many(right)) => {
            Numbers::Many(left.iter().zip(right).map(|(a, b)| result(*a, *b)).collect())
        }
    }
}

fn checked<T: ArrowNativeType>(
    left: &Numbers<i64>,
    right: &Numbers<i64>,
    result: impl Fn(i64, i64) -> (T, bool),
) -> (Numbers<T>, bool) {
    let failed = std::cell::Cell::new(false);
    let numbers = combine(left, right, |a, b| {
        let (value, fails) = result(a, b);
        failed.set(failed.get() | fails);
        value
    });
    (numbers, failed.get())
}
