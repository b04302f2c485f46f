//! The tree of an expression as it was written, before any column is known.

use std::ops::Range;

/// A part of an expression.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Node {
    pub(super) form: Form,
    /// The bytes it takes, its parentheses included.
    pub(super) at: Range<usize>,
    /// Levels of nodes, itself included.
    pub(super) depth: usize,
}

/// What a part of an expression is.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Form {
    Null,
    Bool(bool),
    Integer(i64),
    Float(f64),
    Text(String),
    Column(String),
    Not(Box<Node>),
    /// At least two.
    And(Vec<Node>),
    /// At least two.
    Or(Vec<Node>),
    Compare(Comparison, Box<Node>, Box<Node>),
    /// Whether the first equals any of the others, of which there is at least one.
    In(Box<Node>, Vec<Node>),
    IsNull(Box<Node>),
    Arithmetic(Operator, Box<Node>, Box<Node>),
    Negate(Box<Node>),
    /// As many arguments as the function takes.
    Call(Function, Vec<Node>),
}

impl Form {
    /// The parts of this part, in the order they are evaluated.
    pub(super) fn parts(&self) -> Vec<&Node> {
        match self {
            Form::Not(inner) | Form::IsNull(inner) | Form::Negate(inner) => vec![inner],
            Form::And(parts) | Form::Or(parts) | Form::Call(_, parts) => parts.iter().collect(),
            Form::Compare(_, left, right) | Form::Arithmetic(_, left, right) => vec![left, right],
            Form::In(needle, items) => std::iter::once(needle.as_ref()).chain(items).collect(),
            _ => Vec::new(),
        }
    }
}

/// How two values are compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Comparison {
    Equal,
    NotEqual,
    Less,
    LessOrEqual,
    Greater,
    GreaterOrEqual,
}

impl Comparison {
    /// The comparison that `symbol` stands for.
    pub(super) fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "=" | "==" => Comparison::Equal,
            "!=" | "<>" => Comparison::NotEqual,
            "<" => Comparison::Less,
            "<=" => Comparison::LessOrEqual,
            ">" => Comparison::Greater,
            ">=" => Comparison::GreaterOrEqual,
            _ => return None,
        })
    }

    /// The comparison that says the same with its sides exchanged.
    pub(super) fn mirrored(self) -> Self {
        match self {
            Comparison::Less => Comparison::Greater,
            Comparison::LessOrEqual => Comparison::GreaterOrEqual,
            Comparison::Greater => Comparison::Less,
            Comparison::GreaterOrEqual => Comparison::LessOrEqual,
            Comparison::Equal | Comparison::NotEqual => self,
        }
    }

    /// Whether it asks for an order, not only for equality.
    pub(super) fn is_order(self) -> bool {
        !matches!(self, Comparison::Equal | Comparison::NotEqual)
    }
}

/// How two numbers become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Operator {
    Add,
    Subtract,
    Multiply,
    Divide,
    Remainder,
}

impl Operator {
    /// The operator that `symbol` stands for.
    pub(super) fn from_symbol(symbol: &str) -> Option<Self> {
        Some(match symbol {
            "+" => Operator::Add,
            "-" => Operator::Subtract,
            "*" => Operator::Multiply,
            "/" => Operator::Divide,
            "%" => Operator::Remainder,
            _ => return None,
        })
    }

    /// How it is written.
    pub(super) fn symbol(self) -> &'static str {
        match self {
            Operator::Add => "+",
            Operator::Subtract => "-",
            Operator::Multiply => "*",
            Operator::Divide => "/",
            Operator::Remainder => "%",
        }
    }
}

/// What may stand before a parenthesis.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Function {
    StartsWith,
    EndsWith,
    Contains,
    Lower,
    Upper,
    Length,
    Coalesce,
}

impl Function {
    /// All functions, by name.
    pub(super) const ALL: [(&str, Function); 7] = [
        ("starts_with", Function::StartsWith),
        ("ends_with", Function::EndsWith),
        ("contains", Function::Contains),
        ("lower", Function::Lower),
        ("upper", Function::Upper),
        ("length", Function::Length),
        ("coalesce", Function::Coalesce),
    ];

    /// The function of that name, in any case.
    pub(super) fn from_name(name: &str) -> Option<Self> {
        Self::ALL
            .into_iter()
            .find(|(known, _)| known.eq_ignore_ascii_case(name))
            .map(|(_, function)| function)
    }

    /// How it is written.
    pub(super) fn name(self) -> &'static str {
        Self::ALL.into_iter().find(|(_, function)| *function == self).map_or("", |(name, _)| name)
    }

    /// How many arguments it takes, and that in words.
    pub(super) fn arity(self) -> (Range<usize>, &'static str) {
        match self {
            Function::StartsWith | Function::EndsWith | Function::Contains => (2..3, "two arguments"),
            Function::Lower | Function::Upper | Function::Length => (1..2, "one argument"),
            Function::Coalesce => (1..usize::MAX, "at least one argument"),
        }
    }
}
