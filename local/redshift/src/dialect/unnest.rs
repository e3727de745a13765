//! SUPER in FROM: `FROM t, t.items AS i AT n` goes through an array, `UNPIVOT t.data AS v AT k` through an object
//! (developer guide, "Querying semistructured data"). Only what follows a relation of the same list is taken for SUPER:
//! its first name must be that relation's. Must never touch a schema-qualified table.

use super::expression::Scope;
use super::navigation;
use super::query::NO_RELATION_ALIAS;
use super::token::Node;
use std::collections::BTreeSet;

/// Rewrites the items of a FROM list that are SUPER values.
pub(super) fn rewrite(nodes: &mut Vec<Node>, scope: &Scope<'_>) {
    let mut known: BTreeSet<String> = BTreeSet::new();
    let mut index = 0;
    // UPDATE and DELETE come with what stands before their FROM.
    let mut expected = !nodes.first().is_some_and(|node| node.is_any(&["set", "using", "where"]));
    while index < nodes.len() {
        let node = &nodes[index];
        if !expected {
            let distinct = index > 0 && nodes[index - 1].is("distinct");
            expected = node.is_symbol(",") || node.is_any(&["join", "from", "using"]) && !distinct;
            index += 1;
            continue;
        }
        expected = false;
        let unpivot = node.is("unpivot") && nodes.get(index + 1).is_some_and(Node::is_name);
        let at = index + usize::from(unpivot);
        let Some(path) = navigation::path(nodes, at) else {
            // A subquery: its alias follows.
            let (alias, _, end) = names(nodes, index + 1);
            known.extend(alias);
            index = end.max(index + 1);
            continue;
        };
        let (alias, place, end) = names(nodes, at + path.taken);
        let first = path.names.first().map(Node::name).unwrap_or_default();
        let inner = scope.unnested.borrow().contains(&first) && known.contains(&first);
        let steps = path.names.len() > 1 || !path.steps.is_empty();
        if !(inner || known.contains(&first) && steps) {
            known.extend(alias.or_else(|| path.names.last().map(Node::name)));
            index = end;
            continue;
        }
        let alias = alias.unwrap_or_else(|| path.names.last().map(Node::name).unwrap_or_default());
        let value = if inner { navigation::unnested(&path) } else { navigation::from_column(&path, 1) };
        let function = match (unpivot, &place) {
            (true, _) => "super_members",
            (false, Some(_)) => "super_items",
            (false, None) => "super_values",
        };
        let name = quote(&alias);
        let columns = match place {
            Some(place) => format!("{name}, {}", quote(&place)),
            None => name.clone(),
        };
        let made = Node::made(format!("lateral redshift_catalog.{function}({value}) as {name}({columns})"));
        let lead = nodes[index].lead.clone();
        nodes.splice(index..end, [made.after(if lead.is_empty() { " " } else { &lead })]);
        scope.unnested.borrow_mut().insert(alias.clone());
        known.insert(alias);
        index += 1;
    }
}

/// `[AS] alias [AT index]` and where it ends.
fn names(nodes: &[Node], at: usize) -> (Option<String>, Option<String>, usize) {
    let mut end = at + usize::from(nodes.get(at).is_some_and(|node| node.is("as")));
    let alias = nodes.get(end).filter(|node| node.is_name() && !node.is_any(NO_RELATION_ALIAS) && !node.is("at"));
    end = if alias.is_some() { end + 1 } else { at };
    let place = nodes.get(end).filter(|node| node.is("at")).and_then(|_| nodes.get(end + 1)).filter(|n| n.is_name());
    end += 2 * usize::from(place.is_some());
    (alias.map(Node::name), place.map(Node::name), end)
}

fn quote(name: &str) -> String {
    format!("\"{}\"", name.replace('"', "\"\""))
}
