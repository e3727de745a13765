//! JSON as written by a person: a member that stands twice is found, where serde_json alone would silently keep the
//! last one and lose, say, a whole plan.

use std::cell::RefCell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Value};

use super::problem::{Problem, Reader, child};

/// The file's value, and a problem for every member that stands twice. What is no JSON at all is one problem.
pub(super) fn parse(file: &str, text: &str) -> (Option<Value>, Vec<Problem>) {
    let mut reader = Reader::new(file);
    let twice = RefCell::new(Vec::new());
    let mut json = serde_json::Deserializer::from_str(text);
    let value = Seed { path: "$".to_owned(), twice: &twice }
        .deserialize(&mut json)
        .and_then(|value| json.end().map(|()| value))
        .map_err(|error| {
            reader.problem("$", format!("this is no JSON: {error}"), "correct it there; JSON knows no comments");
        })
        .ok();
    for path in twice.into_inner() {
        reader.problem(path, "the name stands twice in this object", "remove or rename one of them");
    }
    (value, reader.problems)
}

struct Seed<'t> {
    path: String,
    twice: &'t RefCell<Vec<String>>,
}

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Value;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_f64<E>(self, value: f64) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_str<E>(self, value: &str) -> Result<Value, E> {
        Ok(value.into())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        while let Some(value) =
            seq.next_element_seed(Seed { path: format!("{}[{}]", self.path, list.len()), twice: self.twice })?
        {
            list.push(value);
        }
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Value, A::Error> {
        let mut map = Map::new();
        while let Some(name) = members.next_key::<String>()? {
            let path = child(&self.path, &name);
            let value = members.next_value_seed(Seed { path: path.clone(), twice: self.twice })?;
            if map.insert(name, value).is_some() {
                self.twice.borrow_mut().push(path);
            }
        }
        Ok(Value::Object(map))
    }
}
