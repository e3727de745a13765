//! CREATE, ALTER and DROP: tables with Redshift's attributes, views, materialized views, and the objects Redshift does
//! not have. Keys are accepted and not enforced; a primary key keeps its NOT NULL.
//! Must never leave a constraint that PostgreSQL would enforce and Redshift would not.

use super::expression::Scope;
use super::statement::{Draft, name_at};
use super::token::{Node, render_trimmed, split};
use super::{Error, Kind, column, procedure, query, types};

/// Objects PostgreSQL creates and Redshift does not have.
const UNKNOWN_OBJECTS: &[&str] = &[
    "index",
    "unique",
    "trigger",
    "constraint",
    "sequence",
    "domain",
    "type",
    "rule",
    "extension",
    "aggregate",
    "operator",
    "cast",
    "tablespace",
    "collation",
    "conversion",
    "event",
    "foreign",
    "server",
    "publication",
    "subscription",
    "statistics",
    "policy",
    "text",
    "transform",
    "access",
    "unlogged",
    "global",
    "recursive",
    "language",
    "routine",
];

/// Objects Redshift has and this stand-in does not.
const UNABLE_OBJECTS: &[&str] =
    &["external", "model", "datashare", "library", "rls", "masking", "identity", "protected", "integration"];

fn no_command(words: &str) -> Error {
    Error::refused(format!("SQL command \"{}\" not supported on Redshift tables.", words.to_uppercase()))
}

/// CREATE …
pub(super) fn create(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let mut at = 1;
    while nodes.get(at).is_some_and(|node| node.is_any(&["or", "replace", "local", "temp", "temporary"])) {
        at += 1;
    }
    let word = nodes.get(at).map(Node::lower).unwrap_or_default();
    match word.as_str() {
        "table" => create_table(nodes, at, scope),
        "view" => create_view(nodes, at, scope),
        "materialized" => create_view(nodes, at + 1, scope),
        "procedure" => procedure::create(nodes, at, scope),
        "function" => procedure::create_function(nodes, at, scope),
        "schema" => create_schema(nodes, at),
        "user" | "group" | "role" => {
            user_options(nodes)?;
            Ok(Draft::new(Kind::Ddl))
        }
        "database" => Draft::new(Kind::Ddl).alone("CREATE DATABASE", scope).and(Err(Error::unable("CREATE DATABASE"))),
        _ if UNABLE_OBJECTS.contains(&word.as_str()) => {
            let next = nodes.get(at + 1).map(|node| node.text.to_uppercase()).unwrap_or_default();
            Err(Error::unable(&format!("CREATE {} {next}", word.to_uppercase())))
        }
        _ if UNKNOWN_OBJECTS.contains(&word.as_str()) => Err(no_command(&format!("create {word}"))),
        _ => Err(Error::near(&nodes.get(at).map(|node| node.text.clone()).unwrap_or_default())),
    }
}

fn skip_if_exists(nodes: &[Node], mut at: usize) -> usize {
    while nodes.get(at).is_some_and(|node| node.is_any(&["if", "not", "exists"])) {
        at += 1;
    }
    at
}

fn create_schema(nodes: &mut Vec<Node>, at: usize) -> Result<Draft, Error> {
    let target = name_at(nodes, skip_if_exists(nodes, at + 1)).map(|(name, _)| name).unwrap_or_default();
    if let Some(quota) = nodes.iter().position(|node| node.is("quota")) {
        let unlimited = nodes.get(quota + 1).is_some_and(|node| node.is("unlimited"));
        nodes.drain(quota..(quota + if unlimited { 2 } else { 3 }).min(nodes.len()));
    }
    Ok(Draft::new(Kind::Ddl).on(target))
}

fn create_table(nodes: &mut Vec<Node>, at: usize, scope: &Scope<'_>) -> Result<Draft, Error> {
    let name = skip_if_exists(nodes, at + 1);
    let Some((target, taken)) = name_at(nodes, name) else {
        return Err(Error::near("table"));
    };
    let mut rest = nodes.split_off(name + taken);
    if target.starts_with('#') && !nodes[1..at].iter().any(|node| node.is_any(&["temp", "temporary"])) {
        nodes.insert(at, Node::word("temp"));
    }
    let mut columns = None;
    if rest.first().is_some_and(Node::is_group) {
        columns = Some(rest.remove(0));
    }
    let found = attributes(&mut rest, false)?;
    let query = rest.first().is_some_and(|node| node.is("as"));
    found.check(columns.as_ref().filter(|_| !query))?;
    if nodes[name..].len() == 1 && nodes[name].is_any(column::RESERVED) {
        return Err(Error::near(&nodes[name].text));
    }
    let table = target.rsplit('.').next().unwrap_or_default().to_owned();
    let draft = Draft::new(Kind::Ddl).on(target);
    if rest.first().is_some_and(|node| node.is("as")) {
        nodes.extend(columns);
        let mut query = rest.split_off(1);
        nodes.extend(rest);
        if !super::token::starts_query(&query) {
            return Err(Error::near(&query.first().map(|node| node.text.clone()).unwrap_or_default()));
        }
        no_data(&query)?;
        query::rewrite(&mut query, scope)?;
        nodes.extend(query);
        return Ok(draft);
    }
    if let Some(node) = rest.first() {
        return Err(Error::near(&node.text));
    }
    let Some(mut columns) = columns else {
        return Err(Error::syntax("syntax error at end of input"));
    };
    columns.body = column::definitions(&columns.body, &table, scope)?;
    nodes.push(columns);
    Ok(draft)
}

/// `WITH [NO] DATA` is PostgreSQL's.
fn no_data(query: &[Node]) -> Result<(), Error> {
    if query.len() > 2 && query[query.len() - 1].is("data") && query[query.len() - 2].is_any(&["no", "with"]) {
        return Err(Error::near("with"));
    }
    Ok(())
}

/// PASSWORD DISABLE, CREATEUSER and the options PostgreSQL has no word for.
fn user_options(nodes: &mut Vec<Node>) -> Result<(), Error> {
    for node in nodes.iter_mut() {
        match node.lower().as_str() {
            "disable" => node.text = "null".to_owned(),
            "createuser" => node.text = "superuser".to_owned(),
            "nocreateuser" => node.text = "nosuperuser".to_owned(),
            "syslog" | "timeout" | "externalid" => {
                return Err(Error::unable(&format!("the user option {}", node.text.to_uppercase())));
            }
            _ => {}
        }
    }
    super::utility::search_path_option(nodes);
    Ok(())
}

/// What the table attributes say that has to fit the columns.
#[derive(Debug, Default)]
struct Attributes {
    style: Option<String>,
    /// Columns of DISTKEY ( … ).
    distribution: Vec<String>,
    /// Columns of SORTKEY ( … ).
    sort: Vec<String>,
}

impl Attributes {
    /// Checks them against the bracket of CREATE TABLE; the columns of LIKE and CREATE TABLE AS are not known.
    fn check(&self, columns: Option<&Node>) -> Result<(), Error> {
        let own = columns.is_some_and(|group| group.body.iter().any(|node| node.is("distkey")));
        let key = own || !self.distribution.is_empty();
        match self.style.as_deref() {
            Some(style @ ("even" | "all")) if key => {
                return Err(Error::refused(format!("cannot specify DISTKEY with DISTSTYLE {}", style.to_uppercase())));
            }
            Some("key") if !key => {
                return Err(Error::refused("DISTSTYLE KEY requires a DISTKEY column"));
            }
            _ => {}
        }
        let Some(group) = columns else { return Ok(()) };
        let names: Vec<String> =
            split(&group.body, ",").iter().filter_map(|item| item.first()).map(Node::name).collect();
        if names.iter().any(|name| name == "like") {
            return Ok(());
        }
        match self.distribution.iter().chain(&self.sort).find(|column| !names.contains(column)) {
            Some(column) => Err(Error { code: "42703", message: format!("column \"{column}\" does not exist") }),
            None => Ok(()),
        }
    }
}

/// Takes the table attributes away: distribution, sort keys, encoding and backup have no meaning in PostgreSQL and no
/// influence on results.
fn attributes(nodes: &mut Vec<Node>, materialized: bool) -> Result<Attributes, Error> {
    let mut found = Attributes::default();
    let mut index = 0;
    let names = |group: Option<&Node>| -> Vec<String> {
        group.map(|group| group.body.iter().filter(|node| node.is_name()).map(Node::name).collect()).unwrap_or_default()
    };
    while let Some(node) = nodes.get(index) {
        if node.is("as") {
            break;
        }
        let next = nodes.get(index + 1);
        let taken = match node.lower().as_str() {
            "backup" if next.is_some_and(|next| next.is_any(&["yes", "no"])) => 2,
            "diststyle" if next.is_some_and(|next| next.is_any(&["auto", "even", "key", "all"])) => {
                found.style = next.map(Node::lower);
                2
            }
            "distkey" if next.is_some_and(Node::is_group) => {
                found.distribution = names(next);
                2
            }
            "compound" | "interleaved" if next.is_some_and(|next| next.is("sortkey")) => 1,
            "sortkey" if next.is_some_and(Node::is_group) => {
                found.sort = names(next);
                2
            }
            "sortkey" if next.is_some_and(|next| next.is("auto")) => 2,
            "encode" if next.is_some_and(|next| next.is("auto")) => 2,
            "auto" if materialized && next.is_some_and(|next| next.is("refresh")) => 3,
            _ => return Err(Error::near(&node.text)),
        };
        index += taken;
    }
    nodes.drain(..index.min(nodes.len()));
    Ok(found)
}

fn create_view(nodes: &mut Vec<Node>, at: usize, scope: &Scope<'_>) -> Result<Draft, Error> {
    let materialized = nodes[at - 1].is("materialized");
    let name = skip_if_exists(nodes, at + 1);
    let Some((target, taken)) = name_at(nodes, name) else {
        return Err(Error::near("view"));
    };
    let mut rest = nodes.split_off(name + taken);
    if !materialized && rest.first().is_some_and(Node::is_group) {
        nodes.push(rest.remove(0));
    }
    if materialized {
        attributes(&mut rest, true)?.check(None)?;
    }
    if !rest.first().is_some_and(|node| node.is("as")) {
        return Err(Error::near(&rest.first().map(|node| node.text.clone()).unwrap_or_default()));
    }
    let late = ["with", "no", "schema", "binding"];
    if rest.len() > late.len() && rest[rest.len() - late.len()..].iter().zip(late).all(|(node, word)| node.is(word)) {
        rest.truncate(rest.len() - late.len());
    }
    if rest.len() > 3 && rest[rest.len() - 2].is("check") {
        return Err(Error::near("check"));
    }
    let mut query = rest.split_off(1);
    no_data(&query)?;
    nodes.extend(rest);
    query::rewrite(&mut query, scope)?;
    nodes.extend(query);
    Ok(Draft::new(Kind::Ddl).on(target))
}

/// ALTER …
pub(super) fn alter(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let word = nodes.get(1).map(Node::lower).unwrap_or_default();
    match word.as_str() {
        "table" => alter_table(nodes, scope),
        "user" | "group" | "role" | "schema" | "default" | "procedure" | "function" | "view" | "materialized" => {
            user_options(nodes)?;
            if word == "schema" && nodes.iter().any(|node| node.is("quota")) {
                return Err(Error::unable("ALTER SCHEMA … QUOTA"));
            }
            Ok(Draft::new(Kind::Ddl))
        }
        "database" => Err(Error::unable("ALTER DATABASE")),
        _ if UNABLE_OBJECTS.contains(&word.as_str()) => Err(Error::unable(&format!("ALTER {}", word.to_uppercase()))),
        _ if UNKNOWN_OBJECTS.contains(&word.as_str()) => Err(no_command(&format!("alter {word}"))),
        _ => Err(Error::near(&nodes.get(1).map(|node| node.text.clone()).unwrap_or_default())),
    }
}

/// A statement that only checks that the table is there.
fn nothing_on(target: &str, check: &str) -> Vec<Node> {
    let literal =
        target.split('.').map(|part| format!("\"{}\"", part.replace('"', "\"\""))).collect::<Vec<_>>().join(".");
    let literal = literal.replace('\'', "''");
    vec![Node::made(format!("do $redshift$ begin perform {check}('{literal}'::regclass); end $redshift$")).after("")]
}

fn alter_table(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let at = skip_if_exists(nodes, 2);
    let Some((target, taken)) = name_at(nodes, at) else {
        return Err(Error::near("table"));
    };
    let mut action = nodes.split_off(at + taken);
    let draft = Draft::new(Kind::Ddl).on(target.clone());
    let word = |index: usize| action.get(index).map(Node::lower).unwrap_or_default();
    if action.iter().any(|node| node.is_symbol(",")) {
        return Err(Error::near(","));
    }
    match (word(0).as_str(), word(1).as_str()) {
        ("add", "constraint" | "primary" | "unique" | "foreign" | "check") => {
            let constraint = if word(1) == "constraint" { &action[3.min(action.len())..] } else { &action[1..] };
            match constraint.first().map(Node::lower).as_deref() {
                Some("primary") => {
                    let columns: Vec<String> = constraint
                        .iter()
                        .find(|node| node.is_group())
                        .map(|group| {
                            group
                                .body
                                .iter()
                                .filter(|node| node.is_name())
                                .map(|node| format!("'{}'", node.name().replace('\'', "''")))
                                .collect()
                        })
                        .unwrap_or_default();
                    *nodes = nothing_on(&target, "redshift_catalog.require_not_null");
                    if let Some(made) = nodes.first_mut() {
                        made.text =
                            made.text.replace("::regclass)", &format!("::regclass, array[{}])", columns.join(", ")));
                    }
                }
                Some("unique" | "foreign") => *nodes = nothing_on(&target, "redshift_catalog.exists"),
                Some(other) => return Err(Error::near(other)),
                None => return Err(Error::syntax("syntax error at end of input")),
            }
            Ok(draft)
        }
        ("add", "partition" | "rls") | ("append", _) | ("drop", "partition" | "rls") => Err(Error::unable(&format!(
            "ALTER TABLE … {}",
            render_trimmed(&action[..2.min(action.len())]).to_uppercase()
        ))),
        ("add", _) => {
            let start = 1 + usize::from(word(1) == "column");
            let definition = action.split_off(start);
            if let Some(bad) = definition
                .iter()
                .find(|node| node.is_any(&["primary", "unique", "references", "identity", "distkey", "sortkey"]))
            {
                return Err(Error::near(&bad.text));
            }
            nodes.extend(action);
            if definition.is_empty() {
                return Err(Error::syntax("syntax error at end of input"));
            }
            nodes.extend(column::definition(&definition, target.rsplit('.').next().unwrap_or_default(), scope)?);
            Ok(draft)
        }
        ("drop", "constraint") => Err(Error::unable("ALTER TABLE … DROP CONSTRAINT (keys are not kept)")),
        ("alter", "distkey" | "diststyle" | "sortkey" | "compound" | "interleaved" | "encode") => {
            *nodes = nothing_on(&target, "redshift_catalog.exists");
            Ok(draft)
        }
        ("alter", _) => {
            let column_at = 1 + usize::from(word(1) == "column");
            match word(column_at + 1).as_str() {
                "encode" => {
                    *nodes = nothing_on(&target, "redshift_catalog.exists");
                    Ok(draft)
                }
                "type" => {
                    let mut kind = action.split_off(column_at + 2);
                    if !kind.first().is_some_and(|node| node.is_any(&["varchar", "character", "nvarchar"]))
                        || kind.len() > 3
                    {
                        return Err(Error::refused("ALTER COLUMN TYPE is only supported for VARCHAR columns"));
                    }
                    if let Some((made, taken)) = types::rewrite(&kind, types::Place::Column("", ""))? {
                        kind.splice(..taken, made);
                    }
                    nodes.extend(action);
                    nodes.extend(kind);
                    draft.alone("ALTER TABLE ALTER COLUMN", scope)
                }
                _ => Err(Error::near(&action.get(column_at + 1).map(|node| node.text.clone()).unwrap_or_default())),
            }
        }
        ("rename" | "owner" | "drop", _) => {
            nodes.extend(action);
            Ok(draft)
        }
        ("row", _) => Err(Error::unable("ALTER TABLE … ROW LEVEL SECURITY")),
        _ => Err(Error::near(&action.first().map(|node| node.text.clone()).unwrap_or_default())),
    }
}

/// DROP …
pub(super) fn drop(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let word = nodes.get(1).map(Node::lower).unwrap_or_default();
    let at = if word == "materialized" { 3 } else { 2 };
    let target = name_at(nodes, skip_if_exists(nodes, at)).map(|(name, _)| name).unwrap_or_default();
    match word.as_str() {
        "table" | "view" | "schema" | "user" | "group" | "role" | "materialized" | "function" => {
            Ok(Draft::new(Kind::Ddl).on(target))
        }
        "procedure" => procedure::drop(nodes),
        "database" => Draft::new(Kind::Ddl).on(target).alone("DROP DATABASE", scope),
        _ if UNABLE_OBJECTS.contains(&word.as_str()) => Err(Error::unable(&format!("DROP {}", word.to_uppercase()))),
        _ if UNKNOWN_OBJECTS.contains(&word.as_str()) => Err(no_command(&format!("drop {word}"))),
        _ => Err(Error::near(&nodes.get(1).map(|node| node.text.clone()).unwrap_or_default())),
    }
}
