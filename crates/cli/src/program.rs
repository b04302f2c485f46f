//! The programs of implementations: where they are, and how a command is shown.

use std::env;
use std::ffi::OsStr;
use std::fs;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Finds the program of a command that runs in `folder`: a name with a slash begins there, any other is looked up on
/// `path`, as a shell does.
pub(crate) fn find(program: &str, folder: &Path, path: &OsStr) -> Option<PathBuf> {
    let is_program = |path: &PathBuf| {
        fs::metadata(path).is_ok_and(|found| found.is_file() && found.permissions().mode() & 0o111 != 0)
    };
    if program.contains('/') {
        return Some(folder.join(program)).filter(is_program);
    }
    env::split_paths(path).map(|on_path| folder.join(on_path).join(program)).find(is_program)
}

/// What a process that is started in `folder` can be told to run, whatever its own idea of relative programs is.
pub(crate) fn absolute(program: &str, folder: &Path) -> io::Result<PathBuf> {
    match program.contains('/') {
        true => Ok(env::current_dir()?.join(folder).join(program)),
        false => Ok(PathBuf::from(program)),
    }
}

/// A command as a shell takes it.
pub(crate) fn shown(command: &[String]) -> String {
    let plain = |c: char| c.is_alphanumeric() || "-_./=:,+@%^".contains(c);
    let word = |word: &String| match !word.is_empty() && word.chars().all(plain) {
        true => word.clone(),
        false => format!("'{}'", word.replace('\'', "'\\''")),
    };
    command.iter().map(word).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_as_a_shell_finds_them() {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for (name, mode) in [("runs", 0o755), ("does-not", 0o644)] {
            fs::write(bin.join(name), "").unwrap();
            fs::set_permissions(bin.join(name), fs::Permissions::from_mode(mode)).unwrap();
        }
        for (program, path, found) in [
            ("bin/runs", "", true),
            ("./bin/runs", "", true),
            ("bin/does-not", "", false),
            ("bin/none", "", false),
            ("bin", "", false),
            ("runs", "", false),
            ("runs", "/nowhere:bin", true),
            ("does-not", "bin", false),
        ] {
            assert_eq!(find(program, folder.path(), OsStr::new(path)).is_some(), found, "{program} {path}");
        }
    }

    #[test]
    fn commands_are_shown_as_a_shell_takes_them() {
        let command = ["go", "build", "-o", "bin/", ".", "a b", "it's", ""].map(str::to_owned);
        assert_eq!(shown(&command), r"go build -o bin/ . 'a b' 'it'\''s' ''");
    }
}
