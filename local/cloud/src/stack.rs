//! The services of the local cloud, connected, and the stack that it starts with. `create`, `update` and `delete` know how
//! one resource of each type gets into its service module and out of it again.
//!
//! Decides nothing about wiring: every connection is a property in a template. A resource that no service creates is
//! an error that names it.

pub(crate) mod create;
pub(crate) mod data_api;
pub(crate) mod delete;
mod environment;
mod tasks;
pub(crate) mod update;
pub(crate) mod version;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::Bytes;
use serde_json::{Value, json};
use tokio::sync::{broadcast, mpsc};
use tokio::task::JoinSet;

use crate::authorize::{Authorizer, Guarded};
use crate::cloudformation::CloudFormation;
use crate::dynamodb::DynamoDb;
use crate::events::{Bus, Receivers};
use crate::faults::Faults;
use crate::gateway::{Gateway, Listener, Services};
use crate::identity::Identity;
use crate::kms::Kms;
use crate::lambda::{self, Invocation, InvocationType, Lambda};
use crate::page::{self, Page};
use crate::s3::Buckets;
use crate::scheduler::Scheduler;
use crate::service::Service;
use crate::sns::Sns;
use crate::sqs::Sqs;
use crate::stepfunctions::{StepFunctions, TaskRunner, Usage};
use crate::template::{self, Model};
use crate::trace::{Entry, Trace, What};
use crate::{ACCOUNT, ApiError, Caller, Options, PARTITION};

use data_api::DataApi;

/// How often expired rows are removed. DynamoDB promises days; a minute lets a person see it happen.
const SWEEP: Duration = Duration::from_secs(60);

/// How long the gateway may take over the answers under way when the cloud ends.
const LAST_ANSWERS: Duration = Duration::from_secs(1);

/// Why a cloud could not be started or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The templates cannot be resolved.
    #[error(transparent)]
    Template(#[from] template::Error),
    /// A service refused a resource.
    #[error("{resource} ({kind}): {source}")]
    Resource {
        /// Logical path of the resource.
        resource: String,
        /// Its type.
        kind: String,
        /// The service's reason.
        source: ApiError,
    },
    /// A call was refused.
    #[error(transparent)]
    Api(#[from] ApiError),
    /// The database behind the Data API did not start.
    #[error("the Data API: {0}")]
    DataApi(String),
    /// The machine refused: a port, a folder, a process.
    #[error("{what}: {source}")]
    Machine {
        /// What was tried.
        what: String,
        /// The reason.
        source: std::io::Error,
    },
}

/// The services that resources are created in, and what is the same for all of them.
#[derive(Clone)]
pub(crate) struct Parts {
    pub(crate) region: String,
    pub(crate) endpoint: String,
    pub(crate) identity: Identity,
    pub(crate) dynamodb: DynamoDb,
    pub(crate) kms: Kms,
    pub(crate) sqs: Sqs,
    pub(crate) sns: Sns,
    pub(crate) s3: Buckets,
    pub(crate) lambda: Lambda,
    pub(crate) bus: Bus,
    pub(crate) scheduler: Scheduler,
    pub(crate) states: StepFunctions,
    pub(crate) data_api: DataApi,
    pub(crate) trace: Trace,
}

/// A running local cloud. Dropping it ends everything; [`Cloud::shutdown`] also waits for the end.
pub struct Cloud {
    // Fields drop in this order: first what calls others, then what is called, at last the folder that they write to.
    background: JoinSet<()>,
    gateway: Gateway,
    parts: Parts,
    stacks: CloudFormation,
    services: BTreeMap<&'static str, Arc<dyn Service>>,
    model: Model,
    endpoint: String,
    environment: String,
    folder: PathBuf,
    faults: Faults,
    trace: Trace,
    /// Removes the folder when the caller named none.
    _temporary: Option<tempfile::TempDir>,
}

impl Cloud {
    /// Resolves the templates and starts everything in them. When it returns, every resource exists and the gateway
    /// answers.
    ///
    /// # Errors
    /// What is wrong with the templates, what a service refused, or what the machine lacks.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let machine = |what: String| move |source| Error::Machine { what, source };
        let listener = Listener::bind(options.port)
            .await
            .map_err(machine(format!("listening on port {}", options.port.unwrap_or_default())))?;
        let endpoint = listener.endpoint();
        let workgroup = workgroup(&options.parameters);
        let (folder, temporary) = match options.folder {
            Some(folder) => (folder, None),
            None => {
                let made = tempfile::Builder::new()
                    .prefix("tasker-")
                    .tempdir()
                    .map_err(machine("a temporary folder".into()))?;
                (made.path().to_owned(), Some(made))
            }
        };
        let s3 = Buckets::new(folder.join("buckets"), &options.region)?;
        let (data_events, mut from_data_api) = mpsc::unbounded_channel();
        let data_api = DataApi::new(s3.clone(), &options.region, options.seed, data_events);
        let trace = Trace::default();
        let faults = Faults::default();
        let identity = Identity::enforcing(&options.region, trace.clone());
        let authorizer = identity.authorizer().clone();
        if let Some((name, id)) = workgroup {
            authorizer.name_workgroup(&name, &id);
        }
        let (region, stack_name) = (options.region, options.stack_name);
        let sqs = Sqs::new(&endpoint, &region, trace.clone());
        let lambda = Lambda::start(lambda::Config {
            region: region.clone(),
            endpoint: endpoint.clone(),
            command: options.function_command,
            logs: folder.join("logs"),
            identity: identity.clone(),
            trace: trace.clone(),
        })?;
        let (status_events, mut from_states) = mpsc::unbounded_channel();
        let tasks = Arc::new(tasks::Tasks::new(lambda.clone(), s3.clone()));
        let states = StepFunctions::start(
            crate::stepfunctions::Config {
                partition: PARTITION.into(),
                region: region.clone(),
                account: ACCOUNT.into(),
            },
            Arc::clone(&tasks) as Arc<dyn TaskRunner>,
            status_events,
        );
        let outbox = folder.join("outbox");
        let sns = Sns::new(&region, &endpoint, outbox, sqs.clone(), lambda.clone(), trace.clone())?;
        let executions = Guarded::service("states", Arc::new(states.clone()), &authorizer);
        states.set_authority(Arc::new(authorizer.clone()));
        let receivers = Receivers {
            sqs: sqs.clone(),
            sns: sns.clone(),
            lambda: lambda.clone(),
            states: Arc::downgrade(&executions),
        };
        let scheduler = Scheduler::new(&region, receivers.clone(), trace.clone());
        let bus = Bus::start(&region, receivers, faults.clone(), trace.clone());
        let parts = Parts {
            region: region.clone(),
            endpoint: endpoint.clone(),
            identity,
            dynamodb: DynamoDb::new()?,
            kms: Kms::new(&region),
            sqs,
            sns,
            s3,
            lambda,
            bus,
            scheduler,
            states,
            data_api,
            trace: trace.clone(),
        };
        let stacks = CloudFormation::new(parts.clone());

        let mut background = JoinSet::new();
        let bus = parts.bus.clone();
        background.spawn(async move {
            while let Some(event) = from_data_api.recv().await {
                bus.publish(event);
            }
        });
        let (bus, shown) = (parts.bus.clone(), trace.clone());
        background.spawn(async move {
            while let Some(event) = from_states.recv().await {
                show_execution(&shown, &event);
                bus.publish(event);
            }
        });
        let dynamodb = parts.dynamodb.clone();
        background.spawn(async move {
            let mut ticks = tokio::time::interval_at(tokio::time::Instant::now() + SWEEP, SWEEP);
            loop {
                ticks.tick().await;
                if let Err(error) = dynamodb.sweep_expired().await {
                    tracing::warn!(%error, "expired rows were not removed");
                }
            }
        });

        let services: BTreeMap<&'static str, Arc<dyn Service>> = BTreeMap::from([
            ("states", executions),
            ("dynamodb", Guarded::service("dynamodb", Arc::new(parts.dynamodb.clone()), &authorizer)),
            ("redshift-data", Guarded::service("redshift-data", Arc::new(parts.data_api.clone()), &authorizer)),
            ("kms", Guarded::service("kms", Arc::new(parts.kms.clone()), &authorizer)),
            ("sqs", Guarded::service("sqs", Arc::new(parts.sqs.clone()), &authorizer)),
            ("events", Guarded::service("events", Arc::new(parts.bus.clone()), &authorizer)),
            ("sns", Guarded::service("sns", Arc::new(parts.sns.clone()), &authorizer)),
            ("cloudformation", Arc::new(stacks.clone())),
        ]);
        let environment = Arc::new(OnceLock::new());
        let page = Page::new(page::Shared {
            states: services["states"].clone(),
            redshift_data: services["redshift-data"].clone(),
            sqs: parts.sqs.clone(),
            lambda: parts.lambda.clone(),
            outbox: folder.join("outbox"),
            trace: trace.clone(),
            identity: parts.identity.clone(),
            environment: Arc::clone(&environment),
        });
        tasks.connect(&services);
        let gateway = listener.serve(Services {
            states: services["states"].clone(),
            dynamodb: services["dynamodb"].clone(),
            redshift_data: services["redshift-data"].clone(),
            kms: services["kms"].clone(),
            sqs: services["sqs"].clone(),
            events: services["events"].clone(),
            sns: services["sns"].clone(),
            cloudformation: services["cloudformation"].clone(),
            lambda: parts.lambda.clone(),
            s3: parts.s3.clone(),
            page,
            identity: parts.identity.clone(),
            trace: trace.clone(),
        });
        // The gateway answers by now: what is deployed may call it.
        let model = match options.empty {
            true => Model::default(),
            false => stacks.deploy(&stack_name, options.infra, options.parameters).await?,
        };
        let environment =
            environment.get_or_init(|| environment::file(&endpoint, &region, &stack_name, &model)).clone();
        Ok(Self {
            background,
            gateway,
            parts,
            stacks,
            services,
            model,
            endpoint,
            environment,
            folder,
            faults,
            trace,
            _temporary: temporary,
        })
    }

    /// `http://127.0.0.1:PORT`, the endpoint of every service.
    pub fn endpoint(&self) -> &str {
        &self.endpoint
    }

    /// The text of a file to be sourced by a shell, whose AWS clients then talk to this cloud: endpoint, region,
    /// credentials, and the ARN of each state machine as `NAME_STATE_MACHINE_ARN`.
    pub fn env_file(&self) -> String {
        self.environment.clone()
    }

    /// The root stack's outputs.
    pub fn outputs(&self) -> &BTreeMap<String, String> {
        &self.model.outputs
    }

    /// What the templates came to.
    pub fn model(&self) -> &Model {
        &self.model
    }

    /// The folder of the e-mails that topics sent, one `.eml` file each, oldest first by name.
    pub fn outbox(&self) -> PathBuf {
        self.folder.join("outbox")
    }

    /// Where buckets, logs and the outbox are.
    pub fn folder(&self) -> &std::path::Path {
        &self.folder
    }

    /// Makes a call as the local user, in process: `service` is `states`, `dynamodb`, `redshift-data`, `kms`, `sqs`, `sns`,
    /// `events` or `cloudformation`, `operation` the API's name for it.
    ///
    /// # Errors
    /// The service's error, or one that names a service that is not there.
    pub async fn call(&self, service: &str, operation: &str, body: Value) -> Result<Value, ApiError> {
        match self.services.get(service) {
            Some(service) => service.call(operation, &Caller::local_user(), body).await,
            None => Err(ApiError::not_implemented(service, operation)),
        }
    }

    /// Invokes a function and waits for it: by path, logical id, name or ARN.
    ///
    /// # Errors
    /// No such function, or no room. A function that fails is [`Invocation::function_error`].
    pub async fn invoke(&self, function: &str, payload: &Value) -> Result<Invocation, ApiError> {
        let payload = Bytes::from(payload.to_string());
        self.parts.lambda.invoke(self.name_of(function), InvocationType::RequestResponse, payload).await
    }

    /// Starts an execution of a state machine (by path, logical id, name or ARN) and gives its ARN.
    ///
    /// # Errors
    /// As `StartExecution`.
    pub async fn start_execution(&self, machine: &str, input: &Value) -> Result<String, ApiError> {
        let arn = self.model.find(machine).map_or(machine, |resource| resource.attributes.reference.as_str());
        let started =
            self.call("states", "StartExecution", json!({"stateMachineArn": arn, "input": input.to_string()})).await?;
        Ok(started.get("executionArn").and_then(Value::as_str).unwrap_or_default().to_owned())
    }

    /// Waits until an execution has ended and gives what `DescribeExecution` says.
    ///
    /// # Errors
    /// `ExecutionDoesNotExist`.
    pub async fn wait(&self, execution: &str) -> Result<Value, ApiError> {
        self.parts.states.wait(execution).await
    }

    /// Waits until nothing is under way with a stack (by name or ARN), and gives what DescribeStacks says about it.
    ///
    /// # Errors
    /// `ValidationError` when there is no such stack, or none any more.
    pub async fn settled(&self, stack: &str) -> Result<Value, ApiError> {
        self.stacks.settled(stack).await
    }

    /// What all executions of state machines have cost so far.
    pub fn usage(&self) -> Usage {
        self.parts.states.usage()
    }

    /// Writes an object.
    ///
    /// # Errors
    /// `NoSuchBucket`, or what the disk says.
    pub async fn put_object(&self, bucket: &str, key: &str, bytes: &[u8]) -> Result<String, ApiError> {
        self.parts.s3.put(bucket, key, Bytes::copy_from_slice(bytes)).await
    }

    /// Reads an object.
    ///
    /// # Errors
    /// `NoSuchBucket`, `NoSuchKey`, or what the disk says.
    pub async fn get_object(&self, bucket: &str, key: &str) -> Result<Bytes, ApiError> {
        self.parts.s3.get(bucket, key).await
    }

    /// Runs a schedule rule now (by path, logical id or name) and waits until its targets took the event.
    ///
    /// # Errors
    /// No such rule, or one without schedule.
    pub async fn fire_rule(&self, rule: &str) -> Result<(), ApiError> {
        self.parts.bus.fire(self.name_of(rule)).await
    }

    /// Invokes the target of a schedule of EventBridge Scheduler now (by path, logical id or name).
    ///
    /// # Errors
    /// No such schedule.
    pub async fn fire_schedule(&self, schedule: &str) -> Result<(), ApiError> {
        self.parts.scheduler.fire(self.name_of(schedule)).await
    }

    /// Who may do what, and what was used of it.
    pub fn authorizer(&self) -> &Authorizer {
        self.parts.identity.authorizer()
    }

    /// Loses, repeats or holds back events on the bus.
    pub fn faults(&self) -> &Faults {
        &self.faults
    }

    /// Kills every process of a function (by path, logical id or name), as a crash would, and says how many.
    pub fn kill(&self, function: &str) -> usize {
        self.parts.lambda.kill(self.name_of(function))
    }

    /// The ids of the processes of a function (by path, logical id or name).
    pub fn processes(&self, function: &str) -> Vec<u32> {
        self.parts.lambda.processes(self.name_of(function))
    }

    /// Everything that happens from now on.
    pub fn trace(&self) -> broadcast::Receiver<Entry> {
        self.trace.subscribe()
    }

    /// What a function (by path, logical id or name) printed, line by line.
    pub fn logs(&self, function: &str) -> Vec<String> {
        self.parts.lambda.log(self.name_of(function))
    }

    /// How often each operation of KMS was called, for a test that bounds it.
    pub fn kms_calls(&self) -> BTreeMap<String, u64> {
        self.parts.kms.calls()
    }

    /// The Data API, for its faults and limits; `None` where the templates name no cluster or workgroup.
    pub fn data_api(&self) -> Option<&redshift::DataApi> {
        self.parts.data_api.running()
    }

    /// Ends the functions, the gateway and the database, in this order, and waits for each.
    pub async fn shutdown(mut self) {
        self.stacks.stop().await;
        self.parts.lambda.shutdown().await;
        self.background.shutdown().await;
        // A caller that waits on a long poll would hold the end up: its connection is cut.
        let _ = tokio::time::timeout(LAST_ANSWERS, self.gateway.stop()).await;
        self.parts.data_api.stop().await;
    }

    /// The physical name behind a path or logical id; any other name is itself.
    fn name_of<'n>(&'n self, name: &'n str) -> &'n str {
        self.model.find(name).map_or(name, template::Resource::name)
    }
}

/// The workgroup's name and UUID, where the root template's parameters have both: no template declares a workgroup.
fn workgroup(parameters: &BTreeMap<String, String>) -> Option<(String, String)> {
    let (name, id) = (parameters.get("WorkgroupName")?, parameters.get("WorkgroupId")?);
    (id != "*").then(|| (name.clone(), id.clone()))
}

fn show_execution(trace: &Trace, event: &Value) {
    let detail = |name: &str| event.pointer(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    trace.emit(What::Execution { arn: detail("/detail/executionArn"), status: detail("/detail/status") });
}

#[async_trait::async_trait]
impl Service for StepFunctions {
    async fn call(&self, operation: &str, caller: &Caller, body: Value) -> Result<Value, ApiError> {
        Self::call(self, operation, caller, body).await
    }
}
