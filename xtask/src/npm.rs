//! The folders with a `package.json`.

use std::fs;
use std::path::Path;
use std::time::SystemTime;

use anyhow::Result;

use crate::process;

/// Installs what the lock file of `folder` names, unless it was not touched since that was done.
pub(crate) fn install(folder: &str) -> Result<()> {
    let root = process::root().join(folder);
    // Written by npm at the end of an installation.
    let (done, lock) = (root.join("node_modules/.package-lock.json"), root.join("package-lock.json"));
    if changed(&done).is_some_and(|done| Some(done) >= changed(&lock)) {
        return Ok(());
    }
    process::run(&mut process::within(folder, "npm", &["ci", "--silent", "--no-audit", "--no-fund"]))
}

/// Runs a script of `folder`'s package.
pub(crate) fn script(folder: &str, name: &str) -> Result<()> {
    process::run(&mut process::within(folder, "npm", &["run", "--silent", name]))
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|data| data.modified()).ok()
}
