//! What the planner is asked. A person starts a workflow with these fields, so unknown ones are refused by name.

use aws::Refusal;
use chrono::{DateTime, Utc};
use serde_json::Value;
use workflow::configuration::Target;
use workflow::plan::Segment;

/// A request.
pub(crate) enum Request {
    Plan(Plan),
    NextWave { place: Place, ran: u64 },
    EndLoop(Place),
}

/// A run to be planned.
pub(crate) struct Plan {
    pub(crate) workflow: String,
    pub(crate) plan: Option<String>,
    pub(crate) target: Option<Target>,
    pub(crate) run_id: String,
    pub(crate) started_at: DateTime<Utc>,
}

/// A segment in a round of a run.
pub(crate) struct Place {
    pub(crate) run: String,
    pub(crate) segment: usize,
    pub(crate) round: u8,
    /// What an execution carries; empty at the start of a segment and after an execution that broke.
    pub(crate) progress: String,
    /// Whether nothing of the segment has run yet, as far as the caller knows.
    pub(crate) fresh: bool,
}

/// What a start of the workflow may hold, and what the machine adds.
const PLAN_FIELDS: [&str; 7] =
    ["workflow", "plan", "target", "action", "execution", "startedAt", "AWS_STEP_FUNCTIONS_STARTED_BY_EXECUTION_ID"];

impl Request {
    pub(crate) fn read(event: &Value) -> Result<Self, Refusal> {
        match event["action"].as_str() {
            Some("plan") => Plan::read(event).map(Self::Plan),
            Some("nextWave") => {
                let ran = event["ran"].as_u64().unwrap_or_default();
                let mut place = Place::read(event)?;
                place.fresh = ran == 0;
                Ok(Self::NextWave { place, ran })
            }
            Some("endLoop") => Place::read(event).map(Self::EndLoop),
            _ => Err(Refusal::request("action", "is missing or unknown", "plan, nextWave, endLoop")),
        }
    }
}

impl Plan {
    fn read(event: &Value) -> Result<Self, Refusal> {
        let fields = event.as_object().into_iter().flatten();
        if let Some((unknown, _)) = fields.into_iter().find(|(name, _)| !PLAN_FIELDS.contains(&name.as_str())) {
            return Err(Refusal::request(unknown, "is unknown", "workflow, plan, target"));
        }
        let optional = |field: &str| match &event[field] {
            Value::Null => Ok(None),
            Value::String(text) => Ok(Some(text.clone())),
            _ => Err(Refusal::request(field, "is no text", "a name")),
        };
        let target = match optional("target")? {
            None => None,
            Some(text) => Some(
                Target::parse(&text)
                    .ok_or_else(|| Refusal::request("target", "is unknown", "provisioned, serverless"))?,
            ),
        };
        let execution = text(event, "execution")?;
        let started_at = text(event, "startedAt")?
            .parse()
            .map_err(|_| Refusal::request("startedAt", "is no time", "a time as in RFC 3339"))?;
        Ok(Self {
            workflow: text(event, "workflow")?.to_owned(),
            plan: optional("plan")?,
            target,
            run_id: execution.rsplit(':').next().unwrap_or(execution).to_owned(),
            started_at,
        })
    }
}

impl Place {
    fn read(event: &Value) -> Result<Self, Refusal> {
        let number = |field: &str| {
            event[field].as_u64().ok_or_else(|| Refusal::request(field, "is missing or no number", "a whole number"))
        };
        let round = u8::try_from(number("round")?)
            .map_err(|_| Refusal::request("round", "is too large", "a number of a round"))?;
        Ok(Self {
            run: text(event, "run")?.to_owned(),
            segment: usize::try_from(number("segment")?).unwrap_or(usize::MAX),
            round,
            progress: event["progress"].as_str().unwrap_or_default().to_owned(),
            fresh: false,
        })
    }

    /// The segment in its plan.
    pub(crate) fn segment<'p>(&self, plan: &'p workflow::plan::Plan) -> Result<&'p Segment, Refusal> {
        plan.segments
            .get(self.segment)
            .ok_or_else(|| Refusal::request("segment", "is not in the plan", "the place of a segment"))
    }
}

fn text<'e>(event: &'e Value, field: &str) -> Result<&'e str, Refusal> {
    event[field].as_str().ok_or_else(|| Refusal::request(field, "is missing or no text", "a text"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws::Raise as _;
    use serde_json::json;

    #[test]
    fn a_wrong_start_names_the_field_and_what_is_allowed() {
        let machine = json!({"action": "plan", "execution": "arn:x:run-1", "startedAt": "2026-01-02T03:04:05.678Z"});
        for (input, said) in [
            (json!({"workflow": "review", "plam": "serial"}), "plam"),
            (json!({"plan": "serial"}), "workflow"),
            (json!({"workflow": "review", "target": "both"}), "provisioned, serverless"),
            (json!({"workflow": "review", "plan": 3}), "plan"),
        ] {
            let mut event = machine.clone();
            event.as_object_mut().unwrap().extend(input.as_object().unwrap().clone());
            let Err(refusal) = Request::read(&event) else { panic!("{event} was taken") };
            assert_eq!(refusal.name(), "InvalidRequest");
            assert!(refusal.to_string().contains(said), "{refusal}");
        }
        let mut event = machine;
        event["workflow"] = json!("review");
        let Ok(Request::Plan(plan)) = Request::read(&event) else { panic!("refused") };
        assert_eq!((plan.run_id.as_str(), plan.plan, plan.target), ("run-1", None, None));
    }
}
