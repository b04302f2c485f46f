//! What stages in processes of their own log, on standard error, above the progress.

use std::sync::Arc;

use anstyle::{AnsiColor, Style};
use modrun_runtime::{Level, Log, LogLine};

use crate::progress::Progress;

/// The least level that is shown.
#[derive(clap::ValueEnum, Clone, Copy, Debug)]
pub(crate) enum Least {
    /// Something is wrong
    Error,
    /// Something may be wrong
    Warning,
    /// What is worth knowing
    Information,
    /// Everything
    Debug,
}

/// Shows lines of `least` and above.
pub(crate) fn shown(least: Least, progress: Arc<Progress>) -> Log {
    let least = match least {
        Least::Error => Level::Error,
        Least::Warning => Level::Warning,
        Least::Information => Level::Information,
        Least::Debug => Level::Debug,
    };
    Arc::new(move |line| {
        if line.level >= least {
            progress.note(text(&line));
        }
    })
}

/// `stage rules  warning  no such type`
fn text(LogLine { stage, level, text }: &LogLine) -> String {
    let (word, style) = match level {
        Level::Error => ("error", AnsiColor::Red.on_default().bold()),
        Level::Warning => ("warning", AnsiColor::Yellow.on_default()),
        Level::Information => ("information", Style::new()),
        Level::Debug => ("debug", Style::new().dimmed()),
    };
    format!("stage {stage}  {style}{word}{style:#}  {text}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_has_its_stage_and_level() {
        for (level, expected) in [
            (Level::Error, "stage rules  error  a b"),
            (Level::Warning, "stage rules  warning  a b"),
            (Level::Information, "stage rules  information  a b"),
            (Level::Debug, "stage rules  debug  a b"),
        ] {
            let line = LogLine { stage: "rules".to_owned(), level, text: "a b".to_owned() };
            assert_eq!(anstream::adapter::strip_str(&text(&line)).to_string(), expected);
        }
    }
}
