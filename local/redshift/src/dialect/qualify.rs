//! QUALIFY: the query without it becomes a subquery that also computes the condition.
//! Must never lose, add or rename a column of the result.

use super::Error;
use super::expression::Scope;
use super::query::{NO_RELATION_ALIAS, clauses, expand, item_alias};
use super::token::{Node, Shape, render, render_trimmed, split};

/// QUALIFY: the query without it becomes a subquery that also computes the condition.
pub(super) fn rewrite(nodes: &mut Vec<Node>, list: usize, distinct: bool, scope: &Scope<'_>) -> Result<(), Error> {
    let found = clauses(nodes);
    let start = |name: &str| found.iter().find(|(clause, _)| *clause == name).map(|(_, at)| *at);
    let Some(at) = start("qualify") else {
        return Ok(());
    };
    let tail_at = ["order", "limit", "offset"].iter().filter_map(|name| start(name)).min().unwrap_or(nodes.len());
    if tail_at < at {
        return Err(Error::near("qualify"));
    }
    if start("into").is_some() {
        return Err(Error::unable("QUALIFY in SELECT … INTO"));
    }
    let from_at = start("from").filter(|from_at| *from_at < at).ok_or_else(|| Error::near("qualify"))?;
    let from_end = found.iter().map(|(_, at)| *at).filter(|end| *end > from_at).min().unwrap_or(at);
    let sources = &nodes[from_at + 1..from_end];

    let mut condition = nodes[at + 1..tail_at].to_vec();
    let mut inner: Vec<Node> = vec![Node::word("select")];
    let mut outer: Vec<String> = Vec::new();
    let mut names: Vec<String> = Vec::new();
    let items = split(&nodes[list..from_at], ",");
    let push = |inner: &mut Vec<Node>, expression: &[Node], name: &str| {
        if inner.len() > 1 {
            inner.push(Node::symbol(","));
        }
        inner.extend_from_slice(expression);
        inner.push(Node::made(format!("as \"{name}\"")));
    };
    for (number, item) in items.iter().enumerate() {
        if item.last().is_some_and(|last| last.is_symbol("*")) && item.len() != 2 {
            let rows = match item.len() {
                1 => relation_names(sources)?,
                _ => vec![render_trimmed(&item[..item.len() - 2])],
            };
            for (row, relation) in rows.iter().enumerate() {
                let name = format!("__r{number}_{row}");
                push(&mut inner, &[Node::made(relation.clone())], &name);
                outer.push(format!("(\"{name}\").*"));
            }
            continue;
        }
        let (alias, end) = item_alias(item);
        let expression = &item[..end];
        let own = alias.clone().unwrap_or_else(|| default_name(expression));
        // GROUP BY may name an alias, so it stays unless two items have the same.
        let alone =
            |name: &&String| items.iter().filter(|other| item_alias(other).0.as_ref() == Some(*name)).count() == 1;
        let name = alias.as_ref().filter(alone).cloned().unwrap_or_else(|| format!("__c{number}"));
        let quoted = name.replace('"', "\"\"");
        outer.push(format!("\"{quoted}\" as \"{}\"", own.replace('"', "\"\"")));
        if let Some(alias) = &alias {
            if expression.iter().any(|node| node.is("over")) {
                inline(&mut condition, alias, expression);
            } else {
                expand(&mut condition, alias, expression, scope);
            }
        }
        names.push(own);
        push(&mut inner, expression, &quoted);
    }
    push(&mut inner, &[Node::group(condition).after(" ")], "__qualify");

    let mut tail = nodes[tail_at..].to_vec();
    if tail.first().is_some_and(|node| node.is("order")) {
        let end = tail.iter().position(|node| node.is_any(&["limit", "offset"])).unwrap_or(tail.len());
        let mut order: Vec<String> = Vec::new();
        for (number, item) in split(&tail[2..end], ",").iter().enumerate() {
            let cut = item.iter().position(|node| node.is_any(&["asc", "desc", "nulls"])).unwrap_or(item.len());
            let (key, direction) = item.split_at(cut);
            let by_name =
                matches!(key, [only] if only.shape == Shape::Number || only.is_name() && names.contains(&only.name()));
            if by_name {
                order.push(render_trimmed(item));
            } else {
                let name = format!("__o{number}");
                push(&mut inner, key, &name);
                order.push(format!("\"{name}\"{}", render(direction)));
            }
        }
        let rest = tail.split_off(end);
        tail = vec![Node::made(format!("order by {}", order.join(", ")))];
        tail.extend(rest);
    }
    inner.extend_from_slice(&nodes[from_at..at]);
    let lead = nodes.first().map(|node| node.lead.clone()).unwrap_or_default();
    let mut made = vec![
        Node::word("select").after(&lead),
        Node::made(format!("{}{} from", if distinct { "distinct " } else { "" }, outer.join(", "))),
        Node::group(inner).after(" "),
        Node::made("as \"__qualified\" where \"__qualify\""),
    ];
    made.extend(tail);
    *nodes = made;
    Ok(())
}

fn inline(nodes: &mut [Node], alias: &str, definition: &[Node]) {
    for index in 0..nodes.len() {
        let qualified = index > 0 && nodes[index - 1].is_symbol(".");
        let node = &mut nodes[index];
        if node.shape == Shape::Group && !node.is_query() {
            inline(&mut node.body, alias, definition);
        } else if node.is_name() && !qualified && node.name() == alias {
            let lead = std::mem::take(&mut node.lead);
            *node = Node::group(definition.to_vec()).after(&lead);
        }
    }
}

/// The column name PostgreSQL gives an expression without alias.
fn default_name(expression: &[Node]) -> String {
    let column = expression.iter().all(|node| node.is_name() || node.is_symbol("."));
    match expression {
        [.., last] if column => last.name(),
        [name, group, ..] if name.is_name() && group.is_group() => match name.lower().as_str() {
            "dateadd" => "date_add".to_owned(),
            "datediff" => "date_diff".to_owned(),
            "date_part" => "pgdate_part".to_owned(),
            "extract" => "date_part".to_owned(),
            "nvl" => "coalesce".to_owned(),
            "nvl2" | "decode" => "case".to_owned(),
            other => other.to_owned(),
        },
        [first, ..] if first.is("case") => "case".to_owned(),
        _ => "?column?".to_owned(),
    }
}

/// Names under which the relations of a FROM list can be referred to.
fn relation_names(nodes: &[Node]) -> Result<Vec<String>, Error> {
    let mut names = Vec::new();
    let mut expected = true;
    for (index, node) in nodes.iter().enumerate() {
        if node.is_any(&["using", "natural"]) {
            return Err(Error::unable("QUALIFY with SELECT * over JOIN … USING or NATURAL JOIN"));
        }
        if expected && (node.is_name() || node.is_group()) {
            let rest = &nodes[index..];
            let taken = super::statement::name_at(rest, 0).map_or(1, |(_, taken)| taken);
            let mut alias = rest.get(taken);
            if alias.is_some_and(|alias| alias.is("as")) {
                alias = rest.get(taken + 1);
            }
            let name = match alias {
                Some(alias) if alias.is_name() && !alias.is_any(NO_RELATION_ALIAS) => {
                    render_trimmed(std::slice::from_ref(alias))
                }
                Some(made) if made.shape == Shape::Made => made.text.trim_start_matches("as ").to_owned(),
                _ if node.is_name() => render_trimmed(&rest[taken - 1..taken]),
                _ => return Err(Error::unable("QUALIFY with SELECT * over a bracketed join")),
            };
            names.push(name);
        }
        expected = node.is_symbol(",") || node.is("join");
    }
    Ok(names)
}
