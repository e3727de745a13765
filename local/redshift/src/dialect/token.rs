//! Text to tree and back. `sqlparser`'s tokenizer finds the tokens; what is kept is the source text of each, with the
//! blanks and comments before it, so that rendering an unchanged tree gives the source back byte for byte.
//! Must never interpret what stands in quotes, dollar quotes or comments.

use super::Error;
use sqlparser::dialect::{Dialect, PostgreSqlDialect};
use sqlparser::tokenizer::{Token, Tokenizer};
use std::any::TypeId;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// Unquoted word: keyword or name.
    Word,
    /// Name in double quotes.
    Quoted,
    /// Literal in single quotes, with its prefix if any.
    Text,
    /// Dollar-quoted literal.
    Dollar,
    /// Numeric literal.
    Number,
    /// `$1`.
    Placeholder,
    /// Operator or punctuation.
    Symbol,
    /// `( … )` or `[ … ]`.
    Group,
    /// Text made by the rewriter; never looked at again.
    Made,
}

/// A token with the blanks before it, or a bracketed group of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Node {
    /// Blanks and comments before the token.
    pub lead: String,
    /// What it is.
    pub shape: Shape,
    /// The source text; of a group the opening bracket.
    pub text: String,
    /// A group's content.
    pub body: Vec<Node>,
    /// Blanks before a group's closing bracket.
    pub tail: String,
}

impl Node {
    /// A node that the rewriter made; `text` is rendered as it is, after one blank.
    pub fn made(text: impl Into<String>) -> Self {
        Self { lead: " ".to_owned(), shape: Shape::Made, text: text.into(), body: Vec::new(), tail: String::new() }
    }

    /// A made word that later passes may still look at.
    pub fn word(text: &str) -> Self {
        Self { lead: " ".to_owned(), shape: Shape::Word, text: text.to_owned(), body: Vec::new(), tail: String::new() }
    }

    /// A made symbol.
    pub fn symbol(text: &str) -> Self {
        Self { lead: String::new(), shape: Shape::Symbol, text: text.to_owned(), body: Vec::new(), tail: String::new() }
    }

    /// A parenthesised group.
    pub fn group(body: Vec<Node>) -> Self {
        Self { lead: String::new(), shape: Shape::Group, text: "(".to_owned(), body, tail: String::new() }
    }

    /// The same node with other blanks before it.
    pub fn after(mut self, lead: &str) -> Self {
        self.lead = lead.to_owned();
        self
    }

    /// The unquoted word `word`, in any case.
    pub fn is(&self, word: &str) -> bool {
        self.shape == Shape::Word && self.text.eq_ignore_ascii_case(word)
    }

    /// One of the unquoted words.
    pub fn is_any(&self, words: &[&str]) -> bool {
        self.shape == Shape::Word && words.iter().any(|word| self.text.eq_ignore_ascii_case(word))
    }

    /// The operator or punctuation `symbol`.
    pub fn is_symbol(&self, symbol: &str) -> bool {
        self.shape == Shape::Symbol && self.text == symbol
    }

    /// A parenthesised group.
    pub fn is_group(&self) -> bool {
        self.shape == Shape::Group && self.text == "("
    }

    /// A parenthesised query.
    pub fn is_query(&self) -> bool {
        self.is_group() && starts_query(&self.body)
    }

    /// A name, quoted or not.
    pub fn is_name(&self) -> bool {
        matches!(self.shape, Shape::Word | Shape::Quoted)
    }

    /// The word in lower case; empty for what is no word.
    pub fn lower(&self) -> String {
        if self.shape == Shape::Word { self.text.to_ascii_lowercase() } else { String::new() }
    }

    /// A name as the catalog has it: folded, without quotes.
    pub fn name(&self) -> String {
        match self.shape {
            Shape::Quoted => self.text[1..self.text.len() - 1].replace("\"\"", "\""),
            _ => self.text.to_ascii_lowercase(),
        }
    }

    /// The text between the quotes of a plain literal without escapes.
    pub fn literal(&self) -> Option<String> {
        (self.shape == Shape::Text && self.text.starts_with('\'') && !self.text.contains('\\'))
            .then(|| self.text[1..self.text.len() - 1].replace("''", "'"))
    }

    fn render_into(&self, out: &mut String) {
        out.push_str(&self.lead);
        out.push_str(&self.text);
        if self.shape == Shape::Group {
            for node in &self.body {
                node.render_into(out);
            }
            out.push_str(&self.tail);
            out.push_str(if self.text == "[" { "]" } else { ")" });
        }
    }
}

/// The content is a query: SELECT or WITH, possibly in further brackets.
pub(super) fn starts_query(nodes: &[Node]) -> bool {
    nodes
        .first()
        .is_some_and(|node| node.is_any(&["select", "with"]) || (node.is_query() && nodes.len() > 1) || node.is_query())
}

/// Nodes as text.
pub(super) fn render(nodes: &[Node]) -> String {
    let mut out = String::new();
    for node in nodes {
        node.render_into(&mut out);
    }
    out
}

/// Nodes as text without the blanks before the first.
pub(super) fn render_trimmed(nodes: &[Node]) -> String {
    render(nodes).trim_start().to_owned()
}

/// A text as tree, and the blanks after its last token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tree {
    /// The tokens.
    pub nodes: Vec<Node>,
    /// Blanks and comments after the last one.
    pub tail: String,
}

impl Tree {
    /// The text again.
    pub fn render(&self) -> String {
        let mut out = render(&self.nodes);
        out.push_str(&self.tail);
        out
    }
}

/// PostgreSQL's lexical rules with the backslash escapes that Redshift keeps from PostgreSQL 8.0.
#[derive(Debug)]
struct Lexical;

impl Dialect for Lexical {
    // The tokenizer asks for the PostgreSQL dialect by type in several places (operators, dollar quotes, `b''`).
    fn dialect(&self) -> TypeId {
        TypeId::of::<PostgreSqlDialect>()
    }

    fn is_delimited_identifier_start(&self, ch: char) -> bool {
        ch == '"'
    }

    fn is_identifier_start(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_identifier_start(ch)
    }

    fn is_identifier_part(&self, ch: char) -> bool {
        PostgreSqlDialect {}.is_identifier_part(ch)
    }

    // Without `/`, `*`, `-` and `+`: PostgreSQL ends an operator where a comment begins, the tokenizer would not.
    fn is_custom_operator_part(&self, ch: char) -> bool {
        matches!(ch, '<' | '>' | '=' | '~' | '!' | '@' | '#' | '%' | '^' | '&' | '|' | '`' | '?')
    }

    fn supports_nested_comments(&self) -> bool {
        true
    }

    fn supports_string_escape_constant(&self) -> bool {
        true
    }

    fn supports_string_literal_backslash_escape(&self) -> bool {
        true
    }
}

/// Reads a text.
///
/// # Errors
/// An unterminated quote or comment, in PostgreSQL's words.
pub(super) fn read(sql: &str) -> Result<Tree, Error> {
    within_limit(sql.len())?;
    let tokens = Tokenizer::new(&Lexical, sql)
        .with_unescape(false)
        .tokenize_with_location()
        .map_err(|error| Error::syntax(unterminated(&error.message, sql)))?;
    let mut offsets = Offsets::new(sql);
    let mut starts = Vec::with_capacity(tokens.len() + 1);
    for token in &tokens {
        starts.push(offsets.at(token.span.start.line, token.span.start.column)?);
    }
    starts.push(sql.len());

    let mut flat: Vec<Node> = Vec::with_capacity(tokens.len());
    let mut lead = String::new();
    for (index, token) in tokens.iter().enumerate() {
        let source = sql.get(starts[index]..starts[index + 1]).ok_or_else(|| Error::syntax("syntax error"))?;
        let shape = match &token.token {
            Token::Whitespace(_) => {
                lead.push_str(source);
                continue;
            }
            Token::EOF => continue,
            Token::Word(word) if word.quote_style.is_some() => Shape::Quoted,
            Token::Word(_) => Shape::Word,
            Token::Number(..) => Shape::Number,
            Token::DollarQuotedString(_) => Shape::Dollar,
            Token::Placeholder(_) => Shape::Placeholder,
            _ if source.ends_with('\'') && source.len() > 1 => Shape::Text,
            _ => Shape::Symbol,
        };
        // `#name` is a temporary table's name; `a#b` and `a # b` are the operator.
        if shape == Shape::Word && lead.is_empty() {
            let joins = flat.len() < 2 || {
                let before = &flat[flat.len() - 2];
                let sharp = &flat[flat.len() - 1];
                !sharp.lead.is_empty() || (before.shape == Shape::Symbol && before.text != "]")
            };
            if let Some(sharp) = flat.last_mut()
                && sharp.is_symbol("#")
                && joins
            {
                sharp.shape = Shape::Word;
                sharp.text.push_str(source);
                continue;
            }
        }
        flat.push(Node {
            lead: std::mem::take(&mut lead),
            shape,
            text: source.to_owned(),
            body: Vec::new(),
            tail: String::new(),
        });
    }
    Ok(Tree { nodes: nest(flat)?, tail: lead })
}

/// Deepest nesting of brackets: what goes through the tree does so by recursion.
const DEEPEST: usize = 200;

/// Longest statement, in bytes (developer guide, SELECT); rewriting may not go beyond it either.
pub(super) const LONGEST: usize = 16 * 1024 * 1024;

/// Fails for a text that a rewrite made too long.
pub(super) fn within_limit(length: usize) -> Result<(), Error> {
    if length > LONGEST {
        return Err(Error {
            code: "54000",
            message: "Statement is too large. Statement Size: more than 16777216 bytes.".to_owned(),
        });
    }
    Ok(())
}

/// Brackets to groups. A bracket without its partner stays a symbol: PostgreSQL will refuse it.
fn nest(flat: Vec<Node>) -> Result<Vec<Node>, Error> {
    let mut levels: Vec<Vec<Node>> = vec![Vec::new()];
    let mut open: Vec<Node> = Vec::new();
    for node in flat {
        let close = match node.text.as_str() {
            "(" | "[" if node.shape == Shape::Symbol => {
                open.push(node);
                levels.push(Vec::new());
                if open.len() > DEEPEST {
                    return Err(Error { code: "54001", message: "stack depth limit exceeded".to_owned() });
                }
                continue;
            }
            ")" if node.shape == Shape::Symbol => "(",
            "]" if node.shape == Shape::Symbol => "[",
            _ => "",
        };
        if !close.is_empty() && open.last().is_some_and(|bracket| bracket.text == close) {
            if let (Some(mut group), Some(body)) = (open.pop(), levels.pop()) {
                group.shape = Shape::Group;
                group.body = body;
                group.tail = node.lead;
                if let Some(level) = levels.last_mut() {
                    level.push(group);
                }
            }
        } else if let Some(level) = levels.last_mut() {
            level.push(node);
        }
    }
    while let Some(bracket) = open.pop() {
        let body = levels.pop().unwrap_or_default();
        if let Some(level) = levels.last_mut() {
            level.push(bracket);
            level.extend(body);
        }
    }
    Ok(levels.pop().unwrap_or_default())
}

fn unterminated(message: &str, sql: &str) -> String {
    let near = sql.split_whitespace().next_back().unwrap_or_default();
    if message.contains("dollar") {
        format!("unterminated dollar-quoted string at or near \"{near}\"")
    } else if message.contains("comment") {
        format!("unterminated /* comment at or near \"{near}\"")
    } else if message.contains("delimiter") {
        format!("unterminated quoted identifier at or near \"{near}\"")
    } else if message.contains("string") {
        format!("unterminated quoted string at or near \"{near}\"")
    } else {
        format!("syntax error at or near \"{near}\"")
    }
}

/// Line and column, as the tokenizer counts them, to byte offsets. Asked in rising order only.
struct Offsets<'a> {
    chars: std::str::CharIndices<'a>,
    line: u64,
    column: u64,
    offset: usize,
    length: usize,
}

impl<'a> Offsets<'a> {
    fn new(sql: &'a str) -> Self {
        Self { chars: sql.char_indices(), line: 1, column: 1, offset: 0, length: sql.len() }
    }

    fn at(&mut self, line: u64, column: u64) -> Result<usize, Error> {
        while (self.line, self.column) < (line, column) {
            let Some((index, ch)) = self.chars.next() else {
                return Err(Error::syntax("syntax error at end of input"));
            };
            if ch == '\n' {
                self.line += 1;
                self.column = 1;
            } else {
                self.column += 1;
            }
            self.offset = index + ch.len_utf8();
        }
        Ok(self.offset.min(self.length))
    }
}

/// Splits at a symbol on this level (not inside groups).
pub(super) fn split<'a>(nodes: &'a [Node], symbol: &str) -> Vec<&'a [Node]> {
    if nodes.is_empty() {
        return Vec::new();
    }
    nodes.split(|node| node.is_symbol(symbol)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn brackets_without_partner_stay() {
        for sql in ["(", ")", "a ( b ] c", "[ ( ] )", "f((a)", "((a)) )"] {
            assert_eq!(read(sql).map(|tree| tree.render()), Ok(sql.to_owned()));
        }
    }

    #[test]
    fn comments_and_quotes_hide_their_content() {
        let tree = read("a /* 'x' /* \"y\" */ */ -- (\n $q$ ) $q$ 'it\\'s' \"b\"\"c\"").expect("a text");
        let shapes: Vec<Shape> = tree.nodes.iter().map(|node| node.shape).collect();
        assert_eq!(shapes, [Shape::Word, Shape::Dollar, Shape::Text, Shape::Quoted]);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 3000, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn what_can_be_read_is_rendered_again(sql in "[\\PCa-z0-9 '\"$#:;,.()\\[\\]/*\\-\n\r\t|<>=+]{0,60}") {
            if let Ok(tree) = read(&sql) {
                prop_assert_eq!(tree.render(), sql);
            }
        }
    }
}
