//! A folder to run the command in, and the command with a bound on how long it may take.

use std::ffi::OsStr;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tempfile::TempDir;

/// A command that takes longer hangs.
pub(crate) const WAIT_MAX: Duration = Duration::from_secs(60);

/// The pipeline of the main example.
pub(crate) const EVENT_PIPELINE: &str =
    concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/event-pipeline/pipeline.yaml");

/// How a command ended.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl Ended {
    /// The exit code; none if a signal ended it.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// Asserts that it failed with `code` and says each of `parts`, and that nothing panicked.
    #[track_caller]
    pub(crate) fn failed(&self, code: i32, parts: &[&str]) {
        assert_eq!(self.code(), Some(code), "{self:#?}");
        assert!(!self.stderr.contains("panicked"), "{self:#?}");
        for part in parts {
            assert!(self.stderr.contains(part), "`{part}` is not in\n{}", self.stderr);
        }
    }

    /// Asserts that it succeeded.
    #[track_caller]
    pub(crate) fn succeeded(self) -> Self {
        assert_eq!(self.code(), Some(0), "{self:#?}");
        self
    }
}

/// A folder of its own.
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().unwrap())
    }

    /// A folder with generated events in `events.ndjson`.
    pub(crate) fn with_events(options: &[&str]) -> Self {
        let folder = Self::new();
        folder.run(&[&["gen"], options].concat()).succeeded();
        folder
    }

    pub(crate) fn path(&self, name: impl AsRef<Path>) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path(name), content).unwrap();
        self
    }

    pub(crate) fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.path(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.path(name).exists()
    }

    /// A file as JSON. The time in a run report must be whole.
    pub(crate) fn json(&self, name: &str) -> Value {
        let value = serde_json::from_str(&self.read(name)).unwrap();
        check_time(&value);
        value
    }

    /// Each line of a file as JSON.
    pub(crate) fn lines(&self, name: &str) -> Vec<Value> {
        self.read(name).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The command, to be run in this folder.
    pub(crate) fn command<S: AsRef<OsStr>>(&self, args: &[S]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_modrun"));
        command.args(args).current_dir(self.0.path()).stdin(Stdio::null()).env_remove("RUST_BACKTRACE");
        command
    }

    /// Runs the command to its end.
    pub(crate) fn run<S: AsRef<OsStr>>(&self, args: &[S]) -> Ended {
        Running::start(self.command(args)).end()
    }

    /// Runs the event pipeline in this folder.
    pub(crate) fn run_events(&self, args: &[&str]) -> Ended {
        self.run(&[&["run", EVENT_PIPELINE], args].concat())
    }
}

/// The activities of a measured run sum to the lives of its loops, and no process has lived for longer than the run.
fn check_time(report: &Value) {
    let (Some(lived), true) = (report["thread_seconds"].as_f64(), report["measuring"].is_object()) else {
        return;
    };
    let spent = |part: &Value| {
        let activities = part["activity_seconds"].as_object().unwrap().values();
        activities.map(|seconds| seconds.as_f64().unwrap()).sum::<f64>()
    };
    let stages = report["stages"].as_array().unwrap();
    let all = stages.iter().chain([&report["forwarding"]]).map(spent).sum::<f64>();
    assert!((all - lived).abs() <= 0.01 * lived, "{all} of {lived} s are accounted for: {report:#}");
    let wall = report["wall_seconds"].as_f64().unwrap();
    for stage in stages.iter().filter(|stage| !stage["peak_rss_bytes"].is_null()) {
        let (spent, loops) = (spent(stage), stage["loops"].as_f64().unwrap());
        // It says that it is ready a moment before that is heard.
        let most = 1.01 * loops * (wall + 0.1);
        assert!(spent <= most, "{spent} s in {loops} loops of a run of {wall} s: {report:#}");
    }
}

/// A command that was started.
pub(crate) struct Running {
    pub(crate) child: Child,
    stdout: mpsc::Receiver<String>,
    /// Standard error as it comes.
    stderr: mpsc::Receiver<String>,
    seen: String,
}

impl Running {
    /// Starts it, taking what it says.
    pub(crate) fn start(mut command: Command) -> Self {
        command.stdout(Stdio::piped());
        let mut running = Self::start_with_stdout(command);
        running.stdout = stream(running.child.stdout.take().unwrap());
        running
    }

    /// Starts it with the standard output that the command has.
    pub(crate) fn start_with_stdout(mut command: Command) -> Self {
        let mut child = command.stderr(Stdio::piped()).spawn().unwrap();
        let stderr = stream(child.stderr.take().unwrap());
        Self { child, stdout: mpsc::channel().1, stderr, seen: String::new() }
    }

    /// Waits until it has said `text` on standard error.
    #[track_caller]
    pub(crate) fn wait_for(&mut self, text: &str) -> &mut Self {
        let begin = Instant::now();
        while !self.seen.contains(text) {
            match self.stderr.recv_timeout(WAIT_MAX.saturating_sub(begin.elapsed())) {
                Ok(more) => self.seen.push_str(&more),
                Err(error) => {
                    let _ = self.child.kill();
                    panic!("`{text}` never came ({error}), only\n{}", self.seen);
                }
            }
        }
        self
    }

    /// What it has said so far.
    pub(crate) fn said(&self) -> &str {
        &self.seen
    }

    pub(crate) fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.child.id() as i32), signal).unwrap();
    }

    /// Waits for its end.
    #[track_caller]
    pub(crate) fn end(mut self) -> Ended {
        let mut stderr = std::mem::take(&mut self.seen);
        stderr += &self.rest(&self.stderr);
        let stdout = self.rest(&self.stdout);
        Ended { status: self.child.wait().unwrap(), stdout, stderr }
    }

    #[track_caller]
    fn rest(&self, from: &mpsc::Receiver<String>) -> String {
        let (mut text, begin) = (String::new(), Instant::now());
        loop {
            // It may go on telling of its progress for ever.
            match from.recv_timeout(WAIT_MAX.saturating_sub(begin.elapsed())) {
                Ok(more) => text += &more,
                Err(mpsc::RecvTimeoutError::Disconnected) => return text,
                Err(mpsc::RecvTimeoutError::Timeout) => {
                    self.signal(Signal::SIGKILL);
                    panic!("it hangs; so far it has said\n{text}");
                }
            }
        }
    }
}

/// What comes from a stream, as it comes.
fn stream(mut from: impl Read + Send + 'static) -> mpsc::Receiver<String> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut buffer = [0; 64 << 10];
        while let Ok(read @ 1..) = from.read(&mut buffer) {
            if sender.send(String::from_utf8_lossy(&buffer[..read]).into_owned()).is_err() {
                break;
            }
        }
    });
    receiver
}
