//! No text makes the check panic, hang or take much memory.

mod kinds;

use kinds::{plan_of, problems_of};
use proptest::prelude::*;

const PIPELINE: &str = "\
# A comment, größer ✓
pipeline: events
stages:
  ingest: {use: file, with: {path: [a, 'b''c', \"d\\u00e9\\n\"], block: 1MiB}}
  parse:
    use: json
    from: ingest
    with:
      fields: {ts: timestamp, type: string, value: int64}
  rules:
    use: filter
    from: parse
    with:
      where: >-
        type != 'view'
        and value >= 10
  sink: {use: file, from: rules, with: {path: results.ndjson}}
placement: {parse: thread}
parallelism: 2
limits: {line: 16MiB, dead_letters: 1%}
";

/// What a mutation puts in: the characters and words that mean something.
const PIECES: [&str; 30] = [
    "", " ", "  ", "\n", "\r", "\t", ":", ": ", "- ", "? ", ",", "[", "]", "{", "}", "'", "\"", "|", ">",
    "&a ", "*a", "!t ", "#", "---\n", "...\n", "%", "\\", "é", "\u{feff}", "null",
];

#[test]
fn deep_nesting_is_refused() {
    for text in ["[".repeat(10_000), "{a: ".repeat(10_000), "- ".repeat(10_000), nested_blocks(1000)] {
        let shown = problems_of(&text, &[]);
        assert!(shown.starts_with("error[E001]: "), "{shown}");
    }
    assert!(problems_of(PIPELINE, &[&format!("limits={}", "[".repeat(10_000))]).contains("E001"));
}

fn nested_blocks(depth: usize) -> String {
    (0..depth).map(|level| format!("{}a:\n", " ".repeat(level))).collect()
}

#[test]
fn a_huge_file_is_refused() {
    let shown = problems_of(&"a: b\n".repeat(100_000), &[]);
    assert!(shown.contains("more than the 262144 of any pipeline"), "{shown}");
}

#[test]
fn thousands_of_problems_are_counted_and_some_shown() {
    let text: String = (0..20_000).map(|key| format!("k{key}: 1\n")).collect();
    let problems = plan_of(&text, &[]).unwrap_err();
    assert_eq!(problems.iter().len(), 100);
    assert!(problems.to_string().ends_with("\n\n... and 19902 more"));
}

fn mutated() -> impl Strategy<Value = String> {
    let mutation = (any::<prop::sample::Index>(), 0..12_usize, any::<prop::sample::Index>());
    prop::collection::vec(mutation, 1..6).prop_map(|mutations| {
        let mut characters: Vec<char> = PIPELINE.chars().collect();
        for (place, removed, piece) in mutations {
            let at = place.index(characters.len() + 1);
            let end = (at + removed).min(characters.len());
            characters.splice(at..end, PIECES[piece.index(PIECES.len())].chars());
        }
        characters.into_iter().collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn a_mutated_pipeline_is_planned_or_its_problems_are_shown(text in mutated()) {
        if let Err(problems) = plan_of(&text, &[]) {
            prop_assert!(problems.iter().len() > 0);
            let shown = problems.render(true);
            prop_assert!(shown.contains("error"));
            let lines = text.lines().count().max(1);
            prop_assert!(problems.iter().all(|p| p.line.is_some_and(|line| (1..=lines + 1).contains(&line))));
        }
    }

    #[test]
    fn any_text_is_planned_or_its_problems_are_shown(text in any::<String>(), set in "\\PC{0,40}") {
        let shown = problems_of(&text, &[&set]);
        prop_assert!(shown.starts_with("error[E0"));
    }

    #[test]
    fn any_override_is_taken_or_refused(set in "(stages|limits|a)?[.]?(\"|'|[a-z]){0,6}(=[\\[\\]{}'\"a-z:, é]{0,9})?") {
        let _ = plan_of(PIPELINE, &[&set]).map_err(|problems| problems.to_string());
    }
}
