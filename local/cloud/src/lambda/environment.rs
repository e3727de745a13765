//! One environment: a process in its own process group, its Runtime API and its output.
//!
//! A process must never outlive the host: it is killed with its group when the environment is given up, by the runtime
//! when its task is dropped, and it ends by itself when the host is gone, because its Runtime API is.

use std::ffi::OsString;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use serde_json::json;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::{Child, Command};
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio::time::Instant;

use super::log::Sink;
use super::runtime_api::{Answer, MAX_PAYLOAD, RuntimeApi, Work};
use super::settings::Settings;
use super::{Config, Function};
use crate::trace::What;
use crate::{ApiError, Caller, DEFAULT_REGION};

/// How long a process may take to its first `next` before its time counts as the invocation's (Lambda guide,
/// "Lambda execution environment lifecycle").
const INIT: Duration = Duration::from_secs(10);
/// Variables of the machine that a dynamically linked program may need to start at all.
const INHERITED: [&str; 4] = ["PATH", "LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "TMPDIR"];

/// What came of an invocation in an environment.
pub(super) enum Outcome {
    /// The answer, or the error as JSON.
    Answered { payload: Bytes, failed: bool },
    /// The process never took the invocation, because it had ended after the one before.
    NotTaken,
}

/// A running process that takes one invocation at a time.
pub(super) struct Environment {
    api: RuntimeApi,
    kill: Arc<Notify>,
    exited: watch::Receiver<Option<String>>,
    sink: Sink,
    drained: mpsc::Sender<oneshot::Sender<()>>,
    started: Instant,
    pid: u32,
    fresh: bool,
}

impl Environment {
    /// Starts the process; it has not called `next` yet.
    pub(super) async fn start(config: &Config, function: &Arc<Function>) -> Result<Self, ApiError> {
        let settings = &function.settings;
        let failure = |error: std::io::Error| {
            let text = format!("{} cannot be started: {error}", settings.name);
            ApiError::new(500, "ServiceException", text)
        };
        let api = RuntimeApi::start().await.map_err(failure)?;
        let credentials = config.identity.issue(&settings.role, &settings.name);
        let mut words = config.command.iter();
        let program = words.next().cloned().unwrap_or_else(|| OsString::from(&settings.program));
        let mut command = Command::new(program);
        command.args(words).arg(&settings.program).env_clear();
        for name in INHERITED {
            if let Some(value) = std::env::var_os(name) {
                command.env(name, value);
            }
        }
        let region = if config.region.is_empty() { DEFAULT_REGION } else { &config.region };
        command
            .envs(&settings.environment)
            .env("AWS_LAMBDA_RUNTIME_API", api.address.to_string())
            .env("AWS_LAMBDA_FUNCTION_NAME", &settings.name)
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", settings.memory.to_string())
            .env("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand")
            .env("AWS_LAMBDA_LOG_GROUP_NAME", &settings.log_group)
            .env("AWS_LAMBDA_LOG_STREAM_NAME", &credentials.access_key_id[4..])
            .env("AWS_EXECUTION_ENV", "AWS_Lambda_provided.al2023")
            .env("_HANDLER", &settings.handler)
            .env("TZ", ":UTC")
            .env("AWS_REGION", region)
            .env("AWS_DEFAULT_REGION", region)
            .env("AWS_ENDPOINT_URL", &config.endpoint)
            // Nothing may look for credentials of the machine.
            .env("AWS_EC2_METADATA_DISABLED", "true")
            .env("AWS_ACCESS_KEY_ID", &credentials.access_key_id)
            .env("AWS_SECRET_ACCESS_KEY", &credentials.secret_access_key)
            .env("AWS_SESSION_TOKEN", &credentials.session_token)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(failure)?;
        let pid = child.id().unwrap_or_default();
        let kill = Arc::new(Notify::new());
        let (exit, exited) = watch::channel(None);
        // Without the permission a function runs as ever and leaves no log, as at AWS.
        let caller = Caller::assumed(&settings.role, &settings.name).of_function(&settings.name);
        let logs = config.identity.authorizer().may_log(&caller, &settings.log_group);
        let sink = Sink::new(logs.then(|| function.log.clone()));
        let (drained, drain) = mpsc::channel(1);
        let output = child.stdout.take().zip(child.stderr.take());
        if let Some((stdout, stderr)) = output {
            tokio::spawn(copy_output(stdout, stderr, sink.clone(), drain));
        }
        function.running().insert(pid, Arc::clone(&kill));
        let supervisor = Supervisor {
            config: config.clone(),
            function: Arc::clone(function),
            access_key_id: credentials.access_key_id,
            pid,
        };
        tokio::spawn(supervisor.run(child, Arc::clone(&kill), exit));
        config.trace.emit(What::FunctionStarted { function: settings.name.clone(), pid });
        Ok(Self { api, kill, exited, sink, drained, started: Instant::now(), pid, fresh: true })
    }

    /// Whether the process still runs.
    pub(super) fn alive(&self) -> bool {
        self.exited.borrow().is_none()
    }

    /// Waits until the process has ended.
    pub(super) async fn ended(&mut self) {
        gone(&mut self.exited).await;
    }

    /// Ends the process and its group.
    pub(super) fn kill(&self) {
        self.kill.notify_one();
    }

    /// Runs one invocation. Afterwards the environment is of use only if it is still alive. Answers also with the lines
    /// that belong to the invocation.
    pub(super) async fn invoke(
        &mut self,
        settings: &Settings,
        request_id: &str,
        payload: Bytes,
    ) -> (Outcome, Vec<String>) {
        let fresh = std::mem::replace(&mut self.fresh, false);
        let (begun, mut taken) = oneshot::channel();
        let (answer, mut answered) = oneshot::channel();
        self.sink.take();
        let work = Work {
            request_id: request_id.to_owned(),
            arn: settings.arn.clone(),
            payload,
            timeout: settings.timeout,
            begun,
            answer,
        };
        let mut exited = self.exited.clone();
        let limit = Instant::now() + settings.timeout + if fresh { INIT } else { Duration::ZERO };
        if !self.api.give(work) {
            self.kill();
            return (Outcome::NotTaken, Vec::new());
        }
        let took = tokio::select! {
            biased;
            took = &mut taken => took.is_ok(),
            () = gone(&mut exited) => false,
            () = tokio::time::sleep_until(limit) => {
                return self.timed_out(settings, request_id, limit).await;
            }
        };
        if !took && !fresh {
            return (Outcome::NotTaken, Vec::new());
        }
        let init = self.started.elapsed();
        let begun = Instant::now();
        self.sink.line(format!("START RequestId: {request_id} Version: $LATEST"));
        let answer = if took {
            tokio::select! {
                biased;
                answer = &mut answered => answer.ok(),
                () = gone(&mut exited) => answered.try_recv().ok(),
                () = tokio::time::sleep_until(begun + settings.timeout) => {
                    return self.timed_out(settings, request_id, begun).await;
                }
            }
        } else {
            None
        };
        let (payload, failed) = match answer {
            Some(Answer::Response(payload)) => (payload, false),
            Some(Answer::Error(payload)) => (payload, true),
            Some(Answer::TooLarge(size)) => (
                error_json(
                    "Function.ResponseSizeTooLarge",
                    &format!(
                        "Response payload size ({size} bytes) exceeded maximum allowed payload size ({MAX_PAYLOAD} bytes)."
                    ),
                ),
                true,
            ),
            None => match self.api.init_error() {
                Some(payload) => (payload, true),
                None => {
                    let reason = exited.borrow().clone().unwrap_or_default();
                    let text = format!("RequestId: {request_id} Error: {reason}");
                    self.sink.line(text.clone());
                    (error_json("Runtime.ExitError", &text), true)
                }
            },
        };
        let init = fresh.then_some(init);
        let lines = self.report(settings, request_id, begun.elapsed(), init).await;
        (Outcome::Answered { payload, failed }, lines)
    }

    async fn timed_out(&mut self, settings: &Settings, request_id: &str, begun: Instant) -> (Outcome, Vec<String>) {
        self.kill();
        self.ended().await;
        let text = format!("Task timed out after {:.2} seconds", settings.timeout.as_secs_f64());
        self.sink.line(format!("{} {request_id} {text}", chrono::Utc::now().format("%Y-%m-%dT%H:%M:%S%.3fZ")));
        let payload = error_json("Sandbox.Timedout", &format!("RequestId: {request_id} Error: {text}"));
        let lines = self.report(settings, request_id, begun.elapsed(), None).await;
        (Outcome::Answered { payload, failed: true }, lines)
    }

    /// Ends the invocation's part of the log, and answers with it.
    async fn report(
        &self,
        settings: &Settings,
        request_id: &str,
        duration: Duration,
        init: Option<Duration>,
    ) -> Vec<String> {
        let (sender, receiver) = oneshot::channel();
        // What the process wrote before it answered is in the pipe; the copier empties that first. It is gone only
        // when the process closed its output.
        if self.drained.send(sender).await.is_ok() {
            let _ = receiver.await;
        }
        let millis = duration.as_secs_f64() * 1000.0;
        let mut report = format!(
            "REPORT RequestId: {request_id}\tDuration: {millis:.2} ms\tBilled Duration: {:.0} ms\tMemory Size: {} MB",
            millis.ceil(),
            settings.memory
        );
        if let Some(peak) = peak_memory(self.pid) {
            report.push_str(&format!("\tMax Memory Used: {peak} MB"));
        }
        if let Some(init) = init {
            report.push_str(&format!("\tInit Duration: {:.2} ms", init.as_secs_f64() * 1000.0));
        }
        self.sink.line(format!("END RequestId: {request_id}"));
        self.sink.line(report);
        self.sink.take()
    }
}

impl Drop for Environment {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Waits until the process has ended. An error means that the supervisor is gone, and the process with it.
async fn gone(exited: &mut watch::Receiver<Option<String>>) {
    let _ = exited.wait_for(Option::is_some).await;
}

/// Owns the process: the only one to wait for it, and so the only one who may safely signal its group.
struct Supervisor {
    config: Config,
    function: Arc<Function>,
    access_key_id: String,
    pid: u32,
}

impl Supervisor {
    async fn run(self, mut child: Child, kill: Arc<Notify>, exit: watch::Sender<Option<String>>) {
        let status = tokio::select! {
            status = child.wait() => status,
            () = kill.notified() => {
                end_group(self.pid);
                child.wait().await
            }
        };
        let reason = match status {
            Ok(status) => reason(status),
            Err(error) => format!("Runtime exited: {error}"),
        };
        self.function.running().remove(&self.pid);
        self.function.ended.notify_waiters();
        self.config.identity.revoke(&self.access_key_id);
        // Nobody listens when the environment was given up. Who reads the trace finds it gone.
        let _ = exit.send(Some(reason.clone()));
        let function = self.function.settings.name.clone();
        self.config.trace.emit(What::FunctionEnded { function, pid: self.pid, reason });
    }
}

/// Kills a process group whose leader is our child and has not been waited for.
fn end_group(pid: u32) {
    let group = i32::try_from(pid).ok().and_then(rustix::process::Pid::from_raw);
    if let Some(group) = group
        && let Err(error) = rustix::process::kill_process_group(group, rustix::process::Signal::KILL)
    {
        tracing::debug!(%error, pid, "a function's process group was already gone");
    }
}

/// In the words of Lambda's message for a runtime that exits.
fn reason(status: std::process::ExitStatus) -> String {
    use std::os::unix::process::ExitStatusExt as _;
    match (status.code(), status.signal()) {
        (Some(0), _) => "Runtime exited without providing a reason".into(),
        (Some(code), _) => format!("Runtime exited with error: exit status {code}"),
        (None, Some(9)) => "Runtime exited with error: signal: killed".into(),
        (None, Some(15)) => "Runtime exited with error: signal: terminated".into(),
        (None, Some(6)) => "Runtime exited with error: signal: aborted (core dumped)".into(),
        (None, Some(11)) => "Runtime exited with error: signal: segmentation fault".into(),
        (None, signal) => format!("Runtime exited with error: signal: {}", signal.unwrap_or_default()),
    }
}

fn error_json(name: &str, text: &str) -> Bytes {
    json!({ "errorType": name, "errorMessage": text }).to_string().into()
}

/// The most memory that a process held so far, in MB, where the system tells.
fn peak_memory(pid: u32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kilobytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kilobytes.div_ceil(1024))
}

/// Copies what the process prints to its log until both streams are closed. Answers a request to drain only when
/// nothing is left to read: the event of the pipe came before the event of the answer's socket, so by then it is known.
async fn copy_output(
    stdout: impl AsyncRead + Unpin,
    stderr: impl AsyncRead + Unpin,
    sink: Sink,
    mut drain: mpsc::Receiver<oneshot::Sender<()>>,
) {
    let (mut stdout, mut stderr) = (BufReader::new(stdout).split(b'\n'), BufReader::new(stderr).split(b'\n'));
    let (mut out_open, mut err_open) = (true, true);
    let show = |line: Vec<u8>| sink.line(String::from_utf8_lossy(&line).into_owned());
    while out_open || err_open {
        tokio::select! {
            biased;
            line = stdout.next_segment(), if out_open => match line {
                Ok(Some(line)) => show(line),
                Ok(None) | Err(_) => out_open = false,
            },
            line = stderr.next_segment(), if err_open => match line {
                Ok(Some(line)) => show(line),
                Ok(None) | Err(_) => err_open = false,
            },
            Some(done) = drain.recv() => {
                // Whoever asked may have gone.
                let _ = done.send(());
            }
        }
    }
}
