//! Lines with their keys in random order and an escape in every string value.

use crate::Rng;
use crate::dirty::Event;
use crate::json::{append_number, append_string_escaping};

#[derive(Clone, Copy)]
enum Key {
    Ts,
    Type,
    User,
    Value,
    Metadata,
}

/// Appends `event` as a line, drawing the order and the escapes from `rng`.
pub(crate) fn append(event: &Event<'_>, rng: &mut Rng, out: &mut Vec<u8>) {
    let mut keys = [Key::Ts, Key::Type, Key::User, Key::Value, Key::Metadata];
    rng.shuffle(&mut keys);
    let mut separator = b'{';
    for key in keys {
        out.push(separator);
        separator = b',';
        match key {
            Key::Ts => append_text(r#""ts":"#, event.ts, rng, out),
            Key::Type => append_text(r#""type":"#, event.r#type, rng, out),
            Key::User => append_text(r#""user":"#, &event.user, rng, out),
            Key::Value => {
                out.extend_from_slice(br#""value":"#);
                append_number(event.value, out);
            }
            Key::Metadata => append_metadata(event, rng, out),
        }
    }
    out.extend_from_slice(b"}\n");
}

fn append_metadata(event: &Event<'_>, rng: &mut Rng, out: &mut Vec<u8>) {
    out.extend_from_slice(br#""metadata":{"#);
    if rng.below(2) == 0 {
        append_text(r#""source":"#, "generator", rng, out);
        out.extend_from_slice(br#","seq":"#);
        append_number(event.seq, out);
    } else {
        out.extend_from_slice(br#""seq":"#);
        append_number(event.seq, out);
        append_text(r#","source":"#, "generator", rng, out);
    }
    if !event.padding.is_empty() {
        append_text(r#","padding":"#, event.padding, rng, out);
    }
    out.push(b'}');
}

fn append_text(key: &str, text: &str, rng: &mut Rng, out: &mut Vec<u8>) {
    out.extend_from_slice(key.as_bytes());
    append_string_escaping(text, rng.index(text.chars().count()), out);
}
