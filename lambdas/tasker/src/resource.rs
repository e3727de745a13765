//! The tasker as a custom resource. CloudFormation hears nothing of what a function raises, so every path answers at the
//! response URL, leaves an open row for the completion function or the reconciler to answer, or makes Lambda try again.

use serde_json::Value;
use statement::Error;
use statement::ports::Ports;
use statement::resource::{Kind, ResourceRequest, Verdict};
use statement::row::Callback;
use statement::settings::TaskerSettings;

use crate::execute::{Caller, execute};
use statement::key;

pub(crate) async fn handle(ports: &Ports, settings: &TaskerSettings, event: &Value) -> Result<Value, Error> {
    let request = ResourceRequest::envelope(event)?;
    let verdict = match request.sql(&settings.allowed) {
        Ok(Some(sql)) => {
            let caller = Caller {
                callback: Callback::Response,
                secret: Some(request.response_url.clone()),
                hash: key::caller("resource", &request.idempotency_key()),
                key: request.idempotency_key(),
                resource: Some(request.resource.clone()),
            };
            match execute(ports, settings, &sql, &caller).await {
                Ok(reply) => return Ok(reply),
                Err(error) if settled_later(ports, settings, &caller, &error).await => {
                    return Err(error);
                }
                Err(error) => Verdict::Failed(format!("{}: {error}", error.name())),
            }
        }
        Ok(None) => Verdict::Success(Vec::new()),
        // Create was held against the same parts, so nothing was ever made that Delete would have to undo; and a FAILED
        // here would keep the stack from ever going away.
        Err(error) if request.kind == Kind::Delete => {
            tracing::warn!(error = error.name(), "delete without usable SQL");
            Verdict::Success(Vec::new())
        }
        Err(error) => Verdict::Failed(format!("{}: {error}", error.name())),
    };
    aws::custom_resource::deliver(ports.responses.as_ref(), &request, &verdict).await
}

/// Whether an open row stands for the answer: then Lambda's retry or the reconciler brings it. Without one nobody would.
async fn settled_later(ports: &Ports, settings: &TaskerSettings, caller: &Caller, error: &Error) -> bool {
    let row = ports.rows.get(&key::row(&settings.common.stack, &caller.key)).await;
    error.transient() && matches!(row, Ok(Some(row)) if row.owes_answer())
}
