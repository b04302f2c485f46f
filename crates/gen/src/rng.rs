//! The random stream: mulberry32, by Tommy Ettinger.

/// Mulberry32: 32 bits of state, 32 bits a draw, and the same sequence in every language.
#[derive(Clone, Debug)]
pub struct Rng {
    state: u32,
}

impl Rng {
    /// The stream that belongs to `seed`.
    #[must_use]
    pub fn new(seed: u32) -> Self {
        Self { state: seed }
    }

    /// The next 32 bits. Where a rule speaks of `r`, it means this divided by 2^32.
    #[inline]
    pub fn draw(&mut self) -> u32 {
        self.state = self.state.wrapping_add(0x6D2B_79F5);
        let a = self.state;
        let b = (a ^ (a >> 15)).wrapping_mul(a | 1);
        let c = b ^ b.wrapping_add((b ^ (b >> 7)).wrapping_mul(b | 61));
        c ^ (c >> 14)
    }

    /// One draw as `floor(r * n)`: exact, because `r` is a whole number of 2^-32. Gives 0 for `n` = 0.
    #[inline]
    pub fn below(&mut self, n: u32) -> u32 {
        ((u64::from(self.draw()) * u64::from(n)) >> 32) as u32
    }

    /// One draw as `r` itself, from 0 to just below 1.
    #[inline]
    pub fn ratio(&mut self) -> f64 {
        f64::from(self.draw()) / 4_294_967_296.0
    }

    /// One item of `items`, each as likely as any other.
    ///
    /// # Panics
    /// If `items` is empty.
    pub fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[self.index(items.len())]
    }

    /// Puts `items` in random order (Fisher and Yates).
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.index(last + 1));
        }
    }

    /// One draw as an index into something of length `len`; 0 if that is empty.
    ///
    /// # Panics
    /// If `len` does not fit 32 bits.
    pub fn index(&mut self, len: usize) -> usize {
        self.below(u32::try_from(len).expect("what is drawn from is held in memory and small")) as usize
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_are_those_of_the_reference_implementation() {
        let mut rng = Rng::new(42);
        let draws: Vec<u32> = (0..4).map(|_| rng.draw()).collect();
        assert_eq!(draws, [2_581_720_956, 1_925_393_290, 3_661_312_704, 2_876_485_805]);
    }

    #[test]
    fn a_shuffle_keeps_every_item() {
        let mut items: Vec<u32> = (0..20).collect();
        Rng::new(7).shuffle(&mut items);
        assert_ne!(items, (0..20).collect::<Vec<_>>());
        items.sort_unstable();
        assert_eq!(items, (0..20).collect::<Vec<_>>());
    }
}
