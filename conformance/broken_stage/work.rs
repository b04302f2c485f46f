//! What the stages do, with faults.

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;

use anyhow::{Context, Result};
use arrow_array::cast::AsArray;
use arrow_array::types::{Int64Type, UInt8Type};
use arrow_array::{Array, BooleanArray, Int64Array, RecordBatch, StringArray};
use arrow_buffer::BooleanBuffer;
use modrun_core::{Concurrency, ErrorKind, Role};
use modrun_wire::table::{Layout, decode};
use modrun_wire::{Batch, Done, Failed, Form, FromStage, Open, Place, selection};
use serde_json::Value as Json;

use crate::link::Link;

/// A payload and its rows.
type Table = (Vec<u8>, u32);

pub(crate) struct Work {
    fault: String,
    stage: String,
    config: Json,
    open: Open,
    counts: BTreeMap<Option<String>, i64>,
    held: Option<(Batch, Table)>,
    position: u64,
    lines: Vec<String>,
}

impl Work {
    pub(crate) fn new(fault: &str, stage: &str, open: &Open) -> Result<Self> {
        Ok(Self {
            fault: fault.to_owned(),
            stage: stage.to_owned(),
            config: serde_json::from_str(&open.config)?,
            open: open.clone(),
            counts: BTreeMap::new(),
            held: None,
            position: 0,
            lines: Vec::new(),
        })
    }

    fn is(&self, fault: &str) -> bool {
        self.fault == fault
    }

    pub(crate) fn role(&self) -> (Role, Concurrency) {
        match self.stage.as_str() {
            "numbers" | "endless" => (Role::Source, Concurrency::Ordered),
            "lines" => (Role::Sink, Concurrency::Ordered),
            "count" | "delay" => (Role::Transform, Concurrency::Ordered),
            _ => (Role::Transform, Concurrency::Stateless),
        }
    }

    pub(crate) fn empty(&self) -> Result<Table> {
        let columns = self.open.output.clone().unwrap_or_default();
        table(&RecordBatch::new_empty(columns.to_arrow()))
    }

    /// Emits what a source has; true once it has come to its end.
    pub(crate) fn produce(&mut self, link: &mut Link) -> Result<bool> {
        let count = match self.stage.as_str() {
            "numbers" => self.config["count"].as_u64().unwrap_or_default(),
            // As many as the faults need.
            "endless" => 5_000,
            _ => return Ok(false),
        };
        let policy = self.open.policy.map_or(0, |policy| u64::from(policy.rows));
        let size = if policy == 0 || self.is("ignores_the_policy") { 64 } else { policy };
        while self.position < count {
            let end = (self.position + size).min(count);
            let numbers: Vec<i64> = (self.position as i64..end as i64).collect();
            let texts: StringArray = numbers.iter().map(|n| Some(format!("s{}", n % 10))).collect();
            let schema = self.open.output.clone().unwrap_or_default().to_arrow();
            let columns: Vec<Arc<dyn Array>> = vec![Arc::new(Int64Array::from(numbers)), Arc::new(texts)];
            link.emit(&table(&RecordBatch::try_new(schema, columns)?)?, None)?;
            self.position = end;
        }
        Ok(self.stage == "numbers")
    }

    /// Takes a batch and answers it.
    pub(crate) fn process(&mut self, link: &mut Link, batch: &Batch, payload: Vec<u8>) -> Result<()> {
        let schema = self.open.input.clone().unwrap_or_default().to_arrow();
        let read = match decode(Link::buffer(payload.clone()), &schema) {
            Err(_) if self.is("believes_everything") => return link.credit(batch.seq, batch.rows, 0),
            Err(_) if self.is("aborts") => std::process::abort(),
            read => read?,
        };
        anyhow::ensure!(read.num_rows() == batch.rows as usize, "a batch has another number of rows");
        if self.is("credit_before_output") {
            link.credit(batch.seq, batch.rows, 0)?;
        }
        let mut filtered = 0;
        match self.stage.as_str() {
            "keep_even" => filtered = self.select(link, batch, &read)?,
            "count" => self.count(&read),
            "delay" => self.hold(link, batch, (payload, batch.rows))?,
            "lines" => self.write(&read)?,
            "fail_on" => self.fail_on(link, batch, &read)?,
            _ => link.emit(&self.echo(&read)?, Some(batch.seq))?,
        }
        if self.is("credit_before_output") {
            return Ok(());
        }
        link.credit(batch.seq, batch.rows, filtered)
    }

    fn echo(&self, read: &RecordBatch) -> Result<Table> {
        let (mut payload, rows) = match self.fault.as_str() {
            "loses_a_row" if read.num_rows() > 1 => table(&read.slice(1, read.num_rows() - 1))?,
            _ => table(read)?,
        };
        if self.is("another_value")
            && let Some(last) = payload.last_mut()
        {
            *last ^= 1;
        }
        if self.is("sets_unused_bits") {
            // Behind the validity of the first column, which has room for 64 rows.
            payload[16 + 48 * read.num_columns() + 7] |= 0x80;
        }
        Ok((payload, rows))
    }

    fn select(&self, link: &mut Link, batch: &Batch, read: &RecordBatch) -> Result<u32> {
        let numbers = read.column_by_name("n").context("no column `n`")?.as_primitive::<Int64Type>();
        let kept: BooleanBuffer = numbers.iter().map(|n| n.is_some_and(|n| n % 2 == 0)).collect();
        let mut payload = vec![0; selection::length(kept.len())];
        selection::write(&kept, &mut payload);
        if let (true, Some(last)) = (self.is("sets_unused_bits"), payload.last_mut()) {
            *last |= 0x80;
        }
        let rows = kept.count_set_bits() as u32;
        if self.is("table_for_a_selection") {
            let columns: Result<Vec<_>> = read.columns().iter().map(|column| pick(column, &kept)).collect();
            link.emit(&table(&RecordBatch::try_new(read.schema(), columns?)?)?, Some(batch.seq))?;
        } else {
            link.emit_as(Form::Selection, &payload, rows, Some(batch.seq))?;
        }
        Ok(batch.rows - rows)
    }

    fn count(&mut self, read: &RecordBatch) {
        for text in texts(read.column(0)) {
            *self.counts.entry(text).or_default() += 1;
        }
    }

    fn hold(&mut self, link: &mut Link, batch: &Batch, now: Table) -> Result<()> {
        let Some((before, kept)) = self.held.replace((*batch, now)) else { return Ok(()) };
        let kept = match before.place {
            Place::Slot(offset) if self.is("looks_after_credit") => {
                (link.copy(offset, before.length as usize)?, before.rows)
            }
            _ => kept,
        };
        link.emit(&kept, Some(batch.seq))
    }

    fn fail_on(&self, link: &mut Link, batch: &Batch, read: &RecordBatch) -> Result<()> {
        let wanted = self.config["n"].as_i64().unwrap_or_default();
        let numbers = read.column(0).as_primitive::<Int64Type>();
        let bad: Vec<u32> =
            (0..read.num_rows()).filter(|&row| numbers.value(row) == wanted).map(|row| row as u32).collect();
        let kept: BooleanBuffer = (0..read.num_rows()).map(|row| !bad.contains(&(row as u32))).collect();
        if !bad.is_empty() {
            let message = if self.is("says_nothing") { String::new() } else { format!("bad n: {wanted}") };
            let rows = match self.fault.as_str() {
                "fails_another_row" => vec![bad[0] + 1],
                "fails_a_row_that_is_not_there" => vec![batch.rows],
                _ => bad,
            };
            let kind = if self.is("internal_events") { ErrorKind::Internal } else { ErrorKind::Stage };
            let code = "Error".to_owned();
            let failed = Failed { kind, code, message, input: batch.seq, rows, ..Failed::default() };
            link.send(&FromStage::Failed(failed))?;
        }
        let mut payload = vec![0; selection::length(kept.len())];
        selection::write(&kept, &mut payload);
        link.emit_as(Form::Selection, &payload, kept.count_set_bits() as u32, Some(batch.seq))
    }

    fn write(&mut self, read: &RecordBatch) -> Result<()> {
        let numbers = read.column(0).as_primitive::<Int64Type>();
        for (row, text) in texts(read.column(1)).into_iter().enumerate() {
            let number = numbers.is_valid(row).then(|| numbers.value(row));
            self.lines.push(serde_json::json!({"n": number, "s": text}).to_string() + "\n");
        }
        Ok(())
    }

    /// Emits what was held back, and prepares the results.
    pub(crate) fn finish(&mut self, link: &mut Link) -> Result<Done> {
        match self.stage.as_str() {
            "count" => {
                let keys: StringArray = self.counts.keys().cloned().collect();
                let counts: Int64Array = self.counts.values().copied().map(Some).collect();
                let schema = self.open.output.clone().unwrap_or_default().to_arrow();
                let columns: Vec<Arc<dyn Array>> = vec![Arc::new(keys), Arc::new(counts)];
                link.emit(&table(&RecordBatch::try_new(schema, columns)?)?, None)?;
            }
            "delay" => {
                if let Some((_, kept)) = self.held.take().filter(|_| !self.is("drops_what_it_held")) {
                    link.emit(&kept, None)?;
                }
            }
            "lines" => {
                let path = self.config["path"].as_str().context("no path")?;
                let name =
                    if self.is("commits_at_once") { path.to_owned() } else { format!("{path}.partial") };
                fs::write(&name, self.lines.concat())?;
                return Ok(Done { artifact: Some(name), rows: self.lines.len() as u64 });
            }
            _ => {}
        }
        Ok(Done::default())
    }

    pub(crate) fn commit(&self) -> Result<()> {
        let path = self.config["path"].as_str().context("no path")?;
        if !self.is("commits_nothing") {
            fs::rename(format!("{path}.partial"), path)?;
        }
        Ok(())
    }

    pub(crate) fn snapshot(&self) -> Vec<Vec<u8>> {
        let counts: Vec<(&Option<String>, &i64)> = self.counts.iter().collect();
        match self.stage.as_str() {
            "count" => vec![serde_json::to_vec(&counts).unwrap_or_default()],
            _ if self.is("chunks_without_state") => vec![b"state".to_vec()],
            _ => Vec::new(),
        }
    }

    pub(crate) fn restore(&mut self, chunk: &[u8]) -> Result<()> {
        if self.stage != "count" {
            return Ok(());
        }
        let counts: Vec<(Option<String>, i64)> = serde_json::from_slice(chunk)?;
        self.counts = counts.into_iter().collect();
        Ok(())
    }
}

fn table(batch: &RecordBatch) -> Result<Table> {
    let layout = Layout::of(batch)?;
    let mut payload = vec![0; layout.length()];
    layout.write(&mut payload);
    Ok((payload, layout.rows()))
}

fn pick(column: &Arc<dyn Array>, kept: &BooleanBuffer) -> Result<Arc<dyn Array>> {
    let rows = BooleanArray::new(kept.clone(), None);
    let rows = (0..rows.len()).filter(|&row| rows.value(row));
    Ok(match column.as_primitive_opt::<Int64Type>() {
        Some(numbers) => {
            let cells = rows.map(|row| numbers.is_valid(row).then(|| numbers.value(row)));
            Arc::new(cells.collect::<Int64Array>())
        }
        None => {
            let all = texts(column);
            Arc::new(rows.map(|row| all[row].clone()).collect::<StringArray>())
        }
    })
}

fn texts(column: &Arc<dyn Array>) -> Vec<Option<String>> {
    match column.as_dictionary_opt::<UInt8Type>() {
        Some(dictionary) => {
            let values = dictionary.values().as_string::<i32>();
            dictionary.keys().iter().map(|code| Some(values.value(code? as usize).to_owned())).collect()
        }
        None => column.as_string::<i32>().iter().map(|text| text.map(str::to_owned)).collect(),
    }
}
