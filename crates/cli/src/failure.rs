//! Why a command did not do what it was asked, and the exit code that says so.

use std::path::PathBuf;

use modrun_plan::Diagnostics;
use modrun_runtime::Differences;

/// Why a command did not do what it was asked.
#[derive(Debug)]
pub(crate) enum Failure {
    /// The arguments are wrong.
    Arguments(anyhow::Error),
    /// The pipeline has problems, which are to be shown.
    Pipeline(Diagnostics),
    /// What is wrong was shown as the command's output.
    Shown,
    /// What was asked for went wrong, which whoever asked was told already.
    Told,
    /// What was asked for went wrong.
    Failed(anyhow::Error),
    /// The results differ from those expected in a file.
    Differs(Differences, PathBuf),
    /// A signal ended the run; these files hold what was written so far.
    Interrupted(Vec<PathBuf>),
}

impl Failure {
    /// What the process ends with.
    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Failure::Failed(_) | Failure::Told | Failure::Differs(..) => 1,
            Failure::Arguments(_) | Failure::Pipeline(_) | Failure::Shown => 2,
            Failure::Interrupted(_) => INTERRUPTED,
        }
    }
}

/// The exit code of an interrupted run: 128 and the number of SIGINT, as shells have it.
pub(crate) const INTERRUPTED: u8 = 130;

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure::Failed(error)
    }
}

impl From<modrun_core::Error> for Failure {
    fn from(error: modrun_core::Error) -> Self {
        Failure::Failed(error.into())
    }
}

impl From<Diagnostics> for Failure {
    fn from(problems: Diagnostics) -> Self {
        Failure::Pipeline(problems)
    }
}
