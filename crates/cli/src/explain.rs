//! `modrun explain`: the page of an error.

use anyhow::anyhow;

use crate::failure::Failure;
use crate::show;

/// Print the page of an error code, or the list of codes
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// The code, such as `E009`
    code: Option<String>,
}

/// Prints the page; an unknown code gets the list.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let Some(code) = &args.code else { return show::output(&list()) };
    match modrun_plan::explain(code) {
        Some(page) => show::output(page),
        None => Err(Failure::Arguments(anyhow!("there is no error `{code}`; there are\n\n{}", list()))),
    }
}

/// The codes with the titles of their pages, one a line.
fn list() -> String {
    modrun_plan::codes()
        .filter_map(|code| modrun_plan::explain(code.0)?.lines().next())
        .map(|title| format!("{}\n", title.trim_start_matches("# ")))
        .collect()
}
