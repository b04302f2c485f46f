//! Protobuf fields, read and written one by one.
//!
//! Reading is as tolerant as protobuf is: any order, the last one of a field wins, what is unknown is skipped. A
//! field of another wire type than it should have is an error.

use crate::{Error, Result};

/// Nested groups beyond which a message is refused rather than skipped.
const GROUP_DEPTH_MAX: usize = 100;

/// The fields of one message.
#[derive(Clone, Copy)]
pub(crate) struct Fields<'a> {
    bytes: &'a [u8],
}

/// One field's value, by its wire type.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Value<'a> {
    Varint(u64),
    Fixed64(u64),
    Bytes(&'a [u8]),
    Fixed32(u32),
}

impl<'a> Fields<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes }
    }

    /// The next field's number and value; groups, which no message of the protocol has, are skipped.
    pub(crate) fn next(&mut self) -> Result<Option<(u32, Value<'a>)>> {
        let mut groups = Vec::new();
        while !self.bytes.is_empty() {
            let tag = self.varint()?;
            let number = u32::try_from(tag).map_err(|_| Error::Protobuf("a tag is too large"))? >> 3;
            if number == 0 {
                return Err(Error::Protobuf("a field has the number 0"));
            }
            let value = match tag & 7 {
                0 => Value::Varint(self.varint()?),
                1 => Value::Fixed64(u64::from_le_bytes(self.array()?)),
                2 => Value::Bytes(self.bytes()?),
                5 => Value::Fixed32(u32::from_le_bytes(self.array()?)),
                3 if groups.len() < GROUP_DEPTH_MAX => {
                    groups.push(number);
                    continue;
                }
                4 if groups.pop() == Some(number) => continue,
                _ => return Err(Error::Protobuf("a field has no wire type that is known")),
            };
            if groups.is_empty() {
                return Ok(Some((number, value)));
            }
        }
        if groups.is_empty() { Ok(None) } else { Err(CUT_OFF) }
    }

    fn varint(&mut self) -> Result<u64> {
        let mut value = 0;
        for at in 0..10 {
            let &byte = self.bytes.get(at).ok_or(CUT_OFF)?;
            value |= u64::from(byte & 0x7f) << (7 * at);
            if byte < 0x80 {
                if at == 9 && byte > 1 {
                    break;
                }
                self.bytes = &self.bytes[at + 1..];
                return Ok(value);
            }
        }
        Err(Error::Protobuf("a number is longer than 64 bits"))
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N]> {
        let (array, rest) = self.bytes.split_first_chunk().ok_or(CUT_OFF)?;
        self.bytes = rest;
        Ok(*array)
    }

    fn bytes(&mut self) -> Result<&'a [u8]> {
        let length = usize::try_from(self.varint()?).map_err(|_| CUT_OFF)?;
        let (bytes, rest) = self.bytes.split_at_checked(length).ok_or(CUT_OFF)?;
        self.bytes = rest;
        Ok(bytes)
    }
}

const CUT_OFF: Error = Error::Protobuf("it is cut off");
const WIRE_TYPE: Error = Error::Protobuf("a field has another wire type than it should");

impl<'a> Value<'a> {
    pub(crate) fn u64(self) -> Result<u64> {
        if let Value::Varint(value) = self { Ok(value) } else { Err(WIRE_TYPE) }
    }

    /// Of a larger number the lower half, as in any protobuf reader.
    pub(crate) fn u32(self) -> Result<u32> {
        Ok(self.u64()? as u32)
    }

    pub(crate) fn bool(self) -> Result<bool> {
        Ok(self.u64()? != 0)
    }

    pub(crate) fn fixed64(self) -> Result<u64> {
        if let Value::Fixed64(value) = self { Ok(value) } else { Err(WIRE_TYPE) }
    }

    pub(crate) fn bytes(self) -> Result<&'a [u8]> {
        if let Value::Bytes(bytes) = self { Ok(bytes) } else { Err(WIRE_TYPE) }
    }

    pub(crate) fn string(self) -> Result<String> {
        let text =
            std::str::from_utf8(self.bytes()?).map_err(|_| Error::Protobuf("a string is not UTF-8"))?;
        Ok(text.to_owned())
    }

    /// Adds the elements of a repeated uint32, of which this is one or a packed run.
    pub(crate) fn extend_u32s(self, out: &mut Vec<u32>) -> Result<()> {
        match self {
            Value::Varint(value) => out.push(value as u32),
            Value::Bytes(bytes) => {
                let mut packed = Fields::new(bytes);
                while !packed.bytes.is_empty() {
                    out.push(packed.varint()? as u32);
                }
            }
            _ => return Err(WIRE_TYPE),
        }
        Ok(())
    }
}

/// A message that is read and written field by field.
pub(crate) trait Body: Default {
    /// Takes one field; an unknown number is nobody's concern.
    fn field(&mut self, number: u32, value: Value<'_>) -> Result<()>;

    /// Writes all fields that are not what an absent field means.
    fn write(&self, out: &mut Vec<u8>);

    /// Takes all fields of `bytes` over those there are.
    fn merge(&mut self, bytes: &[u8]) -> Result<()> {
        let mut fields = Fields::new(bytes);
        while let Some((number, value)) = fields.next()? {
            self.field(number, value)?;
        }
        Ok(())
    }
}

fn write_varint(mut value: u64, out: &mut Vec<u8>) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_tag(number: u32, wire_type: u32, out: &mut Vec<u8>) {
    write_varint(u64::from(number << 3 | wire_type), out);
}

/// Writes a number, unless it is 0.
pub(crate) fn write_u64(number: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        write_tag(number, 0, out);
        write_varint(value, out);
    }
}

/// Writes a number, unless it is 0.
pub(crate) fn write_u32(number: u32, value: u32, out: &mut Vec<u8>) {
    write_u64(number, value.into(), out);
}

/// Writes a number in 8 bytes, unless it is 0.
pub(crate) fn write_fixed64(number: u32, value: u64, out: &mut Vec<u8>) {
    if value != 0 {
        write_tag(number, 1, out);
        out.extend_from_slice(&value.to_le_bytes());
    }
}

/// Writes a string, unless it is empty.
pub(crate) fn write_string(number: u32, text: &str, out: &mut Vec<u8>) {
    if !text.is_empty() {
        write_bytes(number, text.as_bytes(), out);
    }
}

/// Writes a message, even if it is empty.
pub(crate) fn write_message(number: u32, message: &impl Body, out: &mut Vec<u8>) {
    let mut body = Vec::new();
    message.write(&mut body);
    write_bytes(number, &body, out);
}

/// Writes numbers as one packed run, unless there are none.
pub(crate) fn write_u32s(number: u32, values: &[u32], out: &mut Vec<u8>) {
    if !values.is_empty() {
        let mut packed = Vec::new();
        values.iter().for_each(|&value| write_varint(value.into(), &mut packed));
        write_bytes(number, &packed, out);
    }
}

fn write_bytes(number: u32, bytes: &[u8], out: &mut Vec<u8>) {
    write_tag(number, 2, out);
    write_varint(bytes.len() as u64, out);
    out.extend_from_slice(bytes);
}
