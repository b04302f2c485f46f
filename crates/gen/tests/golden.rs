//! The generator against the reference: hashes of whole files, and what options may and may not change.

#![allow(clippy::unwrap_used)] // helpers of tests, which the lint does not know as tests

use modrun_gen::{Distribution, Error, Generator, Options, Style};
use sha2::{Digest, Sha256};

fn generate(options: &Options) -> String {
    let mut out = Vec::new();
    let written = Generator::new(options).unwrap().write(&mut out).unwrap();
    assert_eq!(written, out.len() as u64);
    String::from_utf8(out).unwrap()
}

fn with(change: impl FnOnce(&mut Options)) -> Options {
    let mut options = Options { events: 10_000, ..Options::default() };
    change(&mut options);
    options
}

#[test]
fn default_options_give_the_reference_files() {
    let check = |events: u64, expected: &str| {
        let mut hash = Sha256::new();
        Generator::new(&Options { events, ..Options::default() }).unwrap().write(&mut hash).unwrap();
        assert_eq!(format!("{:x}", hash.finalize()), expected, "{events} events");
    };
    check(0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    check(1000, "1f65e49e54cf47c066e185e04b5c9db3eef58ab168ca84254513ccbedac56b70");
    check(100_000, "69789bc860a8755d61d7fc2d598991f4d0400ba453480261693e9efb4fc052ce");
    check(1_000_000, "f6fff08bc4c90b045f663d9be265cc5bd02a356f33d11b4273d8cc6932fa2958");
}

#[test]
fn filling_in_small_steps_gives_the_same_bytes() {
    let options = with(|options| options.events = 100);
    let mut generator = Generator::new(&options).unwrap();
    let (mut all, mut step) = (Vec::new(), Vec::new());
    let mut more = true;
    while more {
        step.clear();
        more = generator.fill(&mut step, 1);
        all.append(&mut step);
    }
    assert_eq!(String::from_utf8(all).unwrap(), generate(&options));
}

#[test]
fn a_distribution_changes_users_only() {
    let users = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split('"').nth(11).unwrap().to_owned()).collect()
    };
    let uniform = users(&generate(&with(|_| ())));
    let zipf = users(&generate(&with(|options| options.distribution = Distribution::Zipf)));
    let burst = users(&generate(&with(|options| options.distribution = Distribution::Burst)));
    assert!(uniform.iter().all(|user| user.len() == 5 && user.starts_with('u')));
    assert!(zipf.iter().zip(&uniform).all(|(zipf, uniform)| zipf <= uniform));
    assert!(burst.windows(50).any(|run| run.iter().all(|user| *user == run[0])));
}

#[test]
fn dirty_lines_come_between_the_clean_ones() {
    let clean = generate(&with(|_| ()));
    let mut dirty = Vec::new();
    Generator::new(&with(|options| options.dirty = 0.1)).unwrap().write(&mut dirty).unwrap();

    let mut expected = clean.lines().map(str::as_bytes).peekable();
    let strays = dirty
        .strip_suffix(b"\n")
        .unwrap()
        .split(|byte| *byte == b'\n')
        .filter(|line| expected.next_if_eq(line).is_none())
        .count();
    assert_eq!(expected.next(), None, "a clean line is missing or changed");
    assert!((900..1100).contains(&strays), "{strays}");
}

#[test]
fn every_event_is_followed_by_a_dirty_line_at_ratio_one() {
    let mut out = Vec::new();
    Generator::new(&with(|options| options.dirty = 1.0)).unwrap().write(&mut out).unwrap();
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 20_000);
}

#[test]
fn shuffled_lines_are_the_same_events() {
    let change = |options: &mut Options| options.types = vec!["click".into(), "é\"😀".into()];
    let plain = generate(&with(change));
    let shuffled = generate(&with(|options| {
        change(options);
        options.style = Style::Shuffled;
    }));
    for (plain, shuffled) in plain.lines().zip(shuffled.lines()) {
        let [plain_event, shuffled_event] =
            [plain, shuffled].map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        assert_eq!(plain_event, shuffled_event);
        assert!(shuffled.matches("\\u").count() >= 4, "{shuffled}");
    }
    let first_keys: std::collections::HashSet<&str> = shuffled.lines().map(|line| &line[..4]).collect();
    assert_eq!(first_keys.len(), 5);
    assert_eq!(plain.lines().count(), shuffled.lines().count());
}

#[test]
fn padding_makes_lines_longer_and_changes_nothing_else() {
    let without_padding = |line: &str| {
        let mut event = serde_json::from_str::<serde_json::Value>(line).unwrap();
        let padding = event["metadata"].as_object_mut().unwrap().remove("padding");
        (event, padding.and_then(|padding| Some(padding.as_str()?.len())))
    };
    for style in [Style::Plain, Style::Shuffled] {
        let of = |padding| generate(&with(|options| (options.style, options.padding) = (style, padding)));
        for (plain, padded) in of(0).lines().zip(of(100).lines()) {
            let ((plain, none), (padded, padding)) = (without_padding(plain), without_padding(padded));
            assert_eq!((plain, none, padding), (padded, None, Some(100)));
        }
    }
    let [plain, padded] = [0, 1].map(|padding| generate(&with(|options| options.padding = padding)));
    assert_eq!(padded, plain.replace("}}", r#","padding":"x"}}"#));
}

#[test]
fn options_that_make_no_sense_are_refused() {
    let refused = |change: fn(&mut Options), message: &str| {
        assert_eq!(
            Generator::new(&with(change)).map(|_| ()).map_err(|error| error.to_string()),
            Err(message.into())
        );
    };
    refused(|options| options.users = 0, "the number of users must be at least 1");
    refused(|options| options.types.clear(), "at least one type of event is needed");
    refused(|options| options.types[2].clear(), "type number 3 is empty");
    refused(|options| options.dirty = 1.5, "the ratio of dirty lines must be between 0 and 1, not `1.5`");
    refused(
        |options| options.dirty = f64::NAN,
        "the ratio of dirty lines must be between 0 and 1, not `NaN`",
    );
    refused(
        |options| options.padding = 1_048_577,
        "the padding must be at most 1048576 bytes, not `1048577`",
    );
    refused(
        |options| options.start = "9999-12-31T23:00:00Z".parse().unwrap(),
        "`10000` events from `9999-12-31T23:00:00.000Z` could run past the year 9999; at most `2882` fit",
    );
}

#[test]
fn as_many_events_as_fit_before_the_year_10000_do() {
    let start = "9999-12-31T23:00:00Z".parse().unwrap();
    let text = generate(&with(|options| (options.events, options.start) = (2882, start)));
    assert!(text.lines().last().unwrap().starts_with(r#"{"ts":"9999-12-31T23:"#));
    let error = Generator::new(&with(|options| (options.events, options.start) = (2883, start))).unwrap_err();
    assert!(matches!(error, Error::TooManyEvents { most: 2882, .. }));
}
