//! `modrun gen`: generated events, to a file or to standard output.
//!
//! The bytes are the business of [`modrun_gen`]; this is its command line. A file is written under `FILE.partial` and
//! renamed at the end, so that a file under its final name is always whole.

use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use anyhow::Context;
use modrun_gen::{Generator, Options, Style, Timestamp};
use modrun_report::units;

/// Generate events: the same arguments give the same bytes on every machine.
#[derive(clap::Args, Debug)]
pub(crate) struct Args {
    /// How many events
    #[arg(long, value_name = "N", default_value_t = 100_000)]
    events: u64,
    /// How many different users
    #[arg(long, value_name = "N", default_value_t = 10_000)]
    users: u32,
    /// Seed of the random streams
    #[arg(long, value_name = "N", default_value_t = 42)]
    seed: u32,
    /// Types of event, drawn uniformly
    #[arg(long, value_name = "TYPE,...", value_delimiter = ',', default_value = "click,view,purchase")]
    types: Vec<String>,
    /// How events spread over users
    #[arg(long, value_enum, default_value_t = Distribution::Uniform)]
    distribution: Distribution,
    /// The time before the first event, in RFC 3339
    #[arg(long, value_name = "TIME", default_value = "2026-01-01T00:00:00Z")]
    start: Timestamp,
    /// Probability that an event is followed by a line as real feeds have them: broken, odd or merely unusual
    #[arg(long, value_name = "RATIO", default_value_t = 0.0)]
    dirty: f64,
    /// Write every line with its keys in random order and with escapes in its strings
    #[arg(long)]
    shuffle: bool,
    /// Make every event longer by a field `padding` of so many bytes in its metadata, which no stage needs
    #[arg(long, value_name = "BYTES", default_value_t = 0)]
    padding: u32,
    /// Where to write; `-` is standard output
    #[arg(long, short, value_name = "FILE", default_value = "events.ndjson")]
    output: PathBuf,
}

#[derive(clap::ValueEnum, Clone, Copy, Debug)]
enum Distribution {
    /// Every user is as likely as any other
    Uniform,
    /// A few users have most of the events
    Zipf,
    /// Now and then one user has a long run of events
    Burst,
}

impl Args {
    fn options(&self) -> Options {
        Options {
            events: self.events,
            users: self.users,
            seed: self.seed,
            types: self.types.clone(),
            distribution: match self.distribution {
                Distribution::Uniform => modrun_gen::Distribution::Uniform,
                Distribution::Zipf => modrun_gen::Distribution::Zipf,
                Distribution::Burst => modrun_gen::Distribution::Burst,
            },
            start: self.start,
            style: if self.shuffle { Style::Shuffled } else { Style::Plain },
            padding: self.padding,
            dirty: self.dirty,
        }
    }
}

/// Writes the events and says how much that was, unless they went to standard output.
pub(crate) fn run(args: &Args) -> anyhow::Result<()> {
    let generator = Generator::new(&args.options())?;
    if args.output.as_os_str() == "-" {
        return write(generator, &mut io::stdout().lock())
            .map(drop)
            .context("cannot write to standard output");
    }
    let written = write_file(generator, &args.output)
        .with_context(|| format!("cannot write `{}`", args.output.display()))?;
    eprintln!(
        "wrote {} events, {}, to {}",
        units::exact(args.events),
        units::bytes(written as f64),
        args.output.display()
    );
    Ok(())
}

fn write_file(generator: Generator, path: &Path) -> io::Result<u64> {
    // A device or a named pipe is written to as it stands; renaming a file over it would replace it.
    if fs::metadata(path).is_ok_and(|found| !found.is_file()) {
        return write(generator, &mut File::options().write(true).open(path)?);
    }
    let partial = partial(path);
    let written = File::create(&partial).and_then(|mut file| write(generator, &mut file));
    match written {
        Ok(_) => fs::rename(&partial, path)?,
        // What is there already is of no use, and on a full disk it is in the way.
        Err(_) => drop(fs::remove_file(&partial)),
    }
    written
}

fn write(generator: Generator, out: &mut impl Write) -> io::Result<u64> {
    let written = generator.write(out)?;
    out.flush()?;
    Ok(written)
}

fn partial(path: &Path) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".partial");
    name.into()
}
