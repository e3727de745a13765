//! The loader of the templates: every function, every error, a tree of nested stacks, and the project's own templates.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use cloud::template::{Error, Inputs, Model, kinds, load};
use serde_json::{Value, json};

fn inputs(parameters: &[(&str, &str)]) -> Inputs {
    Inputs {
        stack_name: "test".into(),
        region: "eu-west-1".into(),
        account: "000000000000".into(),
        partition: "aws".into(),
        endpoint: "http://127.0.0.1:4566".into(),
        parameters: parameters.iter().map(|(name, value)| ((*name).into(), (*value).into())).collect(),
    }
}

/// Loads one template from text.
fn of_text(text: &str, parameters: &[(&str, &str)]) -> Result<Model, Error> {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.yaml");
    std::fs::write(&file, text).unwrap();
    load(&file, &inputs(parameters))
}

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/tree")
}

/// What a value comes to, written as the only `Statement` of a bucket policy, where anything may stand.
fn value_of(expression: &str) -> Value {
    let indented = expression.replace('\n', "\n        ");
    let text = format!(
        "
Parameters:
  Word: {{Type: String, Default: word}}
  Many: {{Type: CommaDelimitedList, Default: 'x,y , z'}}
  Count: {{Type: Number, Default: 7}}
Mappings:
  Map: {{one: {{two: found, list: [p, q]}}}}
Conditions:
  Yes: !Equals [!Ref Word, word]
  No: !Not [!Condition Yes]
Resources:
  Queue: {{Type: AWS::SQS::Queue, Properties: {{QueueName: jobs}}}}
  Bucket: {{Type: AWS::S3::Bucket}}
  Subject:
    Type: AWS::S3::BucketPolicy
    Properties:
      Bucket: b
      PolicyDocument:
        Is: {indented}
"
    );
    let model = of_text(&text, &[]).unwrap_or_else(|error| panic!("{expression}: {error}"));
    model.find("Subject").unwrap().properties["PolicyDocument"].get("Is").cloned().unwrap_or(Value::Null)
}

#[test]
fn functions_come_to_values() {
    for (expression, expected) in [
        ("!Ref Word", json!("word")),
        ("{Ref: Word}", json!("word")),
        ("!Ref Many", json!(["x", "y", "z"])),
        ("!Ref Count", json!("7")),
        ("!Ref Queue", json!("http://127.0.0.1:4566/000000000000/jobs")),
        ("!Ref AWS::Region", json!("eu-west-1")),
        ("!Ref AWS::AccountId", json!("000000000000")),
        ("!Ref AWS::Partition", json!("aws")),
        ("!Ref AWS::StackName", json!("test")),
        ("!Ref AWS::URLSuffix", json!("amazonaws.com")),
        ("!Ref AWS::NoValue", Value::Null),
        ("[1, !Ref AWS::NoValue, 2]", json!([1, 2])),
        ("!GetAtt Queue.Arn", json!("arn:aws:sqs:eu-west-1:000000000000:jobs")),
        ("{'Fn::GetAtt': [Queue, QueueName]}", json!("jobs")),
        ("{'Fn::GetAtt': 'Queue.QueueName'}", json!("jobs")),
        ("!GetAtt Bucket.Arn", json!("arn:aws:s3:::test-bucket")),
        ("!Sub '${Word}-${AWS::Region}-${Queue.QueueName}-${Count}'", json!("word-eu-west-1-jobs-7")),
        ("!Sub '${!Word} $ {Word} ${ Word }'", json!("${Word} $ {Word} word")),
        ("!Sub ['${A}/${Word}', {A: !Select [0, !Ref Many]}]", json!("x/word")),
        ("!Sub ['${Word}', {Word: own}]", json!("own")),
        ("{'Fn::Sub': 'plain'}", json!("plain")),
        ("!Join ['-', [a, !Ref Word, 1, true]]", json!("a-word-1-true")),
        ("!Join [',', !Ref Many]", json!("x,y,z")),
        ("!Join ['', []]", json!("")),
        ("!If [Yes, a, b]", json!("a")),
        ("!If [No, a, b]", json!("b")),
        ("!If [No, !GetAtt Queue.Arn, !Ref AWS::NoValue]", Value::Null),
        ("!Select [1, [a, b]]", json!("b")),
        ("!Select ['2', !Ref Many]", json!("z")),
        ("!Split ['.', a.b.c]", json!(["a", "b", "c"])),
        ("!Select [1, !Split [':', !GetAtt Queue.Arn]]", json!("aws")),
        ("!FindInMap [Map, one, two]", json!("found")),
        ("!FindInMap [Map, !If [Yes, one, none], list]", json!(["p", "q"])),
        ("{'Fn::Base64': !Ref Word}", json!("d29yZA==")),
        ("{Ref: a, Other: b}", json!({"Ref": "a", "Other": "b"})),
        ("{Condition: {Bool: {x: !Ref Word}}}", json!({"Condition": {"Bool": {"x": "word"}}})),
        ("2012-10-17", json!("2012-10-17")),
        ("1.5", json!(1.5)),
    ] {
        assert_eq!(value_of(expression), expected, "{expression}");
    }
}

#[test]
fn a_stack_id_is_an_arn_of_its_name() {
    let id = value_of("!Ref AWS::StackId");
    let id = id.as_str().unwrap();
    assert!(id.starts_with("arn:aws:cloudformation:eu-west-1:000000000000:stack/test/"), "{id}");
    assert_eq!(id.rsplit('/').next().unwrap().len(), 36, "{id}");
}

#[test]
fn conditions_come_to_true_and_false() {
    for (condition, expected) in [
        ("!Equals [a, a]", true),
        ("!Equals [!Ref P, 'true']", true),
        ("!Equals [true, 'true']", true),
        ("!Equals [!Ref P, b]", false),
        ("!Not [!Equals [a, a]]", false),
        ("!And [!Equals [a, a], !Equals [b, b]]", true),
        ("!And [!Equals [a, a], !Equals [b, c]]", false),
        ("!Or [!Equals [a, b], !Equals [b, b]]", true),
        ("!Or [!Equals [a, b], !Equals [b, c]]", false),
        ("!And [!Condition T, !Not [Condition: F]]", true),
        ("{'Fn::Or': [{Condition: F}, {'Fn::Equals': [{'Fn::FindInMap': [M, k, v]}, x]}]}", true),
    ] {
        let text = format!(
            "
Parameters: {{P: {{Type: String, Default: 'true'}}}}
Mappings: {{M: {{k: {{v: x}}}}}}
Conditions:
  C: {condition}
  T: !Equals [1, 1]
  F: !Equals [1, 2]
Resources:
  Always: {{Type: AWS::SQS::Queue}}
  Sometimes: {{Type: AWS::SQS::Queue, Condition: C}}
Outputs:
  Url: {{Condition: C, Value: !Ref Sometimes}}
"
        );
        let model = of_text(&text, &[]).unwrap_or_else(|error| panic!("{condition}: {error}"));
        assert_eq!(model.find("Sometimes").is_some(), expected, "{condition}");
        assert_eq!(model.outputs.contains_key("Url"), expected, "{condition}");
    }
}

#[test]
fn parameters_are_checked() {
    let accepted = [
        ("{Type: String, AllowedValues: [a, b]}", "a"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", "abc"),
        ("{Type: String, MinLength: 2, MaxLength: 3}", "äöü"),
        ("{Type: Number, MinValue: 1, MaxValue: '9'}", "9"),
        ("{Type: 'List<Number>', MaxValue: 9}", "1, 9"),
        ("{Type: 'List<AWS::EC2::Subnet::Id>'}", "subnet-1,subnet-2"),
        ("{Type: 'AWS::EC2::VPC::Id'}", "vpc-1"),
        ("{Type: String, Default: ''}", ""),
        ("{Type: Number, AllowedValues: [1, 2], Description: d, ConstraintDescription: c}", "2"),
    ];
    for (declaration, value) in accepted {
        let text = format!("Parameters: {{P: {declaration}}}\nResources: {{Q: {{Type: AWS::SQS::Queue}}}}");
        assert_eq!(of_text(&text, &[("P", value)]).err(), None, "{declaration} {value:?}");
    }
    let refused = [
        ("{Type: String, AllowedValues: [a, b]}", "c", "\"c\" is not an allowed value (allowed are a, b)"),
        ("{Type: String, AllowedPattern: '[a-z]+'}", "abc1", "does not match the allowed pattern"),
        ("{Type: String, AllowedPattern: 'a|b', ConstraintDescription: only a or b}", "ax", "(only a or b)"),
        ("{Type: String, AllowedPattern: '(?=a)'}", "a", "Parameters.P.AllowedPattern: is not a pattern"),
        ("{Type: String, MinLength: 2}", "a", "is shorter than 2"),
        ("{Type: String, MaxLength: 2}", "abc", "is longer than 2"),
        ("{Type: Number}", "many", "\"many\" is not a number"),
        ("{Type: Number}", "NaN", "is not a number"),
        ("{Type: Number, MinValue: 3}", "2", "is less than 3"),
        ("{Type: Number, MaxValue: 3}", "4", "is more than 3"),
        ("{Type: 'List<Number>', MaxValue: 3}", "1,4", "is more than 3"),
        ("{Type: String, NoEcho: true, MinLength: 20}", "secret", "the value (not shown, NoEcho) is shorter than 20"),
        (
            "{Type: 'AWS::SSM::Parameter::Value<String>'}",
            "/x",
            "Parameters.P.Type: type AWS::SSM::Parameter::Value<String>",
        ),
        ("{Type: Text}", "a", "type \"Text\" is not known"),
        ("{Type: String, MinimumLength: 1}", "a", "Parameters.P.MinimumLength: is not known"),
    ];
    for (declaration, value, expected) in refused {
        let text = format!("Parameters: {{P: {declaration}}}\nResources: {{Q: {{Type: AWS::SQS::Queue}}}}");
        let error = of_text(&text, &[("P", value)]).unwrap_err().to_string();
        assert!(error.contains("Parameters.P") && error.contains(expected), "{declaration} {value:?}: {error}");
        assert!(!error.contains("secret"), "{error}");
    }
}

#[test]
fn missing_and_unknown_parameters_are_named() {
    let text = "Parameters: {Wanted: {Type: String}}\nResources: {Q: {Type: AWS::SQS::Queue}}";
    let error = of_text(text, &[("Unwanted", "x")]).unwrap_err().to_string();
    assert!(error.contains("Parameters.Wanted: has no value and no default"), "{error}");
    assert!(error.contains("Parameters.Unwanted: a value is given from outside"), "{error}");
    assert!(error.contains("its parameters are Wanted"), "{error}");
}

/// A template with a rule over a parameter P that is `a`.
fn rule(rule: &str) -> String {
    format!("Parameters: {{P: {{Type: String, Default: a}}}}\nRules: {{R: {{{rule}}}}}\nResources: {{}}")
}

/// Each template, the place that the error names, and what it says.
#[test]
fn every_mistake_is_an_error_with_its_place() {
    let queue = "Resources:\n  Q:\n    Type: AWS::SQS::Queue\n    Properties:\n      ";
    let policy = "Resources:\n  B: {Type: AWS::S3::BucketPolicy, Properties: {Bucket: b, PolicyDocument: ";
    let with = |start: &str, rest: &str| format!("{start}{rest}");
    for (template, at, problem) in [
        ("a: [".to_owned(), "the file", "is not YAML"),
        ("Resources: {A: {Type: X}, A: {Type: Y}}".to_owned(), "the file", "duplicate"),
        ("[1]".to_owned(), "the file", "is not an object"),
        ("Description: d".to_owned(), "Resources", "is missing"),
        ("Resources: 5".to_owned(), "Resources", "is not an object"),
        ("Ressources: {}\nResources: {}".to_owned(), "Ressources", "is not a section"),
        ("Transform: AWS::Serverless-2016-10-31\nResources: {}".to_owned(), "Transform", "are not resolved"),
        (
            "AWSTemplateFormatVersion: 2011-01-01\nResources: {}".to_owned(),
            "AWSTemplateFormatVersion",
            "does not exist",
        ),
        ("Macros: {}\nResources: {}".to_owned(), "Macros", "is not a section the local cloud knows"),
        (rule("RuleConditions: {}"), "Rules.R.RuleConditions", "is not known"),
        (rule("RuleCondition: !Equals [!Ref P, a]"), "Rules.R.Assertions", "list what must hold"),
        (
            rule("Assertions: [{Assert: !Equals [!Ref P, b], AssertDescription: Say b.}]"),
            "Rules.R.Assertions.0",
            "Say b.",
        ),
        (
            rule("Assertions: [{Assert: !Contains [[b, c], !Ref P]}]"),
            "Rules.R.Assertions.0",
            "does not hold (give other values to the parameters)",
        ),
        (
            rule("Assertions: [{Assert: !Not [!EachMemberIn [[!Ref P], [a, b]]]}]"),
            "Rules.R.Assertions.0",
            "does not hold",
        ),
        (
            rule("Assertions: [{Assert: !Equals [!Sub x, a]}]"),
            "Rules.R.Assertions.0.Assert.Fn::Equals",
            "a rule sees parameters only",
        ),
        (
            rule("Assertions: [{Assert: {Fn::RefAll: \"AWS::EC2::VPC::Id\"}}]"),
            "Rules.R.Assertions.0.Assert.Fn::RefAll",
            "use Fn::And, Contains",
        ),
        ("Resources: {A-B: {Type: AWS::SQS::Queue}}".to_owned(), "Resources.A-B", "not alphanumeric"),
        ("Resources: {A: text}".to_owned(), "Resources.A", "is not an object"),
        ("Resources: {A: {Properties: {}}}".to_owned(), "Resources.A", "has no Type"),
        ("Resources: {A: {Type: AWS::SQS::Queue, Colour: red}}".to_owned(), "Resources.A.Colour", "is not known"),
        (
            "Resources: {A: {Type: AWS::SQS::Queue, UpdatePolicy: {}}}".to_owned(),
            "Resources.A.UpdatePolicy",
            "is not known",
        ),
        (
            "Resources: {A: {Type: AWS::SQS::Queue, DeletionPolicy: Keep}}".to_owned(),
            "Resources.A.DeletionPolicy",
            "is not a policy",
        ),
        (
            "Resources: {A: {Type: AWS::SQS::Queue, Condition: No}}".to_owned(),
            "Resources.A.Condition",
            "there is no condition No",
        ),
        (
            "Resources: {A: {Type: AWS::SQS::Queue, DependsOn: B}}".to_owned(),
            "Resources.A.DependsOn",
            "there is no resource B",
        ),
        (
            "Resources: {A: {Type: AWS::Redshift::Cluster}}".to_owned(),
            "Resources.A.Type",
            "type AWS::Redshift::Cluster is not known",
        ),
        (with(queue, "QueueNam: q"), "Resources.Q.Properties.QueueNam", "is not known to the local cloud"),
        (
            with(queue, "RedrivePolicy: {maxReceiveCount: 1, deadLetterTargetArn: a, x: 1}"),
            "Resources.Q.Properties.RedrivePolicy.x",
            "is not known",
        ),
        (
            with(queue, "RedrivePolicy: {maxReceiveCount: 1}"),
            "Resources.Q.Properties.RedrivePolicy",
            "deadLetterTargetArn is missing",
        ),
        (with(queue, "VisibilityTimeout: soon"), "Resources.Q.Properties.VisibilityTimeout", "is not a number"),
        (
            with(queue, "SqsManagedSseEnabled: yes"),
            "Resources.Q.Properties.SqsManagedSseEnabled",
            "is not true or false",
        ),
        (with(queue, "Tags: text"), "Resources.Q.Properties.Tags", "is not a list"),
        (with(queue, "RedrivePolicy: text"), "Resources.Q.Properties.RedrivePolicy", "is not an object"),
        (with(queue, "QueueName: [a]"), "Resources.Q.Properties.QueueName", "is not text"),
        (with(queue, "QueueName:"), "Resources.Q.Properties.QueueName", "is empty or null"),
        (with(queue, "QueueName: '{{resolve:ssm:x}}'"), "Resources.Q.Properties.QueueName", "dynamic reference"),
        (with(queue, "<<: {QueueName: x}"), "Resources.Q.Properties.<<", "merge keys"),
        (
            with(queue, "QueueName: !Ref Nobody"),
            "Resources.Q.Properties.QueueName.Ref",
            "there is no parameter and no resource Nobody",
        ),
        (with(queue, "QueueName: !Ref [a]"), "Resources.Q.Properties.QueueName.Ref", "does not name anything"),
        (
            with(queue, "QueueName: !Sub 'a-${Nobody}'"),
            "Resources.Q.Properties.QueueName.Fn::Sub",
            "no resource Nobody",
        ),
        (
            with(queue, "QueueName: !Sub 'a-${Nobody.Arn}'"),
            "Resources.Q.Properties.QueueName.Fn::Sub",
            "no resource Nobody",
        ),
        (with(queue, "QueueName: !Sub 'a-${'"), "Resources.Q.Properties.QueueName.Fn::Sub", "unfinished"),
        (with(queue, "QueueName: !Sub '${a b}'"), "Resources.Q.Properties.QueueName.Fn::Sub", "is no name"),
        (
            with(queue, "QueueName: !GetAtt Nobody.Arn"),
            "Resources.Q.Properties.QueueName.Fn::GetAtt",
            "no resource Nobody",
        ),
        (
            with(queue, "QueueName: !If [No, a, b]"),
            "Resources.Q.Properties.QueueName.Fn::If",
            "there is no condition No",
        ),
        (
            with(queue, "QueueName: !If [No, a]"),
            "Resources.Q.Properties.QueueName.Fn::If",
            "does not have a condition and two values",
        ),
        (
            with(queue, "QueueName: !Select [2, [a, b]]"),
            "Resources.Q.Properties.QueueName.Fn::Select",
            "no element 2 in a list of 2",
        ),
        (
            with(queue, "QueueName: !Join [a]"),
            "Resources.Q.Properties.QueueName.Fn::Join",
            "does not have a delimiter and a list",
        ),
        (
            with(queue, "QueueName: !Join ['-', [{a: b}]]"),
            "Resources.Q.Properties.QueueName.Fn::Join",
            "an element that is not text",
        ),
        (
            with(queue, "QueueName: !Select [0, !Split ['', a]]"),
            "Resources.Q.Properties.QueueName.Fn::Select.Fn::Split",
            "the delimiter is not text",
        ),
        (
            with(queue, "QueueName: !FindInMap [M, a, b]"),
            "Resources.Q.Properties.QueueName.Fn::FindInMap",
            "Mappings has no M.a.b",
        ),
        (
            with(queue, "QueueName: !ImportValue x"),
            "Resources.Q.Properties.QueueName.Fn::ImportValue",
            "Fn::ImportValue is not known",
        ),
        (
            with(queue, "QueueName: {'Fn::Transform': {Name: x}}"),
            "Resources.Q.Properties.QueueName.Fn::Transform",
            "Fn::Transform is not known",
        ),
        (
            with(queue, "QueueName: q\nOutputs: {O: {Value: !GetAtt Q.Colour}}"),
            "Outputs.O.Value.Fn::GetAtt",
            "Q has no attribute Colour (it has Arn, QueueName, QueueUrl)",
        ),
        (with(queue, "QueueName: q\nOutputs: {O: {Value: x, Export: {Name: y}}}"), "Outputs.O.Export", "is not known"),
        (with(queue, "QueueName: q\nOutputs: {O: {Description: x}}"), "Outputs.O", "has no Value"),
        (
            with(policy, "!Sub '${Many}'}}\nParameters: {Many: {Type: CommaDelimitedList, Default: 'a,b'}}"),
            "Resources.B.Properties.PolicyDocument.Fn::Sub",
            "Many is a list",
        ),
        (
            "Resources: {P: {Type: AWS::S3::BucketPolicy, Properties: {Bucket: b}}}".to_owned(),
            "Resources.P.Properties",
            "PolicyDocument is missing",
        ),
        ("Conditions: {C: !Equals [a]}\nResources: {}".to_owned(), "Conditions.C.Fn::Equals", "has 1 operands"),
        ("Conditions: {C: yes}\nResources: {}".to_owned(), "Conditions.C", "is not a condition"),
        (
            "Conditions: {C: !Not [!Condition D]}\nResources: {}".to_owned(),
            "Conditions.C.Fn::Not.0",
            "there is no condition D",
        ),
        ("Conditions: {C: !Sub a}\nResources: {}".to_owned(), "Conditions.C.Fn::Sub", "Fn::Sub is not a condition"),
        (
            "Conditions: {C: !Equals [!Ref Q, a]}\nResources: {Q: {Type: AWS::SQS::Queue}}".to_owned(),
            "Conditions.C.Fn::Equals",
            "refers to a resource",
        ),
        (
            "Conditions: {A: !Not [!Condition B], B: !Not [!Condition A]}\nResources: {}".to_owned(),
            "Conditions.A",
            "in a circle: A → B → A",
        ),
    ] {
        let error = of_text(&template, &[]).err().unwrap_or_else(|| panic!("accepted:\n{template}"));
        let found = error.problems.iter().any(|found| {
            found.at == at
                && format!("{} ({})", found.problem, found.remedy).contains(problem)
                && !found.remedy.is_empty()
        });
        assert!(found, "{template}\nexpected {at}: {problem}\ngot {error}");
        assert!(error.problems.iter().all(|found| found.file.ends_with("root.yaml")), "{error}");
    }
}

#[test]
fn all_mistakes_of_a_template_come_at_once() {
    let error = of_text(
        "Resources:
  A: {Type: AWS::SQS::Queue, Properties: {X: 1, QueueName: !Ref Nobody}}
  B: {Type: AWS::SQS::Queue, Properties: {Y: 1}}
  C: {Type: AWS::Nothing::AtAll}",
        &[],
    )
    .unwrap_err();
    let places: Vec<_> = error.problems.iter().map(|found| found.at.as_str()).collect();
    assert_eq!(places, ["Resources.A.Properties.QueueName.Ref", "Resources.B.Properties.Y", "Resources.C.Type"]);
}

#[test]
fn a_circle_of_resources_is_named() {
    let error = of_text(
        "Resources:
  A: {Type: AWS::SQS::Queue, Properties: {QueueName: !GetAtt B.QueueName}}
  B: {Type: AWS::SQS::Queue, DependsOn: C}
  C: {Type: AWS::SQS::Queue, Properties: {QueueName: !Sub '${A.QueueName}-c'}}",
        &[],
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("Resources.A: resources depend on each other in a circle: A → B → C → A"), "{error}");
}

#[test]
fn a_branch_that_is_not_taken_makes_no_circle_but_its_names_must_exist() {
    let text = |name: &str| {
        format!(
            "
Conditions: {{Never: !Equals [a, b]}}
Resources:
  A: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !If [Never, !GetAtt {name}.QueueName, a]}}}}
  B: {{Type: AWS::SQS::Queue, Properties: {{QueueName: !Sub '${{A.QueueName}}-b'}}}}"
        )
    };
    let model = of_text(&text("B"), &[]).unwrap();
    assert_eq!(model.find("B").unwrap().name(), "a-b");
    assert!(of_text(&text("Nobody"), &[]).unwrap_err().to_string().contains("no resource Nobody"));
}

#[test]
fn what_a_condition_leaves_out_cannot_be_referred_to() {
    let error = of_text(
        "
Conditions: {Never: !Equals [a, b]}
Resources:
  A: {Type: AWS::SQS::Queue, Condition: Never}
  B: {Type: AWS::SQS::Queue, DependsOn: A, Properties: {QueueName: !GetAtt A.QueueName}}",
        &[],
    )
    .unwrap_err()
    .to_string();
    assert!(error.contains("A does not exist, because its condition Never does not hold"), "{error}");
}

#[test]
fn a_tree_of_stacks_comes_in_order_with_names_and_types() {
    let model = load(&fixtures().join("root.yaml"), &inputs(&[])).unwrap();
    let order: Vec<_> = model.resources.iter().map(|resource| resource.path.as_str()).collect();
    assert_eq!(
        order,
        [
            "Queues/Dead",
            "Queues/Main",
            "Queues",
            "Machines/Role",
            "Machines/Policy",
            "Machines/Machine",
            "Machines",
            "Optional"
        ]
    );
    let main = model.find("Queues/Main").unwrap();
    assert_eq!(main.name(), "test-Queues-Main");
    assert_eq!(main.stack, "test-Queues");
    assert_eq!(main.needs, ["Queues/Dead"]);
    assert_eq!(
        main.properties,
        json!({
            "VisibilityTimeout": 45,
            "RedrivePolicy": {"deadLetterTargetArn": "arn:aws:sqs:eu-west-1:000000000000:test-Queues-dead", "maxReceiveCount": 5}
        })
    );
    assert_eq!(model.find("Queues").unwrap().deletion_policy, "Retain");
    assert_eq!(
        model.find("Optional").unwrap().properties,
        json!({
            "BucketName": "b-eu-west-1", "VersioningConfiguration": {"Status": "Enabled"}
        })
    );

    let machine = model.find("Machine").unwrap();
    assert_eq!(machine.arn(), "arn:aws:states:eu-west-1:000000000000:stateMachine:test-Machines-Machine");
    let definition: Value = serde_json::from_str(machine.properties["DefinitionString"].as_str().unwrap()).unwrap();
    assert_eq!(definition["States"]["Wait"]["Seconds"], 3);
    assert_eq!(definition["States"]["Wait"]["Comment"], "test-Queues-Main");
    assert_eq!(definition["Comment"], "Not a substitution: ${not one} and $${");
    assert_eq!(machine.properties.get("DefinitionSubstitutions"), None);

    let role = model.find("Role").unwrap();
    let role_id = &role.attributes.values["RoleId"];
    assert!(role_id.starts_with("AROA") && role_id.len() == 21, "{role_id}");
    assert_eq!(
        model.find("Policy").unwrap().properties["PolicyDocument"]["Statement"][0]["Condition"]["StringLike"]["aws:userid"],
        json!(format!("{role_id}:*"))
    );
    assert_eq!(
        model.outputs,
        BTreeMap::from([
            ("Main".into(), "http://127.0.0.1:4566/000000000000/test-Queues-Main".into()),
            ("Bucket".into(), "b-eu-west-1".into()),
            ("Machine".into(), machine.arn().into()),
        ])
    );
}

#[test]
fn parameters_change_the_tree() {
    let model = load(&fixtures().join("root.yaml"), &inputs(&[("Keep", "no"), ("Seconds", "60")])).unwrap();
    assert!(model.find("Optional").is_none());
    assert_eq!(model.find("Main").unwrap().properties["RedrivePolicy"]["maxReceiveCount"], 2);
    assert_eq!(model.find("Main").unwrap().properties["VisibilityTimeout"], 60);
    assert!(!model.outputs.contains_key("Bucket"));
}

#[test]
fn the_same_templates_always_give_the_same_names() {
    let file = fixtures().join("root.yaml");
    assert_eq!(load(&file, &inputs(&[])).unwrap(), load(&file, &inputs(&[])).unwrap());
    let mut other = inputs(&[]);
    other.stack_name = "other".into();
    let ids = |model: &Model| model.find("Role").unwrap().attributes.values["RoleId"].clone();
    assert_ne!(ids(&load(&file, &inputs(&[])).unwrap()), ids(&load(&file, &other).unwrap()));
}

/// Nested stacks and definitions: files beside the root, the file that the error names, and what it says.
#[test]
fn mistakes_in_files_beside_the_template_are_named() {
    let nest = "Resources: {N: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: nested.yaml}}}";
    let machine = |definition: &str| {
        format!(
            "Resources: {{M: {{Type: AWS::StepFunctions::StateMachine, Properties: {{RoleArn: r, {definition}}}}}}}"
        )
    };
    for (root, nested, file, at, problem) in [
        (nest.to_owned(), "Resources: {A: {Type: X}}", "nested.yaml", "Resources.A.Type", "type X is not known"),
        (
            nest.to_owned(),
            "Resources: {}\nParameters: {P: {Type: String}}",
            "nested.yaml",
            "Parameters.P",
            "has no value",
        ),
        (nest.replace("nested.yaml", "none.yaml"), "", "none.yaml", "the file", "cannot be read"),
        (nest.replace("nested.yaml", "root.yaml"), "", "root.yaml", "the file", "nests itself"),
        (
            nest.replace("nested.yaml", "https://x/y"),
            "",
            "root.yaml",
            "Resources.N.Properties.TemplateURL",
            "is not a path",
        ),
        (
            nest.replace("nested.yaml", "nested.yaml, Parameters: {Q: 1}"),
            "Resources: {}",
            "nested.yaml",
            "Parameters.Q",
            "is given by Resources.N.Properties",
        ),
        (
            nest.replace("nested.yaml", "nested.yaml, Parameters: {Q: {a: b}}"),
            "Resources: {}",
            "root.yaml",
            "Resources.N.Properties.Parameters.Q",
            "is neither text nor a list",
        ),
        (
            format!("{nest}\nOutputs: {{O: {{Value: !GetAtt N.Outputs.X}}}}"),
            "Resources: {}\nOutputs: {Y: {Value: y}}",
            "root.yaml",
            "Outputs.O.Value.Fn::GetAtt",
            "N has no attribute Outputs.X (it has Outputs.Y)",
        ),
        (
            machine("StateMachineType: STANDARD"),
            "",
            "root.yaml",
            "Resources.M.Properties",
            "does not have exactly one definition",
        ),
        (
            machine("DefinitionString: '{}', Definition: {}"),
            "",
            "root.yaml",
            "Resources.M.Properties",
            "does not have exactly one definition",
        ),
        (
            machine("DefinitionS3Location: none.json"),
            "",
            "root.yaml",
            "Resources.M.Properties.DefinitionS3Location",
            "none.json cannot be read",
        ),
        (
            machine("DefinitionS3Location: {Bucket: b, Key: k}"),
            "",
            "root.yaml",
            "Resources.M.Properties.DefinitionS3Location",
            "is not a path",
        ),
        (
            machine("DefinitionS3Location: nested.yaml"),
            "{]",
            "root.yaml",
            "Resources.M.Properties.DefinitionS3Location",
            "is not JSON",
        ),
        (
            machine("DefinitionS3Location: nested.yaml"),
            "{\"a\": \"${Missing}\"}",
            "root.yaml",
            "Resources.M.Properties.DefinitionS3Location",
            "has ${Missing}",
        ),
        (
            machine("Definition: {a: '${X}'}, DefinitionSubstitutions: {X: [1]}"),
            "",
            "root.yaml",
            "Resources.M.Properties.DefinitionSubstitutions.X",
            "is not text",
        ),
        (
            "Resources: {F: {Type: AWS::Lambda::Function, Properties: {Role: r, Code: {ZipFile: x}}}}".into(),
            "",
            "root.yaml",
            "Resources.F.Properties.Code",
            "is not a path",
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("root.yaml"), &root).unwrap();
        std::fs::write(folder.path().join("nested.yaml"), nested).unwrap();
        let error =
            load(&folder.path().join("root.yaml"), &inputs(&[])).err().unwrap_or_else(|| panic!("accepted: {root}"));
        let found = error.problems.iter().any(|found| {
            found.file.ends_with(file)
                && found.at == at
                && format!("{} ({})", found.problem, found.remedy).contains(problem)
        });
        assert!(found, "{root}\n{nested}\nexpected {file}: {at}: {problem}\ngot {error}");
    }
}

#[test]
fn a_definition_as_object_or_text_is_the_same() {
    for definition in [
        "Definition: {StartAt: '${S}', States: {A: {Type: Succeed}}}",
        "DefinitionString: '{\"StartAt\": \"${S}\", \"States\": {\"A\": {\"Type\": \"Succeed\"}}}'",
    ] {
        let text = format!(
            "Resources: {{M: {{Type: AWS::StepFunctions::StateMachine, Properties: {{RoleArn: r, DefinitionSubstitutions: {{S: A}}, {definition}}}}}}}"
        );
        let model = of_text(&text, &[]).unwrap();
        let found = model.find("M").unwrap().properties["DefinitionString"].as_str().unwrap().to_owned();
        assert_eq!(
            serde_json::from_str::<Value>(&found).unwrap(),
            json!({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}})
        );
    }
}

#[test]
fn names_and_values_that_cloudformation_refuses_are_refused() {
    let text = "Parameters: {P: {Type: String, Default: ''}}\nResources: {Q: {Type: AWS::SQS::Queue}}";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("root.yaml");
    std::fs::write(&file, text).unwrap();
    for name in ["", "1st", "with_underscore", &"a".repeat(129)] {
        let error = load(&file, &Inputs { stack_name: name.into(), ..inputs(&[]) }).unwrap_err().to_string();
        assert!(error.contains("the stack's name: "), "{name}: {error}");
    }
    let error = of_text(text, &[("P", &"x".repeat(4097))]).unwrap_err().to_string();
    assert!(error.contains("Parameters.P: the value is longer than 4096 bytes"), "{error}");
}

#[test]
fn generated_names_keep_to_the_limits_and_apart() {
    let long = "L".repeat(100);
    let text = format!(
        "Resources:
  {long}1: {{Type: AWS::Lambda::Function, Properties: {{Role: r, Code: c}}}}
  {long}2: {{Type: AWS::Lambda::Function, Properties: {{Role: r, Code: c}}}}"
    );
    let model = of_text(&text, &[]).unwrap();
    let names: Vec<_> = model.resources.iter().map(|resource| resource.name().to_owned()).collect();
    assert!(names.iter().all(|name| name.len() == 64), "{names:?}");
    assert_ne!(names[0], names[1]);
}

#[test]
fn a_property_without_effect_says_why() {
    fn visit(properties: &[cloud::template::shape::Property], at: &str) {
        use cloud::template::shape::{Effect, Shape};
        let mut names: Vec<_> = properties.iter().map(|property| property.name).collect();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), properties.len(), "{at} has a property twice");
        for property in properties {
            if let Effect::None(why) = property.effect {
                assert!(!why.is_empty(), "{at}.{}", property.name);
            }
            let mut shape = property.shape;
            while let Shape::List(inner) | Shape::Map(inner) = shape {
                shape = *inner;
            }
            if let Shape::Object(inside) = shape {
                visit(inside, &format!("{at}.{}", property.name));
            }
        }
    }
    for kind in kinds::all() {
        visit(kind.properties, kind.name);
    }
}

const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:one-AbCdEf";

/// What the root's rules refuse, and that they refuse nothing else.
#[test]
fn parameters_that_do_not_go_together_are_refused() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/root.yaml");
    for (parameters, said) in [
        (&[][..], "Give either ClusterIdentifier or WorkgroupName."),
        (&[("ClusterIdentifier", "one"), ("WorkgroupName", "two")], "Give either ClusterIdentifier or WorkgroupName."),
        (&[("WorkgroupName", "one"), ("DbUser", "loader")], "DbUser is for a provisioned cluster only."),
        (&[("ClusterIdentifier", "one"), ("DbUser", "loader"), ("SecretArn", SECRET)], "not both"),
        (
            &[("ClusterIdentifier", "one"), ("VpcSubnetIds", "subnet-1,subnet-2")],
            "VpcSubnetIds and VpcSecurityGroupIds",
        ),
        (&[("ClusterIdentifier", "one"), ("AssetsPrefix", "assets/1/")], "ArtifactBucket and AssetsPrefix"),
    ] {
        let error = load(&root, &inputs(parameters)).expect_err(said).to_string();
        assert!(error.contains(said), "{parameters:?}: {error}");
    }
}

/// The templates that are deployed, with a provisioned cluster and with a workgroup.
#[test]
fn the_templates_of_the_project_resolve() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../infra/root.yaml");
    for parameters in
        [[("ClusterIdentifier", "one"), ("DbUser", "loader")], [("WorkgroupName", "one"), ("SecretArn", SECRET)]]
    {
        let model = load(&root, &inputs(&parameters)).unwrap_or_else(|error| panic!("{error}"));
        for function in model.of_kind("AWS::Lambda::Function") {
            let role = function.properties["Role"].as_str().unwrap();
            assert!(
                model.of_kind("AWS::IAM::Role").any(|known| known.arn() == role),
                "{} has no role {role}",
                function.path
            );
        }
        assert!(!model.outputs.is_empty());
    }
}
