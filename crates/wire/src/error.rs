//! What can be wrong with bytes of the protocol.

use arrow_schema::DataType;
use modrun_core::Type;

/// The result of reading or writing bytes of the protocol.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Why a frame or a message cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The stream failed.
    #[error("the stream cannot be read")]
    Io(#[from] std::io::Error),
    /// The stream ended where more must follow.
    #[error("the stream ended inside a frame")]
    Truncated,
    /// A message beyond the bound of all messages.
    #[error("a message of {length} bytes is larger than the {max} bytes that one may have")]
    MessageLength {
        /// Bytes of the message.
        length: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// A payload beyond the bound of its message.
    #[error("a payload of {length} bytes is larger than the {max} bytes that may follow `{message}`")]
    PayloadLength {
        /// The message before it.
        message: &'static str,
        /// Bytes of the payload.
        length: usize,
        /// Bytes that it may have.
        max: usize,
    },
    /// A batch whose length is not that of the payload behind it.
    #[error("a `Batch` of {length} bytes {place} is followed by a payload of {payload} bytes")]
    BatchLength {
        /// Bytes that the message names.
        length: u32,
        /// Where the message says that they are.
        place: &'static str,
        /// Bytes that follow the message.
        payload: usize,
    },
    /// A message that is not protobuf.
    #[error("a message is not protobuf: {0}")]
    Protobuf(&'static str),
    /// A message of no kind that is known.
    #[error("a message of none of the known kinds")]
    Unknown,
    /// A `Batch` or `Credit` that is not laid out as it must be.
    #[error("a `{0}` message does not have all fields in the order of their numbers, and no others")]
    NotFixed(&'static str),
    /// A number that is none of an enumeration's.
    #[error("`{name}` is {value}, which means nothing")]
    Meaning {
        /// The field, as `Message.field`.
        name: &'static str,
        /// Its value.
        value: u64,
    },
    /// A payload at a place where none can begin.
    #[error("a `Batch` has the offset {0}, which is no multiple of 64")]
    Offset(u64),
    /// A column of a type that no link can carry.
    #[error("column `{column}` has the type `{data_type}`, which is no link type")]
    Type {
        /// The column's name.
        column: String,
        /// Its type.
        data_type: DataType,
    },
    /// A batch beyond what a payload can be.
    #[error("a table of {0} bytes is larger than the 4 GiB that a payload may have")]
    TableLength(u64),
    /// A batch of more rows than a table can have.
    #[error("a table of {0} rows has more of them than can be counted in 32 bits")]
    TableRows(usize),
    /// A payload that is not what it should be.
    #[error(transparent)]
    Garbage(#[from] Garbage),
}

/// Why a payload cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Garbage {
    /// The first bytes are not those of a table.
    #[error("the payload is no table: it does not begin with `MRB1`")]
    Magic,
    /// The payload ends before its columns are described.
    #[error("a payload of {length} bytes is too short for a table of {columns} columns")]
    Short {
        /// Bytes of the payload.
        length: usize,
        /// Columns of the schema.
        columns: usize,
    },
    /// Another number of columns than the schema has.
    #[error("the table has {found} columns instead of {expected}")]
    Columns {
        /// Columns of the table.
        found: u32,
        /// Columns of the schema.
        expected: usize,
    },
    /// A field of the table's header that must be 0.
    #[error("a reserved field of the table is {0} instead of 0")]
    Reserved(u32),
    /// Something about one column.
    #[error("column `{column}`: {flaw}")]
    Column {
        /// The column's name.
        column: String,
        /// What is wrong with it.
        flaw: Flaw,
    },
    /// A selection of another length than its batch asks for.
    #[error("a selection of {found} bytes cannot stand for {rows} rows")]
    SelectionLength {
        /// Bytes of the selection.
        found: usize,
        /// Rows of the batch that it selects from.
        rows: usize,
    },
    /// A selection of another number of rows than its message names.
    #[error("the selection keeps {found} rows instead of {expected}")]
    SelectionRows {
        /// Bits that are set.
        found: usize,
        /// Rows that the message names.
        expected: u32,
    },
}

/// What can be wrong with one column of a table.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Flaw {
    /// The schema's type is none of a link's.
    #[error("the schema's type `{0}` is no link type")]
    Schema(DataType),
    /// Another type than the schema's.
    #[error("type {found} instead of `{expected}`")]
    Type {
        /// The number in the table.
        found: u8,
        /// The schema's type.
        expected: Type,
    },
    /// An encoding that the type cannot have.
    #[error("encoding {found} is not one of `{of}`")]
    Encoding {
        /// The number in the table.
        found: u8,
        /// The column's type.
        of: Type,
    },
    /// A field that must be 0.
    #[error("a reserved field is {0} instead of 0")]
    Reserved(u32),
    /// More dictionary values than codes can tell apart, or values of a plain column.
    #[error("{0} dictionary values")]
    DictionaryLength(u32),
    /// Nulls in a column that has none.
    #[error("{0} nulls, though it is not nullable")]
    NotNullable(u32),
    /// More or fewer nulls than the column says.
    #[error("{found} nulls instead of {expected}")]
    Nulls {
        /// Bits that are not set.
        found: usize,
        /// The number in the table.
        expected: u32,
    },
    /// A buffer of the wrong length.
    #[error("{found} bytes of {buffer} instead of {expected}")]
    Length {
        /// Which buffer.
        buffer: &'static str,
        /// Its length.
        found: u32,
        /// The length that it must have.
        expected: u64,
    },
    /// A buffer outside the part of the payload where buffers are.
    #[error("the {buffer} at {offset} are outside the part of the payload that buffers lie in")]
    Outside {
        /// Which buffer.
        buffer: &'static str,
        /// Where it begins.
        offset: u32,
    },
    /// A buffer that begins at no multiple of 8.
    #[error("the {buffer} at {offset} do not begin at a multiple of 8")]
    Alignment {
        /// Which buffer.
        buffer: &'static str,
        /// Where it begins.
        offset: u32,
    },
    /// String offsets that do not begin with 0, that fall, or that end elsewhere than the bytes.
    #[error("the string offsets do not rise from 0 to the length of the string bytes")]
    Offsets,
    /// Bytes of strings that are not UTF-8.
    #[error("a string is not UTF-8")]
    Utf8,
    /// A code of a valid row without a dictionary value.
    #[error("a code is not less than the {0} dictionary values")]
    Code(u32),
}
