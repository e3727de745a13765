//! The values of a stack's parameters: from a file, from the command line, from the package. Pure but for reading the
//! file.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::Value;

use crate::Error;

/// Reads a file of parameters: `{"Name": "value"}`, the AWS CLI's list of `ParameterKey` and `ParameterValue`, its list
/// of `"Name=value"`, or any of them below `Parameters`.
///
/// # Errors
/// [`Error::Usage`] naming what cannot be read.
pub fn read(file: &Path) -> Result<BTreeMap<String, String>, Error> {
    let wrong = |what: &str| Error::Usage(format!("{}: {what}", file.display()));
    let text = std::fs::read_to_string(file).map_err(|error| wrong(&error.to_string()))?;
    let json = serde_json::from_str(&text).map_err(|error| wrong(&format!("is not JSON: {error}")))?;
    of_json(&json).map_err(|what| wrong(&what))
}

fn of_json(json: &Value) -> Result<BTreeMap<String, String>, String> {
    match json {
        Value::Object(object) => match object.get("Parameters") {
            Some(inner) if inner.is_object() || inner.is_array() => of_json(inner),
            _ => object.iter().map(|(name, value)| Ok((name.clone(), text(name, value)?))).collect(),
        },
        Value::Array(list) => list.iter().map(entry).collect(),
        _ => Err(r#"write it as {"Name": "value"}"#.to_owned()),
    }
}

fn entry(entry: &Value) -> Result<(String, String), String> {
    if let Some(pair) = entry.as_str() {
        return pair_of(pair);
    }
    let name = entry["ParameterKey"].as_str().ok_or(r#"an entry has "ParameterKey" and "ParameterValue""#)?;
    Ok((name.to_owned(), text(name, &entry["ParameterValue"])?))
}

fn text(name: &str, value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        Value::Number(_) | Value::Bool(_) => Ok(value.to_string()),
        _ => Err(format!("the value of {name} is not a text, a number or true or false")),
    }
}

/// `Name=value`
///
/// # Errors
/// What is wrong with it.
pub fn pair_of(pair: &str) -> Result<(String, String), String> {
    let (name, value) = pair.split_once('=').ok_or_else(|| format!("{pair:?}: write it as Name=value"))?;
    Ok((name.trim().to_owned(), value.to_owned()))
}

/// What is told to CloudFormation: the values that are given; for those that are not, the stack keeps its own, where it
/// has one. Of the package's values only those count that the template knows.
///
/// # Errors
/// [`Error::Usage`] for a name that the template does not know, or a value that the package contradicts.
pub fn merge(
    known: &[String],
    given: &BTreeMap<String, String>,
    packaged: &[(&str, String)],
    before: &BTreeMap<String, String>,
) -> Result<Vec<(String, Option<String>)>, Error> {
    if let Some(unknown) = given.keys().find(|name| !known.contains(name)) {
        return Err(Error::Usage(format!("the template has no parameter {unknown}; it has: {}", known.join(", "))));
    }
    let mut values = Vec::new();
    for name in known {
        let ours = packaged.iter().find(|(packaged, _)| packaged == name).map(|(_, value)| value);
        match (given.get(name), ours) {
            (Some(given), Some(ours)) if given != ours => {
                return Err(Error::Usage(format!(
                    "{name} is {given} among the parameters, but what was packaged is {ours}"
                )));
            }
            (Some(value), _) | (None, Some(value)) => values.push((name.clone(), Some(value.clone()))),
            (None, None) if before.contains_key(name) => values.push((name.clone(), None)),
            (None, None) => {}
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_usual_form_is_read() {
        let expected = BTreeMap::from([("A".to_owned(), "x=y".to_owned()), ("B".to_owned(), "3".to_owned())]);
        for json in [
            json!({"A": "x=y", "B": 3}),
            json!({"Parameters": {"A": "x=y", "B": "3"}}),
            json!([{"ParameterKey": "A", "ParameterValue": "x=y"}, {"ParameterKey": "B", "ParameterValue": "3"}]),
            json!(["A=x=y", "B=3"]),
        ] {
            assert_eq!(of_json(&json), Ok(expected.clone()), "{json}");
        }
        for json in [json!("x"), json!({"A": null}), json!(["A"]), json!([{"A": "b"}])] {
            assert!(of_json(&json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_is_not_given_is_kept_and_contradictions_are_refused() {
        let known = ["A", "B", "C", "Architecture"].map(str::to_owned);
        let map = |pairs: &[(&str, &str)]| {
            pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect::<BTreeMap<_, _>>()
        };
        let packaged = [("Architecture", "arm64".to_owned()), ("AssetsPrefix", "p/".to_owned())];
        let merged = merge(&known, &map(&[("A", "1")]), &packaged, &map(&[("A", "0"), ("B", "2")])).unwrap();
        let merged: Vec<_> = merged.iter().map(|(name, value)| (name.as_str(), value.as_deref())).collect();
        assert_eq!(merged, [("A", Some("1")), ("B", None), ("Architecture", Some("arm64"))]);
        let refused = |given| merge(&known, &map(given), &packaged, &map(&[])).unwrap_err().to_string();
        assert!(refused(&[("Z", "1")]).contains("no parameter Z; it has: A, B, C"));
        assert!(refused(&[("Architecture", "x86_64")]).contains("what was packaged is arm64"));
    }
}
