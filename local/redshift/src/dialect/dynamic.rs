//! SQL that a procedure builds as text and gives to EXECUTE.
//! Must never change a text that does not begin like a statement.

use super::expression::{self, Scope};
use super::statement;
use super::token::{self, Node, Shape, render, split};
use super::{Error, Kind, SCHEMA};

/// Stands in SQL text for a value that is known only when the procedure runs; a number and `__` follow.
pub(super) const VALUE: &str = "__value";

const SQL_STARTS: &[&str] = &[
    "select ",
    "with ",
    "insert ",
    "update ",
    "delete ",
    "merge ",
    "create ",
    "alter ",
    "drop ",
    "truncate ",
    "call ",
    "grant ",
    "revoke ",
    "analyze ",
    "set ",
    "copy ",
    "unload ",
    "refresh ",
    "vacuum ",
];

/// A concatenation whose first part is a literal that begins like a statement.
pub(super) fn looks_like_sql(nodes: &[Node]) -> bool {
    let Some(text) = nodes.first().and_then(text_of) else {
        return false;
    };
    let start = text.trim_start().to_ascii_lowercase().replace(['\n', '\t', '\r'], " ");
    SQL_STARTS.iter().any(|word| start.starts_with(word))
}

/// The text a literal stands for; `None` if it has escapes other than the quote and the backslash.
fn text_of(node: &Node) -> Option<String> {
    match node.shape {
        Shape::Dollar => Some(super::procedure::dollar(&node.text).1.to_owned()),
        Shape::Text if node.text.starts_with('\'') => Some(node.text[1..node.text.len() - 1].replace("''", "'")),
        Shape::Text if node.text.starts_with("E'") => {
            let inner = &node.text[2..node.text.len() - 1];
            let mut out = String::new();
            let mut chars = inner.chars();
            while let Some(ch) = chars.next() {
                match ch {
                    '\\' => match chars.next()? {
                        plain @ ('\\' | '\'' | '"') => out.push(plain),
                        'n' => out.push('\n'),
                        't' => out.push('\t'),
                        _ => return None,
                    },
                    '\'' => {
                        chars.next();
                        out.push('\'');
                    }
                    other => out.push(other),
                }
            }
            Some(out)
        }
        _ => None,
    }
}

fn literal(text: &str) -> String {
    let doubled = text.replace('\'', "''");
    if doubled.contains('\\') { format!("E'{}'", doubled.replace('\\', "\\\\")) } else { format!("'{doubled}'") }
}

/// SQL text built from literals and values: the whole is translated with names in place of the values. What is refused
/// is refused when the procedure runs, as in Redshift.
pub(super) fn translate(nodes: &[Node], scope: &Scope<'_>) -> Result<(Vec<Node>, Option<Kind>), Error> {
    let mut values: Vec<Node> = Vec::new();
    let mut sql = String::new();
    for part in split(nodes, "||") {
        match part {
            [only] if text_of(only).is_some() => sql.push_str(&text_of(only).unwrap_or_default()),
            part => {
                let mut part = part.to_vec();
                expression::rewrite(&mut part, scope)?;
                sql.push_str(&format!("{VALUE}{}__", values.len()));
                values.push(Node::group(part));
            }
        }
    }
    let translated = token::read(&sql).and_then(|mut tree| {
        while tree.nodes.last().is_some_and(|node| node.is_symbol(";")) {
            tree.nodes.pop();
        }
        if tree.nodes.iter().any(|node| node.is_symbol(";")) {
            return Err(Error::unable("several statements in one EXECUTE"));
        }
        statement::names(&mut tree.nodes, scope.context)?;
        let inner = Scope { body: false, ..Scope::body(scope.context) };
        let draft = statement::rewrite(&mut tree.nodes, &inner)?;
        Ok((tree.render(), draft.kind))
    });
    let (text, kind) = match translated {
        Ok((text, kind)) => (text, kind),
        Err(error) => {
            let call = format!("{SCHEMA}.refuse('{}', {})", error.code, literal(&error.message));
            return Ok((vec![Node::made(call)], None));
        }
    };
    let mut pieces: Vec<String> = Vec::new();
    let mut rest = text.as_str();
    while let Some(at) = rest.find(VALUE) {
        let digits: String = rest[at + VALUE.len()..].chars().take_while(char::is_ascii_digit).collect();
        let end = at + VALUE.len() + digits.len();
        match digits.parse::<usize>().ok().and_then(|number| values.get(number)) {
            Some(value) if rest[end..].starts_with("__") => {
                pieces.push(literal(&rest[..at]));
                pieces.push(render(std::slice::from_ref(value)).trim().to_owned());
                rest = &rest[end + 2..];
            }
            _ => {
                pieces.push(literal(&rest[..end]));
                rest = &rest[end..];
            }
        }
    }
    pieces.push(literal(rest));
    Ok((vec![Node::made(pieces.join(" || "))], Some(kind)))
}
