//! Transactions, settings, SHOW, GRANT, ANALYZE, VACUUM, EXPLAIN, cursors and the commands Redshift does not have.
//! Must never let a setting reach PostgreSQL that would take the prelude's schema out of the search path.

use super::expression::Scope;
use super::statement::{Draft, name_at, rewrite as rewrite_statement};
use super::token::{Node, Shape, render_trimmed};
use super::{Error, Kind, SCHEMA, expression, query};

/// Settings that Redshift has and PostgreSQL does not; kept as custom settings so that SET and SHOW agree. Second: what
/// SHOW gives before any SET (developer guide, configuration reference).
const SETTINGS: &[(&str, &str)] = &[
    ("query_group", "unset"),
    ("wlm_query_slot_count", "1"),
    ("enable_result_cache_for_session", "on"),
    ("analyze_threshold_percent", "10"),
    ("enable_case_sensitive_identifier", "off"),
    ("enable_case_sensitive_super_attribute", "off"),
    ("enable_numeric_rounding", "on"),
    ("error_on_nondeterministic_update", "off"),
    ("describe_field_name_in_uppercase", "off"),
    ("downcase_delimited_identifier", "on"),
    ("json_serialization_enable", "off"),
    ("json_serialization_parse_nested_strings", "off"),
    ("max_recursion_rows", "0"),
    ("max_cursor_result_set_size", "default"),
    ("mv_enable_aqmv_for_session", "on"),
    ("navigate_super_null_on_error", "on"),
    ("cast_super_null_on_error", "on"),
    ("parse_super_null_on_error", "off"),
    ("pg_federation_repeatable_read", "on"),
    ("query_priority", "normal"),
    ("spectrum_enable_pseudo_columns", "on"),
    ("spectrum_query_maxerror", "-1"),
    ("stored_proc_log_min_messages", "log"),
    ("use_fips_ssl", "off"),
    ("activate_aqua", "auto"),
    ("enable_vacuum_boost", "off"),
    ("interval_forbid_composite_literals", "off"),
];

/// Commands PostgreSQL has and Redshift does not.
const NO_COMMAND: &[&str] = &[
    "savepoint",
    "release",
    "do",
    "listen",
    "notify",
    "unlisten",
    "cluster",
    "reindex",
    "checkpoint",
    "load",
    "security",
    "import",
    "discard",
    "reassign",
];

/// Statements that are none of the others.
pub(super) fn rewrite(word: &str, nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let next = nodes.get(1).map(Node::lower).unwrap_or_default();
    let target = |at: usize| name_at(nodes, at).map(|(name, _)| name);
    match word {
        "begin" | "start" => begin(nodes),
        "commit" | "end" => ended(nodes).map(|()| Draft::new(Kind::Commit)),
        "rollback" | "abort" if nodes.iter().any(|node| node.is("to")) => Err(no_command("rollback to savepoint")),
        "rollback" | "abort" => ended(nodes).map(|()| Draft::new(Kind::Rollback)),
        "truncate" => truncate(nodes),
        // Outside procedures they do not come here.
        "copy" | "unload" => Err(Error::unable(&format!("{} in a stored procedure", word.to_uppercase()))),
        "set" => set(nodes),
        "reset" => reset(nodes),
        "show" => show(nodes),
        "explain" => explain(nodes, scope),
        "analyze" | "analyse" => analyze(nodes),
        "vacuum" => vacuum(nodes, scope),
        "grant" | "revoke" => grant(nodes),
        "comment" => Ok(Draft::new(Kind::Ddl)),
        "lock" => {
            if let Some(mode) = nodes.iter().find(|node| node.is("in")) {
                return Err(Error::near(&mode.text));
            }
            let at = 1 + usize::from(next == "table");
            let target = target(at);
            Ok(Draft { target, ..Draft::new(Kind::Utility) })
        }
        "refresh" if next == "materialized" => {
            let target = target(3);
            if let Some(option) = nodes.iter().position(|node| node.is_any(&["restrict", "cascade"])) {
                return Err(Error::unable(&format!(
                    "REFRESH MATERIALIZED VIEW … {}",
                    nodes[option].text.to_uppercase()
                )));
            }
            Ok(Draft { target, ..Draft::new(Kind::Utility) })
        }
        "prepare" => {
            let at = nodes.iter().position(|node| node.is("as")).ok_or_else(|| Error::near("prepare"))?;
            let mut statement = nodes.split_off(at + 1);
            rewrite_statement(&mut statement, scope)?;
            nodes.append(&mut statement);
            Ok(Draft::new(Kind::Utility))
        }
        "execute" => {
            let mut rest = nodes.split_off(1);
            expression::rewrite(&mut rest, scope)?;
            nodes.append(&mut rest);
            // Whether the prepared statement gives rows only the server knows.
            Ok(Draft::new(Kind::Utility).rows(true))
        }
        "declare" => {
            let at = nodes.iter().position(|node| node.is("for")).ok_or_else(|| Error::near("declare"))?;
            let mut text = nodes.split_off(at + 1);
            query::rewrite(&mut text, scope)?;
            nodes.append(&mut text);
            Ok(Draft::new(Kind::Utility))
        }
        "fetch" => {
            match nodes.iter().find(|node| node.is_any(&["backward", "prior", "absolute", "relative", "first", "last"]))
            {
                Some(bad) => Err(Error::near(&bad.text)),
                None => Ok(Draft::new(Kind::Utility).rows(true)),
            }
        }
        "deallocate" | "close" => Ok(Draft::new(Kind::Utility)),
        "cancel" | "use" | "desc" | "describe" | "attach" | "detach" | "associate" | "disassociate" => {
            Err(Error::unable(&word.to_uppercase()))
        }
        "rollup" => Err(Error::near(word)),
        _ if NO_COMMAND.contains(&word) => Err(no_command(word)),
        _ => Err(Error::near(&nodes.first().map(|node| node.text.clone()).unwrap_or_default())),
    }
}

fn no_command(words: &str) -> Error {
    Error::refused(format!("SQL command \"{}\" not supported on Redshift tables.", words.to_uppercase()))
}

/// Every level is accepted and none lowers isolation; the database runs on snapshots.
fn begin(nodes: &mut Vec<Node>) -> Result<Draft, Error> {
    let read_only = nodes.windows(2).any(|pair| pair[0].is("read") && pair[1].is("only"));
    for node in nodes.iter().skip(1) {
        let known = [
            "work",
            "transaction",
            "isolation",
            "level",
            "serializable",
            "repeatable",
            "read",
            "committed",
            "uncommitted",
            "write",
            "only",
            "snapshot",
        ];
        if !node.is_any(&known) && !node.is_symbol(",") {
            return Err(Error::near(&node.text));
        }
    }
    let mode = if read_only { " read only" } else { "" };
    *nodes = vec![Node::made(format!("begin isolation level repeatable read{mode}")).after("")];
    Ok(Draft::new(Kind::Begin))
}

/// COMMIT and ROLLBACK take one noise word and nothing else.
fn ended(nodes: &[Node]) -> Result<(), Error> {
    match nodes.get(1..).unwrap_or_default() {
        [] => Ok(()),
        [word] if word.is_any(&["work", "transaction"]) => Ok(()),
        [word, ..] => Err(Error::near(&word.text)),
    }
}

fn truncate(nodes: &[Node]) -> Result<Draft, Error> {
    let at = 1 + usize::from(nodes.get(1).is_some_and(|node| node.is("table")));
    let Some((target, taken)) = name_at(nodes, at) else {
        return Err(Error::near("truncate"));
    };
    if let Some(extra) = nodes.get(at + taken) {
        return Err(Error::near(&extra.text));
    }
    Ok(Draft { commits: true, ..Draft::new(Kind::Truncate).on(target) })
}

/// Puts the prelude's schema behind the user's in `search_path … TO | = list`.
fn search_path(nodes: &mut Vec<Node>, from: usize) {
    let Some(at) = nodes[from..].iter().position(|node| node.is("search_path")).map(|at| at + from) else {
        return;
    };
    if nodes.get(at + 2).is_some_and(|node| !node.is("default")) {
        nodes.push(Node::made(format!(", {SCHEMA}, pg_catalog")).after(""));
    }
}

/// The SET option of CREATE PROCEDURE.
pub(super) fn search_path_option(nodes: &mut Vec<Node>) {
    if let Some(at) = nodes.iter().position(|node| node.is("set")) {
        search_path(nodes, at);
    }
}

fn known(name: &str) -> Option<(&'static str, &'static str)> {
    SETTINGS.iter().copied().find(|(setting, _)| *setting == name)
}

fn set(nodes: &mut Vec<Node>) -> Result<Draft, Error> {
    let at = 1 + usize::from(nodes.get(1).is_some_and(|node| node.is_any(&["session", "local"])));
    let name = nodes.get(at).map(Node::lower).unwrap_or_default();
    if known(&name).is_some() {
        let value = nodes.get(at + 2..).map(render_trimmed).unwrap_or_default();
        nodes.truncate(at);
        let quoted = value.starts_with('\'') || value.eq_ignore_ascii_case("default");
        let value = if quoted { value } else { format!("'{}'", value.replace('\'', "''")) };
        nodes.push(Node::made(format!("redshift.{name} to {value}")));
    }
    search_path(nodes, at);
    Ok(Draft::new(Kind::Utility))
}

fn reset(nodes: &mut [Node]) -> Result<Draft, Error> {
    if let Some(node) = nodes.get_mut(1)
        && known(&node.lower()).is_some()
    {
        node.text = format!("redshift.{}", node.lower());
    }
    Ok(Draft::new(Kind::Utility))
}

fn show(nodes: &mut Vec<Node>) -> Result<Draft, Error> {
    let name = nodes.get(1).map(Node::lower).unwrap_or_default();
    let metadata = [
        "databases",
        "schemas",
        "tables",
        "columns",
        "grants",
        "table",
        "view",
        "external",
        "procedure",
        "model",
        "datashares",
        "user",
        "functions",
        "procedures",
        "parameters",
        "constraints",
        "template",
    ];
    if metadata.contains(&name.as_str()) && nodes.len() > 1 {
        return Err(Error::unable(&format!("SHOW {}", name.to_uppercase())));
    }
    if let Some((setting, default)) = known(&name) {
        *nodes = vec![
            Node::made(format!(
                "select coalesce(nullif(current_setting('redshift.{setting}', true), ''), '{default}') as {setting}"
            ))
            .after(""),
        ];
    } else if name == "search_path" {
        *nodes = vec![
            Node::made(format!(
                "select replace(replace(current_setting('search_path'), ', {SCHEMA}, pg_catalog', ''), '\"$user\"', '$user') as search_path"
            ))
            .after(""),
        ];
    }
    Ok(Draft::new(Kind::Utility).rows(true))
}

fn explain(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let at = 1 + usize::from(nodes.get(1).is_some_and(|node| node.is("verbose")));
    let mut statement = nodes.split_off(at.min(nodes.len()));
    match statement.first() {
        Some(first)
            if first.is_any(&["select", "with", "insert", "update", "delete", "create"]) || first.is_query() => {}
        Some(first) => return Err(Error::near(&first.text)),
        None => return Err(Error::syntax("syntax error at end of input")),
    }
    let draft = rewrite_statement(&mut statement, scope)?;
    nodes.append(&mut statement);
    Ok(Draft { target: draft.target, ..Draft::new(Kind::Utility).rows(true) })
}

fn analyze(nodes: &mut Vec<Node>) -> Result<Draft, Error> {
    if nodes.get(1).is_some_and(|node| node.is("compression")) {
        return Err(Error::unable("ANALYZE COMPRESSION"));
    }
    if nodes.get(1).is_some_and(Node::is_group) {
        return Err(Error::near("("));
    }
    if let Some(at) = nodes.iter().position(|node| node.is_any(&["predicate", "all"]))
        && nodes.get(at + 1).is_some_and(|node| node.is("columns"))
    {
        nodes.truncate(at);
    }
    let at = 1 + usize::from(nodes.get(1).is_some_and(|node| node.is("verbose")));
    let target = name_at(nodes, at).map(|(name, _)| name);
    Ok(Draft { target, ..Draft::new(Kind::Utility) })
}

fn vacuum(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let mut at = 1;
    match nodes.get(1) {
        Some(node) if node.is_group() => return Err(Error::near("(")),
        Some(node) if node.is_any(&["analyze", "verbose", "freeze"]) => {
            return Err(Error::near(&node.text));
        }
        Some(node) if node.is_any(&["full", "reindex", "recluster"]) => at = 2,
        Some(node) if node.is_any(&["sort", "delete"]) && nodes.get(2).is_some_and(|node| node.is("only")) => at = 3,
        _ => {}
    }
    let table_needed = nodes.get(1).is_some_and(|node| node.is_any(&["reindex", "recluster"]));
    let mut made = vec![nodes[0].clone()];
    let mut target = None;
    let mut index = at;
    if let Some((name, taken)) =
        name_at(nodes, at).filter(|_| nodes.get(at).is_some_and(|node| !node.is_any(&["to", "boost"])))
    {
        made.extend(nodes[at..at + taken].iter().cloned());
        target = Some(name);
        index += taken;
    }
    if nodes.get(index).is_some_and(|node| node.is("to")) && nodes.get(index + 2).is_some_and(|node| node.is("percent"))
    {
        if target.is_none() || table_needed {
            return Err(Error::near("to"));
        }
        index += 3;
    }
    if nodes.get(index).is_some_and(|node| node.is("boost")) {
        index += 1;
    }
    if let Some(extra) = nodes.get(index) {
        return Err(Error::near(&extra.text));
    }
    if table_needed && target.is_none() {
        return Err(Error::syntax("syntax error at end of input"));
    }
    *nodes = made;
    Draft { target, ..Draft::new(Kind::Utility) }.alone("VACUUM", scope)
}

/// GRANT and REVOKE: `ROLE name` and `USER name` as grantee are plain names in PostgreSQL.
fn grant(nodes: &mut Vec<Node>) -> Result<Draft, Error> {
    for word in ["assumerole", "datashare", "model", "copy", "masking"] {
        if nodes.iter().any(|node| node.is(word)) {
            return Err(Error::unable(&format!("{} … {}", nodes[0].text.to_uppercase(), word.to_uppercase())));
        }
    }
    for word in ["rule", "trigger"] {
        if let Some(at) = nodes.iter().position(|node| node.is(word)) {
            return Err(Error::near(&nodes[at].text));
        }
    }
    let to = nodes.iter().rposition(|node| node.is_any(&["to", "from"])).unwrap_or(nodes.len());
    let mut index = to + 1;
    while index < nodes.len() {
        let role = nodes[index].is_any(&["role", "user"]) && nodes.get(index + 1).is_some_and(Node::is_name);
        if role && !nodes[index + 1].is("with") {
            let lead = nodes.remove(index).lead;
            nodes[index].lead = lead;
        }
        index += 1;
    }
    if nodes.get(1).is_some_and(|node| node.is("role")) && nodes.get(1).is_some_and(|node| node.shape == Shape::Word) {
        nodes.remove(1);
    }
    Ok(Draft::new(Kind::Ddl))
}
