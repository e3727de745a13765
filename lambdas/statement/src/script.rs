//! SQL text as a sequence of pieces: enough of Redshift's lexing to find where a statement ends, which `:name` is a
//! parameter, and whether two texts differ in more than blanks and comments. It never changes what would run: a
//! statement is always a slice of the text it came from.

/// What a piece of SQL text is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Blank,
    Comment,
    /// `'…'`, `E'…'`, `"…"`, `$tag$…$tag$`, delimiters included.
    Quoted,
    /// A run of letters, digits and underscores.
    Word,
    Semicolon,
    /// Any other single character.
    Sign,
}

#[derive(Debug, Clone, Copy)]
struct Piece {
    kind: Kind,
    start: usize,
    end: usize,
}

/// A quote or comment that never ends.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what} opened on line {line} never ends")]
pub struct Unterminated {
    /// What was opened, in words.
    pub what: &'static str,
    /// The line it was opened on, from 1.
    pub line: usize,
}

/// Splits a script at its semicolons. Statements of blanks and comments only are left out; the last one needs no
/// semicolon. What is returned are slices of `text` without the semicolon and the blanks around.
///
/// # Errors
/// A quote or comment that never ends.
pub fn split(text: &str) -> Result<Vec<&str>, Unterminated> {
    let pieces = lex(text)?;
    let mut statements = Vec::new();
    let mut start = 0;
    let mut holds_sql = false;
    for piece in &pieces {
        match piece.kind {
            Kind::Semicolon => {
                if holds_sql {
                    statements.push(text[start..piece.start].trim());
                }
                start = piece.end;
                holds_sql = false;
            }
            Kind::Blank | Kind::Comment => {}
            _ => holds_sql = true,
        }
    }
    if holds_sql {
        statements.push(text[start..].trim());
    }
    Ok(statements)
}

/// The text with every run of blanks and comments as one blank, none of them at the ends, around `,`, `(` and `)`, and
/// no semicolon at the end. Two texts with the same normal form run the same SQL. Text that cannot be lexed is only
/// trimmed: it is compared as it stands.
#[must_use]
pub fn normalise(text: &str) -> String {
    let Ok(mut pieces) = lex(text) else {
        return text.trim().to_owned();
    };
    while matches!(pieces.last(), Some(p) if matches!(p.kind, Kind::Blank | Kind::Comment | Kind::Semicolon)) {
        pieces.pop();
    }
    let mut normal = String::with_capacity(text.len());
    let mut gap = false;
    for piece in pieces {
        if matches!(piece.kind, Kind::Blank | Kind::Comment) {
            gap = true;
            continue;
        }
        let this = &text[piece.start..piece.end];
        let hugs = |c: Option<char>| matches!(c, Some(',' | '(' | ')'));
        // A quoted piece keeps its own blanks, so only what stands outside of quotes is looked at.
        let sign = piece.kind == Kind::Sign && hugs(this.chars().next());
        if gap && !normal.is_empty() && !sign && !ends_with_hug(&normal) {
            normal.push(' ');
        }
        normal.push_str(this);
        gap = false;
    }
    normal
}

/// Whether the text so far ends in a sign that blanks after it do not matter to. A quoted piece always ends in a quote
/// or a dollar sign, so its inside is never mistaken for one.
fn ends_with_hug(text: &str) -> bool {
    text.ends_with([',', '(', ')'])
}

/// The names of the `:name` parameters, in the order of their first use. Casts (`::`), quotes and comments are left alone.
#[must_use]
pub fn parameters(text: &str) -> Vec<String> {
    let Ok(pieces) = lex(text) else {
        return Vec::new();
    };
    let mut names: Vec<String> = Vec::new();
    for (index, piece) in pieces.iter().enumerate() {
        let colon = |i: usize| pieces.get(i).is_some_and(|p| p.kind == Kind::Sign && &text[p.start..p.end] == ":");
        if piece.kind == Kind::Word && index > 0 && colon(index - 1) && !(index > 1 && colon(index - 2)) {
            let name = &text[piece.start..piece.end];
            if name.is_ascii() && !names.iter().any(|n| n == name) {
                names.push(name.to_owned());
            }
        }
    }
    names
}

/// Lexes as Redshift does, where a backslash escapes in every single-quoted literal. A text that only ends under the
/// standard's rule (backslash is a character) is lexed by that rule.
fn lex(text: &str) -> Result<Vec<Piece>, Unterminated> {
    match Lexer::new(text, true).run() {
        Ok(pieces) => Ok(pieces),
        Err(error) => Lexer::new(text, false).run().map_err(|_| error),
    }
}

struct Lexer<'a> {
    text: &'a str,
    bytes: &'a [u8],
    escapes: bool,
    at: usize,
}

impl<'a> Lexer<'a> {
    fn new(text: &'a str, escapes: bool) -> Self {
        Self { text, bytes: text.as_bytes(), escapes, at: 0 }
    }

    fn run(mut self) -> Result<Vec<Piece>, Unterminated> {
        let mut pieces = Vec::new();
        while self.at < self.bytes.len() {
            let start = self.at;
            let kind = self.piece()?;
            pieces.push(Piece { kind, start, end: self.at });
        }
        Ok(pieces)
    }

    fn peek(&self, ahead: usize) -> u8 {
        self.bytes.get(self.at + ahead).copied().unwrap_or(0)
    }

    fn piece(&mut self) -> Result<Kind, Unterminated> {
        let first = self.bytes[self.at];
        match first {
            b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c => {
                self.skip_while(|b| matches!(b, b' ' | b'\t' | b'\n' | b'\r' | 0x0b | 0x0c));
                Ok(Kind::Blank)
            }
            b'-' if self.peek(1) == b'-' => {
                self.skip_while(|b| b != b'\n');
                Ok(Kind::Comment)
            }
            b'/' if self.peek(1) == b'*' => self.block_comment(),
            b'\'' => self.quoted(b'\'', self.escapes, "a single-quoted literal"),
            b'"' => self.quoted(b'"', false, "a quoted identifier"),
            b'e' | b'E' if self.peek(1) == b'\'' => {
                self.at += 1;
                self.quoted(b'\'', true, "a single-quoted literal")
            }
            b'$' => self.dollar(),
            b';' => {
                self.at += 1;
                Ok(Kind::Semicolon)
            }
            b if is_word(b) => {
                // A dollar sign inside a word belongs to it (`a$b$c` opens no quote).
                self.skip_while(|b| is_word(b) || b == b'$');
                Ok(Kind::Word)
            }
            _ => {
                self.at += 1;
                Ok(Kind::Sign)
            }
        }
    }

    fn skip_while(&mut self, keep: impl Fn(u8) -> bool) {
        while self.at < self.bytes.len() && keep(self.bytes[self.at]) {
            self.at += 1;
        }
    }

    fn unterminated(&self, what: &'static str, start: usize) -> Unterminated {
        Unterminated { what, line: self.text[..start].matches('\n').count() + 1 }
    }

    fn block_comment(&mut self) -> Result<Kind, Unterminated> {
        let start = self.at;
        let mut depth = 0usize;
        while self.at < self.bytes.len() {
            match (self.peek(0), self.peek(1)) {
                (b'/', b'*') => {
                    depth += 1;
                    self.at += 2;
                }
                (b'*', b'/') => {
                    depth -= 1;
                    self.at += 2;
                    if depth == 0 {
                        return Ok(Kind::Comment);
                    }
                }
                _ => self.at += 1,
            }
        }
        Err(self.unterminated("a block comment", start))
    }

    /// A doubled delimiter is closed and opened again, which comes to the same.
    fn quoted(&mut self, delimiter: u8, escapes: bool, what: &'static str) -> Result<Kind, Unterminated> {
        let start = self.at;
        self.at += 1;
        while self.at < self.bytes.len() {
            let byte = self.bytes[self.at];
            self.at += 1;
            if byte == b'\\' && escapes {
                self.at += 1;
            } else if byte == delimiter {
                if self.peek(0) != delimiter {
                    return Ok(Kind::Quoted);
                }
                self.at += 1;
            }
        }
        self.at = self.bytes.len();
        Err(self.unterminated(what, start))
    }

    /// `$$…$$` or `$tag$…$tag$`; `$1` and a lone `$` are signs.
    fn dollar(&mut self) -> Result<Kind, Unterminated> {
        let start = self.at;
        let tag = self.bytes[start + 1..].iter().take_while(|b| is_word(**b)).count();
        let closed = self.bytes.get(start + 1 + tag) == Some(&b'$');
        if !closed || self.peek(1).is_ascii_digit() {
            self.at += 1;
            return Ok(Kind::Sign);
        }
        let delimiter = &self.text[start..=start + 1 + tag];
        let body = start + delimiter.len();
        match self.text[body..].find(delimiter) {
            Some(length) => {
                self.at = body + length + delimiter.len();
                Ok(Kind::Quoted)
            }
            None => Err(self.unterminated("a dollar quote", start)),
        }
    }
}

/// Bytes above ASCII belong to letters of other scripts.
fn is_word(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || byte == b'_' || byte >= 0x80
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn scripts_are_split_at_their_semicolons_only() {
        let cases: &[(&str, &[&str])] = &[
            ("", &[]),
            (" ; ;; -- nothing\n /* at all */ ;", &[]),
            ("select 1", &["select 1"]),
            ("select 1;select 2;", &["select 1", "select 2"]),
            ("select ';' ; select \";\"", &["select ';'", "select \";\""]),
            ("select 'it''s; so';select 2", &["select 'it''s; so'", "select 2"]),
            (r"select 'it\'s; so';select 2", &[r"select 'it\'s; so'", "select 2"]),
            (r"select E'it\'s; so';select 2", &[r"select E'it\'s; so'", "select 2"]),
            // Only the standard's rule ends this one.
            (r"select 'C:\';select 2", &[r"select 'C:\'", "select 2"]),
            ("select 1 -- ; no 'quote\n; select 2", &["select 1 -- ; no 'quote", "select 2"]),
            ("/* ; /* ; */ ; */ select 1; select 2", &["/* ; /* ; */ ; */ select 1", "select 2"]),
            (
                "create procedure p() as $$ begin insert into t values (1); end; $$ language plpgsql; call p()",
                &["create procedure p() as $$ begin insert into t values (1); end; $$ language plpgsql", "call p()"],
            ),
            (
                "create procedure p() as $body$ begin execute $$ a; b $$; end; $body$ language plpgsql;call p()",
                &["create procedure p() as $body$ begin execute $$ a; b $$; end; $body$ language plpgsql", "call p()"],
            ),
            ("select a$1;select $1;select 2", &["select a$1", "select $1", "select 2"]),
            ("select a$b$c; select d$b$e", &["select a$b$c", "select d$b$e"]),
            ("select '$$'; select '$$'", &["select '$$'", "select '$$'"]),
            ("select 'ä;ö'; select ä", &["select 'ä;ö'", "select ä"]),
            ("-- first\nselect 1;\n-- last", &["-- first\nselect 1"]),
        ];
        for (text, expected) in cases {
            assert_eq!(split(text).as_deref(), Ok(*expected), "{text}");
        }
    }

    #[test]
    fn what_never_ends_is_named_with_its_line() {
        let cases = [
            ("select 1;\nselect 'a", "a single-quoted literal", 2),
            ("select \"a", "a quoted identifier", 1),
            ("\n\n/* /* */", "a block comment", 3),
            ("create procedure p() as $x$ begin $$ end", "a dollar quote", 1),
        ];
        for (text, what, line) in cases {
            assert_eq!(split(text), Err(Unterminated { what, line }), "{text}");
        }
    }

    #[test]
    fn the_normal_form_drops_blanks_and_comments_only() {
        let same = [
            ("select  1", "select 1"),
            ("select 1;", "\n select /* x */ 1 -- y\n ; -- z"),
            ("select f ( a ,b )", "select f(a, b)"),
            ("select'a'", "select'a'"),
        ];
        for (a, b) in same {
            assert_eq!(normalise(a), normalise(b), "{a} / {b}");
        }
        let different = [
            ("select 'a  b'", "select 'a b'"),
            ("select 'a' 'b'", "select 'a''b'"),
            ("select \"a \"", "select \"a\""),
            ("select a b", "select ab"),
            ("select '-- a'", "select ''"),
            ("select 1", "SELECT 1"),
            ("select $$ ( $$", "select $$($$"),
        ];
        for (a, b) in different {
            assert_ne!(normalise(a), normalise(b), "{a} / {b}");
        }
    }

    #[test]
    fn parameters_are_found_outside_of_quotes_comments_and_casts() {
        let text =
            "select :a, b::int, ':c', \":d\", $$ :e $$ -- :f\n /* :g */ from t where x = :a and y=:b_2 and z = :1";
        assert_eq!(parameters(text), ["a", "b_2", "1"]);
    }

    /// One statement, made of parts that hold every delimiter.
    fn statement() -> impl Strategy<Value = String> {
        let part = prop_oneof![
            Just("select".to_owned()),
            Just("x".to_owned()),
            "[a-z0-9+*=<>.,() \n]{1,8}".prop_filter("no comment", |s| !s.contains("--") && !s.contains("/*")),
            "'([a-z;$\"\n-]|''){0,6}'",
            "\"[a-z;$'-]{1,6}\"",
            "\\$\\$[a-z;'\"-]{0,8}\\$\\$",
            "\\$t\\$[a-z;'\"-]{0,8}\\$t\\$",
            "--[a-z;'\"$]{0,8}\n",
            "/\\*[a-z;'\"$]{0,8}\\*/",
        ];
        proptest::collection::vec(part, 1..8).prop_map(|parts| format!("s {}", parts.join(" ")).trim().to_owned())
    }

    proptest! {
        #[test]
        fn joined_statements_come_apart_again(statements in proptest::collection::vec(statement(), 1..6)) {
            // A line comment at the end would swallow the semicolon that joins.
            let script = statements.iter().map(|s| format!("{s}\n;")).collect::<String>();
            let found = split(&script).map_err(|e| TestCaseError::fail(e.to_string()))?;
            prop_assert_eq!(found, statements.iter().map(|s| s.trim()).collect::<Vec<_>>());
        }

        #[test]
        fn nothing_makes_it_panic(text in any::<String>()) {
            let _ = split(&text);
            let _ = normalise(&text);
            let _ = parameters(&text);
        }

        #[test]
        fn the_normal_form_is_stable_and_blind_to_blanks(statement in statement()) {
            let normal = normalise(&statement);
            prop_assert_eq!(normalise(&normal), normal.clone());
            prop_assert_eq!(normalise(&format!("/* x */ \n{statement}\n-- end\n;")), normal);
        }
    }
}
