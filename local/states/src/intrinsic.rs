//! The intrinsic functions of JSONPath states: `States.Format('…', $.x)` and the others, nested as one likes.
//!
//! Must never touch chance other than through the environment.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256, Sha384, Sha512};

use crate::environment::{Environment, Failure};
use crate::json_path::Path;
use crate::payload::weight;
use crate::template;
use crate::{Ids, SeededIds};

/// `States.ArrayRange` makes at most this many items (Step Functions guide, "Intrinsic functions").
const LONGEST_RANGE: i64 = 1_000;
/// What the encoders and `States.Hash` take, in characters.
const LONGEST_TEXT: usize = 10_000;
/// How deep calls nest ("Intrinsic functions": up to 10).
const DEEPEST: usize = 10;

/// A parsed call.
#[derive(Debug)]
pub(crate) struct Call {
    source: String,
    function: Function,
    arguments: Vec<Argument>,
}

#[derive(Debug)]
enum Argument {
    /// A literal string with its escapes, which `States.Format` must still see.
    Text(String),
    Value(Value),
    Path(Path),
    Call(Box<Call>),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Array,
    ArrayContains,
    ArrayGetItem,
    ArrayLength,
    ArrayPartition,
    ArrayRange,
    ArrayUnique,
    Base64Decode,
    Base64Encode,
    Format,
    Hash,
    JsonMerge,
    JsonToString,
    MathAdd,
    MathRandom,
    StringSplit,
    StringToJson,
    Uuid,
}

impl Function {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "Array" => Self::Array,
            "ArrayContains" => Self::ArrayContains,
            "ArrayGetItem" => Self::ArrayGetItem,
            "ArrayLength" => Self::ArrayLength,
            "ArrayPartition" => Self::ArrayPartition,
            "ArrayRange" => Self::ArrayRange,
            "ArrayUnique" => Self::ArrayUnique,
            "Base64Decode" => Self::Base64Decode,
            "Base64Encode" => Self::Base64Encode,
            "Format" => Self::Format,
            "Hash" => Self::Hash,
            "JsonMerge" => Self::JsonMerge,
            "JsonToString" => Self::JsonToString,
            "MathAdd" => Self::MathAdd,
            "MathRandom" => Self::MathRandom,
            "StringSplit" => Self::StringSplit,
            "StringToJson" => Self::StringToJson,
            "UUID" => Self::Uuid,
            _ => return None,
        })
    }

    /// The least and the greatest number of arguments.
    fn arity(self) -> (usize, usize) {
        match self {
            Self::Array => (0, usize::MAX),
            Self::Format => (1, usize::MAX),
            Self::Uuid => (0, 0),
            Self::ArrayLength
            | Self::ArrayUnique
            | Self::Base64Decode
            | Self::Base64Encode
            | Self::JsonToString
            | Self::StringToJson => (1, 1),
            Self::ArrayContains
            | Self::ArrayGetItem
            | Self::ArrayPartition
            | Self::Hash
            | Self::MathAdd
            | Self::StringSplit => (2, 2),
            Self::ArrayRange | Self::JsonMerge => (3, 3),
            Self::MathRandom => (2, 3),
        }
    }
}

impl Call {
    /// Parses `States.Name(…)`.
    pub(crate) fn parse(source: &str) -> Result<Self, String> {
        let mut reader = Reader { source, at: 0 };
        let call = reader.call(1)?;
        reader.blanks();
        if reader.at < source.len() {
            return Err(format!("unexpected text at character {}", reader.position()));
        }
        Ok(call)
    }

    pub(crate) fn visit_paths<'a>(&'a self, visit: &mut dyn FnMut(&'a Path)) {
        for argument in &self.arguments {
            match argument {
                Argument::Path(path) => visit(path),
                Argument::Call(call) => call.visit_paths(visit),
                Argument::Text(_) | Argument::Value(_) => {}
            }
        }
    }

    pub(crate) fn evaluate(&self, env: &Environment<'_>) -> Result<Value, Failure> {
        let fails = |what: String| {
            Failure::new(
                "States.IntrinsicFailure",
                format!("The function '{}' had the following error: {what}", self.source),
            )
        };
        let mut values = Vec::with_capacity(self.arguments.len());
        for (index, argument) in self.arguments.iter().enumerate() {
            values.push(match argument {
                // The template of a Format keeps its escapes, all other strings lose them.
                Argument::Text(text) if index == 0 && self.function == Function::Format => Value::String(text.clone()),
                Argument::Text(text) => Value::String(unescaped(text)),
                Argument::Value(value) => value.clone(),
                Argument::Call(call) => call.evaluate(env)?,
                Argument::Path(path) => template::find(path, env).map_err(|_| {
                    fails(format!(
                        "The JsonPath argument for the field '{}' could not be found in the input '{}'",
                        path.text(),
                        env.data
                    ))
                })?,
            });
        }
        values.iter().try_for_each(|value| env.spend(weight(value)))?;
        let literal_template = matches!(self.arguments.first(), Some(Argument::Text(_)));
        match self.function {
            Function::Array => Ok(Value::Array(values)),
            Function::ArrayContains => array_contains(&values),
            Function::ArrayGetItem => array_get_item(&values),
            Function::ArrayLength => list(&values, 0).map(|items| Value::from(items.len())),
            Function::ArrayPartition => array_partition(&values),
            Function::ArrayRange => array_range(&values),
            Function::ArrayUnique => array_unique(&values),
            Function::Base64Decode => base64_decode(&values),
            Function::Base64Encode => base64_encode(&values),
            Function::Format => format(&values, literal_template),
            Function::Hash => hash(&values),
            Function::JsonMerge => json_merge(&values),
            Function::JsonToString => Ok(Value::String(values[0].to_string())),
            Function::MathAdd => math_add(&values),
            Function::MathRandom => math_random(&values, env),
            Function::StringSplit => string_split(&values),
            Function::StringToJson => string_to_json(&values),
            Function::Uuid => Ok(Value::String(uuid_text(env.chance()))),
        }
        .map_err(fails)
        .and_then(|value| env.spend(weight(&value)).map(|()| value))
    }
}

struct Reader<'a> {
    source: &'a str,
    at: usize,
}

impl Reader<'_> {
    fn rest(&self) -> &str {
        &self.source[self.at..]
    }

    fn position(&self) -> usize {
        self.source[..self.at].chars().count() + 1
    }

    fn blanks(&mut self) {
        self.at += self.rest().len() - self.rest().trim_start().len();
    }

    fn eat(&mut self, text: &str) -> bool {
        let found = self.rest().starts_with(text);
        self.at += if found { text.len() } else { 0 };
        found
    }

    fn call(&mut self, depth: usize) -> Result<Call, String> {
        if depth > DEEPEST {
            return Err(format!("functions nest deeper than {DEEPEST}"));
        }
        self.blanks();
        let start = self.at;
        if !self.eat("States.") {
            return Err(format!("'States.' expected at character {}", self.position()));
        }
        let name: String = self.rest().chars().take_while(char::is_ascii_alphanumeric).collect();
        let function = Function::named(&name).ok_or_else(|| format!("there is no function 'States.{name}'"))?;
        self.at += name.len();
        self.blanks();
        if !self.eat("(") {
            return Err(format!("'(' expected at character {}", self.position()));
        }
        let mut arguments = Vec::new();
        self.blanks();
        if !self.eat(")") {
            loop {
                arguments.push(self.argument(depth)?);
                self.blanks();
                if self.eat(")") {
                    break;
                }
                if !self.eat(",") {
                    return Err(format!("',' or ')' expected at character {}", self.position()));
                }
            }
        }
        let (least, most) = function.arity();
        if arguments.len() < least || arguments.len() > most {
            return Err(format!("States.{name} does not take {} arguments", arguments.len()));
        }
        Ok(Call { source: self.source[start..self.at].to_owned(), function, arguments })
    }

    fn argument(&mut self, depth: usize) -> Result<Argument, String> {
        self.blanks();
        if self.rest().starts_with("States.") {
            return self.call(depth + 1).map(|call| Argument::Call(Box::new(call)));
        }
        if self.eat("'") {
            return self.text();
        }
        if self.rest().starts_with('$') {
            let length = path_length(self.rest());
            let text = self.rest()[..length].trim_end().to_owned();
            let path = Path::parse(&text).map_err(|e| format!("'{text}' is no path: {e}"))?;
            self.at += length;
            return Ok(Argument::Path(path));
        }
        let length = self.rest().find([',', ')']).unwrap_or(self.rest().len());
        let text = self.rest()[..length].trim();
        let value =
            serde_json::from_str::<Value>(text).ok().filter(|v| !v.is_string() && !v.is_array() && !v.is_object());
        let value = value.ok_or_else(|| format!("'{text}' at character {} is no argument", self.position()))?;
        self.at += length;
        Ok(Argument::Value(value))
    }

    fn text(&mut self) -> Result<Argument, String> {
        let start = self.at;
        let mut escaped = false;
        for (offset, c) in self.source[start..].char_indices() {
            match c {
                // The four that the language has; AWS refuses a definition with others.
                '\'' | '{' | '}' | '\\' if escaped => escaped = false,
                _ if escaped => {
                    self.at = start + offset;
                    return Err(format!("'\\{c}' at character {} is no escape", self.position()));
                }
                '\\' => escaped = true,
                '\'' => {
                    self.at = start + offset + 1;
                    return Ok(Argument::Text(self.source[start..start + offset].to_owned()));
                }
                _ => {}
            }
        }
        Err(format!("the string from character {} does not end", self.position()))
    }
}

/// How many bytes at the start are a path: up to a comma or parenthesis outside of brackets.
fn path_length(text: &str) -> usize {
    let mut depth = 0_usize;
    let mut quote = None;
    for (at, c) in text.char_indices() {
        match (quote, c) {
            (Some(q), c) if q == c => quote = None,
            (Some(_), _) => {}
            (None, '\'' | '"') if depth > 0 => quote = Some(c),
            (None, '[' | '(') => depth += 1,
            (None, ')') if depth == 0 => return at,
            (None, ']' | ')') => depth = depth.saturating_sub(1),
            (None, ',') if depth == 0 => return at,
            (None, _) => {}
        }
    }
    text.len()
}

fn unescaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        if c == '\\' {
            out.extend(chars.next());
        } else {
            out.push(c);
        }
    }
    out
}

fn list(values: &[Value], at: usize) -> Result<&Vec<Value>, String> {
    values.get(at).and_then(Value::as_array).ok_or_else(|| format!("Argument {} is not an array", at + 1))
}

fn string(values: &[Value], at: usize) -> Result<&str, String> {
    values.get(at).and_then(Value::as_str).ok_or_else(|| format!("Argument {} is not a string", at + 1))
}

/// A whole number; a fraction is rounded, halves towards positive infinity, as recorded for `States.MathAdd`.
fn whole(values: &[Value], at: usize) -> Result<i64, String> {
    let value = values.get(at).ok_or_else(|| format!("Argument {} is missing", at + 1))?;
    if let Some(n) = value.as_i64() {
        return Ok(n);
    }
    #[allow(clippy::cast_possible_truncation)] // Checked against the range first.
    match value.as_f64() {
        Some(n) if n.abs() < 9e18 => Ok((n + 0.5).floor() as i64),
        _ => Err(format!("Argument {} is not a number", at + 1)),
    }
}

fn array_contains(values: &[Value]) -> Result<Value, String> {
    let wanted = &values[1];
    Ok(Value::Bool(list(values, 0)?.iter().any(|item| same(item, wanted))))
}

/// Equality of JSON values where 1 and 1.0 are the same.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(x), Value::Number(y)) => x == y || x.as_f64() == y.as_f64(),
        (Value::Array(x), Value::Array(y)) => x.len() == y.len() && x.iter().zip(y).all(|(x, y)| same(x, y)),
        (Value::Object(x), Value::Object(y)) => {
            x.len() == y.len() && x.iter().all(|(name, x)| y.get(name).is_some_and(|y| same(x, y)))
        }
        _ => a == b,
    }
}

fn array_get_item(values: &[Value]) -> Result<Value, String> {
    let items = list(values, 0)?;
    let index = whole(values, 1)?;
    usize::try_from(index)
        .ok()
        .and_then(|at| items.get(at))
        .cloned()
        .ok_or_else(|| format!("Index {index} is out of bounds for an array of {}", items.len()))
}

pub(crate) fn array_partition(values: &[Value]) -> Result<Value, String> {
    let items = list(values, 0)?;
    let size = usize::try_from(whole(values, 1)?).ok().filter(|size| *size > 0);
    let size = size.ok_or("The chunk size must be a positive integer")?;
    Ok(Value::Array(items.chunks(size).map(|chunk| Value::Array(chunk.to_vec())).collect()))
}

pub(crate) fn array_range(values: &[Value]) -> Result<Value, String> {
    let (first, last, step) = (whole(values, 0)?, whole(values, 1)?, whole(values, 2)?);
    if step == 0 {
        return Err("The increment must not be 0".into());
    }
    let mut items = Vec::new();
    let mut next = first;
    while (step > 0 && next <= last) || (step < 0 && next >= last) {
        if items.len() as u64 >= LONGEST_RANGE.unsigned_abs() {
            return Err(format!("The array can contain at most {LONGEST_RANGE} items"));
        }
        items.push(Value::from(next));
        match next.checked_add(step) {
            Some(following) => next = following,
            None => break,
        }
    }
    Ok(Value::Array(items))
}

fn array_unique(values: &[Value]) -> Result<Value, String> {
    let mut unique: Vec<Value> = Vec::new();
    for item in list(values, 0)? {
        if !unique.contains(item) {
            unique.push(item.clone());
        }
    }
    Ok(Value::Array(unique))
}

fn base64_encode(values: &[Value]) -> Result<Value, String> {
    let text = string(values, 0)?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(format!("The string is longer than {LONGEST_TEXT} characters"));
    }
    Ok(Value::String(STANDARD.encode(text)))
}

fn base64_decode(values: &[Value]) -> Result<Value, String> {
    let text = string(values, 0)?;
    if text.chars().count() > LONGEST_TEXT {
        return Err(format!("The string is longer than {LONGEST_TEXT} characters"));
    }
    let bytes = STANDARD.decode(text).map_err(|_| "The string is not Base64".to_owned())?;
    Ok(Value::String(String::from_utf8_lossy(&bytes).into_owned()))
}

/// `{}` takes the next argument; escaped braces are braces. A template that came from data has no escapes.
fn format(values: &[Value], escapes: bool) -> Result<Value, String> {
    let template = string(values, 0)?;
    let mut arguments = values[1..].iter();
    let mut out = String::with_capacity(template.len());
    let mut chars = template.chars().peekable();
    while let Some(c) = chars.next() {
        if c == '\\' && escapes {
            out.extend(chars.next());
        } else if c == '{' && chars.peek() == Some(&'}') {
            chars.next();
            let argument = arguments.next().ok_or("The template has more places than there are arguments")?;
            match argument {
                Value::String(text) => out.push_str(text),
                other => out.push_str(&java_text(other)),
            }
        } else {
            out.push(c);
        }
    }
    if arguments.next().is_some() {
        return Err("There are more arguments than places in the template".into());
    }
    Ok(Value::String(out))
}

/// Objects and lists inside a formatted text look as Java prints them, as recorded: `{a=1, b=[]}`.
fn java_text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => format!("[{}]", items.iter().map(java_text).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<_> = members.iter().map(|(name, value)| format!("{name}={}", java_text(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

pub(crate) fn hash(values: &[Value]) -> Result<Value, String> {
    let data = match values.first() {
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
        None => return Err("The data is missing".into()),
    };
    if data.chars().count() > LONGEST_TEXT {
        return Err(format!("The data is longer than {LONGEST_TEXT} characters"));
    }
    let digest = match string(values, 1)? {
        "MD5" => hex::encode(<md5::Md5 as md5::Digest>::digest(&data)),
        "SHA-1" => hex::encode(<sha1::Sha1 as sha1::Digest>::digest(&data)),
        "SHA-256" => hex::encode(Sha256::digest(&data)),
        "SHA-384" => hex::encode(Sha384::digest(&data)),
        "SHA-512" => hex::encode(Sha512::digest(&data)),
        other => {
            return Err(format!("The algorithm '{other}' is not one of MD5, SHA-1, SHA-256, SHA-384, SHA-512"));
        }
    };
    Ok(Value::String(digest))
}

fn json_merge(values: &[Value]) -> Result<Value, String> {
    let (Value::Object(first), Value::Object(second)) = (&values[0], &values[1]) else {
        return Err("The first two arguments must be objects".into());
    };
    if values[2] != Value::Bool(false) {
        return Err("Only shallow merging is supported: the third argument must be false".into());
    }
    let mut merged: Map<String, Value> = first.clone();
    for (name, value) in second {
        merged.insert(name.clone(), value.clone());
    }
    Ok(Value::Object(merged))
}

fn math_add(values: &[Value]) -> Result<Value, String> {
    let sum = whole(values, 0)?.checked_add(whole(values, 1)?);
    sum.map(Value::from).ok_or_else(|| "The sum is too large".into())
}

/// From the first number up to but not including the second.
fn math_random(values: &[Value], env: &Environment<'_>) -> Result<Value, String> {
    let (start, end) = (whole(values, 0)?, whole(values, 1)?);
    if end <= start {
        return Err("The end must be greater than the start".into());
    }
    let drawn = match values.get(2) {
        Some(_) => SeededIds::new(whole(values, 2)?.unsigned_abs()).next(),
        None => env.chance(),
    };
    let width = i128::from(end) - i128::from(start);
    let offset = i128::try_from(drawn % width.unsigned_abs()).unwrap_or(0);
    i64::try_from(i128::from(start) + offset).map(Value::from).map_err(|_| "The range is too large".into())
}

/// Every character of the second argument separates; empty pieces vanish, as recorded.
fn string_split(values: &[Value]) -> Result<Value, String> {
    let (text, separators) = (string(values, 0)?, string(values, 1)?);
    if separators.is_empty() {
        return Ok(Value::Array(vec![Value::from(text)]));
    }
    let pieces = text.split(|c| separators.contains(c)).filter(|piece| !piece.is_empty());
    Ok(Value::Array(pieces.map(Value::from).collect()))
}

fn string_to_json(values: &[Value]) -> Result<Value, String> {
    let text = string(values, 0)?;
    // Recorded: the empty string is null.
    if text.trim().is_empty() {
        return Ok(Value::Null);
    }
    let value: Value = serde_json::from_str(text).map_err(|_| format!("Invalid JSON: {text}"))?;
    // Recorded: "-0" is the integer 0.
    let minus_zero = value.as_f64() == Some(0.0) && !text.contains('.');
    Ok(if minus_zero { Value::from(0) } else { value })
}

/// A version 4 UUID out of 128 bits.
pub(crate) fn uuid_text(bits: u128) -> String {
    let bits = (bits & !(0xf << 76) & !(0x3 << 62)) | (0x4 << 76) | (0x2 << 62);
    let text = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..])
}

/// A number from 0 up to but not including 1.
pub(crate) fn fraction(bits: u128) -> f64 {
    #[allow(clippy::cast_precision_loss)] // 53 bits are what a double holds.
    let numerator = (bits >> 75) as f64;
    numerator / (1_u64 << 53) as f64
}
