//! The stages of `conformance/STAGES.md`: `conformance STAGE FORM`.

use std::collections::BTreeMap;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use modular_runtime::arrow::array::builder::{Int64Builder, StringBuilder};
use modular_runtime::arrow::array::{BooleanArray, Int64Array, UInt32Array};
use modular_runtime::arrow::schema::{DataType, Field, Schema, SchemaRef};
use modular_runtime::{
    Bound, Cell, Columns, Concurrency, Description, Error, Event, Events, Kind, Open, OpenContext, Output,
    Problem, RecordBatch, Result, Role, Sink, State, Transform, Written, log, serve, stage,
};
use serde_json::{Value, json};

use numbers::Numbers;
use slow::{Rest, SlowEnd, SlowNumbers, SlowSink};
use spin::Spin;

#[path = "conformance/lines.rs"]
mod lines;
#[path = "conformance/numbers.rs"]
mod numbers;
#[path = "conformance/slow.rs"]
mod slow;
#[path = "conformance/spin.rs"]
mod spin;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let name = arguments.first().map_or("", String::as_str);
    let is_batch = arguments.get(1).is_some_and(|form| form == "batch");
    match kind(name, is_batch) {
        Some(kind) => serve(kind),
        None => {
            log::error(format!("`{name}` is none of the stages under test"));
            ExitCode::from(2)
        }
    }
}

fn kind(name: &str, is_batch: bool) -> Option<Arc<dyn Kind>> {
    let ordered = Concurrency::Ordered;
    Some(match name {
        "echo" | "log" | "slow" | "fail_open" => transform(Concurrency::Stateless, None, passing(name)),
        "fail_batch" => transform(Concurrency::Stateless, None, |config, _| {
            let wanted = whole(config, "n");
            each(move |batch, out| fail_batch(wanted, batch, out))
        }),
        "keep_even" if is_batch => transform(Concurrency::Stateless, None, |_, _| Ok(Box::new(KeepEven))),
        "select" if is_batch => transform(Concurrency::Stateless, None, |_, _| {
            each(|batch, out| stage::keep(&batch, even(&batch)?, out))
        }),
        "keep_even" | "select" => {
            stage::filter(name, &["n"], |event| Ok(!event.is_null("n")? && event.int64("n")? % 2 == 0))
        }
        "duplicate" => transform(Concurrency::Stateless, None, |config, _| {
            let times = whole(config, "times");
            each(move |batch, out| duplicate(times, &batch, out))
        }),
        "derive" => derive(),
        "fail_on" => configured(|config| {
            let wanted = whole(config, "n");
            stage::filter("fail_on", &["n"], move |event| {
                let is_bad = !event.is_null("n")? && event.int64("n")? == wanted;
                if is_bad { Err(format!("bad n: {wanted}").into()) } else { Ok(true) }
            })
        }),
        "config" => configured(config),
        "fatal_on" => transform(ordered, None, |config, _| {
            let wanted = whole(config, "n");
            each(move |batch, out| match holds(&batch, wanted)? {
                true => Err(Error::stage(format!("met n: {wanted}"))),
                false => {
                    out.emit(batch);
                    Ok(())
                }
            })
        }),
        "fail_finish" => transform(ordered, None, |_, _| Ok(Box::new(FailFinish))),
        "count" => transform(ordered, Some(counted()), |_, ctx| Ok(Box::new(Count::open(&ctx.states)))),
        "sum" => transform(ordered, Some(summed()), |_, ctx| Ok(Box::new(Sum::open(&ctx.states)))),
        "slow_end" => transform(ordered, None, |config, _| Ok(Box::new(SlowEnd(Rest::of(config))))),
        "spin" => transform(Concurrency::Stateless, Some(spin::columns()), move |config, ctx| {
            let micros = config["micros"].as_u64().unwrap_or_default();
            let spin = Spin::new(ctx.env.clock, Duration::from_micros(micros), is_batch);
            each(move |batch, out| spin.process(&batch, out))
        }),
        "delay" => transform(ordered, None, |_, _| Ok(Box::new(Delay(None)))),
        "numbers" | "endless" | "fail_source" => own(name, Role::Source, |config, _| Bound {
            output: Some(numbers::columns()),
            uses: Columns::none(),
            concurrency: Concurrency::Ordered,
            open: Open::source({
                let end = config["count"].as_i64().unwrap_or(i64::MAX);
                let fail = config["fail"].as_i64();
                move |ctx| Ok(Numbers::open(&ctx.states, end, fail, numbers::ROWS))
            }),
        }),
        "slow_numbers" => own(name, Role::Source, |config, _| Bound {
            output: Some(numbers::columns()),
            uses: Columns::none(),
            concurrency: Concurrency::Ordered,
            open: Open::source({
                let (end, rest) = (whole(config, "count"), Rest::of(config));
                move |ctx| Ok(SlowNumbers(Numbers::open(&ctx.states, end, None, 10), rest))
            }),
        }),
        "slow_sink" => own(name, Role::Sink, |config, _| Bound {
            output: None,
            uses: Columns::All,
            concurrency: Concurrency::Ordered,
            open: Open::sink({
                let rest = Rest::of(config);
                move |_| Ok(SlowSink(rest))
            }),
        }),
        "lines" => lines::lines()?,
        "fail_sink" => own(name, Role::Sink, |_, _| Bound {
            output: None,
            uses: Columns::All,
            concurrency: Concurrency::Ordered,
            open: Open::sink(|_| Ok(FailSink)),
        }),
        _ => return None,
    })
}

/// A kind that is bound by a function and has any configuration.
struct Own<F> {
    word: String,
    role: Role,
    bind: F,
}

fn own<F>(word: &str, role: Role, bind: F) -> Arc<dyn Kind>
where
    F: Fn(&Value, SchemaRef) -> Bound + Send + Sync + 'static,
{
    Arc::new(Own { word: word.to_owned(), role, bind })
}

impl<F: Fn(&Value, SchemaRef) -> Bound + Send + Sync> Kind for Own<F> {
    fn describe(&self) -> Description {
        Description::of::<BTreeMap<String, Value>>(&self.word, self.role, "is under test")
    }

    fn bind(&self, config: &Value, input: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        Ok((self.bind)(config, input.cloned().unwrap_or_else(|| Arc::new(Schema::empty()))))
    }
}

/// A transform that gives `output`, or the columns that come in.
fn transform<F>(concurrency: Concurrency, output: Option<SchemaRef>, open: F) -> Arc<dyn Kind>
where
    F: Fn(&Value, OpenContext) -> Result<Box<dyn Transform>> + Clone + Send + Sync + 'static,
{
    own("own", Role::Transform, move |config, input| {
        let (open, config) = (open.clone(), config.clone());
        Bound {
            output: Some(output.clone().unwrap_or(input)),
            uses: Columns::All,
            concurrency,
            open: Open::Transform(Box::new(move |ctx| open(&config, ctx))),
        }
    })
}

/// A kind made of another one that is made for each configuration.
struct Configured<F>(F);

fn configured(make: impl Fn(&Value) -> Arc<dyn Kind> + Send + Sync + 'static) -> Arc<dyn Kind> {
    Arc::new(Configured(make))
}

impl<F: Fn(&Value) -> Arc<dyn Kind> + Send + Sync> Kind for Configured<F> {
    fn describe(&self) -> Description {
        (self.0)(&json!({})).describe()
    }

    fn bind(
        &self,
        config: &Value,
        input: Option<&SchemaRef>,
        wanted: &Columns,
    ) -> Result<Bound, Vec<Problem>> {
        (self.0)(config).bind(config, input, wanted)
    }
}

fn whole(config: &Value, name: &str) -> i64 {
    config[name].as_i64().unwrap_or_default()
}

/// A transform without a memory.
struct Each<F>(F);

fn each<F>(process: F) -> Result<Box<dyn Transform>>
where
    F: FnMut(RecordBatch, &mut Output) -> Result<()> + Send + 'static,
{
    Ok(Box::new(Each(process)))
}

impl<F: FnMut(RecordBatch, &mut Output) -> Result<()> + Send> Transform for Each<F> {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        (self.0)(batch, out)
    }
}

/// The stages that hand every batch on.
fn passing(
    name: &str,
) -> impl Fn(&Value, OpenContext) -> Result<Box<dyn Transform>> + Clone + Send + Sync + 'static {
    let name = name.to_owned();
    move |config, _| {
        if name == "fail_open" {
            return Err(Error::stage("no luck"));
        }
        if name == "log" {
            log::error("an error");
            log::warning("a warning");
            log::information("an information");
            log::debug("a detail");
            println!("printed");
        }
        let rest = Rest::of(config);
        each(move |batch, out| {
            rest.sleep();
            out.emit(batch);
            Ok(())
        })
    }
}

struct KeepEven;

impl Transform for KeepEven {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        stage::keep(&batch, even(&batch)?, out)
    }

    fn select(&mut self, batch: &RecordBatch, _: &mut Output) -> Result<Option<BooleanArray>> {
        Ok(Some(even(batch)?.into()))
    }
}

/// Whether `n` is even, for each row.
fn even(batch: &RecordBatch) -> Result<Vec<bool>> {
    let is_even = |event: Event<'_>| Ok(!event.is_null("n")? && event.int64("n")? % 2 == 0);
    Events::of(batch, ["n"]).iter().map(is_even).collect()
}

fn holds(batch: &RecordBatch, wanted: i64) -> Result<bool> {
    for event in Events::of(batch, ["n"]).iter() {
        if !event.is_null("n")? && event.int64("n")? == wanted {
            return Ok(true);
        }
    }
    Ok(false)
}

fn fail_batch(wanted: i64, batch: RecordBatch, out: &mut Output) -> Result<()> {
    if holds(&batch, wanted)? {
        let error = Error::stage(format!("bad n: {wanted}"));
        (0..batch.num_rows()).for_each(|row| stage::set_aside(&batch, row, &error, out));
    } else {
        out.emit(batch);
    }
    Ok(())
}

fn duplicate(times: i64, batch: &RecordBatch, out: &mut Output) -> Result<()> {
    if times == 0 {
        out.filtered += batch.num_rows() as u64;
        return Ok(());
    }
    let rows = (0..batch.num_rows() as u32).flat_map(|row| (0..times).map(move |_| row));
    let rows = UInt32Array::from_iter_values(rows);
    out.emit(arrow_select::take::take_record_batch(batch, &rows).map_err(defect)?);
    Ok(())
}

fn defect(error: modular_runtime::arrow::schema::ArrowError) -> Error {
    Error::internal("a batch could not be put together").with_source(error)
}

fn derive() -> Arc<dyn Kind> {
    let reads = ["n", "s", "x", "b", "t", "r"];
    let gives = [
        ("n2", "int64?"),
        ("s2", "string?"),
        ("x2", "float64?"),
        ("b2", "bool?"),
        ("t2", "timestamp?"),
        ("r2", "binary?"),
    ];
    stage::map("derive", &reads, gives, |event| {
        let has = |name| Ok::<_, stage::BoxError>(!event.is_null(name)?);
        let mut cells = [const { Cell::Null }; 6];
        if has("n")? {
            cells[0] = event.int64("n")?.checked_add(1).into();
        }
        if has("s")? {
            cells[1] = format!("{}!", event.str("s")?).into();
        }
        if has("x")? {
            cells[2] = (event.float64("x")? / 2.0).into();
        }
        if has("b")? {
            cells[3] = (!event.bool("b")?).into();
        }
        if has("t")? {
            cells[4] = Cell::Timestamp(event.timestamp("t")? + 1_000_000);
        }
        if has("r")? {
            cells[5] = event.binary("r")?.iter().rev().copied().collect::<Vec<_>>().into();
        }
        Ok(Some(cells))
    })
}

fn config(config: &Value) -> Arc<dyn Kind> {
    let gives = [
        ("text", "string"),
        ("number", "float64"),
        ("whole", "int64"),
        ("flag", "bool"),
        ("list", "int64"),
        ("nested", "string"),
    ];
    let config = config.clone();
    stage::map("config", &[], gives, move |_| {
        let text = |value: &Value| value.as_str().map(str::to_owned).into();
        Ok(Some([
            text(&config["text"]),
            config["number"].as_f64().into(),
            config["whole"].as_i64().into(),
            config["flag"].as_bool().into(),
            config["list"].as_array().map(|list| list.len() as i64).into(),
            text(&config["nested"]["a"]),
        ]))
    })
}

struct FailFinish;

impl Transform for FailFinish {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        out.emit(batch);
        Ok(())
    }

    fn finish(&mut self, _: &mut Output) -> Result<()> {
        Err(Error::stage("too late"))
    }
}

/// Events by their `s`.
struct Count(BTreeMap<Option<String>, i64>);

fn counted() -> SchemaRef {
    let key = Field::new("key", DataType::Utf8, true);
    Arc::new(Schema::new(vec![key, Field::new("count", DataType::Int64, false)]))
}

impl Count {
    fn open(states: &[State]) -> Self {
        let mut counts = BTreeMap::new();
        for batch in states.iter().flatten() {
            for event in Events::of(batch, ["key", "count"]).iter() {
                let key = event.str("key").ok().map(str::to_owned);
                counts.insert(key, event.int64("count").unwrap_or_default());
            }
        }
        Self(counts)
    }

    fn rows(&self) -> Result<RecordBatch> {
        let (mut keys, mut counts) = (StringBuilder::new(), Int64Builder::new());
        for (key, count) in &self.0 {
            keys.append_option(key.as_deref());
            counts.append_value(*count);
        }
        RecordBatch::try_new(counted(), vec![Arc::new(keys.finish()), Arc::new(counts.finish())])
            .map_err(defect)
    }
}

impl Transform for Count {
    fn process(&mut self, batch: RecordBatch, _: &mut Output) -> Result<()> {
        for event in Events::of(&batch, ["s"]).iter() {
            let key = if event.is_null("s")? { None } else { Some(event.str("s")?.to_owned()) };
            *self.0.entry(key).or_default() += 1;
        }
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<()> {
        out.emit(self.rows()?);
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        Ok(vec![self.rows()?])
    }
}

struct Sum(i64);

fn summed() -> SchemaRef {
    Arc::new(Schema::new(vec![Field::new("sum", DataType::Int64, false)]))
}

impl Sum {
    fn open(states: &[State]) -> Self {
        let last = states.iter().flatten().last();
        Self(last.map_or(0, |batch| {
            Events::of(batch, ["sum"]).iter().last().map_or(0, |event| event.int64("sum").unwrap_or_default())
        }))
    }

    fn row(&self) -> Result<RecordBatch> {
        RecordBatch::try_new(summed(), vec![Arc::new(Int64Array::from(vec![self.0]))]).map_err(defect)
    }
}

impl Transform for Sum {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        for event in Events::of(&batch, ["n"]).iter() {
            let sum = self.0.checked_add(event.int64("n")?);
            self.0 = sum.ok_or_else(|| Error::stage("the sum is no int64"))?;
        }
        if batch.num_rows() > 0 {
            out.emit(self.row()?);
        }
        Ok(())
    }

    fn snapshot(&mut self) -> Result<State> {
        Ok(vec![self.row()?])
    }
}

struct Delay(Option<RecordBatch>);

impl Transform for Delay {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        out.batches.extend(self.0.replace(batch));
        Ok(())
    }

    fn finish(&mut self, out: &mut Output) -> Result<()> {
        out.batches.extend(self.0.take());
        Ok(())
    }
}

struct FailSink;

impl Sink for FailSink {
    fn write(&mut self, _: RecordBatch, _: &mut Written) -> Result<()> {
        Err(Error::stage("disk on fire"))
    }

    fn prepare(&mut self) -> Result<()> {
        Ok(())
    }

    fn commit(&mut self) -> Result<()> {
        Ok(())
    }
}
