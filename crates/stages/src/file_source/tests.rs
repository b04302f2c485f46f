use std::error::Error as _;
use std::io;

use arrow_array::cast::AsArray;
use arrow_array::types::Int64Type;
use modrun_core::Limits;
use modrun_core::env::{Memory, Operation};
use serde_json::json;

use super::*;

fn open(world: &Memory, config: Value, line_bytes: u64) -> Result<Box<dyn Source>> {
    let bound = FileSource.bind(&config, None, &Columns::All).unwrap();
    let Open::Source(open) = bound.open else { panic!("not a source") };
    open(OpenContext { env: world.env(), limits: Limits { line_bytes }, states: vec![] })
}

/// A block as it was handed over: source, offset, number of the first line, text.
type Block = (String, i64, i64, String);

/// Polls to the end; gives the blocks and how often nothing came in time.
fn read_all(source: &mut dyn Source) -> (Vec<Block>, u32) {
    let (mut blocks, mut idle) = (Vec::new(), 0);
    let until = Memory::default().env().clock.now();
    loop {
        match source.poll(until).unwrap() {
            Polled::End => return (blocks, idle),
            Polled::Idle => idle += 1,
            Polled::Batch(batch) => {
                assert_eq!((batch.schema(), batch.num_rows()), (raw_schema(), 1));
                let number = |column: usize| batch.column(column).as_primitive::<Int64Type>().value(0);
                let text = batch.column(3).as_binary::<i32>().value(0);
                let source = batch.column(0).as_string::<i32>().value(0).to_owned();
                blocks.push((source, number(1), number(2), String::from_utf8_lossy(text).into_owned()));
            }
        }
    }
}

fn block(source: &str, offset: i64, line: i64, text: &str) -> Block {
    (source.to_owned(), offset, line, text.to_owned())
}

#[test]
fn blocks_hold_whole_lines_and_know_where_they_stand() {
    let world = Memory::default();
    world.put("a", "one\ntwo\nthree\nfour");
    for (size, expected) in [
        (
            1,
            vec![
                block("a", 0, 1, "one\n"),
                block("a", 4, 2, "two\n"),
                block("a", 8, 3, "three\n"),
                block("a", 14, 4, "four"),
            ],
        ),
        (9, vec![block("a", 0, 1, "one\ntwo\n"), block("a", 8, 3, "three\n"), block("a", 14, 4, "four")]),
        (100, vec![block("a", 0, 1, "one\ntwo\nthree\nfour")]),
    ] {
        let mut source = open(&world, json!({"path": "a", "block": size}), 100).unwrap();
        let (blocks, _) = read_all(&mut *source);
        let (text, expected_text) = (join(&blocks), join(&expected));
        assert_eq!(text, expected_text, "block of {size}");
        for (_, offset, line, text) in &blocks {
            let before = &expected_text[..*offset as usize];
            assert_eq!(before.matches('\n').count() as i64 + 1, *line, "block of {size}");
            assert!(text.ends_with('\n') || *offset as usize + text.len() == expected_text.len());
        }
        assert!(blocks.len() >= expected.len() || size > 1, "block of {size}: {blocks:?}");
    }
}

fn join(blocks: &[Block]) -> String {
    blocks.iter().map(|(.., text)| text.as_str()).collect()
}

#[test]
fn several_files_are_read_one_after_the_other() {
    let world = Memory::default();
    world.put("logs/1.ndjson", "a\nb");
    world.put("logs/2.ndjson", "");
    world.put("logs/3.ndjson", "\u{feff}c\n");
    world.put("other", "d\n");
    let mut source = open(&world, json!({"path": ["logs/*.ndjson", "other"]}), 100).unwrap();
    assert_eq!(source.progress().bytes_total, Some(3 + 5 + 2));
    let (blocks, _) = read_all(&mut *source);
    let expected = [
        block("logs/1.ndjson", 0, 1, "a\nb"),
        block("logs/3.ndjson", 3, 1, "c\n"),
        block("other", 0, 1, "d\n"),
    ];
    assert_eq!(blocks, expected);
    assert_eq!(source.progress().bytes_read, 10);
}

#[test]
fn a_slow_pipe_hands_over_the_lines_that_are_there() {
    let world = Memory::default();
    let piece = |text: &str| Some(text.as_bytes().to_vec());
    let pieces = vec![piece("one\ntw"), None, None, piece("o\n"), piece("three"), None, piece("\nfour")];
    world.put_pipe("pipe", pieces);
    let mut source = open(&world, json!({"path": "pipe"}), 100).unwrap();
    assert_eq!(source.progress().bytes_total, None);
    let (blocks, idle) = read_all(&mut *source);
    let expected =
        [block("pipe", 0, 1, "one\n"), block("pipe", 4, 2, "two\n"), block("pipe", 8, 3, "three\nfour")];
    assert_eq!((blocks.as_slice(), idle), (expected.as_slice(), 1));
}

#[test]
fn a_line_beyond_the_limit_is_cut_and_the_next_one_keeps_its_place() {
    for size in [1, 7, 64, 4096] {
        let world = Memory::default();
        let long = "x".repeat(1000);
        world.put("a", format!("one\n{long}\ntwo\n{long}"));
        let mut source = open(&world, json!({"path": "a", "block": size}), 10).unwrap();
        let (blocks, _) = read_all(&mut *source);
        let text = join(&blocks);
        let lines: Vec<&str> = text.split('\n').collect();
        let cut = |line: &str| line.len() > 10 && line.bytes().all(|byte| byte == b'x');
        if size == 4096 {
            assert_eq!(text.len(), 4 + 1001 + 4 + 1000, "a line inside a block is the next stage's to judge");
            continue;
        }
        assert!(cut(lines[1].trim_end_matches("two")), "block of {size}: {blocks:?}");
        let two = blocks.iter().find(|(.., text)| text.starts_with("two\n")).unwrap();
        assert_eq!((two.1, two.2), (4 + 1001, 3), "block of {size}");
    }
}

#[test]
fn what_cannot_be_read_is_named() {
    let world = Memory::default();
    world.put("a", "one\n");
    let missing = open(&world, json!({"path": ["a", "b"]}), 10).err().unwrap();
    assert_eq!((missing.to_string().as_str(), missing.code()), ("cannot open input `b`", Some(Code::INPUT)));
    assert!(missing.hint().unwrap().contains("modrun gen --output b"));
    let none = open(&world, json!({"path": "*.log"}), 10).err().unwrap();
    assert_eq!(none.to_string(), "no file matches `*.log`");

    let mut source = open(&world, json!({"path": "a"}), 10).unwrap();
    world.fail(Operation::Read, io::ErrorKind::Other);
    let broken = source.poll(world.env().clock.now()).err().unwrap();
    assert_eq!(broken.to_string(), "cannot read input `a` at byte 0");
    assert!(broken.source().is_some());
}

#[test]
fn an_empty_path_is_a_problem() {
    for path in [json!(""), json!([]), json!(["a", ""])] {
        let problems = FileSource.bind(&json!({"path": path}), None, &Columns::All).unwrap_err();
        assert_eq!(problems, [Problem::new(Code::WRONG_VALUE, "`path` names no file").at("path")]);
    }
}

#[test]
fn buffers_are_used_again() {
    let world = Memory::default();
    world.put("a", "0123456789\n".repeat(1000));
    let config = json!({"path": "a", "block": 110});
    let Open::Source(_) = FileSource.bind(&config, None, &Columns::All).unwrap().open else {
        panic!("a source")
    };
    let ctx = OpenContext { env: world.env(), limits: Limits::default(), states: vec![] };
    let mut reader = Reader::open(&["a".to_owned()], 110, ctx).unwrap();
    read_all(&mut reader);
    assert_eq!(reader.pool.free.lock().unwrap().len(), 1);
}
