//! What came of the runs: lines to read, a file for tools, and a page that shows several SDKs.

use std::collections::BTreeMap;
use std::fmt::{self, Write as _};

use indexmap::IndexMap;
use serde::{Deserialize, Serialize};

use crate::case::{Carrier, Form};

/// What came of one run.
#[derive(Clone, Debug, Deserialize, Serialize)]
pub struct Outcome {
    /// `group/name/form/carrier`.
    pub id: String,
    /// `group/name`.
    pub case: String,
    /// The handler's form.
    pub form: Form,
    /// The carrier.
    pub carrier: Carrier,
    /// How it went.
    pub status: Status,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    /// How long it took.
    pub millis: u64,
    /// What the program called its SDK, if it got so far.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub sdk: String,
}

/// How a run went.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// As it must.
    Passed,
    /// Not as it must; or as it must, though it is known to fail.
    Failed,
    /// Not as it must, which is known.
    Known,
    /// It needs something that the SDK does not have.
    NotApplicable,
}

/// All outcomes, in the order of the cases.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub struct Report {
    /// One each run.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// The program's name for its SDK.
    pub fn sdk(&self) -> &str {
        self.outcomes
            .iter()
            .map(|outcome| outcome.sdk.as_str())
            .find(|sdk| !sdk.is_empty())
            .unwrap_or("unknown")
    }

    /// Whether nothing failed that is not known to, and something was run.
    pub fn passed(&self) -> bool {
        self.count(Status::Failed) == 0 && self.count(Status::Passed) + self.count(Status::Known) > 0
    }

    fn count(&self, status: Status) -> usize {
        self.outcomes.iter().filter(|outcome| outcome.status == status).count()
    }

    /// One line: `62 passed, 0 failed, 1 known to fail`.
    pub fn summary(&self) -> String {
        let mut line = format!(
            "{} passed, {} failed, {} known to fail",
            self.count(Status::Passed),
            self.count(Status::Failed),
            self.count(Status::Known),
        );
        match self.count(Status::NotApplicable) {
            0 => {}
            count => line += &format!(", {count} not applicable"),
        }
        line
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = match self.status {
            Status::Passed => "ok",
            Status::Failed => "FAILED",
            Status::Known => "known",
            Status::NotApplicable => "n/a",
        };
        write!(f, "{word:<6} {}", self.id)?;
        if !self.reason.is_empty() {
            write!(f, "\n       {}", self.reason)?;
        }
        Ok(())
    }
}

/// The page with a row for each case and a column for each SDK and carrier.
pub fn matrix(reports: &[Report]) -> String {
    let mut cells: IndexMap<&str, BTreeMap<(usize, &str), Vec<Status>>> = IndexMap::new();
    for (sdk, report) in reports.iter().enumerate() {
        for outcome in &report.outcomes {
            let row = cells.entry(&outcome.case).or_default();
            row.entry((sdk, outcome.carrier.word())).or_default().push(outcome.status);
        }
    }
    let mut page = PREAMBLE.to_owned();
    let columns: Vec<(usize, &str)> = (0..reports.len())
        .flat_map(|sdk| [Carrier::Inline, Carrier::Shm].map(|carrier| (sdk, carrier.word())))
        .collect();
    let heads: Vec<String> =
        columns.iter().map(|&(sdk, carrier)| format!(" {} {carrier} |", reports[sdk].sdk())).collect();
    let _ = writeln!(page, "| case |{}\n|---|{}", heads.concat(), ":-:|".repeat(columns.len()));
    for (case, row) in &cells {
        let marks: Vec<String> =
            columns.iter().map(|column| format!(" {} |", mark(row.get(column)))).collect();
        let _ = writeln!(page, "| `{case}` |{}", marks.concat());
    }
    let _ = writeln!(page);
    for report in reports {
        let _ = writeln!(page, "- {}: {}", report.sdk(), report.summary());
    }
    page
}

const PREAMBLE: &str = "# Conformance\n\nWhich SDK keeps which rule, by carrier. `modrun-conformance matrix` writes \
this page from the reports of its runs; [conformance/README.md](../../conformance/README.md) says how. ✓: all forms \
of the handler pass; ✗: one fails; ◌: one is known to fail; –: the SDK has no such stage; blank: the case is not \
about this carrier.\n\n";

fn mark(statuses: Option<&Vec<Status>>) -> &'static str {
    let has = |status| statuses.is_some_and(|statuses| statuses.contains(&status));
    match statuses {
        None => "",
        Some(_) if has(Status::Failed) => "✗",
        Some(_) if has(Status::Known) => "◌",
        Some(_) if has(Status::Passed) => "✓",
        Some(_) => "–",
    }
}

#[cfg(test)]
mod tests {
    use super::{Outcome, Report, Status, matrix};
    use crate::case::{Carrier, Form};

    fn outcome(status: Status, form: Form, carrier: Carrier) -> Outcome {
        Outcome {
            id: format!("group/case/{}/{}", form.word(), carrier.word()),
            case: "group/case".to_owned(),
            form,
            carrier,
            status,
            reason: String::new(),
            millis: 1,
            sdk: "go 0.1.0".to_owned(),
        }
    }

    #[test]
    fn a_cell_is_as_good_as_its_worst_form() {
        let cases = [
            (vec![Status::Passed, Status::Passed], "✓", true),
            (vec![Status::Passed, Status::Known], "◌", true),
            (vec![Status::Known, Status::Failed], "✗", false),
            (vec![Status::NotApplicable], "–", false),
            (vec![], "", false),
        ];
        for (statuses, mark, passed) in cases {
            let outcomes =
                statuses.into_iter().map(|status| outcome(status, Form::Event, Carrier::Shm)).collect();
            let report = Report { outcomes };
            assert_eq!(report.passed(), passed);
            if !report.outcomes.is_empty() {
                let page = matrix(&[report]);
                assert!(page.contains(&format!("| `group/case` |  | {mark} |\n")), "{page}");
            }
        }
    }

    #[test]
    fn a_summary_is_one_line() {
        let outcomes = vec![
            outcome(Status::Passed, Form::Event, Carrier::Inline),
            outcome(Status::Known, Form::Batch, Carrier::Inline),
        ];
        assert_eq!(Report { outcomes }.summary(), "1 passed, 0 failed, 1 known to fail");
    }
}
