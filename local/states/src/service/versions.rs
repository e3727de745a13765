//! Calls about versions and aliases of state machines.
//!
//! A version is a revision under a number that is never given out twice; an alias sends executions to one version or, by
//! weight, to two.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::arguments::{Arguments, checked_arn};
use super::machines::with_token;
use super::pages::page;
use crate::engine::{Alias, Engine, Registered, Revision, Route, Target, Turn, Version};
use crate::{ApiError, timestamp};

/// What the quotas page allows for each machine.
const MOST_VERSIONS: usize = 1_000;
const MOST_ALIASES: usize = 100;
/// `description` (API reference).
const LONGEST_DESCRIPTION: usize = 256;
/// The revision id that stands for the first revision of a machine.
const INITIAL: &str = "INITIAL";

fn not_found(arn: &str) -> ApiError {
    ApiError::new("ResourceNotFound", "Request references a resource that does not exist.").with("resourceName", arn)
}

fn invalid(message: impl Into<String>) -> ApiError {
    ApiError::new("ValidationException", message)
}

fn conflict(message: impl Into<String>) -> ApiError {
    ApiError::new("ConflictException", message)
}

/// The machine's ARN and what stands behind it: a version's number or an alias's name.
pub(super) fn qualified(arn: &str) -> Option<(&str, &str)> {
    let (machine, qualifier) = arn.rsplit_once(':')?;
    (machine.split(':').count() == 7 && !qualifier.is_empty()).then_some((machine, qualifier))
}

fn no_machine(arn: &str) -> ApiError {
    ApiError::new("StateMachineDoesNotExist", format!("State Machine Does Not Exist: '{arn}'"))
}

/// Letters, digits, `_`, `-` and `.`; not only digits, which would be a version.
fn checked_alias(name: &str) -> Result<&str, ApiError> {
    let good = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let fits = (1..=80).contains(&name.chars().count()) && name.chars().all(good);
    if !fits || name.chars().all(|c| c.is_ascii_digit()) {
        return Err(invalid(format!(
            "1 validation error detected: Value '{name}' at 'name' failed to satisfy constraint: Member must satisfy \
             regular expression pattern: ^(?=.*[a-zA-Z_\\-\\.])[a-zA-Z0-9_\\-\\.]+$"
        )));
    }
    Ok(name)
}

fn described(arn: &str, name: &str, alias: &Alias) -> Value {
    let routes: Vec<Value> = alias
        .routes
        .iter()
        .map(|route| json!({ "stateMachineVersionArn": &*route.version_arn, "weight": route.weight }))
        .collect();
    let mut answer = Map::new();
    answer.insert("stateMachineAliasArn".into(), arn.into());
    answer.insert("name".into(), name.into());
    if let Some(description) = &alias.description {
        answer.insert("description".into(), description.as_str().into());
    }
    answer.insert("routingConfiguration".into(), routes.into());
    answer.insert("creationDate".into(), timestamp::seconds(alias.created));
    answer.insert("updateDate".into(), timestamp::seconds(alias.updated));
    Value::Object(answer)
}

impl Engine {
    /// What an ARN of a machine, a version or an alias starts.
    pub(super) fn target(&self, arn: &str, turn: &Turn<'_>) -> Result<Target, ApiError> {
        checked_arn(arn, "stateMachine")?;
        let Some((machine, qualifier)) = qualified(arn) else {
            let revision = Arc::clone(&self.registered(arn)?.revision);
            return Ok(Target { revision, version: None, alias: None });
        };
        let registered = self.machines.get(machine).ok_or_else(|| no_machine(arn))?;
        if let Some(alias) = registered.aliases.get(qualifier) {
            let weights: Vec<u32> = alias.routes.iter().map(|route| route.weight).collect();
            let chosen = chosen(&weights, if weights.len() > 1 { turn.chance() } else { 0 });
            let route = alias.routes.get(chosen).ok_or_else(|| no_machine(arn))?;
            let version = registered.versions.get(&route.version).ok_or_else(|| no_machine(arn))?;
            return Ok(Target {
                revision: Arc::clone(&version.revision),
                version: Some(Arc::clone(&route.version_arn)),
                alias: Some(arn.into()),
            });
        }
        let version = version_of(registered, qualifier).ok_or_else(|| no_machine(arn))?;
        Ok(Target { revision: Arc::clone(&version.revision), version: Some(arn.into()), alias: None })
    }

    /// The revision and, of a version, its description and date.
    pub(super) fn revision_of(&self, arn: &str) -> Result<(&Registered, &Arc<Revision>, Option<&Version>), ApiError> {
        checked_arn(arn, "stateMachine")?;
        let Some((machine, qualifier)) = qualified(arn) else {
            let registered = self.registered(arn)?;
            return Ok((registered, &registered.revision, None));
        };
        let registered = self.machines.get(machine).ok_or_else(|| no_machine(arn))?;
        let version = version_of(registered, qualifier).ok_or_else(|| no_machine(arn))?;
        Ok((registered, &version.revision, Some(version)))
    }

    pub(super) fn publish_state_machine_version(&mut self, body: &Value, turn: &Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineArn", "revisionId", "description"])?;
        let arn = arguments.required("stateMachineArn")?;
        let registered = self.registered(arn)?;
        let current = &registered.revision;
        let wanted = arguments.text("revisionId")?;
        let named = wanted.is_none_or(|id| id == current.revision_id || (id == INITIAL && registered.updates == 0));
        if !named {
            let current = if registered.updates == 0 { INITIAL } else { &current.revision_id };
            return Err(conflict(format!(
                "Failed to publish the State Machine version for revision {}. The current State Machine revision is \
                 {current}.",
                wanted.unwrap_or_default()
            )));
        }
        let description = arguments.bounded("description", LONGEST_DESCRIPTION)?;
        let (version, created) = self.publish(arn, description, turn.now)?;
        Ok(json!({ "creationDate": timestamp::seconds(created), "stateMachineVersionArn": version }))
    }

    /// Gives the current revision a number, if it has none yet; the version's ARN and when it was made.
    pub(super) fn publish(
        &mut self,
        arn: &str,
        description: Option<&str>,
        now: i64,
    ) -> Result<(String, i64), ApiError> {
        let registered = self.machines.get_mut(arn).ok_or_else(|| no_machine(arn))?;
        let current = &registered.revision.revision_id;
        let last = registered.versions.last_key_value();
        if let Some((number, version)) = last.filter(|(_, version)| version.revision.revision_id == *current) {
            return Ok((format!("{arn}:{number}"), version.created));
        }
        if registered.versions.len() >= MOST_VERSIONS {
            let message = format!("A state machine has at most {MOST_VERSIONS} versions");
            return Err(ApiError::new("ServiceQuotaExceededException", message));
        }
        registered.last_version += 1;
        let version = Version {
            revision: Arc::clone(&registered.revision),
            created: now,
            description: description.map(str::to_owned),
        };
        registered.versions.insert(registered.last_version, version);
        Ok((format!("{arn}:{}", registered.last_version), now))
    }

    pub(super) fn list_state_machine_versions(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineArn", "maxResults", "nextToken"])?;
        let arn = arguments.required("stateMachineArn")?;
        let registered = self.registered(arn)?;
        // Newest first.
        let versions: Vec<Value> = registered
            .versions
            .iter()
            .rev()
            .map(|(number, version)| {
                let created = timestamp::seconds(version.created);
                json!({ "stateMachineVersionArn": format!("{arn}:{number}"), "creationDate": created })
            })
            .collect();
        let (part, next) = page(&arguments, versions.len())?;
        Ok(with_token("stateMachineVersions", versions[part].to_vec(), next))
    }

    pub(super) fn delete_state_machine_version(&mut self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineVersionArn"])?;
        let arn = checked_arn(arguments.required("stateMachineVersionArn")?, "stateMachine")?;
        let Some((machine, number)) = qualified(arn) else {
            return Err(invalid(format!("'{arn}' is not the ARN of a version")));
        };
        let Some(registered) = self.machines.get_mut(machine) else {
            return Ok(json!({}));
        };
        let used: Vec<&str> = registered
            .aliases
            .iter()
            .filter(|(_, alias)| alias.routes.iter().any(|route| &*route.version_arn == arn))
            .map(|(name, _)| name.as_str())
            .collect();
        if !used.is_empty() {
            return Err(conflict(format!(
                "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this \
                 version: [{}]",
                used.join(", ")
            )));
        }
        // Deleting what is not there is no error. Running executions go on.
        if let Ok(number) = number.parse::<u32>() {
            registered.versions.remove(&number);
        }
        Ok(json!({}))
    }

    pub(super) fn create_state_machine_alias(&mut self, body: &Value, turn: &Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["name", "description", "routingConfiguration"])?;
        let name = checked_alias(arguments.required("name")?)?;
        let description = arguments.bounded("description", LONGEST_DESCRIPTION)?.map(str::to_owned);
        let Some(routes) = arguments.get("routingConfiguration") else {
            return Err(invalid(
                "1 validation error detected: Value null at 'routingConfiguration' failed to satisfy constraint: \
                 Member must not be null",
            ));
        };
        let (machine, routes) = self.routes(routes)?;
        let arn = format!("{machine}:{name}");
        let registered = self.machines.get_mut(machine.as_str()).ok_or_else(|| no_machine(&machine))?;
        if let Some(existing) = registered.aliases.get(name) {
            if existing.description == description && existing.routes == routes {
                let created = timestamp::seconds(existing.created);
                return Ok(json!({ "stateMachineAliasArn": arn, "creationDate": created }));
            }
            return Err(conflict(
                "Failed to create alias because an alias with the same name and a different routing configuration \
                 already exists.",
            ));
        }
        if registered.aliases.len() >= MOST_ALIASES {
            let message = format!("A state machine has at most {MOST_ALIASES} aliases");
            return Err(ApiError::new("ServiceQuotaExceededException", message));
        }
        let alias = Alias { description, routes, created: turn.now, updated: turn.now };
        registered.aliases.insert(name.to_owned(), alias);
        Ok(json!({ "stateMachineAliasArn": arn, "creationDate": timestamp::seconds(turn.now) }))
    }

    /// One or two versions of one machine, whose weights sum up to 100.
    fn routes(&self, given: &Value) -> Result<(String, Vec<Route>), ApiError> {
        let given = given.as_array().filter(|routes| (1..=2).contains(&routes.len()));
        let given = given.ok_or_else(|| invalid("The routing configuration must have one or two versions"))?;
        let mut machine = String::new();
        let mut routes = Vec::with_capacity(given.len());
        for route in given {
            let route = Arguments::new(route, &["stateMachineVersionArn", "weight"])?;
            let arn = checked_arn(route.required("stateMachineVersionArn")?, "stateMachine")?;
            let Some((of, qualifier)) = qualified(arn) else {
                return Err(invalid("Routing configuration must contain state machine version ARNs."));
            };
            if !machine.is_empty() && machine != of {
                return Err(invalid("Routing configuration must contain versions of the same state machine."));
            }
            of.clone_into(&mut machine);
            let registered = self.machines.get(of);
            let found = registered.is_some_and(|registered| version_of(registered, qualifier).is_some());
            let version = qualifier.parse::<u32>().ok().filter(|_| found).ok_or_else(|| not_found(arn))?;
            let weight = route.get("weight").and_then(Value::as_u64).and_then(|weight| u32::try_from(weight).ok());
            let weight = weight.filter(|weight| *weight <= 100);
            let weight = weight.ok_or_else(|| invalid("The weight must be a whole number from 0 to 100"))?;
            if routes.iter().any(|route: &Route| route.version == version) {
                return Err(invalid("Routing configuration must contain distinct state machine version ARNs."));
            }
            routes.push(Route { version, version_arn: arn.into(), weight });
        }
        if routes.iter().map(|route| route.weight).sum::<u32>() != 100 {
            return Err(invalid("Sum of routing configuration weights must equal 100."));
        }
        Ok((machine, routes))
    }

    fn alias(&self, arn: &str) -> Result<(&str, &Alias), ApiError> {
        let (machine, name) = qualified(arn).ok_or_else(|| not_found(arn))?;
        let aliases = self.machines.get(machine).map(|registered| &registered.aliases);
        let found = aliases.and_then(|aliases: &BTreeMap<String, Alias>| aliases.get_key_value(name));
        found.map(|(name, alias)| (name.as_str(), alias)).ok_or_else(|| not_found(arn))
    }

    pub(super) fn describe_state_machine_alias(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineAliasArn"])?;
        let arn = checked_arn(arguments.required("stateMachineAliasArn")?, "stateMachine")?;
        let (name, alias) = self.alias(arn)?;
        Ok(described(arn, name, alias))
    }

    pub(super) fn update_state_machine_alias(&mut self, body: &Value, turn: &Turn<'_>) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineAliasArn", "description", "routingConfiguration"])?;
        let arn = checked_arn(arguments.required("stateMachineAliasArn")?, "stateMachine")?;
        let description = arguments.bounded("description", LONGEST_DESCRIPTION)?;
        let routes = arguments.get("routingConfiguration").map(|routes| self.routes(routes)).transpose()?;
        if description.is_none() && routes.is_none() {
            return Err(invalid("Either the description or the routing configuration must be specified"));
        }
        self.alias(arn)?;
        let Some((machine, name)) = qualified(arn) else {
            return Err(not_found(arn));
        };
        if routes.as_ref().is_some_and(|(of, _)| of != machine) {
            return Err(invalid("Routing configuration must contain versions of the alias's state machine."));
        }
        let alias = self.machines.get_mut(machine).and_then(|registered| registered.aliases.get_mut(name));
        if let Some(alias) = alias {
            if let Some(description) = description {
                alias.description = Some(description.to_owned());
            }
            if let Some((_, routes)) = routes {
                alias.routes = routes;
            }
            alias.updated = turn.now;
        }
        Ok(json!({ "updateDate": timestamp::seconds(turn.now) }))
    }

    pub(super) fn delete_state_machine_alias(&mut self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineAliasArn"])?;
        let arn = checked_arn(arguments.required("stateMachineAliasArn")?, "stateMachine")?;
        self.alias(arn)?;
        if let Some((machine, name)) = qualified(arn)
            && let Some(registered) = self.machines.get_mut(machine)
        {
            registered.aliases.remove(name);
        }
        Ok(json!({}))
    }

    pub(super) fn list_state_machine_aliases(&self, body: &Value) -> Result<Value, ApiError> {
        let arguments = Arguments::new(body, &["stateMachineArn", "maxResults", "nextToken"])?;
        let arn = checked_arn(arguments.required("stateMachineArn")?, "stateMachine")?;
        // Of a version's ARN: those that lead to it.
        let (machine, version) = match qualified(arn) {
            Some((machine, _)) => (machine, Some(arn)),
            None => (arn, None),
        };
        let registered = self.registered(machine)?;
        let leads = |alias: &Alias| {
            version.is_none_or(|version| alias.routes.iter().any(|route| &*route.version_arn == version))
        };
        let aliases: Vec<Value> = registered
            .aliases
            .iter()
            .filter(|(_, alias)| leads(alias))
            .map(|(name, alias)| {
                let created = timestamp::seconds(alias.created);
                json!({ "stateMachineAliasArn": format!("{machine}:{name}"), "creationDate": created })
            })
            .collect();
        let (part, next) = page(&arguments, aliases.len())?;
        Ok(with_token("stateMachineAliases", aliases[part].to_vec(), next))
    }
}

fn version_of<'a>(registered: &'a Registered, number: &str) -> Option<&'a Version> {
    // A number with zeros in front names nothing.
    let number = number.parse::<u32>().ok().filter(|parsed| parsed.to_string() == number)?;
    registered.versions.get(&number)
}

/// Which of the routes a draw leads to.
fn chosen(weights: &[u32], drawn: u128) -> usize {
    let mut left = u32::try_from(drawn % 100).unwrap_or(0);
    for (index, weight) in weights.iter().enumerate() {
        if left < *weight {
            return index;
        }
        left -= weight;
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn draws_follow_the_weights() {
        let count = |weights: &[u32]| (0..100).filter(|drawn| chosen(weights, *drawn) == 0).count();
        assert_eq!((count(&[100]), count(&[70, 30]), count(&[0, 100]), count(&[100, 0])), (100, 70, 0, 100));
    }

    #[test]
    fn qualified_arns_are_told_apart() {
        let machine = "arn:aws:states:us-east-1:000000000000:stateMachine:m";
        assert_eq!(qualified(machine), None);
        assert_eq!(qualified(&format!("{machine}:7")), Some((machine, "7")));
        assert_eq!(qualified(&format!("{machine}:")), None);
    }
}
