//! Which states a definition can come to, and whether it can end. Must only run on a program whose targets all exist.

use super::diagnostics::Findings;
use super::{Kind, Next, Program};

/// Reports states that no transition leads to. Measured at AWS: when nothing can end, that is the only finding.
pub(super) fn check(program: &Program, location: &str, findings: &mut Findings) {
    if !program.states.iter().any(ends) {
        findings.add("MISSING_END_STATE", None, "Workflow has no terminal state");
        return;
    }
    let mut reached = vec![false; program.states.len()];
    let mut open = vec![program.start];
    while let Some(at) = open.pop() {
        if std::mem::replace(&mut reached[at], true) {
            continue;
        }
        let state = &program.states[at];
        open.extend(state.catch.iter().map(|catcher| catcher.next));
        match &state.kind {
            Kind::Choice { rules, default } => {
                open.extend(rules.iter().map(|rule| rule.next));
                open.extend(default);
            }
            Kind::Succeed | Kind::Fail { .. } => {}
            _ => {
                if let Next::State(next) = state.next {
                    open.push(next);
                }
            }
        }
    }
    for (state, reached) in program.states.iter().zip(reached) {
        if !reached {
            findings.add(
                "MISSING_TRANSITION_TARGET",
                Some(&format!("{location}/States/{}", state.name)),
                format!("State \"{}\" is not reachable.", state.name),
            );
        }
    }
}

fn ends(state: &super::State) -> bool {
    match state.kind {
        Kind::Succeed | Kind::Fail { .. } => true,
        Kind::Choice { .. } => false,
        _ => state.next == Next::End,
    }
}
