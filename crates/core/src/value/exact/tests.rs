use num_bigint::{BigInt, Sign};
use proptest::prelude::*;

use super::*;

fn exact(values: &[f64]) -> ExactSum {
    let mut sum = ExactSum::default();
    values.iter().for_each(|value| sum.add(*value));
    sum
}

/// A finite value in units of 2^-1074; an infinity stands where the next float64 would.
fn units(value: f64) -> BigInt {
    let bits = value.abs().to_bits();
    let (exponent, fraction) = (bits >> 52, bits & ((1 << 52) - 1));
    let magnitude = match exponent {
        0 => BigInt::from(fraction),
        _ => BigInt::from(fraction | 1 << 52) << (exponent - 1),
    };
    if value < 0.0 { -magnitude } else { magnitude }
}

/// Whether `result` is the float64 nearest to `sum` / `count`, half to even, by the definition of nearest.
fn is_nearest(result: f64, sum: &BigInt, count: u64) -> bool {
    let distance = |value: f64| {
        let difference = sum - units(value) * count;
        if difference.sign() == Sign::Minus { -difference } else { difference }
    };
    let even = result.to_bits() & 1 == 0;
    [result.next_down(), result.next_up()].into_iter().filter(|neighbour| *neighbour != result).all(
        |neighbour| {
            let (mine, its) = (distance(result), distance(neighbour));
            mine < its || mine == its && even
        },
    )
}

/// Python's `math.fsum` (Shewchuk's growing expansion, Hettinger's final rounding), for sums far from overflow.
fn fsum(values: &[f64]) -> f64 {
    let mut partials: Vec<f64> = Vec::new();
    for &value in values {
        let mut x = value;
        let mut kept = Vec::new();
        for &partial in &partials {
            let (large, small) = if x.abs() < partial.abs() { (partial, x) } else { (x, partial) };
            let high = large + small;
            let low = small - (high - large);
            if low != 0.0 {
                kept.push(low);
            }
            x = high;
        }
        kept.push(x);
        partials = kept;
    }
    let mut high = partials.pop().unwrap_or(0.0);
    while let Some(partial) = partials.pop() {
        let before = high;
        high = before + partial;
        let low = partial - (high - before);
        if low != 0.0 {
            let next = partials.last().copied().unwrap_or(0.0);
            let doubled = high + low * 2.0;
            if (low < 0.0 && next < 0.0 || low > 0.0 && next > 0.0) && doubled - high == low * 2.0 {
                high = doubled;
            }
            break;
        }
    }
    high
}

/// Finite values of every size, many that cancel or tie.
fn finite() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<u64>().prop_map(f64::from_bits).prop_filter("finite", |value| value.is_finite()),
        (-1000_i32..1000).prop_map(|n| f64::from(n) / 10.0),
        (-2000_i32..2000, 0_i32..2086).prop_map(|(n, e)| f64::from(n) * 2_f64.powi(e - 1074)),
        prop_oneof![Just(f64::MAX), Just(f64::MIN), Just(5e-324), Just(-5e-324), Just(0.0), Just(-0.0)],
    ]
}

fn terms() -> impl Strategy<Value = Vec<f64>> {
    (proptest::collection::vec(finite(), 0..24), any::<prop::sample::Index>()).prop_map(
        |(mut values, cut)| {
            // Taking back a part leaves small remainders of large terms.
            let taken_back = cut.index(values.len() + 1);
            values.extend_from_within(..taken_back);
            let len = values.len();
            values[len - taken_back..].iter_mut().for_each(|value| *value = -*value);
            values
        },
    )
}

#[test]
fn known_sums_come_out_right() {
    let check = |values: &[f64], expected: f64| {
        assert_eq!(exact(values).sum().to_bits(), expected.to_bits(), "{values:?}");
    };
    check(&[], 0.0);
    check(&[-0.0], 0.0);
    check(&[0.1; 10], 1.0);
    check(&[1e100, 1.0, -1e100], 1.0);
    check(&[1e308, 1e308, -1e308], 1e308);
    check(&[f64::MAX, f64::MAX], f64::INFINITY);
    check(&[f64::MIN, f64::MIN], f64::NEG_INFINITY);
    check(&[f64::MAX, 2_f64.powi(969)], f64::MAX);
    check(&[f64::MAX, 2_f64.powi(970)], f64::INFINITY);
    check(&[5e-324, 5e-324], 1e-323);
    check(&[f64::MIN_POSITIVE, -5e-324], f64::MIN_POSITIVE.next_down());
    check(&[9_007_199_254_740_992.0, 1.0], 9_007_199_254_740_992.0);
    check(&[9_007_199_254_740_992.0, 1.0, 5e-324], 9_007_199_254_740_994.0);
    check(&[9_007_199_254_740_994.0, 1.0], 9_007_199_254_740_996.0);
    check(&[-9_007_199_254_740_992.0, -1.0, -5e-324], -9_007_199_254_740_994.0);
}

#[test]
fn nan_and_infinities_are_told_apart() {
    let (inf, nan) = (f64::INFINITY, f64::NAN);
    for (values, expected) in [
        (vec![inf, 1.0], inf),
        (vec![1.0, -inf], -inf),
        (vec![inf, -inf], nan),
        (vec![nan, inf], nan),
        (vec![1.0, nan], nan),
    ] {
        let sum = exact(&values);
        assert_eq!(sum.sum().total_cmp(&expected), std::cmp::Ordering::Equal, "{values:?}");
        assert_eq!(sum.mean(2).total_cmp(&expected), std::cmp::Ordering::Equal, "{values:?}");
    }
}

#[test]
fn means_are_rounded_once() {
    assert_eq!(exact(&[0.1; 3]).mean(3), 0.1);
    assert_eq!(exact(&[0.1, 0.2, 0.3]).mean(3), 0.2);
    assert_eq!(exact(&[f64::MAX, f64::MAX]).mean(2), f64::MAX);
    assert_eq!(exact(&[5e-324]).mean(2), 0.0);
    assert_eq!(exact(&[5e-324, 1e-323]).mean(2), 1e-323);
    assert_eq!(exact(&[]).mean(7), 0.0);
    assert!(exact(&[1.0]).mean(0).is_nan());
    assert!(IntSum::default().mean(0).is_nan());
    assert_eq!(IntSum(1_672_013).mean(30_387), 55.02395761345312);
    assert_eq!(IntSum((1 << 53) + 1).mean(1), 9_007_199_254_740_992.0);
    assert_eq!(IntSum(((1 << 53) + 1) * 3).mean(3), 9_007_199_254_740_992.0);
    assert_eq!(IntSum(((1 << 53) + 1) * 3 + 1).mean(3), 9_007_199_254_740_994.0);
}

#[test]
fn a_total_beyond_int64_is_none() {
    let total = |values: &[i64]| {
        let mut sum = IntSum::default();
        values.iter().for_each(|value| sum.add(*value));
        sum.total()
    };
    assert_eq!(total(&[i64::MAX, 1, -1]), Some(i64::MAX));
    assert_eq!(total(&[i64::MIN, -1, 1]), Some(i64::MIN));
    assert_eq!(total(&[i64::MAX, 1]), None);
    assert_eq!(total(&[i64::MIN, -1]), None);
}

#[test]
fn bytes_that_no_sum_wrote_are_refused() {
    let refused = |bytes: &[u8]| assert!(ExactSum::from_bytes(bytes).is_none(), "{bytes:?}");
    let (zero, one, ones) = ([0; 8], 1_u64.to_le_bytes(), [255; 8]);
    refused(&[]);
    refused(&[0]);
    refused(&[8, 0]);
    refused(&[0, 1]);
    refused(&[0, 0, 0]);
    refused(&[&[0, 0][..], &zero].concat());
    refused(&[&[0, 0][..], &one].concat());
    refused(&[&[0, 0][..], &zero, &one, &zero].concat());
    refused(&[&[0, 0][..], &one, &zero, &zero].concat());
    refused(&[&[0, 0][..], &ones, &ones].concat());
    refused(&[&[0, 34][..], &one, &zero].concat());
    assert_eq!(ExactSum::from_bytes(&[&[0, 0][..], &one, &zero].concat()).unwrap().sum(), 5e-324);
    assert_eq!(ExactSum::from_bytes(&[&[0, 0][..], &ones].concat()).unwrap().sum(), -5e-324);
    assert_eq!(IntSum::from_bytes(&[0; 15]), None);
    assert_eq!(IntSum::from_bytes(&i128::MAX.to_le_bytes()), None);
}

#[test]
fn a_sum_of_similar_values_stays_small() {
    let mut sum = ExactSum::default();
    (0..1_000_000).for_each(|i| sum.add(f64::from(i % 1000) / 10.0 - 50.0));
    assert!(sum.limbs.len() <= 4, "{sum:?}");
    assert!(size_of::<ExactSum>() <= 32);
}

proptest! {
    #[test]
    fn sums_and_means_are_the_nearest_floats(values in terms(), divisor in 1_u64..) {
        let sum = exact(&values);
        let expected: BigInt = values.iter().map(|value| units(*value)).sum();
        prop_assert!(is_nearest(sum.sum(), &expected, 1), "sum {}", sum.sum());
        for count in [1, 3, values.len().max(1) as u64, divisor] {
            prop_assert!(is_nearest(sum.mean(count), &expected, count), "mean {} by {count}", sum.mean(count));
        }
    }

    #[test]
    fn sums_are_those_of_fsum(values in proptest::collection::vec(-1e200_f64..1e200, 0..50)) {
        prop_assert_eq!(exact(&values).sum().to_bits(), fsum(&values).to_bits());
        let small: Vec<f64> = values.iter().map(|value| value % 1000.0 / 10.0).collect();
        prop_assert_eq!(exact(&small).sum(), fsum(&small));
    }

    #[test]
    fn neither_order_nor_split_shows(
        (values, shuffled) in terms().prop_flat_map(|values| (Just(values.clone()), Just(values).prop_shuffle())),
        cuts in proptest::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let whole = exact(&values);
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(values.len() + 1)).collect();
        cuts.extend([0, values.len()]);
        cuts.sort_unstable();
        let mut merged = ExactSum::default();
        for part in cuts.windows(2).rev() {
            let part = exact(&shuffled[part[0]..part[1]]);
            merged.merge(&ExactSum::from_bytes(&part.to_bytes()).unwrap());
        }
        prop_assert_eq!(merged.to_bytes(), whole.to_bytes());
        prop_assert_eq!(merged.sum().to_bits(), whole.sum().to_bits());
        prop_assert_eq!(merged.mean(3).to_bits(), whole.mean(3).to_bits());
    }

    #[test]
    fn integer_means_are_the_nearest_floats(values in proptest::collection::vec(any::<i64>(), 1..20), divisor in 1_u64..) {
        let (mut sum, mut other) = (IntSum::default(), IntSum::default());
        let (left, right) = values.split_at(values.len() / 2);
        left.iter().for_each(|value| sum.add(*value));
        right.iter().for_each(|value| other.add(*value));
        sum.merge(&IntSum::from_bytes(&other.to_bytes()).unwrap());
        let expected: BigInt = values.iter().map(|value| BigInt::from(*value)).sum();
        prop_assert_eq!(sum.total(), i64::try_from(&expected).ok());
        for count in [1, values.len() as u64, divisor] {
            prop_assert!(is_nearest(sum.mean(count), &(&expected << 1074), count), "mean {}", sum.mean(count));
        }
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(prop_oneof![Just(0_u8), Just(255), 0_u8..40, any::<u8>()], 0..60)) {
        if let Some(mut sum) = ExactSum::from_bytes(&bytes) {
            sum.merge(&sum.clone());
            sum.add(-1e308);
            sum.add(5e-324);
            sum.sum();
            sum.mean(7);
        }
    }
}
