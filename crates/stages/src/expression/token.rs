//! The words of an expression and where they stand.

use std::ops::Range;

use modrun_core::{Code, Problem};

/// One word, with the bytes it takes.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Token {
    pub(super) word: Word,
    pub(super) at: Range<usize>,
}

/// What a word is. Keywords are bare names that the parser knows.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Word {
    /// A bare name: a keyword, a column or a function.
    Name(String),
    /// A name in backticks: always a column.
    Quoted(String),
    /// Digits; the sign is an operator, so that 2^63 is still in range here.
    Integer(u64),
    Float(f64),
    Text(String),
    /// An operator, parenthesis or comma.
    Symbol(&'static str),
    End,
}

/// Longer symbols stand before their prefixes.
const SYMBOLS: [&str; 16] =
    ["==", "!=", "<>", "<=", ">=", "=", "<", ">", "+", "-", "*", "/", "%", "(", ")", ","];

/// What other languages write, and what it is here.
const FOREIGN: [(&str, &str); 5] = [
    ("&&", "write `and`"),
    ("||", "write `or`"),
    ("!", "write `not`"),
    ("&", "write `and`"),
    ("|", "write `or`"),
];

/// Splits `text` into words; the last is [`Word::End`].
pub(super) fn split(text: &str) -> Result<Vec<Token>, Problem> {
    let mut tokens = Vec::new();
    let mut from = 0;
    while let Some(first) = text[from..].chars().next() {
        if first.is_whitespace() {
            from += first.len_utf8();
            continue;
        }
        let (word, length) = match first {
            '\'' | '"' => {
                let (content, length) = quoted(text, from, first, "string")?;
                (Word::Text(content), length)
            }
            '`' => {
                let (content, length) = quoted(text, from, first, "column name")?;
                (Word::Quoted(content), length)
            }
            _ if first.is_alphabetic() || first == '_' => name(&text[from..]),
            _ if first.is_ascii_digit() => number(text, from)?,
            _ => symbol(text, from, first)?,
        };
        tokens.push(Token { word, at: from..from + length });
        from += length;
    }
    tokens.push(Token { word: Word::End, at: from..from });
    Ok(tokens)
}

/// The problem of an expression that cannot be read at `at`.
pub(super) fn unreadable(message: impl Into<String>, at: Range<usize>) -> Problem {
    Problem::new(Code::EXPRESSION, message).within(at)
}

/// The text between two quotes, where a doubled quote stands for itself, and the bytes it takes.
fn quoted(text: &str, from: usize, quote: char, what: &str) -> Result<(String, usize), Problem> {
    let mut content = String::new();
    let mut chars = text[from + 1..].char_indices().peekable();
    while let Some((index, char)) = chars.next() {
        if char != quote {
            content.push(char);
        } else if chars.next_if(|(_, next)| *next == quote).is_some() {
            content.push(quote);
        } else {
            return Ok((content, index + 2));
        }
    }
    let problem = unreadable(format!("this {what} does not end"), from..text.len());
    Err(problem.with_hint(format!("close it with {quote}")))
}

fn name(rest: &str) -> (Word, usize) {
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    (Word::Name(rest[..end].to_owned()), end)
}

fn number(text: &str, from: usize) -> Result<(Word, usize), Problem> {
    let rest = &text[from..];
    let mut end = digits(rest, 0);
    let mut float = false;
    if rest[end..].starts_with('.') && digits(rest, end + 1) > end + 1 {
        end = digits(rest, end + 1);
        float = true;
    }
    if rest[end..].starts_with(['e', 'E']) {
        let sign = usize::from(rest[end + 1..].starts_with(['+', '-']));
        let exponent = digits(rest, end + 1 + sign);
        if exponent > end + 1 + sign {
            end = exponent;
            float = true;
        }
    }
    if let Some(next) = rest[end..].chars().next().filter(|c| c.is_alphanumeric() || "._".contains(*c)) {
        let at = from..from + end + next.len_utf8();
        let problem = unreadable(format!("`{}` is no number", &text[at.clone()]), at);
        return Err(problem.with_hint("a column whose name starts with a digit stands in backticks"));
    }
    let digits = &rest[..end];
    let word = match float {
        true => digits.parse().ok().filter(|value: &f64| value.is_finite()).map(Word::Float),
        false => digits.parse().ok().filter(|value| *value <= 1 << 63).map(Word::Integer),
    };
    let range = if float { "float64" } else { "int64" };
    let outside = || unreadable(format!("`{digits}` lies outside the range of {range}"), from..from + end);
    Ok((word.ok_or_else(outside)?, end))
}

/// Where the digits that start at `from` end.
fn digits(text: &str, from: usize) -> usize {
    from + text[from..].bytes().take_while(u8::is_ascii_digit).count()
}

fn symbol(text: &str, from: usize, first: char) -> Result<(Word, usize), Problem> {
    let rest = &text[from..];
    if let Some(symbol) = SYMBOLS.into_iter().find(|symbol| rest.starts_with(symbol)) {
        return Ok((Word::Symbol(symbol), symbol.len()));
    }
    if let Some((foreign, hint)) = FOREIGN.into_iter().find(|(foreign, _)| rest.starts_with(foreign)) {
        let at = from..from + foreign.len();
        return Err(unreadable(format!("`{foreign}` is no operator here"), at).with_hint(hint));
    }
    let shown = first.escape_debug();
    Err(unreadable(format!("`{shown}` means nothing here"), from..from + first.len_utf8()))
}
