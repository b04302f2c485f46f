//! The services as processes: started, watched, stopped and reaped.
//!
//! A service prints its address as its first line and ends when its standard input does, so that it outlives
//! the orchestrator in no case. Each has a process group of its own: Ctrl-C reaches only the orchestrator,
//! which then stops the rest. One thread waits for each process and takes its resource usage.

use std::collections::VecDeque;
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use anyhow::{Context, Result, anyhow};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process, waitid};
use tokio::sync::{mpsc, oneshot};
use tokio::time::timeout;
use wait4::{ResourceUsage, Wait4};

const LOG_LINES_KEPT: usize = 20;
const START_TIMEOUT: Duration = Duration::from_secs(30);
const STOP_TIMEOUT: Duration = Duration::from_secs(5);

/// What to start.
#[derive(Debug, Clone)]
pub(crate) struct Service {
    pub(crate) name: &'static str,
    pub(crate) language: &'static str,
    pub(crate) folder: PathBuf,
    pub(crate) command: Vec<PathBuf>,
}

/// How a service ended.
#[derive(Debug)]
pub(crate) struct Exit {
    pub(crate) name: &'static str,
    pub(crate) status: ExitStatus,
    pub(crate) usage: ResourceUsage,
}

/// All services of a run. Dropping it kills and reaps whatever still runs.
#[derive(Debug)]
pub(crate) struct Fleet {
    running: Vec<Running>,
    exits: mpsc::Receiver<Exit>,
}

#[derive(Debug)]
struct Running {
    name: &'static str,
    stdin: Option<ChildStdin>,
    address: Option<oneshot::Receiver<Result<SocketAddr>>>,
    log: Log,
    /// None once the process may have been reaped and its id belong to another.
    pid: Arc<Mutex<Option<Pid>>>,
    waiter: Option<JoinHandle<()>>,
}

type Log = Arc<Mutex<VecDeque<String>>>;

impl Fleet {
    /// Starts every service, without waiting for any.
    pub(crate) fn start(services: &[Service]) -> Result<Self> {
        let (exit, exits) = mpsc::channel(services.len().max(1));
        let mut fleet = Self { running: Vec::new(), exits };
        for service in services {
            fleet.running.push(Running::start(service, exit.clone())?);
        }
        Ok(fleet)
    }

    /// Resolves to the address that each service prints, in the order they were given, or an error for one that
    /// prints none within [`START_TIMEOUT`]. To be called once.
    pub(crate) fn addresses(&mut self) -> impl Future<Output = Result<Vec<SocketAddr>>> + use<> {
        let addresses: Vec<_> = self.running.iter_mut().map(|one| (one.name, one.address.take())).collect();
        async {
            let mut found = Vec::new();
            for (name, address) in addresses {
                let address = timeout(START_TIMEOUT, address.context("addresses are taken once")?).await;
                let address = address.ok().and_then(Result::ok);
                found.push(address.with_context(|| format!("service `{name}` printed no address"))??);
            }
            Ok(found)
        }
    }

    /// Resolves when a service ends, to an error with its name and last log lines.
    pub(crate) async fn death(&mut self) -> anyhow::Error {
        match self.exits.recv().await {
            Some(exit) => {
                anyhow!("service `{}` died ({}){}", exit.name, exit.status, self.last_lines(exit.name))
            }
            None => anyhow!("every service has ended"),
        }
    }

    /// Closes every standard input, kills what has not ended within [`STOP_TIMEOUT`], and returns how each ended.
    pub(crate) async fn stop(mut self) -> Result<Vec<Exit>> {
        for one in &mut self.running {
            one.stdin = None;
        }
        let mut exits = Vec::new();
        let all = timeout(STOP_TIMEOUT, async {
            while exits.len() < self.running.len() {
                exits.extend(self.exits.recv().await);
            }
        });
        if all.await.is_err() {
            let ended = |name: &str| exits.iter().any(|exit: &Exit| exit.name == name);
            let names: Vec<_> =
                self.running.iter().map(|one| one.name).filter(|&name| !ended(name)).collect();
            return Err(anyhow!("services did not stop in time and were killed: {}", names.join(", ")));
        }
        if let Some(failed) = exits.iter().find(|exit| !exit.status.success()) {
            let log = self.last_lines(failed.name);
            return Err(anyhow!("service `{}` failed at its end ({}){log}", failed.name, failed.status));
        }
        Ok(exits)
    }

    fn last_lines(&self, name: &str) -> String {
        let log = self.running.iter().find(|one| one.name == name).map(|one| lock(&one.log));
        log.iter().flat_map(|lines| lines.iter()).map(|line| format!("\n  {line}")).collect()
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        for one in &self.running {
            if let Some(pid) = *lock(&one.pid) {
                // It can only fail for a process that has just ended.
                let _ = kill_process(pid, Signal::KILL);
            }
        }
        for waiter in self.running.iter_mut().filter_map(|one| one.waiter.take()) {
            let _ = waiter.join();
        }
    }
}

impl Running {
    fn start(service: &Service, exit: mpsc::Sender<Exit>) -> Result<Self> {
        let name = service.name;
        let (program, arguments) = service.command.split_first().context("a service has a command")?;
        let mut child = Command::new(program)
            .args(arguments)
            .current_dir(&service.folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot start service `{name}`: `{}`", program.display()))?;
        let log = Log::default();
        let (found, address) = oneshot::channel();
        let readers = [
            child.stdout.take().map(|stdout| read_stdout(stdout, found, log.clone())),
            child.stderr.take().map(|stderr| read_log(BufReader::new(stderr), log.clone())),
        ];
        let stdin = child.stdin.take();
        let id = Pid::from_child(&child);
        let pid = Arc::new(Mutex::new(Some(id)));
        let waiter = std::thread::spawn({
            let pid = pid.clone();
            move || {
                let result = wait(name, id, child, &pid);
                for reader in readers.into_iter().flatten() {
                    let _ = reader.join();
                }
                // Nobody receives once the fleet is gone.
                let _ = result.map(|ended| exit.try_send(ended));
            }
        });
        Ok(Self { name, stdin, address: Some(address), log, pid, waiter: Some(waiter) })
    }
}

/// Waits for the end without reaping first, so that nobody kills a process id that is no longer this one's.
fn wait(name: &'static str, id: Pid, child: Child, pid: &Mutex<Option<Pid>>) -> std::io::Result<Exit> {
    let until_ended = WaitIdOptions::EXITED | WaitIdOptions::NOWAIT;
    while waitid(WaitId::Pid(id), until_ended).is_err_and(|error| error == Errno::INTR) {}
    *lock(pid) = None;
    let ended = child.wait4()?;
    Ok(Exit { name, status: ended.status, usage: ended.rusage })
}

fn read_stdout(
    stdout: impl Read + Send + 'static,
    found: oneshot::Sender<Result<SocketAddr>>,
    log: Log,
) -> JoinHandle<()> {
    std::thread::spawn(move || {
        let mut stdout = BufReader::new(stdout);
        let mut line = String::new();
        let read = stdout.read_line(&mut line);
        if read.is_ok() && !line.is_empty() {
            let line = line.trim();
            let _ = found.send(line.parse().with_context(|| format!("`{line}` is no address")));
        }
        let _ = read_log(stdout, log).join();
    })
}

fn read_log(reader: impl BufRead + Send + 'static, log: Log) -> JoinHandle<()> {
    std::thread::spawn(move || {
        for line in reader.split(b'\n').map_while(Result::ok) {
            let mut lines = lock(&log);
            if lines.len() == LOG_LINES_KEPT {
                lines.pop_front();
            }
            lines.push_back(String::from_utf8_lossy(&line).into_owned());
        }
    })
}

/// A thread that panicked left whole values behind: each is written in one step.
fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fleet(script: &str) -> Fleet {
        Fleet::start(&[Service {
            name: "probe",
            language: "sh",
            folder: ".".into(),
            command: ["sh", "-c", script].map(PathBuf::from).to_vec(),
        }])
        .unwrap()
    }

    #[tokio::test]
    async fn a_death_has_a_name_a_status_and_the_last_lines() {
        let mut fleet = fleet("for i in $(seq 30); do echo line $i >&2; done; exit 3");
        let message = fleet.death().await.to_string();
        assert!(message.starts_with("service `probe` died (exit status: 3)\n  line 11\n"), "{message}");
        assert!(message.ends_with("\n  line 30"), "{message}");
    }

    #[tokio::test]
    async fn a_service_prints_its_address_and_stops_with_its_input() {
        let mut fleet = fleet("echo 127.0.0.1:4242; cat");
        assert_eq!(fleet.addresses().await.unwrap(), [SocketAddr::from(([127, 0, 0, 1], 4242))]);
        let exits = fleet.stop().await.unwrap();
        assert!(exits[0].status.success());
        assert!(exits[0].usage.maxrss > 0);
    }

    #[tokio::test(start_paused = true)]
    async fn a_service_that_prints_nothing_is_an_error() {
        assert_eq!(
            fleet("exec sleep 1000").addresses().await.unwrap_err().to_string(),
            "service `probe` printed no address"
        );
    }

    #[tokio::test]
    async fn a_service_without_address_is_an_error() {
        assert_eq!(
            fleet("exit 0").addresses().await.unwrap_err().to_string(),
            "service `probe` printed no address"
        );
    }

    #[test]
    fn dropping_the_fleet_kills_and_reaps() {
        let fleet = fleet("exec sleep 1000");
        let pid = lock(&fleet.running[0].pid).unwrap();
        drop(fleet);
        assert_eq!(rustix::process::test_kill_process(pid), Err(Errno::SRCH));
    }
}
