//! What moving each stage into a process of its own costs, and how far that can be trusted.

use crate::comparison::Comparison;
use crate::document::{Document, Grid, Text};
use crate::price::{Estimate, Prediction, Price, Prices, ROWS};
use crate::{Align, units};

/// A prediction that is off by no more is a good one.
const AIM: f64 = 0.15;

/// What the section is called.
pub(super) const TITLE: &str = "What a boundary costs";

/// The prices and what they predict, if a sweep for them was made.
pub(super) fn tables(comparison: &Comparison, page: &mut Document) {
    let Some((prices, predictions)) = &comparison.prices else { return };
    page.text(
        Text::prose(
            "What moving one stage out costs, t = a·batches + b·events + c·bytes, in CPU time of all processes. An event costs ",
        )
        .words(units::seconds(prices.base))
        .and(
            " where none is moved. Behind ± is a standard error. What stands “in b” cannot be told apart from it: however long \
             events are, the bytes on these links are as many for each.",
        ),
    );
    let mut grid = Grid::new([
        ("stage", Align::Left),
        ("as", Align::Left),
        ("a: CPU by batch", Align::Right),
        ("b: CPU by event", Align::Right),
        ("c: CPU by byte", Align::Right),
        ("bytes by event", Align::Right),
    ]);
    for price in &prices.of {
        let bytes = units::number(price.bytes_per_event);
        grid.row([
            price.stage.clone(),
            price.word.clone(),
            estimate(price.batch),
            price.event.map_or("in a".to_owned(), estimate),
            price.byte.map_or(if price.event.is_some() { "in b" } else { "in a" }.to_owned(), estimate),
            bytes,
        ]);
    }
    page.grid(grid);
    page.list(prices.of.iter().map(|price| sentence(prices, price)).collect());
    if predictions.is_empty() {
        return;
    }
    page.text(Text::prose(
        "What was held out, against what these prices say. Speed follows from the larger of two times, and from both where \
         they are near each other: the busiest loop, and the work that is left for the other cores.",
    ));
    page.grid(compared(predictions));
    page.text(trust(predictions));
}

fn estimate(estimate: Estimate) -> String {
    format!("{} ± {}", units::seconds(estimate.value), units::seconds(estimate.error))
}

/// What moving a stage out means for the whole pipeline, in a sentence.
fn sentence(prices: &Prices, price: &Price) -> Text {
    let others = [(price.event, "by event"), (price.byte, "by byte")];
    let others = others.map(|(price, by)| Some(format!("{} {by}", units::seconds(price?.value))));
    let prices_of = [Some(format!("{} of CPU more by batch", units::seconds(price.batch.value)))];
    let prices_of: Vec<String> = prices_of.into_iter().chain(others).flatten().collect();
    Text::default()
        .code(&price.stage)
        .and(" in ")
        .words(&price.word)
        .and(": ")
        .words(prices_of.join(", "))
        .and("; at ")
        .words(units::scaled(ROWS))
        .and(" rows a batch and ")
        .words(units::number(price.bytes_per_event))
        .and(" bytes an event ")
        .words(format!("{:.0} %", prices.share(price) * 100.0))
        .and(" of what the pipeline takes in one process.")
}

fn compared(predictions: &[Prediction]) -> Grid {
    let mut grid = Grid::new([
        ("placement", Align::Left),
        ("batch", Align::Right),
        ("events", Align::Right),
        ("CPU by event, said", Align::Right),
        ("measured", Align::Right),
        ("events/s, said", Align::Right),
        ("measured", Align::Right),
    ]);
    for prediction in predictions {
        let ([cpu, speed], [cpu_off, speed_off]) =
            ([prediction.cpu, prediction.events_per_second], prediction.off());
        grid.row([
            prediction.lane.placement.clone().unwrap_or_default(),
            prediction.lane.batch.clone().unwrap_or_default(),
            match prediction.lane.padding {
                0 => units::exact(prediction.lane.events),
                bytes => format!("{}, longer by {bytes} B", units::exact(prediction.lane.events)),
            },
            format!("{} ({:+.0} %)", units::seconds(cpu[0]), cpu_off * 100.0),
            units::seconds(cpu[1]),
            format!("{} ({:+.0} %)", units::scaled(speed[0]), speed_off * 100.0),
            units::scaled(speed[1]),
        ]);
    }
    grid
}

/// How far off the predictions are, in a sentence.
fn trust(predictions: &[Prediction]) -> Text {
    let part = |at: usize| {
        let off: Vec<f64> = predictions.iter().map(|prediction| prediction.off()[at].abs()).collect();
        let good = off.iter().filter(|off| **off <= AIM).count();
        let (mean, most) =
            (off.iter().sum::<f64>() / off.len() as f64, off.iter().copied().fold(0.0, f64::max));
        format!(
            "off by {:.0} % on average and by {:.0} % at most ({good} of {} by {:.0} % or less)",
            mean * 100.0,
            most * 100.0,
            off.len(),
            AIM * 100.0
        )
    };
    Text::prose("CPU time is ").words(part(0)).and(", events/s ").words(part(1)).and(".")
}
