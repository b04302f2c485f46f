//! One program, run to its end and measured from outside.

use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use wait4::{ResUse, Wait4};

use crate::signals::Signals;

/// How often it is looked whether a signal has come.
const TICK: Duration = Duration::from_millis(20);
/// How long a program may take to end by itself once it was asked to.
const END_MAX: Duration = Duration::from_secs(8);
/// How much of what a program said last is shown.
const WORDS_MAX: usize = 2000;

/// What a program took, with all that it has started and waited for.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Usage {
    pub(crate) wall_seconds: f64,
    pub(crate) cpu_seconds: f64,
    pub(crate) peak_rss_bytes: u64,
}

/// How a program ended.
pub(crate) enum Ended {
    Well(Usage),
    /// It failed; why.
    Badly(String),
    /// A signal to this process has ended it.
    Interrupted,
}

/// Runs a program in `folder` and waits for its end; a signal to this process ends it.
pub(crate) fn run(program: &Path, arguments: &[String], folder: &Path, signals: &Signals) -> Ended {
    let said = folder.join("said.txt");
    let command = std::fs::File::create(&said).and_then(|errors| {
        let mut command = Command::new(program);
        // Only this process is to hear Ctrl-C.
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(errors).process_group(0);
        let begin = Instant::now();
        Ok((command.spawn()?, begin))
    });
    let (child, begin) = match command {
        Ok(started) => started,
        Err(error) => return Ended::Badly(format!("cannot run `{}`: {error}", program.display())),
    };
    let ended = guarded(child, signals);
    let wall_seconds = begin.elapsed().as_secs_f64();
    if signals.came() {
        return Ended::Interrupted;
    }
    match ended {
        Ok(ResUse { status, rusage }) if status.success() => Ended::Well(Usage {
            wall_seconds,
            cpu_seconds: (rusage.utime + rusage.stime).as_secs_f64(),
            peak_rss_bytes: rusage.maxrss,
        }),
        Ok(ResUse { status, .. }) => {
            let words = std::fs::read_to_string(&said).unwrap_or_default();
            let words = words.trim_end();
            let from = words.len().saturating_sub(WORDS_MAX);
            let from = (from..=words.len()).find(|&at| words.is_char_boundary(at)).unwrap_or(0);
            Ended::Badly(format!("{status}\n{}", &words[from..]).trim_end().to_owned())
        }
        Err(error) => Ended::Badly(format!("cannot wait for `{}`: {error}", program.display())),
    }
}

/// Waits for a program; a thread beside asks it to end if a signal comes.
fn guarded(child: Child, signals: &Signals) -> std::io::Result<ResUse> {
    let (group, over) = (Pid::from_raw(child.id() as i32), AtomicBool::new(false));
    thread::scope(|scope| {
        let over = &over;
        let guard = scope.spawn(move || {
            let mut asked: Option<Instant> = None;
            while !over.load(Ordering::Acquire) {
                match asked {
                    None if signals.came() => {
                        let _ = killpg(group, Signal::SIGTERM);
                        asked = Some(Instant::now());
                    }
                    Some(at) if at.elapsed() > END_MAX => {
                        let _ = killpg(group, Signal::SIGKILL);
                    }
                    _ => {}
                }
                thread::park_timeout(TICK);
            }
        });
        let ended = child.wait4();
        over.store(true, Ordering::Release);
        guard.thread().unpark();
        ended
    })
}
