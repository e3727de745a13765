//! Rewrites that hold anywhere an expression can stand: functions, casts, words without brackets, and what Redshift
//! refuses there. Goes through groups from the inside out and hands parenthesised queries to [`super::query`].
//! Must never move a node out of the bracket it stands in.

use super::token::{self, Node, Shape};
use super::{Context, Error, function, navigation, query, refusal, types};
use std::cell::RefCell;
use std::collections::BTreeSet;

/// What the rewriters know about the place they work in.
#[derive(Debug)]
pub(super) struct Scope<'a> {
    /// The session.
    pub context: &'a Context,
    /// The text is the body of a stored procedure: SELECT INTO assigns variables.
    pub body: bool,
    /// The text runs inside a procedure, written there or built there: GETDATE() moves on from statement to statement.
    pub clock: bool,
    /// Select-list aliases that later items of their list use.
    pub lateral: RefCell<BTreeSet<String>>,
    /// Names of common tables seen so far.
    pub common: RefCell<BTreeSet<String>>,
    /// Qualified names that stay for the server to find.
    pub paths: RefCell<BTreeSet<Vec<String>>>,
    /// Aliases of unnested SUPER arrays.
    pub unnested: RefCell<BTreeSet<String>>,
}

impl<'a> Scope<'a> {
    /// A scope outside procedures.
    pub fn new(context: &'a Context) -> Self {
        Self {
            context,
            body: false,
            clock: false,
            lateral: RefCell::default(),
            common: RefCell::default(),
            paths: RefCell::default(),
            unnested: RefCell::default(),
        }
    }

    /// A scope in a procedure's body.
    pub fn body(context: &'a Context) -> Self {
        Self { body: true, clock: true, ..Self::new(context) }
    }
}

/// Words after which `name (…)` is a relation with its columns, not a call.
const RELATION_FOLLOWS: &[&str] = &["into", "table", "references", "procedure", "function", "view", "exists"];

/// Rewrites one level and everything below it.
pub(super) fn rewrite(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    for node in nodes.iter_mut().filter(|node| node.shape == Shape::Group) {
        descend(node, scope)?;
    }
    level(nodes, scope)
}

/// Rewrites what a group holds.
pub(super) fn descend(group: &mut Node, scope: &Scope<'_>) -> Result<(), Error> {
    if token::starts_query(&group.body) {
        query::rewrite(&mut group.body, scope)
    } else {
        rewrite(&mut group.body, scope)
    }
}

/// Rewrites one level whose groups are done.
pub(super) fn level(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<(), Error> {
    let source = std::mem::take(nodes);
    let mut index = 0;
    while let Some(node) = source.get(index) {
        let before = nodes.last();
        let qualified = before.is_some_and(|node| node.is_symbol("."));
        let rest = &source[index + 1..];
        if node.text == "[" && node.shape == Shape::Group && node.lead.is_empty() && index > 0 {
            index += navigate(nodes, &source[index..]);
            continue;
        }
        let relation = before.is_some_and(|node| node.is_any(RELATION_FOLLOWS) || node.is_symbol("::"));
        if !qualified
            && !relation
            && let Some((made, taken)) = navigation::rewrite(&source, index, scope)
        {
            nodes.push(made);
            index += taken;
            continue;
        }
        if !qualified {
            refusal::expression(node, before, rest)?;
        }
        if let Some((made, taken)) = replacement(node, before, qualified, rest, scope)? {
            nodes.extend(made);
            index += taken;
        } else {
            nodes.push(node.clone());
            index += 1;
        }
    }
    navigation::literals(nodes, scope);
    Ok(())
}

/// What stands instead of the nodes from `node` on, and how many of them it replaces.
fn replacement(
    node: &Node,
    before: Option<&Node>,
    qualified: bool,
    rest: &[Node],
    scope: &Scope<'_>,
) -> Result<Option<(Vec<Node>, usize)>, Error> {
    if node.is_symbol("::") {
        return Ok(types::rewrite(rest, types::Place::Cast)?.map(|(made, taken)| {
            let mut all = vec![node.clone()];
            all.extend(made);
            (all, taken + 1)
        }));
    }
    if qualified || node.shape != Shape::Word {
        return Ok(None);
    }
    let relation = before.is_some_and(|node| node.is_any(RELATION_FOLLOWS));
    if let Some(group) = rest.first().filter(|group| group.is_group() && !relation) {
        let made = function::call(node, group, &rest[1..], scope)?;
        return Ok(made.map(|(mut made, more)| {
            if let Some(first) = made.first_mut() {
                first.lead.clone_from(&node.lead);
            }
            (made, more + 2)
        }));
    }
    let alias = before.is_some_and(|node| node.is("as"));
    let made = match node.lower().as_str() {
        _ if alias || relation => None,
        "sysdate" => Some("redshift_catalog.sysdate()"),
        "approximate" if rest.first().is_some_and(|next| next.is_any(&["count", "percentile_disc"])) => Some(""),
        _ => None,
    };
    Ok(made.map(|text| (vec![Node::made(text).after(&node.lead)], 1)))
}

/// SUPER navigation from the first subscript on: `col[0].name[1]`. Redshift has no arrays, so a subscript is always this.
/// What stands before the subscript is taken back from `done`; returns how many nodes of `rest` it takes.
fn navigate(done: &mut Vec<Node>, rest: &[Node]) -> usize {
    let mut start = done.len().saturating_sub(1);
    while start >= 2 && done[start].is_name() && done[start - 1].is_symbol(".") && done[start - 2].is_name() {
        start -= 2;
    }
    // The brackets of a call belong to its name.
    if start >= 1 && done[start].is_group() && done[start].lead.is_empty() && done[start - 1].is_name() {
        start -= 1;
        while start >= 2 && done[start - 1].is_symbol(".") && done[start - 2].is_name() {
            start -= 2;
        }
    }
    let lead = done.get_mut(start).map(|first| std::mem::take(&mut first.lead)).unwrap_or_default();
    let mut text = token::render(&done.split_off(start));
    let mut taken = 0;
    while let Some(node) = rest.get(taken) {
        if node.text == "[" && node.shape == Shape::Group {
            text = format!("({text} operator(pg_catalog.->) ({}))", token::render(&node.body));
            taken += 1;
        } else if let Some(name) = rest.get(taken + 1).filter(|name| node.is_symbol(".") && name.is_name()) {
            text = format!("({text} operator(pg_catalog.->) '{}')", name.name().replace('\'', "''"));
            taken += 2;
        } else {
            break;
        }
    }
    done.push(Node::made(text).after(&lead));
    taken
}
