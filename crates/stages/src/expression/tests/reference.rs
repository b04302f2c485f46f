//! Random expressions over random batches, against an evaluator that takes one row at a time and knows nothing of
//! columns, bits or dictionaries.

use std::cmp::Ordering;
use std::fmt::Write;
use std::sync::Arc;

use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int32Type, Int64Type, TimestampMicrosecondType, UInt8Type};
use arrow_array::{
    Array, ArrayRef, BooleanArray, DictionaryArray, Float64Array, Int64Array, RecordBatch, StringArray,
    TimestampMicrosecondArray,
};
use modrun_core::Type;
use modrun_core::value::timestamp;
use proptest::prelude::*;

use super::Expression;

/// A value of one row.
#[derive(Clone, Debug)]
enum Cell {
    Null,
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(String),
    Time(i64),
}

impl PartialEq for Cell {
    /// Bit by bit, but one NaN is as good as another.
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Cell::Null, Cell::Null) => true,
            (Cell::Bool(a), Cell::Bool(b)) => a == b,
            (Cell::Int(a), Cell::Int(b)) | (Cell::Time(a), Cell::Time(b)) => a == b,
            (Cell::Float(a), Cell::Float(b)) => a.to_bits() == b.to_bits() || a.is_nan() && b.is_nan(),
            (Cell::Text(a), Cell::Text(b)) => a == b,
            _ => false,
        }
    }
}

/// An expression of known type.
#[derive(Clone, Debug)]
enum Tree {
    Cell(Cell),
    Column(usize),
    Not(Box<Tree>),
    And(Box<Tree>, Box<Tree>),
    Or(Box<Tree>, Box<Tree>),
    Compare(&'static str, Box<Tree>, Box<Tree>),
    In(Box<Tree>, Vec<Tree>, bool),
    IsNull(Box<Tree>, bool),
    Arithmetic(&'static str, Box<Tree>, Box<Tree>),
    Negate(Box<Tree>),
    Call(&'static str, Vec<Tree>),
    Coalesce(Type, Vec<Tree>),
}

/// What became of a row: its value, or the end of the sentence that tells why there is none.
type Outcome = Result<Cell, &'static str>;

const OVERFLOW: &str = "leaves the range of int64";
const DIVISION: &str = "divides by zero";

const COLUMNS: [(&str, Type); 9] = [
    ("a", Type::Int64),
    ("b", Type::Int64),
    ("x", Type::Float64),
    ("y", Type::Float64),
    ("s", Type::String),
    ("t u", Type::String),
    ("p", Type::Bool),
    ("not", Type::Bool),
    ("at", Type::Timestamp),
];

/// The values that a column of a type is made of: few, so that rows meet, and at the edges.
fn pool(of: Type) -> Vec<Cell> {
    let big = 1 << 53;
    match of {
        Type::Bool => [true, false].map(Cell::Bool).into(),
        Type::Int64 => [0, 1, 2, -1, 7, 100, big + 1, i64::MAX, i64::MIN].map(Cell::Int).into(),
        Type::Float64 => {
            [0.0, -0.0, 1.0, 2.5, -7.0, big as f64, 9.3e18, f64::NAN, f64::INFINITY].map(Cell::Float).into()
        }
        Type::String => {
            ["", "a", "A", "view", "Ölé", "it's", "ab"].map(|text| Cell::Text(text.into())).into()
        }
        _ => [0, 1, -1, 1_700_000_000_000_000].map(Cell::Time).into(),
    }
}

/// Bytes that decide what is grown; fewer bytes grow a smaller tree, so that failures shrink.
struct Entropy<'a>(std::slice::Iter<'a, u8>);

impl Entropy<'_> {
    fn below(&mut self, bound: usize) -> usize {
        self.0.next().map_or(0, |byte| usize::from(*byte) % bound)
    }

    fn choose<T: Clone>(&mut self, from: &[T]) -> T {
        from[self.below(from.len())].clone()
    }

    fn boxed(&mut self, of: Type, depth: usize) -> Box<Tree> {
        Box::new(self.tree(of, depth))
    }

    fn many(&mut self, of: Type, depth: usize) -> Vec<Tree> {
        (0..1 + self.below(3)).map(|_| self.tree(of, depth)).collect()
    }

    fn leaf(&mut self, of: Type) -> Tree {
        let columns: Vec<usize> = (0..COLUMNS.len()).filter(|index| COLUMNS[*index].1 == of).collect();
        match self.below(4) {
            0 | 1 => Tree::Column(self.choose(&columns)),
            2 => Tree::Cell(match self.choose(&pool(of)) {
                // What is not finite cannot be written, and a bare string is no timestamp.
                Cell::Float(value) if !value.is_finite() => Cell::Float(1e300),
                Cell::Time(_) => return Tree::Column(columns[0]),
                cell => cell,
            }),
            _ => Tree::Cell(Cell::Null),
        }
    }

    fn tree(&mut self, of: Type, depth: usize) -> Tree {
        let choice = if depth == 0 { 0 } else { self.below(9) };
        let depth = depth.saturating_sub(1);
        match (of, choice) {
            (_, 0) => self.leaf(of),
            (_, 1) => Tree::Coalesce(of, self.coalesced(of, depth)),
            (Type::Bool, 2) => Tree::And(self.boxed(of, depth), self.boxed(of, depth)),
            (Type::Bool, 3) => Tree::Or(self.boxed(of, depth), self.boxed(of, depth)),
            (Type::Bool, 4) => Tree::Not(self.boxed(of, depth)),
            (Type::Bool, 5) => self.membership(depth),
            (Type::Bool, 6) => {
                let inner = self.choose(&COLUMNS).1;
                Tree::IsNull(self.boxed(inner, depth), self.below(2) == 1)
            }
            (Type::Bool, 7) => {
                let function = self.choose(&["starts_with", "ends_with", "contains"]);
                Tree::Call(function, vec![self.tree(Type::String, depth), self.tree(Type::String, depth)])
            }
            (Type::Bool, _) => self.comparison(depth),
            (Type::Int64, 2..6) => {
                let operator = self.choose(&["+", "-", "*", "%"]);
                Tree::Arithmetic(operator, self.boxed(of, depth), self.boxed(of, depth))
            }
            (Type::Int64, 6) => Tree::Call("length", vec![self.tree(Type::String, depth)]),
            (Type::Float64, 2) => {
                Tree::Arithmetic("/", self.boxed(Type::Int64, depth), self.boxed(Type::Int64, depth))
            }
            (Type::Float64, 3..=6) => {
                let operator = self.choose(&["+", "-", "*", "/", "%"]);
                // One side at least is a column, whose type is beyond doubt: null would take the other's.
                let column = Box::new(Tree::Column(2 + self.below(2)));
                let other = self.choose(&[Type::Int64, Type::Float64]);
                let other = self.boxed(other, depth);
                let (left, right) = if self.below(2) == 0 { (column, other) } else { (other, column) };
                Tree::Arithmetic(operator, left, right)
            }
            (Type::Int64 | Type::Float64, 7) => {
                let columns = if of == Type::Int64 { [0, 1] } else { [2, 3] };
                let column = Tree::Column(self.choose(&columns));
                Tree::Negate(Box::new(Tree::Coalesce(of, vec![column, self.tree(of, depth)])))
            }
            (Type::String, 2..8) => {
                Tree::Call(self.choose(&["lower", "upper"]), vec![self.tree(Type::String, depth)])
            }
            _ => self.leaf(of),
        }
    }

    /// Arguments of `coalesce`, the first a column that settles the type.
    fn coalesced(&mut self, of: Type, depth: usize) -> Vec<Tree> {
        let column = COLUMNS.iter().position(|(_, known)| *known == of).unwrap();
        let mut parts = vec![Tree::Column(column)];
        let rest = if of == Type::Float64 { self.choose(&[Type::Int64, of]) } else { of };
        parts.extend(self.many(rest, depth));
        parts
    }

    fn comparison(&mut self, depth: usize) -> Tree {
        let left = self.choose(&COLUMNS).1;
        let numbers = [Type::Int64, Type::Float64];
        let right = if numbers.contains(&left) { self.choose(&numbers) } else { left };
        let operators = ["=", "!=", "<>", "==", "<", "<=", ">", ">="];
        let operator = self.choose(if left == Type::Bool { &operators[..4] } else { &operators });
        if left == Type::Timestamp && self.below(2) == 1 {
            let moment = Tree::Cell(self.choose(&pool(left)));
            return Tree::Compare(operator, self.boxed(left, 0), Box::new(moment));
        }
        let sides = (self.boxed(left, depth), self.boxed(right, depth));
        // Two nulls have no type to disagree on, and no order as bool.
        match sides.0.is_null() && sides.1.is_null() {
            true => Tree::Compare("=", sides.0, sides.1),
            false => Tree::Compare(operator, sides.0, sides.1),
        }
    }

    fn membership(&mut self, depth: usize) -> Tree {
        let of = self.choose(&COLUMNS).1;
        let needle = self.boxed(of, depth);
        Tree::In(needle, self.many(of, depth), self.below(2) == 1)
    }
}

impl Tree {
    fn is_null(&self) -> bool {
        matches!(self, Tree::Cell(Cell::Null))
    }

    /// The expression as a person would write it, with no more parentheses than `level` asks for: 0 `or`, 1 `and`,
    /// 2 `not`, 3 comparison, 4 sum, 5 product, 6 unary.
    fn write(&self, level: usize, out: &mut String) {
        let own = match self {
            Tree::Or(..) => 0,
            Tree::And(..) => 1,
            Tree::Not(..) => 2,
            Tree::Compare(..) | Tree::In(..) | Tree::IsNull(..) => 3,
            Tree::Arithmetic("+" | "-", ..) => 4,
            Tree::Arithmetic(..) => 5,
            _ => 6,
        };
        if own < level {
            out.push('(');
            self.write(0, out);
            return out.push(')');
        }
        let mut binary = |left: &Tree, operator: &str, right: &Tree, levels: (usize, usize)| {
            left.write(levels.0, out);
            write!(out, " {operator} ").unwrap();
            right.write(levels.1, out);
        };
        match self {
            Tree::Or(left, right) => binary(left, "or", right, (0, 1)),
            Tree::And(left, right) => binary(left, "AND", right, (1, 2)),
            Tree::Compare(operator, left, right) => binary(left, operator, right, (4, 4)),
            Tree::Arithmetic(operator, left, right) => binary(left, operator, right, (own, own + 1)),
            Tree::Not(inner) => {
                out.push_str("not ");
                inner.write(2, out);
            }
            Tree::Negate(inner) => {
                out.push_str("- ");
                inner.write(6, out);
            }
            Tree::In(needle, items, negated) => {
                needle.write(4, out);
                out.push_str(if *negated { " not in (" } else { " in (" });
                list(items, out);
            }
            Tree::IsNull(inner, negated) => {
                inner.write(4, out);
                out.push_str(if *negated { " is not null" } else { " is null" });
            }
            Tree::Call(name, arguments) => {
                write!(out, "{name}(").unwrap();
                list(arguments, out);
            }
            Tree::Coalesce(_, arguments) => {
                out.push_str("coalesce(");
                list(arguments, out);
            }
            Tree::Column(index) => write!(out, "`{}`", COLUMNS[*index].0).unwrap(),
            Tree::Cell(cell) => cell.write(out),
        }
    }

    fn evaluate(&self, row: &[Cell]) -> Outcome {
        Ok(match self {
            Tree::Cell(cell) => cell.clone(),
            Tree::Column(index) => row[*index].clone(),
            Tree::Not(inner) => match inner.evaluate(row)? {
                Cell::Bool(value) => Cell::Bool(!value),
                null => null,
            },
            Tree::And(left, right) => junction(left, right, false, row)?,
            Tree::Or(left, right) => junction(left, right, true, row)?,
            Tree::Compare(operator, left, right) => {
                compare(operator, &left.evaluate(row)?, &right.evaluate(row)?)
            }
            Tree::In(needle, items, negated) => {
                let needle = needle.evaluate(row)?;
                let mut found = Cell::Bool(*negated);
                for item in items {
                    match compare("=", &needle, &item.evaluate(row)?) {
                        Cell::Bool(true) => return Ok(Cell::Bool(!negated)),
                        Cell::Null => found = Cell::Null,
                        _ => {}
                    }
                }
                found
            }
            Tree::IsNull(inner, negated) => Cell::Bool((inner.evaluate(row)? == Cell::Null) != *negated),
            Tree::Arithmetic(operator, left, right) => {
                calculate(operator, left.evaluate(row)?, right.evaluate(row)?)?
            }
            Tree::Negate(inner) => match inner.evaluate(row)? {
                Cell::Int(value) => Cell::Int(value.checked_neg().ok_or(OVERFLOW)?),
                Cell::Float(value) => Cell::Float(-value),
                null => null,
            },
            Tree::Call(name, arguments) => {
                let cells = arguments.iter().map(|argument| argument.evaluate(row));
                call(name, &cells.collect::<Result<Vec<_>, _>>()?)
            }
            Tree::Coalesce(of, arguments) => {
                for argument in arguments {
                    match argument.evaluate(row)? {
                        Cell::Null => {}
                        Cell::Int(value) if *of == Type::Float64 => return Ok(Cell::Float(value as f64)),
                        cell => return Ok(cell),
                    }
                }
                Cell::Null
            }
        })
    }
}

impl Cell {
    fn write(&self, out: &mut String) {
        match self {
            Cell::Null => out.push_str("null"),
            Cell::Bool(value) => write!(out, "{value}").unwrap(),
            Cell::Int(value) => write!(out, "{value}").unwrap(),
            Cell::Float(value) => write!(out, "{value:?}").unwrap(),
            Cell::Text(text) => write!(out, "'{}'", text.replace('\'', "''")).unwrap(),
            Cell::Time(micros) => {
                let mut bytes = Vec::new();
                timestamp::write(*micros, &mut bytes);
                write!(out, "\"{}\"", String::from_utf8(bytes).unwrap()).unwrap();
            }
        }
    }
}

fn list(items: &[Tree], out: &mut String) {
    for (index, item) in items.iter().enumerate() {
        out.push_str(if index == 0 { "" } else { ", " });
        item.write(0, out);
    }
    out.push(')');
}

fn junction(left: &Tree, right: &Tree, decisive: bool, row: &[Cell]) -> Outcome {
    let left = left.evaluate(row)?;
    if left == Cell::Bool(decisive) {
        return Ok(left);
    }
    let right = right.evaluate(row)?;
    Ok(if right == Cell::Bool(decisive) || left != Cell::Null { right } else { Cell::Null })
}

fn compare(operator: &str, left: &Cell, right: &Cell) -> Cell {
    let order = match (left, right) {
        (Cell::Null, _) | (_, Cell::Null) => return Cell::Null,
        (Cell::Bool(a), Cell::Bool(b)) => Some(a.cmp(b)),
        (Cell::Int(a), Cell::Int(b)) | (Cell::Time(a), Cell::Time(b)) => Some(a.cmp(b)),
        (Cell::Float(a), Cell::Float(b)) => a.partial_cmp(b),
        (Cell::Int(a), Cell::Float(b)) => exact(*a, *b),
        (Cell::Float(a), Cell::Int(b)) => exact(*b, *a).map(Ordering::reverse),
        (Cell::Text(a), Cell::Text(b)) => Some(a.as_bytes().cmp(b.as_bytes())),
        pair => unreachable!("{pair:?} are never compared"),
    };
    Cell::Bool(match operator {
        "=" | "==" => order == Some(Ordering::Equal),
        "!=" | "<>" => order != Some(Ordering::Equal),
        "<" => order == Some(Ordering::Less),
        ">" => order == Some(Ordering::Greater),
        "<=" => matches!(order, Some(Ordering::Less | Ordering::Equal)),
        _ => matches!(order, Some(Ordering::Greater | Ordering::Equal)),
    })
}

/// The order of an integer and a float, by the whole part first and the rest of the float after that.
fn exact(integer: i64, float: f64) -> Option<Ordering> {
    if float.is_nan() {
        return None;
    }
    // The cast saturates far outside int64, where only the sign matters.
    let whole = (float.floor() as i128).cmp(&i128::from(integer)).reverse();
    Some(whole.then(if float.fract() == 0.0 || float.is_infinite() {
        Ordering::Equal
    } else {
        Ordering::Less
    }))
}

fn calculate(operator: &str, left: Cell, right: Cell) -> Outcome {
    let (a, b) = match (left, right) {
        (Cell::Null, _) | (_, Cell::Null) => return Ok(Cell::Null),
        (Cell::Int(_), Cell::Int(0)) if operator == "/" || operator == "%" => return Err(DIVISION),
        (Cell::Int(a), Cell::Int(b)) if operator == "/" => return Ok(Cell::Float(a as f64 / b as f64)),
        (Cell::Int(a), Cell::Int(b)) => {
            let (a, b) = (i128::from(a), i128::from(b));
            let exact = match operator {
                "+" => a + b,
                "-" => a - b,
                "*" => a * b,
                _ => a % b,
            };
            return i64::try_from(exact).map(Cell::Int).map_err(|_| OVERFLOW);
        }
        (Cell::Float(a), Cell::Float(b)) => (a, b),
        (Cell::Int(a), Cell::Float(b)) => (a as f64, b),
        (Cell::Float(a), Cell::Int(b)) => (a, b as f64),
        pair => unreachable!("{pair:?} are never calculated with"),
    };
    Ok(Cell::Float(match operator {
        "+" => a + b,
        "-" => a - b,
        "*" => a * b,
        "/" => a / b,
        _ => a % b,
    }))
}

fn call(name: &str, cells: &[Cell]) -> Cell {
    match (name, cells) {
        (_, [Cell::Null, ..] | [_, Cell::Null]) => Cell::Null,
        ("starts_with", [Cell::Text(text), Cell::Text(part)]) => Cell::Bool(text.starts_with(part.as_str())),
        ("ends_with", [Cell::Text(text), Cell::Text(part)]) => Cell::Bool(text.ends_with(part.as_str())),
        ("contains", [Cell::Text(text), Cell::Text(part)]) => Cell::Bool(text.contains(part.as_str())),
        ("lower", [Cell::Text(text)]) => Cell::Text(text.to_lowercase()),
        ("upper", [Cell::Text(text)]) => Cell::Text(text.to_uppercase()),
        ("length", [Cell::Text(text)]) => Cell::Int(text.chars().count() as i64),
        call => unreachable!("{call:?} is never called"),
    }
}

/// How the string columns of a batch are laid out.
#[derive(Clone, Copy, Debug)]
enum Encoding {
    Plain,
    Bytes,
    Ints,
}

/// A column of cells; `index` is its place among [`COLUMNS`].
fn column(index: usize, rows: &[Vec<Cell>], encoding: Encoding) -> ArrayRef {
    let cells = rows.iter().map(|row| row[index].clone());
    let text = cells.clone().map(|cell| if let Cell::Text(text) = cell { Some(text) } else { None });
    let text: Vec<Option<String>> = text.collect();
    let text = text.iter().map(Option::as_deref);
    let time = cells.clone().map(|cell| if let Cell::Time(micros) = cell { Some(micros) } else { None });
    match (COLUMNS[index].1, encoding) {
        (Type::Bool, _) => Arc::new(BooleanArray::from_iter(
            cells.map(|cell| if let Cell::Bool(value) = cell { Some(value) } else { None }),
        )),
        (Type::Int64, _) => Arc::new(Int64Array::from_iter(
            cells.map(|cell| if let Cell::Int(value) = cell { Some(value) } else { None }),
        )),
        (Type::Float64, _) => Arc::new(Float64Array::from_iter(
            cells.map(|cell| if let Cell::Float(value) = cell { Some(value) } else { None }),
        )),
        (Type::String, Encoding::Plain) => Arc::new(text.collect::<StringArray>()),
        (Type::String, Encoding::Bytes) => Arc::new(text.collect::<DictionaryArray<UInt8Type>>()),
        (Type::String, Encoding::Ints) => Arc::new(text.collect::<DictionaryArray<Int32Type>>()),
        _ => Arc::new(TimestampMicrosecondArray::from_iter(time).with_timezone("UTC")),
    }
}

fn cell(array: &ArrayRef, row: usize) -> Cell {
    if array.logical_nulls().is_some_and(|nulls| nulls.is_null(row)) {
        return Cell::Null;
    }
    match Type::from_arrow(array.data_type()).unwrap() {
        Type::Bool => Cell::Bool(array.as_boolean().value(row)),
        Type::Int64 => Cell::Int(array.as_primitive::<Int64Type>().value(row)),
        Type::Float64 => Cell::Float(array.as_primitive::<Float64Type>().value(row)),
        Type::Timestamp => Cell::Time(array.as_primitive::<TimestampMicrosecondType>().value(row)),
        _ => match array.as_any_dictionary_opt() {
            None => Cell::Text(array.as_string::<i32>().value(row).into()),
            Some(dictionary) => {
                let code = dictionary.normalized_keys()[row];
                Cell::Text(dictionary.values().as_string::<i32>().value(code).into())
            }
        },
    }
}

fn check(tree: &Tree, rows: &[Vec<Cell>], encoding: Encoding) {
    let mut text = String::new();
    tree.write(0, &mut text);
    let columns = (0..COLUMNS.len()).map(|index| (COLUMNS[index].0, column(index, rows, encoding), true));
    let batch = RecordBatch::try_from_iter_with_nullable(columns).unwrap();
    let expression = Expression::parse(&text).unwrap_or_else(|problem| panic!("{text}: {problem:?}"));
    let bound = expression.bind(batch.schema_ref()).unwrap_or_else(|problems| panic!("{text}: {problems:?}"));
    let evaluated = bound.evaluate(&batch).unwrap();

    let mut errors = evaluated.errors.iter().peekable();
    for (index, row) in rows.iter().enumerate() {
        let error = errors.next_if(|(failed, _)| *failed == index);
        match (tree.evaluate(row), error) {
            (Ok(expected), None) => assert_eq!(cell(&evaluated.column, index), expected, "{text} of {row:?}"),
            (Err(expected), Some((_, cause))) => {
                assert!(cause.ends_with(expected), "{text} of {row:?}: {cause}")
            }
            (expected, found) => panic!("{text} of {row:?}: expected {expected:?}, found {found:?}"),
        }
    }
    assert_eq!(errors.next(), None, "{text}");
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn columns_give_what_rows_give(
        growth in proptest::collection::vec(any::<u8>(), 0..60),
        choices in proptest::collection::vec(any::<[u8; COLUMNS.len()]>(), 0..140),
        has_nulls: bool,
    ) {
        let mut entropy = Entropy(growth.iter());
        let of = entropy.choose(&[Type::Bool, Type::Int64, Type::Float64, Type::String, Type::Timestamp]);
        let tree = match entropy.tree(of, 5) {
            // `null` alone has no type, and is told so.
            null if null.is_null() => Tree::IsNull(Box::new(null), false),
            tree => tree,
        };
        let row = |choices: &[u8; COLUMNS.len()]| {
            let cells = choices.iter().zip(COLUMNS).map(|(choice, (_, of))| {
                let mut pool = pool(of);
                pool.extend(has_nulls.then_some(Cell::Null));
                pool[usize::from(*choice) % pool.len()].clone()
            });
            cells.collect::<Vec<Cell>>()
        };
        let rows: Vec<Vec<Cell>> = choices.iter().map(row).collect();
        for encoding in [Encoding::Plain, Encoding::Bytes, Encoding::Ints] {
            check(&tree, &rows, encoding);
        }
    }
}
