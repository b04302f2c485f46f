//! Running other programs: visibly, from the project's root, and failing with their name.

use std::env;
use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

use anyhow::{Context, Result, bail};
use serde::Serialize;
use wait4::Wait4;

/// The project's root folder.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("xtask is a folder of the project")
}

/// A command that will run in the project's root, so that its arguments can be relative to it.
pub(crate) fn command(program: impl AsRef<OsStr>, arguments: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(arguments).current_dir(root());
    command
}

/// As [`command`], in `folder`, which is under the root; its program may be relative to that.
pub(crate) fn within(folder: &str, program: &str, arguments: &[&str]) -> Command {
    command("env", &[&["-C", folder, program], arguments].concat())
}

/// Lets `command` and what it starts find programs in `folders`, which are under the root, before all others.
pub(crate) fn look_first_in(command: &mut Command, folders: &[&Path]) {
    let mut path = OsString::new();
    for folder in folders {
        path.push(root().join(folder));
        path.push(":");
    }
    path.push(env::var_os("PATH").unwrap_or_default());
    command.env("PATH", path);
}

/// Shows `command`, runs it with this process's own input and output, and fails if it does.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    println!("$ {}", shown(command));
    let status = command.status().with_context(|| format!("cannot run `{}`", shown(command)))?;
    check(command, status)
}

/// What a command used.
#[derive(Clone, Copy, Debug, Serialize)]
pub(crate) struct Usage {
    /// From before it is spawned until it is gone.
    pub(crate) wall_seconds: f64,
    /// In user mode and in the kernel, with the children that it waited for.
    pub(crate) cpu_seconds: f64,
    /// The largest of its processes.
    pub(crate) peak_rss_bytes: u64,
}

/// Runs `command` silently and says what it used; fails if it does.
pub(crate) fn measure(command: &mut Command) -> Result<Usage> {
    command.stdin(Stdio::null());
    let begin = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run `{}`", shown(command)))?;
    let gone = child.wait4()?;
    let wall = begin.elapsed();
    check(command, gone.status)?;
    Ok(Usage {
        wall_seconds: wall.as_secs_f64(),
        cpu_seconds: (gone.rusage.utime + gone.rusage.stime).as_secs_f64(),
        peak_rss_bytes: gone.rusage.maxrss,
    })
}

/// What `command` prints on standard output, trimmed; none if it cannot run or fails.
pub(crate) fn output(command: &mut Command) -> Option<String> {
    let output = command.stderr(Stdio::null()).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The command as a person would type it in the project's root.
pub(crate) fn shown(command: &Command) -> String {
    let here = format!("{}/", root().display());
    let set = command.get_envs().filter_map(|(key, value)| {
        let (key, value) = (key.to_string_lossy(), value?.to_string_lossy());
        let own = env::var(key.as_ref()).unwrap_or_default();
        Some(match value.strip_suffix(&own).filter(|_| !own.is_empty()) {
            Some(before) => format!("{key}=\"{}${key}\"", before.replace(&here, "$PWD/")),
            None => format!("{key}={}", quoted(&value)),
        })
    });
    let words = [command.get_program()].into_iter().chain(command.get_args());
    let moves = command.get_program() == "env";
    let word = |word: &OsStr| match word.to_string_lossy() {
        // In another folder, a path from here is none.
        path if moves && path.starts_with(&here) => format!("\"{}\"", path.replace(&here, "$PWD/")),
        word => quoted(&word.replace(&here, "")),
    };
    set.chain(words.map(word)).collect::<Vec<_>>().join(" ")
}

fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_=+./:,@%".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', r"'\''"))
    }
}

fn check(command: &Command, status: ExitStatus) -> Result<()> {
    if !status.success() {
        bail!("`{}` failed: {status}", shown(command));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_is_shown_as_it_would_be_typed() {
        let mut command = command(root().join("target/x"), &["test", "--", "a b", "it's", ""]);
        command.env("RUSTDOCFLAGS", "-D warnings");
        assert_eq!(shown(&command), r"RUSTDOCFLAGS='-D warnings' target/x test -- 'a b' 'it'\''s' ''");
        let mut command = within("bench", &root().join("x").display().to_string(), &["vet"]);
        look_first_in(&mut command, &[Path::new(".venv/bin"), &root().join("target")]);
        assert_eq!(shown(&command), r#"PATH="$PWD/.venv/bin:$PWD/target:$PATH" env -C bench "$PWD/x" vet"#);
    }

    #[test]
    fn a_failure_names_its_command() {
        let error = measure(&mut command("sh", &["-c", "exit 3"])).unwrap_err().to_string();
        assert_eq!(error, "`sh -c 'exit 3'` failed: exit status: 3");
        let error = run(&mut command("no-such-program", &[])).unwrap_err().to_string();
        assert_eq!(error, "cannot run `no-such-program`");
    }

    #[test]
    fn a_measurement_sees_time_and_memory() {
        let usage =
            measure(&mut command("sh", &["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"])).unwrap();
        assert!(usage.wall_seconds > 0.0 && usage.cpu_seconds > 0.0, "{usage:?}");
        assert!((100_000..100_000_000).contains(&usage.peak_rss_bytes), "{usage:?}");
    }
}
