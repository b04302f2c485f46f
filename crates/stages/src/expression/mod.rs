//! Column expressions: what `where:` of `filter` and `columns:` of `project` say.
//!
//! An [`Expression`] is text that has been read; bound to a schema it is a [`BoundExpression`], whose columns and
//! types are known and which evaluates whole batches.
//!
//! ```text
//!   text ──parse──▶ Expression ──bind(schema)──▶ BoundExpression ──evaluate(batch)──▶ Evaluated
//!        Problem               Vec<Problem>                        Error (the batch's fault)
//! ```
//!
//! # The language
//! From loose to tight: `or`; `and`; `not`; `= == != <> < <= > >=`, `in (a, b)`, `not in (a, b)`, `is null`,
//! `is not null`; `+ -`; `* / %`; unary `-`; parentheses. Values are numbers, `'strings'` or `"strings"` (a doubled
//! quote stands for itself), `true`, `false` and `null`; columns are bare names or, where a name is a keyword or
//! holds other characters, stand in backticks. Functions: `starts_with`, `ends_with`, `contains`, `lower`, `upper`,
//! `length` (in characters) and `coalesce`. Keywords and functions are written in any case.
//!
//! # Rules
//! - Null is a value that is not known: every operator and function on it gives null, except that `false and null`
//!   is false, `true or null` is true, and `is null` and `coalesce` look at it.
//! - int64 arithmetic is exact: leaving its range, and dividing by zero, is an error of that row. `/` of integers
//!   gives a float, `%` takes the sign of the dividend. Where a float takes part the other side is rounded to a
//!   float, and IEEE 754 decides: dividing by zero gives an infinity or NaN, and NaN equals nothing.
//! - An integer and a float are compared by their exact values. Strings are ordered by their bytes. A string literal
//!   beside a timestamp is read as RFC 3339.
//! - A row behaves as if evaluated from left to right and only as far as needed: where `x` is 0,
//!   `x != 0 and 10 / x > 1` is false and no error; `or`, `in` and `coalesce` stop as early.
//!
//! Guarantees: the result of a row depends on that row only, not on its batch or its encoding; a dictionary's values
//! are looked at once per batch; nesting is bounded, so that no text overflows the stack.
//!
//! Refuses: converting between strings and numbers, regular expressions, functions of the user's own.

mod bind;
mod bits;
mod bound;
mod logic;
mod number;
mod parse;
mod syntax;
#[cfg(test)]
mod tests;
mod text;
mod token;
mod vector;

use std::collections::BTreeSet;

use arrow_schema::Schema;
use modrun_core::Problem;

pub use bound::{BoundExpression, Evaluated};
use syntax::{Form, Node};

/// An expression that has been read.
#[derive(Clone, Debug, PartialEq)]
pub struct Expression {
    text: String,
    root: Node,
}

impl Expression {
    /// Reads an expression.
    ///
    /// # Errors
    /// The first problem, with its byte range in `text`.
    pub fn parse(text: &str) -> Result<Self, Problem> {
        Ok(Self { text: text.to_owned(), root: parse::parse(text)? })
    }

    /// The expression that picks a column, whatever its name is.
    pub fn column(name: &str) -> Self {
        let root = Node { form: Form::Column(name.to_owned()), at: 0..name.len(), depth: 1 };
        Self { text: name.to_owned(), root }
    }

    /// Finds its columns in `schema` and settles all types.
    ///
    /// # Errors
    /// All problems: columns that do not exist, and types that do not fit.
    pub fn bind(&self, schema: &Schema) -> Result<BoundExpression, Vec<Problem>> {
        bind::bind(&self.text, &self.root, schema)
    }

    /// The names of the columns that it reads.
    pub fn columns(&self) -> BTreeSet<&str> {
        let mut names = BTreeSet::new();
        let mut rest = vec![&self.root];
        while let Some(node) = rest.pop() {
            if let Form::Column(name) = &node.form {
                names.insert(name.as_str());
            }
            rest.extend(node.form.parts());
        }
        names
    }
}
