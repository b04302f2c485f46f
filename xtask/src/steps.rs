//! Named steps, run one after another whatever becomes of each.

use std::time::Instant;

use anyhow::{Result, bail};
use modrun_report::{Align, Table, units};

/// One thing to do, and what to call it.
pub(crate) type Step = (&'static str, fn() -> Result<()>);

/// Runs every step, shows how long each took and counts them; fails if one did.
pub(crate) fn run(steps: &[Step]) -> Result<()> {
    let mut summary = Table::new([("step", Align::Left), ("time", Align::Right), ("outcome", Align::Left)]);
    let mut failed = 0;
    for (name, step) in steps {
        println!("\n== {name}");
        let begin = Instant::now();
        let outcome = step();
        let outcome = outcome.map_or_else(|error| format!("{error:#}"), |()| String::new());
        if !outcome.is_empty() {
            eprintln!("{name}: {outcome}");
            failed += 1;
        }
        let verdict = if outcome.is_empty() { "passed" } else { "FAILED" };
        summary.row([name, units::seconds(begin.elapsed().as_secs_f64()).as_str(), verdict]);
    }
    println!("\n{summary}\n{} passed, {failed} failed", steps.len() - failed);
    if failed > 0 {
        bail!("{failed} of {} steps failed", steps.len());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failed_step_fails_the_whole_and_stops_nothing() {
        use std::sync::atomic::{AtomicU32, Ordering};
        static RAN: AtomicU32 = AtomicU32::new(0);
        fn works() -> Result<()> {
            RAN.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
        assert!(run(&[("works", works)]).is_ok());
        let error =
            run(&[("works", works), ("fails", || bail!("on purpose")), ("works", works)]).unwrap_err();
        assert_eq!(error.to_string(), "1 of 3 steps failed");
        assert_eq!(RAN.load(Ordering::Relaxed), 3);
    }
}
