//! A message written as another protobuf writer might: its fields in reverse order, among fields that nobody knows.
//!
//! Neighbours: rule F3 says that all messages but the two hot ones are read as any protobuf reader does.

use crate::{Error, Result};

/// Fields of all four wire types, numbered beyond all that there will be: 2000 as a varint, eight bytes, text, four
/// bytes.
const UNKNOWN: &[u8] = &[
    0x80, 0x7d, 0x96, 0x01, 0x81, 0x7d, 1, 2, 3, 4, 5, 6, 7, 8, 0x82, 0x7d, 2, b'h', b'i', 0x85, 0x7d, 1, 2,
    3, 4,
];

/// Rewrites a frame whose message has one field, the message proper.
pub(crate) fn frame(frame: &[u8]) -> Result<Vec<u8>> {
    let cannot = || Error::Kit("a frame cannot be written in another order".to_owned());
    let message = frame.get(8..).ok_or_else(cannot)?;
    let outer = fields(message).ok_or_else(cannot)?;
    let [only] = outer[..] else { return Err(cannot()) };
    let (tag, rest) = only.split_first().ok_or_else(cannot)?;
    let (_, body) = varint(rest).ok_or_else(cannot)?;
    let mut inner = fields(body).ok_or_else(cannot)?;
    inner.reverse();
    let body = [UNKNOWN, &inner.concat(), UNKNOWN].concat();
    let mut message = UNKNOWN.to_vec();
    message.push(*tag);
    write_varint(body.len(), &mut message);
    message.extend_from_slice(&body);
    let mut written = (message.len() as u32).to_le_bytes().to_vec();
    written.extend_from_slice(&frame[4..8]);
    written.extend_from_slice(&message);
    Ok(written)
}

/// Each field with its tag.
fn fields(mut message: &[u8]) -> Option<Vec<&[u8]>> {
    let mut fields = Vec::new();
    while !message.is_empty() {
        let (tag, rest) = varint(message)?;
        let rest = match tag & 7 {
            0 => varint(rest)?.1,
            1 => rest.get(8..)?,
            2 => {
                let (length, rest) = varint(rest)?;
                rest.get(length..)?
            }
            5 => rest.get(4..)?,
            _ => return None,
        };
        let (field, next) = message.split_at(message.len() - rest.len());
        fields.push(field);
        message = next;
    }
    Some(fields)
}

fn varint(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0;
    for (at, &byte) in bytes.iter().enumerate().take(10) {
        value |= usize::from(byte & 0x7f).checked_shl(7 * at as u32)?;
        if byte < 0x80 {
            return Some((value, &bytes[at + 1..]));
        }
    }
    None
}

fn write_varint(mut value: usize, to: &mut Vec<u8>) {
    while value >= 0x80 {
        to.push(value as u8 | 0x80);
        value >>= 7;
    }
    to.push(value as u8);
}

#[cfg(test)]
mod tests {
    use modrun_wire::{Frames, Open, ToStage};

    use super::frame;

    #[test]
    fn it_means_the_same() {
        let open = Open { protocol: 1, config: "{}".repeat(200), window_bytes: 1 << 40, ..Open::default() };
        let message = ToStage::Open(Box::new(open));
        let mut written = Vec::new();
        message.encode(&mut written).unwrap();
        let shuffled = frame(&written).unwrap();
        assert_ne!(shuffled, written);
        let read = Frames::<_, ToStage>::new(&shuffled[..], 0).next().unwrap().unwrap();
        assert_eq!(read.message, message);
    }
}
