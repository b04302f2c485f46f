//! Any bytes as lines of a feed: the `json` stage reads what a slow reader reads, and never panics.

#![no_main]

use libfuzzer_sys::fuzz_target;
use modrun_core::Columns;

#[path = "../../crates/stages/tests/support/json.rs"]
mod json;

/// Lines that teach the fast reader its shapes before the fuzzer's own come.
const CLEAN: &[u8] = br#"{"ts":"2026-01-11T00:59:10.000Z","type":"click","user":"u1","value":42,"score":0.5,"ok":true,"m":{"s":[1]}}
{"value":42,"type":"view","ts":"2026-01-11T00:59:11.000Z","user":null}
{"ts": "2026-01-11T00:59:12.000Z", "type": "click", "value": -7}
"#;

fuzz_target!(|lines: &[u8]| {
    let text = [CLEAN, lines].concat();
    json::check(&text, &[CLEAN.len()], &Columns::All);
});
