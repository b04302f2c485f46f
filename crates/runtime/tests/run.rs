//! Whole runs in a world of memory: what must hold for every pipeline, whatever its stages do.

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use arrow_array::RecordBatch;
use arrow_schema::SchemaRef;
use modrun_core::env::{Memory, Operation};
use modrun_core::{
    Bound, Code, Columns, Concurrency, Description, Kind, Open, Output, Problem, Result, Role, RunReport,
    Transform,
};
use modrun_plan::{Plan, Spec};
use modrun_runtime::{Options, Outcome, run};
use serde_json::{Value, json};

type Process = dyn Fn(&RecordBatch) -> Result<()> + Send + Sync;

/// A transform whose code is the test's own.
#[derive(Clone)]
struct Custom {
    concurrency: Concurrency,
    process: Arc<Process>,
}

impl Kind for Custom {
    fn describe(&self) -> Description {
        Description {
            word: "custom".into(),
            role: Role::Transform,
            about: "does what the test wants".into(),
            config: schemars::json_schema!({"type": "object"}),
        }
    }

    fn bind(&self, _: &Value, input: Option<&SchemaRef>, _: &Columns) -> Result<Bound, Vec<Problem>> {
        let custom = self.clone();
        Ok(Bound {
            output: input.cloned(),
            uses: Columns::All,
            concurrency: self.concurrency,
            open: Open::transform(move |_| Ok(custom.clone())),
        })
    }
}

impl Transform for Custom {
    fn process(&mut self, batch: RecordBatch, out: &mut Output) -> Result<()> {
        (self.process)(&batch)?;
        out.emit(batch);
        Ok(())
    }
}

/// A pipeline of the built-in stages; `middle` are the transforms behind `json`.
fn spec(block: usize, middle: &[(&str, &str, Value)]) -> Spec {
    let fields = json!({"key": "string", "n": "int64", "x": "float64?"});
    let mut spec = Spec::new("test").stage("ingest", "file", json!({"path": "in", "block": block})).stage(
        "parse",
        "json",
        json!({"fields": fields}),
    );
    for (name, kind, with) in middle {
        spec = spec.stage(*name, *kind, with.clone());
    }
    spec.stage("sink", "file", json!({"path": "out"}))
}

fn run_in(world: &Memory, spec: Spec, workers: usize, custom: Option<Custom>) -> Result<Outcome> {
    let mut kinds = modrun_stages::builtin();
    kinds.extend(custom.map(|custom| Arc::new(custom) as Arc<dyn Kind>));
    let spec = spec.parallelism(NonZeroUsize::new(workers).expect("a run has a worker"));
    let plan = Plan::from_spec(&spec, &kinds).expect("the pipeline is well formed");
    run(plan, Options { env: world.env(), ..Options::default() })
}

/// Events of a few keys, among them some that are none, and floats whose plain sum depends on the order.
fn feed() -> String {
    let floats = ["1e16", "1.0", "-1e16", "0.1", "1e-30", "1e308", "-1e308", "null"];
    (0..3000)
        .map(|n| match n % 97 {
            13 => format!("not json {n}\n"),
            14 => "\n".to_owned(),
            _ => {
                let (key, x) = (["a", "b", "c"][n % 3], floats[(n * n + n / 7) % floats.len()]);
                format!("{{\"key\":\"{key}\",\"n\":{n},\"x\":{x}}}\n")
            }
        })
        .collect()
}

#[test]
fn output_depends_neither_on_workers_nor_on_blocks() {
    let aggregate =
        json!({"by": ["key"], "values": {"rows": "count()", "n": "sum(n)", "x": "sum(x)", "mean": "avg(x)"}});
    let pipelines: [&[(&str, &str, Value)]; 3] = [
        &[("rules", "filter", json!({"where": "n % 5 != 0"}))],
        &[("sums", "aggregate", aggregate)],
        &[("none", "filter", json!({"where": "n < 0"}))],
    ];
    for middle in pipelines {
        let mut first = None;
        for workers in [1, 2, 4] {
            for block in [1, 100, 1 << 20] {
                let world = Memory::default();
                world.put("in", feed());
                let outcome = run_in(&world, spec(block, middle), workers, None).unwrap();
                let files = (world.file("out"), world.file("out.dead-letters.ndjson"));
                let result = (files, outcome.report.events, outcome.report.results_digest);
                assert_eq!(
                    *first.get_or_insert(result.clone()),
                    result,
                    "{workers} workers, blocks of {block}"
                );
            }
        }
        let ((out, dead_letters), events, _) = first.unwrap();
        assert_eq!(events.dead_letters, 31);
        assert_eq!(dead_letters.unwrap().split(|&byte| byte == b'\n').count(), 31 + 1);
        assert_eq!(events.r#in, 3000 - 31);
        assert_eq!(out.unwrap().split(|&byte| byte == b'\n').count() as u64, events.results + 1);
    }
}

#[test]
fn a_float_sum_is_exact_whatever_its_order() {
    let world = Memory::default();
    world.put("in", "{\"key\":\"a\",\"n\":1,\"x\":1e16}\n{\"key\":\"a\",\"n\":1,\"x\":1}\n{\"key\":\"a\",\"n\":1,\"x\":-1e16}\n");
    let aggregate = json!({"by": ["key"], "values": {"x": "sum(x)"}});
    run_in(&world, spec(1, &[("sums", "aggregate", aggregate)]), 2, None).unwrap();
    assert_eq!(world.file("out").unwrap(), b"{\"key\":\"a\",\"x\":1}\n");
}

#[test]
fn a_panic_ends_the_run_and_is_named_after_its_stage() {
    for concurrency in [Concurrency::Stateless, Concurrency::Ordered] {
        for workers in [1, 3] {
            let world = Memory::default();
            world.put("in", feed());
            let process = Arc::new(|_: &RecordBatch| panic!("no idea"));
            let custom = Custom { concurrency, process };
            let error =
                run_in(&world, spec(50, &[("odd", "custom", json!({}))]), workers, Some(custom)).unwrap_err();
            assert_eq!((error.to_string().as_str(), error.code()), ("stage `odd` failed", Some(Code::STAGE)));
            let cause = std::error::Error::source(&error).unwrap();
            assert_eq!(cause.to_string(), "its code panicked: no idea");
            assert_eq!(world.file("out"), None);
        }
    }
}

#[test]
fn what_cannot_be_written_ends_the_run_and_leaves_no_file_under_its_name() {
    for operation in [Operation::Create, Operation::Write, Operation::Prepare, Operation::Commit] {
        for workers in [1, 3] {
            let world = Memory::default();
            world.put("in", "{\"key\":\"a\",\"n\":1}\n".repeat(100));
            world.fail(operation, ErrorKind::StorageFull);
            let error = run_in(&world, spec(50, &[]), workers, None).unwrap_err();
            assert_eq!(error.code(), Some(Code::OUTPUT), "{operation:?}");
            assert_eq!(world.file("out"), None, "{operation:?}");
        }
    }
}

#[test]
fn a_run_that_fails_keeps_the_dead_letters_it_had() {
    for workers in [1, 3] {
        let world = Memory::default();
        world.put("in", "no event\n".to_owned() + &"{\"key\":\"a\",\"n\":1}\n".repeat(100));
        let process = Arc::new(|_: &RecordBatch| panic!("no idea"));
        // The first block is the dead letter alone; the second one fails.
        let custom = Custom { concurrency: Concurrency::Ordered, process };
        let spec = spec(10, &[("odd", "custom", json!({}))]);
        run_in(&world, spec, workers, Some(custom)).unwrap_err();
        let kept = world.file("out.dead-letters.ndjson.partial").unwrap();
        assert_eq!(kept.iter().filter(|&&byte| byte == b'\n').count(), 1, "{workers} workers");
        assert_eq!(world.file("out.dead-letters.ndjson"), None);
    }
}

#[test]
fn a_run_that_is_told_to_stop_keeps_what_it_has_under_another_name() {
    for workers in [1, 3] {
        let world = Memory::default();
        world.put("in", feed());
        let plan = Plan::from_spec(
            &spec(50, &[]).parallelism(NonZeroUsize::new(workers).unwrap()),
            &modrun_stages::builtin(),
        )
        .unwrap();
        let options = Options { env: world.env(), ..Options::default() };
        options.live.stop.store(true, Ordering::Relaxed);
        let outcome = run(plan, options).unwrap();
        assert!(outcome.interrupted);
        assert_eq!(outcome.report.events.r#in, 0);
        assert_eq!((world.file("out"), world.file("out.partial")), (None, Some(Vec::new())));
    }
}

/// Time by activity, summed over the stages.
fn accounted(report: &RunReport) -> f64 {
    let stages = report.stages.iter().map(|stage| stage.activity_seconds.total());
    stages.sum::<f64>() + report.forwarding.activity_seconds.total()
}

#[test]
fn time_is_accounted_to_the_stage_that_spends_it() {
    let world = Memory::default();
    world.put("in", "{\"key\":\"a\",\"n\":1}\n".repeat(10));
    let clock = world.clone();
    let process = move |_: &RecordBatch| {
        clock.pass(Duration::from_millis(8), Duration::from_millis(5));
        Ok(())
    };
    let custom = Custom { concurrency: Concurrency::Stateless, process: Arc::new(process) };
    let outcome = run_in(&world, spec(1, &[("slow", "custom", json!({}))]), 1, Some(custom)).unwrap();
    let report = outcome.report;
    let slow = report.stages.iter().find(|stage| stage.name == "slow").unwrap();
    assert_eq!((slow.batches_in, slow.activity_seconds.process, slow.cpu_seconds), (10, 0.08, 0.05));
    // The clock moves nowhere else.
    assert_eq!((accounted(&report), report.thread_seconds, report.wall_seconds), (0.08, 0.08, 0.08));
}

#[test]
fn a_source_that_waits_is_starved_and_nobody_else() {
    let world = Memory::default();
    let line = || Some(b"{\"key\":\"a\",\"n\":1}\n".to_vec());
    world.put_pipe("in", vec![None, line(), None, None, line(), None]);
    let report = run_in(&world, spec(1, &[]), 1, None).unwrap().report;
    let starved: Vec<f64> = report.stages.iter().map(|stage| stage.activity_seconds.starved).collect();
    assert_eq!((report.events.r#in, starved[0]), (2, report.thread_seconds));
    assert!(starved[0] > 0.0 && starved[1..].iter().all(|&starved| starved == 0.0), "{starved:?}");
    assert_eq!(accounted(&report), report.thread_seconds);
}

#[test]
fn every_moment_of_every_loop_is_accounted_for() {
    for workers in [1, 2, 4] {
        let files = tempfile::tempdir().unwrap();
        let path = |name: &str| files.path().join(name).display().to_string();
        modrun_runtime::system::env()
            .disk
            .create(path("in").as_ref())
            .and_then(|mut file| {
                file.write_all(feed().repeat(200).as_bytes())?;
                file.commit()
            })
            .unwrap();
        let mut spec = spec(4096, &[("rules", "filter", json!({"where": "n % 2 = 0"}))]);
        spec.stages["ingest"].with["path"] = path("in").into();
        spec.stages["sink"].with["path"] = path("out").into();
        let spec = spec.parallelism(NonZeroUsize::new(workers).unwrap());
        let plan = Plan::from_spec(&spec, &modrun_stages::builtin()).unwrap();
        let report = run(plan, Options::default()).unwrap().report;
        let off = (accounted(&report) - report.thread_seconds).abs();
        assert!(off <= 0.01 * report.thread_seconds, "{} of {}", accounted(&report), report.thread_seconds);
        let [ingest, parse, rules, sink] = &report.stages[..] else { panic!("four stages") };
        assert_eq!(ingest.events_out, parse.events_in);
        assert_eq!(rules.events_in, report.events.r#in - report.events.dead_letters);
        assert_eq!(rules.events_in - report.events.filtered, sink.events_in);
        assert_eq!(sink.events_out, report.events.results);
    }
}
