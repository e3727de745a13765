//! Whatever comes as definition and input: nothing panics, every turn ends, and an execution that was stopped waits for
//! nothing. The beginning of the data up to a zero byte is the definition, the rest the input and what tasks answer.

#![no_main]

use chrono::{DateTime, Duration};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use states::service::StepFunctions;
use states::{Command, Config, Event, SeededIds, TaskFailure};

fuzz_target!(|data: &[u8]| {
    let mut parts = data.splitn(2, |byte| *byte == 0);
    let text = |part: Option<&[u8]>| String::from_utf8_lossy(part.unwrap_or_default()).into_owned();
    let (definition, rest) = (text(parts.next()), text(parts.next()));
    let _ = states::check::file(&definition);
    let input: Value = serde_json::from_str(&rest).unwrap_or_else(|_| json!({ "text": rest }));
    run(&definition, &input);
});

fn run(definition: &str, input: &Value) {
    let mut service = StepFunctions::new(Config::default());
    let mut ids = SeededIds::new(1);
    let mut now = DateTime::from_timestamp(1_800_000_000, 0).expect("a moment");
    let role = "arn:aws:iam::000000000000:role/machine";
    let create = json!({ "name": "m", "roleArn": role, "definition": definition });
    let (created, _) = service.call("CreateStateMachine", &create, now, &mut ids);
    let Ok(created) = created else { return };
    let start = json!({ "stateMachineArn": created["stateMachineArn"], "input": input.to_string() });
    let (started, mut commands) = service.call("StartExecution", &start, now, &mut ids);
    let Ok(started) = started else { return };
    for turn in 0..12 {
        let tasks: Vec<_> = commands
            .drain(..)
            .filter_map(|command| if let Command::RunTask { task, .. } = command { Some(task) } else { None })
            .collect();
        for task in tasks {
            let failure = TaskFailure { error: "Error".into(), cause: Some("cause".into()) };
            let result = if turn % 3 == 2 { Err(failure) } else { Ok(input.clone()) };
            commands.extend(service.event(Event::TaskFinished { task, result }, now, &mut ids));
        }
        if let Some(due) = service.next_timer() {
            now = now.max(due.min(now + Duration::days(400)));
            commands.extend(service.due(now, &mut ids));
        }
    }
    let execution = json!({ "executionArn": started["executionArn"] });
    service.call("StopExecution", &execution, now, &mut ids).0.expect("it is there");
    service.call("GetExecutionHistory", &execution, now, &mut ids).0.expect("it is there");
    assert_eq!(service.next_timer(), None, "an execution that has ended waits for nothing");
}
