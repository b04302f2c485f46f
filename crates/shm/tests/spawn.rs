//! Stages' processes: what they inherit, what they may change, how they end, and what is left.

mod shell;

use std::fs::read_to_string;
use std::io::Read;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use modrun_core::ErrorKind;
use modrun_shm::{Exit, Readable, Stage, Writable, pair};
use rustix::io::{FdFlags, fcntl_setfd};
use shell::{PATIENCE, await_end, await_ready, shell, socket, stage, stdout};

#[test]
fn three_descriptors_and_no_others_are_inherited() {
    let (_ours, theirs) = pair().unwrap();
    let (_input, input) = Writable::create(64).unwrap();
    let (_output, output) = Readable::create(64).unwrap();
    // Open in the parent without closing on exec, as a careless library might.
    let strays: Vec<OwnedFd> = (0..200).map(|_| input.try_clone().unwrap()).collect();
    for stray in &strays {
        fcntl_setfd(stray, FdFlags::empty()).unwrap();
    }
    let descriptors = vec![(theirs, 3), (input, 4), (output, 5)];
    let mut child = stage("ls", &["-l", "/proc/self/fd"], descriptors).spawn().unwrap();
    let listing = stdout(&mut child);
    let found: Vec<(&str, &str)> = listing
        .lines()
        .filter_map(|line| line.rsplit_once(" -> "))
        .map(|(link, target)| (link.rsplit(' ').next().unwrap(), target))
        // What `ls` has opened to look at.
        .filter(|(_, target)| !target.starts_with("/proc/"))
        .map(|(number, target)| (number, target.split([':', ' ']).next().unwrap()))
        .collect();
    let expected =
        [("0", "/dev/null"), ("1", "pipe"), ("2", "pipe"), ("3", "socket"), ("4", "/memfd"), ("5", "/memfd")];
    assert_eq!(found, expected, "{listing}");
    assert_eq!(child.wait().unwrap(), Exit::Status(0));
    assert!(strays.iter().all(|stray| stray.as_raw_fd() > 2));
}

#[test]
fn the_socket_ends_when_the_stage_does() {
    let (mut ours, theirs) = socket();
    let child = shell("echo ready >&3", vec![(theirs, 3)]).spawn().unwrap();
    await_ready(&mut ours);
    await_end(&mut ours);
    assert!(child.wait().unwrap().success());
}

#[test]
fn a_stage_has_what_it_was_given() {
    let mut env = stage("env", &[], vec![]);
    env.environment = vec![("PATH".into(), "/usr/bin".into()), ("MODRUN_STAGE".into(), "socket=3".into())];
    let cases: [(Stage, &str); 6] = [
        (shell("cat; echo nothing", vec![]), "nothing\n"),
        (shell("pwd", vec![]), "/\n"),
        (env, "MODRUN_STAGE=socket=3\nPATH=/usr/bin\n"),
        (stage("echo", &["two words", "*"], vec![]), "two words *\n"),
        (Stage { folder: "/usr/bin".into(), ..stage("./echo", &["here"], vec![]) }, "here\n"),
        (shell("trap", vec![]), ""),
    ];
    for (stage, expected) in cases {
        let program = format!("{stage:?}");
        let mut child = stage.spawn().unwrap();
        assert_eq!(stdout(&mut child), expected, "{program}");
        assert!(child.wait().unwrap().success());
    }
}

#[test]
fn standard_error_is_a_pipe_of_its_own() {
    let mut child = shell("echo out; echo err >&2", vec![]).spawn().unwrap();
    let mut err = String::new();
    child.take_stderr().unwrap().read_to_string(&mut err).unwrap();
    assert_eq!((stdout(&mut child).as_str(), err.as_str()), ("out\n", "err\n"));
    assert!(child.take_stdout().is_none() && child.take_stderr().is_none());
}

#[test]
fn a_stage_leads_a_group_of_its_own() {
    let mut child = stage("cut", &["-d ", "-f1,5", "/proc/self/stat"], vec![]).spawn().unwrap();
    assert_eq!(stdout(&mut child), format!("{0} {0}\n", child.pid()));
}

#[test]
fn long_turns_are_a_scheduling_policy() {
    // The policy is the 41st word, the 39th behind the name, which may have spaces.
    let own = read_to_string("/proc/self/stat").unwrap();
    let own = own.rsplit_once(')').unwrap().1.split(' ').nth(39).unwrap().to_owned();
    for (long_turns, expected) in [(false, own.as_str()), (true, "3")] {
        let stage = Stage { long_turns, ..stage("cut", &["-d ", "-f41", "/proc/self/stat"], vec![]) };
        assert_eq!(stdout(&mut stage.spawn().unwrap()).trim_end(), expected);
    }
}

#[test]
fn ends_are_told_in_words() {
    let cases = [
        ("exit 0", "exit status 0"),
        ("exit 3", "exit status 3"),
        ("kill -TERM $$", "signal 15 (SIGTERM)"),
        ("kill -PIPE $$", "signal 13 (SIGPIPE)"),
        ("kill -KILL $$", "signal 9 (SIGKILL)"),
        ("kill -40 $$", "signal 40"),
    ];
    for (script, expected) in cases {
        let child = shell(script, vec![]).spawn().unwrap();
        let exit = child.wait().unwrap();
        assert_eq!(exit.to_string(), expected);
        assert_eq!(exit.success(), expected == "exit status 0");
        // However it is asked for, the end stays what it was.
        let again = [child.wait().unwrap(), child.kill().unwrap(), child.try_wait().unwrap().unwrap()];
        assert_eq!(again, [exit; 3]);
    }
}

#[test]
fn waiting_has_a_limit() {
    let (mut ours, theirs) = socket();
    let child = shell("echo ready >&3; read -r line <&3; exit 4", vec![(theirs, 3)]).spawn().unwrap();
    await_ready(&mut ours);
    assert_eq!(child.try_wait().unwrap(), None);
    assert_eq!(child.wait_for(Duration::from_millis(1)).unwrap(), None);
    std::io::Write::write_all(&mut ours, b"go\n").unwrap();
    assert_eq!(child.wait_for(PATIENCE).unwrap(), Some(Exit::Status(4)));
}

#[test]
fn a_kill_reaches_the_whole_group_whatever_thread_waits() {
    let (mut ours, theirs) = socket();
    let script = "sleep 600 & (sleep 600 & wait) & echo ready >&3; wait";
    let child = shell(script, vec![(theirs, 3)]).spawn().unwrap();
    await_ready(&mut ours);
    std::thread::scope(|scope| {
        let waiting = scope.spawn(|| child.wait().unwrap());
        assert_eq!(child.kill().unwrap().to_string(), "signal 9 (SIGKILL)");
        assert_eq!(waiting.join().unwrap(), Exit::Signal(9));
    });
    await_end(&mut ours);
}

#[test]
fn the_group_ends_with_its_leader() {
    let (mut ours, theirs) = socket();
    let child = shell("sleep 600 & echo ready >&3; exit 3", vec![(theirs, 3)]).spawn().unwrap();
    await_ready(&mut ours);
    assert_eq!(child.wait().unwrap(), Exit::Status(3));
    await_end(&mut ours);
}

#[test]
fn a_stage_is_killed_when_nobody_holds_it() {
    let (mut ours, theirs) = socket();
    let child = shell("sleep 600 & echo ready >&3; wait", vec![(theirs, 3)]).spawn().unwrap();
    await_ready(&mut ours);
    drop(child);
    await_end(&mut ours);
}

#[test]
fn what_changes_meanwhile_is_copied_all_the_same() {
    const BYTES: usize = 1 << 20;
    let (readable, descriptor) = Readable::create(BYTES as u64).unwrap();
    let (mut ours, theirs) = socket();
    // The stage ends when the socket does not take its line.
    let script = "while echo ready >&3; do
        dd if=/dev/urandom of=/proc/self/fd/4 bs=65536 count=16 conv=notrunc 2>/dev/null
    done";
    let child = shell(script, vec![(theirs, 3), (descriptor, 4)]).spawn().unwrap();
    await_ready(&mut ours);
    let (mut before, mut after) = (vec![0; BYTES], vec![0; BYTES]);
    let mut torn = 0;
    for _ in 0..1_000_000 {
        readable.copy(0, &mut after).unwrap();
        torn += usize::from(before != after);
        std::mem::swap(&mut before, &mut after);
        if torn == 20 {
            break;
        }
    }
    assert_eq!(torn, 20, "the stage wrote while its segment was copied");
    child.kill().unwrap();
}

#[test]
fn what_cannot_be_started_is_an_error() {
    let missing_folder = Stage { folder: "/no/such/folder".into(), ..stage("echo", &[], vec![]) };
    let twice = |number| {
        let (ours, theirs) = pair().unwrap();
        stage("echo", &[], vec![(ours.into(), number), (theirs, number)])
    };
    let cases = [
        (
            stage("/no/such/program", &[], vec![]),
            ErrorKind::Invalid,
            "cannot start `/no/such/program` in `/`",
        ),
        (stage("no-such-program", &[], vec![]), ErrorKind::Invalid, "cannot start `no-such-program` in `/`"),
        (stage("/etc/passwd", &[], vec![]), ErrorKind::Invalid, "cannot start `/etc/passwd` in `/`"),
        (missing_folder, ErrorKind::Invalid, "cannot start `echo` in `/no/such/folder`"),
        (stage("echo", &["a\0b"], vec![]), ErrorKind::Invalid, "cannot start `echo` in `/`"),
        (twice(2), ErrorKind::Internal, "cannot give a stage the descriptor `2`"),
        (twice(3), ErrorKind::Internal, "cannot give a stage the descriptor `3`"),
    ];
    for (stage, kind, message) in cases {
        let error = stage.spawn().unwrap_err();
        assert_eq!(error.kind(), kind);
        assert!(error.to_string().starts_with(message), "{error}");
    }
}

#[test]
fn a_failed_start_is_told_while_descriptors_come_and_go() {
    let stop = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    drop(pair().unwrap());
                }
            });
        }
        let errors: Vec<_> = (0..300)
            .map(|_| {
                let descriptors = (3..20).map(|number| (socket().1, number)).collect();
                stage("/no/such/program", &[], descriptors).spawn().err()
            })
            .collect();
        stop.store(true, Ordering::Relaxed);
        for error in errors {
            assert_eq!(error.as_ref().map(modrun_core::Error::kind), Some(ErrorKind::Invalid), "{error:?}");
        }
    });
}
