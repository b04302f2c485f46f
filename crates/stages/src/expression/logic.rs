//! `and`, `or`, `not` and `coalesce`: what decides which of two results counts.
//!
//! Each row behaves as if its parts were evaluated from left to right and only as far as needed. Whole columns are
//! computed all the same, so a fault of a part that the row does not need is dropped here.

use arrow_array::StringArray;
use arrow_buffer::{ArrowNativeType, BooleanBuffer, NullBuffer};

use super::text::Text;
use super::vector::{Fault, Numbers, Values, Vector};

/// Which of the two operators.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Junction {
    And,
    Or,
}

impl Junction {
    /// The value of one part that decides the result whatever the other is.
    fn decisive(self) -> bool {
        self == Junction::Or
    }

    /// Whether `part` decides every row.
    pub(super) fn is_decided(self, part: &Vector) -> bool {
        part.nulls.is_none()
            && bools(part).count_set_bits() == if self.decisive() { bools(part).len() } else { 0 }
    }

    /// Both parts taken together, by SQL's rules: null is a value that is not known.
    pub(super) fn join(self, left: Vector, right: Vector) -> Vector {
        let (a, b) = (bools(&left), bools(&right));
        let values = match self {
            Junction::And => a & b,
            Junction::Or => a | b,
        };
        let (values, nulls) = match (&left.nulls, &right.nulls) {
            (None, None) => (values, None),
            (left_nulls, right_nulls) => {
                let ((a_true, a_false), (b_true, b_false)) = (known(a, left_nulls), known(b, right_nulls));
                let (is_true, is_false) = match self {
                    Junction::And => (&a_true & &b_true, &a_false | &b_false),
                    Junction::Or => (&a_true | &b_true, &a_false & &b_false),
                };
                let valid = &is_true | &is_false;
                (is_true, Some(NullBuffer::new(valid)).filter(|nulls| nulls.null_count() > 0))
            }
        };
        let decided = |row| left.is_valid(row) && a.value(row) == self.decisive();
        let faults = needed(&left, &right, |row| !decided(row));
        Vector { values: Values::Bool(values), nulls, faults }
    }
}

/// The opposite; null stays null.
pub(super) fn not(inner: Vector) -> Vector {
    Vector { values: Values::Bool(!bools(&inner)), ..inner }
}

/// The left values where they are not null, otherwise the right ones, of the same type.
pub(super) fn coalesce(left: Vector, right: Vector, rows: usize) -> Vector {
    let Some(valid) = left.nulls.clone() else { return left };
    let valid = valid.into_inner();
    let values = match (&left.values, &right.values) {
        (Values::Bool(a), Values::Bool(b)) => Values::Bool(&(a & &valid) | &(b & &!&valid)),
        (Values::Int(a), Values::Int(b)) => Values::Int(choose(&valid, a, b)),
        (Values::Float(a), Values::Float(b)) => Values::Float(choose(&valid, a, b)),
        (Values::Time(a), Values::Time(b)) => Values::Time(choose(&valid, a, b)),
        (Values::Text(a), Values::Text(b)) => {
            let (a, b) = (a.spread(rows), b.spread(rows));
            let chosen = (0..rows).map(|row| match (valid.value(row), right.is_valid(row)) {
                (true, _) => Some(a.value(row)),
                (false, true) => Some(b.value(row)),
                (false, false) => None,
            });
            Values::Text(Text::Plain(chosen.collect::<StringArray>()))
        }
        _ => unreachable!("binding gave all arguments of `coalesce` one type"),
    };
    let nulls = right.nulls.as_ref().map(|nulls| NullBuffer::new(&valid | nulls.inner()));
    let faults = needed(&left, &right, |row| !valid.value(row));
    Vector { values, nulls: nulls.filter(|nulls| nulls.null_count() > 0), faults }
}

/// The bits of a column that binding found to be bool.
pub(super) fn bools(vector: &Vector) -> &BooleanBuffer {
    match &vector.values {
        Values::Bool(bits) => bits,
        _ => unreachable!("binding lets only bool stand here"),
    }
}

/// The rows known to be true and those known to be false.
fn known(values: &BooleanBuffer, nulls: &Option<NullBuffer>) -> (BooleanBuffer, BooleanBuffer) {
    match nulls {
        Some(nulls) => (values & nulls.inner(), &!values & nulls.inner()),
        None => (values.clone(), !values),
    }
}

/// The faults of both, without those of the right where it is not needed.
fn needed(left: &Vector, right: &Vector, is_needed: impl Fn(usize) -> bool) -> Vec<Fault> {
    let right = right.faults.iter().filter(|fault| is_needed(fault.row));
    left.faults.iter().chain(right).copied().collect()
}

fn choose<T: ArrowNativeType>(valid: &BooleanBuffer, left: &Numbers<T>, right: &Numbers<T>) -> Numbers<T> {
    let (left, right) = (left.spread(valid.len()), right.spread(valid.len()));
    let rows = left.iter().zip(right.iter()).zip(valid);
    Numbers::Many(rows.map(|((left, right), valid)| if valid { *left } else { *right }).collect())
}
