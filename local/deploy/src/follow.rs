//! The events of a stack and of everything nested in it, as they come.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::stack::{self, Event, STACK};
use crate::{Aws, Outcome};

/// A stack that is being changed.
pub struct Follower<'a> {
    aws: &'a Aws,
    /// What came before is not of this change.
    since: DateTime<Utc>,
    root: String,
    followed: HashMap<String, Followed>,
    seen: Vec<Event>,
}

struct Followed {
    /// The names of the nested stacks that lead to it, each with a slash behind.
    path: String,
    last: Option<String>,
    settled: bool,
}

impl<'a> Follower<'a> {
    /// Begins before the change does. The stack is named by its ARN, so that its end can be seen when it is deleted.
    ///
    /// # Errors
    /// What CloudFormation refuses.
    pub async fn begin(aws: &'a Aws, root: &str) -> Outcome<Self> {
        let last = stack::events(aws, root, None).await?.pop();
        // The service's own clock.
        let since = last.as_ref().map(|event| event.at).unwrap_or_default();
        let followed = Followed { path: String::new(), last: last.map(|event| event.id), settled: false };
        Ok(Self {
            aws,
            since,
            root: root.to_owned(),
            followed: HashMap::from([(root.to_owned(), followed)]),
            seen: Vec::new(),
        })
    }

    /// What happened since the last look, oldest first.
    ///
    /// # Errors
    /// What CloudFormation refuses.
    pub async fn look(&mut self) -> Outcome<&[Event]> {
        let before = self.seen.len();
        // The root first: when it has ended, everything in it has, and is seen below.
        let mut open = vec![self.root.clone()];
        open.extend(self.followed.iter().filter(|(id, it)| **id != self.root && !it.settled).map(|(id, _)| id.clone()));
        while let Some(id) = open.first().cloned() {
            open.remove(0);
            for nested in self.look_at(&id).await? {
                if !open.contains(&nested) {
                    open.push(nested);
                }
            }
        }
        self.seen[before..].sort_by_key(|event| event.at);
        Ok(&self.seen[before..])
    }

    /// Takes a stack's news; the stacks in it that have news too.
    async fn look_at(&mut self, id: &str) -> Outcome<Vec<String>> {
        let Some((path, last)) = self.followed.get(id).map(|it| (it.path.clone(), it.last.clone())) else {
            return Ok(Vec::new());
        };
        let events = stack::events(self.aws, id, last.as_deref()).await?;
        let mut nested = Vec::new();
        for event in events {
            if let Some(followed) = self.followed.get_mut(id) {
                followed.last = Some(event.id.clone());
                if event.is_of_stack() {
                    followed.settled = !event.status.ends_with("_IN_PROGRESS");
                }
            }
            if event.at < self.since {
                continue;
            }
            if event.kind == STACK && !event.is_of_stack() && !event.physical.is_empty() {
                let path = format!("{path}{}/", event.logical);
                let followed = self.followed.entry(event.physical.clone()).or_insert(Followed {
                    path,
                    last: None,
                    settled: false,
                });
                followed.settled = false;
                nested.push(event.physical.clone());
            }
            self.seen.push(event);
        }
        nested.dedup();
        Ok(nested)
    }

    /// A resource's name with the nested stacks that lead to it: `Data/Table`.
    #[must_use]
    pub fn place(&self, event: &Event) -> String {
        let path = self.followed.get(&event.stack).map_or("", |followed| followed.path.as_str());
        if event.is_of_stack() {
            return if path.is_empty() { event.logical.clone() } else { path.trim_end_matches('/').to_owned() };
        }
        format!("{path}{}", event.logical)
    }

    /// How the whole ended, once it has.
    #[must_use]
    pub fn ended(&self) -> Option<&str> {
        let last = self.seen.iter().rev().find(|event| event.stack == self.root && event.is_of_stack())?;
        (!last.status.ends_with("_IN_PROGRESS")).then_some(last.status.as_str())
    }

    /// Everything that happened.
    #[must_use]
    pub fn events(&self) -> &[Event] {
        &self.seen
    }
}
