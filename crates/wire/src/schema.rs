//! The columns of a link, as they cross the socket.

use std::sync::Arc;

use arrow_schema::{Field, SchemaRef};
use modrun_core::Type;

use crate::field::{Body, Value, write_message, write_string, write_u32};
use crate::{Error, Result};

/// The columns of a link, in order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Schema {
    /// The columns.
    pub columns: Vec<Column>,
}

/// One column.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Column {
    /// Its name.
    pub name: String,
    /// Its type.
    pub column_type: Type,
    /// Whether it may hold nulls.
    pub nullable: bool,
}

impl Schema {
    /// The columns of an Arrow schema; a dictionary-encoded column of strings is a column of strings. Fails if a
    /// column has a type that no link can carry.
    pub fn of(schema: &arrow_schema::Schema) -> Result<Self> {
        let column = |field: &Arc<Field>| {
            let data_type = field.data_type();
            let Some(column_type) = Type::from_arrow(data_type) else {
                return Err(Error::Type { column: field.name().clone(), data_type: data_type.clone() });
            };
            Ok(Column { name: field.name().clone(), column_type, nullable: field.is_nullable() })
        };
        Ok(Self { columns: schema.fields().iter().map(column).collect::<Result<_>>()? })
    }

    /// The columns as an Arrow schema, strings plain.
    pub fn to_arrow(&self) -> SchemaRef {
        let fields: Vec<Field> = self
            .columns
            .iter()
            .map(|column| Field::new(&column.name, column.column_type.to_arrow(), column.nullable))
            .collect();
        Arc::new(arrow_schema::Schema::new(fields))
    }
}

/// The number of a type, in a schema and in a table.
pub(crate) fn number(column_type: Type) -> u8 {
    match column_type {
        Type::Bool => 1,
        Type::Int64 => 2,
        Type::Float64 => 3,
        Type::String => 4,
        Type::Binary => 5,
        Type::Timestamp => 6,
    }
}

fn from_number(value: u32) -> Result<Type> {
    let all = [Type::Bool, Type::Int64, Type::Float64, Type::String, Type::Binary, Type::Timestamp];
    let known = all.into_iter().find(|&column_type| u32::from(number(column_type)) == value);
    known.ok_or(Error::Meaning { name: "Field.type", value: value.into() })
}

impl Body for Schema {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        if number == 1 {
            let mut column = RawColumn::default();
            column.merge(value.bytes()?)?;
            let RawColumn { name, number, nullable } = column;
            self.columns.push(Column { name, column_type: from_number(number)?, nullable });
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        for Column { name, column_type, nullable } in &self.columns {
            let number = number(*column_type).into();
            write_message(1, &RawColumn { name: name.clone(), number, nullable: *nullable }, out);
        }
    }
}

/// A column whose type may still be none.
#[derive(Default)]
struct RawColumn {
    name: String,
    number: u32,
    nullable: bool,
}

impl Body for RawColumn {
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()> {
        match number {
            1 => self.name = value.string()?,
            2 => self.number = value.u32()?,
            3 => self.nullable = value.bool()?,
            _ => {}
        }
        Ok(())
    }

    fn write(&self, out: &mut Vec<u8>) {
        write_string(1, &self.name, out);
        write_u32(2, self.number, out);
        write_u32(3, self.nullable.into(), out);
    }
}
