//! The last values of each key: rings of one size, one after the other.

/// A window, oldest value first: its two parts belong together.
pub(super) type Window<'a> = (&'a [i64], &'a [i64]);

/// The windows of all keys, by the key's number.
pub(super) struct Windows {
    last: usize,
    /// `last` places for each key.
    values: Vec<i64>,
    /// How many values each key has had.
    seen: Vec<u64>,
}

impl Windows {
    pub(super) fn new(last: usize) -> Self {
        Self { last, values: Vec::new(), seen: Vec::new() }
    }

    /// Makes room for keys that are new.
    pub(super) fn grow(&mut self, keys: usize) {
        if keys > self.seen.len() {
            self.seen.resize(keys, 0);
            self.values.resize(keys * self.last, 0);
        }
    }

    /// Adds a value, in place of the oldest one if the window is full, and gives the window.
    #[inline]
    pub(super) fn push(&mut self, id: u32, value: i64) -> Window<'_> {
        let id = id as usize;
        let next = (self.seen[id] % self.last as u64) as usize;
        self.values[id * self.last + next] = value;
        self.seen[id] += 1;
        self.get(id as u32)
    }

    #[inline]
    pub(super) fn get(&self, id: u32) -> Window<'_> {
        let id = id as usize;
        let ring = &self.values[id * self.last..(id + 1) * self.last];
        let seen = self.seen[id];
        if seen < self.last as u64 {
            return (&ring[..seen as usize], &[]);
        }
        let (new, old) = ring.split_at((seen % self.last as u64) as usize);
        (old, new)
    }
}
