//! The structure of queries: common tables, set operations, TOP, MINUS, QUALIFY, select-list aliases used in the same
//! list, relations without alias.
//! Works on source tokens before [`super::expression`] rewrites them. Must never decide by guessing whether a name is a
//! column: that is the server's (see [`super::Context::with_alias`]).

use super::dynamic::VALUE;
use super::expression::{self, Scope};
use super::token::{Node, Shape, render, split, within_limit};
use super::{Error, navigation, pivot, qualify, refusal, unnest};

/// Rewrites a query (with its WITH list, if any) and everything in it.
pub(super) fn rewrite(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    structure(nodes, scope)?;
    expression::rewrite(nodes, scope)
}

fn structure(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    let main = main_statement(nodes);
    check_common_tables(&nodes[..main], scope)?;
    let body = nodes.split_off(main);
    nodes.extend(set_operation(body, scope)?);
    Ok(())
}

/// Checks and rewrites the WITH list in front of UPDATE or DELETE.
pub(super) fn common_tables(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    check_common_tables(nodes, scope)?;
    expression::rewrite(nodes, scope)
}

/// Index of the first node behind the WITH list; 0 without one.
pub(super) fn main_statement(nodes: &[Node]) -> usize {
    if !nodes.first().is_some_and(|node| node.is("with")) {
        return 0;
    }
    let mut index = 1;
    while let Some(node) = nodes.get(index) {
        let ends = node.is_group() && !nodes.get(index + 1).is_some_and(|next| next.is("as") || next.is_symbol(","));
        index += 1;
        if ends {
            return index;
        }
    }
    index
}

fn check_common_tables(nodes: &[Node], scope: &Scope<'_>) -> Result<(), Error> {
    for (index, node) in nodes.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|at| nodes.get(at));
        if node.is("materialized") {
            return Err(Error::near(&node.text));
        }
        if node.is_name() && before.is_some_and(|b| b.is_any(&["with", "recursive"]) || b.is_symbol(",")) {
            scope.common.borrow_mut().insert(node.name());
        }
        if node.is_group() && before.is_some_and(|before| before.is("as")) {
            match node.body.first() {
                Some(first) if first.is_any(&["insert", "update", "delete", "merge", "with", "values"]) => {
                    return Err(Error::near(&first.text));
                }
                _ => {}
            }
        }
    }
    Ok(())
}

const SET_OPERATORS: &[&str] = &["union", "intersect", "except", "minus"];

fn set_operation(nodes: Vec<Node>, scope: &Scope<'_>) -> Result<Vec<Node>, Error> {
    let mut operands: Vec<Vec<Node>> = vec![Vec::new()];
    let mut operators: Vec<Vec<Node>> = Vec::new();
    let mut nodes = nodes.into_iter().peekable();
    let mut bare = false;
    while let Some(mut node) = nodes.next() {
        let last = operands.last_mut();
        if node.is_any(SET_OPERATORS) && !bare {
            if node.is("minus") {
                node.text = "except".to_owned();
            }
            let union = node.is("union");
            let mut operator = vec![node];
            if let Some(all) = nodes.next_if(|next| next.is_any(&["all", "distinct"])) {
                if all.is("all") && !union {
                    return Err(Error::near(&all.text));
                }
                operator.push(all);
            }
            operators.push(operator);
            operands.push(Vec::new());
            bare = false;
        } else if let Some(last) = last {
            bare = node.is_symbol(".") || node.is("as");
            last.push(node);
        }
    }
    if operands.len() == 1 {
        let mut only = operands.pop().unwrap_or_default();
        select(&mut only, scope, false)?;
        return Ok(only);
    }
    // ORDER BY, LIMIT and OFFSET behind the last operand belong to the whole.
    let tail = match operands.last_mut() {
        Some(last) => {
            let cut = clauses(last)
                .iter()
                .find(|(clause, _)| matches!(*clause, "order" | "limit" | "offset"))
                .map(|(_, at)| *at);
            cut.map(|at| last.split_off(at)).unwrap_or_default()
        }
        None => Vec::new(),
    };
    let mut all = Vec::new();
    let mut operators = operators.into_iter();
    for mut operand in operands {
        select(&mut operand, scope, true)?;
        all.extend(operand);
        all.extend(operators.next().unwrap_or_default());
    }
    all.extend(tail);
    Ok(all)
}

/// Clauses of one SELECT on this level, in order of appearance, with the index of their first word.
pub(super) fn clauses(nodes: &[Node]) -> Vec<(&'static str, usize)> {
    let mut found: Vec<(&'static str, usize)> = Vec::new();
    let next = |index: usize, words: &[&str]| nodes.get(index + 1).is_some_and(|node| node.is_any(words));
    for (index, node) in nodes.iter().enumerate() {
        let before = index.checked_sub(1).and_then(|at| nodes.get(at));
        if before.is_some_and(|before| before.is_symbol(".") || before.is("as")) {
            continue;
        }
        let clause = match node.lower().as_str() {
            "into" if !found.iter().any(|(clause, _)| *clause == "from") => "into",
            "from" if !before.is_some_and(|before| before.is("distinct")) => "from",
            "where" => "where",
            "group" if next(index, &["by"]) => "group",
            "having" => "having",
            "qualify" => "qualify",
            "order" if next(index, &["by"]) => "order",
            "limit" => "limit",
            "offset" => "offset",
            "window" if nodes.get(index + 2).is_some_and(|node| node.is("as")) => "window",
            "fetch" if next(index, &["first", "next"]) => "fetch",
            "for" if next(index, &["update", "share", "no", "key"]) => "for",
            "start" if next(index, &["with"]) => "connect",
            "connect" if next(index, &["by"]) => "connect",
            _ => continue,
        };
        if !found.iter().any(|(other, _)| *other == clause) {
            found.push((clause, index));
        }
    }
    found
}

/// The table of SELECT … INTO, outside procedures.
pub(super) fn into_target(nodes: &[Node]) -> Option<String> {
    let main = main_statement(nodes);
    let nodes = &nodes[main..];
    let mut at = clauses(nodes).iter().find(|(clause, _)| *clause == "into")?.1 + 1;
    while nodes.get(at).is_some_and(|node| node.is_any(&["temp", "temporary", "local", "table"])) {
        at += 1;
    }
    Some(super::statement::name_at(nodes, at)?.0)
}

/// One SELECT, or a bracketed query as operand.
fn select(nodes: &mut Vec<Node>, scope: &Scope<'_>, operand: bool) -> Result<(), Error> {
    match nodes.first() {
        Some(first) if first.is("select") => {}
        Some(first) if first.is_group() => return Ok(()),
        Some(first) => return Err(Error::near(&first.text)),
        None => return Err(Error::syntax("syntax error at end of input")),
    }
    let found = clauses(nodes);
    for (clause, at) in &found {
        match *clause {
            "window" | "fetch" | "for" => return Err(Error::near(&nodes[*at].text)),
            "connect" => return Err(Error::unable("CONNECT BY")),
            _ => {}
        }
    }
    let temporary = found
        .iter()
        .find(|(clause, _)| *clause == "into")
        .map(|(_, at)| at + 1)
        .filter(|at| !scope.body && nodes.get(*at).is_some_and(|node| node.text.starts_with("\"#")));
    if let Some(at) = temporary {
        nodes.insert(at, Node::word("temp"));
    }
    refusal::leader_only(nodes, scope)?;
    let mut list = 1;
    let mut distinct = None;
    if nodes.get(list).is_some_and(|node| node.is_any(&["all", "distinct"])) {
        if nodes.get(list + 1).is_some_and(|node| node.is("on")) {
            return Err(Error::refused("SELECT DISTINCT ON is not supported"));
        }
        distinct = nodes[list].is("distinct").then_some(());
        list += 1;
    }
    let limit = top(nodes, list)?;
    truth_tests(&nodes[list.min(nodes.len())..list_end(nodes).max(list).min(nodes.len())])?;
    aliases(nodes, list, scope)?;
    if let Some(at) = clauses(nodes).iter().find(|(clause, _)| *clause == "from").map(|(_, at)| *at) {
        let end = clauses(nodes).iter().map(|(_, at)| *at).filter(|end| *end > at).min().unwrap_or(nodes.len());
        let rest = nodes.split_off(end);
        let mut from = nodes.split_off(at + 1);
        relations(&mut from, scope)?;
        nodes.append(&mut from);
        nodes.extend(rest);
    }
    item_names(nodes, list, scope);
    if clauses(nodes).iter().any(|(clause, _)| *clause == "qualify") {
        qualify::rewrite(nodes, list, distinct.is_some(), scope)?;
    }
    if let Some(limit) = limit {
        nodes.push(Node::word("limit"));
        nodes.extend(limit);
        if operand {
            let lead = nodes.first().map(|node| node.lead.clone()).unwrap_or_default();
            let group = Node::group(std::mem::take(nodes)).after(&lead);
            nodes.push(group);
        }
    }
    Ok(())
}

/// Takes `TOP n` out of the select list's start.
fn top(nodes: &mut Vec<Node>, at: usize) -> Result<Option<Vec<Node>>, Error> {
    if !nodes.get(at).is_some_and(|node| node.is("top")) {
        return Ok(None);
    }
    let taken = match nodes.get(at + 1) {
        Some(next) if matches!(next.shape, Shape::Number | Shape::Placeholder) || next.is_group() => 1,
        // A number that SQL built as text puts in.
        Some(next) if next.text.starts_with(VALUE) => 1,
        Some(next) if next.is_symbol(":") => 2,
        _ => return Ok(None),
    };
    if clauses(nodes).iter().any(|(clause, _)| *clause == "limit") {
        return Err(Error::syntax("multiple LIMIT clauses not allowed"));
    }
    let mut taken: Vec<Node> = nodes.drain(at..at + 1 + taken).collect();
    Ok(Some(taken.split_off(1)))
}

/// Words that end an operand as an operator or keyword, so that the next name is no alias.
const NO_OPERAND: &[&str] = &[
    "and",
    "or",
    "not",
    "in",
    "is",
    "like",
    "ilike",
    "similar",
    "to",
    "between",
    "from",
    "as",
    "distinct",
    "all",
    "any",
    "some",
    "case",
    "when",
    "then",
    "else",
    "collate",
    "at",
    "time",
    "interval",
    "over",
    "escape",
    "select",
    "by",
    "asc",
    "desc",
    "nulls",
    "top",
    "ignore",
    "respect",
    "approximate",
];

/// Words that are never an alias.
const NO_ALIAS: &[&str] = &[
    "end",
    "null",
    "true",
    "false",
    "isnull",
    "notnull",
    "unknown",
    "sysdate",
    "current_date",
    "current_timestamp",
    "current_user",
    "user",
    "nulls",
    "zone",
    "first",
    "last",
];

/// The item's alias and the index at which its expression ends.
pub(super) fn item_alias(item: &[Node]) -> (Option<String>, usize) {
    let length = item.len();
    let Some(last) = item.last().filter(|last| last.is_name() && length > 1) else {
        return (None, length);
    };
    let before = &item[length - 2];
    if before.is("as") {
        return (Some(last.name()), length - 2);
    }
    let unit = length > 2 && item[length - 3].is("interval");
    let operand = match before.shape {
        Shape::Symbol => false,
        Shape::Word => !before.is_any(NO_OPERAND),
        _ => true,
    };
    if operand && !unit && !last.is_any(NO_ALIAS) && !last.is_any(NO_OPERAND) {
        return (Some(last.name()), length - 1);
    }
    (None, length)
}

fn list_end(nodes: &[Node]) -> usize {
    clauses(nodes).first().map_or(nodes.len(), |(_, at)| *at)
}

/// `column IS [NOT] TRUE` and the like are for WHERE only.
fn truth_tests(list: &[Node]) -> Result<(), Error> {
    for item in split(list, ",") {
        let (_, end) = item_alias(item);
        let truth = |node: &Node| node.is_any(&["true", "false", "unknown"]);
        let tested = matches!(&item[..end], [column, is, value] if column.is_name() && is.is("is") && truth(value));
        let negated = matches!(&item[..end], [column, is, not, value] if column.is_name() && is.is("is") && not.is("not") && truth(value));
        if tested || negated {
            return Err(Error::refused("Not implemented"));
        }
    }
    Ok(())
}

/// Items that are paths into SUPER are named after their last member.
fn item_names(nodes: &mut Vec<Node>, list: usize, scope: &Scope<'_>) {
    let end = list_end(nodes).max(list);
    let items: Vec<Vec<Node>> = split(&nodes[list..end], ",").iter().map(|item| item.to_vec()).collect();
    let named: Vec<Option<String>> = items.iter().map(|item| navigation::item_name(item, scope)).collect();
    if named.iter().all(Option::is_none) {
        return;
    }
    let mut made: Vec<Node> = Vec::new();
    for (index, (item, name)) in items.into_iter().zip(named).enumerate() {
        if index > 0 {
            made.push(Node::symbol(","));
        }
        made.extend(item);
        made.extend(name.map(|name| Node::made(format!("as \"{}\"", name.replace('"', "\"\"")))));
    }
    nodes.splice(list..end, made);
}

/// Finds aliases used by later items of the list, and expands those the context asks for.
fn aliases(nodes: &mut Vec<Node>, list: usize, scope: &Scope<'_>) -> Result<(), Error> {
    if scope.body {
        return Ok(());
    }
    let end = list_end(nodes).max(list);
    let mut items: Vec<Vec<Node>> = split(&nodes[list..end], ",").iter().map(|item| item.to_vec()).collect();
    let mut known: Vec<(String, Vec<Node>)> = Vec::new();
    let mut changed = false;
    for item in &mut items {
        let (alias, expression_end) = item_alias(item);
        for (name, definition) in &known {
            changed |= expand(&mut item[..expression_end], name, definition, scope);
        }
        if changed {
            within_limit(render(item).len())?;
        }
        if let Some(alias) = alias {
            let definition = item[..expression_end].to_vec();
            let same = definition.last().is_some_and(|node| node.is_name() && node.name() == alias);
            if !(same && definition.iter().all(|node| node.is_name() || node.is_symbol("."))) {
                known.push((alias, definition));
            }
        }
    }
    if changed {
        let mut made: Vec<Node> = Vec::new();
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                made.push(Node::symbol(","));
            }
            made.extend(item);
        }
        nodes.splice(list..end, made);
    }
    Ok(())
}

/// Replaces the bare name `alias` by its expression when the context says so; notes that it is used otherwise.
pub(super) fn expand(nodes: &mut [Node], alias: &str, definition: &[Node], scope: &Scope<'_>) -> bool {
    let mut changed = false;
    for index in 0..nodes.len() {
        let after = nodes.get(index + 1);
        let called = after.is_some_and(|next| next.is_group() || next.is_symbol("."));
        let qualified = index > 0 && (nodes[index - 1].is_symbol(".") || nodes[index - 1].is_symbol("::"));
        let node = &mut nodes[index];
        if node.shape == Shape::Group && !node.is_query() {
            changed |= expand(&mut node.body, alias, definition, scope);
        } else if node.is_name() && !called && !qualified && node.name() == alias {
            if scope.context.inline_aliases.contains(alias) {
                let lead = std::mem::take(&mut node.lead);
                *node = Node::group(definition.to_vec()).after(&lead);
                changed = true;
            } else {
                scope.lateral.borrow_mut().insert(alias.to_owned());
            }
        }
    }
    changed
}

/// Words that follow a relation and are not its alias.
pub(super) const NO_RELATION_ALIAS: &[&str] = &[
    "on",
    "using",
    "join",
    "left",
    "right",
    "full",
    "inner",
    "outer",
    "cross",
    "natural",
    "where",
    "group",
    "having",
    "order",
    "limit",
    "offset",
    "union",
    "intersect",
    "except",
    "minus",
    "qualify",
    "set",
    "when",
    "pivot",
    "unpivot",
    "window",
    "fetch",
    "for",
    "tablesample",
    "start",
    "connect",
    "with",
];

/// A FROM list: aliases for subqueries without one, and what Redshift does not take as a relation.
pub(super) fn relations(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    unnest::rewrite(nodes, scope);
    pivot::rewrite(nodes)?;
    let mut index = 0;
    let mut expected = true;
    while index < nodes.len() {
        let node = &nodes[index];
        let after_clause = node.is_any(&["where", "set", "group", "order", "having", "when", "on"]);
        if node.is_any(&["lateral", "tablesample"])
            && !nodes.get(index.wrapping_sub(1)).is_some_and(|b| b.is_symbol(".") || b.is("as"))
        {
            return Err(Error::near(&node.text));
        }
        if node.is("with") && nodes.get(index + 1).is_some_and(|next| next.is("ordinality")) {
            return Err(Error::near(&nodes[index + 1].text));
        }
        if node.is("rows") && nodes.get(index + 1).is_some_and(|next| next.is("from")) {
            return Err(Error::near(&node.text));
        }
        if expected && node.is_group() {
            if node.body.first().is_some_and(|first| first.is("values")) {
                return Err(Error::near("values"));
            }
            if node.is_query() {
                let next = nodes.get(index + 1);
                let named = next
                    .is_some_and(|next| next.shape == Shape::Made || next.is_name() && !next.is_any(NO_RELATION_ALIAS));
                if !named {
                    nodes.insert(index + 1, Node::made(format!("as \"__subquery_{index}\"")));
                }
            } else {
                let mut body = std::mem::take(&mut nodes[index].body);
                relations(&mut body, scope)?;
                nodes[index].body = body;
            }
        }
        expected = !after_clause && (nodes[index].is_any(&["from", "join", "using"]) || (nodes[index].is_symbol(",")));
        index += 1;
    }
    Ok(())
}
