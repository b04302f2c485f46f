//! A stage's state as bytes: its chunks of rows, each as the names and types of its columns, and a table.

use arrow_buffer::Buffer;
use arrow_schema::{Field, Schema, SchemaRef};
use modrun_core::{Error, Result, State, Type};
use modrun_link::Guest;
use modrun_wire::{FromStage, STATE_BYTES_MAX, Snapshot, table};
use std::sync::Arc;

/// Sends a state, as bytes, as the answer to the barrier of `epoch`.
pub(super) fn send(guest: &Guest, epoch: u64, bytes: &[u8]) -> Result<()> {
    let mut chunks = 0;
    for chunk in bytes.chunks(STATE_BYTES_MAX) {
        guest.say_with(&FromStage::State(modrun_wire::State { index: chunks }), chunk)?;
        chunks += 1;
    }
    guest.say(&FromStage::Snapshot(Snapshot { epoch, chunks }))?;
    guest.flush()
}

type Columns = Vec<(String, Type, bool)>;

/// A state as bytes; without rows there are none.
pub(super) fn write(state: &State) -> Result<Vec<u8>> {
    let unfit = |error| Error::internal("a stage's state has columns of no link type").with_source(error);
    let mut bytes = Vec::new();
    for rows in state {
        let columns: Columns = modrun_wire::Schema::of(&rows.schema())
            .map_err(unfit)?
            .columns
            .into_iter()
            .map(|column| (column.name, column.column_type, column.nullable))
            .collect();
        let columns = serde_json::to_vec(&columns).expect("names and types can be written");
        let layout = table::Layout::of(rows).map_err(unfit)?;
        bytes.extend((columns.len() as u64).to_le_bytes());
        bytes.extend((layout.length() as u64).to_le_bytes());
        bytes.extend(columns);
        let begin = bytes.len();
        bytes.resize(begin + layout.length(), 0);
        layout.write(&mut bytes[begin..]);
    }
    Ok(bytes)
}

/// Reads what `write` wrote.
pub(super) fn read(mut bytes: &[u8]) -> Result<State> {
    let broken = || Error::invalid("the state is none of this stage's");
    let mut take = |length: usize| {
        let (taken, rest) = bytes.split_at_checked(length).ok_or_else(broken)?;
        bytes = rest;
        Ok::<_, Error>((taken, rest.is_empty()))
    };
    let mut state = State::new();
    let mut ended = false;
    while !ended {
        let mut number = || {
            let (bytes, _) = take(8)?;
            Ok::<_, Error>(u64::from_le_bytes(bytes.try_into().map_err(|_| broken())?) as usize)
        };
        let (columns, table) = (number()?, number()?);
        let columns: Columns = serde_json::from_slice(take(columns)?.0).map_err(|_| broken())?;
        let fields =
            columns.into_iter().map(|(name, kind, nullable)| Field::new(name, kind.to_arrow(), nullable));
        let schema: SchemaRef = Arc::new(Schema::new(fields.collect::<Vec<_>>()));
        let (payload, last) = take(table)?;
        let rows = table::decode(Buffer::from(payload), &schema);
        state.push(rows.map_err(|error| broken().with_source(error))?);
        ended = last;
    }
    Ok(state)
}
