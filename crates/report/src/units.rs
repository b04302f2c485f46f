//! Figures as people read them: three digits that count, and a unit.

/// How many digits of a figure are shown, the whole part's always.
const DIGITS: i32 = 3;

/// A plain figure, such as a ratio: `0.923`, `12.3`, `4567`.
#[must_use]
pub fn number(value: f64) -> String {
    format!("{value:.*}", decimals(value))
}

/// A rate or another large count: `9.61M`, `328k`, `12.5`.
#[must_use]
pub fn scaled(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1.0, ""), (1e3, "k"), (1e6, "M"), (1e9, "G")];
    in_units(value, &UNITS)
}

/// A duration given in seconds: `1.04 s`, `41.2 ms`, `7.50 µs`.
#[must_use]
pub fn seconds(value: f64) -> String {
    const UNITS: [(f64, &str); 4] = [(1e-9, " ns"), (1e-6, " µs"), (1e-3, " ms"), (1.0, " s")];
    in_units(value, &UNITS)
}

/// An amount of memory given in bytes: `63.4 MiB`.
#[must_use]
pub fn bytes(value: f64) -> String {
    const UNITS: [(f64, &str); 4] =
        [(1.0, " B"), (1024.0, " KiB"), (1_048_576.0, " MiB"), (1_073_741_824.0, " GiB")];
    in_units(value, &UNITS)
}

/// A count to its last digit: `10,000,000`.
#[must_use]
pub fn exact(count: u64) -> String {
    let digits = count.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Shows `value` in the largest of `units`, given in rising order, in which it is at least 1 as it will be printed.
fn in_units(value: f64, units: &[(f64, &str)]) -> String {
    let reaches_one = |&(size, _): &(f64, &str)| (value / size).abs() >= 0.9995;
    let largest = units.iter().rfind(|unit| reaches_one(unit)).or(units.first());
    largest.map_or_else(String::new, |(size, name)| number(value / size) + name)
}

/// How many decimal places show [`DIGITS`] digits; none if the whole part alone has as many.
fn decimals(value: f64) -> usize {
    if value == 0.0 || !value.is_finite() {
        return 0;
    }
    let places = |value: f64| DIGITS - 1 - value.abs().log10().floor() as i32;
    // Rounding may carry into one more digit: 9.999 is 10.0, not 10.00.
    let step = 10f64.powi(places(value));
    let rounded = (value * step).round() / step;
    usize::try_from(places(rounded)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(show: fn(f64) -> String, cases: &[(f64, &str)]) {
        for (value, expected) in cases {
            assert_eq!(show(*value), *expected);
        }
    }

    #[test]
    fn numbers_have_three_digits_that_count() {
        check(
            number,
            &[
                (0.0, "0"),
                (0.00123456, "0.00123"),
                (0.92341, "0.923"),
                (0.99951, "1.00"),
                (1.0, "1.00"),
                (-12.345, "-12.3"),
                (9.9999, "10.0"),
                (999.6, "1000"),
                (123_456.0, "123456"),
                (f64::INFINITY, "inf"),
            ],
        );
    }

    #[test]
    fn rates_carry_a_suffix() {
        check(
            scaled,
            &[
                (0.0, "0"),
                (12.5, "12.5"),
                (328_000.0, "328k"),
                (999_499.0, "999k"),
                (999_600.0, "1.00M"),
                (9_612_345.0, "9.61M"),
                (1.23e13, "12300G"),
            ],
        );
    }

    #[test]
    fn durations_and_sizes_pick_their_unit() {
        check(
            seconds,
            &[
                (0.0, "0 ns"),
                (7.5e-6, "7.50 µs"),
                (0.0412, "41.2 ms"),
                (0.9999, "1.00 s"),
                (1.04, "1.04 s"),
                (75.0, "75.0 s"),
            ],
        );
        check(bytes, &[(0.0, "0 B"), (1023.0, "1023 B"), (1536.0, "1.50 KiB"), (66_480_000.0, "63.4 MiB")]);
    }

    #[test]
    fn counts_are_grouped_by_thousands() {
        for (count, expected) in [(0, "0"), (999, "999"), (1000, "1,000"), (10_000_000, "10,000,000")] {
            assert_eq!(exact(count), expected);
        }
    }
}
