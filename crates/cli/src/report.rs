//! `modrun report`: pages of measured runs.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use modrun_report::comparison::Comparison;
use modrun_report::document::Document;
use modrun_report::read::Measured;

use crate::failure::Failure;
use crate::show;

/// Make a page of measured runs
///
/// Takes run reports (`modrun run --report`) and comparisons (`modrun bench`), and writes one HTML file that needs no
/// other one, with tables and plots, readable in light and dark; or the same as Markdown with its plots beside it.
#[derive(clap::Args, Debug)]
#[command(after_help = crate::EXIT_CODES)]
pub(crate) struct Args {
    /// Run reports and files of comparisons
    #[arg(value_name = "RUN.json", required = true)]
    runs: Vec<PathBuf>,
    /// Where the page goes; `-` is standard output
    #[arg(long, short, value_name = "FILE.html", default_value = "report.html")]
    output: PathBuf,
    /// Write Markdown too, with its plots in a folder of the same name; `-` is standard output, without plots
    #[arg(long, value_name = "FILE.md")]
    markdown: Option<PathBuf>,
}

/// Reads the files and writes the pages.
pub(crate) fn run(args: &Args) -> Result<(), Failure> {
    let mut measured = Measured::default();
    for path in &args.runs {
        let name = path.file_name().unwrap_or(path.as_os_str()).to_string_lossy();
        let shown = path.display();
        let text = fs::read_to_string(path)
            .with_context(|| format!("cannot read `{shown}`"))
            .map_err(Failure::Arguments)?;
        measured.add(&name, &text).map_err(|wrong| Failure::Arguments(anyhow!("`{shown}`, {wrong}")))?;
    }
    let pipelines = Vec::from_iter(measured.pipelines());
    if pipelines.len() > 1 {
        return Err(Failure::Arguments(anyhow!(
            "the files are of different pipelines, whose figures cannot be compared: {}\nmake a page of each",
            pipelines.join(", ")
        )));
    }
    let page = modrun_report::page::document(&Comparison::of(&measured));
    write(&args.output, &page.html())?;
    if let Some(path) = &args.markdown {
        write_markdown(path, &page)?;
    }
    Ok(())
}

/// Writes Markdown, and its plots into a folder of the same name beside it.
fn write_markdown(path: &Path, page: &Document) -> Result<(), Failure> {
    let folder = path.with_extension("");
    if path.as_os_str() == "-" || folder == path {
        return write(path, &page.markdown(None));
    }
    let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
    write(path, &page.markdown(Some(&name)))?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot make the folder `{}`", folder.display()))?;
    page.plots().try_for_each(|plot| write(&folder.join(plot.file_name()), &plot.file()))
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    if path.as_os_str() == "-" {
        return show::output(text);
    }
    fs::write(path, text).with_context(|| format!("cannot write `{}`", path.display()))?;
    show::note(format!("wrote `{}`", path.display()));
    Ok(())
}
