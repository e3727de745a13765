//! What the roles of the project may do is what they need, and nothing more: each allowed action in turn is taken away, and
//! something fails.
//!
//! First every flow runs once with all permissions, and what each uses is written down. Then, on the same stack, each
//! action is taken out of its statement and the cheapest flow that used it runs until a call is denied for it. What no
//! call uses must be missed when a resource is created, because AWS demands it then, or stand in [`UNUSED`].
//!
//! So for a stack on a cluster, whole; and for what further parameters add to it ([`SETS`]), until no policy of the
//! templates is left.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

mod world;

use std::collections::{BTreeMap, BTreeSet};

use cloud::authorize::{Allowed, Authorizer, DEMANDED};
use cloud::faults::Matching;
use cloud::template::{Model, Resource};
use cloud::trace::{Entry, Trace, What};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use world::{World, until};

/// A query that only a cancel ends, and rows enough for it.
const ENDLESS: &str = "select count(*) from big a, big b, big c";
const BIG: &str = "create table big as with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i from n";

/// Actions of policies that no flow here can use, and why they are allowed all the same.
const UNUSED: [(&str, &str, &str); 3] = [
    (
        "results",
        "s3:AbortMultipartUpload",
        "an upload that failed in the middle is taken back: AbortMultipartUpload API reference",
    ),
    (
        "own-statements",
        "redshift-data:ListStatements",
        "a submit that is older than the 8 hours of its ClientToken is looked for by name",
    ),
    (
        "login-by-secret",
        "kms:Decrypt",
        "a secret with a key of its own, https://docs.aws.amazon.com/secretsmanager/latest/userguide/security-encryption.html; \
         secrets have none here",
    ),
];

/// What further parameters add to the templates.
struct Set {
    parameters: &'static [(&'static str, &'static str)],
    /// The policies that only they bring.
    policies: &'static [&'static str],
    /// What uses these.
    flows: &'static [Flow],
}

const CLUSTER: (&str, &str) = ("ClusterIdentifier", "local-cluster");
const SECRET: &str = "arn:aws:secretsmanager:us-east-1:000000000000:secret:one-AbCdEf";

/// `Copied` is brought in by hand ([`copied`]): the assets would have to lie there before the stack does.
const SETS: [Set; 5] = [
    Set { parameters: &[CLUSTER, ("DbUser", "loader")], policies: &["login-by-user"], flows: &[Flow::Statement] },
    Set { parameters: &[CLUSTER, ("SecretArn", SECRET)], policies: &["login-by-secret"], flows: &[Flow::Statement] },
    Set { parameters: &[("WorkgroupName", "small")], policies: &["login-serverless"], flows: &[Flow::Statement] },
    Set {
        parameters: &[
            CLUSTER,
            (
                "AllowedTargets",
                r#"[{"clusterIdentifier": "other", "database": "dev"},
                    {"clusterIdentifier": "other", "database": "dev", "dbUser": "loader"},
                    {"workgroupName": "small", "database": "dev"},
                    {"workgroupName": "small", "database": "dev",
                     "secretArn": "arn:aws:secretsmanager:us-east-1:000000000000:secret:one-AbCdEf"}]"#,
            ),
            (
                "AllowedTargetArns",
                "arn:aws:redshift:us-east-1:000000000000:cluster:other,\
                 arn:aws:redshift:us-east-1:000000000000:dbname:other/dev,\
                 arn:aws:redshift:us-east-1:000000000000:dbuser:other/loader,\
                 arn:aws:redshift-serverless:us-east-1:000000000000:workgroup/*,\
                 arn:aws:secretsmanager:us-east-1:000000000000:secret:one-AbCdEf",
            ),
        ],
        policies: &["other-targets"],
        flows: &[Flow::OtherTargets],
    },
    Set {
        parameters: &[
            CLUSTER,
            ("Tracing", "true"),
            ("VpcSubnetIds", "subnet-1"),
            ("VpcSecurityGroupIds", "sg-1"),
            ("ScheduleExpression", "rate(1 day)"),
            ("ScheduledWorkflow", "small"),
            ("StartAfterDeployment", "small"),
        ],
        policies: &["tracing", "network", "schedule", "run", "assets"],
        flows: &[Flow::Scheduled, Flow::ScheduleRefused, Flow::Assets, Flow::Run],
    },
];

/// What runs, cheapest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Flow {
    Statement,
    Script,
    Again,
    Singleton,
    Batch,
    Lost,
    Stopped,
    Install,
    Workflow,
    ReportStopped,
    TimeLimit,
    TimeLimitStopped,
    Watched,
    WorkflowStopped,
    OtherTargets,
    Scheduled,
    ScheduleRefused,
    Assets,
    Run,
}

/// Those that a stack on a cluster has.
const FLOWS: [Flow; 14] = [
    Flow::Statement,
    Flow::Script,
    Flow::Again,
    Flow::Singleton,
    Flow::Batch,
    Flow::Lost,
    Flow::Stopped,
    Flow::Install,
    Flow::Workflow,
    Flow::ReportStopped,
    Flow::TimeLimit,
    Flow::TimeLimitStopped,
    Flow::Watched,
    Flow::WorkflowStopped,
];

impl Flow {
    /// Runs it to its end, however that looks.
    async fn run(self, world: &World) {
        let mut seen = world.cloud.trace();
        let tasker_returned =
            |what: &What| matches!(what, What::Returned { function, .. } if function == "whole-tasker");
        match self {
            Self::Statement => drop(world.run(&json!({"sqlStatement": "select 1", "result": "inline"})).await),
            Self::Script => {
                let bucket = &world.cloud.outputs()["AssetsBucket"];
                world.cloud.put_object(bucket, "scripts/one.sql", b"select 1").await.unwrap();
                world.run(&json!({"scriptKey": "scripts/one.sql"})).await;
            }
            Self::Again => {
                let request = json!({"sqlStatement": "select 1", "idempotencyKey": uuid()});
                world.run(&request).await;
                world.run(&request).await;
            }
            Self::Singleton => {
                let request = json!({"action": "executeSingletonStatement", "sqlStatement": "select 1"});
                world.run(&request).await;
            }
            Self::Batch => drop(
                world.run(&json!({"action": "batchExecuteStatement", "sqlStatements": ["select 1", "select 2"]})).await,
            ),
            Self::Lost => {
                world.cloud.faults().drop_next(Matching::source("aws.redshift-data"), 1);
                let begun = world.begin(&json!({"sqlStatement": "select 1"})).await;
                world.end_by_reconciler(&begun).await;
            }
            // However it ends: it writes its log.
            Self::Install => drop(world.cloud.invoke("InstallerFunction", &json!({})).await),
            Self::Stopped => {
                let begun = world.begin(&json!({"sqlStatement": ENDLESS})).await;
                until(&mut seen, "the statement is submitted", tasker_returned).await;
                stop(world, &begun).await;
                until(&mut seen, "the statement is cancelled", |what| {
                    matches!(what, What::Event { source, detail, .. }
                        if source == "aws.redshift-data" && detail["state"] == "ABORTED")
                })
                .await;
            }
            Self::Watched => {
                let begun = world.begin(&json!({"sqlStatement": ENDLESS})).await;
                until(&mut seen, "the statement is submitted", tasker_returned).await;
                // Over and over, until it is old enough to be looked after.
                let mut looked = false;
                while !looked {
                    world.cloud.fire_rule("EveryMinute").await.unwrap();
                    until(&mut seen, "the reconciler returned", |what| {
                        looked |= matches!(what, What::Call { operation, .. } if operation == "GetExecutionHistory");
                        matches!(what, What::Returned { function, .. } if function == "whole-reconciler")
                    })
                    .await;
                }
                stop(world, &begun).await;
            }
            Self::TimeLimitStopped => {
                let begun = world.begin(&json!({"sqlStatement": ENDLESS, "timeLimitSeconds": 1})).await;
                child(&mut seen, "whole-statement-timeout").await;
                stop(world, &begun).await;
            }
            Self::ReportStopped => {
                let begun = start_workflow(world, "select 1 as one").await;
                child(&mut seen, "whole-report").await;
                stop(world, &begun).await;
                // What this sets going belongs to this flow and not to the next.
                until(
                    &mut seen,
                    "the rule for broken workflows",
                    |what| matches!(what, What::Delivered { rule, .. } if rule == "whole-workflow-broken"),
                )
                .await;
            }
            Self::TimeLimit => {
                world.run(&json!({"sqlStatement": ENDLESS, "timeLimitSeconds": 1})).await;
            }
            Self::Workflow => {
                let begun = start_workflow(world, "select 1 as one").await;
                world.end(&begun).await;
            }
            Self::WorkflowStopped => {
                let begun = start_workflow(world, ENDLESS).await;
                until(&mut seen, "the statement is submitted", tasker_returned).await;
                stop(world, &begun).await;
                until(&mut seen, "the report of the stopped workflow", |what| {
                    matches!(what, What::Execution { arn, status }
                        if arn.contains(":whole-report:") && status != "RUNNING")
                })
                .await;
            }
            Self::OtherTargets => {
                let targets = world.cloud.model().of_kind("AWS::Lambda::Function").find_map(|function| {
                    let text = function.properties["Environment"]["Variables"]["ALLOWED_TARGETS"].as_str()?;
                    serde_json::from_str::<Vec<Value>>(text).ok()
                });
                for target in targets.unwrap() {
                    world.run(&json!({"sqlStatement": "select 1", "target": target})).await;
                    world.run(&json!({"sqlStatements": ["select 1", "select 2"], "target": target})).await;
                }
            }
            Self::Scheduled => drop(world.cloud.fire_schedule("Triggers/Schedule").await),
            Self::ScheduleRefused => {
                // The machine has no alias for a while: what cannot be started is a dead letter.
                let alias = json!({"stateMachineAliasArn": world.cloud.outputs()["WorkflowAliasArn"]});
                let was = world.cloud.call("states", "DescribeStateMachineAlias", alias.clone()).await.unwrap();
                world.cloud.call("states", "DeleteStateMachineAlias", alias).await.unwrap();
                let fired = world.cloud.fire_schedule("Triggers/Schedule").await;
                let again = json!({"name": was["name"], "routingConfiguration": was["routingConfiguration"]});
                world.cloud.call("states", "CreateStateMachineAlias", again).await.unwrap();
                drop(fired);
            }
            Self::Assets => {
                let bucket = &world.cloud.outputs()["AssetsBucket"];
                world.cloud.put_object(ARTEFACTS, "assets/1/scripts/new.sql", b"select 1").await.unwrap();
                world.cloud.put_object(bucket, "scripts/old.sql", b"select 1").await.unwrap();
                let properties = json!({"ArtifactBucket": ARTEFACTS, "AssetsPrefix": "assets/1/"});
                install(world, "Custom::Assets", &properties, &uuid()).await;
            }
            Self::Run => {
                let machine = &world.cloud.outputs()["WorkflowAliasArn"];
                let (properties, id) = (json!({"StateMachineArn": machine, "Workflow": "small"}), uuid());
                // Twice, as a request may come.
                install(world, "Custom::Run", &properties, &id).await;
                install(world, "Custom::Run", &properties, &id).await;
            }
        }
        world.settled(&mut seen).await;
    }
}

/// The results' bucket stands for the artefacts': it is there, and it has a key.
const ARTEFACTS: &str = "whole-data-resultsbucket";

/// What CloudFormation asks the installer.
async fn install(world: &World, kind: &str, properties: &Value, id: &str) {
    let answer = format!("{}/{ARTEFACTS}/answer", world.cloud.endpoint());
    let mut properties = properties.clone();
    properties["ServiceToken"] = json!("token");
    let event = json!({
        "RequestType": "Create", "ResponseURL": answer, "StackId": "stack", "RequestId": id,
        "LogicalResourceId": "Resource", "ResourceType": kind, "ResourceProperties": properties,
    });
    drop(world.cloud.invoke("InstallerFunction", &event).await);
}

/// The templates, resolved.
fn model(parameters: &[(&str, &str)]) -> Model {
    world::resolved("whole", parameters)
}

/// The installer's role as it is where assets are copied.
fn copied(parameters: &[(&str, &str)]) -> Resource {
    let parameters = [parameters, &[("ArtifactBucket", ARTEFACTS), ("AssetsPrefix", "assets/")]].concat();
    model(&parameters).find("Triggers/InstallerRole").unwrap().clone()
}

fn uuid() -> String {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    format!("key-{}", NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed))
}

/// Waits for an execution of this machine to begin.
async fn child(seen: &mut Receiver<Entry>, machine: &str) {
    let part = format!(":{machine}:");
    until(
        seen,
        "a child begins",
        |what| matches!(what, What::Execution { arn, status } if arn.contains(&part) && status == "RUNNING"),
    )
    .await;
}

async fn stop(world: &World, execution: &str) {
    // One that has ended meanwhile needs no stop.
    let _ = world.cloud.call("states", "StopExecution", json!({"executionArn": execution})).await;
}

async fn start_workflow(world: &World, sql: &str) -> String {
    let bucket = &world.cloud.outputs()["AssetsBucket"];
    let page = std::fs::read(world::project().join("config/review/report.html")).unwrap();
    let report = [
        (
            "sections.json",
            json!({"sections": [
            {"id": "one", "title": "One", "about": "One.", "columns": {"one": {"title": "One"}}}]}),
        ),
        (
            "rules.json",
            json!({"rules": [
            {"id": "many", "section": "one", "signal": "More than one", "when": "one > 1", "population": "rows",
             "severity": "low", "recommendations": ["fewer"], "source": "Our own: a test."}]}),
        ),
        (
            "recommendations.json",
            json!({"recommendations": [
            {"id": "fewer", "title": "Have fewer", "text": "Have one.", "effort": "low",
             "link": "https://docs.aws.amazon.com/redshift/"}]}),
        ),
    ];
    let report = report.map(|(name, document)| (name, document.to_string().into_bytes()));
    for (name, bytes) in report.into_iter().chain([("report.html", page)]) {
        world.cloud.put_object(bucket, &format!("config/plain/{name}"), &bytes).await.unwrap();
    }
    let document = json!({
        "report": "plain", "name": "small", "timeLimitSeconds": 60, "plan": "only", "rounds": 1,
        "queries": [{"name": "one", "script": "scripts/small/one.sql", "timeLimitSeconds": 30}],
        "plans": {"only": {"segments": [{"name": "all", "queries": ["*"]}]}},
    });
    let files = [("config/workflows/small.json", document.to_string()), ("scripts/small/one.sql", sql.to_owned())];
    for (key, text) in files {
        world.cloud.put_object(bucket, key, text.as_bytes()).await.unwrap();
    }
    world.cloud.start_execution("StateMachines/Workflow", &json!({"workflow": "small"})).await.unwrap()
}

/// One action of one statement, as a person would look for it.
fn name(allowed: &Allowed) -> String {
    let role = allowed.role.rsplit('/').next().unwrap_or_default();
    format!("{role} {}[{}] {}", allowed.policy, allowed.statement, allowed.action)
}

/// The role or policy that allows it, and the same without it.
fn without(resources: &[Resource], allowed: &Allowed) -> (Resource, Resource) {
    let role = allowed.role.rsplit('/').next().unwrap_or_default();
    for resource in resources {
        let mut edited = resource.clone();
        let document = match resource.kind.as_str() {
            "AWS::IAM::Role" if resource.arn() == allowed.role => {
                let policies = edited.properties["Policies"].as_array_mut().into_iter().flatten();
                policies
                    .into_iter()
                    .find(|policy| policy["PolicyName"] == allowed.policy)
                    .map(|p| &mut p["PolicyDocument"])
            }
            "AWS::IAM::Policy" if edited.properties["PolicyName"] == allowed.policy => {
                let roles = edited.properties["Roles"].as_array().cloned().unwrap_or_default();
                roles.contains(&json!(role)).then(|| &mut edited.properties["PolicyDocument"])
            }
            "AWS::IAM::ManagedPolicy" if resource.attributes.reference == allowed.policy => {
                Some(&mut edited.properties["PolicyDocument"])
            }
            _ => None,
        };
        let Some(document) = document else { continue };
        let action = match &mut document["Statement"] {
            Value::Array(statements) => &mut statements[allowed.statement]["Action"],
            one => &mut one["Action"],
        };
        // Another action in its place, so that the others keep their numbers.
        match action {
            Value::Array(actions) => actions[allowed.entry] = json!("none:None"),
            one => *one = json!("none:None"),
        }
        return (resource.clone(), edited);
    }
    panic!("no resource of the templates allows {}", name(allowed));
}

/// Whether the templates can be created without this action.
fn missed_at_creation(resources: &[Resource], edited: &Resource) -> bool {
    let authorizer = Authorizer::enforcing("us-east-1", Trace::default());
    resources.iter().any(|resource| {
        let resource = if resource.path == edited.path { edited } else { resource };
        authorizer.put(resource).is_err()
    })
}

/// Runs a flow until a call is denied for this action; whether one was since `seen` began.
async fn is_missed(world: &World, seen: &mut Receiver<Entry>, allowed: &Allowed, flow: Flow) -> bool {
    let wanted = |what: &What| {
        matches!(what, What::Denied { principal, action, .. }
            if *principal == allowed.role && matches_action(&allowed.action, action))
    };
    tokio::select! {
        _ = until(seen, "a denial", wanted) => true,
        () = flow.run(world) => false,
    }
}

fn matches_action(pattern: &str, action: &str) -> bool {
    match pattern.split_once('*') {
        Some((start, _)) => action.starts_with(start),
        None => pattern == action,
    }
}

/// Ends what a flow that broke off has left running.
async fn clean(world: &World) {
    let machines = world.cloud.model().of_kind("AWS::StepFunctions::StateMachine");
    for machine in machines {
        let body = json!({"stateMachineArn": machine.arn(), "statusFilter": "RUNNING"});
        let listed = world.cloud.call("states", "ListExecutions", body).await.unwrap();
        for execution in listed["executions"].as_array().unwrap() {
            stop(world, execution["executionArn"].as_str().unwrap()).await;
        }
    }
    world.cloud.fire_rule("EveryMinute").await.unwrap();
}

#[test]
fn what_aws_demands_names_its_page() {
    for demanded in DEMANDED {
        assert!(demanded.page.starts_with("https://docs.aws.amazon.com/"), "{demanded:?}");
        assert!(!demanded.actions.is_empty() && !demanded.reason.is_empty(), "{demanded:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_allowed_action_is_missed_when_it_is_gone() {
    let world = World::start_telling("dba@example.com").await;
    world.run(&json!({"sqlStatement": BIG})).await;
    let resources = world.cloud.model().resources.clone();
    let taken = take_away(&world, &resources, &FLOWS, |_| true).await;
    assert!(taken > 50, "{taken}");
    world.cloud.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn so_is_every_action_that_further_parameters_add() {
    for set in &SETS {
        let world = World::start_on(set.parameters).await;
        let mut resources = world.cloud.model().resources.clone();
        if set.policies.contains(&"assets") {
            let role = copied(set.parameters);
            world.cloud.authorizer().put(&role).unwrap();
            resources.retain(|resource| resource.path != role.path);
            resources.push(role);
        }
        let taken = take_away(&world, &resources, set.flows, |policy| set.policies.contains(&policy)).await;
        assert!(taken >= set.policies.len(), "{:?}: {taken}", set.policies);
        world.cloud.shutdown().await;
    }
}

/// Every policy of the templates is one that a test above takes to pieces.
#[test]
fn no_policy_of_the_templates_is_left_out() {
    let mut written: BTreeMap<String, usize> = BTreeMap::new();
    for file in std::fs::read_dir(world::project().join("infra")).unwrap() {
        let file = file.unwrap().path();
        if file.extension().is_some_and(|extension| extension == "yaml") {
            let text = std::fs::read_to_string(file).unwrap();
            for name in text.lines().filter_map(|line| line.split_once("PolicyName: ")) {
                *written.entry(name.1.to_owned()).or_default() += 1;
            }
        }
    }
    let mut seen: BTreeSet<(String, String)> = BTreeSet::new();
    let mut see = |resource: &Resource, wanted: &dyn Fn(&str) -> bool| {
        let own = resource.properties["PolicyName"].as_str().into_iter();
        let inline = resource.properties["Policies"].as_array().into_iter().flatten();
        let names = own.chain(inline.filter_map(|policy| policy["PolicyName"].as_str()));
        seen.extend(names.filter(|name| wanted(name)).map(|name| (name.to_owned(), resource.path.clone())));
    };
    for resource in &model(&[CLUSTER]).resources {
        see(resource, &|_| true);
    }
    for set in &SETS {
        let role = copied(set.parameters);
        for resource in model(set.parameters).resources.iter().chain([&role]) {
            see(resource, &|name| set.policies.contains(&name));
        }
    }
    let mut counted: BTreeMap<String, usize> = BTreeMap::new();
    for (name, _) in seen {
        *counted.entry(name).or_default() += 1;
    }
    assert_eq!(counted, written);
}

/// Ends every environment of every function, so that the next call begins a new one.
async fn end_functions(world: &World) {
    let mut seen = world.cloud.trace();
    let functions: Vec<&str> = world.cloud.model().of_kind("AWS::Lambda::Function").map(|f| f.path.as_str()).collect();
    let mut running: BTreeSet<u32> = functions.iter().flat_map(|function| world.cloud.processes(function)).collect();
    for function in functions {
        world.cloud.kill(function);
    }
    while !running.is_empty() {
        until(
            &mut seen,
            "a function's environment ended",
            |what| matches!(what, What::FunctionEnded { pid, .. } if running.remove(pid)),
        )
        .await;
    }
}

/// Takes away each action of these policies in turn, and says how many that were.
async fn take_away(world: &World, resources: &[Resource], flows: &[Flow], of: impl Fn(&str) -> bool) -> usize {
    let authorizer = world.cloud.authorizer().clone();
    let mut used: BTreeMap<String, Flow> = BTreeMap::new();
    for flow in flows {
        flow.run(world).await;
        for allowed in authorizer.usage().allowed.iter().filter(|allowed| allowed.calls > 0) {
            used.entry(name(allowed)).or_insert(*flow);
        }
    }

    let (mut nothing_misses, mut taken) = (Vec::new(), 0);
    for allowed in authorizer.usage().allowed.into_iter().filter(|allowed| of(&allowed.policy)) {
        let (whole, edited) = without(resources, &allowed);
        if missed_at_creation(resources, &edited) {
            taken += 1;
            continue;
        }
        let listed = UNUSED.iter().any(|(policy, action, _)| *policy == allowed.policy && *action == allowed.action);
        let Some(flow) = used.get(&name(&allowed)) else {
            if !listed {
                nothing_misses.push(format!("{}: no flow uses it", name(&allowed)));
            }
            continue;
        };
        assert!(!listed, "{} is used by {flow:?}: it has no place in the list", name(&allowed));
        // What an earlier flow left running may meet the denial first.
        let mut seen = world.cloud.trace();
        authorizer.put(&edited).unwrap();
        // An environment asks for its log when it begins, and keeps a data key.
        if allowed.action.starts_with("logs:") || allowed.action.starts_with("kms:") {
            end_functions(world).await;
        }
        let missed = is_missed(world, &mut seen, &allowed, *flow).await;
        authorizer.put(&whole).unwrap();
        clean(world).await;
        taken += 1;
        if !missed {
            nothing_misses.push(format!("{}: {flow:?} goes on without it", name(&allowed)));
        }
    }
    assert!(nothing_misses.is_empty(), "of {taken}:\n{}", nothing_misses.join("\n"));
    taken
}
