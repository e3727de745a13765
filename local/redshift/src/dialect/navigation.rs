//! SUPER navigation: `t.data.items[0].name` as PostgreSQL's JSON operators.
//!
//! Which name of a path is the column, only the server knows: `a.b.c` may be schema, table and column. So a path is left
//! as it is (up to three names), and when the server finds no such table the context says where the column is
//! ([`super::Context::with_alias`]) and the text is made again. Must never navigate where the server can resolve the names.

use super::expression::Scope;
use super::token::{Node, Shape, render};

/// Longest name of a column: schema, table, column.
const QUALIFIED: usize = 3;

/// How the text of every navigation looks.
const ARROW: &str = " operator(pg_catalog.->) ";

/// What follows a path's names.
pub(super) enum Step {
    /// `.name`
    Member(String),
    /// `[…]`, rewritten already.
    Subscript(String),
}

/// Names with dots between them, and subscripts and further names behind.
pub(super) struct Path {
    pub(super) names: Vec<Node>,
    pub(super) steps: Vec<Step>,
    /// Nodes that the path takes.
    pub(super) taken: usize,
}

fn subscript(node: &Node) -> Step {
    let literal = matches!(node.body.as_slice(), [only] if matches!(only.shape, Shape::Text | Shape::Number));
    let body = render(&node.body);
    // An index from AT is a BIGINT, for which PostgreSQL has no operator.
    Step::Subscript(if literal { format!("({body})") } else { format!("(({body})::integer)") })
}

/// The path that begins at `at`; none when there is a call or a star behind it, or no name.
pub(super) fn path(nodes: &[Node], at: usize) -> Option<Path> {
    // ARRAY[…] is a constructor, which Redshift does not have.
    let first = nodes.get(at).filter(|node| node.is_name() && !node.is("array"))?;
    let mut path = Path { names: vec![first.clone()], steps: Vec::new(), taken: 1 };
    loop {
        let next = at + path.taken;
        let (Some(node), after) = (nodes.get(next), nodes.get(next + 1)) else { return Some(path) };
        if node.text == "[" && node.shape == Shape::Group {
            path.steps.push(subscript(node));
            path.taken += 1;
        } else if node.is_symbol(".") {
            let name = after.filter(|name| name.is_name())?;
            if path.steps.is_empty() {
                path.names.push(name.clone());
            } else {
                path.steps.push(Step::Member(name.name()));
            }
            path.taken += 2;
        } else if node.is_group() {
            return None;
        } else {
            return Some(path);
        }
    }
}

fn navigate(base: String, names: &[Node], steps: &[Step]) -> String {
    let member = |text: String, name: &str| format!("({text}{ARROW}'{}')", name.replace('\'', "''"));
    let text = names.iter().fold(base, |text, name| member(text, &name.name()));
    steps.iter().fold(text, |text, step| match step {
        Step::Member(name) => member(text, name),
        Step::Subscript(index) => format!("({text}{ARROW}{index})"),
    })
}

fn qualified(names: &[Node]) -> String {
    let names: Vec<&str> = names.iter().map(|name| name.text.as_str()).collect();
    names.join(".")
}

/// The value of a path whose column is the name at `column`.
pub(super) fn from_column(path: &Path, column: usize) -> String {
    let split = (column + 1).min(path.names.len());
    navigate(qualified(&path.names[..split]), &path.names[split..], &path.steps)
}

/// The value of a path that begins with the alias of an unnested array: its only column has the same name.
pub(super) fn unnested(path: &Path) -> String {
    let alias = &path.names[0].text;
    navigate(format!("{alias}.{alias}"), &path.names[1..], &path.steps)
}

/// What stands instead of the path at `at`, and how many nodes it takes; none to leave it as it is.
pub(super) fn rewrite(nodes: &[Node], at: usize, scope: &Scope<'_>) -> Option<(Node, usize)> {
    let path = path(nodes, at).filter(|path| path.names.len() > 1 || !path.steps.is_empty())?;
    let lead = &nodes[at].lead;
    let first = path.names[0].name();
    let made = |text: String| Some((Node::made(text).after(lead), path.taken));
    if scope.unnested.borrow().contains(&first) {
        // The column itself, as `i.i`, is itself.
        let own = path.names.get(1).is_some_and(|second| second.name() == first) && path.names.len() == 2;
        return if own && path.steps.is_empty() { None } else { made(unnested(&path)) };
    }
    let roots = &scope.context.super_columns;
    let known = |(place, name): (usize, &Node)| roots.contains(&(name.name(), place)).then_some(place);
    let column = path.names.iter().enumerate().take(QUALIFIED).find_map(known);
    let column = column.unwrap_or(path.names.len().min(QUALIFIED) - 1);
    // In a procedure's body names are variables too, and nobody asks before it runs.
    if scope.body && path.steps.is_empty() {
        return None;
    }
    if column > 0 {
        let tried = path.names[..=column].iter().map(Node::name).collect();
        scope.paths.borrow_mut().insert(tried);
    }
    if column + 1 == path.names.len() && path.steps.is_empty() {
        return None;
    }
    made(from_column(&path, column))
}

/// Which name of which path is the column, when the server has found no table of this name.
pub(super) fn column_of(paths: &std::collections::BTreeSet<Vec<String>>, table: &str) -> Option<(String, usize)> {
    // Of `a.b.c` the server looks for the table b, of `a.b` for a.
    let place = paths.iter().find_map(|path| {
        let place = path.len().checked_sub(2)?;
        (path.get(place)? == table).then_some(place)
    })?;
    Some((table.to_owned(), place))
}

/// The name of a select-list item that is a path into SUPER: its last member.
pub(super) fn item_name(item: &[Node], scope: &Scope<'_>) -> Option<String> {
    let path = path(item, 0).filter(|path| path.taken == item.len())?;
    let navigates = !path.steps.is_empty() || rewrite(item, 0, scope).is_some();
    let members = path.steps.iter().rev().find_map(|step| match step {
        Step::Member(name) => Some(name.clone()),
        Step::Subscript(_) => None,
    });
    navigates.then(|| members.or_else(|| path.names.last().map(Node::name)))?
}

const COMPARISONS: [&str; 7] = ["=", "<>", "!=", "<", "<=", ">", ">="];

/// A literal beside a SUPER value is a string, not JSON.
pub(super) fn literals(nodes: &mut [Node], scope: &Scope<'_>) {
    let cast = |node: &mut Node| {
        if node.shape == Shape::Text {
            node.text.push_str("::text");
            node.shape = Shape::Made;
        }
    };
    for index in 0..nodes.len() {
        let node = &nodes[index];
        let before = index.checked_sub(1).and_then(|at| nodes.get(at));
        let joined = |other: Option<&Node>| other.is_some_and(|other| other.is_symbol(".") || other.is_symbol("::"));
        let value = node.shape == Shape::Made && node.text.contains(ARROW)
            || node.is_name() && scope.unnested.borrow().contains(&node.name()) && !joined(before);
        if !value || joined(nodes.get(index + 1)) {
            continue;
        }
        let comparison =
            |node: Option<&Node>| node.is_some_and(|node| COMPARISONS.iter().any(|symbol| node.is_symbol(symbol)));
        if comparison(before) && index >= 2 {
            cast(&mut nodes[index - 2]);
        }
        let negated = usize::from(nodes.get(index + 1).is_some_and(|next| next.is("not")));
        let operator = index + 1 + negated;
        if comparison(nodes.get(operator)) {
            if let Some(node) = nodes.get_mut(operator + 1) {
                cast(node);
            }
        } else if nodes.get(operator).is_some_and(|node| node.is("between")) {
            for at in [operator + 1, operator + 3] {
                if let Some(node) = nodes.get_mut(at) {
                    cast(node);
                }
            }
        } else if nodes.get(operator).is_some_and(|node| node.is("in"))
            && let Some(list) = nodes.get_mut(operator + 1).filter(|list| list.is_group())
        {
            list.body.iter_mut().for_each(cast);
        }
    }
}
