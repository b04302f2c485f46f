//! What stages write to their standard output and error: their log.

use std::collections::VecDeque;
use std::fmt;
use std::io::{BufRead, BufReader, Read};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

/// How many lines are remembered, to be shown when the process fails.
const TAIL_LINES: usize = 20;
/// Bytes of one line; what is longer is cut into several.
const LINE_BYTES_MAX: u64 = 16 << 10;

/// How much a line matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Level {
    /// For whoever looks for a defect.
    Debug,
    /// Something worth knowing.
    Information,
    /// Something that may be wrong.
    Warning,
    /// Something that is wrong.
    Error,
}

/// One line that a stage wrote.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogLine {
    /// The stage's name.
    pub stage: String,
    /// How much it matters.
    pub level: Level,
    /// The line, without its level and its newline.
    pub text: String,
}

/// What is done with the lines that stages write.
pub type Log = Arc<dyn Fn(LogLine) + Send + Sync>;

/// The last lines of one process.
#[derive(Debug, Default)]
pub(super) struct Tail {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct State {
    lines: VecDeque<String>,
    /// Streams that may still bring lines.
    open: usize,
}

/// The last lines that a process wrote, as the cause of an error.
#[derive(Debug, thiserror::Error)]
pub(super) struct Words(Vec<String>);

impl fmt::Display for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.as_slice() {
            [] => f.write_str("it wrote nothing to its log"),
            lines => f.write_str(&lines.join("\n")),
        }
    }
}

impl Tail {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads a stream of the process to its end, in a thread of its own. The thread ends with the process.
    pub(super) fn follow(
        self: &Arc<Self>,
        stage: &str,
        stream: impl Read + Send + 'static,
        unmarked: Level,
        log: &Log,
    ) {
        self.lock().open += 1;
        let (tail, stage, log) = (self.clone(), stage.to_owned(), log.clone());
        thread::spawn(move || {
            let mut stream = BufReader::new(stream);
            let mut line = Vec::new();
            while matches!((&mut stream).take(LINE_BYTES_MAX).read_until(b'\n', &mut line), Ok(1..)) {
                let (level, text) = level(&line, unmarked);
                let text = String::from_utf8_lossy(text).trim_end_matches(['\n', '\r']).to_owned();
                tail.remember(&text);
                log(LogLine { stage: stage.clone(), level, text });
                line.clear();
            }
            tail.lock().open -= 1;
            tail.changed.notify_all();
        });
    }

    fn remember(&self, line: &str) {
        let mut state = self.lock();
        if state.lines.len() == TAIL_LINES {
            state.lines.pop_front();
        }
        state.lines.push_back(line.to_owned());
    }

    /// Waits until the process has written its last line, for `limit` at most.
    pub(super) fn wait_for_end(&self, limit: Duration) {
        let state = self.lock();
        // Whatever is there by then is what can be shown.
        drop(self.changed.wait_timeout_while(state, limit, |state| state.open > 0));
    }

    pub(super) fn words(&self) -> Words {
        Words(self.lock().lines.iter().cloned().collect())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().lines.is_empty()
    }
}

/// Splits the level off a line: the prefixes of sd-daemon(3).
fn level(line: &[u8], unmarked: Level) -> (Level, &[u8]) {
    match line {
        [b'<', digit @ b'0'..=b'7', b'>', text @ ..] => {
            let level = match digit {
                b'0'..=b'3' => Level::Error,
                b'4' => Level::Warning,
                b'5' | b'6' => Level::Information,
                _ => Level::Debug,
            };
            (level, text)
        }
        text => (unmarked, text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_says_how_much_a_line_matters() {
        let cases: [(&[u8], Level, &[u8]); 6] = [
            (b"<3>broken", Level::Error, b"broken"),
            (b"<4>odd", Level::Warning, b"odd"),
            (b"<6>fine", Level::Information, b"fine"),
            (b"<7>x = 1", Level::Debug, b"x = 1"),
            (b"plain", Level::Warning, b"plain"),
            (b"<8>plain", Level::Warning, b"<8>plain"),
        ];
        for (line, expected, text) in cases {
            assert_eq!(level(line, Level::Warning), (expected, text));
        }
    }

    #[test]
    fn the_last_lines_are_remembered() {
        let lines: String = (0..50).map(|n| format!("line {n}\n")).collect();
        let tail = Arc::new(Tail::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let log: Log = {
            let seen = seen.clone();
            Arc::new(move |line| seen.lock().unwrap().push(line.text))
        };
        tail.follow("s", std::io::Cursor::new(lines), Level::Information, &log);
        tail.wait_for_end(Duration::from_secs(10));
        assert_eq!(seen.lock().unwrap().len(), 50);
        let words = tail.words().to_string();
        assert!(words.starts_with("line 30\n") && words.ends_with("line 49"), "{words}");
    }
}
