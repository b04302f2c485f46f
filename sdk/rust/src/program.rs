//! A stage as a program, which `modrun run` starts as a process of its own.
//!
//! Neighbours: `modrun_worker::serve` speaks the stage protocol.

use std::env;
use std::num::NonZeroUsize;
use std::process::ExitCode;
use std::sync::Arc;

use modrun_core::{Kind, Limits};
use modrun_link::STAGE_VARIABLE;
use modrun_runtime::system;
use modrun_worker::ServeOptions;

use crate::log;

/// Serves a stage of `kind` until the run needs it no more; gives what `main` ends with.
///
/// ```no_run
/// use std::process::ExitCode;
///
/// use modular_runtime::{serve, stage};
///
/// fn main() -> ExitCode {
///     serve(stage::filter("rules", &["value"], |event| Ok(event.int64("value")? >= 10)))
/// }
/// ```
///
/// It ends with 2 and a message if it was not started by `modrun run`, with 1 if the stage failed or the run did not
/// wait for its end. What went wrong has been told to the run then.
pub fn serve(kind: Arc<dyn Kind>) -> ExitCode {
    let Ok(variable) = env::var(STAGE_VARIABLE) else {
        log::warning(format!("this is a stage that `modrun run` starts: `{STAGE_VARIABLE}` is not set"));
        return ExitCode::from(2);
    };
    let options = ServeOptions {
        env: system::env(),
        limits: Limits::default(),
        workers: NonZeroUsize::MIN,
        sdk: format!("rust {}", env!("CARGO_PKG_VERSION")),
    };
    match modrun_worker::serve(&kind, &variable, &options) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::debug(error);
            ExitCode::FAILURE
        }
    }
}
