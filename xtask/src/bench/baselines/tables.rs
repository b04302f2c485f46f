//! The runs as Markdown: what each system took, and where inside it the time went.

use modrun_report::{Align, Summary, Table, ratios, units};
use serde_json::Value;

use super::{Figures, Lane, Record, System};

const NOT_MEASURED: &str = "not measured";

/// Shows all that was measured on one number of events.
pub(super) fn show(events: u64, records: &[Record], left_out: &[Lane]) {
    println!("\n## {} events\n\n{}", units::exact(events), systems(records, left_out));
    println!("Speed against another system, pair by pair:\n\n{}", speeds(records));
    println!("Inside the split, medians; CPU with start-up:\n\n{}", services(records));
    println!("Inside the monolith, medians, a stage's threads together:\n\n{}", stages(records));
}

fn systems(records: &[Record], left_out: &[Lane]) -> Table<8> {
    let mut table = Table::new([
        ("system", Align::Left),
        ("batch", Align::Right),
        ("wall", Align::Right),
        ("events/s", Align::Right),
        ("CPU-s per 1M", Align::Right),
        ("peak memory, sum", Align::Right),
        ("largest process", Align::Right),
        ("speed / monolith-mutex", Align::Right),
    ]);
    for lane in lanes(records) {
        let [name, batch] = lane_cells(lane);
        let summary = |figure: &dyn Fn(&Figures) -> f64| Summary::of(&sample(records, lane, figure));
        let show = |figure: &dyn Fn(&Figures) -> f64, unit: fn(f64) -> String| {
            summary(figure).map_or("wrong results".to_owned(), |summary| summary.show(unit))
        };
        let peak = |figure: &dyn Fn(&Figures) -> f64| {
            summary(figure).map_or(String::new(), |summary| units::bytes(summary.max))
        };
        table.row([
            name,
            batch,
            show(&|figures| figures.wall_seconds, units::seconds),
            show(&|figures| figures.events_per_second, units::scaled),
            show(&|figures| figures.cpu_seconds_per_million, units::number),
            peak(&|figures| figures.peak_rss_bytes as f64),
            peak(&|figures| figures.peak_rss_bytes_of_largest as f64),
            speed(records, lane, System::MonolithMutex),
        ]);
    }
    for &lane in left_out {
        let [name, batch] = lane_cells(lane);
        table.row([name, batch, "left out".into(), "".into(), "".into(), "".into(), "".into(), "".into()]);
    }
    table
}

fn speeds(records: &[Record]) -> Table<4> {
    let mut table = Table::new([
        ("system", Align::Left),
        ("batch", Align::Right),
        ("/ simdjson", Align::Right),
        ("/ splitting lines", Align::Right),
    ]);
    for lane in lanes(records) {
        let [name, batch] = lane_cells(lane);
        let speed = |other| speed(records, lane, other);
        table.row([name, batch, speed(System::Simdjson), speed(System::SplitLines)]);
    }
    table
}

fn services(records: &[Record]) -> Table<9> {
    let mut table = Table::new([
        ("batch", Align::Right),
        ("service", Align::Left),
        ("language", Align::Left),
        ("own work", Align::Right),
        ("IPC send", Align::Right),
        ("IPC receive", Align::Right),
        ("waiting", Align::Right),
        ("CPU", Align::Right),
        ("peak memory", Align::Right),
    ]);
    for lane in lanes(records).into_iter().filter(|lane| lane.system == System::SplitGrpc) {
        for part in parts(records, lane) {
            let show = |key| part.median(key).map_or(NOT_MEASURED.to_owned(), units::seconds);
            table.row([
                lane_cells(lane)[1].clone(),
                part.text("name"),
                part.text("language"),
                show("process_seconds"),
                show("ipc_send_seconds"),
                show("ipc_receive_seconds"),
                show("waiting_seconds"),
                show("cpu_seconds"),
                part.median("peak_rss_bytes").map_or(NOT_MEASURED.to_owned(), units::bytes),
            ]);
        }
    }
    table
}

fn stages(records: &[Record]) -> Table<7> {
    let mut table = Table::new([
        ("system", Align::Left),
        ("stage", Align::Left),
        ("own work", Align::Right),
        ("pop", Align::Right),
        ("push", Align::Right),
        ("blocked on pop", Align::Right),
        ("blocked on push", Align::Right),
    ]);
    let monoliths = [System::MonolithMutex, System::MonolithLockfree];
    for lane in lanes(records).into_iter().filter(|lane| monoliths.contains(&lane.system)) {
        for part in parts(records, lane) {
            let show = |key| part.median(key).map_or(NOT_MEASURED.to_owned(), units::seconds);
            // The first stage has nothing to pop from and the last nothing to push to.
            let blocked = |key| part.median(key).map_or(String::new(), units::seconds);
            table.row([
                lane_cells(lane)[0].clone(),
                part.text("name"),
                show("process_seconds"),
                if blocked("pop_blocked_seconds").is_empty() { String::new() } else { show("pop_seconds") },
                if blocked("push_blocked_seconds").is_empty() { String::new() } else { show("push_seconds") },
                blocked("pop_blocked_seconds"),
                blocked("push_blocked_seconds"),
            ]);
        }
    }
    table
}

/// The lanes in the order of a round.
fn lanes(records: &[Record]) -> Vec<Lane> {
    records.iter().filter(|record| record.run == 1).map(|record| record.lane).collect()
}

fn lane_cells(lane: Lane) -> [String; 2] {
    let name = Lane { batch: None, ..lane }.name();
    [name, lane.batch.map(|batch| batch.to_string()).unwrap_or_default()]
}

fn sample(records: &[Record], lane: Lane, figure: &dyn Fn(&Figures) -> f64) -> Vec<f64> {
    let correct =
        records.iter().filter(|record| record.lane == lane).filter_map(|record| record.figures.as_ref());
    correct.map(figure).collect()
}

/// How many times as fast as `other` a lane is, round by round.
fn speed(records: &[Record], lane: Lane, other: System) -> String {
    let Some(other) = lanes(records).into_iter().find(|lane| lane.system == other) else {
        return String::new();
    };
    let speed = |figures: &Figures| figures.events_per_second;
    let ratios = ratios(&sample(records, lane, &speed), &sample(records, other, &speed));
    Summary::of(&ratios).map_or(String::new(), |summary| summary.show(units::number))
}

/// One service or stage, as each run reported it.
struct Part<'a>(Vec<&'a Value>);

fn parts(records: &[Record], lane: Lane) -> Vec<Part<'_>> {
    let runs: Vec<&[Value]> = records
        .iter()
        .filter(|record| record.lane == lane)
        .filter_map(|record| record.figures.as_ref()?.services.as_array().map(Vec::as_slice))
        .collect();
    let count = runs.first().map_or(0, |parts| parts.len());
    (0..count).map(|index| Part(runs.iter().filter_map(|parts| parts.get(index)).collect())).collect()
}

impl Part<'_> {
    fn text(&self, key: &str) -> String {
        self.0.first().and_then(|part| part[key].as_str()).unwrap_or_default().to_owned()
    }

    /// None unless every run measured it.
    fn median(&self, key: &str) -> Option<f64> {
        let values: Option<Vec<f64>> = self.0.iter().map(|part| part[key].as_f64()).collect();
        Some(Summary::of(&values?)?.median)
    }
}
