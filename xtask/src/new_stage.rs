//! What `modrun new stage` makes in each language: it is built, its pipeline gives what it says, its test passes.
//!
//! ```text
//! modrun new stage ─┬─ files ─────────▶ target/xtask/new-stages/LANGUAGE
//!                   └─ "go on with" ──▶ sh, line by line as it stands there
//! ```
//!
//! The command and the Python that is found are the project's own; so are the SDKs.

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use anyhow::{Context, Result};

use crate::{input, modrun, process, python, sdk};

/// A language that stages are begun in.
pub(crate) struct Language {
    name: &'static str,
    /// What has to be there before the stage is made.
    prepare: fn() -> Result<()>,
    /// Lets what is built in the stage's folder find what the project has built.
    share: fn(&Path) -> Result<()>,
}

pub(crate) const PYTHON: Language =
    Language { name: "python", prepare: python::install_sdk_once, share: |_| Ok(()) };

pub(crate) const TYPESCRIPT: Language =
    Language { name: "typescript", prepare: sdk::setup_typescript, share: |_| Ok(()) };

pub(crate) const GO: Language = Language { name: "go", prepare: || Ok(()), share: |_| Ok(()) };

pub(crate) const CPP: Language = Language { name: "cpp", prepare: || Ok(()), share: |_| Ok(()) };

pub(crate) const RUST: Language = Language { name: "rust", prepare: || Ok(()), share: share_rust };

impl Language {
    /// Makes a stage and goes on as the command says.
    pub(crate) fn test(&self) -> Result<()> {
        (self.prepare)()?;
        let folder = input::scratch("new-stages")?.join(self.name);
        if folder.exists() {
            fs::remove_dir_all(&folder).with_context(|| format!("cannot remove `{}`", folder.display()))?;
        }
        let new = ["new", "stage", "levels", "--language", self.name, "--sdk", "sdk", "--path"];
        let mut new = process::command(modrun::program(), &new);
        new.arg(&folder);
        println!("$ {}", process::shown(&new));
        let says = process::output(&mut new).context("no stage was made")?;
        let (_, commands) = says.split_once("go on with\n").context("it does not say how to go on")?;
        (self.share)(&folder)
            .with_context(|| format!("cannot share with `{}` what is built", folder.display()))?;
        let mut go_on = process::command("sh", &["-exc", commands]);
        let program = modrun::program();
        let programs = program.parent().context("the command lies in a folder")?;
        process::look_first_in(&mut go_on, &[programs, Path::new(python::PROGRAMS)]);
        // Its packages are those of the SDK, which are in npm's cache.
        process::run(go_on.env("npm_config_prefer_offline", "true"))
    }
}

/// The stage is a workspace of its own. Built in the project's `target`, in its profile and with the versions that it has
/// locked, it finds the packages of others there; the project's own ones, which it compiles anew, are not optimised.
fn share_rust(folder: &Path) -> Result<()> {
    let program = modrun::program();
    let target = program.ancestors().nth(2).context("the command lies in `target/release`")?;
    symlink(target, folder.join("target"))?;
    fs::copy(process::root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
    let tree = ["tree", "--package", "modular-runtime", "--edges", "normal", "--prefix", "none"];
    let tree = process::output(&mut process::command("cargo", &tree)).context("`cargo tree` must run")?;
    // `modrun-core v0.1.0 (/home/…/crates/core) (*)`
    let own = tree.lines().filter(|line| line.contains("(/")).filter_map(|line| line.split(' ').next());
    let own: BTreeSet<&str> = own.collect();
    let profiles = own.iter().map(|name| format!("package.{name}.opt-level = 0\n"));
    let config = format!("[profile.release]\ncodegen-units = 1\n{}", profiles.collect::<String>());
    fs::create_dir(folder.join(".cargo"))?;
    Ok(fs::write(folder.join(".cargo/config.toml"), config)?)
}
