//! Stored procedures and SQL functions: their heads, CALL and DROP. Bodies are [`super::body`]'s.
//! OUT arguments are not passed in CALL in Redshift: they become INOUT arguments with a default, behind all others.

use super::expression::{self, Scope};
use super::statement::{Draft, name_at};
use super::token::{self, Node, Shape, render, render_trimmed, split};
use super::{Error, Kind, SCHEMA, body, query, statement, types};

/// Most bytes of a procedure's source (developer guide, CREATE PROCEDURE).
const LONGEST_SOURCE: usize = 2 * 1024 * 1024;

/// CREATE [OR REPLACE] PROCEDURE.
pub(super) fn create(nodes: &mut Vec<Node>, at: usize, scope: &Scope<'_>) -> Result<Draft, Error> {
    let Some((target, taken)) = name_at(nodes, at + 1) else {
        return Err(Error::near("procedure"));
    };
    let arguments = at + 1 + taken;
    let Some(group) = nodes.get_mut(arguments).filter(|group| group.is_group()) else {
        return Err(Error::near("procedure"));
    };
    group.body = parameters(&group.body)?;
    let mut nonatomic = false;
    let mut has_body = false;
    let mut index = arguments + 1;
    while index < nodes.len() {
        if nodes[index].is("nonatomic") {
            nonatomic = true;
            nodes.remove(index);
            continue;
        }
        if nodes[index].is("language") && !nodes.get(index + 1).is_some_and(|node| node.is("plpgsql")) {
            return Err(Error::unable(&format!(
                "LANGUAGE {}",
                nodes.get(index + 1).map(|node| node.text.clone()).unwrap_or_default()
            )));
        }
        if nodes[index].shape == Shape::Text && nodes[index - 1].is("as") {
            return Err(Error::near(&nodes[index].text));
        }
        index += 1;
    }
    if nonatomic && nodes.iter().any(|node| node.is("definer")) {
        return Err(Error::refused("SECURITY DEFINER is not allowed in a NONATOMIC procedure"));
    }
    for node in nodes.iter_mut().filter(|node| node.shape == Shape::Dollar) {
        has_body = true;
        if node.text.len() > LONGEST_SOURCE {
            return Err(Error::refused("stored procedure source exceeds 2 MB"));
        }
        let (quote, source) = dollar(&node.text);
        node.text = format!("{quote}{}{quote}", body::rewrite(source, nonatomic, scope.context)?);
    }
    if !has_body {
        return Err(Error::syntax("syntax error at end of input"));
    }
    super::utility::search_path_option(nodes);
    Ok(Draft::new(Kind::Ddl).on(target))
}

/// The delimiter and the content of a dollar-quoted literal.
pub(super) fn dollar(text: &str) -> (&str, &str) {
    let end = text[1..].find('$').map_or(text.len(), |at| at + 2);
    let quote = &text[..end];
    (quote, text.get(end..text.len() - end).unwrap_or_default())
}

const MODES: &[&str] = &["in", "out", "inout"];

/// `[name] [mode] type` or `[mode] [name] type`, separated by commas.
fn parameters(body: &[Node]) -> Result<Vec<Node>, Error> {
    let mut passed: Vec<String> = Vec::new();
    let mut returned: Vec<String> = Vec::new();
    for item in split(body, ",") {
        let mode = item.iter().take(2).find(|node| node.is_any(MODES)).map_or("in".to_owned(), Node::lower);
        let rest: Vec<Node> = match item.iter().take(2).position(|node| node.is_any(MODES)) {
            Some(at) => {
                item.iter().enumerate().filter(|(index, _)| *index != at).map(|(_, node)| node.clone()).collect()
            }
            None => item.to_vec(),
        };
        let named = types::extent(&rest) < rest.len();
        let (name, kind) = if named { rest.split_at(1) } else { rest.split_at(0) };
        let kind = match types::rewrite(kind, types::Place::Cast)? {
            Some((mut made, taken)) => {
                made.extend_from_slice(&kind[taken..]);
                render_trimmed(&made)
            }
            None => render_trimmed(kind),
        };
        let name = render_trimmed(name);
        match mode.as_str() {
            "out" => returned.push(format!("inout {name} {kind} default null")),
            "inout" if !returned.is_empty() => {
                return Err(Error::unable("an INOUT argument behind an OUT argument"));
            }
            mode => passed.push(format!("{mode} {name} {kind}")),
        }
    }
    passed.append(&mut returned);
    Ok(if passed.is_empty() { Vec::new() } else { vec![Node::made(passed.join(", ")).after("")] })
}

/// CREATE [OR REPLACE] FUNCTION … LANGUAGE sql.
pub(super) fn create_function(nodes: &mut [Node], at: usize, scope: &Scope<'_>) -> Result<Draft, Error> {
    let Some((target, taken)) = name_at(nodes, at + 1) else {
        return Err(Error::near("function"));
    };
    let language = nodes.iter().position(|node| node.is("language")).and_then(|at| nodes.get(at + 1)).map(Node::lower);
    match language.as_deref() {
        Some("sql") => {}
        Some("plpythonu") => return Err(Error::refused("Python UDFs are not supported any more")),
        Some(other) => {
            return Err(Error::unable(&format!("CREATE FUNCTION … LANGUAGE {other}")));
        }
        None => return Err(Error::syntax("no language specified")),
    }
    let group = at + 1 + taken;
    if let Some(group) = nodes.get_mut(group).filter(|group| group.is_group()) {
        group.body = parameters(&group.body)?;
    }
    if let Some(returns) = nodes.iter().position(|node| node.is("returns"))
        && let Some((made, taken)) = types::rewrite(&nodes[returns + 1..], types::Place::Cast)?
        && taken == 1
        && let [only] = &made[..]
    {
        nodes[returns + 1] = only.clone();
    }
    for node in nodes.iter_mut().filter(|node| node.shape == Shape::Dollar) {
        let (quote, source) = dollar(&node.text);
        let mut tree = token::read(source)?;
        statement::names(&mut tree.nodes, scope.context)?;
        if !token::starts_query(&tree.nodes) {
            return Err(Error::near(&tree.nodes.first().map(|node| node.text.clone()).unwrap_or_default()));
        }
        query::rewrite(&mut tree.nodes, &Scope::body(scope.context))?;
        node.text = format!("{quote}{}{quote}", tree.render());
    }
    Ok(Draft::new(Kind::Ddl).on(target))
}

/// CALL.
pub(super) fn call(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let Some((target, taken)) = name_at(nodes, 1) else {
        return Err(Error::near("call"));
    };
    let mut rest = nodes.split_off(1 + taken);
    expression::rewrite(&mut rest, scope)?;
    nodes.append(&mut rest);
    let mut draft = Draft::new(Kind::Call).on(target);
    if scope.context.in_transaction {
        // Handlers and NONATOMIC procedures must know that they cannot commit; the setting ends with the transaction.
        draft.first.push(format!("select set_config('{SCHEMA}.atomic', 'on', true)"));
    }
    Ok(draft)
}

/// DROP PROCEDURE name (input types).
pub(super) fn drop(nodes: &mut Vec<Node>) -> Result<Draft, Error> {
    let exists = nodes.get(2).is_some_and(|node| node.is("if"));
    let at = if exists { 4 } else { 2 };
    let Some((target, taken)) = name_at(nodes, at) else {
        return Err(Error::near("procedure"));
    };
    let draft = Draft::new(Kind::Ddl).on(target);
    let Some(group) = nodes.get(at + taken).filter(|group| group.is_group()) else {
        return Ok(draft);
    };
    let mut inputs = Vec::new();
    for item in split(&group.body, ",") {
        let mode = item.iter().take(2).position(|node| node.is_any(MODES));
        if mode.is_some_and(|at| item[at].is("out")) {
            continue;
        }
        let rest: Vec<Node> =
            item.iter().enumerate().filter(|(index, _)| Some(*index) != mode).map(|(_, node)| node.clone()).collect();
        let kind = if types::extent(&rest) < rest.len() { &rest[1..] } else { &rest[..] };
        let kind = match types::rewrite(kind, types::Place::Cast)? {
            Some((made, _)) => render(&made),
            None => render(kind),
        };
        inputs.push(format!("'{}'", kind.trim().replace('\'', "''")));
    }
    let name = render_trimmed(&nodes[at..at + taken]).replace('\'', "''");
    *nodes = vec![
        Node::made(format!(
            "do $redshift$ begin perform {SCHEMA}.drop_procedure('{name}', array[{}]::text[], {exists}); end $redshift$",
            inputs.join(", ")
        ))
        .after(""),
    ];
    Ok(draft)
}
