//! Texts with wildcards and policy variables.
//!
//! `*` is any run of characters, `?` any one; `${*}`, `${?}` and `${$}` are those characters themselves; any other
//! `${key}` is the value of a context key, taken literally, or the default of `${key, 'default'}` (IAM guide, "IAM policy
//! elements: Variables and tags"). A variable without a value matches nothing.

use crate::{Context, Error, keys};

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Text(String),
    Any,
    One,
    Variable { key: String, default: Option<String> },
}

/// A text of a policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    written: String,
    parts: Vec<Part>,
}

/// What is left of a pattern once its variables have values.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Symbol {
    Char(char),
    Any,
    One,
}

impl Pattern {
    /// Reads a text; `variables`: whether it may have them, which only version 2012-10-17 knows.
    pub(crate) fn parse(text: &str, variables: bool, at: &str) -> Result<Self, Error> {
        let mut parts = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some(next) = rest.chars().next() {
            let special = match next {
                '*' => Some((Part::Any, 1)),
                '?' => Some((Part::One, 1)),
                '$' if variables && rest.starts_with("${") => {
                    let Some(end) = rest.find('}') else {
                        let problem = format!("the variable in {text} has no end");
                        return Err(Error::Malformed { at: at.to_owned(), problem });
                    };
                    let inner = &rest[2..end];
                    match inner {
                        "*" | "?" | "$" => {
                            plain.push_str(inner);
                            rest = &rest[end + 1..];
                            continue;
                        }
                        _ => Some((variable(inner, at)?, end + 1)),
                    }
                }
                _ => None,
            };
            let Some((part, length)) = special else {
                plain.push(next);
                rest = &rest[next.len_utf8()..];
                continue;
            };
            if !plain.is_empty() {
                parts.push(Part::Text(std::mem::take(&mut plain)));
            }
            parts.push(part);
            rest = &rest[length..];
        }
        if !plain.is_empty() {
            parts.push(Part::Text(plain));
        }
        Ok(Self { written: text.to_owned(), parts })
    }

    /// As it was written.
    pub(crate) fn written(&self) -> &str {
        &self.written
    }

    /// Whether it is `*` alone.
    pub(crate) fn is_anything(&self) -> bool {
        self.parts == [Part::Any]
    }

    /// The symbols with the variables' values; none when a variable has no value. `wildcards`: whether `*` and `?` mean
    /// more than themselves.
    pub(crate) fn resolve(&self, context: &Context, wildcards: bool) -> Option<Vec<Symbol>> {
        let mut symbols = Vec::with_capacity(self.written.len());
        for part in &self.parts {
            match part {
                Part::Text(text) => symbols.extend(text.chars().map(Symbol::Char)),
                Part::Any => symbols.push(if wildcards { Symbol::Any } else { Symbol::Char('*') }),
                Part::One => symbols.push(if wildcards { Symbol::One } else { Symbol::Char('?') }),
                Part::Variable { key, default } => {
                    let value = context.single(key).or(default.as_deref())?;
                    symbols.extend(value.chars().map(Symbol::Char));
                }
            }
        }
        Some(symbols)
    }

    /// The plain text with the variables' values.
    pub(crate) fn text(&self, context: &Context) -> Option<String> {
        let symbols = self.resolve(context, false)?;
        Some(symbols.iter().filter_map(|symbol| if let Symbol::Char(c) = symbol { Some(*c) } else { None }).collect())
    }

    /// Whether a text matches, wildcards included.
    pub(crate) fn matches(&self, text: &str, context: &Context) -> bool {
        self.resolve(context, true).is_some_and(|symbols| matches(&symbols, text))
    }

    /// Whether an ARN matches: each of the six parts between colons by itself, so that a wildcard never reaches from one
    /// into the next (IAM guide, "ARN condition operators" and "Resource"). What an incomplete pattern leaves out is
    /// anything.
    pub(crate) fn matches_arn(&self, arn: &str, context: &Context) -> bool {
        let Some(symbols) = self.resolve(context, true) else { return false };
        if symbols == [Symbol::Any] {
            return true;
        }
        let mut wanted: Vec<&[Symbol]> = symbols.splitn(6, |symbol| *symbol == Symbol::Char(':')).collect();
        let given: Vec<&str> = arn.splitn(6, ':').collect();
        if given.len() != 6 {
            return matches(&symbols, arn);
        }
        if wanted.last().is_some_and(|last| last.last() == Some(&Symbol::Any)) {
            wanted.resize(6, &[Symbol::Any]);
        }
        wanted.len() == 6 && wanted.iter().zip(given).all(|(wanted, given)| matches(wanted, given))
    }
}

fn variable(inner: &str, at: &str) -> Result<Part, Error> {
    let (key, default) = match inner.split_once(',') {
        None => (inner.trim(), None),
        Some((key, default)) => {
            let default = default.trim();
            let quoted = default.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
            let Some(quoted) = quoted else {
                let problem = format!("the default in ${{{inner}}} must be in single quotes");
                return Err(Error::Malformed { at: at.to_owned(), problem });
            };
            (key.trim(), Some(quoted.to_owned()))
        }
    };
    keys::check(key, at)?;
    Ok(Part::Variable { key: key.to_owned(), default })
}

/// Whether a whole text matches. Goes back only to the last `*`, so it takes at most the product of both lengths.
pub(crate) fn matches(symbols: &[Symbol], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut at, mut on) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while on < text.len() {
        match symbols.get(at) {
            Some(Symbol::Any) => {
                back = Some((at, on));
                at += 1;
            }
            Some(Symbol::One) => {
                at += 1;
                on += 1;
            }
            Some(Symbol::Char(c)) if *c == text[on] => {
                at += 1;
                on += 1;
            }
            _ => match back {
                None => return false,
                Some((star, from)) => {
                    back = Some((star, from + 1));
                    at = star + 1;
                    on = from + 1;
                }
            },
        }
    }
    symbols[at..].iter().all(|symbol| *symbol == Symbol::Any)
}
