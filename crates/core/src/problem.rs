//! What is wrong with a pipeline, found before anything runs.

use std::fmt;
use std::ops::Range;

/// The stable name of an error that a user can cause, such as `E101`; `modrun explain E101` prints its page.
///
/// `E0xx`: the pipeline file, found by `modrun check`. `E1xx`: the run. Each has a page in `docs/errors/`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Code(pub &'static str);

impl Code {
    /// The file is not YAML that can be read.
    pub const YAML: Code = Code("E001");
    /// A key that means nothing here.
    pub const UNKNOWN_KEY: Code = Code("E002");
    /// A key that must be there is not.
    pub const MISSING_KEY: Code = Code("E003");
    /// A value of the wrong type or outside its range.
    pub const WRONG_VALUE: Code = Code("E004");
    /// `use:` names a kind of stage that does not exist.
    pub const UNKNOWN_KIND: Code = Code("E005");
    /// `from:` or `placement:` names a stage that does not exist.
    pub const UNKNOWN_STAGE: Code = Code("E006");
    /// Stages that feed each other in a circle.
    pub const CYCLE: Code = Code("E007");
    /// The stages do not form one chain from a source to a sink.
    pub const NOT_A_CHAIN: Code = Code("E008");
    /// A column that the stage before does not give.
    pub const UNKNOWN_COLUMN: Code = Code("E009");
    /// A type that the expression or stage cannot take.
    pub const WRONG_TYPE: Code = Code("E010");
    /// An expression that cannot be read.
    pub const EXPRESSION: Code = Code("E011");
    /// `placement:` does not say how a stage can run.
    pub const PLACEMENT: Code = Code("E012");
    /// `out:` is not what the stage hands on.
    pub const OUTPUT_COLUMNS: Code = Code("E013");
    /// The input cannot be opened or read.
    pub const INPUT: Code = Code("E101");
    /// The output cannot be written.
    pub const OUTPUT: Code = Code("E102");
    /// More dead letters than `limits.dead_letters` allows.
    pub const DEAD_LETTERS: Code = Code("E103");
    /// A sum left the range of int64.
    pub const OVERFLOW: Code = Code("E104");
    /// The results differ from the expected ones.
    pub const VERIFY: Code = Code("E105");
    /// A stage's own code failed or panicked.
    pub const STAGE: Code = Code("E106");
    /// The program of a stage cannot be started, or is not ready in time.
    pub const START: Code = Code("E107");
    /// The process of a stage ended before it was done.
    pub const PROCESS_ENDED: Code = Code("E108");
    /// The process of a stage broke the stage protocol, or its columns are not those of the plan.
    pub const PROTOCOL: Code = Code("E109");
    /// The program of a stage cannot be built.
    pub const BUILD: Code = Code("E110");
}

impl fmt::Display for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl fmt::Debug for Code {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

/// One step of a path into a configuration.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Segment {
    /// The value under a key.
    Key(String),
    /// The element at a position.
    Index(usize),
}

impl From<&str> for Segment {
    fn from(key: &str) -> Self {
        Segment::Key(key.to_owned())
    }
}

impl From<String> for Segment {
    fn from(key: String) -> Self {
        Segment::Key(key)
    }
}

impl From<usize> for Segment {
    fn from(index: usize) -> Self {
        Segment::Index(index)
    }
}

/// One thing wrong in a configuration, at a path relative to it; `modrun-plan` maps the path to a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which error this is.
    pub code: Code,
    /// Where, from the root of the configuration that was checked.
    pub path: Vec<Segment>,
    /// Whether the key itself is wrong, rather than its value.
    pub at_key: bool,
    /// The byte range inside the text value, for a problem in an expression.
    pub within: Option<Range<usize>>,
    /// What is wrong, lowercase, names in backticks.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
}

impl Problem {
    /// A problem with the value at the root of the configuration; [`Problem::at`] moves it.
    pub fn new(code: Code, message: impl Into<String>) -> Self {
        Self { code, path: Vec::new(), at_key: false, within: None, message: message.into(), hint: None }
    }

    /// Prefixes the path by one step: what a parent does with its child's problems.
    pub fn at(mut self, segment: impl Into<Segment>) -> Self {
        self.path.insert(0, segment.into());
        self
    }

    /// Points at the key at the end of the path.
    pub fn on_key(mut self) -> Self {
        self.at_key = true;
        self
    }

    /// Points at a byte range inside the text value.
    pub fn within(mut self, range: Range<usize>) -> Self {
        self.within = Some(range);
        self
    }

    /// Adds what to do about it.
    pub fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds the nearest of `known` names as a hint, or the list of them where none is near.
    pub fn with_nearest<'a>(self, name: &str, known: impl IntoIterator<Item = &'a str>) -> Self {
        let known: Vec<&str> = known.into_iter().collect();
        match nearest(name, known.iter().copied()) {
            Some(near) => self.with_hint(format!("did you mean `{near}`?")),
            None if known.is_empty() => self,
            None => self.with_hint(format!("known here: {}", known.join(", "))),
        }
    }
}

/// The name of `known` that `name` most likely stands for, if any is within a third of its length in edits.
pub fn nearest<'a>(name: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let allowed = (name.chars().count() / 3).max(1);
    known
        .into_iter()
        .map(|k| (edits(name, k), k))
        .filter(|(d, _)| *d <= allowed)
        .min_by_key(|(d, _)| *d)
        .map(|(_, k)| k)
}

/// Levenshtein distance with transpositions, ignoring case.
fn edits(a: &str, b: &str) -> usize {
    let a: Vec<char> = a.to_lowercase().chars().collect();
    let b: Vec<char> = b.to_lowercase().chars().collect();
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i];
        for j in 1..=b.len() {
            let substituted = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = substituted.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row.push(best);
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::nearest;

    #[test]
    fn the_nearest_name_is_found_and_a_far_one_is_not() {
        let known = ["path", "block", "where"];
        assert_eq!(nearest("paht", known), Some("path"));
        assert_eq!(nearest("Where", known), Some("where"));
        assert_eq!(nearest("blokc", known), Some("block"));
        assert_eq!(nearest("separator", known), None);
    }
}
