//! What the roles of the project may do is what they need, and nothing more: each allowed action in turn is taken away, and
//! something fails.
//!
//! First every flow runs once with all permissions, and what each uses is written down. Then, on the same stack, each
//! action is taken out of its statement and the cheapest flow that used it runs until a call is denied for it. What no
//! call uses must be missed when a resource is created, because AWS demands it then, or stand in [`UNUSED`].

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test program")]

mod world;

use std::collections::BTreeMap;

use cloud::authorize::{Allowed, Authorizer, DEMANDED};
use cloud::faults::Matching;
use cloud::template::Resource;
use cloud::trace::{Entry, Trace, What};
use serde_json::{Value, json};
use tokio::sync::broadcast::Receiver;
use world::{World, until};

/// A query that only a cancel ends, and rows enough for it.
const ENDLESS: &str = "select count(*) from big a, big b, big c";
const BIG: &str = "create table big as with recursive n(i) as (select 1 union all select i + 1 from n where i < 3000) select i from n";

/// Actions that no flow here can use, and why they are allowed all the same.
const UNUSED: [(&str, &str); 2] = [
    (
        "s3:AbortMultipartUpload",
        "an upload that failed in the middle is taken back: AbortMultipartUpload API reference",
    ),
    (
        "redshift-data:ListStatements",
        "a submit that is older than the 8 hours of its ClientToken is looked for by name",
    ),
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
}

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
        }
        world.settled(&mut seen).await;
    }
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

/// Runs a flow until a call is denied for this action; whether one was.
async fn is_missed(world: &World, allowed: &Allowed, flow: Flow) -> bool {
    let mut seen = world.cloud.trace();
    let wanted = |what: &What| {
        matches!(what, What::Denied { principal, action, .. }
            if *principal == allowed.role && matches_action(&allowed.action, action))
    };
    tokio::select! {
        _ = until(&mut seen, "a denial", wanted) => true,
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
    let authorizer = world.cloud.authorizer().clone();
    let resources = world.cloud.model().resources.clone();

    world.run(&json!({"sqlStatement": BIG})).await;

    let mut used: BTreeMap<String, Flow> = BTreeMap::new();
    for flow in FLOWS {
        flow.run(&world).await;
        for allowed in authorizer.usage().allowed.iter().filter(|allowed| allowed.calls > 0) {
            used.entry(name(allowed)).or_insert(flow);
        }
    }

    let (mut nothing_misses, mut taken) = (Vec::new(), 0);
    for allowed in authorizer.usage().allowed {
        let (whole, edited) = without(&resources, &allowed);
        if missed_at_creation(&resources, &edited) {
            taken += 1;
            continue;
        }
        let listed = UNUSED.iter().any(|(action, _)| *action == allowed.action);
        let Some(flow) = used.get(&name(&allowed)) else {
            if !listed {
                nothing_misses.push(format!("{}: no flow uses it", name(&allowed)));
            }
            continue;
        };
        assert!(!listed, "{} is used by {flow:?}: it has no place in the list", name(&allowed));
        authorizer.put(&edited).unwrap();
        // An environment asks for its log when it begins, and keeps a data key.
        if allowed.action.starts_with("logs:") || allowed.action.starts_with("kms:") {
            for function in world.cloud.model().of_kind("AWS::Lambda::Function") {
                world.cloud.kill(&function.path);
            }
        }
        let missed = is_missed(&world, &allowed, *flow).await;
        authorizer.put(&whole).unwrap();
        clean(&world).await;
        taken += 1;
        if !missed {
            nothing_misses.push(format!("{}: {flow:?} goes on without it", name(&allowed)));
        }
    }
    assert!(taken > 50, "{taken}");
    assert!(nothing_misses.is_empty(), "of {taken}:\n{}", nothing_misses.join("\n"));
    world.cloud.shutdown().await;
}
