//! From a tree to steps: columns are found, types settled, literals turned into what they are compared with.
//!
//! Both sides of an operator are bound before it is judged, so that every problem is found at once; a part that
//! has a problem is [`None`] and silences what stands above it.

use std::ops::Range;

use arrow_schema::Schema;
use modrun_core::value::timestamp;
use modrun_core::{Code, Problem, Type};

use super::bound::{BoundExpression, Step, Test};
use super::logic::Junction;
use super::syntax::{Comparison, Form, Function, Node, Operator};
use super::text::{Case, Text};
use super::vector::{Numbers, Values};

/// Binds a tree, written as `text`, to the columns of `schema`.
pub(super) fn bind(text: &str, root: &Node, schema: &Schema) -> Result<BoundExpression, Vec<Problem>> {
    let mut binder = Binder { text, schema, columns: Vec::new(), causes: Vec::new(), problems: Vec::new() };
    let bound = binder.bind(root);
    if let Some(Typed { of: None, at, .. }) = &bound {
        binder.note(
            at,
            "`null` alone has no type",
            "compute it from a column, as in `coalesce(column, null)`",
        );
    }
    match bound {
        Some(Typed { step, of: Some(data_type), .. }) if binder.problems.is_empty() => {
            Ok(BoundExpression { root: step, data_type, columns: binder.columns, causes: binder.causes })
        }
        _ => Err(binder.problems),
    }
}

struct Binder<'a> {
    text: &'a str,
    schema: &'a Schema,
    columns: Vec<(String, Type)>,
    causes: Vec<String>,
    problems: Vec<Problem>,
}

/// A bound part of an expression.
#[derive(Clone)]
struct Typed {
    step: Step,
    /// Its type; none if it is always null, which fits everywhere.
    of: Option<Type>,
    at: Range<usize>,
}

impl Typed {
    /// The step, with a type for null where it has none.
    fn or_null(self, of: Type) -> Step {
        if self.of.is_none() { Step::Null(of) } else { self.step }
    }
}

impl Binder<'_> {
    fn bind(&mut self, node: &Node) -> Option<Typed> {
        let (step, of) = match &node.form {
            Form::Null => (Step::Null(Type::Bool), None),
            Form::Bool(value) => (Step::Bool(*value), Some(Type::Bool)),
            Form::Integer(value) => (Step::Constant(Values::Int(Numbers::One(*value))), Some(Type::Int64)),
            Form::Float(value) => (Step::Constant(Values::Float(Numbers::One(*value))), Some(Type::Float64)),
            Form::Text(text) => {
                (Step::Constant(Values::Text(Text::One(text.as_str().into()))), Some(Type::String))
            }
            Form::Column(name) => self.column(name, &node.at)?,
            Form::Not(inner) => (Step::Not(Box::new(self.bool(inner, "not")?)), Some(Type::Bool)),
            Form::And(parts) => self.join(Junction::And, parts, "and")?,
            Form::Or(parts) => self.join(Junction::Or, parts, "or")?,
            Form::Compare(comparison, left, right) => self.compare(*comparison, left, right)?,
            Form::In(needle, items) => self.find(needle, items)?,
            Form::IsNull(inner) => (Step::IsNull(Box::new(self.bind(inner)?.step)), Some(Type::Bool)),
            Form::Arithmetic(operator, left, right) => {
                let (left, right) = (self.bind(left), self.bind(right));
                self.arithmetic(*operator, left?, right?, &node.at)?
            }
            Form::Negate(inner) => self.negate(inner, &node.at)?,
            Form::Call(Function::Coalesce, arguments) => self.coalesce(arguments)?,
            Form::Call(function, arguments) => self.call(*function, arguments)?,
        };
        Some(Typed { step, of, at: node.at.clone() })
    }

    fn column(&mut self, name: &str, at: &Range<usize>) -> Option<(Step, Option<Type>)> {
        if let Some(index) = self.columns.iter().position(|(known, _)| known == name) {
            return Some((Step::Column(index), Some(self.columns[index].1)));
        }
        let Ok(field) = self.schema.field_with_name(name) else {
            let known = self.schema.fields().iter().map(|field| field.name().as_str());
            let problem = Problem::new(Code::UNKNOWN_COLUMN, format!("there is no column `{name}` here"));
            self.problems.push(problem.within(at.clone()).with_nearest(name, known));
            return None;
        };
        let Some(data_type) = Type::from_arrow(field.data_type()) else {
            let message = format!("`{name}` is {}, which no link carries", field.data_type());
            return self.wrong(at, message, "leave it out");
        };
        self.columns.push((name.to_owned(), data_type));
        Some((Step::Column(self.columns.len() - 1), Some(data_type)))
    }

    /// Binds a part that `keyword` takes, which must be bool.
    fn bool(&mut self, node: &Node, keyword: &str) -> Option<Step> {
        let typed = self.bind(node)?;
        match typed.of {
            None | Some(Type::Bool) => Some(typed.or_null(Type::Bool)),
            Some(of) => {
                let message = format!("`{keyword}` takes bool, but {} is {of}", self.spell(&typed.at));
                self.wrong(&typed.at, message, "compare it with a value")
            }
        }
    }

    fn join(&mut self, junction: Junction, parts: &[Node], keyword: &str) -> Option<(Step, Option<Type>)> {
        let parts: Vec<_> = parts.iter().map(|part| self.bool(part, keyword)).collect();
        Some((Step::Join(junction, parts.into_iter().collect::<Option<_>>()?), Some(Type::Bool)))
    }

    fn compare(&mut self, comparison: Comparison, left: &Node, right: &Node) -> Option<(Step, Option<Type>)> {
        let (left, right) = (self.bind(left), self.bind(right));
        let (left, right) = (left?, right?);
        let at = left.at.start..right.at.end;
        let (left, right) = self.comparable(left, right, &at)?;
        let of = left.of.or(right.of).unwrap_or(Type::Bool);
        if of == Type::Bool && comparison.is_order() {
            return self.wrong(&at, "bool has no order", "compare it with `=` or `!=`");
        }
        let (left, right) = (left.or_null(of), right.or_null(of));
        Some((Step::Compare(comparison, Box::new(left), Box::new(right)), Some(Type::Bool)))
    }

    fn find(&mut self, needle: &Node, items: &[Node]) -> Option<(Step, Option<Type>)> {
        let (needle, items) = (self.bind(needle), self.bind_all(items));
        let (mut needle, items) = (needle?, items?);
        // All items are compared with one needle: it becomes a timestamp before the first of them.
        if needle.of == Some(Type::String) && items.iter().any(|item| item.of == Some(Type::Timestamp)) {
            needle = self.moment(needle)?;
        }
        let of = needle.of.or(items.iter().find_map(|item| item.of)).unwrap_or(Type::Bool);
        needle = Typed { of: Some(of), at: needle.at.clone(), step: needle.or_null(of) };
        let fit = |item: Typed| {
            let at = item.at.clone();
            Some(self.comparable(needle.clone(), item, &at)?.1.or_null(of))
        };
        let items: Vec<_> = items.into_iter().map(fit).collect();
        Some((Step::In(Box::new(needle.step), items.into_iter().collect::<Option<_>>()?), Some(Type::Bool)))
    }

    fn coalesce(&mut self, arguments: &[Node]) -> Option<(Step, Option<Type>)> {
        let parts = self.bind_all(arguments)?;
        let has = |of| parts.iter().any(|part| part.of == Some(of));
        let of = match parts.iter().find_map(|part| part.of) {
            None => return Some((Step::Null(Type::Bool), None)),
            Some(Type::Int64) if has(Type::Float64) => Type::Float64,
            Some(Type::String) if has(Type::Timestamp) => Type::Timestamp,
            Some(of) => of,
        };
        let fit = |part: Typed| match part.of {
            Some(Type::Int64) if of == Type::Float64 => Some(to_float(part)),
            Some(Type::String) if of == Type::Timestamp => Some(self.moment(part)?.step),
            Some(Type::Binary) => self.wrong(&part.at, "`coalesce` does not take binary", "leave it out"),
            Some(other) if other != of => {
                let message = format!("{} is {other}, but `coalesce` gives {of} here", self.spell(&part.at));
                self.wrong(&part.at, message, "give it values of one type")
            }
            _ => Some(part.or_null(of)),
        };
        let parts: Vec<_> = parts.into_iter().map(fit).collect();
        Some((Step::Coalesce(parts.into_iter().collect::<Option<_>>()?), Some(of)))
    }

    fn call(&mut self, function: Function, arguments: &[Node]) -> Option<(Step, Option<Type>)> {
        let bound: Vec<_> = arguments.iter().map(|argument| self.string(argument, function)).collect();
        let mut bound = bound.into_iter().collect::<Option<Vec<_>>>()?.into_iter().map(Box::new);
        let mut next = || bound.next().expect("the parser counted the arguments");
        Some(match function {
            Function::StartsWith => (Step::Test(Test::StartsWith, next(), next()), Some(Type::Bool)),
            Function::EndsWith => (Step::Test(Test::EndsWith, next(), next()), Some(Type::Bool)),
            Function::Contains => (Step::Test(Test::Contains, next(), next()), Some(Type::Bool)),
            Function::Lower => (Step::ToCase(Case::Lower, next()), Some(Type::String)),
            Function::Upper => (Step::ToCase(Case::Upper, next()), Some(Type::String)),
            Function::Length => (Step::Length(next()), Some(Type::Int64)),
            Function::Coalesce => unreachable!("`coalesce` is bound by itself, as it takes any type"),
        })
    }

    /// Binds an argument of a string function.
    fn string(&mut self, node: &Node, function: Function) -> Option<Step> {
        let typed = self.bind(node)?;
        match typed.of {
            None | Some(Type::String) => Some(typed.or_null(Type::String)),
            Some(of) => {
                let message =
                    format!("`{}` takes strings, but {} is {of}", function.name(), self.spell(&typed.at));
                self.wrong(&typed.at, message, "give it a string column or a value in quotes")
            }
        }
    }

    fn arithmetic(
        &mut self,
        operator: Operator,
        left: Typed,
        right: Typed,
        at: &Range<usize>,
    ) -> Option<(Step, Option<Type>)> {
        let (left_fits, right_fits) = (self.number(&left, operator), self.number(&right, operator));
        if !(left_fits && right_fits) {
            return None;
        }
        let is_float = |typed: &Typed| typed.of == Some(Type::Float64);
        if is_float(&left) || is_float(&right) {
            let (left, right) = (Box::new(to_float(left)), Box::new(to_float(right)));
            return Some((Step::Arithmetic { operator, left, right, cause: None }, Some(Type::Float64)));
        }
        let (left, right) = (left.or_null(Type::Int64), right.or_null(Type::Int64));
        let divides = matches!(operator, Operator::Divide | Operator::Remainder);
        let safe =
            divides && matches!(right, Step::Constant(Values::Int(Numbers::One(divisor))) if divisor != 0);
        let cause = (!safe).then(|| {
            let fault = if divides { "divides by zero" } else { "leaves the range of int64" };
            self.causes.push(format!("{} {fault}", self.spell(at)));
            self.causes.len() - 1
        });
        let of = if operator == Operator::Divide { Type::Float64 } else { Type::Int64 };
        Some((Step::Arithmetic { operator, left: Box::new(left), right: Box::new(right), cause }, Some(of)))
    }

    /// `-x` as `0 - x`, or as `x * -1` for floats, where `0 - 0` would lose the sign.
    fn negate(&mut self, inner: &Node, at: &Range<usize>) -> Option<(Step, Option<Type>)> {
        let inner = self.bind(inner)?;
        let constant = |values| Typed { step: Step::Constant(values), of: inner.of, at: at.clone() };
        if inner.of == Some(Type::Float64) {
            let minus_one = constant(Values::Float(Numbers::One(-1.0)));
            return self.arithmetic(Operator::Multiply, inner, minus_one, at);
        }
        let zero = Typed { of: Some(Type::Int64), ..constant(Values::Int(Numbers::One(0))) };
        self.arithmetic(Operator::Subtract, zero, inner, at)
    }

    /// Whether a side of an operator is a number; if not, that is a problem.
    fn number(&mut self, typed: &Typed, operator: Operator) -> bool {
        match typed.of {
            None | Some(Type::Int64 | Type::Float64) => true,
            Some(of) => {
                let message =
                    format!("`{}` takes numbers, but {} is {of}", operator.symbol(), self.spell(&typed.at));
                self.note(&typed.at, message, "use a column of type int64 or float64");
                false
            }
        }
    }

    /// Both sides of a comparison, literals in the type of the other side; a problem at `at` if they do not fit.
    fn comparable(&mut self, left: Typed, right: Typed, at: &Range<usize>) -> Option<(Typed, Typed)> {
        let (Some(left_of), Some(right_of)) = (left.of, right.of) else { return Some((left, right)) };
        match (left_of, right_of) {
            (Type::Int64, Type::Float64) | (Type::Float64, Type::Int64) => {
                Some((exactly(left, right_of), exactly(right, left_of)))
            }
            (Type::Timestamp, Type::String) => Some((left, self.moment(right)?)),
            (Type::String, Type::Timestamp) => Some((self.moment(left)?, right)),
            (Type::Binary, _) | (_, Type::Binary) => {
                self.wrong(at, "binary cannot be compared", "test it with `is null` or `is not null`")
            }
            _ if left_of == right_of => Some((left, right)),
            _ => {
                let (l, r) = (self.spell(&left.at), self.spell(&right.at));
                let message = format!("{l} is {left_of} and {r} is {right_of}: they cannot be compared");
                let hint = self.advice(&left, &right).or_else(|| self.advice(&right, &left));
                self.wrong(at, message, hint.unwrap_or_else(|| "compare values of one type".to_owned()))
            }
        }
    }

    /// What to write instead of the literal that does not fit `other`.
    fn advice(&self, literal: &Typed, other: &Typed) -> Option<String> {
        match (&literal.step, other.of?) {
            (Step::Constant(Values::Text(Text::One(text))), Type::Int64 | Type::Float64)
                if text.parse::<f64>().is_ok() =>
            {
                Some(format!("write {text} without quotes"))
            }
            (Step::Constant(Values::Text(Text::One(text))), Type::Bool)
                if ["true", "false"].contains(&&**text) =>
            {
                Some(format!("write {text} without quotes"))
            }
            (Step::Constant(Values::Int(_) | Values::Float(_)) | Step::Bool(_), Type::String) => {
                Some(format!("write it in quotes: '{}'", &self.text[literal.at.clone()]))
            }
            _ => None,
        }
    }

    /// The moment that a string literal names.
    fn moment(&mut self, typed: Typed) -> Option<Typed> {
        let hint = "write it as '2026-01-01T00:00:00Z'";
        let Step::Constant(Values::Text(Text::One(text))) = &typed.step else {
            let message = format!("{} is string, but a timestamp stands beside it", self.spell(&typed.at));
            return self.wrong(&typed.at, message, "only a value in quotes can be read as a timestamp");
        };
        let Some(micros) = timestamp::parse(text.as_bytes()) else {
            let message = format!("{} is no timestamp with an offset or `Z`", self.spell(&typed.at));
            return self.wrong(&typed.at, message, hint);
        };
        let step = Step::Constant(Values::Time(Numbers::One(micros)));
        Some(Typed { step, of: Some(Type::Timestamp), at: typed.at })
    }

    fn bind_all(&mut self, nodes: &[Node]) -> Option<Vec<Typed>> {
        let bound: Vec<_> = nodes.iter().map(|node| self.bind(node)).collect();
        bound.into_iter().collect()
    }

    /// Notes a problem with types, and that nothing came of the part.
    fn wrong<T>(
        &mut self,
        at: &Range<usize>,
        message: impl Into<String>,
        hint: impl Into<String>,
    ) -> Option<T> {
        self.note(at, message, hint);
        None
    }

    fn note(&mut self, at: &Range<usize>, message: impl Into<String>, hint: impl Into<String>) {
        let problem = Problem::new(Code::WRONG_TYPE, message).within(at.clone()).with_hint(hint);
        self.problems.push(problem);
    }

    /// A part as it was written, in backticks; a long one is cut.
    fn spell(&self, at: &Range<usize>) -> String {
        const SHOWN_MAX: usize = 60;
        let written = self.text[at.clone()].replace('`', "");
        match written.char_indices().nth(SHOWN_MAX) {
            Some((end, _)) => format!("`{}…`", &written[..end]),
            None => format!("`{written}`"),
        }
    }
}

/// An integer as a float, rounded to the nearest.
fn to_float(typed: Typed) -> Step {
    match (typed.of, typed.step) {
        (None, _) => Step::Null(Type::Float64),
        (_, Step::Constant(Values::Int(Numbers::One(value)))) => {
            Step::Constant(Values::Float(Numbers::One(value as f64)))
        }
        (Some(Type::Int64), step) => Step::ToFloat(Box::new(step)),
        (_, step) => step,
    }
}

/// A number literal as the other kind of number where that has the same value.
fn exactly(typed: Typed, other: Type) -> Typed {
    let values = match &typed.step {
        Step::Constant(Values::Int(Numbers::One(value))) if (*value as f64) as i128 == i128::from(*value) => {
            Values::Float(Numbers::One(*value as f64))
        }
        Step::Constant(Values::Float(Numbers::One(value)))
            if value.fract() == 0.0 && value.abs() < i64::MAX as f64 =>
        {
            Values::Int(Numbers::One(*value as i64))
        }
        _ => return typed,
    };
    Typed { step: Step::Constant(values), of: Some(other), at: typed.at }
}
