//! Generated events to run on, and the results they must give.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, Result};

use crate::{modrun, process};

/// A file of generated events; the options it does not name are the generator's defaults.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Input {
    /// How many events.
    pub(crate) events: u64,
    /// Whether keys are in random order and strings have escapes.
    pub(crate) shuffled: bool,
}

impl Input {
    /// Events as they usually are.
    pub(crate) fn plain(events: u64) -> Self {
        Self { events, shuffled: false }
    }

    /// The file, under the project's root.
    pub(crate) fn path(self) -> String {
        let style = if self.shuffled { "shuffled" } else { "events" };
        format!("bench/data/{style}-{}.ndjson", short(self.events))
    }

    /// Generates the file, unless it is there; a file under its final name is whole.
    pub(crate) fn generate_once(self) -> Result<()> {
        if process::root().join(self.path()).exists() { Ok(()) } else { self.generate() }
    }

    /// Generates the file.
    pub(crate) fn generate(self) -> Result<()> {
        let path = self.path();
        let folder = process::root().join("bench/data");
        fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
        process::run(&mut self.generator(&path))
    }

    /// `modrun gen` of these events into `output`.
    pub(crate) fn generator(self, output: &str) -> Command {
        let events = self.events.to_string();
        let arguments = ["gen", "--events", &events, "--output", output];
        let mut generate = process::command(modrun::program(), &arguments);
        if self.shuffled {
            generate.arg("--shuffle");
        }
        generate
    }

    /// Removes the file.
    pub(crate) fn remove(self) -> Result<()> {
        let path = process::root().join(self.path());
        fs::remove_file(&path).with_context(|| format!("cannot remove `{}`", path.display()))
    }

    /// The reference results, under the project's root; not every size has some.
    pub(crate) fn expected(self) -> Option<String> {
        let path = format!("examples/event-pipeline/expected/{}.ndjson", short(self.events));
        process::root().join(&path).exists().then_some(path)
    }
}

/// A place in the project's `target` for what a task writes; made if it is not there.
pub(crate) fn scratch(name: &str) -> Result<PathBuf> {
    let folder = process::root().join("target/xtask");
    fs::create_dir_all(&folder).with_context(|| format!("cannot make `{}`", folder.display()))?;
    Ok(folder.join(name))
}

/// `100000` as `100k`, `2000000` as `2M`, where nothing is lost.
fn short(events: u64) -> String {
    match events {
        0 => "0".to_owned(),
        n if n.is_multiple_of(1_000_000) => format!("{}M", n / 1_000_000),
        n if n.is_multiple_of(1000) => format!("{}k", n / 1000),
        n => n.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_their_size() {
        for (events, expected) in
            [(0, "0"), (1, "1"), (100_000, "100k"), (10_000_000, "10M"), (1_000_001, "1000001")]
        {
            assert_eq!(short(events), expected);
        }
    }

    #[test]
    fn the_reference_sizes_have_expected_results() {
        for events in [100_000, 1_000_000, 10_000_000] {
            assert!(Input::plain(events).expected().is_some(), "{events}");
        }
        assert_eq!(Input::plain(7).expected(), None);
    }
}
