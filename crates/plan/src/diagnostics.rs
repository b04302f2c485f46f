//! Everything that is wrong with a pipeline, for a person and for a machine.
//!
//! What it is: problems with their code, place and hint, sorted by place.
//!
//! Guarantees: never empty; the position for a machine is the one that a person sees; lines and columns count from
//! 1, columns in characters.
//!
//! Refuses: deciding what is a problem, and keeping more than [`KEPT_MAX`] of them.
//!
//! Neighbours: `document` knows the place of a path; the renderer is `annotate-snippets`.

use std::fmt;

use annotate_snippets::{AnnotationKind, Group, Level, Origin, Renderer, Snippet};
use modrun_core::{Code, Problem, Segment};
use serde::{Serialize, Serializer};

use crate::document::Document;
use crate::yaml::Place;

/// The most problems that are kept; the rest is counted.
const KEPT_MAX: usize = 100;

/// Everything that is wrong with a pipeline, in the order of its text; never empty. Beyond the first 100, problems
/// are counted only.
#[derive(Clone, Serialize)]
#[serde(transparent)]
pub struct Diagnostics {
    problems: Vec<Diagnostic>,
    /// How many there are beyond those that are kept.
    #[serde(skip)]
    omitted: usize,
    #[serde(skip)]
    texts: Vec<Text>,
}

/// One thing that is wrong, as a machine reads it.
#[derive(Clone, Debug, Serialize)]
pub struct Diagnostic {
    /// Which error this is.
    #[serde(serialize_with = "code_as_text")]
    pub code: Code,
    /// What is wrong: lowercase, names in backticks.
    pub message: String,
    /// The file, or `command line` for an override; the pipeline's name where it was made in code.
    pub file: String,
    /// The line, from 1; `None` where there is no text.
    pub line: Option<usize>,
    /// The column in characters, from 1; `None` where there is no text.
    pub column: Option<usize>,
    /// The path of the key or value, such as `stages.rules.with.where`; `None` where the text cannot be read.
    pub path: Option<String>,
    /// What to do about it.
    pub hint: Option<String>,
    #[serde(skip)]
    place: Option<Place>,
    #[serde(skip)]
    also: Option<(Place, &'static str)>,
}

/// One of the texts that a pipeline comes from.
#[derive(Clone, Debug)]
pub(crate) struct Text {
    label: String,
    pub(crate) text: String,
    numbered: bool,
}

/// A problem whose place in the texts is known.
#[derive(Clone, Debug)]
pub(crate) struct Finding {
    code: Code,
    message: String,
    hint: Option<String>,
    path: Option<String>,
    place: Place,
    also: Option<(Place, &'static str)>,
}

impl Diagnostics {
    /// The problems, in the order of the text.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Diagnostic> {
        self.problems.iter()
    }

    /// The problems as text, one block each, in the style of rustc; `color` adds ANSI escapes.
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut blocks: Vec<String> =
            self.problems.iter().map(|problem| self.render_one(problem, &renderer)).collect();
        if self.omitted > 0 {
            blocks.push(format!("... and {} more", self.omitted));
        }
        blocks.join("\n\n")
    }

    fn render_one(&self, problem: &Diagnostic, renderer: &Renderer) -> String {
        let mut group = Group::with_title(Level::ERROR.primary_title(&problem.message).id(problem.code.0));
        group = match &problem.place {
            Some(place) => group.element(self.snippet(place, problem.also.as_ref())),
            None => group.element(Origin::path(match &problem.path {
                Some(path) => format!("{}: {path}", problem.file),
                None => problem.file.clone(),
            })),
        };
        if let Some(hint) = &problem.hint {
            group = group.element(Level::HELP.message(hint));
        }
        renderer.render(&[group])
    }

    /// The lines from the first to the last place; whole texts would be read again for each problem.
    fn snippet<'a>(
        &'a self,
        place: &Place,
        also: Option<&'a (Place, &'static str)>,
    ) -> Snippet<'a, annotate_snippets::Annotation<'a>> {
        let Text { label, text, numbered } = &self.texts[place.text];
        let also = also.filter(|(other, _)| other.text == place.text);
        let starts = || also.iter().map(|(other, _)| other.range.start).chain([place.range.start]);
        let first = line_start(text, starts().min().unwrap_or_default());
        let last = line_end(text, starts().max().unwrap_or_default());
        let on_one_line = |place: &Place| {
            let end = place.range.end.min(line_end(text, place.range.start));
            place.range.start - first..end.max(place.range.start) - first
        };
        let annotations =
            also.iter().map(|(other, label)| AnnotationKind::Context.span(on_one_line(other)).label(*label));
        Snippet::source(&text[first..last])
            .path(label)
            .line_start(position(text, first).0)
            .line_numbering(*numbered)
            .annotation(AnnotationKind::Primary.span(on_one_line(place)))
            .annotations(annotations)
    }

    /// The problems of a text that is not YAML.
    pub(crate) fn of_text(file: &str, text: &str, findings: Vec<Finding>) -> Self {
        Self::located(vec![Text::of_file(file, text)], findings)
    }

    /// The problems of a document: those with a place, and those with a path into it.
    pub(crate) fn of_document(
        document: Document,
        mut findings: Vec<Finding>,
        problems: Vec<Problem>,
    ) -> Self {
        findings.extend(problems.into_iter().map(|problem| {
            let place = document.place(&problem);
            Finding::of_problem(problem, place)
        }));
        Self::located(document.texts, findings)
    }

    /// The problems of a pipeline made in code.
    pub(crate) fn of_spec(pipeline: &str, problems: Vec<Problem>) -> Self {
        let diagnostic = |problem: Problem| Diagnostic {
            code: problem.code,
            path: Some(dotted(&problem.path)).filter(|path| !path.is_empty()),
            message: problem.message,
            file: pipeline.to_owned(),
            line: None,
            column: None,
            hint: problem.hint,
            place: None,
            also: None,
        };
        let omitted = problems.len().saturating_sub(KEPT_MAX);
        let problems = problems.into_iter().take(KEPT_MAX).map(diagnostic).collect();
        Self { problems, omitted, texts: Vec::new() }
    }

    fn located(texts: Vec<Text>, mut findings: Vec<Finding>) -> Self {
        findings.sort_by_key(|f| (f.place.text, f.place.range.start, f.code));
        let diagnostic = |finding: Finding| {
            let text = &texts[finding.place.text];
            let (line, column) = position(&text.text, finding.place.range.start);
            Diagnostic {
                code: finding.code,
                message: finding.message,
                file: text.label.clone(),
                line: Some(line),
                column: Some(column),
                path: finding.path,
                hint: finding.hint,
                place: Some(finding.place),
                also: finding.also,
            }
        };
        let omitted = findings.len().saturating_sub(KEPT_MAX);
        let problems = findings.into_iter().take(KEPT_MAX).map(diagnostic).collect();
        Self { problems, omitted, texts }
    }
}

impl<'a> IntoIterator for &'a Diagnostics {
    type Item = &'a Diagnostic;
    type IntoIter = std::slice::Iter<'a, Diagnostic>;

    fn into_iter(self) -> Self::IntoIter {
        self.problems.iter()
    }
}

impl fmt::Display for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

/// As [`fmt::Display`], because this is what `unwrap` and `main` print.
impl fmt::Debug for Diagnostics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "\n{self}")
    }
}

impl std::error::Error for Diagnostics {}

impl Text {
    /// A file; a byte order mark is no part of it.
    pub(crate) fn of_file(label: &str, text: &str) -> Self {
        let text = text.strip_prefix('\u{feff}').unwrap_or(text);
        Self { label: label.to_owned(), text: text.to_owned(), numbered: true }
    }

    /// An override, as its author typed it.
    pub(crate) fn of_command_line(text: &str) -> Self {
        Self { label: "command line".to_owned(), text: text.to_owned(), numbered: false }
    }
}

impl Finding {
    pub(crate) fn new(code: Code, place: Place, message: impl Into<String>) -> Self {
        Self { code, message: message.into(), hint: None, path: None, place, also: None }
    }

    pub(crate) fn of_problem(problem: Problem, place: Place) -> Self {
        let path = Some(dotted(&problem.path)).filter(|path| !path.is_empty());
        Self { code: problem.code, message: problem.message, hint: problem.hint, path, place, also: None }
    }

    pub(crate) fn with_hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// Adds a second place, with what is there.
    pub(crate) fn with_also(mut self, place: Place, label: &'static str) -> Self {
        self.also = Some((place, label));
        self
    }
}

/// A path as `--set` takes it.
fn dotted(path: &[Segment]) -> String {
    let segment = |segment: &Segment| match segment {
        Segment::Key(key) if key.contains(['.', '=']) => format!("\"{key}\""),
        Segment::Key(key) => key.clone(),
        Segment::Index(index) => index.to_string(),
    };
    path.iter().map(segment).collect::<Vec<_>>().join(".")
}

/// Line and column of a byte, both from 1.
fn position(text: &str, at: usize) -> (usize, usize) {
    let start = line_start(text, at);
    let line = text[..start].bytes().filter(|b| *b == b'\n').count() + 1;
    (line, text[start..at].chars().count() + 1)
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |newline| newline + 1)
}

fn line_end(text: &str, at: usize) -> usize {
    let end = text[at..].find('\n').map_or(text.len(), |newline| at + newline);
    if text[at..end].ends_with('\r') { end - 1 } else { end }
}

fn code_as_text<S: Serializer>(code: &Code, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(code)
}
