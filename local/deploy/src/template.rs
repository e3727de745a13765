//! Templates as trees: YAML with CloudFormation's tags to JSON with the long form of every function, which CloudFormation
//! takes as well. It resolves nothing.

use serde_json::{Map, Value};
use serde_yaml_ng::Value as Yaml;

use crate::{Error, Outcome};

/// Reads a template, YAML or JSON. `about` names it in what is wrong with it.
///
/// # Errors
/// [`Error::Broken`] for a text that is no YAML object.
pub fn read(about: &str, text: &str) -> Outcome<Value> {
    let broken = |what: String| Error::Broken(format!("{about} {what}"));
    let yaml: Yaml = serde_yaml_ng::from_str(text).map_err(|error| broken(format!("is not YAML: {error}")))?;
    match convert(yaml).map_err(broken)? {
        template @ Value::Object(_) => Ok(template),
        _ => Err(broken("is not an object with sections".to_owned())),
    }
}

fn convert(yaml: Yaml) -> Result<Value, String> {
    Ok(match yaml {
        Yaml::Null => Value::Null,
        Yaml::Bool(flag) => Value::Bool(flag),
        Yaml::Number(number) => serde_json::to_value(number).unwrap_or_default(),
        Yaml::String(text) => Value::String(text),
        Yaml::Sequence(list) => Value::Array(list.into_iter().map(convert).collect::<Result<_, _>>()?),
        Yaml::Mapping(mapping) => {
            let mut object = Map::new();
            for (key, value) in mapping {
                let key = match key {
                    Yaml::String(key) => key,
                    Yaml::Number(key) => key.to_string(),
                    Yaml::Bool(key) => key.to_string(),
                    other => return Err(format!("has a key that is not text: {other:?}")),
                };
                let value = convert(value)?;
                let value = if key == "Fn::GetAtt" { attribute(value) } else { value };
                object.insert(key, value);
            }
            Value::Object(object)
        }
        Yaml::Tagged(tagged) => {
            let tag = tagged.tag.to_string();
            let long = match tag.trim_start_matches('!') {
                short @ ("Ref" | "Condition") => short.to_owned(),
                short => format!("Fn::{short}"),
            };
            let value = convert(tagged.value)?;
            let value = if long == "Fn::GetAtt" { attribute(value) } else { value };
            Value::Object(Map::from_iter([(long, value)]))
        }
    })
}

/// JSON templates name resource and attribute apart.
fn attribute(value: Value) -> Value {
    match value.as_str().and_then(|text| text.split_once('.')) {
        Some((resource, attribute)) => Value::Array(vec![resource.into(), attribute.into()]),
        None => value,
    }
}

/// The resources of a template that stay when their stack is deleted: name and type.
#[must_use]
pub fn retained(template: &Value) -> Vec<(String, String)> {
    let resources = template["Resources"].as_object();
    resources
        .into_iter()
        .flatten()
        .filter(|(_, resource)| resource["DeletionPolicy"].as_str().is_some_and(|policy| policy.starts_with("Retain")))
        .map(|(name, resource)| (name.clone(), resource["Type"].as_str().unwrap_or_default().to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tags_become_their_long_form() {
        let yaml = r#"
AWSTemplateFormatVersion: "2010-09-09"
Conditions:
  A: !Not [!Equals [!Ref P, ""]]
  B: !And [!Condition A, !Condition A]
Resources:
  Q:
    Type: AWS::SQS::Queue
    Properties:
      QueueName: !Sub ${Prefix}-q
      Other: !GetAtt Data.Outputs.Arn
      List: !GetAtt [Data, Arn]
      Long: { Fn::GetAtt: Data.Arn }
      Date: 2012-10-17
      Join: !Join [",", [!Ref A, "b"]]
"#;
        let template = read("t", yaml).unwrap();
        assert_eq!(template["Conditions"]["A"], json!({"Fn::Not": [{"Fn::Equals": [{"Ref": "P"}, ""]}]}));
        assert_eq!(template["Conditions"]["B"], json!({"Fn::And": [{"Condition": "A"}, {"Condition": "A"}]}));
        assert_eq!(
            template["Resources"]["Q"]["Properties"],
            json!({
                "QueueName": {"Fn::Sub": "${Prefix}-q"},
                "Other": {"Fn::GetAtt": ["Data", "Outputs.Arn"]},
                "List": {"Fn::GetAtt": ["Data", "Arn"]},
                "Long": {"Fn::GetAtt": ["Data", "Arn"]},
                "Date": "2012-10-17",
                "Join": {"Fn::Join": [",", [{"Ref": "A"}, "b"]]},
            })
        );
        // JSON is YAML: what was written is read as the same.
        assert_eq!(read("t", &template.to_string()).unwrap(), template);
    }

    #[test]
    fn what_is_no_template_is_refused_by_name() {
        for text in ["[1]", "a: [", "{[1]: 2}"] {
            assert!(read("infra/x.yaml", text).unwrap_err().to_string().starts_with("infra/x.yaml "), "{text}");
        }
    }

    #[test]
    fn what_stays_is_named() {
        let template = json!({"Resources": {
            "Table": {"Type": "AWS::DynamoDB::Table", "DeletionPolicy": "Retain"},
            "Key": {"Type": "AWS::KMS::Key", "DeletionPolicy": "RetainExceptOnCreate"},
            "Queue": {"Type": "AWS::SQS::Queue", "DeletionPolicy": "Delete"},
            "Rule": {"Type": "AWS::Events::Rule"},
        }});
        let names: Vec<String> = retained(&template).into_iter().map(|(name, _)| name).collect();
        assert_eq!(names, ["Table", "Key"]);
    }
}
