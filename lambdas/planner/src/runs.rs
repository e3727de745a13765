//! The documents of runs in the results bucket. A plan never changes, so it is read once and kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use aws::Refusal;
use aws::objects::Objects;
use futures::StreamExt as _;
use futures::TryStreamExt as _;
use workflow::manifest::Manifest;
use workflow::plan::{Keys, Plan, Segment};
use workflow::round::{self, Mark, Over, Progress};
use workflow::status::Status;

/// Calls of S3 at a time.
const CONCURRENCY: usize = 32;
/// Plans that are kept.
const KEPT: usize = 4;
const JSON: &str = "application/json";

pub(crate) struct Runs {
    results: Objects,
    plans: Mutex<VecDeque<Arc<Plan>>>,
}

impl Runs {
    pub(crate) fn new(results: Objects) -> Self {
        Self { results, plans: Mutex::default() }
    }

    /// Writes a plan, unless there is one: then that one holds.
    pub(crate) async fn keep_plan(&self, plan: Plan) -> Result<Arc<Plan>, Refusal> {
        if self.results.put_new(&plan.keys().plan(), plan.to_json().into_bytes(), JSON).await? {
            return Ok(self.remember(plan));
        }
        self.plan(&plan.prefix).await
    }

    /// The plan of a run.
    pub(crate) async fn plan(&self, run: &str) -> Result<Arc<Plan>, Refusal> {
        if let Some(plan) = self.lock().iter().find(|plan| plan.prefix == run) {
            return Ok(Arc::clone(plan));
        }
        let text = self.results.get(&Keys(run).plan()).await?;
        let text = text.ok_or_else(|| Refusal::new("RunNotFound", format!("there is no run at {run}")))?;
        let plan = Plan::read(&text).map_err(|error| Refusal::new("RunNotFound", error.to_string()))?;
        Ok(self.remember(plan))
    }

    fn remember(&self, plan: Plan) -> Arc<Plan> {
        let plan = Arc::new(plan);
        let mut plans = self.lock();
        plans.truncate(KEPT - 1);
        plans.push_front(Arc::clone(&plan));
        plan
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, VecDeque<Arc<Plan>>> {
        self.plans.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is recorded for every query of a segment, in its order.
    pub(crate) async fn statuses(&self, plan: &Plan, segment: &Segment) -> Result<Vec<Option<Status>>, Refusal> {
        futures::stream::iter(0..segment.queries.len())
            .map(|at| self.status(plan, &segment.queries[at].name))
            .buffered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn status(&self, plan: &Plan, query: &str) -> Result<Option<Status>, Refusal> {
        let Some(text) = self.results.get(&plan.keys().status(query)).await? else { return Ok(None) };
        let status = serde_json::from_slice(&text)
            .map_err(|error| Refusal::new("Internal", format!("the status of {query} cannot be read: {error}")))?;
        Ok(Some(status))
    }

    /// Finds out what became of the queries that were started. One that says nothing is recorded as such.
    pub(crate) async fn settle(
        &self,
        plan: &Plan,
        segment: &Segment,
        round: u8,
        progress: &mut Progress,
    ) -> Result<(), Refusal> {
        let started: Vec<usize> = (0..progress.marks.len()).filter(|at| progress.marks[*at] == Mark::Running).collect();
        let found: Vec<(usize, Status)> = futures::stream::iter(started)
            .map(|at| async move {
                let known = self.status(plan, &segment.queries[at].name).await?;
                let status = match known.filter(|status| status.round == round) {
                    Some(status) => status,
                    None => {
                        let status = round::unsettled(segment, at, round);
                        self.write(plan, &status).await?;
                        status
                    }
                };
                Ok::<_, Refusal>((at, status))
            })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await?;
        for (at, status) in found {
            progress.record(at, &status);
        }
        Ok(())
    }

    /// Records what could not run because of another query.
    pub(crate) async fn skip(&self, plan: &Plan, segment: &Segment, over: &Over, round: u8) -> Result<(), Refusal> {
        futures::stream::iter(&over.skipped)
            .map(|skip| async move { self.write(plan, &round::skipped(segment, *skip, round)).await })
            .buffer_unordered(CONCURRENCY)
            .try_collect()
            .await
    }

    async fn write(&self, plan: &Plan, status: &Status) -> Result<(), Refusal> {
        let text = serde_json::to_vec_pretty(status)
            .map_err(|error| Refusal::new("Internal", format!("a status cannot be written: {error}")))?;
        Ok(self.results.put(&plan.keys().status(&status.query), text, JSON).await?)
    }

    /// Writes what became of a segment.
    pub(crate) async fn write_manifest(
        &self,
        plan: &Plan,
        segment: &Segment,
        manifest: &Manifest,
    ) -> Result<(), Refusal> {
        let key = plan.keys().manifest(&segment.name);
        Ok(self.results.put(&key, manifest.to_json().into_bytes(), JSON).await?)
    }
}
