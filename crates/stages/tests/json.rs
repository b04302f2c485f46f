//! Whatever stands in a line, the `json` stage reads what a slow reader reads.

mod support;

use modrun_core::Columns;
use modrun_gen::{Rng, dirty};
use proptest::prelude::*;

use support::json::check;

/// A line that a well-behaved writer of some taste could have written.
fn line(rng: &mut Rng, taste: u32) -> Vec<u8> {
    let mut members = vec![
        format!(
            "\"ts\":\"2026-0{}-11T0{}:59:1{}.{:03}Z\"",
            1 + rng.below(9),
            rng.below(2),
            rng.below(10),
            rng.below(1000)
        ),
        format!(
            "\"type\":\"{}\"",
            rng.pick(&["click", "view", "purchase", "", "a rather long type of event"])
        ),
        format!(
            "\"value\":{}",
            rng.pick(&[
                "0",
                "7",
                "42",
                "-3",
                "1234567",
                "12345678",
                "123456789",
                "1234567890123456",
                "123456789012345678",
                "-0"
            ])
        ),
    ];
    if rng.below(3) > 0 {
        let user = rng.pick(&[
            "\"u1\"",
            "null",
            "\"caf\u{e9}\"",
            "\"\\u00e9\\n\\ud83d\\ude00\"",
            "\"\u{1f600} and more of it\"",
        ]);
        members.push(format!("\"user\":{user}"));
    }
    if rng.below(3) > 0 {
        members.push(format!(
            "\"score\":{}",
            rng.pick(&["0.1", "1e3", "-2.5E-7", "3", "null", "1e-400", "12345678901234567890"])
        ));
    }
    if rng.below(3) > 0 {
        members.push(format!("\"ok\":{}", rng.pick(&["true", "false", "null"])));
    }
    if taste & 1 == 1 {
        members.push(format!(
            "\"metadata\":{{\"source\":\"g\",\"seq\":{},\"tags\":[1,\"two\",null]}}",
            rng.below(1000)
        ));
    }
    if taste & 2 == 2 {
        rng.shuffle(&mut members);
    }
    let (separator, end) = if taste & 4 == 4 { (", ", " }\r\n") } else { (",", "}\n") };
    let line = format!("{{{}{end}", members.join(separator));
    if taste & 8 == 8 { line.replace("\":", "\": ").into_bytes() } else { line.into_bytes() }
}

/// A text of clean lines, of every kind of dirty line, and of clean ones with a byte changed.
fn text(seed: u32) -> Vec<u8> {
    let mut rng = Rng::new(seed);
    let (mut text, mut taste) = (Vec::new(), rng.below(16));
    for _ in 0..rng.below(120) {
        match rng.below(10) {
            0 => {
                let (ts, user) = ("2026-01-01T00:00:00.785Z", "u0042".to_owned());
                let event = dirty::Event { ts, r#type: "click", user, value: 17, seq: 3, padding: "" };
                rng.pick(&dirty::Kind::ALL).append(&event, &mut rng, &mut text);
            }
            1 => {
                let mut line = line(&mut rng, taste);
                let at = rng.index(line.len() - 1);
                let byte = rng.pick(b"\"\\{}[],: 0.-e\x00\x1f\x80\xff\xc3nu1");
                match rng.below(3) {
                    0 => line[at] = byte,
                    1 => line.insert(at, byte),
                    _ => drop(line.remove(at)),
                }
                text.extend(line);
            }
            2 => taste = rng.below(16),
            _ => text.extend(line(&mut rng, taste)),
        }
    }
    if rng.below(4) == 0 {
        text.pop();
    }
    text
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn every_text_reads_as_the_reference_reads_it(seed: u32, cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..6)) {
        let text = text(seed);
        let ends: Vec<usize> = text.iter().zip(1..).filter(|(byte, _)| **byte == b'\n').map(|(_, end)| end).collect();
        let mut cuts: Vec<usize> = if ends.is_empty() { vec![] } else { cuts.iter().map(|cut| *cut.get(&ends)).collect() };
        cuts.sort_unstable();
        cuts.dedup();
        check(&text, &cuts, &Columns::All);
        check(&text, &cuts, &["type", "score"].into_iter().collect());
        check(&text, &[], &Columns::none());
    }
}

/// Repeats `odd` among lines that teach the fast reader all it can know.
fn among_clean_lines(odd: &[u8]) -> Vec<u8> {
    let mut rng = Rng::new(7);
    let clean: Vec<Vec<u8>> = (0..40).map(|_| line(&mut rng, 1)).collect();
    let mut text = clean.concat();
    for line in &clean[..8] {
        text.extend_from_slice(odd);
        text.push(b'\n');
        text.extend_from_slice(line);
    }
    text
}

#[test]
fn odd_lines_read_as_the_reference_reads_them() {
    let event = |user: &str, value: &str| {
        format!(
            r#"{{"ts":"2026-01-11T00:59:10.000Z","type":"click","user":{user},"value":{value},"metadata":{{"source":"g","seq":1}}}}"#
        )
    };
    let deep = |depth: usize| event(&("[".repeat(depth) + &"]".repeat(depth)), "1").replace("user", "other");
    let odd = [
        event("\"u\"", "9223372036854775807"),
        event("\"u\"", "9223372036854775808"),
        event("\"u\"", "-9223372036854775808"),
        event("\"u\"", "00"),
        event("\"u\"", "01"),
        event("\"u\"", "-"),
        event("\"u\"", "1.0"),
        event("\"u\"", "1e2"),
        event("\"u\"", "\"42\""),
        event(r#""\ud800""#, "1"),
        event(r#""\udc00\ud800""#, "1"),
        event(r#""\ud83d\ude00""#, "1"),
        event(r#""\u00""#, "1"),
        event(r#""\x""#, "1"),
        event("\"a\0b\"", "1"),
        event("\"a\tb\"", "1"),
        event("\"u\"", "1,\"value\":2"),
        event("\"u\"", "\"x\",\"value\":2"),
        event("\"u\"", "1,\"extra\":1e999"),
        event("\"u\"", "1,\"extra\":123456789012345678901234567890"),
        event("\"u\"", "1,\"v\\u0061lue\":5"),
        deep(126),
        deep(127),
        deep(128),
        deep(100_000),
        "[1,2]".to_owned(),
        "\"text\"".to_owned(),
        "42".to_owned(),
        "null".to_owned(),
        "{}".to_owned(),
        "{} {}".to_owned(),
        event("\"u\"", "1") + "x",
        event("\"u\"", "1") + " \t\r",
        " \t".to_owned() + &event("\"u\"", "1"),
        event("\"u\"", "1").replace("2026-01-11T00:59:10.000Z", "2026-01-11T00:59:60.000Z"),
        event("\"u\"", "1").replace("2026-01-11T00:59:10.000Z", "2026-01-11T00:5 :10.000Z"),
        event("\"u\"", "1").replace("2026-01-11T00:59:10.000Z", "2026-01-11T01:59:10.5+02:00"),
        event("\"u\"", "1").replace("2026-01-11T00:59:10.000Z", "2026-01-11T00:59:10.000"),
        event("\"u\"", "1").replace("2026-01-11T00:59:10.000Z", &"\0".repeat(14)),
        event(&format!("\"{}\"", "x".repeat(1000)), "1"),
    ];
    for line in odd {
        check(&among_clean_lines(line.as_bytes()), &[], &Columns::All);
    }
    check(&among_clean_lines(b"{\"user\":\"\xff\xfe\"}"), &[], &Columns::All);
    check(&among_clean_lines(b""), &[], &Columns::All);
    check(b"", &[], &Columns::All);
}

#[test]
fn a_column_of_many_strings_stops_travelling_as_codes() {
    let mut text = Vec::new();
    for user in 0..700 {
        let line =
            format!("{{\"ts\":\"2026-01-11T00:59:10Z\",\"type\":\"t\",\"user\":\"u{user}\",\"value\":1}}\n");
        text.extend_from_slice(line.as_bytes());
        text.extend_from_slice(b"{\"ts\":\"2026-01-11T00:59:10Z\",\"type\":\"t\",\"value\":1}\n");
    }
    check(&text, &[], &Columns::All);
}
