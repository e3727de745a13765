//! The body of a stored procedure: PL/pgSQL's own statements are walked over, the SQL in them is rewritten, and what
//! Redshift does around it (TRUNCATE commits, handlers run in a new transaction and throw again, NONATOMIC commits
//! after each statement, SQL built as text) is written out.
//! Must never change a text literal that is not executed as SQL.

use super::expression::{self, Scope};
use super::statement::{self, Draft};
use super::token::{self, Node};
use super::{Context, Error, Kind, SCHEMA, dynamic, query, types};
use std::collections::BTreeSet;

/// An open construct of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Open {
    Block,
    Handlers,
    Other,
}

struct Walk<'a> {
    source: Vec<Node>,
    index: usize,
    out: Vec<Node>,
    scope: Scope<'a>,
    nonatomic: bool,
    open: Vec<Open>,
    declaring: bool,
    /// Blanks and comments before the `;` of the statement at hand, kept so that line numbers stay.
    before_end: String,
    /// Variables that hold SQL text: those given to EXECUTE.
    executed: BTreeSet<String>,
}

/// Rewrites a procedure's source text.
pub(super) fn rewrite(source: &str, nonatomic: bool, context: &Context) -> Result<String, Error> {
    let mut tree = token::read(source)?;
    statement::names(&mut tree.nodes, context)?;
    let executed = tree
        .nodes
        .windows(2)
        .filter(|pair| pair[0].is("execute") && pair[1].is_name())
        .map(|pair| pair[1].name())
        .collect();
    let mut walk = Walk {
        source: std::mem::take(&mut tree.nodes),
        index: 0,
        out: Vec::new(),
        scope: Scope::body(context),
        nonatomic,
        open: Vec::new(),
        declaring: false,
        before_end: String::new(),
        executed,
    };
    walk.run()?;
    tree.nodes = walk.out;
    // In PostgreSQL 8.0 a variable wins over a column of the same name. On the first line, so that line numbers stay.
    Ok(format!(" #variable_conflict use_variable {}", tree.render()))
}

/// Statements that PL/pgSQL hands to SQL.
const SQL: &[&str] = &[
    "select",
    "with",
    "insert",
    "update",
    "delete",
    "merge",
    "create",
    "alter",
    "drop",
    "truncate",
    "call",
    "grant",
    "revoke",
    "analyze",
    "set",
    "reset",
    "comment",
    "lock",
    "refresh",
    "copy",
    "unload",
    "vacuum",
    "explain",
    "show",
    "savepoint",
    "release",
    "listen",
    "notify",
    "do",
    "prepare",
    "deallocate",
    "declare",
];

impl Walk<'_> {
    fn run(&mut self) -> Result<(), Error> {
        while let Some(node) = self.source.get(self.index) {
            let word = node.lower();
            match word.as_str() {
                "declare" if self.declaring || !self.next_is_cursor() => {
                    self.declaring = true;
                    self.push();
                }
                "begin" => {
                    self.declaring = false;
                    self.open.push(Open::Block);
                    self.push();
                }
                _ if self.declaring => self.declaration()?,
                "exception" => {
                    if self.nonatomic {
                        return Err(Error::unable("EXCEPTION in a NONATOMIC procedure"));
                    }
                    self.push();
                }
                "loop" => {
                    self.open.push(Open::Other);
                    self.push();
                }
                "else" => self.push(),
                "if" => {
                    self.open.push(Open::Other);
                    self.until_expression("then")?;
                }
                "elsif" | "elseif" => self.until_expression("then")?,
                "case" => {
                    self.open.push(Open::Other);
                    self.push();
                    self.until_before("when")?;
                }
                "when" => self.when()?,
                "while" => self.until_expression("loop").map(|()| self.open.push(Open::Other))?,
                "for" => self.for_loop()?,
                "end" => self.end(),
                "perform" => self.perform()?,
                "execute" => self.execute()?,
                _ if SQL.contains(&word.as_str()) => self.sql()?,
                _ if node.is_symbol("<<") => {
                    self.push();
                    self.push();
                    self.push();
                }
                _ => self.other()?,
            }
        }
        Ok(())
    }

    fn push(&mut self) {
        if let Some(node) = self.source.get(self.index) {
            self.out.push(node.clone());
            self.index += 1;
        }
    }

    /// `DECLARE name CURSOR` is a statement, `DECLARE` alone opens the declarations.
    fn next_is_cursor(&self) -> bool {
        !self.open.is_empty()
            && self.source.get(self.index + 2).is_some_and(|node| node.is("cursor"))
            && self.source[..self.index].last().is_some_and(|before| before.is_symbol(";"))
            && self.source.get(self.index + 3).is_some_and(|node| node.is("for"))
            && self.open.last() != Some(&Open::Other)
    }

    /// Nodes up to the `;`, which is consumed and not returned.
    fn take_statement(&mut self) -> Vec<Node> {
        let end = self.source[self.index..]
            .iter()
            .position(|node| node.is_symbol(";"))
            .map_or(self.source.len(), |at| self.index + at);
        let taken = self.source[self.index..end].to_vec();
        self.before_end = self.source.get(end).map(|node| node.lead.clone()).unwrap_or_default();
        self.index = (end + 1).min(self.source.len());
        taken
    }

    fn finish(&mut self, statement: Vec<Node>) {
        self.out.extend(statement);
        let lead = std::mem::take(&mut self.before_end);
        self.out.push(Node::symbol(";").after(&lead));
    }

    /// Nodes from here up to `word` outside CASE … END.
    fn take_until(&mut self, word: &str) -> Vec<Node> {
        let mut depth = 0usize;
        let mut end = self.index;
        while let Some(node) = self.source.get(end) {
            if node.is("case") {
                depth += 1;
            } else if node.is("end") {
                depth = depth.saturating_sub(1);
            } else if node.is(word) && depth == 0 || node.is_symbol(";") {
                break;
            }
            end += 1;
        }
        let taken = self.source[self.index..end].to_vec();
        self.index = end;
        taken
    }

    /// Keyword, expression, `word`.
    fn until_expression(&mut self, word: &str) -> Result<(), Error> {
        self.push();
        self.until_before(word)?;
        self.push();
        Ok(())
    }

    fn until_before(&mut self, word: &str) -> Result<(), Error> {
        let mut taken = self.take_until(word);
        expression::rewrite(&mut taken, &self.scope)?;
        self.out.extend(taken);
        Ok(())
    }

    /// WHEN of a handler or of CASE.
    fn when(&mut self) -> Result<(), Error> {
        let handler = self.out.last().is_some_and(|node| node.is("exception"));
        if handler && self.open.last() == Some(&Open::Block) {
            self.open.pop();
            self.open.push(Open::Handlers);
        } else if self.open.last() == Some(&Open::Handlers) {
            self.rethrow();
        }
        if self.open.last() == Some(&Open::Handlers)
            && !self.source.get(self.index + 1).is_some_and(|node| node.is("others"))
        {
            return Err(Error::near(
                &self.source.get(self.index + 1).map(|node| node.text.clone()).unwrap_or_default(),
            ));
        }
        self.until_expression("then")?;
        if self.open.last() == Some(&Open::Handlers) {
            // Redshift rolls the transaction back and runs the handler in a new one.
            self.out.push(Node::made(format!("call {SCHEMA}.handle();")));
        }
        Ok(())
    }

    /// A handler ends: its own work is committed and the error goes on.
    fn rethrow(&mut self) {
        self.out.push(Node::made(format!("call {SCHEMA}.commit_statement(); raise;")));
    }

    fn end(&mut self) {
        if self.open.pop() == Some(Open::Handlers) {
            self.rethrow();
        }
        let statement = self.take_statement();
        let last = self.index >= self.source.len() && !self.source.last().is_some_and(|node| node.is_symbol(";"));
        self.out.extend(statement);
        if !last {
            self.out.push(Node::symbol(";"));
        }
    }

    fn declaration(&mut self) -> Result<(), Error> {
        let mut statement = self.take_statement();
        let cursor = statement.iter().position(|node| node.is("for"));
        if let Some(at) = cursor.filter(|_| statement.iter().any(|node| node.is("cursor"))) {
            let mut text = statement.split_off(at + 1);
            query::rewrite(&mut text, &self.scope)?;
            statement.extend(text);
            self.finish(statement);
            return Ok(());
        }
        let at = 1 + usize::from(statement.get(1).is_some_and(|node| node.is("constant")));
        if statement.len() > at && !statement.iter().any(|node| node.is("alias") || node.is_symbol("%")) {
            let extent = types::extent(&statement[at..]);
            let mut value = statement.split_off((at + extent).min(statement.len()));
            if let Some((made, taken)) = types::rewrite(&statement[at..], types::Place::Cast)? {
                statement.splice(at..at + taken, made);
            }
            self.assigned(&statement[0].name(), &mut value)?;
            statement.extend(value);
        }
        self.finish(statement);
        Ok(())
    }

    /// `name := value` with `rest` starting at the operator: SQL text if the variable is executed.
    fn assigned(&mut self, name: &str, rest: &mut Vec<Node>) -> Result<(), Error> {
        let at = rest.iter().position(|node| node.is_symbol(":=") || node.is_symbol("=") || node.is("default"));
        if let Some(at) = at
            && self.executed.contains(name)
            && dynamic::looks_like_sql(&rest[at + 1..])
        {
            let made = dynamic::translate(&rest[at + 1..], &self.scope)?.0;
            rest.truncate(at + 1);
            rest.extend(made);
            return Ok(());
        }
        expression::rewrite(rest, &self.scope)
    }

    fn for_loop(&mut self) -> Result<(), Error> {
        let mut head = self.take_until("loop");
        if let Some(at) = head.iter().position(|node| node.is("in")) {
            let mut source = head.split_off(at + 1);
            if token::starts_query(&source) {
                query::rewrite(&mut source, &self.scope)?;
            } else if source.first().is_some_and(|node| node.is("execute")) {
                let text = source.split_off(1);
                source.extend(self.executable(text)?.0);
            } else {
                expression::rewrite(&mut source, &self.scope)?;
            }
            head.extend(source);
        }
        self.out.extend(head);
        self.open.push(Open::Other);
        self.push();
        Ok(())
    }

    fn perform(&mut self) -> Result<(), Error> {
        let mut statement = self.take_statement();
        let keyword = statement.first().cloned();
        if let Some(first) = statement.first_mut() {
            first.text = "select".to_owned();
        }
        query::rewrite(&mut statement, &self.scope)?;
        if let (Some(first), Some(keyword)) = (statement.first_mut(), keyword) {
            *first = keyword;
        }
        self.finish(statement);
        Ok(())
    }

    fn sql(&mut self) -> Result<(), Error> {
        let mut statement = self.take_statement();
        let lead = statement.first().map(|node| node.lead.clone()).unwrap_or_default();
        if statement.first().is_some_and(|node| node.is("vacuum")) {
            return Err(Error { code: "25001", message: "VACUUM cannot be executed from a procedure".to_owned() });
        }
        let draft = match statement::rewrite(&mut statement, &self.scope) {
            Ok(draft) => draft,
            // What cannot run fails when it would run, not when the procedure is made.
            Err(error) if error.code == "0A000" => {
                let message = error.message.replace('\'', "''");
                self.finish(vec![Node::made(format!("perform {SCHEMA}.refuse('{}', '{message}')", error.code))]);
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        if let Some(first) = statement.first_mut()
            && first.lead.is_empty()
        {
            first.lead = lead;
        }
        self.finish(statement);
        self.after(&draft);
        Ok(())
    }

    /// What Redshift does behind a statement.
    fn after(&mut self, draft: &Draft) {
        match draft.kind {
            Kind::Truncate => self.out.push(Node::made(format!("call {SCHEMA}.truncate_commit();"))),
            Kind::Dml | Kind::Ddl if self.nonatomic => {
                self.out.push(Node::made(format!("call {SCHEMA}.commit_statement();")));
            }
            _ => {}
        }
    }

    fn execute(&mut self) -> Result<(), Error> {
        let mut statement = self.take_statement();
        let text = statement.split_off(1);
        let (made, kind) = self.executable(text)?;
        statement.extend(made);
        self.finish(statement);
        let kind = kind.unwrap_or(if self.nonatomic { Kind::Dml } else { Kind::Select });
        self.after(&Draft::new(kind));
        Ok(())
    }

    /// The expression behind EXECUTE with its INTO and USING.
    fn executable(&self, mut text: Vec<Node>) -> Result<(Vec<Node>, Option<Kind>), Error> {
        let end = text.iter().position(|node| node.is_any(&["into", "using"])).unwrap_or(text.len());
        let mut rest = text.split_off(end);
        expression::rewrite(&mut rest, &self.scope)?;
        let (mut made, kind) = if dynamic::looks_like_sql(&text) {
            dynamic::translate(&text, &self.scope)?
        } else {
            expression::rewrite(&mut text, &self.scope)?;
            (text, None)
        };
        made.extend(rest);
        Ok((made, kind))
    }

    /// Assignments, RAISE, RETURN, OPEN, FETCH and the like.
    fn other(&mut self) -> Result<(), Error> {
        let mut statement = self.take_statement();
        if statement.is_empty() {
            self.finish(statement);
            return Ok(());
        }
        let word = statement[0].lower();
        if word == "start" && statement.get(1).is_some_and(|node| node.is("transaction")) {
            return Err(Error::unable("START TRANSACTION in a procedure"));
        }
        if word == "open" {
            if let Some(at) = statement.iter().position(|node| node.is("for")) {
                let mut source = statement.split_off(at + 1);
                if token::starts_query(&source) {
                    query::rewrite(&mut source, &self.scope)?;
                } else if source.first().is_some_and(|node| node.is("execute")) {
                    let text = source.split_off(1);
                    source.extend(self.executable(text)?.0);
                }
                statement.extend(source);
            }
        } else if statement.get(1).is_some_and(|node| node.is_symbol(":=") || node.is_symbol("=")) {
            let name = statement[0].name();
            let mut rest = statement.split_off(1);
            self.assigned(&name, &mut rest)?;
            statement.extend(rest);
        } else {
            expression::rewrite(&mut statement, &self.scope)?;
        }
        self.finish(statement);
        Ok(())
    }
}
