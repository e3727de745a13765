//! Which calls each allowing statement of a role was used for, against what it allows.

use std::collections::BTreeMap;

use iam::{Effect, Grant};

use super::{Need, Shared};

/// Resources kept as examples of what an action was used on.
const EXAMPLES: usize = 3;

/// How often each entry was used: by role, policy, statement and entry of `Action`.
#[derive(Default)]
pub(super) struct Record {
    used: BTreeMap<(String, String, usize, usize), Uses>,
}

#[derive(Default, Clone)]
struct Uses {
    calls: u64,
    /// `(action, resource)`
    examples: Vec<(String, String)>,
}

impl Record {
    pub(super) fn note(&mut self, role: &str, grants: &[Grant], need: &Need) {
        for grant in grants.iter().filter(|grant| !grant.of_resource) {
            let entry = (role.to_owned(), grant.policy.clone(), grant.statement, grant.action);
            let uses = self.used.entry(entry).or_default();
            uses.calls += 1;
            if uses.examples.len() < EXAMPLES {
                let example = (need.action.clone(), need.resource.clone());
                if !uses.examples.contains(&example) {
                    uses.examples.push(example);
                }
            }
        }
    }
}

/// One action that a statement of a role allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Allowed {
    /// The role's ARN.
    pub role: String,
    /// The policy's name; a managed policy's ARN.
    pub policy: String,
    /// Which of the policy's statements, from 0.
    pub statement: usize,
    /// The statement's `Sid`.
    pub sid: Option<String>,
    /// The action as written, such as `kms:GenerateDataKey*`.
    pub action: String,
    /// Which entry of `Action` that is, from 0.
    pub entry: usize,
    /// The resources as written.
    pub resources: Vec<String>,
    /// The keys of the statement's conditions.
    pub conditions: Vec<String>,
    /// How many calls it allowed.
    pub calls: u64,
    /// Some of them: action and resource.
    pub examples: Vec<(String, String)>,
}

/// Everything that roles may do, by role, policy and statement.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Usage {
    /// One entry for each action of each statement.
    pub allowed: Vec<Allowed>,
}

impl Shared {
    pub(super) fn usage(&self) -> Usage {
        let state = self.lock();
        let mut allowed = Vec::new();
        for (arn, role) in &state.roles {
            let own = role.policies.iter().map(|owned| owned.attached.clone());
            let managed = role.managed.iter().filter_map(|arn| state.managed_policy(arn));
            for policy in own.chain(managed) {
                let statements = policy.document.statements().iter().enumerate();
                for (index, statement) in statements.filter(|(_, statement)| statement.effect() == Effect::Allow) {
                    let owned = |texts: Vec<&str>| texts.into_iter().map(ToOwned::to_owned).collect::<Vec<_>>();
                    let mut actions = owned(statement.actions());
                    if actions.is_empty() {
                        actions.push("NotAction".into());
                    }
                    for (entry, action) in actions.into_iter().enumerate() {
                        let key = (arn.clone(), policy.name.clone(), index, entry);
                        let uses = state.usage.used.get(&key).cloned().unwrap_or_default();
                        allowed.push(Allowed {
                            role: arn.clone(),
                            policy: policy.name.clone(),
                            statement: index,
                            sid: statement.sid().map(ToOwned::to_owned),
                            action,
                            entry,
                            resources: owned(statement.resources()),
                            conditions: owned(statement.condition_keys()),
                            calls: uses.calls,
                            examples: uses.examples,
                        });
                    }
                }
            }
        }
        allowed.sort_by(|a, b| {
            let key = |one: &Allowed| (one.role.clone(), one.policy.clone(), one.statement, one.entry);
            key(a).cmp(&key(b))
        });
        Usage { allowed }
    }
}
