//! Where and by what is measured, and who else uses the machine.

use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, SystemTime};

use modrun_report::record::Session;

/// How long the machine is looked at before a run.
const LOOK: Duration = Duration::from_millis(300);
/// Other programs that take more of a core disturb.
pub(crate) const BUSY_CORES: f64 = 0.25;

/// This machine, and the command that this process is.
pub(crate) fn session(pipeline: &str) -> Session {
    let of = |file: &str, key: &str| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let line =
            text.lines().find_map(|line| line.strip_prefix(key)?.split_once(':')).map(|(_, rest)| rest);
        line.unwrap_or_default().trim().to_owned()
    };
    let kibibytes = of("/proc/meminfo", "MemTotal").trim_end_matches(" kB").parse().unwrap_or(0u64);
    let mut versions = BTreeMap::from([("modrun".to_owned(), env!("CARGO_PKG_VERSION").to_owned())]);
    for (name, command) in [
        ("commit", &["git", "describe", "--always", "--dirty"][..]),
        ("python", &["python3", "--version"]),
        ("node", &["node", "--version"]),
        ("go", &["go", "version"]),
        ("c++", &["c++", "--version"]),
    ] {
        if let Some(version) = says(command) {
            versions.insert(name.to_owned(), version);
        }
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let begun = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Session {
        pipeline: pipeline.to_owned(),
        command: format!("modrun {}", arguments.join(" ")),
        begun_unix_seconds: begun.as_secs(),
        cpu: of("/proc/cpuinfo", "model name"),
        cores: cores(),
        memory_bytes: kibibytes * 1024,
        system: fs::read_to_string("/proc/sys/kernel/osrelease").unwrap_or_default().trim().to_owned(),
        versions,
    }
}

/// Whether figures of two sessions may stand side by side; if not, what differs.
pub(crate) fn difference(before: &Session, now: &Session) -> Option<&'static str> {
    let differs = [
        ("the pipeline", before.pipeline != now.pipeline),
        ("the machine", (&before.cpu, before.cores) != (&now.cpu, now.cores)),
        ("a program's version or the commit", before.versions != now.versions),
    ];
    differs.into_iter().find_map(|(what, differs)| differs.then_some(what))
}

/// How many cores this process may use.
pub(crate) fn cores() -> u32 {
    thread::available_parallelism().map_or(1, |cores| cores.get() as u32)
}

/// Looks for a moment how many cores are in use; nothing of ours runs meanwhile.
pub(crate) fn cores_taken() -> f64 {
    let Some(before) = busy_and_all() else { return 0.0 };
    thread::sleep(LOOK);
    let Some(after) = busy_and_all() else { return 0.0 };
    let (busy, all) = (after.0.saturating_sub(before.0), after.1.saturating_sub(before.1));
    if all == 0 { 0.0 } else { busy as f64 / all as f64 * f64::from(cores()) }
}

/// The kernel's counts of ticks since it began, of all cores together.
fn busy_and_all() -> Option<(u64, u64)> {
    let stat = fs::read_to_string("/proc/stat").ok()?;
    let ticks = stat.lines().next()?.split_ascii_whitespace().skip(1).take(8);
    let ticks: Vec<u64> = ticks.filter_map(|field| field.parse().ok()).collect();
    let all: u64 = ticks.iter().sum();
    // Idle, and waiting for a disk.
    Some((all - ticks.get(3)? - ticks.get(4)?, all))
}

fn says(command: &[&str]) -> Option<String> {
    let (program, arguments) = command.split_first()?;
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output().ok()?;
    let text = String::from_utf8_lossy(&output.stdout);
    let line = text.lines().next()?.trim().to_owned();
    (output.status.success() && !line.is_empty()).then_some(line)
}
