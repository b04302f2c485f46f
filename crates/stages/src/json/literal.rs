//! Bytes that are expected at a position.

/// Bytes that are expected at a position, compared sixteen at a time.
pub(super) struct Literal {
    bytes: Vec<u8>,
    /// The first sixteen bytes, and which bits of them count.
    head: u128,
    mask: u128,
}

impl Literal {
    pub(super) fn new(bytes: &[u8]) -> Self {
        let (mut head, mut mask) = ([0; 16], [0; 16]);
        let length = bytes.len().min(16);
        head[..length].copy_from_slice(&bytes[..length]);
        mask[..length].fill(0xff);
        Self { bytes: bytes.to_vec(), head: u128::from_le_bytes(head), mask: u128::from_le_bytes(mask) }
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The position after the literal, if it stands at `at`; `None` near the end of the text, too.
    #[inline(always)]
    pub(super) fn pass(&self, text: &[u8], at: usize) -> Option<usize> {
        let end = at + self.bytes.len();
        let found = u128::from_le_bytes(*text.get(at..)?.first_chunk()?);
        if (found ^ self.head) & self.mask != 0 {
            return None;
        }
        (self.bytes.len() <= 16 || text.get(at + 16..end)? == &self.bytes[16..]).then_some(end)
    }
}
