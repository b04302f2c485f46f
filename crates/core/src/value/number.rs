//! Numbers as text.

/// Appends `value` as ECMAScript prints it (`55`, `0.1`, `1e+21`), and `null` where JSON has no number for it.
///
/// The digits are the fewest that read back as the same float64; `-0` prints as `0`, NaN and the infinities as
/// `null`. Source: ECMA-262, Number::toString and JSON.stringify.
pub fn write_f64(value: f64, out: &mut Vec<u8>) {
    if value.is_finite() {
        out.extend_from_slice(ryu_js::Buffer::new().format_finite(value).as_bytes());
    } else {
        out.extend_from_slice(b"null");
    }
}

/// Appends `value` in decimal.
pub fn write_i64(value: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(value).as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(value: f64, expected: &str) {
        let mut out = b"[".to_vec();
        write_f64(value, &mut out);
        assert_eq!(String::from_utf8(out).unwrap(), format!("[{expected}"));
    }

    #[test]
    fn floats_print_as_in_ecmascript() {
        check(0.0, "0");
        check(-0.0, "0");
        check(55.0, "55");
        check(-1.5, "-1.5");
        check(55.02395761345312, "55.02395761345312");
        check(0.1 + 0.2, "0.30000000000000004");
        check(1e20, "100000000000000000000");
        check(1e21, "1e+21");
        check(123_456_789_012_345_680_000.0, "123456789012345680000");
        check(1e-6, "0.000001");
        check(1e-7, "1e-7");
        check(9_007_199_254_740_993.0, "9007199254740992");
        check(f64::MAX, "1.7976931348623157e+308");
        check(5e-324, "5e-324");
    }

    #[test]
    fn what_json_cannot_say_is_null() {
        check(f64::NAN, "null");
        check(f64::INFINITY, "null");
        check(f64::NEG_INFINITY, "null");
    }

    #[test]
    fn integers_print_in_full() {
        for value in [0, -1, 42, i64::MIN, i64::MAX, 9_007_199_254_740_993] {
            let mut out = Vec::new();
            write_i64(value, &mut out);
            assert_eq!(String::from_utf8(out).unwrap(), value.to_string());
        }
    }
}
