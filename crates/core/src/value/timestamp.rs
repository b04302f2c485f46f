//! Points in time as text: RFC 3339 on one side, microseconds since 1970 in UTC on the other.
//!
//! Read: `YYYY-MM-DDTHH:MM:SS[.f](Z|±HH:MM)`, as RFC 3339 has it. The offset is mandatory, `t` and `z` may be
//! lowercase, a space in place of `T` may not stand; a second has one to nine decimal places, of which those
//! beyond the microsecond are cut off (towards the past). Leap seconds (`:60`) and `24:00` are refused, and so is a
//! moment whose year in UTC does not lie between 0000 and 9999.
//!
//! Written: `2026-01-01T00:00:00.785Z`, three decimal places, six where three do not suffice. A moment outside the
//! years that can be read gets ECMAScript's signed six-digit year (`+010000-…`), so that writing is total.
//!
//! The calendar is the proleptic Gregorian one; the arithmetic on it is Howard Hinnant's "chrono-compatible
//! low-level date algorithms" (`days_from_civil`, `civil_from_days`).

const SECOND: i64 = 1_000_000;
const DAY_SECONDS: i64 = 86_400;
/// 0000-01-01T00:00:00Z.
const FIRST: i64 = -62_167_219_200 * SECOND;
/// 9999-12-31T23:59:59.999999Z.
const LAST: i64 = 253_402_300_800 * SECOND - 1;

/// Reads a timestamp as microseconds since 1970 in UTC; `None` for anything that the module header does not allow.
pub fn parse(text: &[u8]) -> Option<i64> {
    let (head, rest) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't', h1, h2, b':', n1, n2, b':', s1, s2] = *head
    else {
        return None;
    };
    let digits = [y1, y2, y3, y4, m1, m2, d1, d2, h1, h2, n1, n2, s1, s2];
    // Without an early exit, so that the compiler checks all digits at once.
    if !digits.iter().fold(true, |all, digit| all & digit.is_ascii_digit()) {
        return None;
    }
    let year = pair(y1, y2) * 100 + pair(y3, y4);
    let (month, day) = (pair(m1, m2), pair(d1, d2));
    let (hour, minute, second) = (pair(h1, h2), pair(n1, n2), pair(s1, s2));
    let valid = (1..=12).contains(&month)
        && day >= 1
        && (day <= 28 || day <= days_in_month(year, month))
        && hour <= 23
        && minute <= 59
        && second <= 59;
    if !valid {
        return None;
    }
    let (fraction, zone) = parse_fraction(rest)?;
    let seconds = days_from_civil(year, month, day) * DAY_SECONDS + hour * 3600 + minute * 60 + second;
    let micros = (seconds - parse_offset(zone)?) * SECOND + fraction;
    (FIRST..=LAST).contains(&micros).then_some(micros)
}

/// Appends microseconds since 1970 as `2026-01-01T00:00:00.785Z`.
pub fn write(micros: i64, out: &mut Vec<u8>) {
    let (seconds, fraction) = (micros.div_euclid(SECOND), micros.rem_euclid(SECOND));
    let (year, month, day) = civil_from_days(seconds.div_euclid(DAY_SECONDS));
    let in_day = seconds.rem_euclid(DAY_SECONDS);
    if !(0..=9999).contains(&year) {
        let beyond = year.abs() / 10_000;
        let sign = if year < 0 { b'-' } else { b'+' };
        out.extend_from_slice(&[sign, digit(beyond / 10), digit(beyond % 10)]);
    }
    let year = year.abs() % 10_000;
    let mut text = *b"0000-00-00T00:00:00.000000";
    let pairs = [
        (0, year / 100),
        (2, year % 100),
        (5, month),
        (8, day),
        (11, in_day / 3600),
        (14, in_day / 60 % 60),
        (17, in_day % 60),
        (20, fraction / 10_000),
        (22, fraction / 100 % 100),
        (24, fraction % 100),
    ];
    for (at, pair) in pairs {
        (text[at], text[at + 1]) = (digit(pair / 10), digit(pair % 10));
    }
    out.extend_from_slice(if fraction % 1000 == 0 { &text[..23] } else { &text });
    out.push(b'Z');
}

/// Splits `.f` off what follows the seconds, as microseconds.
fn parse_fraction(rest: &[u8]) -> Option<(i64, &[u8])> {
    let Some(rest) = rest.strip_prefix(b".") else { return Some((0, rest)) };
    let len = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if !(1..=9).contains(&len) {
        return None;
    }
    let (places, zone) = rest.split_at(len);
    let micros = (0..6).fold(0, |n, i| n * 10 + places.get(i).map_or(0, |place| i64::from(place - b'0')));
    Some((micros, zone))
}

/// The offset from UTC in seconds, from `Z` or `±HH:MM`.
fn parse_offset(zone: &[u8]) -> Option<i64> {
    let (sign, [h1, h2, b':', m1, m2]) = (match zone {
        b"Z" | b"z" => return Some(0),
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    }) else {
        return None;
    };
    if ![h1, h2, m1, m2].iter().all(|digit| digit.is_ascii_digit()) {
        return None;
    }
    let (hours, minutes) = (pair(*h1, *h2), pair(*m1, *m2));
    (hours <= 23 && minutes <= 59).then_some(sign * (hours * 3600 + minutes * 60))
}

/// Two ASCII digits as a number.
fn pair(tens: u8, ones: u8) -> i64 {
    i64::from(tens - b'0') * 10 + i64::from(ones - b'0')
}

/// The ASCII digit of `n`, 0 to 9.
fn digit(n: i64) -> u8 {
    b'0' + n as u8
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        4 | 6 | 9 | 11 => 30,
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        _ => 31,
    }
}

/// Days since 1970 of a date from the year 0000 on. Years begin in March here, so that a leap day is the last of its
/// year, and are counted from the year -400, so that none is negative.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = (year + 400 - i64::from(month <= 2)) as u32;
    let month_from_march = (month as u32 + 9) % 12;
    let day_of_year = (153 * month_from_march + 2) / 5 + day as u32 - 1;
    i64::from(year * 365 + year / 4 - year / 100 + year / 400 + day_of_year) - 719_468 - 146_097
}

/// Year, month and day of a number of days since 1970.
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let (era, day_of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    (era * 400 + year_of_era + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn print(micros: i64) -> String {
        let mut out = Vec::new();
        write(micros, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn what_rfc_3339_allows_is_read() {
        let check = |text: &str, printed: &str| {
            assert_eq!(parse(text.as_bytes()).map(print).as_deref(), Some(printed), "{text}");
        };
        check("1970-01-01T00:00:00Z", "1970-01-01T00:00:00.000Z");
        check("2026-01-01T00:00:00.785Z", "2026-01-01T00:00:00.785Z");
        check("2026-01-01t00:00:00.785z", "2026-01-01T00:00:00.785Z");
        check("2026-01-01T00:00:00.7Z", "2026-01-01T00:00:00.700Z");
        check("2026-01-01T00:00:00.000001Z", "2026-01-01T00:00:00.000001Z");
        check("2026-01-01T00:00:00.123456789Z", "2026-01-01T00:00:00.123456Z");
        check("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z");
        check("2026-01-01T00:30:00+01:30", "2025-12-31T23:00:00.000Z");
        check("2026-01-01T00:30:00-23:59", "2026-01-02T00:29:00.000Z");
        check("2026-01-01T00:00:00-00:00", "2026-01-01T00:00:00.000Z");
        check("2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000Z");
        check("2000-02-29T12:00:00Z", "2000-02-29T12:00:00.000Z");
        check("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z");
        check("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z");
        assert_eq!(parse(b"2026-01-01T00:00:00Z"), Some(1_767_225_600_000_000));
    }

    #[test]
    fn everything_else_is_refused() {
        for text in [
            "",
            "2026-01-01",
            "2026-01-01T00:00:00",
            "2026-01-01T00:00:00.5",
            "2026-01-01 00:00:00Z",
            "2026-01-01T00:00Z",
            "2026-01-01T00:00:00.Z",
            "2026-01-01T00:00:00,5Z",
            "2026-01-01T00:00:00.1234567890Z",
            "2026-01-01T00:00:00Z ",
            "2026-01-01T00:00:00+01",
            "2026-01-01T00:00:00+0100",
            "2026-01-01T00:00:00+24:00",
            "2026-01-01T00:00:00+01:60",
            "2026-01-01T00:00:00+1:000",
            "2026-01-01T24:00:00Z",
            "2026-01-01T23:60:00Z",
            "2016-12-31T23:59:60Z",
            "2025-02-29T00:00:00Z",
            "1900-02-29T00:00:00Z",
            "2026-04-31T00:00:00Z",
            "2026-00-01T00:00:00Z",
            "2026-13-01T00:00:00Z",
            "2026-01-00T00:00:00Z",
            "2026-01-32T00:00:00Z",
            "+026-01-01T00:00:00Z",
            "2026-01-0:T00:00:00Z",
            "0000-01-01T00:00:00+00:01",
            "9999-12-31T23:59:59-00:01",
            "２０２６-01-01T00:00:00Z",
        ] {
            assert_eq!(parse(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn moments_beyond_four_digit_years_are_written_all_the_same() {
        assert_eq!(print(LAST + 1), "+010000-01-01T00:00:00.000Z");
        assert_eq!(print(FIRST - 1), "-000001-12-31T23:59:59.999999Z");
        assert_eq!(print(i64::MAX), "+294247-01-10T04:00:54.775807Z");
        assert_eq!(print(i64::MIN), "-290308-12-21T19:59:05.224192Z");
    }

    #[test]
    fn every_day_of_the_range_survives_a_round_trip() {
        let mut next = (0, 1, 1);
        for days in FIRST / SECOND / DAY_SECONDS..=LAST / SECOND / DAY_SECONDS {
            let (year, month, day) = civil_from_days(days);
            assert_eq!((year, month, day), next);
            assert_eq!(days_from_civil(year, month, day), days);
            next = match (month, day == days_in_month(year, month)) {
                (12, true) => (year + 1, 1, 1),
                (_, true) => (year, month + 1, 1),
                _ => (year, month, day + 1),
            };
        }
        assert_eq!(next, (10_000, 1, 1));
    }

    proptest! {
        #[test]
        fn what_is_written_reads_back(micros in FIRST..=LAST) {
            prop_assert_eq!(parse(print(micros).as_bytes()), Some(micros));
        }

        #[test]
        fn an_offset_shifts_the_moment(micros in FIRST + DAY_SECONDS * SECOND..=LAST - DAY_SECONDS * SECOND, minutes in -1439_i64..=1439) {
            let local = print(micros + minutes * 60 * SECOND);
            let sign = if minutes < 0 { '-' } else { '+' };
            let offset = format!("{sign}{:02}:{:02}", minutes.abs() / 60, minutes.abs() % 60);
            prop_assert_eq!(parse(local.replace('Z', &offset).as_bytes()), Some(micros));
        }

        #[test]
        fn no_bytes_make_it_panic(text in proptest::collection::vec(any::<u8>(), 0..40)) {
            parse(&text);
        }

        #[test]
        fn one_wrong_byte_never_makes_it_panic(micros in FIRST..=LAST, at in 0_usize..24, byte: u8) {
            let mut text = print(micros).into_bytes();
            text[at] = byte;
            parse(&text);
        }
    }
}
