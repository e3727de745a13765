//! Column definitions of CREATE TABLE and ALTER TABLE … ADD COLUMN: types, IDENTITY, attributes, keys.
//! Must never leave a key that PostgreSQL would enforce; of a primary key only NOT NULL stays.

use super::expression::{self, Scope};
use super::statement::name_at;
use super::token::{Node, Shape, render_trimmed, split};
use super::{Error, types};

/// Words that are reserved in Redshift and not in PostgreSQL, as column names (developer guide, "Reserved words").
pub(super) const RESERVED: &[&str] = &[
    "aes128",
    "aes256",
    "allowoverwrite",
    "authorization",
    "az64",
    "backup",
    "binary",
    "blanksasnull",
    "bytedict",
    "bzip2",
    "connect",
    "credentials",
    "current_user_id",
    "deflate",
    "defrag",
    "delta",
    "delta32k",
    "disable",
    "emptyasnull",
    "enable",
    "encode",
    "encrypt",
    "encryption",
    "explicit",
    "freeze",
    "globaldict256",
    "globaldict64k",
    "gzip",
    "identity",
    "ignore",
    "isnull",
    "lun",
    "luns",
    "lzo",
    "lzop",
    "minus",
    "mostly8",
    "mostly16",
    "mostly32",
    "natural",
    "new",
    "notnull",
    "nulls",
    "off",
    "offline",
    "oid",
    "old",
    "open",
    "overlaps",
    "parallel",
    "partition",
    "percent",
    "permissions",
    "pivot",
    "raw",
    "readratio",
    "recover",
    "rejectlog",
    "resort",
    "respect",
    "restore",
    "snapshot",
    "start",
    "sysdate",
    "system",
    "tag",
    "tdes",
    "text255",
    "text32k",
    "top",
    "truncatecolumns",
    "unnest",
    "unpivot",
    "verbose",
    "wallet",
    "without",
    "timestamp",
    "interval",
    "language",
];

/// The bracket of CREATE TABLE: columns, keys and LIKE.
pub(super) fn definitions(body: &[Node], table: &str, scope: &Scope<'_>) -> Result<Vec<Node>, Error> {
    let mut columns: Vec<(String, Vec<Node>)> = Vec::new();
    let mut keys: Vec<String> = Vec::new();
    for item in split(body, ",") {
        let mut item = item;
        if item.first().is_some_and(|node| node.is("constraint")) && item.len() > 2 {
            item = &item[2..];
        }
        let Some(first) = item.first() else {
            return Err(Error::near(","));
        };
        match first.lower().as_str() {
            "primary" | "unique" | "foreign" if item.iter().any(Node::is_group) => {
                if first.is("primary") {
                    keys.extend(
                        item.iter()
                            .filter(|node| node.is_group())
                            .flat_map(|group| group.body.iter().filter(|node| node.is_name()).map(Node::name)),
                    );
                }
            }
            "check" | "exclude" => return Err(Error::near(&first.text)),
            "like" => columns.push((String::new(), like(item)?)),
            _ => columns.push((first.name(), definition(item, table, scope)?)),
        }
    }
    for key in keys {
        let Some((_, definition)) = columns.iter_mut().find(|(name, _)| *name == key) else {
            return Err(Error { code: "42703", message: format!("column \"{key}\" named in key does not exist") });
        };
        if !definition.iter().any(|node| node.text.eq_ignore_ascii_case("not null")) {
            definition.push(Node::made("not null"));
        }
    }
    let mut made = Vec::new();
    for (index, (_, definition)) in columns.into_iter().enumerate() {
        if index > 0 {
            made.push(Node::symbol(","));
        }
        made.extend(definition);
    }
    Ok(made)
}

fn like(item: &[Node]) -> Result<Vec<Node>, Error> {
    let taken = name_at(item, 1).map_or(1, |(_, taken)| taken);
    match &item[1 + taken..] {
        [] => Ok(item.to_vec()),
        [mode, what] if mode.is_any(&["including", "excluding"]) && what.is("defaults") => Ok(item.to_vec()),
        [_, what, ..] => Err(Error::near(&what.text)),
        [other] => Err(Error::near(&other.text)),
    }
}

/// One column: name, type and attributes.
pub(super) fn definition(item: &[Node], table: &str, scope: &Scope<'_>) -> Result<Vec<Node>, Error> {
    let name = &item[0];
    if !name.is_name() {
        return Err(Error::near(&name.text));
    }
    if name.is_any(RESERVED) {
        return Err(Error::near(&name.text));
    }
    if name.name() == "oid" {
        return Err(Error {
            code: "42701",
            message: "column name \"oid\" conflicts with a system column name".to_owned(),
        });
    }
    let mut made = vec![name.clone()];
    let extent = types::extent(&item[1..]);
    if extent == 0 {
        return Err(Error::syntax("syntax error at end of input"));
    }
    match types::rewrite(&item[1..], types::Place::Column(table, &name.name()))? {
        Some((kind, taken)) => {
            made.extend(kind);
            made.extend_from_slice(&item[1 + taken..1 + extent.max(taken)]);
        }
        None => made.extend_from_slice(&item[1..1 + extent]),
    }
    column_attributes(&item[1 + extent..], &mut made, scope)?;
    Ok(made)
}

const ATTRIBUTES: &[&str] = &[
    "default",
    "identity",
    "generated",
    "encode",
    "distkey",
    "sortkey",
    "collate",
    "not",
    "null",
    "unique",
    "primary",
    "references",
    "constraint",
    "check",
];

fn column_attributes(mut rest: &[Node], made: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    let not_null = |made: &mut Vec<Node>| {
        if !made.iter().any(|node| node.shape == Shape::Made && node.text == "not null") {
            made.push(Node::made("not null"));
        }
    };
    while let Some(node) = rest.first() {
        let next = rest.get(1);
        let taken = match node.lower().as_str() {
            "default" => {
                // The expression may start with a word that is an attribute too (`default null`).
                let end =
                    rest.iter().skip(2).position(|node| node.is_any(ATTRIBUTES)).map_or(rest.len(), |end| end + 2);
                let mut default = rest[..end].to_vec();
                expression::rewrite(&mut default, scope)?;
                made.extend(default);
                end
            }
            "identity" => {
                made.push(identity("always", next)?);
                2
            }
            "generated" if rest.len() > 5 && rest[1].is("by") && rest[2].is("default") && rest[4].is("identity") => {
                made.push(identity("by default", rest.get(5))?);
                6
            }
            "encode" => 2,
            "distkey" | "sortkey" => 1,
            "collate" if next.is_some_and(|next| next.is_any(&["case_sensitive", "cs"])) => 2,
            "collate" => {
                return Err(Error::unable(&format!(
                    "COLLATE {}",
                    next.map(|next| next.text.to_uppercase()).unwrap_or_default()
                )));
            }
            "not" if next.is_some_and(|next| next.is("null")) => {
                not_null(made);
                2
            }
            "null" | "unique" => 1,
            "primary" if next.is_some_and(|next| next.is("key")) => {
                not_null(made);
                2
            }
            "references" => {
                let taken = name_at(rest, 1).map_or(0, |(_, taken)| taken);
                1 + taken + usize::from(rest.get(1 + taken).is_some_and(Node::is_group))
            }
            "constraint" => 2,
            _ => return Err(Error::near(&node.text)),
        };
        rest = rest.get(taken..).unwrap_or_default();
    }
    Ok(())
}

/// IDENTITY(seed, step). The sequence's bounds must hold a seed below 1 and a falling step.
fn identity(generated: &str, arguments: Option<&Node>) -> Result<Node, Error> {
    let Some(group) = arguments.filter(|group| group.is_group()) else {
        return Err(Error::near("identity"));
    };
    let numbers: Vec<i64> =
        split(&group.body, ",").iter().filter_map(|n| render_trimmed(n).replace(' ', "").parse().ok()).collect();
    let [seed, step] = numbers[..] else {
        return Err(Error::near("identity"));
    };
    if step == 0 {
        return Err(Error::refused("identity step must not be zero"));
    }
    let bound = if step > 0 { "minvalue" } else { "maxvalue" };
    Ok(Node::made(format!("generated {generated} as identity (start with {seed} increment by {step} {bound} {seed})")))
}
