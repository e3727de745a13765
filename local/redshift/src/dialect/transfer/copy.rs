//! COPY: table, source, authorization, and the options in any order.

use super::{Conversion, Copy, CopyFormat, JsonFormat, Reader, TextFormat, location, missing_authorization};
use crate::dialect::Error;
use crate::dialect::statement::name_at;
use crate::dialect::token::{Node, render_trimmed, split};

/// What Redshift loads and this stand-in does not.
const UNABLE: [&str; 9] = ["avro", "orc", "fixedwidth", "shapefile", "bzip2", "lzop", "zstd", "encrypted", "readratio"];

/// The options that go with Parquet besides the authorization (guide, "COPY from columnar data formats").
const COLUMNAR: [&str; 8] =
    ["parquet", "format", "acceptinvchars", "fillrecord", "manifest", "statupdate", "explicit_ids", "serializetojson"];

/// Options as they were met, before they are put together.
struct Options {
    copy: Copy,
    csv: bool,
    delimiter: Option<u8>,
    quote: Option<u8>,
    escape: bool,
    remove_quotes: bool,
    ignore_header: usize,
    ignore_blank_lines: bool,
    authorized: bool,
    /// Everything but IAM_ROLE.
    other_credentials: bool,
    seen: Vec<String>,
}

/// Reads a COPY.
pub(in crate::dialect) fn read(nodes: &[Node]) -> Result<Copy, Error> {
    if nodes.iter().any(|node| node.is_any(&["stdin", "stdout", "program"])) {
        return Err(Error::near("copy"));
    }
    let (_, taken) = name_at(nodes, 1).ok_or_else(|| Error::near("copy"))?;
    let table = &nodes[1..1 + taken];
    let name = table.last().map(Node::name).unwrap_or_default();
    let mut reader = Reader { nodes, at: 1 + taken };
    let columns = match reader.peek() {
        Some(group) if group.is_group() => {
            reader.at += 1;
            let items = split(&group.body, ",");
            let names = items.iter().map(|item| match item {
                [name] if name.is_name() => Ok(name.name()),
                _ => Err(Error::near(&item.first().map_or_else(|| ",".to_owned(), |node| node.text.clone()))),
            });
            Some(names.collect::<Result<Vec<_>, _>>()?)
        }
        _ => None,
    };
    reader.expect("from")?;
    let source = location(&reader.text_if()?.ok_or_else(|| reader.unexpected())?)?;
    let mut options = Options {
        copy: Copy {
            table: render_trimmed(table),
            name,
            columns,
            source,
            manifest: false,
            serialize_to_json: false,
            format: CopyFormat::Parquet,
            gzip: false,
            rules: Conversion { null_as: "\\N".to_owned(), ..Conversion::default() },
            explicit_ids: false,
            max_error: 0,
            ignore_all_errors: false,
            no_load: false,
        },
        csv: false,
        delimiter: None,
        quote: None,
        escape: false,
        remove_quotes: false,
        ignore_header: 0,
        ignore_blank_lines: false,
        authorized: false,
        other_credentials: false,
        seen: Vec::new(),
    };
    let mut format = None;
    while reader.peek().is_some() {
        option(&mut reader, &mut options, &mut format)?;
    }
    finish(options, format)
}

fn option(reader: &mut Reader<'_>, options: &mut Options, format: &mut Option<CopyFormat>) -> Result<(), Error> {
    let role = reader.peek().is_some_and(|node| node.is("iam_role"));
    if reader.authorization()? {
        options.authorized = true;
        options.other_credentials |= !role;
        return Ok(());
    }
    let unexpected = reader.unexpected();
    let word = reader.next().map(Node::lower).unwrap_or_default();
    if UNABLE.contains(&word.as_str()) {
        return Err(Error::unable(&format!("COPY … {}", word.to_uppercase())));
    }
    let rules = &mut options.copy.rules;
    match word.as_str() {
        // `FORMAT [AS]` before a format says nothing by itself.
        "format" => {
            reader.word("as");
        }
        "csv" => options.csv = true,
        "quote" => options.quote = Some(reader.character("QUOTE")?),
        "delimiter" => options.delimiter = Some(reader.character("COPY delimiter")?),
        "parquet" => *format = Some(CopyFormat::Parquet),
        "json" => {
            reader.word("as");
            let argument = reader.text_if()?.unwrap_or_else(|| "auto".to_owned());
            *format = Some(CopyFormat::Json(match argument.as_str() {
                "auto" => JsonFormat::Auto { ignore_case: false },
                "auto ignorecase" => JsonFormat::Auto { ignore_case: true },
                "noshred" => JsonFormat::NoShred,
                path => JsonFormat::Paths(location(path)?),
            }));
        }
        "gzip" => options.copy.gzip = true,
        "manifest" => options.copy.manifest = true,
        "maxerror" => options.copy.max_error = reader.count("MAXERROR", 100_000.0)?,
        "ignoreallerrors" => options.copy.ignore_all_errors = reader.switch(),
        "serializetojson" => options.copy.serialize_to_json = true,
        "noload" => options.copy.no_load = true,
        "explicit_ids" => options.copy.explicit_ids = true,
        "ignoreheader" => options.ignore_header = reader.count("IGNOREHEADER", 1e12)?,
        "ignoreblanklines" => options.ignore_blank_lines = true,
        "escape" => options.escape = true,
        "removequotes" => options.remove_quotes = true,
        "null" => rules.null_as = reader.text()?,
        "emptyasnull" => rules.empty_as_null = true,
        "blanksasnull" => rules.blanks_as_null = true,
        "trimblanks" => rules.trim_blanks = true,
        "truncatecolumns" => rules.truncate_columns = true,
        "fillrecord" => rules.fill_record = true,
        "acceptanydate" => rules.accept_any_date = true,
        "roundec" => rules.round_decimals = true,
        "acceptinvchars" => {
            let given =
                reader.peek().is_some_and(|node| node.is("as")) || reader.nodes.get(reader.at).is_some_and(quoted);
            rules.replace_invalid = Some(if given { char::from(reader.character("ACCEPTINVCHARS")?) } else { '?' });
        }
        "dateformat" => rules.date_format = Some(reader.text()?),
        "timeformat" => rules.time_format = Some(reader.text()?),
        "encoding" => {
            reader.word("as");
            match reader.next() {
                Some(node) if node.is("utf8") => {}
                Some(node) => return Err(Error::unable(&format!("COPY … ENCODING {}", node.text.to_uppercase()))),
                None => return Err(reader.unexpected()),
            }
        }
        // About where the bucket is, and about what only a cluster has: compression encodings and statistics.
        "region" => {
            reader.text()?;
        }
        "comprows" => {
            reader.number()?;
        }
        "compupdate" => {
            if !reader.word("preset") {
                reader.switch();
            }
        }
        "statupdate" => {
            reader.switch();
        }
        _ => return Err(unexpected),
    }
    options.seen.push(word);
    Ok(())
}

fn quoted(node: &Node) -> bool {
    node.text.starts_with('\'')
}

fn finish(options: Options, format: Option<CopyFormat>) -> Result<Copy, Error> {
    let mut copy = options.copy;
    if !options.authorized {
        return Err(missing_authorization());
    }
    let together = |a: &str, b: &str| Err(Error::refused(format!("{a} cannot be used with {b}")));
    match &format {
        Some(CopyFormat::Parquet) => {
            if options.other_credentials {
                return Err(Error::refused("COPY from this file format only accepts IAM_ROLE credentials"));
            }
            if let Some(other) = options.seen.iter().find(|word| !COLUMNAR.contains(&word.as_str())) {
                return Err(Error::refused(format!(
                    "{} argument is not supported for PARQUET based COPY",
                    other.to_uppercase()
                )));
            }
        }
        Some(CopyFormat::Json(_)) => {
            for other in [
                "csv",
                "delimiter",
                "escape",
                "fillrecord",
                "ignoreblanklines",
                "ignoreheader",
                "quote",
                "removequotes",
            ] {
                if options.seen.iter().any(|word| word == other) {
                    return together("JSON", &other.to_uppercase());
                }
            }
        }
        _ => {}
    }
    if copy.serialize_to_json && !matches!(format, Some(CopyFormat::Parquet)) {
        return Err(Error::refused("SERIALIZETOJSON can only be used with PARQUET"));
    }
    if options.csv && (options.escape || options.remove_quotes) {
        return together("CSV", if options.escape { "ESCAPE" } else { "REMOVEQUOTES" });
    }
    if options.quote.is_some() && !options.csv {
        return Err(Error::refused("QUOTE can only be used with CSV"));
    }
    copy.format = format.unwrap_or(CopyFormat::Text(TextFormat {
        delimiter: options.delimiter.unwrap_or(if options.csv { b',' } else { b'|' }),
        quote: options.csv.then(|| options.quote.unwrap_or(b'"')),
        escape: options.escape,
        remove_quotes: options.remove_quotes,
        ignore_header: options.ignore_header,
        ignore_blank_lines: options.ignore_blank_lines,
    }));
    Ok(copy)
}
