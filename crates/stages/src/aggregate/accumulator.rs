//! The numbers of each group: rows, nulls, exact sums, and the least and greatest values of one column.

use std::cmp::Ordering;
use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, Int64Array, PrimitiveArray, TimestampMicrosecondArray,
};
use modrun_core::value::exact::{ExactSum, IntSum};
use modrun_core::{Result, Type};

use super::call::Function;
use super::key::{f64_of_order, order_of_f64};
use super::layout::Argument;
use super::{mistyped, unfit};
use modrun_core::value::Strings;

/// Up to so many groups a batch is added up in lanes, which then go to the groups.
const LANED_GROUPS_MAX: usize = 64;
/// Rows that are added up side by side: neighbours of one group do not wait for each other's store.
const LANES: usize = 4;

/// Adds the rows of a batch to those of their groups.
pub(super) fn count(rows: &mut [u64], ids: &[u32]) {
    if rows.len() > LANED_GROUPS_MAX {
        ids.iter().for_each(|id| rows[*id as usize] += 1);
        return;
    }
    let lanes = in_lanes(rows.len(), ids, ids, |rows: &mut u64, _| *rows += 1);
    rows.iter_mut().zip(lanes).for_each(|(rows, lanes)| *rows += lanes.iter().sum::<u64>());
}

/// Adds the counts in a column of a state to those of their groups.
pub(super) fn restore_counts(counts: &mut [u64], ids: &[u32], column: &ArrayRef) -> Result<()> {
    let added = column.as_primitive_opt::<Int64Type>().ok_or_else(mistyped)?;
    for (id, added) in ids.iter().zip(added.values()) {
        counts[*id as usize] += u64::try_from(*added).map_err(|_| unfit())?;
    }
    Ok(())
}

/// What is known of one column in each group.
pub(super) struct Accumulator {
    argument_type: Type,
    /// Nulls in each group.
    nulls: Vec<u64>,
    sum: Option<Sums>,
    min: Option<Extremes>,
    max: Option<Extremes>,
}

/// The sum of a group left the range of int64.
pub(super) struct Overflow {
    pub(super) group: u32,
}

impl Accumulator {
    pub(super) fn new(argument: &Argument) -> Self {
        let extremes = |best| match argument.argument_type {
            Type::String => Extremes { best, values: Values::Text(Vec::new()) },
            _ => Extremes { best, values: Values::Number(Vec::new()) },
        };
        Self {
            argument_type: argument.argument_type,
            nulls: Vec::new(),
            sum: argument.sum.then(|| match argument.argument_type {
                Type::Float64 => Sums::Float64(Vec::new()),
                _ => Sums::Int64(Vec::new()),
            }),
            min: argument.min.then(|| extremes(Ordering::Less)),
            max: argument.max.then(|| extremes(Ordering::Greater)),
        }
    }

    /// Makes room for so many groups.
    pub(super) fn grow(&mut self, groups: usize) {
        self.nulls.resize(groups, 0);
        match &mut self.sum {
            Some(Sums::Int64(sums)) => sums.resize(groups, IntSum::default()),
            Some(Sums::Float64(sums)) => sums.resize_with(groups, ExactSum::default),
            None => {}
        }
        for extremes in [&mut self.min, &mut self.max].into_iter().flatten() {
            match &mut extremes.values {
                Values::Number(known) => known.resize(groups, None),
                Values::Text(known) => known.resize(groups, None),
            }
        }
    }

    /// Adds the values of a batch to their groups, which there must be room for.
    pub(super) fn add(&mut self, ids: &[u32], column: &ArrayRef) -> Result<()> {
        if let Some(nulls) = column.logical_nulls().filter(|nulls| nulls.null_count() > 0) {
            let invalid = ids.iter().zip(&nulls).filter(|(_, valid)| !valid);
            invalid.for_each(|(id, _)| self.nulls[*id as usize] += 1);
        }
        if let Some(sum) = &mut self.sum {
            sum.add(ids, column)?;
        }
        for extremes in [&mut self.min, &mut self.max].into_iter().flatten() {
            extremes.add(ids, column, self.argument_type)?;
        }
        Ok(())
    }

    /// The results of `function` for some groups; `rows` holds the rows of every group.
    pub(super) fn results(
        &self,
        function: Function,
        ids: &[u32],
        rows: &[u64],
    ) -> Result<ArrayRef, Overflow> {
        const ASKED: &str = "the layout asks for what its values need";
        let counts =
            ids.iter().map(|id| (*id as usize, rows[*id as usize].saturating_sub(self.nulls[*id as usize])));
        Ok(match function {
            Function::Count => Arc::new(counts.map(|(_, count)| Some(count as i64)).collect::<Int64Array>()),
            Function::Sum => return self.sum.as_ref().expect(ASKED).totals(counts),
            Function::Avg => {
                let sums = self.sum.as_ref().expect(ASKED);
                let mean = |(id, count)| (count > 0).then(|| sums.mean(id, count));
                Arc::new(counts.map(mean).collect::<Float64Array>())
            }
            Function::Min => self.min.as_ref().expect(ASKED).results(ids, self.argument_type),
            Function::Max => self.max.as_ref().expect(ASKED).results(ids, self.argument_type),
        })
    }

    /// Columns that this takes in a state.
    pub(super) fn state_columns(&self) -> usize {
        1 + usize::from(self.sum.is_some())
            + usize::from(self.min.is_some())
            + usize::from(self.max.is_some())
    }

    /// Appends the state columns of some groups.
    pub(super) fn snapshot(&self, ids: &[u32], columns: &mut Vec<ArrayRef>) {
        columns.push(Arc::new(
            ids.iter().map(|id| Some(self.nulls[*id as usize] as i64)).collect::<Int64Array>(),
        ));
        columns.extend(self.sum.as_ref().map(|sums| sums.snapshot(ids)));
        for extremes in [&self.min, &self.max].into_iter().flatten() {
            columns.push(extremes.results(ids, self.argument_type));
        }
    }

    /// Adds the state columns that an accumulator like this one left.
    pub(super) fn restore(&mut self, ids: &[u32], columns: &[ArrayRef]) -> Result<()> {
        let (nulls, mut rest) = columns.split_first().ok_or_else(unfit)?;
        restore_counts(&mut self.nulls, ids, nulls)?;
        if let Some(sum) = &mut self.sum {
            sum.restore(ids, rest.split_off_first().ok_or_else(unfit)?)?;
        }
        for extremes in [&mut self.min, &mut self.max].into_iter().flatten() {
            extremes.add(ids, rest.split_off_first().ok_or_else(unfit)?, self.argument_type)?;
        }
        Ok(())
    }
}

/// The sum of each group.
enum Sums {
    Int64(Vec<IntSum>),
    Float64(Vec<ExactSum>),
}

impl Sums {
    fn add(&mut self, ids: &[u32], column: &ArrayRef) -> Result<()> {
        match self {
            Sums::Int64(sums) => {
                let column = column.as_primitive_opt::<Int64Type>().ok_or_else(mistyped)?;
                if column.null_count() > 0 || sums.len() > LANED_GROUPS_MAX {
                    for_each_value(ids, column, |id, value| sums[id].add(value));
                    return Ok(());
                }
                let lanes =
                    in_lanes(sums.len(), ids, column.values(), |sum: &mut IntSum, value| sum.add(value));
                sums.iter_mut()
                    .zip(&lanes)
                    .for_each(|(sum, lanes)| lanes.iter().for_each(|lane| sum.merge(lane)));
            }
            Sums::Float64(sums) => {
                let column = column.as_primitive_opt::<Float64Type>().ok_or_else(mistyped)?;
                for_each_value(ids, column, |id, value| sums[id].add(value));
            }
        }
        Ok(())
    }

    /// The sums of some groups, null where nothing was counted.
    fn totals(&self, counts: impl Iterator<Item = (usize, u64)>) -> Result<ArrayRef, Overflow> {
        Ok(match self {
            Sums::Int64(sums) => {
                let total = |(id, count): (usize, u64)| match sums[id].total() {
                    _ if count == 0 => Ok(None),
                    Some(total) => Ok(Some(total)),
                    None => Err(Overflow { group: id as u32 }),
                };
                Arc::new(counts.map(total).collect::<Result<Int64Array, _>>()?)
            }
            Sums::Float64(sums) => {
                let sum = |(id, count): (usize, u64)| (count > 0).then(|| sums[id].sum());
                Arc::new(counts.map(sum).collect::<Float64Array>())
            }
        })
    }

    fn mean(&self, id: usize, count: u64) -> f64 {
        match self {
            Sums::Int64(sums) => sums[id].mean(count),
            Sums::Float64(sums) => sums[id].mean(count),
        }
    }

    fn snapshot(&self, ids: &[u32]) -> ArrayRef {
        let mut builder = BinaryBuilder::new();
        match self {
            Sums::Int64(sums) => {
                ids.iter().for_each(|id| builder.append_value(sums[*id as usize].to_bytes()))
            }
            Sums::Float64(sums) => {
                ids.iter().for_each(|id| builder.append_value(sums[*id as usize].to_bytes()))
            }
        }
        Arc::new(builder.finish())
    }

    fn restore(&mut self, ids: &[u32], column: &ArrayRef) -> Result<()> {
        let states = column.as_binary_opt::<i32>().ok_or_else(mistyped)?;
        for (row, id) in ids.iter().enumerate() {
            let (id, state) = (*id as usize, states.value(row));
            match self {
                Sums::Int64(sums) => sums[id].merge(&IntSum::from_bytes(state).ok_or_else(unfit)?),
                Sums::Float64(sums) => sums[id].merge(&ExactSum::from_bytes(state).ok_or_else(unfit)?),
            }
        }
        Ok(())
    }
}

/// The least or the greatest value of each group, if it has any.
struct Extremes {
    /// What the wanted value is beside all others.
    best: Ordering,
    values: Values,
}

enum Values {
    /// As an integer that sorts like the value.
    Number(Vec<Option<i64>>),
    Text(Vec<Option<Box<str>>>),
}

impl Extremes {
    fn add(&mut self, ids: &[u32], column: &ArrayRef, column_type: Type) -> Result<()> {
        let best = self.best;
        let known = match &mut self.values {
            Values::Text(known) => {
                let strings = Strings::of(column).ok_or_else(mistyped)?;
                for (row, id) in ids.iter().enumerate() {
                    let known = &mut known[*id as usize];
                    if let Some(text) = strings.get(row)
                        && known.as_deref().is_none_or(|known| text.cmp(known) == best)
                    {
                        *known = Some(text.into());
                    }
                }
                return Ok(());
            }
            Values::Number(known) => known,
        };
        let mut see = |id: usize, value: i64| {
            if known[id].is_none_or(|known| value.cmp(&known) == best) {
                known[id] = Some(value);
            }
        };
        match column_type {
            Type::Int64 => {
                for_each_value(ids, column.as_primitive_opt::<Int64Type>().ok_or_else(mistyped)?, see)
            }
            Type::Timestamp => {
                for_each_value(
                    ids,
                    column.as_primitive_opt::<TimestampMicrosecondType>().ok_or_else(mistyped)?,
                    see,
                );
            }
            Type::Float64 => {
                let column = column.as_primitive_opt::<Float64Type>().ok_or_else(mistyped)?;
                for_each_value(ids, column, |id, value| see(id, order_of_f64(value)));
            }
            _ => {
                let column = column.as_boolean_opt().ok_or_else(mistyped)?;
                let values = ids.iter().zip(column);
                values.for_each(|(id, value)| {
                    value.into_iter().for_each(|value| see(*id as usize, i64::from(value)))
                });
            }
        }
        Ok(())
    }

    fn results(&self, ids: &[u32], column_type: Type) -> ArrayRef {
        let known = match &self.values {
            Values::Text(known) => {
                let mut builder = StringBuilder::new();
                ids.iter()
                    .for_each(|id| builder.append_option(known.get(*id as usize).and_then(Option::as_deref)));
                return Arc::new(builder.finish());
            }
            Values::Number(known) => known,
        };
        let values = ids.iter().map(|id| known[*id as usize]);
        match column_type {
            Type::Timestamp => Arc::new(values.collect::<TimestampMicrosecondArray>().with_timezone("UTC")),
            Type::Float64 => Arc::new(values.map(|order| order.map(f64_of_order)).collect::<Float64Array>()),
            Type::Bool => {
                Arc::new(values.map(|value| value.map(|value| value != 0)).collect::<BooleanArray>())
            }
            _ => Arc::new(values.collect::<Int64Array>()),
        }
    }
}

/// Calls `see` with the group and the value of each row that has one.
#[inline]
fn for_each_value<T: ArrowPrimitiveType>(
    ids: &[u32],
    column: &PrimitiveArray<T>,
    mut see: impl FnMut(usize, T::Native),
) {
    match column.nulls().filter(|nulls| nulls.null_count() > 0) {
        None => ids.iter().zip(column.values()).for_each(|(id, value)| see(*id as usize, *value)),
        Some(nulls) => nulls.valid_indices().for_each(|row| see(ids[row] as usize, column.value(row))),
    }
}

/// Adds up the values of each group in [`LANES`] parts.
#[inline]
fn in_lanes<V: Copy, P: Copy + Default>(
    groups: usize,
    ids: &[u32],
    values: &[V],
    add: impl Fn(&mut P, V),
) -> Vec<[P; LANES]> {
    let mut lanes = vec![[P::default(); LANES]; groups];
    let (id_blocks, id_rest) = ids.as_chunks::<LANES>();
    let (value_blocks, value_rest) = values.as_chunks::<LANES>();
    for (ids, values) in id_blocks.iter().zip(value_blocks) {
        for lane in 0..LANES {
            add(&mut lanes[ids[lane] as usize][lane], values[lane]);
        }
    }
    for (id, value) in id_rest.iter().zip(value_rest) {
        add(&mut lanes[*id as usize][0], *value);
    }
    lanes
}
