//! Type names: Redshift's spelling to PostgreSQL's, Redshift's default lengths, and the types Redshift does not have.
//! Must never widen or narrow a type without Redshift doing so.

use super::Error;
use super::token::{Node, render_trimmed};

/// Where a type name stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Place<'a> {
    /// A column definition: table and column for the message.
    Column(&'a str, &'a str),
    /// A cast, an argument or a variable.
    Cast,
}

/// Longest VARCHAR, in bytes (`VARCHAR(MAX)`).
const VARCHAR_MAX: &str = "65535";
/// Longest CHAR, in bytes (`CHAR(MAX)`).
const CHAR_MAX: &str = "4096";

/// Types PostgreSQL has and Redshift does not let a column have.
const UNSUPPORTED: &[&str] = &[
    "serial",
    "bigserial",
    "smallserial",
    "serial2",
    "serial4",
    "serial8",
    "json",
    "jsonb",
    "uuid",
    "xml",
    "money",
    "bytea",
    "bit",
    "point",
    "line",
    "lseg",
    "box",
    "path",
    "polygon",
    "circle",
    "inet",
    "cidr",
    "macaddr",
    "macaddr8",
    "tsvector",
    "tsquery",
    "hstore",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "name",
    "oid",
    "regclass",
    "regproc",
    "regtype",
    "txid_snapshot",
    "pg_lsn",
];

/// Types that PostgreSQL 8.0 did not know at all, so that a cast to them fails too.
const UNKNOWN: &[&str] = &[
    "json",
    "jsonb",
    "uuid",
    "xml",
    "hstore",
    "tsvector",
    "tsquery",
    "int4range",
    "int8range",
    "numrange",
    "tsrange",
    "tstzrange",
    "daterange",
    "txid_snapshot",
    "pg_lsn",
    "macaddr8",
];

/// Types Redshift has and this stand-in does not.
const UNABLE: &[&str] = &["hllsketch", "geometry", "geography", "varbyte", "varbinary", "binary"];

/// The type name at the start of `nodes` as PostgreSQL writes it and how many nodes it takes; `None` to leave it.
pub(super) fn rewrite(nodes: &[Node], place: Place<'_>) -> Result<Option<(Vec<Node>, usize)>, Error> {
    let Some(first) = nodes.first() else {
        return Ok(None);
    };
    let name = first.lower();
    if nodes.get(1).is_some_and(|node| node.is_symbol(".")) {
        return Ok(None);
    }
    let word = name.as_str();
    let mut taken = 1;
    let varying = nodes.get(1).is_some_and(|node| node.is("varying"));
    if varying {
        taken += 1;
    }
    let length =
        nodes.get(taken).filter(|node| node.is_group()).map(|node| render_trimmed(&node.body).trim().to_owned());
    let array = nodes[taken..].iter().take(2).any(|node| node.text == "[" || node.is("array"));
    if let Place::Column(table, column) = place {
        if array {
            return Err(unsupported(table, column, &format!("{word}[]")));
        }
        if UNSUPPORTED.contains(&word) || first.name() == "char" && first.text.starts_with('"') {
            return Err(unsupported(table, column, word));
        }
        if word == "interval"
            && !nodes.get(1).is_some_and(|next| next.is_any(&["year", "month", "day", "hour", "minute", "second"]))
        {
            return Err(unsupported(table, column, "interval"));
        }
    } else if array && !word.is_empty() {
        return Err(Error::refused(format!("type \"{word}[]\" does not exist")));
    } else if UNKNOWN.contains(&word) {
        return Err(Error { code: "42704", message: format!("type \"{word}\" does not exist") });
    }
    if UNABLE.contains(&word) {
        return Err(Error::unable(&format!("type {}", word.to_uppercase())));
    }
    let column = matches!(place, Place::Column(..));
    let is_max = length.as_deref().is_some_and(|length| length.eq_ignore_ascii_case("max"));
    let given = length.is_some();
    let text = match (word, varying) {
        ("varchar" | "nvarchar", _) | ("character" | "char" | "nchar", true) => match length {
            Some(_) if is_max => format!("varchar({VARCHAR_MAX})"),
            Some(length) => format!("varchar({})", checked(&length, "varchar", 65535)?),
            None if column => "varchar(256)".to_owned(),
            None => {
                return Ok((word == "nvarchar" || word == "nchar").then(|| (vec![made("varchar", first)], taken)));
            }
        },
        ("char" | "character" | "nchar", false) => match length {
            Some(_) if is_max => format!("char({CHAR_MAX})"),
            Some(length) => format!("char({})", checked(&length, "char", 4096)?),
            None => "char(1)".to_owned(),
        },
        ("bpchar", false) if column && !given => "char(256)".to_owned(),
        ("text", false) if column => "varchar(256)".to_owned(),
        ("decimal" | "numeric", false) if length.is_none() && column => "numeric(18,0)".to_owned(),
        ("decimal" | "numeric", false) if length.is_none() => "numeric(18,0)".to_owned(),
        ("super", false) => "jsonb".to_owned(),
        ("float", false) if !given => "double precision".to_owned(),
        _ => return Ok(None),
    };
    if given {
        taken += 1;
    }
    Ok(Some((vec![made(&text, first)], taken)))
}

fn made(text: &str, first: &Node) -> Node {
    Node::made(text).after(&first.lead)
}

/// Number of nodes a type name takes, for callers that look behind it.
pub(super) fn extent(nodes: &[Node]) -> usize {
    let Some(first) = nodes.first() else { return 0 };
    let mut taken = 1;
    while nodes.get(taken).is_some_and(|node| node.is_symbol(".")) && taken + 1 < nodes.len() {
        taken += 2;
    }
    if first.is("double") && nodes.get(1).is_some_and(|node| node.is("precision")) {
        return 2;
    }
    if first.is("interval") {
        while nodes.get(taken).is_some_and(|node| {
            node.is_any(&["year", "month", "day", "hour", "minute", "second", "to"]) || node.is_group()
        }) {
            taken += 1;
        }
        return taken;
    }
    if nodes.get(taken).is_some_and(|node| node.is("varying")) {
        taken += 1;
    }
    if nodes.get(taken).is_some_and(Node::is_group) {
        taken += 1;
    }
    if nodes.get(taken).is_some_and(|node| node.is_any(&["with", "without"]))
        && nodes.get(taken + 1).is_some_and(|node| node.is("time"))
        && nodes.get(taken + 2).is_some_and(|node| node.is("zone"))
    {
        taken += 3;
    }
    while nodes.get(taken).is_some_and(|node| node.text == "[") {
        taken += 1;
    }
    taken
}

fn unsupported(table: &str, column: &str, name: &str) -> Error {
    Error::refused(format!("Column \"{table}.{column}\" has unsupported type \"{name}\"."))
}

fn checked<'a>(length: &'a str, name: &str, most: u32) -> Result<&'a str, Error> {
    match length.parse::<u32>() {
        Ok(0) => Err(Error { code: "22023", message: format!("length for type {name} must be at least 1") }),
        Ok(n) if n > most => {
            Err(Error { code: "22023", message: format!("length for type {name} cannot exceed {most}") })
        }
        _ => Ok(length),
    }
}
