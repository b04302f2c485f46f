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
        Text::prose("What moving one stage out costs, t = a·batches + b·events, in CPU time of all processes. An event costs ")
            .words(units::seconds(prices.base))
            .and(" where none is moved. Behind ± is a standard error."),
    );
    let mut grid = Grid::new([
        ("stage", Align::Left),
        ("as", Align::Left),
        ("a: CPU by batch", Align::Right),
        ("b: CPU by event", Align::Right),
        ("bytes by event, in b", Align::Right),
    ]);
    for price in &prices.of {
        let bytes = units::number(price.bytes_per_event);
        grid.row([
            price.stage.clone(),
            price.word.clone(),
            estimate(price.batch),
            estimate(price.event),
            bytes,
        ]);
    }
    page.grid(grid);
    page.list(prices.of.iter().map(|price| sentence(prices, price)).collect());
    if predictions.is_empty() {
        return;
    }
    page.text(Text::prose("What was held out, against what these prices say:"));
    page.grid(compared(predictions));
    page.text(trust(predictions));
}

fn estimate(estimate: Estimate) -> String {
    format!("{} ± {}", units::seconds(estimate.value), units::seconds(estimate.error))
}

/// What moving a stage out means for the whole pipeline, in a sentence.
fn sentence(prices: &Prices, price: &Price) -> Text {
    Text::default()
        .code(&price.stage)
        .and(" in ")
        .words(&price.word)
        .and(": ")
        .words(units::seconds(price.batch.value))
        .and(" of CPU more by batch and ")
        .words(units::seconds(price.event.value))
        .and(" by event; at ")
        .words(units::scaled(ROWS))
        .and(" rows a batch ")
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
            units::exact(prediction.lane.events),
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
