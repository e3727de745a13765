//! UNLOAD: the query in quotes, destination, authorization, and the options in any order.

use super::{Existing, Reader, Unload, UnloadFormat, literal, location, missing_authorization};
use crate::dialect::token::{self, Node, Shape, split};
use crate::dialect::{Error, query};

/// What Redshift writes and this stand-in does not.
const UNABLE: [&str; 6] = ["fixedwidth", "encrypted", "bzip2", "zstd", "kms_key_id", "master_symmetric_key"];

const MB: f64 = 1024.0 * 1024.0;
const GB: f64 = 1024.0 * MB;
/// Largest file, 6.2 GB.
const LARGEST: f64 = 6.2 * GB;

/// Reads an UNLOAD: the text of its query, and the rest.
pub(in crate::dialect) fn read(nodes: &[Node]) -> Result<(String, Unload), Error> {
    let mut reader = Reader { nodes, at: 1 };
    let query = match reader.next() {
        Some(group) if group.is_group() => match group.body.as_slice() {
            [text] if matches!(text.shape, Shape::Text | Shape::Dollar) => literal(text)?,
            [other, ..] => return Err(Error::near(&other.text)),
            [] => return Err(Error::near(")")),
        },
        Some(other) => return Err(Error::near(&other.text)),
        None => return Err(Error::syntax("syntax error at end of input")),
    };
    outer_limit(&query)?;
    reader.expect("to")?;
    let destination = location(&reader.text_if()?.ok_or_else(|| reader.unexpected())?)?;

    let mut unload = Unload {
        destination,
        format: UnloadFormat::Parquet,
        gzip: false,
        existing: Existing::Refuse,
        parallel: true,
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        max_file_bytes: LARGEST as u64,
        partition: None,
        manifest: None,
        extension: None,
    };
    let (mut delimiter, mut null_as) = (None, String::new());
    let (mut csv, mut add_quotes, mut escape, mut header, mut authorized) = (false, false, false, false, false);
    let mut other_format = None;
    let mut seen: Vec<String> = Vec::new();
    while reader.peek().is_some() {
        if reader.authorization()? {
            authorized = true;
            continue;
        }
        let unexpected = reader.unexpected();
        let word = reader.next().map(Node::lower).unwrap_or_default();
        match word.as_str() {
            unable if UNABLE.contains(&unable) => {
                return Err(Error::unable(&format!("UNLOAD … {}", unable.to_uppercase())));
            }
            "format" => {
                reader.word("as");
            }
            "csv" => csv = true,
            "parquet" => other_format = Some(UnloadFormat::Parquet),
            "json" => other_format = Some(UnloadFormat::Json),
            "partition" => {
                reader.expect("by")?;
                unload.partition = Some((partition(&mut reader)?, reader.word("include")));
            }
            "manifest" => unload.manifest = Some(reader.word("verbose")),
            "header" => header = true,
            "delimiter" => delimiter = Some(reader.character("UNLOAD delimiter")?),
            "gzip" => unload.gzip = true,
            "addquotes" => add_quotes = true,
            "null" => null_as = reader.text()?,
            "escape" => escape = true,
            "allowoverwrite" | "cleanpath" => {
                if unload.existing != Existing::Refuse {
                    return Err(Error::refused("You can only specify one of ALLOWOVERWRITE and CLEANPATH"));
                }
                unload.existing = if word == "cleanpath" { Existing::Delete } else { Existing::Overwrite };
            }
            "parallel" => unload.parallel = reader.switch(),
            "maxfilesize" => unload.max_file_bytes = size(&mut reader)?,
            // Row groups are an affair between the writer and its memory.
            "rowgroupsize" => {
                size(&mut reader)?;
            }
            "extension" => unload.extension = Some(reader.text()?),
            "region" => {
                reader.text()?;
            }
            _ => return Err(unexpected),
        }
        seen.push(word);
    }
    if !authorized {
        return Err(missing_authorization());
    }
    let excluded: &[&str] = match other_format {
        Some(UnloadFormat::Parquet) => &["csv", "delimiter", "addquotes", "escape", "null", "header", "gzip"],
        Some(_) => &["csv", "delimiter", "header", "addquotes", "escape", "null"],
        None if csv => &["addquotes"],
        None => &[],
    };
    if let Some(option) = seen.iter().find(|word| excluded.contains(&word.as_str())) {
        let format = match other_format {
            Some(UnloadFormat::Parquet) => "PARQUET",
            Some(_) => "JSON",
            None => "CSV",
        };
        return Err(Error::refused(format!("{} is not supported for UNLOAD to {format}", option.to_uppercase())));
    }
    unload.format = other_format.unwrap_or(UnloadFormat::Text {
        delimiter: delimiter.unwrap_or(if csv { b',' } else { b'|' }),
        csv,
        add_quotes,
        escape,
        null_as,
        header,
    });
    Ok((query, unload))
}

/// The outer SELECT has no LIMIT (guide, "UNLOAD", usage notes).
fn outer_limit(query: &str) -> Result<(), Error> {
    let tree = token::read(query)?;
    let main = query::main_statement(&tree.nodes);
    let nodes = tree.nodes.get(main..).unwrap_or_default();
    let top = nodes.get(1).is_some_and(|node| node.is("top"));
    if top || query::clauses(nodes).iter().any(|(clause, _)| *clause == "limit") {
        return Err(Error::refused("Limit clause is not supported"));
    }
    Ok(())
}

fn partition(reader: &mut Reader<'_>) -> Result<Vec<String>, Error> {
    let unexpected = reader.unexpected();
    let group = reader.next().filter(|group| group.is_group()).ok_or(unexpected)?;
    let names = split(&group.body, ",");
    names
        .iter()
        .map(|item| match item {
            [name] if name.is_name() => Ok(name.name()),
            _ => Err(Error::near(&item.first().map_or_else(|| ")".to_owned(), |node| node.text.clone()))),
        })
        .collect()
}

/// `[AS] n [MB | GB]`, 5 MB to 6.2 GB.
fn size(reader: &mut Reader<'_>) -> Result<u64, Error> {
    let number = reader.number()?;
    let unit = if reader.word("gb") {
        GB
    } else {
        reader.word("mb");
        MB
    };
    let bytes = number * unit;
    if !(5.0 * MB..=LARGEST).contains(&bytes) {
        return Err(Error::refused("The size must be between 5 MB and 6.2 GB"));
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(bytes as u64)
}
