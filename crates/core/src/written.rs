//! The account of what a sink wrote.

use std::fmt;

type Witness = Box<dyn FnMut(&[u8]) + Send>;

/// Rows, digest and, where asked for, a look at every byte that a sink writes.
#[derive(Default)]
pub struct Written {
    rows: u64,
    digest: Box<blake3::Hasher>,
    witness: Option<Witness>,
}

impl Written {
    /// An account that shows each piece of written bytes to `witness`, in order.
    pub fn with_witness(witness: impl FnMut(&[u8]) + Send + 'static) -> Self {
        Self { witness: Some(Box::new(witness)), ..Self::default() }
    }

    /// Records `rows` whole result rows, as the `bytes` that were written.
    pub fn record(&mut self, rows: u64, bytes: &[u8]) {
        self.rows += rows;
        self.digest.update(bytes);
        if let Some(witness) = &mut self.witness {
            witness(bytes);
        }
    }

    /// Result rows so far.
    pub fn rows(&self) -> u64 {
        self.rows
    }

    /// BLAKE3 over the result rows as written, in hex.
    pub fn digest(&self) -> String {
        self.digest.finalize().to_hex().to_string()
    }
}

impl fmt::Debug for Written {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Written").field("rows", &self.rows).field("digest", &self.digest()).finish()
    }
}
