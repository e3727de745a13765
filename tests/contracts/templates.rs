//! Names, variables, outputs and policies of the templates, under every condition that they know.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use cloud::template::Model;
use serde_json::Value;

use crate::world::{project, resolved};
use crate::{all, machines};

/// As long as the pattern of the parameter allows.
const LONGEST: &str = "a123456789-123456789-123456789-123456789";

/// What turns on everything that is optional and goes together with any target.
const OPTIONS: [(&str, &str); 15] = [
    ("NotificationEmail", "somebody@example.com"),
    ("AllowedTargetArns", "arn:x:redshift:r:1:cluster:two,arn:x:redshift:r:1:dbname:two/dev"),
    ("ScheduleExpression", "cron(0 6 ? * MON *)"),
    ("ScheduleTimezone", "Europe/Berlin"),
    ("ScheduledWorkflow", "review"),
    ("ScheduledPlan", "daily"),
    ("StartAfterDeployment", "review"),
    ("ArtifactBucket", "artifacts"),
    ("AssetsPrefix", "assets/1/"),
    ("VpcSubnetIds", "subnet-1,subnet-2"),
    ("VpcSecurityGroupIds", "sg-1"),
    ("Tracing", "true"),
    ("PermissionsBoundaryArn", "arn:x:iam::000000000000:policy/boundary"),
    ("NamePrefix", LONGEST),
    ("AuditSqlText", "true"),
];
const SECRET: (&str, &str) = ("SecretArn", "arn:x:secretsmanager:r:000000000000:secret:one-AbCdEf");

/// The templates under every condition: what each target and each login makes, alone and with all options.
pub fn models() -> Vec<Model> {
    let cluster = ("ClusterIdentifier", "one");
    let workgroup = ("WorkgroupName", "one");
    let user = ("DbUser", "loader");
    let logins = [vec![cluster], vec![cluster, user], vec![cluster, SECRET], vec![workgroup], vec![workgroup, SECRET]];
    logins
        .iter()
        .flat_map(|login| [login.clone(), [login, &OPTIONS[..]].concat()])
        .map(|given| resolved("contract", &given))
        .collect()
}

/// The text of every template and of every machine.
fn sources() -> Vec<(String, String)> {
    let mut found = Vec::new();
    for folder in ["infra", "statemachines"] {
        for entry in std::fs::read_dir(project().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            if path.is_file() {
                found.push((
                    format!("{folder}/{}", path.file_name().unwrap().to_string_lossy()),
                    std::fs::read_to_string(&path).unwrap(),
                ));
            }
        }
    }
    assert!(found.len() > 10);
    found
}

#[test]
fn each_function_gets_what_it_needs_and_reads_all_that_it_gets() {
    for model in models() {
        let mut checked = 0;
        for function in model.of_kind("AWS::Lambda::Function") {
            let given = function.properties["Environment"]["Variables"].as_object().unwrap();
            let read = RefCell::new(BTreeSet::from(["LOG_LEVEL".to_owned()]));
            let lookup = |name: &str| {
                read.borrow_mut().insert(name.to_owned());
                given.get(name).and_then(Value::as_str).map(str::to_owned)
            };
            let configuration = aws::Configuration::new(lookup);
            match function.logical_id.as_str() {
                "TaskerFunction" => configuration.tasker().map(drop).unwrap(),
                "CompletionFunction" | "ReconcilerFunction" => {
                    configuration.common().map(drop).unwrap();
                    // Read where they are there; they are the tasker's.
                    read.borrow_mut().retain(|name| !["QUEUE_URL", "ASSETS_BUCKET"].contains(&name.as_str()));
                }
                "PlannerFunction" => configuration.named(planner_function::ENVIRONMENT).map(drop).unwrap(),
                "CollectorFunction" => configuration.named(collector_function::ENVIRONMENT).map(drop).unwrap(),
                "ReporterFunction" => configuration.named(reporter_function::ENVIRONMENT).map(drop).unwrap(),
                "InstallerFunction" => configuration.named(installer_function::ENVIRONMENT).map(drop).unwrap(),
                other => panic!("nobody said what {other} reads"),
            }
            let given: BTreeSet<String> = given.keys().cloned().collect();
            assert_eq!(given, read.into_inner(), "left what {} is given, right what it reads", function.logical_id);
            checked += 1;
        }
        assert_eq!(checked, 7);
    }
}

#[test]
fn every_substitution_is_given_and_used() {
    for model in models() {
        for machine in model.of_kind("AWS::StepFunctions::StateMachine") {
            let definition = machine.properties["DefinitionString"].as_str().unwrap();
            assert!(!definition.contains("${"), "{}", machine.path);
        }
    }
    // The loader refuses what is missing; what is too much only shows in the text.
    let template = std::fs::read_to_string(project().join("infra/statemachines.yaml")).unwrap();
    let mut used = 0;
    for part in template.split("DefinitionS3Location: ../").skip(1) {
        let (file, rest) = part.split_once('\n').unwrap();
        let definition = std::fs::read_to_string(project().join(file)).unwrap();
        let given = rest.split_once("DefinitionSubstitutions:\n").unwrap().1;
        for line in given.lines().take_while(|line| line.starts_with("        ")) {
            let name = line.trim().split(':').next().unwrap();
            assert!(definition.contains(&format!("${{{name}}}")), "{file} does not use {name}");
            used += 1;
        }
    }
    assert!(used > 10);
}

#[test]
fn names_fit_with_the_longest_prefix() {
    // The quotas pages of the services; IAM's and S3's names are made by CloudFormation, which cuts them.
    let limits = BTreeMap::from([
        ("AWS::Lambda::Function", 64),
        ("AWS::SQS::Queue", 80),
        ("AWS::Events::Rule", 64),
        ("AWS::Scheduler::Schedule", 64),
        ("AWS::StepFunctions::StateMachine", 80),
        ("AWS::SNS::Topic", 256),
        ("AWS::Logs::LogGroup", 512),
        ("AWS::CloudWatch::Alarm", 255),
        ("AWS::CloudWatch::Dashboard", 255),
        ("AWS::KMS::Alias", 256),
    ]);
    let all = [&[("ClusterIdentifier", "one")], &OPTIONS[..]].concat();
    let mut seen = BTreeSet::new();
    let model = resolved("contract", &all);
    for resource in &model.resources {
        if let Some(limit) = limits.get(resource.kind.as_str()) {
            let name = resource.name();
            assert!(name.contains(LONGEST), "{} is named {name}", resource.path);
            assert!(name.len() <= *limit, "{name} has {} characters of {limit}", name.len());
            seen.insert(resource.kind.as_str());
        }
    }
    assert_eq!(seen, limits.into_keys().collect());
    // No longer one is let in.
    let template = std::fs::read_to_string(project().join("infra/root.yaml")).unwrap();
    let after = template.split_once("\n  NamePrefix:\n").unwrap().1;
    assert!(after.contains("{0,38}[A-Za-z0-9]$\""), "the pattern allows 40 characters");
    assert_eq!(LONGEST.len(), 40);
}

#[test]
fn two_stacks_share_no_name() {
    let named = |stack: &str, prefix: &str| -> BTreeSet<(String, String)> {
        let mut given = vec![("ClusterIdentifier", "one")];
        given.extend(OPTIONS);
        given.retain(|(name, _)| *name != "NamePrefix");
        given.push(("NamePrefix", prefix));
        let own = ["AWS::IAM::Policy", "AWS::S3::BucketPolicy"];
        let model = resolved(stack, &given);
        let of = |r: &cloud::template::Resource| (r.kind.clone(), r.attributes.reference.clone());
        model.resources.iter().filter(|r| !own.contains(&r.kind.as_str())).map(of).collect()
    };
    // Also where one name begins like the other.
    for ((one, prefix), (other, other_prefix)) in
        [(("prod", ""), ("prod-eu", "")), (("one", "team"), ("two", "team-b"))]
    {
        let (one, other) = (named(one, prefix), named(other, other_prefix));
        let shared: Vec<_> = one.intersection(&other).collect();
        assert!(shared.is_empty() && one.len() > 50, "{shared:#?}");
    }
}

#[test]
fn no_account_region_or_partition_is_written_down() {
    let areas = ["us", "eu", "ap", "sa", "ca", "me", "af", "il", "mx", "cn", "us-gov"];
    let sides = ["north", "south", "east", "west", "central", "northeast", "southeast", "northwest", "southwest"];
    let region = |word: &str| {
        areas.iter().any(|area| {
            let rest = word.strip_prefix(area).and_then(|rest| rest.strip_prefix('-'));
            rest.and_then(|rest| rest.rsplit_once('-'))
                .is_some_and(|(side, number)| sides.contains(&side) && number.parse::<u8>().is_ok())
        })
    };
    for (file, text) in sources() {
        for (number, line) in text.lines().enumerate() {
            let at = format!("{file}:{}: {line}", number + 1);
            assert!(!line.contains("arn:aws"), "a partition: {at}");
            // Principals are called so in every partition.
            assert!(
                !line.contains("amazonaws.com") || line.contains("Service:") || line.contains("Principal:"),
                "a domain: {at}"
            );
            let digits = line.split(|c: char| !c.is_ascii_digit());
            assert!(digits.into_iter().all(|run| run.len() != 12), "an account: {at}");
            let words = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '-');
            assert!(!words.into_iter().any(region), "a region: {at}");
        }
    }
}

#[test]
fn every_output_is_used_or_described() {
    let root = std::fs::read_to_string(project().join("infra/root.yaml")).unwrap();
    let mut passed_down = 0;
    for (file, text) in sources() {
        assert!(!text.contains("Export:") && !text.contains("ImportValue"), "{file}: outputs are passed down");
        let Some(outputs) = text.split_once("\nOutputs:\n").map(|(_, outputs)| outputs) else { continue };
        for block in outputs.split("\n  ").map(|block| block.trim_start_matches("  ")) {
            let Some(name) =
                block.lines().next().and_then(|line| line.strip_suffix(':')).filter(|n| !n.starts_with(' '))
            else {
                continue;
            };
            if file == "infra/root.yaml" {
                continue;
            }
            assert!(root.contains(&format!(".Outputs.{name}\n")), "{file}: nobody uses the output {name}");
            passed_down += 1;
        }
    }
    assert!(passed_down > 20, "{passed_down}");
    let outputs = root.split_once("\nOutputs:\n").unwrap().1;
    let count = |what: &str| outputs.matches(what).count();
    assert!(count("    Value: ") > 10);
    assert_eq!(count("    Value: "), count("    Description: "), "each output of the root says what it is");
}

#[test]
fn every_parameter_of_the_root_is_described_grouped_and_labelled() {
    let root = std::fs::read_to_string(project().join("infra/root.yaml")).unwrap();
    let (metadata, rest) = root.split_once("\nParameters:\n").unwrap();
    let parameters = rest.split_once("\nRules:\n").unwrap().0;
    let mut count = 0;
    for block in
        format!("\n{parameters}").split("\n  ").filter(|block| block.starts_with(|c: char| c.is_ascii_uppercase()))
    {
        let name = block.lines().next().unwrap().trim_end_matches(':');
        let (groups, labels) = metadata.split_once("ParameterLabels:").unwrap();
        assert!(groups.split(|c: char| !c.is_ascii_alphanumeric()).any(|word| word == name), "{name} is in no group");
        assert!(labels.contains(&format!("      {name}: {{")), "{name} has no label");
        count += 1;
    }
    assert_eq!(count, metadata.matches("{ default: ").count() - metadata.matches("- Label:").count());
    assert_eq!(count, parameters.matches("    Description: ").count());
    assert!(count > 25, "{count}");
}

#[test]
fn what_logs_logs_where_a_retention_is_set() {
    for model in models() {
        let groups: BTreeMap<&str, &Value> =
            model.of_kind("AWS::Logs::LogGroup").map(|g| (g.name(), &g.properties["RetentionInDays"])).collect();
        let mut used = BTreeSet::new();
        for function in model.of_kind("AWS::Lambda::Function") {
            used.insert(function.properties["LoggingConfig"]["LogGroup"].as_str().unwrap().to_owned());
        }
        for machine in model.of_kind("AWS::StepFunctions::StateMachine") {
            let destination = &machine.properties["LoggingConfiguration"]["Destinations"][0];
            let arn = destination["CloudWatchLogsLogGroup"]["LogGroupArn"].as_str().unwrap();
            // Step Functions wants the ARN of the streams.
            used.insert(arn.split_once(":log-group:").unwrap().1.strip_suffix(":*").unwrap().to_owned());
        }
        assert_eq!(used, groups.keys().map(|name| (*name).to_owned()).collect());
        assert!(groups.values().all(|days| **days == 30), "{groups:?}");
    }
}

#[test]
fn buckets_queues_and_topics_are_refused_without_tls() {
    for model in models() {
        let mut covered = BTreeSet::new();
        for (kind, member) in [
            ("AWS::S3::BucketPolicy", "Bucket"),
            ("AWS::SQS::QueuePolicy", "Queues"),
            ("AWS::SNS::TopicPolicy", "Topics"),
        ] {
            for policy in model.of_kind(kind) {
                let statements = policy.properties["PolicyDocument"]["Statement"].as_array().unwrap();
                let refused = statements.iter().find(|s| {
                    s["Effect"] == "Deny"
                        && s["Principal"] == "*"
                        && s["Condition"]["Bool"]["aws:SecureTransport"] == "false"
                });
                let refused = refused.unwrap_or_else(|| panic!("{} allows plain text", policy.path)).to_string();
                let on = &policy.properties[member];
                for reference in on.as_array().unwrap_or(&vec![on.clone()]) {
                    let reference = reference.as_str().unwrap();
                    let resource = model.resources.iter().find(|r| r.attributes.reference == reference).unwrap();
                    let arn = if resource.arn().is_empty() { reference } else { resource.arn() };
                    assert!(refused.contains(&format!("\"{arn}\"")), "{}: {arn}", policy.path);
                    covered.insert(resource.path.clone());
                }
            }
        }
        let kinds = ["AWS::S3::Bucket", "AWS::SQS::Queue", "AWS::SNS::Topic"];
        let all: BTreeSet<String> = kinds.iter().flat_map(|kind| model.of_kind(kind)).map(|r| r.path.clone()).collect();
        assert_eq!(covered, all);
    }
}

/// `AROA…:function-name` is who submitted; four functions share the role, so that only the part before the colon is known.
#[test]
fn the_data_api_s_owner_is_the_role_whatever_its_session() {
    for model in models() {
        let policy = model.find("Tasker/OwnStatements").unwrap();
        let role = model.find("Tasker/FunctionRole").unwrap();
        let owner = &policy.properties["PolicyDocument"]["Statement"][0]["Condition"]["StringLike"];
        let wanted = format!("{}:*", role.attributes.values["RoleId"]);
        assert_eq!(owner["redshift-data:statement-owner-iam-userid"], wanted.as_str());
        let sharing: BTreeSet<&str> = model
            .of_kind("AWS::Lambda::Function")
            .filter(|function| function.properties["Role"] == role.arn())
            .map(|function| function.logical_id.as_str())
            .collect();
        let wanted = ["CollectorFunction", "CompletionFunction", "ReconcilerFunction", "TaskerFunction"];
        assert_eq!(sharing, BTreeSet::from(wanted));
    }
}

/// Machines start by the name of the machine's ARN what the template gives them: a role that names another one fails.
#[test]
fn machines_may_start_what_their_definitions_start() {
    for model in models() {
        for machine in model.of_kind("AWS::StepFunctions::StateMachine") {
            let definition: Value =
                serde_json::from_str(machine.properties["DefinitionString"].as_str().unwrap()).unwrap();
            let role =
                model.of_kind("AWS::IAM::Role").find(|role| machine.properties["RoleArn"] == role.arn()).unwrap();
            let policies = role.properties["Policies"].to_string();
            let mut called = Vec::new();
            for key in ["FunctionName", "StateMachineArn", "TopicArn"] {
                all(&definition, key, &mut called);
            }
            for arn in called {
                assert!(policies.contains(&arn.to_string()), "{} may not call {arn}", machine.path);
            }
        }
    }
    assert!(!machines().is_empty());
}
