//! JSONPath as Step Functions reads it.
//!
//! A path that names one place (`$.order['line-items'][0]`) is walked here, because Step Functions is laxer than the
//! RFC about names (`$.a-b`), has paths into the context object (`$$.Execution.Id`) and into variables (`$name.field`),
//! and because the cause texts say where such a path broke off. A path that can name many places (`[*]`, slices,
//! filters, `..`) is given to `serde_json_path` and always yields an array. Must never change the value it reads.

use std::sync::Arc;

use serde_json::Value;
use serde_json_path::JsonPath;

/// What the `$` at the start of a path stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Root {
    /// `$`: the state's data.
    Input,
    /// `$$`: the context object.
    Context,
    /// `$name`: a variable.
    Variable(String),
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    Name(String),
    Index(i64),
}

#[derive(Debug, Clone)]
enum Query {
    /// Names one place.
    One(Vec<Step>),
    /// Can name many.
    Many(Arc<JsonPath>),
}

/// A parsed path.
#[derive(Debug, Clone)]
pub struct Path {
    text: String,
    root: Root,
    query: Query,
}

/// Why a text is not a path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message} at character {position}")]
pub struct Malformed {
    /// What is wrong.
    pub message: String,
    /// Where, counted in characters from 1.
    pub position: usize,
}

/// The path names nothing in this value; the text is the one that AWS puts behind `Invalid path '…' : `.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotFound(pub String);

impl Path {
    /// Reads a path. It starts with `$`.
    ///
    /// # Errors
    /// [`Malformed`] says what and where.
    pub fn parse(text: &str) -> Result<Self, Malformed> {
        let chars: Vec<char> = text.chars().collect();
        let mut reader = Reader { chars: &chars, at: 0 };
        if !reader.eat('$') {
            return Err(reader.wrong("a path starts with '$'"));
        }
        let root = if reader.eat('$') {
            Root::Context
        } else {
            match reader.peek() {
                None | Some('.' | '[') => Root::Input,
                Some(c) if c.is_alphabetic() || c == '_' => Root::Variable(reader.variable()),
                Some(_) => return Err(reader.wrong("'.' or '[' expected")),
            }
        };
        let mut steps = Vec::new();
        let mut many = false;
        // The same path in the RFC's spelling, for the case that it can name many places.
        let mut rfc = String::from("$");
        while let Some(next) = reader.peek() {
            match next {
                '.' => {
                    reader.at += 1;
                    if reader.eat('.') {
                        many = true;
                        rfc.push_str("..");
                        match reader.peek() {
                            Some('[') => continue,
                            Some('*') => {
                                reader.at += 1;
                                rfc.push('*');
                            }
                            _ => rfc.push_str(&format!("[{}]", quoted(&reader.name()?))),
                        }
                    } else if reader.eat('*') {
                        many = true;
                        rfc.push_str("[*]");
                    } else if reader.peek() == Some('[') {
                        // `$.['a']`, which Step Functions takes for `$['a']`.
                    } else {
                        let name = reader.name()?;
                        rfc.push_str(&format!("[{}]", quoted(&name)));
                        steps.push(Step::Name(name));
                    }
                }
                '[' => {
                    let inside = reader.brackets()?;
                    if let Some(step) = single(&inside) {
                        match &step {
                            Step::Name(name) => rfc.push_str(&format!("[{}]", quoted(name))),
                            Step::Index(index) => rfc.push_str(&format!("[{index}]")),
                        }
                        steps.push(step);
                    } else {
                        many = true;
                        rfc.push_str(&format!("[{inside}]"));
                    }
                }
                _ => return Err(reader.wrong("'.' or '[' expected")),
            }
        }
        let query = if many {
            let path = JsonPath::parse(&rfc)
                .map_err(|e| Malformed { message: e.message().to_owned(), position: e.position() })?;
            Query::Many(Arc::new(path))
        } else {
            Query::One(steps)
        };
        Ok(Self { text: text.to_owned(), root, query })
    }

    /// The path as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// What its `$` stands for.
    #[must_use]
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Whether it names one place in the state's data, as `ResultPath` must.
    #[must_use]
    pub fn is_reference(&self) -> bool {
        self.root == Root::Input && matches!(self.query, Query::One(_))
    }

    /// Whether it is nothing but its root.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        matches!(&self.query, Query::One(steps) if steps.is_empty())
    }

    /// The first step, if it is a name: of `$$.Task.Token` it is `Task`.
    #[must_use]
    pub fn first_name(&self) -> Option<&str> {
        match &self.query {
            Query::One(steps) => match steps.first() {
                Some(Step::Name(name)) => Some(name),
                _ => None,
            },
            Query::Many(_) => None,
        }
    }

    /// What the path names in `root`, which is the value its `$` stands for. A path that can name many places yields an
    /// array, which is empty when it names none.
    ///
    /// # Errors
    /// [`NotFound`] when a path that names one place names none.
    pub fn find(&self, root: &Value) -> Result<Value, NotFound> {
        match &self.query {
            Query::One(steps) => walk(steps, root).cloned(),
            Query::Many(path) => Ok(Value::Array(path.query(root).all().into_iter().cloned().collect())),
        }
    }

    /// Puts `result` where this path says, as `ResultPath` does: missing objects on the way are made.
    ///
    /// # Errors
    /// [`NotFound`] when something on the way is neither an object nor an array that is long enough.
    pub fn put(&self, into: Value, result: Value) -> Result<Value, NotFound> {
        let Query::One(steps) = &self.query else {
            return Err(NotFound("not a reference path".into()));
        };
        let mut into = into;
        let mut place = &mut into;
        for step in steps {
            match step {
                Step::Name(name) => {
                    if place.is_null() {
                        *place = Value::Object(serde_json::Map::new());
                    }
                    let Value::Object(members) = place else {
                        return Err(NotFound(format!("no object holds '{name}'")));
                    };
                    place = members.entry(name.clone()).or_insert(Value::Null);
                }
                Step::Index(index) => {
                    let at = usize::try_from(*index).ok();
                    match (place, at) {
                        (Value::Array(items), Some(at)) if at < items.len() => place = &mut items[at],
                        _ => return Err(NotFound(format!("no array holds index {index}"))),
                    }
                }
            }
        }
        *place = result;
        Ok(into)
    }
}

/// Walks one step after the other. The texts are those of the JSONPath library behind AWS's service.
fn walk<'a>(steps: &[Step], root: &'a Value) -> Result<&'a Value, NotFound> {
    let mut place = root;
    for (depth, step) in steps.iter().enumerate() {
        let last = depth + 1 == steps.len();
        let next = match (step, place) {
            (Step::Name(name), Value::Object(members)) => members.get(name),
            (Step::Index(index), Value::Array(items)) => {
                let at = if *index < 0 { index + i64::try_from(items.len()).unwrap_or(0) } else { *index };
                usize::try_from(at).ok().and_then(|at| items.get(at))
            }
            (Step::Name(name), other) => {
                let kind = match other {
                    Value::Null => "null".to_owned(),
                    Value::Bool(_) => "'java.lang.Boolean'".to_owned(),
                    Value::Number(_) => "'java.lang.Integer'".to_owned(),
                    Value::String(_) => "'java.lang.String'".to_owned(),
                    _ => "'net.minidev.json.JSONArray'".to_owned(),
                };
                return Err(NotFound(format!(
                    "Expected to find an object with property ['{name}'] in path {} but found {kind}. This is not a \
                     json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JsonSmartJsonProvider'.",
                    spell(&steps[..depth])
                )));
            }
            (Step::Index(_), _) => {
                return Err(NotFound(format!(
                    "Filter: {} can only be applied to arrays. Current context is: {place}",
                    spell(&steps[depth..=depth]).trim_start_matches('$')
                )));
            }
        };
        match (next, step) {
            (Some(value), _) => place = value,
            // Measured at AWS (September 2026).
            (None, Step::Index(_)) if last => return Ok(&Value::Null),
            (None, _) if last => {
                return Err(NotFound(format!("No results for path: {}", spell(steps))));
            }
            (None, _) => {
                return Err(NotFound(format!("Missing property in path {}", spell(&steps[..=depth]))));
            }
        }
    }
    Ok(place)
}

fn spell(steps: &[Step]) -> String {
    let mut text = String::from("$");
    for step in steps {
        match step {
            Step::Name(name) => text.push_str(&format!("['{name}']")),
            Step::Index(index) => text.push_str(&format!("[{index}]")),
        }
    }
    text
}

/// A name in the RFC's quotes.
fn quoted(name: &str) -> String {
    // The RFC's double quotes escape as JSON does.
    Value::String(name.to_owned()).to_string()
}

/// The content of brackets, if it is one name or one index.
fn single(inside: &str) -> Option<Step> {
    let inside = inside.trim();
    if let Ok(index) = inside.parse::<i64>() {
        return Some(Step::Index(index));
    }
    let mut chars = inside.chars();
    let quote = chars.next().filter(|c| matches!(c, '\'' | '"'))?;
    let mut name = String::new();
    let mut escaped = false;
    for (at, c) in inside.char_indices().skip(1) {
        if escaped {
            // Recorded: only the quote and the backslash are escaped; before anything else a backslash is itself.
            if c != quote && c != '\\' {
                name.push('\\');
            }
            name.push(c);
            escaped = false;
        } else if c == '\\' {
            escaped = true;
        } else if c == quote {
            return (at + c.len_utf8() == inside.len()).then_some(Step::Name(name));
        } else {
            name.push(c);
        }
    }
    None
}

struct Reader<'a> {
    chars: &'a [char],
    at: usize,
}

impl Reader<'_> {
    fn peek(&self) -> Option<char> {
        self.chars.get(self.at).copied()
    }

    fn eat(&mut self, c: char) -> bool {
        let found = self.peek() == Some(c);
        self.at += usize::from(found);
        found
    }

    fn wrong(&self, message: &str) -> Malformed {
        Malformed { message: message.to_owned(), position: self.at + 1 }
    }

    fn variable(&mut self) -> String {
        let start = self.at;
        while self.peek().is_some_and(|c| c.is_alphanumeric() || c == '_') {
            self.at += 1;
        }
        self.chars[start..self.at].iter().collect()
    }

    /// A name after a dot: everything up to the next dot or bracket, so that `$.a-b` and `$.a b` are one name.
    fn name(&mut self) -> Result<String, Malformed> {
        let start = self.at;
        while self.peek().is_some_and(|c| !matches!(c, '.' | '[' | ']' | '(' | ')' | ',' | '\'' | '"')) {
            self.at += 1;
        }
        if start == self.at {
            return Err(self.wrong("a name is missing"));
        }
        Ok(self.chars[start..self.at].iter().collect())
    }

    /// The content of a pair of brackets, which may hold quotes, brackets and parentheses.
    fn brackets(&mut self) -> Result<String, Malformed> {
        let open = self.at;
        self.at += 1;
        let start = self.at;
        let mut depth = 1_usize;
        let mut quote = None;
        while let Some(c) = self.peek() {
            self.at += 1;
            match (quote, c) {
                (Some(_), '\\') => self.at += 1,
                (Some(q), c) if q == c => quote = None,
                (Some(_), _) => {}
                (None, '\'' | '"') => quote = Some(c),
                (None, '[') => depth += 1,
                (None, ']') => {
                    depth -= 1;
                    if depth == 0 {
                        let inside: String = self.chars[start..self.at - 1].iter().collect();
                        if inside.trim().is_empty() {
                            return Err(Malformed { message: "nothing between brackets".into(), position: start + 1 });
                        }
                        return Ok(inside);
                    }
                }
                (None, _) => {}
            }
        }
        Err(Malformed { message: "']' is missing".into(), position: open + 1 })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn paths_name_what_step_functions_says() {
        let data =
            json!({"a": {"b-c": [10, 20, {"d": 1}]}, "x y": 2, "list": [{"n": 1}, {"n": 2}, {"m": 3}], "z": null});
        let cases = [
            ("$", data.clone()),
            ("$.a.b-c[1]", json!(20)),
            ("$['a']['b-c'][-1].d", json!(1)),
            ("$.x y", json!(2)),
            ("$.z", json!(null)),
            ("$.list[*].n", json!([1, 2])),
            ("$.list[0,2]", json!([{"n": 1}, {"m": 3}])),
            ("$.list[1:]", json!([{"n": 2}, {"m": 3}])),
            ("$.list[?(@.n == 2)]", json!([{"n": 2}])),
            ("$..n", json!([1, 2])),
            ("$.list[7]", json!(null)),
            ("$.none[*].n", json!([])),
        ];
        for (path, expected) in cases {
            assert_eq!(Path::parse(path).unwrap().find(&data), Ok(expected), "{path}");
        }
    }

    #[test]
    fn a_broken_path_says_where() {
        let data = json!({"a": {"b": "text"}});
        let cases = [
            ("$.a.c", "No results for path: $['a']['c']"),
            ("$.no.such", "Missing property in path $['no']"),
            ("$.list[0]", "Missing property in path $['list']"),
        ];
        for (path, expected) in cases {
            assert_eq!(Path::parse(path).unwrap().find(&data), Err(NotFound(expected.into())), "{path}");
        }
    }

    #[test]
    fn malformed_paths_are_refused_with_a_position() {
        for (path, position) in [("a", 1), ("$.", 3), ("$.a[", 4), ("$.a[]", 5), ("$-", 2), ("$.a..", 6)] {
            assert_eq!(Path::parse(path).unwrap_err().position, position, "{path}");
        }
    }

    #[test]
    fn a_result_path_makes_what_is_missing() {
        let put = |path: &str, into: Value| Path::parse(path).unwrap().put(into, json!("r"));
        assert_eq!(put("$.a.b", json!({"x": 1})), Ok(json!({"x": 1, "a": {"b": "r"}})));
        assert_eq!(put("$", json!({"x": 1})), Ok(json!("r")));
        assert_eq!(put("$.l[1]", json!({"l": [1, 2]})), Ok(json!({"l": [1, "r"]})));
        assert!(put("$.l[2]", json!({"l": [1, 2]})).is_err());
        assert!(put("$.a.b", json!({"a": 1})).is_err());
    }
}
