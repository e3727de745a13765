//! What kind of statement a text is, and which rewriter it goes through.
//! Must never look inside quotes or comments, and must never let a statement pass that has no rule here.

use super::expression::{self, Scope};
use super::token::{self, Node, Shape, Tree};
use super::transfer::{self, Transfer};
use super::{Command, Context, Error, Kind, Translation, procedure, query, refusal, table, utility};

/// Longest name PostgreSQL keeps; Redshift keeps 127 bytes. A longer one would be cut and could meet another.
const LONGEST_NAME: usize = 63;

/// A statement on its way: what the translation will say about it.
#[derive(Debug)]
pub(super) struct Draft {
    pub kind: Kind,
    pub target: Option<String>,
    pub returns_rows: bool,
    pub in_block: bool,
    pub commits: bool,
    /// Statements to run before the one in the tree.
    pub first: Vec<String>,
}

impl Draft {
    pub fn new(kind: Kind) -> Self {
        Self {
            kind,
            target: None,
            returns_rows: kind == Kind::Select,
            in_block: true,
            commits: false,
            first: Vec::new(),
        }
    }

    pub fn on(mut self, target: String) -> Self {
        self.target = Some(target);
        self
    }

    pub fn rows(mut self, returns_rows: bool) -> Self {
        self.returns_rows = returns_rows;
        self
    }

    /// Refused in a transaction block, as `what cannot run inside a transaction block`.
    pub fn alone(mut self, what: &str, scope: &Scope<'_>) -> Result<Self, Error> {
        if scope.context.in_transaction {
            return Err(Error { code: "25001", message: format!("{what} cannot run inside a transaction block") });
        }
        self.in_block = false;
        Ok(self)
    }
}

/// See [`super::translate`].
pub(super) fn translate(sql: &str, context: &Context) -> Result<Translation, Error> {
    let mut tree = token::read(sql)?;
    while tree.nodes.last().is_some_and(|node| node.is_symbol(";")) {
        if let Some(end) = tree.nodes.pop() {
            tree.tail.insert_str(0, &end.lead);
        }
    }
    if tree.nodes.iter().any(|node| node.is_symbol(";")) {
        return Err(Error::syntax("cannot insert multiple commands into a prepared statement"));
    }
    let scope = Scope::new(context);
    if tree.nodes.is_empty() {
        return Ok(finish(Draft::new(Kind::Empty), None, &scope));
    }
    names(&mut tree.nodes, context)?;
    if let Some(made) = transfer(&tree.nodes, context)? {
        return Ok(made);
    }
    let draft = rewrite(&mut tree.nodes, &scope)?;
    Ok(finish(draft, Some(tree), &scope))
}

fn finish(draft: Draft, tree: Option<Tree>, scope: &Scope<'_>) -> Translation {
    let aliases = scope.lateral.take();
    let paths = scope.paths.take();
    let mut statements: Vec<Command> = draft
        .first
        .into_iter()
        .map(|sql| Command { sql, lateral_aliases: Default::default(), paths: Default::default() })
        .collect();
    if let Some(tree) = tree {
        statements.push(Command { sql: tree.render(), lateral_aliases: aliases, paths });
    }
    Translation {
        kind: draft.kind,
        statements,
        target: draft.target,
        returns_rows: draft.returns_rows,
        in_block: draft.in_block,
        commits: draft.commits,
        transfer: None,
    }
}

/// COPY and UNLOAD, which PostgreSQL cannot run. Inside procedures they stay refused.
fn transfer(nodes: &[Node], context: &Context) -> Result<Option<Translation>, Error> {
    let scope = Scope::new(context);
    match nodes.first().map(Node::lower).as_deref() {
        Some("copy") => {
            let copy = transfer::copy(nodes)?;
            let mut made = finish(Draft::new(Kind::Copy).on(copy.table.clone()), None, &scope);
            made.transfer = Some(Transfer::Copy(Box::new(copy)));
            Ok(Some(made))
        }
        Some("unload") => {
            let (query, unload) = transfer::unload(nodes)?;
            let mut made = translate(&query, context)?;
            if made.kind != Kind::Select || made.statements.len() != 1 {
                return Err(Error::refused("UNLOAD takes a SELECT query"));
            }
            made.kind = Kind::Unload;
            made.returns_rows = false;
            made.transfer = Some(Transfer::Unload(Box::new(unload)));
            Ok(Some(made))
        }
        _ => Ok(None),
    }
}

/// Literals and names, everywhere: backslash escapes, quoted names folded, `#name`, names too long to keep.
pub(super) fn names(nodes: &mut [Node], context: &Context) -> Result<(), Error> {
    for node in nodes {
        match node.shape {
            Shape::Text if node.text.starts_with('\'') && node.text.contains('\\') => node.text.insert(0, 'E'),
            Shape::Quoted if !context.case_sensitive_identifiers => node.text = node.text.to_ascii_lowercase(),
            Shape::Word if node.text.starts_with('#') => {
                node.text = format!("\"{}\"", node.text.to_lowercase());
                node.shape = Shape::Quoted;
            }
            Shape::Group => names(&mut node.body, context)?,
            _ => {}
        }
        if node.is_name() && node.name().len() > LONGEST_NAME {
            return Err(Error::unable(&format!("a name longer than {LONGEST_NAME} bytes")));
        }
    }
    Ok(())
}

/// Rewrites one statement in place and says what it is.
pub(super) fn rewrite(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let Some(first) = nodes.first() else {
        return Ok(Draft::new(Kind::Empty));
    };
    let word = first.lower();
    match word.as_str() {
        "select" => select(nodes, scope),
        "with" => with(nodes, scope),
        _ if first.is_query() => select(nodes, scope),
        "insert" => insert(nodes, scope),
        "update" | "delete" | "merge" => write(&word, nodes, scope),
        "create" => table::create(nodes, scope),
        "alter" => table::alter(nodes, scope),
        "drop" => table::drop(nodes, scope),
        "call" => procedure::call(nodes, scope),
        _ => utility::rewrite(&word, nodes, scope),
    }
}

/// A name at `at`, with its schema: as written, and the number of nodes it takes.
pub(super) fn name_at(nodes: &[Node], at: usize) -> Option<(String, usize)> {
    let mut parts = vec![nodes.get(at).filter(|node| node.is_name())?.name()];
    let mut taken = 1;
    while nodes.get(at + taken).is_some_and(|node| node.is_symbol(".")) {
        let Some(part) = nodes.get(at + taken + 1).filter(|node| node.is_name()) else {
            break;
        };
        parts.push(part.name());
        taken += 2;
    }
    Some((parts.join("."), taken))
}

fn select(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let into = query::into_target(nodes);
    query::rewrite(nodes, scope)?;
    Ok(match into {
        Some(target) if !scope.body => Draft::new(Kind::Ddl).on(target),
        _ => Draft::new(Kind::Select),
    })
}

/// WITH … before SELECT, UPDATE or DELETE.
fn with(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    let main = query::main_statement(nodes);
    match nodes.get(main).map(Node::lower).as_deref() {
        Some("update" | "delete") => {
            let word = nodes[main].lower();
            let mut statement = nodes.split_off(main);
            query::common_tables(nodes, scope)?;
            let draft = write(&word, &mut statement, scope)?;
            nodes.append(&mut statement);
            Ok(draft)
        }
        Some("insert" | "merge") => Err(Error::near(&nodes[main].text)),
        _ => select(nodes, scope),
    }
}

fn insert(nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    refusal::write(nodes)?;
    let into = usize::from(nodes.get(1).is_some_and(|node| node.is("into")));
    let Some((target, taken)) = name_at(nodes, 1 + into) else {
        return Err(Error::near("insert"));
    };
    let mut at = 1 + into + taken;
    if nodes.get(at).is_some_and(|node| node.is_group() && !node.is_query()) {
        at += 1;
    }
    let mut rest = nodes.split_off(at);
    if token::starts_query(&rest) {
        query::rewrite(&mut rest, scope)?;
    } else {
        expression::rewrite(&mut rest, scope)?;
    }
    nodes.append(&mut rest);
    Ok(Draft::new(Kind::Dml).on(target))
}

/// UPDATE, DELETE, MERGE.
fn write(word: &str, nodes: &mut Vec<Node>, scope: &Scope<'_>) -> Result<Draft, Error> {
    refusal::write(nodes)?;
    let mut at = 1;
    match word {
        "delete" if nodes.get(1).is_some_and(|node| node.is("from")) => at = 2,
        "delete" => {
            nodes.insert(1, Node::word("from"));
            at = 2;
        }
        "merge" => {
            if nodes.get(1).is_some_and(|node| node.is("into")) {
                at = 2;
            }
            merge(nodes)?;
        }
        _ => {}
    }
    let Some((target, taken)) = name_at(nodes, at) else {
        return Err(Error::near(word));
    };
    if word == "merge" && !nodes.get(at + taken).is_some_and(|node| node.is("using")) {
        return Err(Error::near(&nodes.get(at + taken).map(|node| node.text.clone()).unwrap_or_default()));
    }
    let mut rest = nodes.split_off(at + taken);
    query::relations(&mut rest, scope)?;
    expression::rewrite(&mut rest, scope)?;
    nodes.append(&mut rest);
    Ok(Draft::new(Kind::Dml).on(target))
}

/// What PostgreSQL's MERGE takes and Redshift's does not.
fn merge(nodes: &[Node]) -> Result<(), Error> {
    for (index, node) in nodes.iter().enumerate() {
        let next = nodes.get(index + 1);
        if node.is("remove") && next.is_some_and(|next| next.is("duplicates")) {
            return Err(Error::unable("MERGE … REMOVE DUPLICATES"));
        }
        if node.is("matched") && next.is_some_and(|next| next.is("and")) {
            return Err(Error::near("and"));
        }
        if node.is("do") && next.is_some_and(|next| next.is("nothing")) {
            return Err(Error::near("do"));
        }
    }
    Ok(())
}
