//! Executions: strands of states that run until they wait for something.
//!
//! A strand is one line of states: the execution's own, a branch of a Parallel, an iteration of a Map. The engine runs
//! every strand that can go on, one after the other and in a fixed order, until all of them wait for a timer, a task or
//! their children. Must never look back into the history: what a transition costs does not depend on how many came before.

mod children;
mod context;
mod distributed;
mod failure;
mod map_run;
mod nested;
mod registry;
mod results;
mod states;
mod status_change;
mod task;
mod timers;

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;

use serde_json::Value;

pub(crate) use failure::Trouble;
pub(crate) use map_run::MapRunRecord;
pub(crate) use registry::{Alias, Registered, Revision, Route, Target, Version};
pub(crate) use task::{Outcome, TokenError};
use timers::{Timer, TimerKey, Timers, What};

use crate::definition::{Program, State};
use crate::environment::{Chance, Context, Environment, MOST_COPIED, Variables};
use crate::history::{Details, Event, Failed};
use crate::payload::Payload;
use crate::{Command, Config, Ids, TaskId};

/// An execution has at most this many events (Step Functions quotas).
const MOST_EVENTS: usize = 25_000;

/// How long after its end an execution can be redriven: 14 days, in milliseconds ("Redriving executions").
const REDRIVE_PERIOD: i64 = 14 * 24 * 3600 * 1000;

/// Index of an execution. Executions are never removed.
pub(crate) type ExecutionId = usize;
/// Number of a strand within its execution; 0 is the execution's own.
pub(crate) type StrandId = u32;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Status {
    Running,
    Succeeded,
    Failed,
    TimedOut,
    Aborted,
}

impl Status {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Running => "RUNNING",
            Self::Succeeded => "SUCCEEDED",
            Self::Failed => "FAILED",
            Self::TimedOut => "TIMED_OUT",
            Self::Aborted => "ABORTED",
        }
    }
}

#[derive(Debug)]
pub(crate) struct Execution {
    pub arn: Arc<str>,
    pub name: Arc<str>,
    pub revision: Arc<Revision>,
    /// The ARNs of the version and the alias by which it was started.
    pub version: Option<Arc<str>>,
    pub alias: Option<Arc<str>>,
    pub input: Payload,
    pub started: i64,
    pub stopped: Option<i64>,
    pub status: Status,
    pub output: Option<Payload>,
    pub failed: Failed,
    pub history: Vec<Event>,
    strands: BTreeMap<StrandId, Strand>,
    next_strand: StrandId,
    timeout: Option<TimerKey>,
    pub redrives: Redrives,
    /// The ARNs of its Map Runs, in order of their start.
    pub map_runs: Vec<Arc<str>>,
    /// The `.sync` task that started this one.
    started_by: Option<TaskId>,
}

/// What `RedriveExecution` needs and leaves behind.
#[derive(Debug, Default)]
pub(crate) struct Redrives {
    pub count: u32,
    /// Milliseconds since 1970.
    pub at: Option<i64>,
    /// The `clientToken` of the last one.
    pub token: Option<String>,
    /// The execution's own strand in the state in which it ended without success.
    strand: Option<Box<Strand>>,
}

#[derive(Debug)]
struct Strand {
    parent: Option<StrandId>,
    /// Which branch or iteration of the parent it is.
    index: usize,
    program: Arc<Program>,
    state: usize,
    /// The state's raw input.
    input: Payload,
    variables: Variables,
    /// The last event of this line: the next one's `previousEventId`.
    last_event: u32,
    /// The event with which the current state was entered, and the one before it.
    entered: u32,
    before_entered: u32,
    entered_at: i64,
    /// Attempts so far of each of the state's retriers.
    retries: Vec<u64>,
    retry_count: u64,
    item: Option<Arc<Item>>,
    /// Set in children of a distributed Map: they are executions of their own and not in this history.
    run: Option<Arc<MapChild>>,
    /// Events that a child of a distributed Map would have in its own history.
    unrecorded: usize,
    phase: Phase,
}

/// `$$.Map.Item`.
#[derive(Debug)]
struct Item {
    index: usize,
    value: Arc<Value>,
}

/// What the context object of a distributed Map's child says about its execution.
#[derive(Debug)]
struct MapChild {
    arn: String,
    name: String,
    machine: String,
    input: Payload,
    /// Milliseconds since 1970.
    started: i64,
}

#[derive(Debug)]
enum Phase {
    /// The state is to be entered.
    Ready,
    /// A Wait state, or the pause before a retry.
    Timer(TimerKey),
    Task(Box<task::Attempt>),
    Children(Box<children::Children>),
    /// A distributed Map reads its items or writes its results.
    MapRun(Box<distributed::MapRun>),
}

/// One turn of the engine: what it may use and what comes out.
pub(crate) struct Turn<'a> {
    pub now: i64,
    pub ids: RefCell<&'a mut dyn Ids>,
    pub commands: Vec<Command>,
    ready: VecDeque<(ExecutionId, StrandId)>,
    /// Outcomes of tasks that were decided inside: calls of this service itself, children that ended.
    settled: VecDeque<(TaskId, Outcome)>,
}

impl<'a> Turn<'a> {
    pub(crate) fn new(now: i64, ids: &'a mut dyn Ids) -> Self {
        Self { now, ids: RefCell::new(ids), commands: Vec::new(), ready: VecDeque::new(), settled: VecDeque::new() }
    }

    pub(crate) fn chance(&self) -> u128 {
        self.ids.borrow_mut().next()
    }
}

/// All executions with their timers and open tasks.
#[derive(Debug)]
pub(crate) struct Engine {
    pub config: Config,
    region: Arc<str>,
    pub executions: Vec<Execution>,
    tasks: HashMap<TaskId, (ExecutionId, StrandId)>,
    next_task: u64,
    tokens: task::Tokens,
    timers: Timers,
    /// By ARN; also what nested executions are started from.
    pub machines: BTreeMap<Arc<str>, Registered>,
    /// Executions by ARN.
    pub by_arn: HashMap<Arc<str>, ExecutionId>,
    /// Map Runs by ARN.
    pub map_runs: HashMap<Arc<str>, MapRunRecord>,
    /// Without one every call is allowed.
    pub authority: Option<Arc<dyn crate::Authority>>,
}

impl Engine {
    pub(crate) fn new(config: Config) -> Self {
        Self {
            region: config.region.as_str().into(),
            config,
            executions: Vec::new(),
            tasks: HashMap::new(),
            next_task: 1,
            tokens: task::Tokens::default(),
            timers: Timers::default(),
            machines: BTreeMap::new(),
            by_arn: HashMap::new(),
            map_runs: HashMap::new(),
            authority: None,
        }
    }

    /// Starts an execution; the name is free. It runs when [`Engine::run`] is called.
    pub(crate) fn start(
        &mut self,
        target: Target,
        name: &str,
        input: Payload,
        started_by: Option<TaskId>,
        nested: bool,
        turn: &mut Turn<'_>,
    ) -> ExecutionId {
        let Target { revision, version, alias } = target;
        let id = self.executions.len();
        let arn: Arc<str> = self.execution_arn(&revision.name, name).into();
        let mut execution = Execution {
            arn: Arc::clone(&arn),
            name: name.into(),
            input: input.clone(),
            started: turn.now,
            stopped: None,
            status: Status::Running,
            output: None,
            failed: Failed::default(),
            history: Vec::with_capacity(8),
            strands: BTreeMap::new(),
            next_strand: 1,
            timeout: None,
            redrives: Redrives::default(),
            map_runs: Vec::new(),
            started_by,
            revision,
            version,
            alias,
        };
        let details = Details::ExecutionStarted {
            input: input.clone(),
            role: Arc::clone(&execution.revision.role),
            version: execution.version.clone(),
            alias: execution.alias.clone(),
        };
        execution.history.push(Event { previous: 0, at: turn.now, details });
        let program = Arc::clone(&execution.revision.machine.program);
        execution.strands.insert(0, Strand::new(None, 0, program, input, Variables::default(), 0));
        execution.timeout = self.timers.limit(id, execution.revision.machine.timeout, turn.now);
        self.by_arn.insert(arn, id);
        if let Some(machine) = self.machines.get_mut(&execution.revision.machine_arn) {
            machine.executions.push(id);
        }
        self.executions.push(execution);
        self.announce(id, turn);
        if nested {
            // In a turn of its own: machines that start each other without end must not keep a turn from ending.
            self.timers.add(turn.now, Timer { execution: id, strand: 0, what: What::Begin });
        } else {
            turn.ready.push_back((id, 0));
        }
        id
    }

    pub(crate) fn execution_arn(&self, machine: &str, name: &str) -> String {
        let Config { partition, region, account } = &self.config;
        format!("arn:{partition}:states:{region}:{account}:execution:{machine}:{name}")
    }

    /// Lets everything go on that can.
    pub(crate) fn run(&mut self, turn: &mut Turn<'_>) {
        loop {
            if let Some((execution, strand)) = turn.ready.pop_front() {
                while self.strand(execution, strand).is_some_and(|strand| matches!(strand.phase, Phase::Ready)) {
                    self.enter(execution, strand, turn);
                }
            } else if let Some((task, outcome)) = turn.settled.pop_front() {
                self.task_ended(task, outcome, turn);
            } else {
                break;
            }
        }
    }

    /// Does what is due.
    pub(crate) fn due(&mut self, turn: &mut Turn<'_>) {
        let known = self.timers.issued();
        while let Some(timer) = self.timers.pop_due(turn.now, known) {
            match timer.what {
                What::Execution => self.end(timer.execution, Status::TimedOut, Failed::default(), turn),
                What::Begin => turn.ready.push_back((timer.execution, timer.strand)),
                What::Wait => self.wait_over(timer.execution, timer.strand, turn),
                What::Retry => self.execute(timer.execution, timer.strand, turn),
                What::Task(task) => self.task_timed_out(task, false, turn),
                What::Heartbeat(task) => self.task_timed_out(task, true, turn),
            }
            self.run(turn);
        }
    }

    pub(crate) fn next_timer(&self) -> Option<i64> {
        self.timers.next()
    }

    fn strand(&self, execution: ExecutionId, strand: StrandId) -> Option<&Strand> {
        self.executions.get(execution)?.strands.get(&strand)
    }

    fn strand_mut(&mut self, execution: ExecutionId, strand: StrandId) -> Option<&mut Strand> {
        self.executions.get_mut(execution)?.strands.get_mut(&strand)
    }

    /// Appends an event of this strand. `advances` makes it the strand's last one. Children of a distributed Map leave
    /// no events here.
    fn record(
        &mut self,
        execution: ExecutionId,
        strand: StrandId,
        advances: bool,
        details: Details,
        turn: &Turn<'_>,
    ) -> u32 {
        let execution = &mut self.executions[execution];
        let Some(strand) = execution.strands.get_mut(&strand) else {
            return 0;
        };
        if strand.run.is_some() {
            strand.unrecorded += 1;
            return strand.last_event;
        }
        execution.history.push(Event { previous: strand.last_event, at: turn.now, details });
        let id = u32::try_from(execution.history.len()).unwrap_or(u32::MAX);
        if advances {
            strand.last_event = id;
        }
        id
    }

    /// Evaluates something in the environment of a strand. `data` is JSONPath's `$`.
    fn with_environment<R>(
        &self,
        execution: ExecutionId,
        strand: StrandId,
        turn: &Turn<'_>,
        data: &Value,
        evaluate: impl FnOnce(&Environment<'_>) -> R,
    ) -> Option<R> {
        let whole = self.executions.get(execution)?;
        let strand = whole.strands.get(&strand)?;
        let make = || context::object(whole, strand);
        let context = Context::new(&make);
        let chance: &dyn Chance = &turn.ids;
        let budget = Cell::new(MOST_COPIED);
        let environment = Environment {
            data,
            context: &context,
            variables: &strand.variables,
            input: strand.input.value(),
            result: None,
            error_output: None,
            ids: chance,
            now: turn.now,
            budget: &budget,
        };
        Some(evaluate(&environment))
    }

    /// Ends an execution that is still running: stops what it waits for and tells whoever is interested.
    pub(crate) fn end(&mut self, id: ExecutionId, status: Status, failed: Failed, turn: &mut Turn<'_>) {
        if self.executions[id].status != Status::Running {
            return;
        }
        let last = self.strand(id, 0).map_or(0, |strand| strand.last_event);
        let strands: Vec<StrandId> = self.executions[id].strands.keys().copied().collect();
        for strand in strands {
            self.release(id, strand, turn);
        }
        for run in self.executions[id].map_runs.clone() {
            self.map_run_ended(&run, "ABORTED", turn.now);
        }
        let execution = &mut self.executions[id];
        let own = std::mem::take(&mut execution.strands).remove(&0);
        execution.redrives.strand = own.filter(|_| status != Status::Succeeded).map(Box::new);
        execution.status = status;
        execution.stopped = Some(turn.now);
        execution.failed = failed.clone();
        let (previous, details) = match status {
            // Recorded: an end that came from outside follows no event.
            Status::Aborted => (0, Details::ExecutionAborted(failed)),
            Status::TimedOut => (0, Details::ExecutionTimedOut(failed)),
            Status::Failed => (last, Details::ExecutionFailed(failed)),
            Status::Succeeded | Status::Running => {
                let output = execution.output.clone().unwrap_or_else(|| Payload::new(Value::Null));
                (last, Details::ExecutionSucceeded { output })
            }
        };
        execution.history.push(Event { previous, at: turn.now, details });
        execution.history.shrink_to_fit();
        let (timeout, started_by) = (execution.timeout.take(), execution.started_by.take());
        if let Some(timer) = timeout {
            self.timers.cancel(timer);
        }
        self.announce(id, turn);
        turn.commands.push(Command::Ended { execution_arn: self.executions[id].arn.to_string() });
        if let Some(task) = started_by {
            self.child_ended(task, id, turn);
        }
    }

    /// Runs an execution on from the state in which it ended without success. As at AWS with the same input and
    /// definition and with new retry counters; a Map or Parallel runs again as a whole, where AWS goes on inside it.
    pub(crate) fn redrive(&mut self, id: ExecutionId, token: Option<&str>, turn: &mut Turn<'_>) {
        let execution = &mut self.executions[id];
        let Some(mut strand) = execution.redrives.strand.take() else {
            return;
        };
        execution.redrives.count += 1;
        execution.redrives.at = Some(turn.now);
        execution.redrives.token = token.map(str::to_owned);
        execution.status = Status::Running;
        execution.stopped = None;
        execution.failed = Failed::default();
        let previous = u32::try_from(execution.history.len()).unwrap_or(u32::MAX);
        let details = Details::ExecutionRedriven { count: execution.redrives.count };
        execution.history.push(Event { previous, at: turn.now, details });
        strand.last_event = previous + 1;
        strand.retries.clear();
        strand.retry_count = 0;
        execution.strands.insert(0, *strand);
        execution.timeout = self.timers.limit(id, execution.revision.machine.timeout, turn.now);
        self.announce(id, turn);
        self.execute(id, 0, turn);
    }

    /// Lets go of what a strand waits for: timers, tasks, nested executions.
    fn release(&mut self, execution: ExecutionId, strand: StrandId, turn: &mut Turn<'_>) {
        let Some(found) = self.strand_mut(execution, strand) else {
            return;
        };
        match std::mem::replace(&mut found.phase, Phase::Ready) {
            Phase::Timer(timer) => self.timers.cancel(timer),
            Phase::Task(attempt) => self.drop_attempt(*attempt, turn),
            Phase::MapRun(run) => self.drop_map_run(*run, turn),
            Phase::Ready | Phase::Children(_) => {}
        }
    }
}

impl Execution {
    /// `redriveStatus` and its reason, as `DescribeExecution` words them.
    pub(crate) fn redrive_status(&self, now: i64) -> (&'static str, Option<&'static str>) {
        let not = |reason| ("NOT_REDRIVABLE", Some(reason));
        match self.status {
            Status::Running => not("Execution is RUNNING and cannot be redriven"),
            Status::Succeeded => not("Execution is SUCCEEDED and cannot be redriven"),
            _ if self.history.len() >= MOST_EVENTS - 1 => {
                not("Execution history event limit is reached and cannot be redriven")
            }
            _ if self.stopped.is_some_and(|stopped| now - stopped > REDRIVE_PERIOD) => {
                not("Execution redrive period is exceeded and cannot be redriven")
            }
            _ => ("REDRIVABLE", None),
        }
    }
}

impl Strand {
    fn new(
        parent: Option<StrandId>,
        index: usize,
        program: Arc<Program>,
        input: Payload,
        variables: Variables,
        last_event: u32,
    ) -> Self {
        Self {
            parent,
            index,
            state: program.start,
            program,
            input,
            variables,
            last_event,
            entered: 0,
            before_entered: 0,
            entered_at: 0,
            retries: Vec::new(),
            retry_count: 0,
            item: None,
            run: None,
            unrecorded: 0,
            phase: Phase::Ready,
        }
    }

    fn current(&self) -> &State {
        &self.program.states[self.state]
    }
}
