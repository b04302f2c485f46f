//! An environment for a stage that needs none.

use std::io::{Error, ErrorKind, Result};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::*;

pub(super) fn none() -> Env {
    Env { clock: Arc::new(Nothing), disk: Arc::new(Nothing) }
}

#[derive(Debug)]
struct Nothing;

impl Clock for Nothing {
    fn now(&self) -> Instant {
        unreachable!("an aggregate needs no clock")
    }
    fn thread_cpu(&self) -> Duration {
        unreachable!("an aggregate needs no clock")
    }
}

impl Disk for Nothing {
    fn open(&self, _: &Path) -> Result<Box<dyn Input>> {
        Err(Error::from(ErrorKind::Unsupported))
    }
    fn create(&self, _: &Path) -> Result<Box<dyn Artifact>> {
        Err(Error::from(ErrorKind::Unsupported))
    }
    fn remove(&self, _: &Path) -> Result<()> {
        Err(Error::from(ErrorKind::Unsupported))
    }
    fn glob(&self, _: &str) -> Result<Vec<PathBuf>> {
        Err(Error::from(ErrorKind::Unsupported))
    }
}
