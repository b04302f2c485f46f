//! Points in time, from the year 0000 to 9999, and a clock that keeps its text as it goes.

use std::fmt;
use std::str::FromStr;

use crate::Error;

const MINUTE_MS: i64 = 60_000;
const DAY_MS: i64 = 1440 * MINUTE_MS;

/// Length of a timestamp's text, `2026-01-01T00:00:00.000Z`.
const TEXT_LEN: usize = 24;

/// A point in time in UTC, to the millisecond, whose year has four digits.
///
/// Parses from RFC 3339 with up to three digits of a second and any offset; prints as `2026-01-01T00:00:00.000Z`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Timestamp {
    /// Milliseconds since 1970.
    ms: i64,
}

impl Timestamp {
    /// `2026-01-01T00:00:00.000Z`.
    pub const DEFAULT_START: Self = Self { ms: 1_767_225_600_000 };
    const MIN: Self = Self { ms: -62_167_219_200_000 };
    const MAX: Self = Self { ms: 253_402_300_799_999 };

    /// Milliseconds from here to the end of the year 9999.
    pub(crate) fn remaining_ms(self) -> u64 {
        Self::MAX.ms.abs_diff(self.ms)
    }

    pub(crate) fn text(self) -> [u8; TEXT_LEN] {
        let (year, month, day) = date(self.ms.div_euclid(DAY_MS));
        let in_day_ms = self.ms.rem_euclid(DAY_MS);
        let mut text = *b"0000-00-00T00:00:00.000Z";
        put_pair(&mut text, 0, year / 100);
        put_pair(&mut text, 2, year % 100);
        put_pair(&mut text, 5, month);
        put_pair(&mut text, 8, day);
        put_pair(&mut text, 11, in_day_ms / (60 * MINUTE_MS));
        put_pair(&mut text, 14, in_day_ms / MINUTE_MS % 60);
        put_seconds(&mut text, in_day_ms % MINUTE_MS);
        text
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.text().iter().try_for_each(|&byte| fmt::Write::write_char(f, char::from(byte)))
    }
}

impl FromStr for Timestamp {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        parse(text).map_err(|problem| Error::Timestamp { text: text.to_owned(), problem })
    }
}

/// A running time whose text is rewritten only where it changes.
#[derive(Clone, Debug)]
pub(crate) struct Clock {
    now: Timestamp,
    /// Milliseconds since 1970 at which the text's minute began.
    minute_ms: i64,
    text: [u8; TEXT_LEN],
}

impl Clock {
    pub(crate) fn new(start: Timestamp) -> Self {
        Self { now: start, minute_ms: start.ms - start.ms.rem_euclid(MINUTE_MS), text: start.text() }
    }

    #[inline]
    pub(crate) fn advance(&mut self, delta_ms: u32) {
        self.now.ms += i64::from(delta_ms);
        let in_minute_ms = self.now.ms - self.minute_ms;
        if in_minute_ms < MINUTE_MS {
            put_seconds(&mut self.text, in_minute_ms);
        } else {
            *self = Self::new(self.now);
        }
    }

    #[inline]
    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.text).expect("the text of a time is ASCII")
    }
}

/// Reads `YYYY-MM-DDTHH:MM:SS[.fff](Z|±HH:MM)`, or says what is wrong.
fn parse(text: &str) -> Result<Timestamp, &'static str> {
    const SHAPE: &str = "it needs a date, `T`, a time of day and `Z` or an offset such as `+01:00`";
    let (moment, rest) = text.split_at_checked(19).ok_or(SHAPE)?;
    let moment = moment.as_bytes();
    let separated = moment[4] == b'-'
        && moment[7] == b'-'
        && moment[10].eq_ignore_ascii_case(&b'T')
        && moment[13] == b':'
        && moment[16] == b':';
    if !separated {
        return Err(SHAPE);
    }
    let number = |range: std::ops::Range<usize>| digits(&moment[range]).ok_or(SHAPE);
    let (year, month, day) = (number(0..4)?, number(5..7)?, number(8..10)?);
    let (hour, minute, second) = (number(11..13)?, number(14..16)?, number(17..19)?);
    if !(1..=12).contains(&month) || !(1..=days_in_month(year, month)).contains(&day) {
        return Err("there is no such day");
    }
    if hour > 23 || minute > 59 || second > 59 {
        return Err("there is no such time of day");
    }
    let (fraction_ms, zone) = parse_fraction(rest)?;
    let offset_minutes = parse_zone(zone).ok_or(SHAPE)?;
    let minutes = (days(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    let time = Timestamp { ms: minutes * MINUTE_MS + second * 1000 + fraction_ms };
    if (Timestamp::MIN..=Timestamp::MAX).contains(&time) {
        Ok(time)
    } else {
        Err("in UTC its year is not between 0000 and 9999")
    }
}

/// Splits `.fff` off what follows the seconds, as milliseconds.
fn parse_fraction(rest: &str) -> Result<(i64, &str), &'static str> {
    const FRACTION: &str = "a second has one to three decimal places";
    let Some(rest) = rest.strip_prefix('.') else { return Ok((0, rest)) };
    let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
    let (fraction, zone) = rest.split_at(end);
    let scale = [100, 10, 1].get(end.wrapping_sub(1)).ok_or(FRACTION)?;
    Ok((digits(fraction.as_bytes()).ok_or(FRACTION)? * scale, zone))
}

/// The offset from UTC in minutes, from `Z` or `±HH:MM`.
fn parse_zone(zone: &str) -> Option<i64> {
    if zone.eq_ignore_ascii_case("Z") {
        return Some(0);
    }
    let (sign, rest) = match zone.as_bytes() {
        [b'+', rest @ ..] => (1, rest),
        [b'-', rest @ ..] => (-1, rest),
        _ => return None,
    };
    let [h1, h2, b':', m1, m2] = rest else { return None };
    let (hours, minutes) = (digits(&[*h1, *h2])?, digits(&[*m1, *m2])?);
    (hours < 24 && minutes < 60).then_some(sign * (hours * 60 + minutes))
}

fn digits(bytes: &[u8]) -> Option<i64> {
    bytes.iter().try_fold(0, |n, byte| byte.is_ascii_digit().then(|| n * 10 + i64::from(byte - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    let (next_year, next_month) = if month == 12 { (year + 1, 1) } else { (year, month + 1) };
    days(next_year, next_month, 1) - days(year, month, 1)
}

/// Days since 1970 of a date; `days_from_civil` of Howard Hinnant's "chrono-compatible low-level date algorithms".
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = year - i64::from(month <= 2);
    let era = year.div_euclid(400);
    let year_of_era = year.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year - 719_468
}

/// Year, month and day of a number of days since 1970; `civil_from_days` of the same source.
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let day_of_era = days.rem_euclid(146_097);
    let year_of_era = (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let month = (shifted_month + 2) % 12 + 1;
    let year = era * 400 + year_of_era + i64::from(month <= 2);
    (year, month, day_of_year - (153 * shifted_month + 2) / 5 + 1)
}

#[inline]
fn put_seconds(text: &mut [u8; TEXT_LEN], in_minute_ms: i64) {
    let (seconds, ms) = (in_minute_ms / 1000, in_minute_ms % 1000);
    put_pair(text, 17, seconds);
    text[20] = b'0' + (ms / 100) as u8;
    put_pair(text, 21, ms % 100);
}

/// Writes `n`, 0 to 99, as two digits.
#[inline]
fn put_pair(text: &mut [u8; TEXT_LEN], at: usize, n: i64) {
    text[at] = b'0' + (n / 10) as u8;
    text[at + 1] = b'0' + (n % 10) as u8;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_parse_and_print() {
        let same = |text: &str, printed: &str| {
            assert_eq!(text.parse::<Timestamp>().unwrap().to_string(), printed, "{text}");
        };
        same("2026-01-01T00:00:00Z", "2026-01-01T00:00:00.000Z");
        same("2024-02-29T23:59:59.9z", "2024-02-29T23:59:59.900Z");
        same("2026-01-01T00:30:00.005+01:30", "2025-12-31T23:00:00.005Z");
        same("1969-12-31t23:59:59.999-00:01", "1970-01-01T00:00:59.999Z");
        same("0000-01-01T00:00:00Z", "0000-01-01T00:00:00.000Z");
        same("0000-12-31T00:00:00Z", "0000-12-31T00:00:00.000Z");
        same("9999-12-31T23:59:59.999Z", "9999-12-31T23:59:59.999Z");
        assert_eq!("2026-01-01T00:00:00Z".parse(), Ok(Timestamp::DEFAULT_START));
    }

    #[test]
    fn what_is_no_time_is_refused_with_its_reason() {
        let refused = |text: &str, reason: &str| {
            let error = text.parse::<Timestamp>().unwrap_err().to_string();
            assert!(error.contains(reason), "{text}: {error}");
        };
        for text in
            ["", "2026-01-01", "2026-01-01 00:00:00Z", "2026-01-01T00:00:00", "2026-01-01T00:00:00+1:00"]
        {
            refused(text, "it needs a date");
        }
        for text in ["2026-01-01T00:00:00.Z", "2026-01-01T00:00:00.0000Z"] {
            refused(text, "decimal places");
        }
        for text in ["+026-01-01T00:00:00Z", "2026-01-01T00:00:00+24:00", "ünicode-text-beyond-it-all"] {
            refused(text, "it needs a date");
        }
        refused("2025-02-29T00:00:00Z", "no such day");
        refused("2026-13-01T00:00:00Z", "no such day");
        refused("2026-01-01T24:00:00Z", "no such time");
        refused("2026-01-01T00:00:60Z", "no such time");
        refused("0000-01-01T00:00:00+00:01", "year");
        refused("9999-12-31T23:59:59-00:01", "year");
    }

    #[test]
    fn every_day_of_the_range_survives_a_round_trip() {
        let first = Timestamp::MIN.ms.div_euclid(DAY_MS);
        let last = Timestamp::MAX.ms.div_euclid(DAY_MS);
        for day in first..=last {
            let (year, month, day_of_month) = date(day);
            assert_eq!(days(year, month, day_of_month), day);
        }
        assert_eq!((date(first), date(last)), ((0, 1, 1), (9999, 12, 31)));
    }

    #[test]
    fn a_clock_agrees_with_the_time_it_shows() {
        let mut clock = Clock::new("2023-12-31T23:58:59.750Z".parse().unwrap());
        for step in 0..10_000 {
            clock.advance(250 + step * 7 % 1000);
            assert_eq!(clock.text(), clock.now.to_string());
        }
    }
}
