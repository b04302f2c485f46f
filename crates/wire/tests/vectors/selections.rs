//! Selections.

use arrow_buffer::{BooleanBuffer, Buffer};
use modrun_wire::selection;
use serde_json::json;

use super::folder::{self, Vectors};

/// Name, rows and the rows kept.
fn cases() -> Vec<(&'static str, usize, Vec<usize>)> {
    vec![
        ("no_rows", 0, vec![]),
        ("none_of_1", 1, vec![]),
        ("one_of_1", 1, vec![0]),
        ("none_of_8", 8, vec![]),
        ("all_of_8", 8, (0..8).collect()),
        ("some_of_13", 13, vec![0, 3, 8, 12]),
        ("last_of_65", 65, vec![64]),
        ("even_of_100", 100, (0..100).step_by(2).collect()),
        ("all_of_1000", 1000, (0..1000).collect()),
    ]
}

#[test]
fn the_vectors_of_selections_are_written_and_read() {
    let mut expected = Vectors::new();
    for (name, rows, kept) in cases() {
        let bits = BooleanBuffer::collect_bool(rows, |row| kept.contains(&row));
        let mut bytes = vec![0xaa; selection::length(rows)];
        selection::write(&bits, &mut bytes);
        expected.insert(name.to_owned(), (bytes, json!({"rows": rows, "kept": kept})));
    }
    // Unused bits mean nothing.
    let loose = (vec![0xf9], json!({"rows": 4, "kept": [0, 3]}));
    expected.insert("loose_unused_bits".to_owned(), loose);

    for (name, (bytes, meaning)) in folder::check("selections", &expected) {
        let kept: Vec<usize> = serde_json::from_value(meaning["kept"].clone()).unwrap();
        let rows = meaning["rows"].as_u64().unwrap() as usize;
        let bits = selection::decode(bytes.into(), rows, kept.len() as u32).unwrap();
        assert_eq!(bits.set_indices().collect::<Vec<_>>(), kept, "{name}");
    }
}

#[test]
fn a_selection_that_does_not_fit_its_batch_is_refused() {
    for (bytes, rows, kept, expected) in [
        (vec![0u8; 0], 1, 0, "a selection of 0 bytes cannot stand for 1 rows"),
        (vec![0, 0], 8, 0, "a selection of 2 bytes cannot stand for 8 rows"),
        (vec![0b101], 3, 3, "the selection keeps 2 rows instead of 3"),
        (vec![0b1000], 3, 1, "the selection keeps 0 rows instead of 1"),
    ] {
        let garbage = selection::decode(Buffer::from_vec(bytes), rows, kept).unwrap_err();
        assert_eq!(garbage.to_string(), expected);
    }
}
