//! The page at `/`: what executions, statements, queues, mailboxes and functions do, as it happens.
//!
//! Shows and changes nothing. Everything that could hold a task token or a credential goes through `redact`. Answers
//! only to browsers that came by a name of this machine, so that no other site can read it.

mod redact;

use std::collections::BTreeSet;
use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, Method, Response, StatusCode, header};
use bytes::Bytes;
use futures::{StreamExt as _, stream};
use serde_json::{Map, Value, json};
use tokio::sync::broadcast::error::RecvError;

use crate::identity::Identity;
use crate::lambda::{Lambda, decoded};
use crate::service::Service;
use crate::sqs::Sqs;
use crate::trace::{Entry, Trace, What};
use crate::{ApiError, Caller};
use redact::redact;

const HTML: &str = include_str!("index.html");
/// Nothing is loaded from anywhere; what the page shows can therefore not go anywhere either.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'; script-src 'unsafe-inline'; connect-src 'self'; img-src data:; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
/// Paths of the page's data. An underscore is in no bucket's name.
const PATHS: &str = "/_tasker/";

/// Executions, statements, messages of a queue and e-mails that are listed.
const SHOWN: usize = 100;
/// Lines of a log.
const LINES: usize = 500;

/// What the page shows; clones share it.
#[derive(Clone)]
pub struct Page {
    shared: Arc<Shared>,
}

/// Where the page looks.
pub struct Shared {
    /// Step Functions.
    pub states: Arc<dyn Service>,
    /// The Data API.
    pub redshift_data: Arc<dyn Service>,
    /// The queues.
    pub sqs: Sqs,
    /// The functions.
    pub lambda: Lambda,
    /// The folder of e-mails.
    pub outbox: PathBuf,
    /// What happens.
    pub trace: Trace,
    /// Whose statements are shown, besides the local user's: those of all roles.
    pub identity: Identity,
    /// The text of `aws.env`, once the first stack is there.
    pub environment: Arc<OnceLock<String>>,
}

impl Page {
    /// A page over these services.
    pub fn new(shared: Shared) -> Self {
        Self { shared: Arc::new(shared) }
    }

    /// Whether a request is for the page: a browser at `/`, or one of the page's own paths.
    pub(crate) fn is_for(request: &Request) -> bool {
        let path = request.uri().path();
        let accepts = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok());
        let browser = accepts.is_some_and(|kinds| kinds.contains("text/html"));
        path.starts_with(PATHS) || (path == "/" && browser && request.method() == Method::GET)
    }

    /// Answers such a request.
    pub(crate) async fn answer(&self, request: Request) -> Response<Body> {
        let (request, _) = request.into_parts();
        if !is_local(&request.headers) {
            return plain(StatusCode::FORBIDDEN, "this page is for 127.0.0.1 and localhost only");
        }
        if request.method != Method::GET {
            return plain(StatusCode::METHOD_NOT_ALLOWED, "this page only shows");
        }
        let path = request.uri.path().strip_prefix(PATHS).unwrap_or_default();
        let (what, rest) = path.split_once('/').unwrap_or((path, ""));
        let (rest, shared) = (decoded(rest), &self.shared);
        let answered = match (what, rest.as_str()) {
            ("", _) => Ok(("text/html; charset=utf-8", Body::from(HTML))),
            ("aws.env", "") => {
                Ok(("text/plain; charset=utf-8", Body::from(shared.environment.get().cloned().unwrap_or_default())))
            }
            ("events", "") => Ok(("text/event-stream", self.events())),
            ("state", "") => Ok(json_body(&self.state().await)),
            ("history", arn) => self.history(arn).await.map(|history| json_body(&history)),
            ("log", name) => Ok(text_body(&self.log(name))),
            ("mail", file) => self.mail(file).await.map(|mail| text_body(&mail)),
            (other, _) => Err(ApiError::new(404, "NotFound", format!("the page has no {other}"))),
        };
        match answered {
            Ok((kind, body)) => respond(StatusCode::OK, kind, body),
            Err(error) => {
                plain(StatusCode::from_u16(error.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR), &error.message)
            }
        }
    }

    /// Everything that happens from now on, as server-sent events. A subscriber that is too slow misses some and is told.
    fn events(&self) -> Body {
        let receiver = self.shared.trace.subscribe();
        let hello = stream::once(async { Ok::<_, Infallible>(Bytes::from_static(b"retry: 1000\n: here\n\n")) });
        let entries = stream::unfold(receiver, |mut receiver| async {
            loop {
                let text = match receiver.recv().await {
                    Ok(entry) => match shown(&entry) {
                        Some(shown) => shown.to_string(),
                        None => continue,
                    },
                    Err(RecvError::Lagged(count)) => json!({ "kind": "missed", "text": count.to_string() }).to_string(),
                    Err(RecvError::Closed) => return None,
                };
                return Some((Ok(Bytes::from(format!("data: {text}\n\n"))), receiver));
            }
        });
        Body::from_stream(hello.chain(entries))
    }

    /// Everything that there is, newest first.
    async fn state(&self) -> Value {
        let (executions, statements) = tokio::join!(self.executions(), self.statements());
        json!({
            "executions": executions,
            "statements": statements,
            "queues": self.queues().await,
            "mails": self.mails().await,
            "functions": self.functions(),
        })
    }

    async fn states(&self, operation: &str, body: Value) -> Result<Value, ApiError> {
        self.shared.states.call(operation, &Caller::local_user(), body).await
    }

    async fn executions(&self) -> Vec<Value> {
        let mut all = Vec::new();
        let machines = self.states("ListStateMachines", json!({ "maxResults": 1000 })).await.unwrap_or_default();
        for machine in list(&machines, "stateMachines") {
            let body = json!({ "stateMachineArn": machine.get("stateMachineArn"), "maxResults": SHOWN });
            let executions = self.states("ListExecutions", body).await.unwrap_or_default();
            all.extend(list(&executions, "executions").iter().map(|execution| {
                json!({
                    "arn": execution.get("executionArn"),
                    "name": execution.get("name"),
                    "machine": machine.get("name"),
                    "status": execution.get("status"),
                    "started": execution.get("startDate"),
                    "stopped": execution.get("stopDate"),
                })
            }));
        }
        newest(all, "started")
    }

    /// The events of an execution, their details as text without secrets.
    async fn history(&self, arn: &str) -> Result<Value, ApiError> {
        let (mut events, mut token) = (Vec::new(), Value::Null);
        loop {
            let body = json!({ "executionArn": arn, "maxResults": 1000, "nextToken": token });
            let page = self.states("GetExecutionHistory", body).await?;
            for event in list(&page, "events") {
                let details = event.as_object().into_iter().flatten().find(|(name, _)| name.ends_with("EventDetails"));
                let details = details.map(|(_, details)| details);
                events.push(json!({
                    "id": event.get("id"),
                    "at": event.get("timestamp"),
                    "type": event.get("type"),
                    "name": details.and_then(|details| details.get("name")),
                    "details": details.map(|details| redact(&format!("{details:#}"))),
                }));
            }
            match page.get("nextToken") {
                Some(next) if events.len() < 25_000 => token = next.clone(),
                _ => return Ok(json!({ "events": events })),
            }
        }
    }

    async fn statements(&self) -> Vec<Value> {
        let roles = self.shared.identity.roles();
        let roles = roles.iter().map(|role| Caller::assumed(role, "page"));
        let (mut all, mut seen) = (Vec::new(), BTreeSet::new());
        for caller in std::iter::once(Caller::local_user()).chain(roles) {
            let body = json!({ "Status": "ALL", "MaxResults": SHOWN });
            // Without a database there is no statement.
            let listed = self.shared.redshift_data.call("ListStatements", &caller, body).await.unwrap_or_default();
            for statement in list(&listed, "Statements") {
                if seen.insert(statement.get("Id").map(Value::to_string)) {
                    all.push(json!({
                        "id": statement.get("Id"),
                        "name": statement.get("StatementName"),
                        "status": statement.get("Status"),
                        "created": statement.get("CreatedAt"),
                        "updated": statement.get("UpdatedAt"),
                        "sql": statement
                            .get("QueryString")
                            .and_then(Value::as_str)
                            .or_else(|| statement.pointer("/QueryStrings/0").and_then(Value::as_str))
                            .map(redact),
                    }));
                }
            }
        }
        newest(all, "created")
    }

    async fn queues(&self) -> Vec<Value> {
        let listed = self.shared.sqs.call("ListQueues", &Caller::local_user(), json!({})).await.unwrap_or_default();
        let names = list(&listed, "QueueUrls").iter().filter_map(Value::as_str);
        let names = names.filter_map(|url| url.rsplit('/').next());
        names
            .filter_map(|name| {
                let (visible, in_flight, delayed) = self.shared.sqs.counts(name).ok()?;
                let messages = self.shared.sqs.peek(name).ok()?;
                let messages: Vec<String> = messages.iter().take(SHOWN).map(|body| redact(body)).collect();
                Some(json!({
                    "name": name,
                    "visible": visible,
                    "inFlight": in_flight,
                    "delayed": delayed,
                    "messages": messages,
                }))
            })
            .collect()
    }

    /// The outbox, newest first: file names and heads.
    async fn mails(&self) -> Vec<Value> {
        let mut files = Vec::new();
        if let Ok(mut entries) = tokio::fs::read_dir(&self.shared.outbox).await {
            while let Ok(Some(entry)) = entries.next_entry().await {
                files.extend(entry.file_name().into_string().ok().filter(|name| is_mail(name)));
            }
        }
        files.sort_unstable_by(|one, other| other.cmp(one));
        let mut mails = Vec::new();
        for file in files.into_iter().take(SHOWN) {
            let text = tokio::fs::read_to_string(self.shared.outbox.join(&file)).await.unwrap_or_default();
            let head = text.split("\n\n").next().unwrap_or_default();
            let field = |name: &str| head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "));
            mails.push(json!({
                "file": file,
                "to": field("To"),
                "subject": field("Subject"),
                "date": field("Date"),
            }));
        }
        mails
    }

    async fn mail(&self, file: &str) -> Result<String, ApiError> {
        let none = || ApiError::new(404, "NotFound", "there is no such e-mail");
        // Only a name that the outbox itself gives: nothing that leads out of the folder.
        if !is_mail(file) {
            return Err(none());
        }
        tokio::fs::read_to_string(self.shared.outbox.join(file)).await.map(|text| redact(&text)).map_err(|_| none())
    }

    fn functions(&self) -> Vec<Value> {
        let names = self.shared.lambda.names();
        names
            .into_iter()
            .map(|name| {
                let lines = self.shared.lambda.log(&name).len();
                json!({ "name": name, "processes": self.shared.lambda.processes(&name).len(), "lines": lines })
            })
            .collect()
    }

    fn log(&self, function: &str) -> String {
        let lines = self.shared.lambda.log(function);
        redact(&lines[lines.len().saturating_sub(LINES)..].join("\n"))
    }
}

/// One line for the page's list of what happens; `None` for what would only be noise there.
fn shown(entry: &Entry) -> Option<Value> {
    let (kind, text, error) = match &entry.what {
        What::Created { .. } => return None,
        What::Call { service, operation, function, error } => {
            let who = function.as_deref().map(|name| format!(" by {name}")).unwrap_or_default();
            ("call", format!("{service} {operation}{who}"), error.clone())
        }
        What::Denied { principal, action, resource } => {
            let who = principal.rsplit('/').next().unwrap_or(principal);
            ("denied", format!("{who} may not {action} on {resource}"), Some("AccessDenied".to_owned()))
        }
        What::FunctionStarted { function, pid } => ("function", format!("{function} starts as process {pid}"), None),
        What::Invoked { function, .. } => ("function", format!("{function} is invoked"), None),
        What::Returned { function, error, .. } => ("function", format!("{function} returns"), error.clone()),
        What::FunctionEnded { function, reason, .. } => ("function", format!("{function} ended: {reason}"), None),
        What::Event { source, detail_type, fate, .. } => ("event", format!("{source}: {detail_type} ({fate:?})"), None),
        What::Delivered { rule, target, error } => ("event", format!("rule {rule} to {target}"), error.clone()),
        What::MessageSent { queue, .. } => ("message", format!("a message on {queue}"), None),
        What::MessageReceived { queue, receives, .. } => {
            ("message", format!("a message of {queue} is handed out, {receives}. time"), None)
        }
        What::MessageDead { queue, .. } => ("message", format!("a message of {queue} is given up"), None),
        What::Published { topic, .. } => ("message", format!("a message to the topic {topic}"), None),
        What::Notified { topic, endpoint, error, .. } => {
            ("message", format!("topic {topic} to {endpoint}"), error.clone())
        }
        What::Mailed { to, subject, .. } => ("mail", format!("e-mail to {to}: {subject}"), None),
        What::Execution { arn, status } => {
            ("execution", format!("{} is {status}", arn.rsplit(':').next().unwrap_or(arn)), None)
        }
    };
    let mut line = Map::new();
    line.insert("at".into(), json!(entry.at.timestamp_millis()));
    line.insert("kind".into(), json!(kind));
    line.insert("text".into(), json!(redact(&text)));
    if let Some(error) = error {
        line.insert("error".into(), json!(redact(&error)));
    }
    Some(Value::Object(line))
}

fn list<'v>(value: &'v Value, member: &str) -> &'v [Value] {
    value.get(member).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn newest(mut all: Vec<Value>, by: &str) -> Vec<Value> {
    let time = |value: &Value| value.get(by).and_then(Value::as_f64).unwrap_or_default();
    all.sort_by(|one, other| time(other).total_cmp(&time(one)));
    all.truncate(SHOWN);
    all
}

fn is_mail(name: &str) -> bool {
    name.ends_with(".eml") && !name.starts_with('.') && !name.contains(['/', '\\', '%'])
}

/// A name that a browser on this machine uses. Another one would be a site that made its name point here.
fn is_local(headers: &HeaderMap) -> bool {
    let host = headers.get(header::HOST).and_then(|host| host.to_str().ok()).unwrap_or_default();
    let name = host.rsplit_once(':').map_or(host, |(name, _)| name);
    matches!(name, "127.0.0.1" | "localhost" | "[::1]")
}

fn json_body(value: &Value) -> (&'static str, Body) {
    ("application/json", Body::from(value.to_string()))
}

fn text_body(text: &str) -> (&'static str, Body) {
    ("text/plain; charset=utf-8", Body::from(text.to_owned()))
}

fn plain(status: StatusCode, text: &str) -> Response<Body> {
    respond(status, "text/plain; charset=utf-8", Body::from(text.to_owned()))
}

fn respond(status: StatusCode, kind: &str, body: Body) -> Response<Body> {
    let built = Response::builder()
        .status(status)
        .header(header::CONTENT_TYPE, kind)
        .header(header::CACHE_CONTROL, "no-store")
        .header(header::CONTENT_SECURITY_POLICY, POLICY)
        .header(header::X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(header::REFERRER_POLICY, "no-referrer")
        .body(body);
    // All of these are constants that a header can hold.
    built.unwrap_or_default()
}
