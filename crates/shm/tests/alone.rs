//! What needs a process without other threads, or a runtime that is killed: this program is its own runtime and stage.
//!
//! `MODRUN_ROLE` says which part it plays; without it, it is the test.

#![allow(clippy::unwrap_used)] // a test, which the lint does not know as one without its harness

mod shell;

use std::io::{Read, Write};
use std::os::fd::{AsFd, AsRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::process::{Command, ExitCode, Stdio};

use modrun_core::ErrorKind;
use modrun_shm::{Readable, Stage, Writable, inherited, pair};
use rustix::io::fcntl_dupfd_cloexec;
use shell::{await_end, await_ready, shell, socket, stage, stdout};

const BYTES: u64 = 1 << 16;

fn main() -> ExitCode {
    match std::env::var("MODRUN_ROLE").as_deref() {
        Ok("reversing stage") => reversing_stage(),
        Ok("runtime to kill") => runtime_to_kill(),
        Ok("runtime in the background") => runtime_in_the_background(),
        _ => {
            let cases: [(&str, fn()); 4] = [
                ("a stage talks through all three descriptors", stage_talks),
                ("a failed start is told where numbers are free", failed_start_is_told),
                ("a stage dies with the runtime", stage_dies_with_the_runtime),
                ("signals are as they are by default", signals_are_default),
            ];
            for (name, case) in cases {
                println!("test {name}");
                case();
            }
        }
    }
    ExitCode::SUCCESS
}

/// This program in another role.
fn role(name: &str) -> Command {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.env("MODRUN_ROLE", name);
    command
}

/// The numbers in the stage are those of the other descriptors here, so that each overwrites one that is still needed.
fn stage_talks() {
    let (mut ours, theirs) = socket();
    let (writable, input) = Writable::create(BYTES).unwrap();
    let (readable, output) = Readable::create(BYTES).unwrap();
    let numbers = [input.as_raw_fd(), output.as_raw_fd(), theirs.as_raw_fd()];
    let [socket, input_number, output_number] = numbers;
    let child = Stage {
        environment: vec![
            ("MODRUN_ROLE".into(), "reversing stage".into()),
            ("MODRUN_STAGE".into(), format!("{socket},{input_number},{output_number}").into()),
        ],
        ..stage(
            std::env::current_exe().unwrap().to_str().unwrap(),
            &[],
            vec![(theirs, socket), (input, input_number), (output, output_number)],
        )
    }
    .spawn()
    .unwrap();
    for text in ["abc", "", "a longer text"] {
        let _elsewhere = writable.take(1000).unwrap();
        let mut slot = writable.take(text.len()).unwrap();
        slot.copy_from_slice(text.as_bytes());
        send(&mut ours, slot.offset(), slot.len());
        let (offset, length) = receive(&mut ours).unwrap();
        let mut reversed = vec![0; length];
        readable.copy(offset, &mut reversed).unwrap();
        assert_eq!(reversed, text.bytes().rev().collect::<Vec<u8>>());
    }
    drop(ours);
    assert!(child.wait().unwrap().success());
}

fn reversing_stage() {
    let numbers = std::env::var("MODRUN_STAGE").unwrap();
    let mut descriptors = numbers.split(',').map(|number| inherited(number.parse().unwrap()).unwrap());
    let mut socket = UnixStream::from(descriptors.next().unwrap());
    let input = Readable::attach(descriptors.next().unwrap(), BYTES).unwrap();
    let output = Writable::attach(descriptors.next().unwrap(), BYTES).unwrap();
    while let Some((offset, length)) = receive(&mut socket) {
        let mut slot = output.take(length).unwrap();
        input.copy(offset, &mut slot).unwrap();
        slot.reverse();
        send(&mut socket, slot.offset(), slot.len());
    }
}

fn send(socket: &mut UnixStream, offset: u64, length: usize) {
    socket.write_all(&[offset.to_le_bytes(), (length as u64).to_le_bytes()].concat()).unwrap();
}

/// Nothing at the end of the socket.
fn receive(socket: &mut UnixStream) -> Option<(u64, usize)> {
    let mut frame = [0; 16];
    socket.read_exact(&mut frame).ok()?;
    let number = |at: usize| u64::from_le_bytes(frame[at..at + 8].try_into().unwrap());
    Some((number(0), usize::try_from(number(8)).unwrap()))
}

/// The standard library's pipe for the error would get one of the lowest free numbers.
fn failed_start_is_told() {
    let (_ours, theirs) = pair().unwrap();
    let lowest: Vec<OwnedFd> = (0..20).map(|_| theirs.try_clone().unwrap()).collect();
    let descriptors: Vec<(OwnedFd, RawFd)> = lowest
        .iter()
        .map(|descriptor| (fcntl_dupfd_cloexec(descriptor, 200).unwrap(), descriptor.as_raw_fd()))
        .collect();
    drop(lowest);
    let error = stage("/no/such/program", &[], descriptors).spawn().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}

fn stage_dies_with_the_runtime() {
    let (mut ours, theirs) = socket();
    let mut runtime = role("runtime to kill").stdin(Stdio::from(theirs)).spawn().unwrap();
    await_ready(&mut ours);
    runtime.kill().unwrap();
    runtime.wait().unwrap();
    await_end(&mut ours);
}

fn runtime_to_kill() {
    let socket = std::io::stdin().as_fd().try_clone_to_owned().unwrap();
    let child = shell("echo ready >&3; exec sleep 600", vec![(socket, 3)]).spawn().unwrap();
    child.wait().unwrap();
}

/// A shell that starts a program in the background has it ignore these signals.
fn signals_are_default() {
    let program = std::env::current_exe().unwrap();
    let background = Command::new("/bin/sh")
        .args(["-c", "trap '' INT QUIT; exec \"$0\""])
        .arg(program)
        .env("MODRUN_ROLE", "runtime in the background")
        .output()
        .unwrap();
    let text = String::from_utf8(background.stdout).unwrap();
    // Signal n is bit n - 1: SIGINT 2, SIGQUIT 3, SIGPIPE 13, which Rust ignores.
    let mask = |line: &str| u64::from_str_radix(line.rsplit('\t').next().unwrap(), 16).unwrap();
    let ours = 0b110 | 1 << 12;
    let masks: Vec<u64> = text.lines().map(|line| mask(line) & ours).collect();
    assert_eq!(masks, [ours, 0, 0], "{text}");
}

/// Which signals the runtime ignores, and which its stage blocks and ignores.
fn runtime_in_the_background() {
    let own = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", own.lines().find(|line| line.starts_with("SigIgn")).unwrap());
    let mut child = stage("grep", &["-E", "^Sig(Blk|Ign)", "/proc/self/status"], vec![]).spawn().unwrap();
    print!("{}", stdout(&mut child));
}
