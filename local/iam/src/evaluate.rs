//! The decision: explicit deny first, then what identity policies, the resource's policy and the boundary allow (IAM
//! guide, "Policy evaluation for requests within a single account").

use std::sync::Arc;

use crate::principal::Meant;
use crate::{Document, Effect, Principal, Request};

/// A document under the name of its policy.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attached {
    /// The policy's name, or the resource's that it belongs to.
    pub name: String,
    /// What it says.
    pub document: Arc<Document>,
}

/// How a resource's policy and identity policies count together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Guarding {
    /// Either is enough, within one account.
    Either,
    /// Identity policies count only for what the resource's policy leaves to the account, as with KMS keys (KMS guide,
    /// "Key policies").
    Delegated,
    /// Only the resource's policy counts, as with a role's trust policy.
    ResourceOnly,
}

/// Every policy that has a say.
#[derive(Debug, Clone, Copy)]
pub struct Policies<'a> {
    /// Of the role or user that asks.
    pub identity: &'a [Attached],
    /// Its permissions boundary.
    pub boundary: Option<&'a Attached>,
    /// Of the resource.
    pub resource: &'a [Attached],
    /// How the two count together.
    pub guarding: Guarding,
}

/// A statement that allowed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// The policy's name.
    pub policy: String,
    /// Whether it is the resource's and not the caller's.
    pub of_resource: bool,
    /// Which of its statements, from 0.
    pub statement: usize,
    /// Which entry of the statement's `Action`, from 0.
    pub action: usize,
}

/// Why a request is denied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// A `Deny` statement applies.
    Explicit {
        /// The policy's name.
        policy: String,
        /// Which of its statements, from 0.
        statement: usize,
        /// `identity-based`, `resource-based` or `permissions boundary`'s word in AWS's messages.
        kind: &'static str,
    },
    /// No policy of this kind allows it.
    Implicit {
        /// As above.
        kind: &'static str,
    },
}

/// What came of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Decision {
    /// Allowed, by each of these.
    Allowed(Vec<Grant>),
    /// Denied.
    Denied(Reason),
}

impl Decision {
    /// Whether it is allowed.
    pub fn allowed(&self) -> bool {
        matches!(self, Self::Allowed(_))
    }
}

const IDENTITY: &str = "identity-based policy";
const RESOURCE: &str = "resource-based policy";
const BOUNDARY: &str = "permissions boundary";

/// What the statements of some policies of one kind say.
#[derive(Default)]
struct Said {
    denies: Option<(String, usize)>,
    /// With how each means the caller; identity policies always mean their own.
    allows: Vec<(Meant, Grant)>,
}

fn ask(policies: &[Attached], of_resource: bool, request: &Request<'_>) -> Said {
    let mut said = Said::default();
    for policy in policies {
        for (index, statement) in policy.document.statements().iter().enumerate() {
            let Some(entry) = statement.applies(request) else { continue };
            let meant = if of_resource { statement.means(request) } else { Some(Meant::Directly) };
            let Some(meant) = meant else { continue };
            match statement.effect() {
                Effect::Deny => said.denies = said.denies.or_else(|| Some((policy.name.clone(), index))),
                Effect::Allow => {
                    let policy = policy.name.clone();
                    said.allows.push((meant, Grant { policy, of_resource, statement: index, action: entry }));
                }
            }
        }
    }
    said
}

/// Decides a request within one account.
pub fn evaluate(request: &Request<'_>, policies: &Policies<'_>) -> Decision {
    let identity = ask(policies.identity, false, request);
    let resource = ask(policies.resource, true, request);
    let boundary = policies.boundary.map(|boundary| ask(std::slice::from_ref(boundary), false, request));
    let denies = [
        (identity.denies, IDENTITY),
        (resource.denies, RESOURCE),
        (boundary.as_ref().and_then(|boundary| boundary.denies.clone()), BOUNDARY),
    ];
    for (denied, kind) in denies {
        if let Some((policy, statement)) = denied {
            return Decision::Denied(Reason::Explicit { policy, statement, kind });
        }
    }
    let bounded = boundary.is_none_or(|boundary| !boundary.allows.is_empty());
    let delegated = resource.allows.iter().any(|(meant, _)| *meant == Meant::Account);
    let identity: Vec<Grant> = identity.allows.into_iter().map(|(_, grant)| grant).collect();
    // A boundary does not limit what a resource's policy gives to a session, a user or everybody by name, but what it
    // gives to a role.
    let limited = |meant: Meant| meant == Meant::Role && !bounded;
    let direct: Vec<Grant> = (resource.allows.into_iter())
        .filter(|(meant, _)| *meant > Meant::Account && !limited(*meant))
        .map(|(_, grant)| grant)
        .collect();
    let counts = match policies.guarding {
        Guarding::Either => true,
        Guarding::Delegated => delegated,
        Guarding::ResourceOnly => false,
    };
    // Services and the account's root have no identity policies; root needs only what is left to its account.
    if matches!(request.principal, Principal::Root(_)) && delegated {
        return Decision::Allowed(direct);
    }
    let mut grants = if counts && bounded { identity.clone() } else { Vec::new() };
    grants.extend(direct);
    if !grants.is_empty() {
        return Decision::Allowed(grants);
    }
    let kind = match request.principal {
        Principal::Service(_) => RESOURCE,
        _ if policies.guarding == Guarding::ResourceOnly || (!counts && !identity.is_empty()) => RESOURCE,
        _ if !identity.is_empty() && !bounded => BOUNDARY,
        _ => IDENTITY,
    };
    Decision::Denied(Reason::Implicit { kind })
}
