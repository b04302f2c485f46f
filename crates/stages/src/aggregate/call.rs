//! What `values:` says of a column: a function and what it is applied to.

use std::ops::Range;

use modrun_core::{Code, Problem};

/// A function over the rows of a group.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    Count,
    Sum,
    Avg,
    Min,
    Max,
}

impl Function {
    const ALL: [(&'static str, Function); 5] = [
        ("count", Function::Count),
        ("sum", Function::Sum),
        ("avg", Function::Avg),
        ("min", Function::Min),
        ("max", Function::Max),
    ];

    pub(super) fn name(self) -> &'static str {
        Self::ALL[self as usize].0
    }
}

/// `sum(value)`, taken apart.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Call {
    pub(super) function: Function,
    /// The column; none for `count()`.
    pub(super) argument: Option<String>,
    /// Where the column stands in the text.
    pub(super) argument_at: Range<usize>,
}

impl Call {
    /// Reads a function name in any case and a column in parentheses. Whatever stands there is the column's name;
    /// backticks around it, as expressions know them, may stand.
    pub(super) fn parse(text: &str) -> Result<Self, Problem> {
        let whole = || Problem::new(Code::EXPRESSION, format!("`{text}` is no function of a column"));
        let example = "write a function and a column, such as `sum(value)`, or `count()`";
        let (name, rest) =
            text.split_once('(').ok_or_else(|| whole().within(0..text.len()).with_hint(example))?;
        let inner = rest
            .trim_end()
            .strip_suffix(')')
            .ok_or_else(|| unreadable("the closing parenthesis is missing", text.len()..text.len()))?;
        let name_at = trimmed(text, 0..name.len());
        let name = &text[name_at.clone()];
        let function =
            Function::ALL.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).ok_or_else(|| {
                unreadable(format!("there is no function `{name}`"), name_at)
                    .with_nearest(name, Function::ALL.map(|(known, _)| known))
            })?;
        let inner_from = text.len() - rest.len();
        let argument_at = trimmed(text, inner_from..inner_from + inner.len());
        let argument = unquoted(&text[argument_at.clone()]);
        match (function.1, argument) {
            (Function::Count, Some("*")) => {
                Err(unreadable("`*` is no column", argument_at).with_hint("write `count()` to count rows"))
            }
            (Function::Count, argument) => {
                Ok(Self { function: Function::Count, argument: argument.map(str::to_owned), argument_at })
            }
            (function, Some(argument)) => {
                Ok(Self { function, argument: Some(argument.to_owned()), argument_at })
            }
            (function, None) => {
                let message = format!("`{}` needs a column", function.name());
                Err(unreadable(message, 0..text.len())
                    .with_hint(format!("such as `{}(value)`", function.name())))
            }
        }
    }
}

fn unreadable(message: impl Into<String>, at: Range<usize>) -> Problem {
    Problem::new(Code::EXPRESSION, message).within(at)
}

/// The range without white space at its ends.
fn trimmed(text: &str, range: Range<usize>) -> Range<usize> {
    let part = &text[range.clone()];
    let from = range.start + part.len() - part.trim_start().len();
    from..from + part.trim().len()
}

/// A name without the backticks around it; none where there is nothing.
fn unquoted(name: &str) -> Option<&str> {
    let bare = name.strip_prefix('`').and_then(|name| name.strip_suffix('`')).unwrap_or(name);
    (!bare.is_empty()).then_some(bare)
}
