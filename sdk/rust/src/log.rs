//! The log of a stage that is a program: each line says its level, by the prefixes of sd-daemon(3).
//!
//! Guarantees: a text of several lines has one level in all of them, and is written as a whole.

use std::fmt::Display;
use std::io::Write;

/// Something went wrong.
pub fn error(text: impl Display) {
    write('3', &text.to_string());
}

/// Something may go wrong.
pub fn warning(text: impl Display) {
    write('4', &text.to_string());
}

/// Something that a person may want to know.
pub fn information(text: impl Display) {
    write('6', &text.to_string());
}

/// Something for whoever looks for a mistake.
pub fn debug(text: impl Display) {
    write('7', &text.to_string());
}

fn write(level: char, text: &str) {
    let lines: String = text.lines().map(|line| format!("<{level}>{line}\n")).collect();
    // A stage whose log has gone works on.
    let _ = std::io::stderr().lock().write_all(lines.as_bytes());
}
