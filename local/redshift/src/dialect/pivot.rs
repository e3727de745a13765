//! PIVOT and UNPIVOT of a subquery with a column list, as aggregates over CASE and as a union of columns.
//! Must never guess the columns of a relation: without a list of names it is refused.

use super::Error;
use super::query::item_alias;
use super::token::{Node, render, render_trimmed, split};

/// Rewrites `relation [alias] PIVOT ( … )` in a FROM list.
pub(super) fn rewrite(nodes: &mut Vec<Node>) -> Result<(), Error> {
    while let Some(at) = nodes.iter().position(|node| node.is_any(&["pivot", "unpivot"])) {
        let unpivot = nodes[at].is("unpivot");
        let word = if unpivot { "UNPIVOT" } else { "PIVOT" };
        let mut group = at + 1;
        let mut nulls = false;
        if unpivot && nodes.get(group).is_some_and(|node| node.is_any(&["include", "exclude"])) {
            nulls = nodes[group].is("include");
            group += 2;
        }
        let Some(operation) = nodes.get(group).filter(|node| node.is_group()).cloned() else {
            return Err(Error::near(word));
        };
        let source = (0..at).rev().find(|index| nodes[*index].is_query());
        let Some(source) = source.filter(|source| at - source <= 3) else {
            return Err(Error::unable(&format!("{word} of a table (put a subquery with a column list in its place)")));
        };
        let columns = columns(&nodes[source].body)
            .ok_or_else(|| Error::unable(&format!("{word} of a subquery without a list of named columns")))?;
        let relation = nodes[source].clone();
        let made = if unpivot {
            unpivoted(&relation, &columns, &operation, nulls)?
        } else {
            pivoted(&relation, &columns, &operation)?
        };
        nodes.splice(source..=group, [Node::group(made).after(" ")]);
    }
    Ok(())
}

/// Output names of a query whose items all have one.
fn columns(query: &[Node]) -> Option<Vec<String>> {
    if !query.first()?.is("select") {
        return None;
    }
    let start = 1 + usize::from(query.get(1).is_some_and(|node| node.is_any(&["distinct", "all"])));
    let end = query.iter().position(|node| node.is("from"))?;
    split(query.get(start..end)?, ",")
        .into_iter()
        .map(|item| match item_alias(item) {
            (Some(alias), _) => Some(alias),
            (None, _) if item.iter().all(|node| node.is_name() || node.is_symbol(".")) => item.last().map(Node::name),
            _ => None,
        })
        .collect()
}

fn quoted(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}

/// What stands before FOR, the column, and the items of the list.
type Parts<'a> = (&'a [Node], String, Vec<&'a [Node]>);

/// `(left FOR column IN (list))`.
fn parts(operation: &Node) -> Result<Parts<'_>, Error> {
    let body = &operation.body;
    let at = body.iter().position(|node| node.is("for")).ok_or_else(|| Error::near(")"))?;
    let column = body.get(at + 1).filter(|node| node.is_name()).ok_or_else(|| Error::near("for"))?;
    let list = body.get(at + 3).filter(|node| node.is_group()).ok_or_else(|| Error::near("in"))?;
    Ok((&body[..at], column.name(), split(&list.body, ",")))
}

fn pivoted(relation: &Node, columns: &[String], operation: &Node) -> Result<Vec<Node>, Error> {
    let (aggregates, column, values) = parts(operation)?;
    let mut used = vec![column.clone()];
    let mut items = String::new();
    for value in &values {
        let (alias, end) = item_alias(value);
        let constant = render_trimmed(&value[..end]);
        for aggregate in split(aggregates, ",") {
            let (own, end) = item_alias(aggregate);
            let [function, argument] = &aggregate[..end] else {
                return Err(Error::unable("PIVOT with an expression as aggregate"));
            };
            collect(&argument.body, &mut used);
            let star = argument.body.first().is_some_and(|node| node.is_symbol("*"));
            let inner = if star { "1".to_owned() } else { render_trimmed(&argument.body) };
            let base = alias.clone().unwrap_or_else(|| constant.trim_matches('\'').to_owned());
            let name = own.map_or(base.clone(), |own| format!("{base}_{own}"));
            items.push_str(&format!(
                ", {}(case when {} is not distinct from {constant} then {inner} end) as {}",
                function.text,
                quoted(&column),
                quoted(&name)
            ));
        }
    }
    let groups: Vec<String> = columns.iter().filter(|name| !used.contains(name)).map(|name| quoted(name)).collect();
    let list = groups.join(", ");
    let (list, by) = if groups.is_empty() {
        (items.trim_start_matches(", ").to_owned(), String::new())
    } else {
        (format!("{list}{items}"), format!(" group by {list}"))
    };
    Ok(vec![
        Node::word("select").after(""),
        Node::made(format!("{list} from")),
        relation.clone().after(" "),
        Node::made(format!("as \"__pivot\"{by}")),
    ])
}

fn collect(nodes: &[Node], used: &mut Vec<String>) {
    for node in nodes {
        if node.is_name() {
            used.push(node.name());
        }
        collect(&node.body, used);
    }
}

fn unpivoted(relation: &Node, columns: &[String], operation: &Node, nulls: bool) -> Result<Vec<Node>, Error> {
    let (value, name, list) = parts(operation)?;
    let value = render(value).trim().to_lowercase();
    let mut used = Vec::new();
    let mut rows = Vec::new();
    for item in list {
        let (alias, end) = item_alias(item);
        let column = item[..end].last().map(Node::name).unwrap_or_default();
        let label = alias.unwrap_or_else(|| column.clone());
        rows.push(format!("('{}'::varchar, {})", label.replace('\'', "''"), quoted(&column)));
        used.push(column);
    }
    let rest: String =
        columns.iter().filter(|name| !used.contains(name)).map(|name| format!("{}, ", quoted(name))).collect();
    let filter = if nulls { String::new() } else { format!(" where {} is not null", quoted(&value)) };
    Ok(vec![
        Node::word("select").after(""),
        Node::made(format!("{rest}{}, {} from", quoted(&name), quoted(&value))),
        relation.clone().after(" "),
        Node::made(format!(
            "as \"__unpivot\" cross join lateral (values {}) as \"__columns\"({}, {}){filter}",
            rows.join(", "),
            quoted(&name),
            quoted(&value)
        )),
    ])
}
