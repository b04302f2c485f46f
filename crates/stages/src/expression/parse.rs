//! From words to a tree: one function per level of precedence, loosest first.
//!
//! ```text
//! or         := and ('or' and)*
//! and        := not ('and' not)*
//! not        := 'not' not | comparison
//! comparison := sum (('=' | '==' | '!=' | '<>' | '<' | '<=' | '>' | '>=') sum
//!             | ['not'] 'in' '(' or (',' or)* ')' | 'is' ['not'] 'null')?
//! sum        := product (('+' | '-') product)*
//! product    := unary (('*' | '/' | '%') unary)*
//! unary      := '-' unary | primary
//! primary    := literal | column | function '(' or (',' or)* ')' | '(' or ')'
//! ```

use std::ops::Range;

use modrun_core::Problem;

use super::syntax::{Comparison, Form, Function, Node, Operator};
use super::token::{self, Token, Word, unreadable};

/// How deep an expression may nest. It bounds the stack of everything that walks the tree; a chain of `and` or `or`
/// is one level, however long.
pub(super) const NESTING_MAX: usize = 64;

/// Words that a bare column name cannot be.
const KEYWORDS: [&str; 8] = ["and", "or", "not", "in", "is", "null", "true", "false"];

/// Reads a whole expression.
pub(super) fn parse(text: &str) -> Result<Node, Problem> {
    let mut parser = Parser { tokens: token::split(text)?, next: 0, nesting: 0 };
    if parser.peek().word == Word::End {
        return Err(unreadable("the expression is empty", 0..text.len()));
    }
    let root = parser.or()?;
    match parser.peek().word {
        Word::End => Ok(root),
        _ => Err(parser.unexpected("an operator or the end")),
    }
}

struct Parser {
    /// Ends with [`Word::End`], which is never passed.
    tokens: Vec<Token>,
    next: usize,
    nesting: usize,
}

impl Parser {
    fn or(&mut self) -> Result<Node, Problem> {
        self.joined("or", Self::and, Form::Or)
    }

    fn and(&mut self) -> Result<Node, Problem> {
        self.joined("and", Self::not, Form::And)
    }

    /// One or more parts with `keyword` between them.
    fn joined(
        &mut self,
        keyword: &str,
        part: fn(&mut Self) -> Result<Node, Problem>,
        form: fn(Vec<Node>) -> Form,
    ) -> Result<Node, Problem> {
        let first = part(self)?;
        let mut parts = vec![first];
        while self.take_keyword(keyword) {
            parts.push(part(self)?);
        }
        let at = parts[0].at.start..self.end();
        match parts.len() {
            1 => Ok(parts.remove(0)),
            _ => node(form(parts), at),
        }
    }

    fn not(&mut self) -> Result<Node, Problem> {
        let from = self.peek().at.start;
        if !self.take_keyword("not") {
            return self.comparison();
        }
        let inner = self.nested(Self::not)?;
        node(Form::Not(Box::new(inner)), from..self.end())
    }

    fn comparison(&mut self) -> Result<Node, Problem> {
        let left = self.sum()?;
        let from = left.at.start;
        let compared = if let Some(comparison) = self.take_symbol(Comparison::from_symbol) {
            let right = self.sum()?;
            node(Form::Compare(comparison, Box::new(left), Box::new(right)), from..self.end())?
        } else if self.take_keyword("is") {
            let negated = self.take_keyword("not");
            if !self.take_keyword("null") {
                return Err(self.unexpected("`null`"));
            }
            self.negated_if(negated, Form::IsNull(Box::new(left)), from)?
        } else if self.is_keyword("in", 0) || self.is_keyword("not", 0) && self.is_keyword("in", 1) {
            let negated = self.take_keyword("not");
            self.next += 1;
            self.expect("(")?;
            let items = self.list()?;
            self.negated_if(negated, Form::In(Box::new(left), items), from)?
        } else {
            return Ok(left);
        };
        if matches!(self.peek().word, Word::Symbol(symbol) if Comparison::from_symbol(symbol).is_some())
            || ["is", "in"].iter().any(|keyword| self.is_keyword(keyword, 0))
        {
            let problem = unreadable("a comparison cannot be compared again", self.peek().at.clone());
            return Err(problem.with_hint("join two comparisons with `and`, or use parentheses"));
        }
        Ok(compared)
    }

    fn negated_if(&self, negated: bool, form: Form, from: usize) -> Result<Node, Problem> {
        let at = from..self.end();
        let inner = node(form, at.clone())?;
        if negated { node(Form::Not(Box::new(inner)), at) } else { Ok(inner) }
    }

    fn sum(&mut self) -> Result<Node, Problem> {
        self.chained(&["+", "-"], Self::product)
    }

    fn product(&mut self) -> Result<Node, Problem> {
        self.chained(&["*", "/", "%"], Self::unary)
    }

    /// One or more parts with operators between them, taken together from the left.
    fn chained(
        &mut self,
        symbols: &[&str],
        part: fn(&mut Self) -> Result<Node, Problem>,
    ) -> Result<Node, Problem> {
        let mut left = part(self)?;
        let operator = |symbol: &str| Operator::from_symbol(symbol).filter(|_| symbols.contains(&symbol));
        while let Some(operator) = self.take_symbol(operator) {
            let right = part(self)?;
            let at = left.at.start..self.end();
            left = node(Form::Arithmetic(operator, Box::new(left), Box::new(right)), at)?;
        }
        Ok(left)
    }

    fn unary(&mut self) -> Result<Node, Problem> {
        let from = self.peek().at.start;
        if !self.take("-") {
            return self.primary();
        }
        if let Word::Integer(magnitude) = self.peek().word {
            self.next += 1;
            // 2^63 wraps to itself, which is the one integer that has no positive twin.
            return node(Form::Integer((magnitude as i64).wrapping_neg()), from..self.end());
        }
        let inner = self.nested(Self::unary)?;
        let form = match inner.form {
            Form::Float(value) => Form::Float(-value),
            _ => Form::Negate(Box::new(inner)),
        };
        node(form, from..self.end())
    }

    fn primary(&mut self) -> Result<Node, Problem> {
        let Token { word, at } = self.peek().clone();
        let form = match word {
            Word::Name(name) => return self.named(name, at),
            Word::Symbol("(") => {
                self.next += 1;
                let mut inner = self.nested(Self::or)?;
                self.expect(")")?;
                inner.at = at.start..self.end();
                return Ok(inner);
            }
            Word::Quoted(name) => Form::Column(name),
            Word::Text(text) => Form::Text(text),
            Word::Float(value) => Form::Float(value),
            Word::Integer(value) => match i64::try_from(value) {
                Ok(value) => Form::Integer(value),
                Err(_) => return Err(unreadable(format!("`{value}` lies outside the range of int64"), at)),
            },
            Word::Symbol(_) | Word::End => return Err(self.unexpected("a column, a value or `(`")),
        };
        self.next += 1;
        node(form, at)
    }

    /// What starts with a bare name: a literal, a function or a column.
    fn named(&mut self, name: String, at: Range<usize>) -> Result<Node, Problem> {
        let keyword = KEYWORDS.into_iter().find(|keyword| keyword.eq_ignore_ascii_case(&name));
        let form = match keyword {
            Some("null") => Form::Null,
            Some("true") => Form::Bool(true),
            Some("false") => Form::Bool(false),
            Some(_) => return Err(self.unexpected("a column, a value or `(`")),
            None if matches!(self.tokens[self.next + 1].word, Word::Symbol("(")) => {
                return self.call(&name, at);
            }
            None => Form::Column(name),
        };
        self.next += 1;
        node(form, at)
    }

    fn call(&mut self, name: &str, at: Range<usize>) -> Result<Node, Problem> {
        let Some(function) = Function::from_name(name) else {
            let known = Function::ALL.into_iter().map(|(name, _)| name);
            return Err(unreadable(format!("there is no function `{name}`"), at).with_nearest(name, known));
        };
        self.next += 2;
        let arguments = if self.take(")") { Vec::new() } else { self.list()? };
        let at = at.start..self.end();
        let (arity, words) = function.arity();
        if !arity.contains(&arguments.len()) {
            let message = format!("`{}` takes {words}, not {}", function.name(), arguments.len());
            return Err(unreadable(message, at));
        }
        node(Form::Call(function, arguments), at)
    }

    /// Expressions with commas between them, up to the closing parenthesis.
    fn list(&mut self) -> Result<Vec<Node>, Problem> {
        let mut items = vec![self.nested(Self::or)?];
        while self.take(",") {
            items.push(self.nested(Self::or)?);
        }
        self.expect(")")?;
        Ok(items)
    }

    /// Reads a part one level deeper, if that is not too deep.
    fn nested(&mut self, part: fn(&mut Self) -> Result<Node, Problem>) -> Result<Node, Problem> {
        if self.nesting == NESTING_MAX {
            return Err(too_deep(self.peek().at.clone()));
        }
        self.nesting += 1;
        let inner = part(self)?;
        self.nesting -= 1;
        Ok(inner)
    }

    fn peek(&self) -> &Token {
        &self.tokens[self.next]
    }

    /// Where the last word taken ends.
    fn end(&self) -> usize {
        self.tokens[..self.next].last().map_or(0, |token| token.at.end)
    }

    fn take_symbol<T>(&mut self, meaning: impl Fn(&str) -> Option<T>) -> Option<T> {
        let Word::Symbol(symbol) = self.peek().word else { return None };
        let found = meaning(symbol)?;
        self.next += 1;
        Some(found)
    }

    fn take(&mut self, symbol: &str) -> bool {
        self.take_symbol(|found| (found == symbol).then_some(())).is_some()
    }

    fn expect(&mut self, symbol: &str) -> Result<(), Problem> {
        if self.take(symbol) { Ok(()) } else { Err(self.unexpected(&format!("`{symbol}`"))) }
    }

    fn is_keyword(&self, keyword: &str, ahead: usize) -> bool {
        let word = self.tokens.get(self.next + ahead).map(|token| &token.word);
        matches!(word, Some(Word::Name(name)) if name.eq_ignore_ascii_case(keyword))
    }

    fn take_keyword(&mut self, keyword: &str) -> bool {
        let found = self.is_keyword(keyword, 0);
        self.next += usize::from(found);
        found
    }

    fn unexpected(&self, expected: &str) -> Problem {
        let Token { word, at } = self.peek();
        let found = match word {
            Word::Name(name) | Word::Quoted(name) => format!("`{name}`"),
            Word::Symbol(symbol) => format!("`{symbol}`"),
            Word::Integer(_) | Word::Float(_) => "a number".to_owned(),
            Word::Text(_) => "a string".to_owned(),
            Word::End => "the end".to_owned(),
        };
        let problem = unreadable(format!("expected {expected}, found {found}"), at.clone());
        match word {
            Word::Name(name) if KEYWORDS.iter().any(|keyword| keyword.eq_ignore_ascii_case(name)) => {
                problem.with_hint(format!("a column of that name stands in backticks: `{name}`"))
            }
            _ => problem,
        }
    }
}

/// A node one level above its parts, if that is not too deep.
fn node(form: Form, at: Range<usize>) -> Result<Node, Problem> {
    let depth = 1 + form.parts().iter().map(|part| part.depth).max().unwrap_or(0);
    if depth > NESTING_MAX { Err(too_deep(at)) } else { Ok(Node { form, at, depth }) }
}

fn too_deep(at: Range<usize>) -> Problem {
    unreadable(format!("the expression is nested more than {NESTING_MAX} levels deep"), at)
        .with_hint("compute a part of it in a `project` stage before this one")
}
