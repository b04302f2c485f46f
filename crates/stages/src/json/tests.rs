use modrun_gen::{Generator, Options, Style};

use super::*;

fn fields() -> Vec<Field> {
    let named = |name: &str, field_type| Field { name: name.to_owned(), field_type, optional: false };
    vec![named("ts", Type::Timestamp), named("type", Type::String), named("value", Type::Int64)]
}

#[test]
fn lines_like_the_ones_before_are_read_fast() {
    for style in [Style::Plain, Style::Shuffled] {
        let options = Options { events: 400, style, ..Options::default() };
        let mut text = Vec::new();
        Generator::new(&options).unwrap().write(&mut text).unwrap();

        let fields = fields();
        let mut parser = Parser::new(&fields, &fields, 1 << 20);
        let start = Start { source: "feed", offset: 0, line: None };
        parser.text(&text, &start, &mut Output::default()).unwrap();
        let (mut at, mut fast) = (0, 0);
        while let Some(end) = parser.fast.line(&text, at, &mut parser.columns) {
            parser.columns.rows += 1;
            (at, fast) = (end, fast + 1);
        }
        // The last line ends too close to the end of the text.
        assert_eq!(fast, 399, "{style:?}");
        assert_eq!(parser.columns.rows, 400 + 399);
    }
}

#[test]
fn a_line_longer_than_the_limit_is_a_dead_letter_however_it_looks() {
    let fields = fields();
    let line = |user: &str| {
        format!("{{\"ts\":\"2026-01-11T00:59:10Z\",\"type\":\"t\",\"user\":\"{user}\",\"value\":1}}\n")
    };
    let short = line("u");
    let text = short.repeat(3) + &line(&"u".repeat(5000)) + &short;
    let mut parser = Parser::new(&fields, &fields, short.len() as u64 - 1);
    let mut out = Output::default();
    let start = Start { source: "feed", offset: 0, line: Some(1) };
    assert_eq!(parser.text(text.as_bytes(), &start, &mut out).unwrap(), 5);
    assert_eq!(parser.columns.rows, 4);
    let letter = &out.dead_letters[0];
    assert_eq!((&*letter.reason, letter.origin.as_ref().unwrap().line), ("too_long", Some(4)));
    let Payload::Raw { bytes, truncated } = &letter.payload else { panic!("a raw line") };
    assert_eq!((bytes.len(), *truncated), (KEPT_OF_LONG_LINE, true));
}
