//! Sums that do not depend on order: every term is added without any rounding, and only the result is rounded, once.
//!
//! [`ExactSum`] is for float64, [`IntSum`] for int64. Both merge, so that workers may each sum a part; any order
//! and any split of the same terms gives the same bits.
//!
//! A float64 is a whole number of units of 2^-1074, and the largest is below 2^2098 of them. An [`ExactSum`] is
//! such a whole number in two's complement, in limbs of 64 bits, of which only those that were ever touched exist:
//!
//! ```text
//!   bit      0        64       128             1024              2098
//!            ├────────┼────────┼─ … ─┬────────┬────────┬────────┐ … ┤
//!                                    │ limb 0 │ limb 1 │  sign  │
//!                                    └────────┴────────┴────────┘
//!                              lowest = 15      (a sum of values near 1)
//! ```
//!
//! A term is its 53 bits shifted into two adjacent limbs; the carry runs on only as far as it must. Two's complement
//! needs no renormalisation and makes cancellation as cheap as addition. Source of the idea: Kulisch's long
//! accumulator; Neal, "Fast exact summation using small and large superaccumulators" (2015).
//!
//! Refuses: being a float. There is no running value to read cheaply; ask for it at the end.

/// Bits of a limb.
const LIMB: i64 = 64;
/// Stored bits of a float64's fraction.
const FRACTION: u32 = f64::MANTISSA_DIGITS - 1;
/// The exponent field of NaN and the infinities.
const SPECIAL: u64 = 0x7ff;
/// The bit of the number 1 in units of 2^-1074.
const ONE: i64 = 1074;
/// More limbs than 2^64 terms of any size can reach: 2098 bits, 64 for the carries, a sign.
const LIMBS_MAX: usize = 35;

const NAN: u8 = 1;
const INFINITE: u8 = 2;
const MINUS_INFINITE: u8 = 4;

/// The exact sum of any number of float64 values, below 2^64 of them.
///
/// Costs 32 bytes and 24 to 40 more for values of similar size, 288 more at the most. The empty sum is 0, and a sum
/// that is exactly zero is `0.0`, never `-0.0`.
#[derive(Clone, Debug, Default)]
pub struct ExactSum {
    /// Two's complement; the last limb is the sign, 0 or all ones. Empty stands for 0.
    limbs: Vec<u64>,
    /// The place of the first limb: it counts in 2^(64 · lowest) units.
    lowest: u8,
    /// NaN and the infinities that were added, as flags.
    specials: u8,
}

impl ExactSum {
    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: f64) {
        let bits = value.to_bits();
        let exponent = bits >> FRACTION & SPECIAL;
        let fraction = bits & ((1 << FRACTION) - 1);
        if exponent.wrapping_sub(1) >= SPECIAL - 1 {
            return self.add_unusual(value, fraction);
        }
        let position = exponent - 1;
        let magnitude = i128::from(fraction | 1 << FRACTION) << (position % 64);
        self.add_at((position / 64) as usize, if value < 0.0 { -magnitude } else { magnitude });
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.specials |= other.specials;
        let Some((sign, limbs)) = other.limbs.split_last() else { return };
        let lowest = usize::from(other.lowest);
        for (i, &limb) in limbs.iter().enumerate().filter(|(_, limb)| **limb != 0) {
            self.add_at(lowest + i, i128::from(limb));
        }
        if *sign != 0 {
            self.add_at(lowest + limbs.len(), -1);
        }
    }

    /// The sum, rounded once, half to even; infinite where the exact sum is out of range.
    ///
    /// NaN if a NaN or both infinities were added, else an infinity if one was.
    pub fn sum(&self) -> f64 {
        self.special().unwrap_or_else(|| {
            let (negative, limbs) = self.magnitude(0);
            signed(negative, round(&limbs, i64::from(self.lowest) * LIMB))
        })
    }

    /// The exact sum divided by `count`, rounded once, half to even. NaN for a `count` of 0; else as [`Self::sum`].
    pub fn mean(&self, count: u64) -> f64 {
        if count == 0 {
            return f64::NAN;
        }
        self.special().unwrap_or_else(|| {
            let (negative, limbs) = self.magnitude(QUOTIENT_LIMBS);
            signed(negative, divide(limbs, i64::from(self.lowest) * LIMB, count))
        })
    }

    /// The sum as bytes, the same for equal sums: flags, place of the first limb, limbs without needless ones.
    pub fn to_bytes(&self) -> Vec<u8> {
        let sign = self.limbs.last().copied().unwrap_or(0);
        let zeros = self.limbs.iter().take_while(|limb| **limb == 0).count();
        let signs = self.limbs.iter().rev().take_while(|limb| **limb == sign).count();
        let used = zeros..(self.limbs.len() + 1 - signs.max(1)).max(zeros);
        let place = if used.is_empty() { 0 } else { self.lowest + zeros as u8 };
        let mut bytes = vec![self.specials, place];
        self.limbs[used].iter().for_each(|limb| bytes.extend_from_slice(&limb.to_le_bytes()));
        bytes
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for bytes that it cannot have written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let (&[specials, lowest], rest) = bytes.split_first_chunk()?;
        let (words, remainder) = rest.as_chunks::<8>();
        let limbs: Vec<u64> = words.iter().map(|word| u64::from_le_bytes(*word)).collect();
        let fits = specials <= NAN | INFINITE | MINUS_INFINITE
            && remainder.is_empty()
            && usize::from(lowest) + limbs.len() <= LIMBS_MAX
            && limbs.last().is_none_or(|&top| top == sign_of(top));
        let read = Self { limbs, lowest, specials };
        (fits && read.to_bytes() == bytes).then_some(read)
    }

    /// Zeros, subnormals, NaN and infinities.
    #[cold]
    fn add_unusual(&mut self, value: f64, fraction: u64) {
        if value.is_nan() {
            self.specials |= NAN;
        } else if value.is_infinite() {
            self.specials |= if value > 0.0 { INFINITE } else { MINUS_INFINITE };
        } else if fraction != 0 {
            self.add_at(0, if value < 0.0 { -i128::from(fraction) } else { i128::from(fraction) });
        }
    }

    /// Adds `addend` · 2^(64 · place) units.
    #[inline]
    fn add_at(&mut self, place: usize, addend: i128) {
        let mut at = place.wrapping_sub(usize::from(self.lowest));
        // Two limbs for the addend, and the sign above them.
        if at >= self.limbs.len().saturating_sub(2) {
            at = self.widen(place);
        }
        let [low, high, rest @ ..] = &mut self.limbs[at..] else { unreachable!("widened to three limbs") };
        let before = u128::from(*low) | u128::from(*high) << 64;
        let (after, carry) = before.overflowing_add(addend as u128);
        (*low, *high) = (after as u64, (after >> 64) as u64);
        if carry != (addend < 0) {
            ripple(rest, carry);
            self.keep_sign();
        }
    }

    /// Makes room for two limbs and a sign from `place` on; where `place` now is.
    #[cold]
    fn widen(&mut self, place: usize) -> usize {
        if self.limbs.is_empty() {
            self.lowest = place as u8;
            self.limbs = vec![0; 3];
        }
        let missing = usize::from(self.lowest).saturating_sub(place);
        self.limbs.splice(..0, std::iter::repeat_n(0, missing));
        self.lowest -= missing as u8;
        let at = place - usize::from(self.lowest);
        let sign = self.limbs.last().copied().unwrap_or(0);
        self.limbs.resize(self.limbs.len().max(at + 3), sign);
        at
    }

    /// Puts a new sign on top where a carry made the last limb more than a sign.
    #[inline]
    fn keep_sign(&mut self) {
        if let Some(&top) = self.limbs.last()
            && top != sign_of(top)
        {
            self.limbs.push(sign_of(top));
        }
    }

    /// The result that NaN or infinite terms force.
    fn special(&self) -> Option<f64> {
        match self.specials {
            0 => None,
            INFINITE => Some(f64::INFINITY),
            MINUS_INFINITE => Some(f64::NEG_INFINITY),
            _ => Some(f64::NAN),
        }
    }

    /// Whether the sum is negative, and its magnitude's limbs above `zeros` empty ones.
    fn magnitude(&self, zeros: usize) -> (bool, Vec<u64>) {
        let negative = self.limbs.last().is_some_and(|sign| *sign != 0);
        let mut limbs = vec![0; zeros];
        limbs.extend_from_slice(&self.limbs);
        if negative {
            limbs.iter_mut().for_each(|limb| *limb = !*limb);
            ripple(&mut limbs, true);
        }
        (negative, limbs)
    }
}

/// The exact sum of any number of int64 values, below 2^63 of them.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IntSum(i128);

impl IntSum {
    /// What 2^63 terms can reach, so that as many may still follow.
    const MAGNITUDE_MAX: u128 = 1 << 126;

    /// Adds one value.
    #[inline]
    pub fn add(&mut self, value: i64) {
        self.0 += i128::from(value);
    }

    /// Adds all that another sum holds.
    pub fn merge(&mut self, other: &Self) {
        self.0 = self.0.saturating_add(other.0);
    }

    /// The sum; `None` where it leaves the range of int64.
    pub fn total(&self) -> Option<i64> {
        i64::try_from(self.0).ok()
    }

    /// The exact sum divided by `count`, rounded once, half to even. NaN for a `count` of 0.
    pub fn mean(&self, count: u64) -> f64 {
        if count == 0 {
            return f64::NAN;
        }
        let magnitude = self.0.unsigned_abs();
        let mut limbs = vec![0; QUOTIENT_LIMBS];
        limbs.extend([magnitude as u64, (magnitude >> 64) as u64]);
        signed(self.0 < 0, divide(limbs, ONE, count))
    }

    /// The sum as 16 bytes, the lowest first.
    pub fn to_bytes(&self) -> [u8; 16] {
        self.0.to_le_bytes()
    }

    /// Reads what [`Self::to_bytes`] wrote; `None` for bytes that it cannot have written.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let sum = i128::from_le_bytes(bytes.try_into().ok()?);
        (sum.unsigned_abs() <= Self::MAGNITUDE_MAX).then_some(Self(sum))
    }
}

/// Empty limbs below a dividend, so that rounding the quotient's bits is rounding the quotient, whatever the remainder.
///
/// A quotient of a whole number by a `u64` is a tie between two floats, or it differs from each tie by more than 2^-64
/// of the tie's last bit. That bit is the 54th of the quotient, and these limbs leave at least 75 bits below it.
const QUOTIENT_LIMBS: usize = 3;

/// The dividend by `count`, rounded once. The dividend stands above [`QUOTIENT_LIMBS`] empty limbs, at bit `offset`.
fn divide(mut dividend: Vec<u64>, offset: i64, count: u64) -> f64 {
    let mut remainder = 0;
    for limb in dividend.iter_mut().rev() {
        let part = u128::from(remainder) << 64 | u128::from(*limb);
        // Below 2^64, since the remainder is below `count`.
        *limb = (part / u128::from(count)) as u64;
        remainder = (part % u128::from(count)) as u64;
    }
    round(&dividend, offset - QUOTIENT_LIMBS as i64 * LIMB)
}

/// The float64 nearest to `limbs`, half to even; their lowest bit counts 2^`offset` units of 2^-1074.
fn round(limbs: &[u64], offset: i64) -> f64 {
    let Some(top) = limbs.iter().rposition(|limb| *limb != 0) else { return 0.0 };
    let highest = top as i64 * LIMB + i64::from(limbs[top].ilog2());
    // The last place that is kept: 52 below the highest, but never below the unit.
    let place = (offset + highest - i64::from(FRACTION)).max(0);
    let last = place - offset;
    let mantissa = window(limbs, last);
    let half = window(limbs, last - 1) & 1 == 1;
    let odd = mantissa & 1 == 1;
    let up = half && (odd || any_below(limbs, last - 1));
    // A mantissa with its leading bit counts as one exponent more, so that subnormals, normals and the carry of
    // rounding up all come out of one addition.
    let bits = ((place as u64) << FRACTION) + mantissa + u64::from(up);
    f64::from_bits(bits.min(f64::INFINITY.to_bits()))
}

/// 64 bits of `limbs` from bit `from` on, zeros outside.
fn window(limbs: &[u64], from: i64) -> u64 {
    let limb = |i: i64| usize::try_from(i).ok().and_then(|i| limbs.get(i)).copied().unwrap_or(0);
    let i = from.div_euclid(LIMB);
    let pair = u128::from(limb(i)) | u128::from(limb(i + 1)) << 64;
    (pair >> from.rem_euclid(LIMB)) as u64
}

/// Whether any bit below bit `end` is set.
fn any_below(limbs: &[u64], end: i64) -> bool {
    let whole = end.div_euclid(LIMB).clamp(0, limbs.len() as i64) as usize;
    limbs[..whole].iter().any(|limb| *limb != 0)
        || (end > 0 && window(limbs, end - end.rem_euclid(LIMB)) & ((1 << end.rem_euclid(LIMB)) - 1) != 0)
}

/// Adds 1 to `limbs`, or takes 1 away; what runs out of the last limb is the change of its sign.
#[inline]
fn ripple(limbs: &mut [u64], up: bool) {
    for limb in limbs {
        let (changed, on) = if up { limb.overflowing_add(1) } else { limb.overflowing_sub(1) };
        *limb = changed;
        if !on {
            return;
        }
    }
}

/// The limb that extends the sign of `top`.
fn sign_of(top: u64) -> u64 {
    ((top as i64) >> 63) as u64
}

fn signed(negative: bool, magnitude: f64) -> f64 {
    if negative { -magnitude } else { magnitude }
}

#[cfg(test)]
mod tests;
