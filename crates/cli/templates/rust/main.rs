mod stage;

use std::process::ExitCode;

fn main() -> ExitCode {
    modular_runtime::serve(stage::stage())
}
