//! Who may do what: the policies of the templates, asked before every call that is not the local user's.
//!
//! [`Authorizer`] knows the policies of roles and resources as they are created, updated and deleted; the `iam` crate
//! decides. Every call of a function, a state machine, a rule, a mapping or a topic comes here before it reaches its
//! service. The person at the machine may do everything. Must never let a call through that it has no entry for: an
//! operation without an entry is refused by name.

mod context;
mod demands;
mod functions;
mod guard;
mod managed;
mod operations;
mod redshift;
mod refusal;
mod resources;
mod s3;
#[cfg(test)]
mod tests;
mod usage;

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use iam::{Attached, Context, Decision, Document, Guarding, Kind, Policies, Principal, Reason, Request};
use serde_json::Value;

use crate::trace::{Trace, What};
use crate::{ACCOUNT, ApiError, Caller, PARTITION};

pub use demands::{DEMANDED, Demanded};
pub(crate) use guard::Guarded;
pub(crate) use s3::answer as answer_s3;
pub use usage::{Allowed, Usage};

/// A service that calls by its own name, because of a resource: a rule, a topic.
#[derive(Debug, Clone, Copy)]
pub struct Because<'a> {
    /// Such as `events.amazonaws.com`.
    pub service: &'a str,
    /// The ARN of the resource, `aws:SourceArn`.
    pub source: &'a str,
}

/// Why a call is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// Who asked.
    pub principal: String,
    /// For what.
    pub action: String,
    /// On what.
    pub resource: String,
    /// Why.
    pub reason: Reason,
    /// Whether a service asked in the caller's name, to use an encryption key.
    pub on_key: bool,
}

/// One thing that a call needs to be allowed.
#[derive(Debug, Clone, Default)]
pub(crate) struct Need {
    pub(crate) action: String,
    pub(crate) resource: String,
    pub(crate) context: Context,
    /// It is asked by a service, about the key that encrypts the resource.
    pub(crate) on_key: bool,
    /// Another name of the resource that a policy may use as well.
    pub(crate) also: Option<String>,
}

impl Need {
    pub(crate) fn new(action: impl Into<String>, resource: impl Into<String>) -> Self {
        Self { action: action.into(), resource: resource.into(), ..Self::default() }
    }
}

/// The policies, and what they were used for; clones share them. The default one knows no policy and allows
/// everything, for services that are used by themselves.
#[derive(Clone, Default)]
pub struct Authorizer {
    shared: Option<Arc<Shared>>,
}

struct Shared {
    region: String,
    trace: Trace,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By ARN.
    roles: HashMap<String, Role>,
    /// Managed policies by ARN.
    managed: HashMap<String, Arc<Document>>,
    /// Policies of resources by the resource's ARN.
    resources: HashMap<String, Vec<Owned>>,
    /// By the ARN of what it encrypts, the ARN of its key.
    keys: HashMap<String, String>,
    /// The roles of functions by the function's ARN.
    functions: HashMap<String, String>,
    /// Aliases of keys, with the key's ARN.
    aliases: HashMap<String, String>,
    /// Which statements and sessions of the Data API are whose.
    statements: redshift::Owners,
    usage: usage::Record,
}

/// A policy, and the resource of a template that it came with.
struct Owned {
    origin: String,
    attached: Attached,
}

#[derive(Default)]
struct Role {
    /// `AROA…`
    id: String,
    /// None until the role itself is there: its policies may come first.
    trust: Option<Attached>,
    policies: Vec<Owned>,
    /// ARNs of managed policies.
    managed: Vec<String>,
    boundary: Option<String>,
    tags: BTreeMap<String, String>,
}

impl Authorizer {
    /// One that enforces, in this region. Denied calls are shown in the trace.
    pub fn enforcing(region: &str, trace: Trace) -> Self {
        let shared = Shared { region: region.to_owned(), trace, state: Mutex::default() };
        Self { shared: Some(Arc::new(shared)) }
    }

    /// Whether a caller may do this to this resource (an ARN, or `*`), with what the call itself adds to the context.
    ///
    /// # Errors
    /// Why not.
    pub fn check(&self, caller: &Caller, action: &str, resource: &str, context: &Context) -> Result<(), Denied> {
        self.check_all(caller, &[Need { context: context.clone(), ..Need::new(action, resource) }])
    }

    /// The same for everything that a call needs, in order.
    pub(crate) fn check_all(&self, caller: &Caller, needs: &[Need]) -> Result<(), Denied> {
        let (Some(shared), Some(role)) = (&self.shared, &caller.role) else { return Ok(()) };
        let principal = Principal::Session { role: role.clone(), session: caller.arn.clone() };
        needs.iter().try_for_each(|need| {
            let mut context = shared.about(caller);
            context.extend(&need.context);
            if let Some(also) = &need.also {
                let named = Need { resource: also.clone(), ..need.clone() };
                if shared.decide(&principal, Some(role), &named, context.clone()).is_ok() {
                    return Ok(());
                }
            }
            shared.decide(&principal, Some(role), need, context).inspect_err(|denied| shared.show(role, denied))
        })
    }

    /// Whether a service may do this to a resource, because of another one.
    ///
    /// # Errors
    /// Why not.
    pub fn check_service(&self, because: Because<'_>, action: &str, resource: &str) -> Result<(), Denied> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let principal = Principal::Service(because.service.to_owned());
        let mut needs = vec![Need::new(action, resource)];
        needs.extend(self.key_needs(action, resource));
        needs.iter().try_for_each(|need| {
            let mut context = shared.about_service(because);
            context.extend(&need.context);
            shared.decide(&principal, None, need, context).inspect_err(|denied| shared.show(because.service, denied))
        })
    }

    /// Whether a service may assume a role.
    ///
    /// # Errors
    /// Why not.
    pub fn check_trust(&self, because: Because<'_>, role: &str) -> Result<(), Denied> {
        let Some(shared) = &self.shared else { return Ok(()) };
        let principal = Principal::Service(because.service.to_owned());
        let need = Need::new("sts:AssumeRole", role);
        let decided = shared.decide(&principal, None, &need, shared.about_service(because));
        decided.inspect_err(|denied| shared.show(because.service, denied))
    }

    /// What every statement of every role allows, and which calls it allowed so far.
    pub fn usage(&self) -> Usage {
        self.shared.as_ref().map(|shared| shared.usage()).unwrap_or_default()
    }

    /// Forgets what was used so far.
    pub fn forget_usage(&self) {
        if let Some(shared) = &self.shared {
            shared.lock().usage = usage::Record::default();
        }
    }

    fn arn(&self, service: &str, rest: &str) -> String {
        let region = self.shared.as_ref().map_or("", |shared| &shared.region);
        format!("arn:{PARTITION}:{service}:{region}:{ACCOUNT}:{rest}")
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn decide(
        &self,
        principal: &Principal,
        role: Option<&String>,
        need: &Need,
        mut context: Context,
    ) -> Result<(), Denied> {
        let mut state = self.lock();
        let mut identity = Vec::new();
        let mut boundary = None;
        if let Some(role) = role.and_then(|role| state.roles.get(role)).filter(|role| role.trust.is_some()) {
            for (key, value) in &role.tags {
                context.set(&format!("aws:PrincipalTag/{key}"), value);
            }
            identity.extend(role.policies.iter().map(|owned| owned.attached.clone()));
            identity.extend(role.managed.iter().filter_map(|arn| state.managed_policy(arn)));
            boundary = role.boundary.as_ref().map(|arn| {
                // A boundary that is not there allows nothing.
                let none = || Attached { name: arn.clone(), document: Arc::new(managed::nothing()) };
                state.managed_policy(arn).unwrap_or_else(none)
            });
        }
        let (resource, guarding): (Vec<Attached>, _) = if need.action == "sts:AssumeRole" {
            let trust = state.roles.get(&need.resource).and_then(|role| role.trust.clone());
            (trust.into_iter().collect(), Guarding::ResourceOnly)
        } else {
            let policies = state.resources.get(owner(&need.resource));
            let policies = policies.into_iter().flatten().map(|owned| owned.attached.clone()).collect();
            let delegated = need.action.starts_with("kms:") && need.resource != "*";
            (policies, if delegated { Guarding::Delegated } else { Guarding::Either })
        };
        let request = Request { principal, action: &need.action, resource: &need.resource, context: &context };
        let policies = Policies { identity: &identity, boundary: boundary.as_ref(), resource: &resource, guarding };
        match iam::evaluate(&request, &policies) {
            Decision::Allowed(grants) => {
                if let Some(role) = role {
                    state.usage.note(role, &grants, need);
                }
                Ok(())
            }
            Decision::Denied(reason) => {
                let denied = Denied {
                    principal: principal.name().to_owned(),
                    action: need.action.clone(),
                    resource: need.resource.clone(),
                    reason,
                    on_key: need.on_key,
                };
                Err(denied)
            }
        }
    }

    fn show(&self, principal: &str, denied: &Denied) {
        self.trace.emit(What::Denied {
            principal: principal.to_owned(),
            action: denied.action.clone(),
            resource: denied.resource.clone(),
        });
    }
}

impl State {
    fn managed_policy(&self, arn: &str) -> Option<Attached> {
        let document = self.managed.get(arn)?;
        Some(Attached { name: arn.to_owned(), document: Arc::clone(document) })
    }
}

/// The resource whose policy speaks for another one: an object's bucket.
fn owner(resource: &str) -> &str {
    match resource.strip_prefix("arn:aws:s3:::").and_then(|rest| rest.find('/')) {
        Some(at) => &resource[.."arn:aws:s3:::".len() + at],
        None => resource,
    }
}

/// Reads a policy document of a template.
fn document(kind: Kind, of: &str, value: Option<&Value>) -> Result<Arc<Document>, ApiError> {
    let malformed = |problem: String| ApiError::new(400, "MalformedPolicyDocument", format!("{of}: {problem}"));
    let value = value.ok_or_else(|| malformed("there is no policy document".into()))?;
    Document::parse(kind, value).map(Arc::new).map_err(|error| malformed(error.to_string()))
}
