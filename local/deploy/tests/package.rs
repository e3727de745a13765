//! A project packaged without a network: what is uploaded, under which keys, and what the templates then say.

#![allow(clippy::unwrap_used, reason = "a test program")]

use std::collections::BTreeSet;
use std::path::Path;

use deploy::package::{Packaged, Place, Source, functions, package};
use deploy::program::Architecture;
use serde_json::{Value, json};

const ROOT: &str = r#"
AWSTemplateFormatVersion: "2010-09-09"
Parameters: { Prefix: { Type: String } }
Resources:
  Nested:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: ./nested.yaml, Parameters: { Name: !Sub "${AWS::StackName}-x" } }
  Elsewhere:
    Type: AWS::CloudFormation::Stack
    Properties: { TemplateURL: "https://example.com/other.template" }
Outputs:
  Arn: { Value: !GetAtt Nested.Outputs.Arn }
"#;

const NESTED: &str = r#"
Parameters: { Name: { Type: String } }
Resources:
  Function:
    Type: AWS::Lambda::Function
    Properties: { Code: ../target/lambda/some-function, Role: !GetAtt Role.Arn }
  Inline:
    Type: AWS::Lambda::Function
    Properties: { Code: { ZipFile: "exports" } }
  Machine:
    Type: AWS::StepFunctions::StateMachine
    Properties: { DefinitionS3Location: ../statemachines/machine.asl.json }
Outputs:
  Arn: { Value: !GetAtt Function.Arn }
"#;

/// The least that is a static x86_64 program: a header.
fn program() -> Vec<u8> {
    let mut header = vec![0; 64];
    header[..7].copy_from_slice(b"\x7fELF\x02\x01\x01");
    (header[16], header[18], header[20], header[52], header[58]) = (2, 62, 1, 64, 64);
    header
}

fn project() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (file, text) in [
        ("infra/root.yaml", ROOT.as_bytes()),
        ("infra/nested.yaml", NESTED.as_bytes()),
        ("statemachines/machine.asl.json", b"{}"),
        ("config/workflows/w.json", b"{\"name\": \"w\"}"),
        ("scripts/w/a.sql", b"select 1"),
        ("scripts/.hidden", b"no"),
        ("target/lambda/some-function/bootstrap", &program()),
    ] {
        let file = folder.path().join(file);
        std::fs::create_dir_all(file.parent().unwrap()).unwrap();
        std::fs::write(file, text).unwrap();
    }
    folder
}

fn packaged(folder: &Path) -> Packaged {
    let functions = folder.join("target/lambda");
    let source = Source { project: folder, functions: &functions, architecture: Architecture::X86 };
    let url = |key: &str| format!("https://s3.eu-central-1.amazonaws.com/artefacts/{key}");
    package(&source, &Place { bucket: "artefacts", prefix: "p/", url: &url }).unwrap()
}

#[test]
fn every_local_path_becomes_an_object_under_its_hash() {
    let folder = project();
    let packaged = packaged(folder.path());
    let root: Value = serde_json::from_str(&packaged.root).unwrap();
    let url = root["Resources"]["Nested"]["Properties"]["TemplateURL"].as_str().unwrap();
    let key = url.strip_prefix("https://s3.eu-central-1.amazonaws.com/artefacts/").unwrap();
    let of = |key: &str| packaged.artefacts.iter().find(|artefact| artefact.key == key).unwrap();
    let nested: Value = serde_json::from_slice(&of(key).bytes).unwrap();
    let properties = |name: &str| nested["Resources"][name]["Properties"].clone();

    let code = &properties("Function")["Code"];
    assert_eq!(code["S3Bucket"], "artefacts");
    let zip = of(code["S3Key"].as_str().unwrap());
    assert_eq!(zip.package.as_deref(), Some("some-function"));
    assert!(zip.key.starts_with("p/") && zip.key.ends_with(".zip") && zip.key.len() == 2 + 64 + 4, "{}", zip.key);
    assert_eq!(of(properties("Machine")["DefinitionS3Location"]["Key"].as_str().unwrap()).bytes, b"{}");

    // What is not a local path stays, and so do the functions of CloudFormation.
    assert_eq!(properties("Inline")["Code"], json!({"ZipFile": "exports"}));
    assert_eq!(root["Resources"]["Elsewhere"]["Properties"]["TemplateURL"], "https://example.com/other.template");
    assert_eq!(properties("Function")["Role"], json!({"Fn::GetAtt": ["Role", "Arn"]}));
    assert_eq!(root["Outputs"]["Arn"]["Value"], json!({"Fn::GetAtt": ["Nested", "Outputs.Arn"]}));

    // The assets keep their names below one prefix; the root is the template to deploy.
    let assets: Vec<&str> =
        packaged.artefacts.iter().filter_map(|artefact| artefact.key.strip_prefix(&packaged.assets_prefix)).collect();
    assert_eq!(assets, ["config/workflows/w.json", "scripts/w/a.sql"]);
    assert_eq!(of(&packaged.root_key).bytes, packaged.root.as_bytes());
    assert_eq!(functions(folder.path()).unwrap(), BTreeSet::from(["some-function".to_owned()]));
}

#[test]
fn the_same_project_is_packaged_to_the_same_bytes_and_a_change_moves_what_it_touches() {
    let (one, other) = (project(), project());
    let keys = |packaged: &Packaged| packaged.artefacts.iter().map(|it| it.key.clone()).collect::<BTreeSet<_>>();
    let before = packaged(one.path());
    let same = packaged(other.path());
    assert_eq!((&before.root, &before.assets_prefix, keys(&before)), (&same.root, &same.assets_prefix, keys(&same)));

    std::fs::write(other.path().join("scripts/w/a.sql"), "select 2").unwrap();
    let changed = packaged(other.path());
    assert_ne!(before.assets_prefix, changed.assets_prefix);
    assert_eq!(before.root_key, changed.root_key);

    std::fs::write(other.path().join("statemachines/machine.asl.json"), "{ }").unwrap();
    let changed = packaged(other.path());
    assert_ne!(before.root_key, changed.root_key);
    // The function has not moved.
    let zip = |packaged: &Packaged| packaged.artefacts.iter().find(|it| it.package.is_some()).unwrap().key.clone();
    assert_eq!(zip(&before), zip(&changed));
}

#[test]
fn what_is_missing_or_wrong_is_named() {
    let folder = project();
    let attempt = |architecture| {
        let functions = folder.path().join("target/lambda");
        let source = Source { project: folder.path(), functions: &functions, architecture };
        package(&source, &Place { bucket: "b", prefix: "", url: &|key| key.to_owned() }).unwrap_err().to_string()
    };
    let problem = attempt(Architecture::Arm64);
    assert!(problem.contains("some-function/bootstrap was built for x86_64, not for arm64"), "{problem}");
    std::fs::remove_file(folder.path().join("statemachines/machine.asl.json")).unwrap();
    assert!(attempt(Architecture::X86).contains("machine.asl.json"));
    let itself = "Resources: {A: {Type: AWS::CloudFormation::Stack, Properties: {TemplateURL: root.yaml}}}";
    std::fs::write(folder.path().join("infra/root.yaml"), itself).unwrap();
    assert!(attempt(Architecture::X86).contains("name itself"));
}
