//! Plots as SVG without scripts, readable on a light and on a dark ground.
//!
//! ```text
//! Lines, Bars ── kuva ──▶ SVG whose colours are variables, twice: for a wide page and for a narrow one
//!                          ├─▶ into an HTML page, which sets the variables
//!                          └─▶ Plot::file: a file of its own, with both sets of colours inside
//! ```
//!
//! Guarantees: series differ in more than their colour; text has the page's colour, whichever that is.

use std::sync::Arc;

use kuva::plot::line::LineStyle;
use kuva::plot::scatter::MarkerShape;
use kuva::prelude::{
    BarPlot, Layout, LegendPosition, LinePlot, Plot as Drawn, ScatterPlot, Theme, TickFormat,
};

use crate::units;

/// A plot, drawn.
#[derive(Clone, Debug)]
pub struct Plot {
    /// What its file is called, without an ending: letters, digits and hyphens.
    pub name: String,
    /// What it shows.
    pub title: String,
    pub(crate) wide: String,
    pub(crate) narrow: String,
}

/// Lines in a field of two logarithmic axes, or of one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Lines {
    pub(crate) x: Axis,
    pub(crate) y: Axis,
    pub(crate) series: Vec<Series>,
}

/// What an axis shows, and how.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Axis {
    pub(crate) label: &'static str,
    pub(crate) is_log: bool,
    pub(crate) ticks: Ticks,
}

/// How the figures at an axis are written.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) enum Ticks {
    /// `10k`.
    #[default]
    Count,
    /// `10.0 ms`.
    Seconds,
    /// `50 %`, of shares.
    Percent,
    /// `0.5`.
    Number,
    /// `64 MiB`.
    Bytes,
}

/// One line.
#[derive(Clone, Debug, Default)]
pub(crate) struct Series {
    pub(crate) name: String,
    pub(crate) points: Vec<(f64, f64)>,
    /// Whether it is a level without points of its own.
    pub(crate) is_level: bool,
    /// Whether the points are shown.
    pub(crate) has_marks: bool,
}

/// Bars, each a whole of several parts.
#[derive(Clone, Debug, Default)]
pub(crate) struct Bars {
    pub(crate) label: &'static str,
    /// The parts' names, in the order of the colours.
    pub(crate) parts: Vec<&'static str>,
    /// A name and a value for each part, from the top.
    pub(crate) rows: Vec<(String, Vec<f64>)>,
}

/// The widths that plots are drawn for, in pixels.
const WIDE: f64 = 800.0;
const NARROW: f64 = 380.0;

/// By name: the colours on a light and on a dark ground. The first eight tell series apart, also to the colour-blind.
const COLOURS: [(&str, &str, &str); 15] = [
    ("c1", "#0b62a4", "#5db2f0"),
    ("c2", "#c04e00", "#ff9a4d"),
    ("c3", "#00795a", "#3fcf9f"),
    ("c4", "#a8327d", "#f08cc8"),
    ("c5", "#7a5c00", "#e6c84a"),
    ("c6", "#4b4bb0", "#aaa7ff"),
    ("c7", "#5a5a5a", "#bcbcbc"),
    ("c8", "#b3202c", "#ff8088"),
    ("background", "#ffffff", "#16181c"),
    ("text", "#1a1c20", "#e4e6ea"),
    ("faint", "#666b73", "#9aa0a8"),
    ("rule", "#d5d8dd", "#3a3f47"),
    ("shade", "#eef0f3", "#262a30"),
    ("wrong", "#b3202c", "#ff8088"),
    ("idle", "#c9ced6", "#4a505a"),
];

const SERIES_COLOURS: usize = 8;
const MARKS: [MarkerShape; 4] =
    [MarkerShape::Circle, MarkerShape::Square, MarkerShape::Triangle, MarkerShape::Diamond];

/// The variables with the colours, for what `selector` selects, as CSS.
pub(crate) fn colours(selector: &str) -> String {
    let set = |colour: fn(&(&str, &'static str, &'static str)) -> &'static str| -> String {
        COLOURS.iter().map(|entry| format!("--{}:{};", entry.0, colour(entry))).collect()
    };
    let (light, dark) = (set(|entry| entry.1), set(|entry| entry.2));
    format!("{selector}{{{light}}}\n@media (prefers-color-scheme: dark){{{selector}{{{dark}}}}}\n")
}

impl Plot {
    /// The name of its file.
    #[must_use]
    pub fn file_name(&self) -> String {
        format!("{}.svg", self.name)
    }

    /// It as a file of its own.
    #[must_use]
    pub fn file(&self) -> String {
        let style = format!("<style>\n{}svg{{background:var(--background)}}\n</style>", colours("svg"));
        self.wide.replacen('>', &format!(">{style}"), 1) + "\n"
    }

    fn draw(name: String, title: String, draw: impl Fn(f64) -> (Vec<Drawn>, Layout)) -> Self {
        let svg = |width: f64, suffix: &str| {
            let (plots, layout) = draw(width);
            let svg = kuva::render_to_svg(plots, layout.with_theme(theme()).with_width(width));
            scalable(&svg, &title, &format!("{name}-{suffix}"))
        };
        let (wide, narrow) = (svg(WIDE, "wide"), svg(NARROW, "narrow"));
        Self { name, title, wide, narrow }
    }
}

impl Lines {
    /// Draws them; none if there is nothing to draw.
    pub(crate) fn draw(self, name: impl Into<String>, title: impl Into<String>) -> Option<Plot> {
        let has_points = self.series.iter().any(|series| !series.points.is_empty());
        has_points.then(|| Plot::draw(name.into(), title.into(), |width| self.layout(width)))
    }

    fn layout(&self, width: f64) -> (Vec<Drawn>, Layout) {
        let xs = || self.series.iter().flat_map(|series| &series.points).map(|point| point.0);
        let (left, right) = (xs().fold(f64::INFINITY, f64::min), xs().fold(f64::NEG_INFINITY, f64::max));
        let mut plots: Vec<Drawn> = Vec::new();
        for (index, series) in self.series.iter().enumerate().filter(|(_, series)| !series.points.is_empty())
        {
            let colour = format!("var(--c{})", index % SERIES_COLOURS + 1);
            let mut points = series.points.clone();
            if series.is_level {
                let level = points[0].1;
                points = vec![(left, level), (right, level)];
            }
            let style = match index / SERIES_COLOURS {
                _ if series.is_level => LineStyle::Dashed,
                0 => LineStyle::Solid,
                _ => LineStyle::Dotted,
            };
            let line =
                LinePlot::new().with_data(points.clone()).with_color(colour.clone()).with_line_style(style);
            plots.push(line.with_legend(label(&series.name)).into());
            if series.has_marks && !series.is_level {
                let marks = ScatterPlot::new().with_data(points).with_color(colour).with_size(4.0);
                plots.push(marks.with_marker(MARKS[index % MARKS.len()]).into());
            }
        }
        let mut layout = Layout::auto_from_plots(&plots)
            .with_height(if width < WIDE { 340.0 } else { 420.0 })
            .with_x_label(self.x.label)
            .with_y_label(self.y.label)
            .with_x_tick_format(self.x.ticks.format())
            .with_y_tick_format(self.y.ticks.format())
            .with_legend_position(LegendPosition::OutsideBottomColumns)
            .with_legend_box(false);
        if self.x.is_log {
            layout = layout.with_log_x();
        }
        if self.y.is_log {
            layout = layout.with_log_y();
        }
        (plots, layout)
    }
}

impl Bars {
    /// Draws them; none if there is nothing to draw.
    pub(crate) fn draw(self, name: impl Into<String>, title: impl Into<String>) -> Option<Plot> {
        (!self.rows.is_empty()).then(|| Plot::draw(name.into(), title.into(), |width| self.layout(width)))
    }

    fn layout(&self, width: f64) -> (Vec<Drawn>, Layout) {
        const PARTS: [&str; 6] = ["c3", "c2", "c1", "idle", "c5", "shade"];
        let mut bars = BarPlot::new().with_horizontal(true).with_stacked().with_width(0.7);
        // The library puts the first group at the bottom.
        for (name, values) in self.rows.iter().rev() {
            let values = values.iter().zip(PARTS).map(|(&value, colour)| (value, format!("var(--{colour})")));
            bars = bars.with_group(label(name), values);
        }
        let plots: Vec<Drawn> = vec![bars.with_legend(self.parts.clone()).into()];
        let rows = self.rows.len() as f64;
        let layout = Layout::auto_from_plots(&plots)
            .with_height(150.0 + 34.0 * rows)
            .with_x_label(self.label)
            .with_x_axis_min(0.0)
            .with_x_axis_max(1.0)
            .with_x_tick_step(if width < WIDE { 0.5 } else { 0.25 })
            .with_x_tick_format(Ticks::Percent.format())
            .with_legend_position(LegendPosition::OutsideBottomColumns)
            .with_legend_box(false);
        (plots, layout)
    }
}

impl Ticks {
    fn format(self) -> TickFormat {
        let show: fn(f64) -> String = match self {
            Ticks::Count => |value| short(units::scaled(value)),
            Ticks::Seconds => |value| short(units::seconds(value)),
            Ticks::Percent => |value| format!("{:.0} %", value * 100.0),
            Ticks::Number => |value| short(units::number(value)),
            Ticks::Bytes => |value| short(units::bytes(value)),
        };
        TickFormat::Custom(Arc::new(show))
    }
}

/// Without the zeros behind the point: round figures stand at an axis.
fn short(figure: String) -> String {
    let digits = figure.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(figure.len());
    let (number, unit) = figure.split_at(digits);
    let number =
        if number.contains('.') { number.trim_end_matches('0').trim_end_matches('.') } else { number };
    format!("{number}{unit}")
}

/// A name as a label; a dollar sign would begin a formula.
fn label(name: &str) -> String {
    name.replace('\\', "\\\\").replace('$', "\\$")
}

fn theme() -> Theme {
    let [text, rule] = ["var(--text)", "var(--rule)"].map(str::to_owned);
    Theme {
        background: "none".to_owned(),
        axis_color: "var(--faint)".to_owned(),
        grid_color: rule.clone(),
        tick_color: "var(--faint)".to_owned(),
        text_color: text,
        legend_bg: "none".to_owned(),
        legend_border: "none".to_owned(),
        font_family: Some("system-ui, sans-serif".to_owned()),
        ..Theme::light()
    }
}

/// An SVG that fills the width it is given, with a title for those who do not see it, and ids that no other one has.
fn scalable(svg: &str, title: &str, prefix: &str) -> String {
    let size = |key: &str| {
        let begin = svg.find(&format!(" {key}=\""))? + key.len() + 3;
        svg[begin..].split('"').next()
    };
    let (width, height) = (size("width").unwrap_or("100"), size("height").unwrap_or("100"));
    let label = title.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;");
    let old = format!(" width=\"{width}\" height=\"{height}\"");
    let new = format!(" viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{label}\"");
    svg.replacen(&old, &new, 1)
        .replace("id=\"", &format!("id=\"{prefix}-"))
        .replace("url(#", &format!("url(#{prefix}-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_at_an_axis_are_short() {
        for (figure, expected) in
            [("1.00M", "1M"), ("100k", "100k"), ("2.50 ms", "2.5 ms"), ("0", "0"), ("10.0 s", "10 s")]
        {
            assert_eq!(short(figure.to_owned()), expected);
        }
    }

    #[test]
    fn a_name_is_drawn_as_it_is() {
        let series = Series {
            name: "<b>$x$\"".to_owned(),
            points: vec![(1.0, 10.0), (10.0, 100.0)],
            has_marks: true,
            ..Series::default()
        };
        let axis = Axis { label: "x", is_log: true, ticks: Ticks::Count };
        let lines = Lines { x: axis, y: axis, series: vec![series] };
        let plot = lines.draw("p", "<i>").unwrap();
        for svg in [&plot.wide, &plot.narrow, &plot.file()] {
            assert!(svg.contains("&lt;b&gt;$x$"), "{svg}");
            assert!(!svg.contains("<b>") && !svg.contains("<i>"), "{svg}");
            assert!(svg.contains("viewBox"), "{svg}");
            assert!(svg.contains("aria-label=\"&lt;i&gt;\""), "{svg}");
        }
        assert!(plot.file().contains("prefers-color-scheme"));
    }
}
