//! A transform of your own: of each user's events it lets the one through that begins a session, the first after
//! half an hour of silence. It runs in a pipeline that is built in code.
//!
//! ```sh
//! modrun gen --output events.ndjson
//! cargo run --package modular-runtime --example sessions -- events.ndjson sessions.ndjson
//! ```

use std::collections::HashMap;
use std::error::Error;

use modular_runtime::{
    Events, Options, Output, Plan, RecordBatch, Result, Spec, Transform, builtin, run, stage,
};
use serde_json::json;

/// Microseconds, as timestamps are.
const SILENCE: i64 = 30 * 60 * 1_000_000;

/// When each user was last seen.
#[derive(Default)]
struct Sessions(HashMap<String, i64>);

impl Transform for Sessions {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        let mut begins = Vec::with_capacity(batch.num_rows());
        for event in Events::of(&batch, ["user", "ts"]).iter() {
            let (user, now) = (event.str("user")?, event.timestamp("ts")?);
            let before = self.0.insert(user.to_owned(), now);
            begins.push(before.is_none_or(|before| now - before > SILENCE));
        }
        stage::keep(&batch, begins, out)
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [input, output] = arguments.as_slice() else {
        return Err("usage: sessions EVENTS.ndjson SESSIONS.ndjson".into());
    };
    let mut kinds = builtin();
    kinds.push(stage::filter("no-views", &["type"], |event| Ok(event.str("type")? != "view")));
    kinds.push(stage::transform("sessions", |_| Ok(Sessions::default())));

    let fields = json!({"ts": "timestamp", "type": "string", "user": "string"});
    let spec = Spec::new("sessions")
        .stage("ingest", "file", json!({"path": input}))
        .stage("parse", "json", json!({"fields": fields}))
        .stage("actions", "no-views", json!({}))
        .stage("begins", "sessions", json!({}))
        .stage("sink", "file", json!({"path": output}));
    let outcome = run(Plan::from_spec(&spec, &kinds)?, Options::default())?;
    let events = outcome.report.events;
    println!("{} events in, {} sessions", events.r#in, events.results);
    Ok(())
}
