//! Where, when and by what the runs were measured, and whether the machine was free for them.

use crate::Align;
use crate::comparison::Comparison;
use crate::document::{Document, Grid, Text};
use crate::record::Session;
use crate::units;

/// From this many cores on, other programs are in a run's way.
const BUSY_CORES: f64 = 0.2;

/// The first lines: how the page came about.
pub(super) fn made_by(comparison: &Comparison, page: &mut Document) {
    match comparison.sessions.first() {
        Some(session) => {
            let mut text = Text::prose("Measured by ").code(session.command.as_str()).and(" on ");
            text = text.words(machine(session));
            if let Some(commit) = session.versions.get("commit") {
                text = text.and(", at commit ").code(commit.as_str());
            }
            page.text(text.and("."));
        }
        None => page.text(Text::prose(
            "From single run reports: not taken in turns and with nothing run twice, so that noise is unknown. Runs that \
             are to be compared come from `modrun bench`.",
        )),
    }
    page.list(comparison.notes.iter().map(|note| Text::plain(note.as_str())).collect());
    load(comparison, page);
}

/// Says whether the machine was free.
fn load(comparison: &Comparison, page: &mut Document) {
    if comparison.sessions.is_empty() {
        return;
    }
    let taken = &comparison.cores_taken;
    let busy = taken.iter().filter(|&&cores| cores >= BUSY_CORES).count();
    let most = taken.iter().copied().fold(0.0, f64::max);
    let runs = taken.len();
    page.text(if busy > 0 {
        let rest = format!(
            " other programs used at least {BUSY_CORES} cores just before {busy} of {runs} runs, {} at most. Times are \
             worth less than they look; CPU time is steadier.",
            units::number(most)
        );
        Text::default().strong("The machine was busy:").words(rest)
    } else {
        let most = units::number(most);
        Text::plain(format!("The machine was free: before none of {runs} runs did other programs use more than {most} cores."))
    });
}

/// Machine, versions and commands, session by session.
pub(super) fn section(comparison: &Comparison, page: &mut Document) {
    if comparison.sessions.is_empty() {
        return;
    }
    page.heading(2, "Machine and versions");
    if comparison.sessions.len() > 1 {
        page.text(Text::prose(
            "The file was made in several sessions; the runs of each are behind one another in it.",
        ));
    }
    for session in &comparison.sessions {
        let mut grid = Grid::new([("", Align::Left), ("", Align::Left)]);
        let rows = [
            ("command", session.command.clone()),
            ("begun, in seconds since 1970", session.begun_unix_seconds.to_string()),
            ("processor", session.cpu.clone()),
            ("cores", session.cores.to_string()),
            ("memory", units::bytes(session.memory_bytes as f64)),
            ("system", session.system.clone()),
        ];
        for (name, value) in rows {
            grid.row([name.to_owned(), value]);
        }
        for (name, version) in &session.versions {
            grid.row([name.clone(), version.clone()]);
        }
        page.grid(grid);
    }
}

fn machine(session: &Session) -> String {
    format!("{} cores of {}, {}", session.cores, session.cpu, session.system)
}
