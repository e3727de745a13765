//! Named parameters of the Data API: `:name` markers become PostgreSQL's `$n`, values travel beside the text.
//! Must never put a value into SQL text.

use super::Error;
use super::token::{self, Node, Shape};
use bytes::BytesMut;
use std::collections::BTreeSet;
use tokio_postgres::types::{Format, IsNull, ToSql, Type, to_sql_checked};

/// SQL with `$n` placeholders and what they stand for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bound {
    /// The text with `$1`, `$2`, … in place of the markers that have a value.
    pub sql: String,
    /// Index into the given parameters for `$1`, `$2`, … in order.
    pub values: Vec<usize>,
    /// Names of the parameters this text uses.
    pub used: BTreeSet<String>,
    /// Markers without a parameter, in order of appearance; left in the text as they are.
    pub missing: Vec<Marker>,
}

/// A `:name` marker in the text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Marker {
    /// The name without the colon.
    pub name: String,
    /// Byte offset of the colon in [`Bound::sql`].
    pub offset: usize,
}

/// A parameter value, sent in PostgreSQL's text format so that the server converts it to whatever type the place asks
/// for, as Redshift does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Value<'a>(pub &'a str);

impl ToSql for Value<'_> {
    fn to_sql(&self, _: &Type, out: &mut BytesMut) -> Result<IsNull, Box<dyn std::error::Error + Sync + Send>> {
        out.extend_from_slice(self.0.as_bytes());
        Ok(IsNull::No)
    }

    fn accepts(_: &Type) -> bool {
        true
    }

    fn encode_format(&self, _: &Type) -> Format {
        Format::Text
    }

    to_sql_checked!();
}

/// Turns the markers of `names` in `sql` into `$n`. Markers in quotes, comments and dollar quotes, and `::` casts, are
/// left alone. Names match exactly, as the API's names do. Also right for the texts of a [`super::Translation`].
///
/// # Errors
/// Text that cannot be tokenized (an unterminated quote), as the statement's failure.
pub fn bind(sql: &str, names: &[&str]) -> Result<Bound, Error> {
    let tree = token::read(sql)?;
    let mut bound = Bound { sql: String::new(), values: Vec::new(), used: BTreeSet::new(), missing: Vec::new() };
    write(&tree.nodes, names, &mut bound);
    bound.sql.push_str(&tree.tail);
    Ok(bound)
}

fn write(nodes: &[Node], names: &[&str], bound: &mut Bound) {
    let mut index = 0;
    while let Some(node) = nodes.get(index) {
        bound.sql.push_str(&node.lead);
        let (name, taken) = if node.is_symbol(":") { marker(&nodes[index + 1..]) } else { (String::new(), 0) };
        if taken > 0 {
            if let Some(value) = names.iter().position(|given| *given == name) {
                let number = bound.values.iter().position(|used| *used == value).unwrap_or_else(|| {
                    bound.values.push(value);
                    bound.values.len() - 1
                });
                bound.sql.push_str(&format!("${}", number + 1));
                bound.used.insert(name);
                index += 1 + taken;
                continue;
            }
            bound.missing.push(Marker { name, offset: bound.sql.len() });
        }
        bound.sql.push_str(&node.text);
        if node.shape == Shape::Group {
            write(&node.body, names, bound);
            bound.sql.push_str(&node.tail);
            bound.sql.push_str(if node.text == "[" { "]" } else { ")" });
        }
        index += 1;
    }
}

/// The name that directly follows a colon, and the number of nodes it takes (`1st` is a number and a word).
fn marker(rest: &[Node]) -> (String, usize) {
    let mut name = String::new();
    let mut taken = 0;
    for node in rest {
        let part = matches!(node.shape, Shape::Word | Shape::Number)
            && node.lead.is_empty()
            && node.text.chars().all(|ch| ch.is_ascii_alphanumeric() || ch == '_');
        if !part {
            break;
        }
        name.push_str(&node.text);
        taken += 1;
    }
    (name, taken)
}
