//! Events as a function of the user's sees them: rows of a batch, by column name and type.

use arrow_array::cast::AsArray;
use arrow_array::types::{ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{Array, ArrayRef, RecordBatch};
use modrun_core::value::Strings;
use modrun_core::{Code, Error, Type};

/// Why a value could not be had; returned by a function, it sets its event aside.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The function did not say that it reads the column.
    #[error("the stage does not read a column `{0}`")]
    Unread(String),
    /// There is no value.
    #[error("column `{0}` is null")]
    Null(String),
    /// The column has another type.
    #[error("column `{column}` is {found}, not {asked}")]
    WrongType {
        /// Its name.
        column: String,
        /// The type that was asked for.
        asked: Type,
        /// Its type.
        found: Type,
    },
}

impl From<Fault> for Error {
    fn from(fault: Fault) -> Self {
        Error::stage("an event has not what the stage reads").with_code(Code::STAGE).with_source(fault)
    }
}

/// The events of a batch, by the columns that are read.
pub struct Events<'a> {
    columns: Vec<Column<'a>>,
    rows: usize,
}

struct Column<'a> {
    name: &'a str,
    data_type: Type,
    array: &'a ArrayRef,
    strings: Option<Strings<'a>>,
}

impl<'a> Events<'a> {
    /// The events of `batch` by the columns `reads`; one that is not there is found when it is asked for.
    pub fn of(batch: &'a RecordBatch, reads: impl IntoIterator<Item = &'a str>) -> Self {
        let column = |name: &'a str| {
            let array = batch.column_by_name(name)?;
            let data_type = Type::from_arrow(array.data_type())?;
            Some(Column { name, data_type, array, strings: Strings::of(array) })
        };
        Self { columns: reads.into_iter().filter_map(column).collect(), rows: batch.num_rows() }
    }

    /// Each event, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Event<'_>> {
        (0..self.rows).map(|row| Event { columns: &self.columns, row })
    }
}

/// One event. Getters are named after the column types; a null is a [`Fault::Null`].
#[derive(Clone, Copy)]
pub struct Event<'a> {
    columns: &'a [Column<'a>],
    row: usize,
}

impl<'a> Event<'a> {
    /// A string.
    pub fn str(&self, column: &str) -> Result<&'a str, Fault> {
        let found = self.column(column, Type::String)?;
        let text = found.strings.as_ref().and_then(|strings| strings.get(self.row));
        text.ok_or_else(|| Fault::Null(column.to_owned()))
    }

    /// An int64.
    pub fn int64(&self, column: &str) -> Result<i64, Fault> {
        self.primitive::<Int64Type>(column, Type::Int64)
    }

    /// A float64.
    pub fn float64(&self, column: &str) -> Result<f64, Fault> {
        self.primitive::<Float64Type>(column, Type::Float64)
    }

    /// A timestamp, in microseconds since 1970 in UTC.
    pub fn timestamp(&self, column: &str) -> Result<i64, Fault> {
        self.primitive::<TimestampMicrosecondType>(column, Type::Timestamp)
    }

    /// A bool.
    pub fn bool(&self, column: &str) -> Result<bool, Fault> {
        let array = self.present(column, Type::Bool)?;
        Ok(array.as_boolean().value(self.row))
    }

    /// Bytes.
    pub fn binary(&self, column: &str) -> Result<&'a [u8], Fault> {
        let array = self.present(column, Type::Binary)?;
        Ok(array.as_binary::<i32>().value(self.row))
    }

    /// Whether there is no value.
    pub fn is_null(&self, column: &str) -> Result<bool, Fault> {
        let found = self.find(column)?;
        Ok(match &found.strings {
            Some(strings) => strings.get(self.row).is_none(),
            None => found.array.is_null(self.row),
        })
    }

    fn primitive<T: ArrowPrimitiveType>(&self, column: &str, asked: Type) -> Result<T::Native, Fault> {
        Ok(self.present(column, asked)?.as_primitive::<T>().value(self.row))
    }

    fn present(&self, column: &str, asked: Type) -> Result<&'a ArrayRef, Fault> {
        let array = self.column(column, asked)?.array;
        if array.is_null(self.row) { Err(Fault::Null(column.to_owned())) } else { Ok(array) }
    }

    fn column(&self, column: &str, asked: Type) -> Result<&'a Column<'a>, Fault> {
        let found = self.find(column)?;
        if found.data_type != asked {
            return Err(Fault::WrongType { column: column.to_owned(), asked, found: found.data_type });
        }
        Ok(found)
    }

    fn find(&self, column: &str) -> Result<&'a Column<'a>, Fault> {
        let found = self.columns.iter().find(|found| found.name == column);
        found.ok_or_else(|| Fault::Unread(column.to_owned()))
    }
}
