//! The bits of a payload that mean nothing: the unused ones of a bitmap's last byte, and the bytes between buffers.
//!
//! What it is: a reader of a table's structs, written a second time and independent of the codec, which ignores these
//! bits as it must. The kit checks that a stage writes them as 0, and sets them to check that a stage ignores them.
//!
//! Refuses: checking anything else; the payload must be a table that the codec has accepted.

/// Bytes before the columns' structs, and of each of them.
pub(crate) const TABLE: usize = 16;
pub(crate) const COLUMN: usize = 48;
/// Where a table says how many rows it has.
pub(crate) const ROWS: usize = 4;
const BOOL: u8 = 1;

/// For each byte of a table, the bits that mean nothing.
pub(crate) fn of_table(payload: &[u8]) -> Vec<u8> {
    let mut free = vec![0xff_u8; payload.len()];
    let rows = number(payload, ROWS);
    let columns = number(payload, 8);
    free[..TABLE + COLUMN * columns].fill(0);
    for at in (0..columns).map(|column| TABLE + COLUMN * column) {
        for (buffer, bitmap) in [(16, true), (24, payload[at] == BOOL), (32, false), (40, false)] {
            let (offset, length) = (number(payload, at + buffer), number(payload, at + buffer + 4));
            let used = &mut free[offset.min(payload.len())..(offset + length).min(payload.len())];
            used.fill(0);
            if bitmap && let Some(last) = used.last_mut() {
                *last = beyond(rows);
            }
        }
    }
    free
}

/// For each byte of a selection, the bits that mean nothing.
pub(crate) fn of_selection(rows: usize) -> Vec<u8> {
    let mut free = vec![0; rows.div_ceil(8)];
    if let Some(last) = free.last_mut() {
        *last = beyond(rows);
    }
    free
}

/// The first byte of `payload` that has a bit set where `free` has one.
pub(crate) fn first_set(payload: &[u8], free: &[u8]) -> Option<usize> {
    payload.iter().zip(free).position(|(byte, free)| byte & free != 0)
}

/// Sets all bits that mean nothing.
pub(crate) fn fill(payload: &mut [u8], free: &[u8]) {
    for (byte, free) in payload.iter_mut().zip(free) {
        *byte |= free;
    }
}

/// The bits of a bitmap's last byte behind the last of `rows` rows.
fn beyond(rows: usize) -> u8 {
    match rows % 8 {
        0 => 0,
        used => 0xff << used,
    }
}

/// The u32 at a position; 0 outside of the payload.
pub(crate) fn number(payload: &[u8], at: usize) -> usize {
    let bytes = payload.get(at..at + 4).and_then(|bytes| bytes.try_into().ok());
    bytes.map_or(0, |bytes| u32::from_le_bytes(bytes) as usize)
}

#[cfg(test)]
mod tests {
    use modrun_core::Type;

    use super::{fill, first_set, of_selection, of_table};
    use crate::table;
    use crate::value::{Column, Value};

    #[test]
    fn a_table_means_the_same_with_its_slack_filled() {
        let column = |name: &str, data_type| Column { name: name.to_owned(), data_type, nullable: true };
        let columns = [column("b", Type::Bool), column("s", Type::String)];
        let rows: Vec<_> = (0..11)
            .map(|row| vec![Value::Bool(row % 2 == 0), Value::String("x".repeat(row))])
            .chain([vec![Value::Null, Value::Null]])
            .collect();
        let mut payload = table::write(&columns, &rows, false).unwrap();
        let free = of_table(&payload);
        assert_eq!(first_set(&payload, &free), None);
        fill(&mut payload, &free);
        assert!(first_set(&payload, &free).is_some(), "there is slack in this table");
        assert_eq!(table::read(&columns, payload.into()).unwrap(), rows);
    }

    #[test]
    fn unused_bits_of_a_selection() {
        let cases = [(0, vec![]), (8, vec![0]), (9, vec![0, 0xfe]), (15, vec![0, 0x80])];
        for (rows, expected) in cases {
            assert_eq!(of_selection(rows), expected);
        }
    }
}
