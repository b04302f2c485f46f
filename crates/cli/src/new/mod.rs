//! `modrun new`: a stage to begin with, in any of the languages.
//!
//! Guarantees: what is written runs and passes its test as it stands, with the SDK that it refers to. Nothing that is
//! there is overwritten.
//!
//! Neighbours: `template` has the files, which lie in `templates/`.

mod template;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::Subcommand;
use modrun_core::{Code, Error};

use crate::failure::Failure;
use crate::{program, show};

use template::Language;

/// Where the SDKs are: an environment variable, and the checkout that this command was built from.
const SDK_VARIABLE: &str = "MODRUN_SDK";
const SDK_BUILT_FROM: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../sdk");

/// Names of the other stages in the pipeline of a new stage.
const TAKEN: [&str; 3] = ["ingest", "parse", "sink"];
const NAME_CHARACTERS_MAX: usize = 60;

/// Begin a stage of your own
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand, Debug)]
enum What {
    Stage(Stage),
}

/// Begin a stage in a folder of its own, with a test and a pipeline that runs it
#[derive(clap::Args, Debug)]
struct Stage {
    /// The stage's name: small letters, digits, `-` and `_`
    name: String,
    /// The language to write it in
    #[arg(long, short, value_enum)]
    language: Language,
    /// The folder to make [default: NAME]
    #[arg(long, value_name = "FOLDER")]
    path: Option<PathBuf>,
    /// The folder `sdk` of a checkout, to use its SDK [default: MODRUN_SDK, or the checkout that this command was built
    /// from; without one, the package registry of the language]
    #[arg(long, value_name = "FOLDER")]
    sdk: Option<PathBuf>,
}

/// Writes what was asked for and says how to go on.
pub(crate) fn run(Args { what: What::Stage(stage) }: &Args) -> Result<(), Failure> {
    check_name(&stage.name)?;
    let folder = stage.path.clone().unwrap_or_else(|| PathBuf::from(&stage.name));
    let sdk = sdk(stage.language, stage.sdk.as_deref())?;
    let files = template::files(stage.language, &stage.name, sdk.as_deref());
    write(&folder, &files).map_err(|error| {
        Error::unavailable(format!("cannot make the stage in `{}`", folder.display()))
            .with_code(Code::OUTPUT)
            .with_hint("name a folder that is not there yet with `--path FOLDER`")
            .with_source(error)
    })?;
    let cd = program::shown(&["cd".to_owned(), folder.display().to_string()]);
    let next: Vec<String> =
        stage.language.next(sdk.as_deref()).iter().map(|line| format!("  {line}\n")).collect();
    show::output(&format!("wrote {}; go on with\n\n  {cd}\n{}", folder.display(), next.concat()))
}

fn check_name(name: &str) -> Result<(), Failure> {
    let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '_';
    let problem = if !name.starts_with(|c: char| c.is_ascii_lowercase()) || !name.chars().all(fits) {
        "a name begins with a small letter and has small letters, digits, `-` and `_` alone"
    } else if name.len() > NAME_CHARACTERS_MAX {
        "it is too long"
    } else if TAKEN.contains(&name) {
        "the pipeline that is made has a stage of this name already"
    } else {
        return Ok(());
    };
    Err(Failure::Arguments(anyhow!("`{name}` cannot be the name of the stage: {problem}")))
}

/// The folder of the language's SDK in full; `None`: it comes from a registry.
fn sdk(language: Language, given: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let asked = given.map(PathBuf::from).or_else(|| std::env::var_os(SDK_VARIABLE).map(PathBuf::from));
    let is_asked = asked.is_some();
    let folder = asked.unwrap_or_else(|| PathBuf::from(SDK_BUILT_FROM)).join(language.sdk_folder());
    match fs::canonicalize(&folder) {
        Ok(folder) => Ok(Some(folder)),
        Err(_) if !is_asked => Ok(None),
        Err(error) => {
            let text = format!("there is no SDK in `{}`", folder.display());
            Err(Failure::Arguments(anyhow::Error::new(error).context(text)))
        }
    }
}

/// Writes files into a folder that is not there yet, or is empty.
fn write(folder: &Path, files: &[(&str, String)]) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    if fs::read_dir(folder)?.next().is_some() {
        return Err(io::Error::new(io::ErrorKind::AlreadyExists, "the folder is not empty"));
    }
    for (name, text) in files {
        let path = folder.join(name);
        path.parent().map_or(Ok(()), fs::create_dir_all)?;
        fs::write(path, text)?;
    }
    Ok(())
}
