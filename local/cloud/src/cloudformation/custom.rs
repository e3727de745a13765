//! Custom resources: asks the function behind one, and waits for the answer that it writes to the URL it was given.
//!
//! Every answer is checked, and every wait ends: with the answer, or when the template's `ServiceTimeout` has passed.

use std::time::Duration;

use bytes::Bytes;
use chrono::Utc;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::ApiError;
use crate::lambda::InvocationType;
use crate::s3::RESPONSES;
use crate::stack::Parts;
use crate::template::custom::SERVICE_TIMEOUT;
use crate::template::{Attributes, Resource};

/// What is asked of a custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ask {
    Create,
    Update,
    Delete,
}

/// Why there is no such resource now.
pub(super) struct Refused {
    pub(super) error: ApiError,
    /// What exists nevertheless, and has to be deleted.
    pub(super) physical: Option<String>,
}

/// Asks, and gives what the answer says `Ref` and `Fn::GetAtt` are. `old` is what there is, for an update or a deletion.
pub(super) async fn ask(
    parts: &Parts,
    ask: Ask,
    stack: &str,
    new: &Resource,
    old: Option<&Resource>,
) -> Result<Attributes, Refused> {
    let physical = old.map(|old| old.attributes.reference.clone());
    let plain = |error| Refused { error, physical: physical.clone() };
    let text = |name: &str| new.properties.get(name).and_then(Value::as_str);
    let function = text("ServiceToken").unwrap_or_default();
    if function.split(':').nth(2) != Some("lambda") {
        return Err(plain(ApiError::not_implemented("cloudformation", &format!("the ServiceToken {function}"))));
    }
    let region = parts.region.replace('-', "");
    let bucket = format!("{RESPONSES}{region}");
    match parts.s3.create_bucket(&bucket, &json!({})).await {
        Err(error) if error.code != "BucketAlreadyOwnedByYou" => return Err(plain(error)),
        _ => {}
    }
    let request = Uuid::new_v4().to_string();
    let key = format!("{}/{request}", new.logical_id);
    let now = Utc::now();
    let url = format!(
        "{}/{bucket}/{key}?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Date={}&X-Amz-SignedHeaders=host&X-Amz-Expires=7200\
         &X-Amz-Credential=CLOUDFORMATION%2F{}%2F{}%2Fs3%2Faws4_request&X-Amz-Signature={}",
        parts.endpoint,
        now.format("%Y%m%dT%H%M%SZ"),
        now.format("%Y%m%d"),
        parts.region,
        Uuid::new_v4().simple(),
    );
    let mut event = json!({
        "RequestType": match ask { Ask::Create => "Create", Ask::Update => "Update", Ask::Delete => "Delete" },
        "ServiceToken": function,
        "ResponseURL": url,
        "StackId": stack,
        "RequestId": request,
        "LogicalResourceId": new.logical_id,
        "ResourceType": new.kind,
        "ResourceProperties": new.properties,
    });
    if let Some(physical) = &physical {
        event["PhysicalResourceId"] = json!(physical);
    }
    if let (Ask::Update, Some(old)) = (ask, old) {
        event["OldResourceProperties"] = old.properties.clone();
    }
    let limit = text("ServiceTimeout").and_then(|text| text.parse().ok()).unwrap_or(SERVICE_TIMEOUT);
    let invoked = parts.lambda.invoke(function, InvocationType::Event, Bytes::from(event.to_string())).await;
    if let Err(error) = invoked {
        return Err(plain(error));
    }
    let arrived = tokio::time::timeout(Duration::from_secs(limit), parts.s3.arrival(&bucket, &key)).await;
    let Ok(arrived) = arrived else {
        let text = format!(
            "CloudFormation did not receive a response from your Custom Resource. Please check your logs for requestId \
             [{request}]."
        );
        return Err(plain(ApiError::new(400, "CustomResourceTimeout", text)));
    };
    let answer = arrived.map_err(plain)?;
    // Read once; nobody else looks at it.
    let _ = parts.s3.delete(&bucket, &key).await;
    read(&answer, ask, &request, stack, new, physical.as_deref())
}

fn read(
    answer: &[u8],
    ask: Ask,
    request: &str,
    stack: &str,
    resource: &Resource,
    physical: Option<&str>,
) -> Result<Attributes, Refused> {
    let refused = |text: String, made: Option<String>| Refused {
        error: ApiError::new(400, "CustomResourceFailed", text),
        physical: made.or_else(|| physical.map(str::to_owned)),
    };
    let Ok(answer) = serde_json::from_slice::<Value>(answer) else {
        return Err(refused("Response is not valid JSON".into(), None));
    };
    let text = |name: &str| answer.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    let made = text("PhysicalResourceId").map(str::to_owned);
    for (member, wanted) in
        [("StackId", stack), ("RequestId", request), ("LogicalResourceId", resource.logical_id.as_str())]
    {
        if text(member) != Some(wanted) {
            return Err(refused(format!("Invalid response object: the {member} is not that of the request"), made));
        }
    }
    match text("Status") {
        Some("SUCCESS") => {}
        Some("FAILED") => {
            let reason = text("Reason").unwrap_or("no reason was given");
            let text = format!(
                "Received response status [FAILED] from custom resource. Message returned: {reason} (RequestId: {request})"
            );
            return Err(refused(text, made));
        }
        _ => return Err(refused("Invalid response object: Status is neither SUCCESS nor FAILED".into(), made)),
    }
    let Some(reference) = made.or_else(|| physical.filter(|_| ask == Ask::Delete).map(str::to_owned)) else {
        return Err(refused("Invalid PhysicalResourceId".into(), None));
    };
    let values = match answer.get("Data") {
        None | Some(Value::Null) => Vec::new(),
        Some(Value::Object(data)) => data.clone().into_iter().collect(),
        Some(_) => return Err(refused("Invalid response object: Data is not an object".into(), Some(reference))),
    };
    let plain = |value: Value| match value {
        Value::String(text) => text,
        other => other.to_string(),
    };
    Ok(Attributes { reference, values: values.into_iter().map(|(name, value)| (name, plain(value))).collect() })
}
