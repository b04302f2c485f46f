//! An expression whose columns and types are known, and how a batch goes through it.

use arrow_array::{ArrayRef, RecordBatch};
use arrow_buffer::{BooleanBuffer, NullBuffer};
use modrun_core::{Error, Result, Type};

use super::logic::{self, Junction};
use super::number::{self, Checked};
use super::syntax::{Comparison, Operator};
use super::text::{Case, Text};
use super::vector::{Fault, Values, Vector};

/// An expression that fits the columns it was bound to.
#[derive(Clone, Debug)]
pub struct BoundExpression {
    pub(super) root: Step,
    pub(super) data_type: Type,
    /// The columns that it reads, each once.
    pub(super) columns: Vec<(String, Type)>,
    /// What may go wrong in a row, one sentence for each operation that can fail.
    pub(super) causes: Vec<String>,
}

/// The result of an expression over a batch.
#[derive(Clone, Debug)]
pub struct Evaluated {
    /// One value per row, of the type that [`BoundExpression::data_type`] tells; strings may be dictionary-encoded. The
    /// value of a row in `errors` means nothing.
    pub column: ArrayRef,
    /// The rows that failed, in order and each once, and why.
    pub errors: Vec<(usize, String)>,
}

/// One step of an evaluation; its type is settled.
#[derive(Clone, Debug)]
pub(super) enum Step {
    /// Position among the columns that the expression reads.
    Column(usize),
    /// Values that are the same for every row.
    Constant(Values),
    Bool(bool),
    Null(Type),
    Not(Box<Step>),
    Join(Junction, Vec<Step>),
    Compare(Comparison, Box<Step>, Box<Step>),
    In(Box<Step>, Vec<Step>),
    IsNull(Box<Step>),
    Arithmetic {
        operator: Operator,
        left: Box<Step>,
        right: Box<Step>,
        /// Position among the causes; float arithmetic has none.
        cause: Option<usize>,
    },
    ToFloat(Box<Step>),
    Test(Test, Box<Step>, Box<Step>),
    ToCase(Case, Box<Step>),
    Length(Box<Step>),
    Coalesce(Vec<Step>),
}

/// What one string is asked about another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    StartsWith,
    EndsWith,
    Contains,
}

impl BoundExpression {
    /// The type of its result.
    pub fn data_type(&self) -> Type {
        self.data_type
    }

    /// The columns that it reads, each once.
    pub fn columns(&self) -> impl Iterator<Item = &str> {
        self.columns.iter().map(|(name, _)| name.as_str())
    }

    /// The column that it is, if it does nothing but name one.
    pub fn as_column(&self) -> Option<&str> {
        match self.root {
            Step::Column(index) => Some(&self.columns[index].0),
            _ => None,
        }
    }

    /// Whether it can fail for a row: whether it holds integer arithmetic.
    pub fn is_fallible(&self) -> bool {
        !self.causes.is_empty()
    }

    /// Evaluates it for every row of a batch.
    ///
    /// Columns are found by name; those that the expression does not read may be missing.
    ///
    /// # Errors
    /// If a column that it reads is missing or has another type than the one it was bound to.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Evaluated> {
        let columns = self.columns.iter().map(|(name, data_type)| {
            let array = batch.column_by_name(name).ok_or_else(|| changed(name))?;
            Vector::from_array(array, *data_type).ok_or_else(|| changed(name))
        });
        let evaluation = Evaluation { columns: columns.collect::<Result<_>>()?, rows: batch.num_rows() };
        let mut vector = evaluation.run(&self.root);
        let errors = self.errors(std::mem::take(&mut vector.faults));
        let column = match self.as_column().and_then(|name| batch.column_by_name(name)) {
            Some(array) => array.clone(),
            None => vector.into_array(batch.num_rows()),
        };
        Ok(Evaluated { column, errors })
    }

    /// The first fault of each row, in words.
    fn errors(&self, mut faults: Vec<Fault>) -> Vec<(usize, String)> {
        faults.sort_by_key(|fault| fault.row);
        faults.dedup_by_key(|fault| fault.row);
        faults.into_iter().map(|fault| (fault.row, self.causes[fault.cause].clone())).collect()
    }
}

fn changed(name: &str) -> Error {
    Error::internal(format!("column `{name}` is not in the batch as it was declared"))
}

/// One batch on its way through the steps.
struct Evaluation {
    columns: Vec<Vector>,
    rows: usize,
}

impl Evaluation {
    fn run(&self, step: &Step) -> Vector {
        match step {
            Step::Column(index) => self.columns[*index].clone(),
            Step::Constant(values) => Vector::of(values.clone()),
            Step::Bool(true) => Vector::of(Values::Bool(BooleanBuffer::new_set(self.rows))),
            Step::Bool(false) => Vector::of(Values::Bool(BooleanBuffer::new_unset(self.rows))),
            Step::Null(data_type) => Vector::null(*data_type, self.rows),
            Step::Not(inner) => logic::not(self.run(inner)),
            Step::Join(junction, parts) => {
                self.fold(parts, |left| junction.is_decided(left), |left, right| junction.join(left, right))
            }
            Step::Compare(comparison, left, right) => {
                self.compare(*comparison, self.run(left), self.run(right))
            }
            Step::In(needle, items) => self.find(self.run(needle), items),
            Step::IsNull(inner) => self.is_null(self.run(inner)),
            Step::Arithmetic { operator, left, right, cause } => {
                self.calculate(*operator, self.run(left), self.run(right), *cause)
            }
            Step::ToFloat(inner) => with_values(self.run(inner), to_float),
            Step::Test(test, left, right) => self.test(*test, self.run(left), self.run(right)),
            Step::ToCase(case, inner) => {
                with_values(self.run(inner), |values| Values::Text(text(values).to_case(*case)))
            }
            Step::Length(inner) => with_values(self.run(inner), |values| Values::Int(text(values).length())),
            Step::Coalesce(parts) => {
                let is_whole = |left: &Vector| left.nulls.is_none();
                self.fold(parts, is_whole, |left, right| logic::coalesce(left, right, self.rows))
            }
        }
    }

    /// Takes parts together from the left, until `is_done` says that the rest does not matter.
    fn fold(
        &self,
        parts: &[Step],
        is_done: impl Fn(&Vector) -> bool,
        take: impl Fn(Vector, Vector) -> Vector,
    ) -> Vector {
        let (first, rest) = parts.split_first().expect("binding leaves no step without parts");
        let mut taken = self.run(first);
        for part in rest {
            if is_done(&taken) {
                break;
            }
            taken = take(taken, self.run(part));
        }
        taken
    }

    fn compare(&self, comparison: Comparison, left: Vector, right: Vector) -> Vector {
        let rows = self.rows;
        let bits = match (&left.values, &right.values) {
            (Values::Int(a), Values::Int(b)) | (Values::Time(a), Values::Time(b)) => {
                number::compare(comparison, a, b, rows)
            }
            (Values::Float(a), Values::Float(b)) => number::compare(comparison, a, b, rows),
            (Values::Int(a), Values::Float(b)) => number::compare_mixed(comparison, a, b, rows),
            (Values::Float(a), Values::Int(b)) => number::compare_mixed(comparison.mirrored(), b, a, rows),
            (Values::Text(a), Values::Text(b)) => match comparison {
                Comparison::Equal => a.test_pairs(b, rows, |a, b| a == b),
                Comparison::NotEqual => a.test_pairs(b, rows, |a, b| a != b),
                Comparison::Less => a.test_pairs(b, rows, |a, b| a < b),
                Comparison::LessOrEqual => a.test_pairs(b, rows, |a, b| a <= b),
                Comparison::Greater => a.test_pairs(b, rows, |a, b| a > b),
                Comparison::GreaterOrEqual => a.test_pairs(b, rows, |a, b| a >= b),
            },
            (Values::Bool(a), Values::Bool(b)) if comparison == Comparison::Equal => !&(a ^ b),
            (Values::Bool(a), Values::Bool(b)) => a ^ b,
            _ => unreachable!("binding lets only values of one type be compared"),
        };
        strict(Values::Bool(bits), left, right)
    }

    /// Whether `needle` equals any of `items`, as `needle = item or …`.
    fn find(&self, needle: Vector, items: &[Step]) -> Vector {
        let words: Option<Vec<&str>> = items.iter().map(Step::as_text).collect();
        if let (Values::Text(text), Some(words)) = (&needle.values, words) {
            let bits = text.test(self.rows, |text| words.contains(&text));
            return Vector { values: Values::Bool(bits), ..needle };
        }
        let equals = |item| self.compare(Comparison::Equal, needle.clone(), self.run(item));
        let (first, rest) = items.split_first().expect("a list has at least one item");
        rest.iter().fold(equals(first), |found, item| Junction::Or.join(found, equals(item)))
    }

    fn is_null(&self, inner: Vector) -> Vector {
        let bits = match &inner.nulls {
            Some(nulls) => !nulls.inner(),
            None => BooleanBuffer::new_unset(self.rows),
        };
        Vector { values: Values::Bool(bits), nulls: None, faults: inner.faults }
    }

    fn calculate(&self, operator: Operator, left: Vector, right: Vector, cause: Option<usize>) -> Vector {
        let (a, b) = match (&left.values, &right.values) {
            (Values::Int(a), Values::Int(b)) => (a.clone(), b.clone()),
            (Values::Float(a), Values::Float(b)) => {
                return strict(Values::Float(number::floats(operator, a, b)), left, right);
            }
            _ => unreachable!("binding gave both sides of an operator one kind of number"),
        };
        let (values, failed) = match number::integers(operator, &a, &b) {
            Checked::Int(numbers, failed) => (Values::Int(numbers), failed),
            Checked::Float(numbers, failed) => (Values::Float(numbers), failed),
        };
        let mut result = strict(values, left, right);
        if let (true, Some(cause)) = (failed, cause) {
            let (a, b) = (a.spread(self.rows), b.spread(self.rows));
            let pairs = a.iter().zip(b.iter()).enumerate();
            let failed = pairs.filter(|(_, (a, b))| number::fails(operator, **a, **b)).map(|(row, _)| row);
            let failed: Vec<usize> = failed.filter(|row| result.is_valid(*row)).collect();
            result.faults.extend(failed.into_iter().map(|row| Fault { row, cause }));
        }
        result
    }

    fn test(&self, test: Test, left: Vector, right: Vector) -> Vector {
        let (a, b) = (text(&left.values), text(&right.values));
        let bits = match (test, b) {
            (Test::StartsWith, _) => a.test_pairs(b, self.rows, |a, b| a.starts_with(b)),
            (Test::EndsWith, _) => a.test_pairs(b, self.rows, |a, b| a.ends_with(b)),
            (Test::Contains, Text::One(part)) => {
                let finder = memchr::memmem::Finder::new(part.as_bytes());
                a.test(self.rows, |a| finder.find(a.as_bytes()).is_some())
            }
            (Test::Contains, _) => a.test_pairs(b, self.rows, |a, b| a.contains(b)),
        };
        strict(Values::Bool(bits), left, right)
    }
}

impl Step {
    fn as_text(&self) -> Option<&str> {
        match self {
            Step::Constant(Values::Text(Text::One(text))) => Some(text),
            _ => None,
        }
    }
}

/// The result of a step that needs both sides: null where one is null, failed where one has failed.
fn strict(values: Values, left: Vector, right: Vector) -> Vector {
    let nulls = NullBuffer::union(left.nulls.as_ref(), right.nulls.as_ref());
    let mut faults = left.faults;
    faults.extend(right.faults);
    Vector { values, nulls, faults }
}

fn with_values(vector: Vector, turn: impl Fn(&Values) -> Values) -> Vector {
    Vector { values: turn(&vector.values), ..vector }
}

fn to_float(values: &Values) -> Values {
    match values {
        Values::Int(numbers) => Values::Float(numbers.map(|integer| integer as f64)),
        _ => unreachable!("binding turns only integers into floats"),
    }
}

fn text(values: &Values) -> &Text {
    match values {
        Values::Text(text) => text,
        _ => unreachable!("binding lets only strings stand here"),
    }
}
