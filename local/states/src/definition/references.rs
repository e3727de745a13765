//! Which variables each state refers to: `variableReferences` of `DescribeStateMachine`.

use std::collections::{BTreeMap, BTreeSet};

use super::{Condition, Given, Kind, Machine, Operand, Program, Selection, State, Wait};
use crate::expression::Expression;
use crate::json_path::{Path, Root};
use crate::template::Template;

impl Machine {
    /// The names that each state refers to, by state; states without any are left out.
    pub(crate) fn variable_references(&self) -> BTreeMap<String, Vec<String>> {
        let mut found = BTreeMap::new();
        program(&self.program, &mut found);
        found
    }
}

fn program(program_: &Program, found: &mut BTreeMap<String, Vec<String>>) {
    for state in &program_.states {
        let mut names = Names::default();
        names.state(state);
        if !names.0.is_empty() {
            found.insert(state.name.to_string(), names.0.into_iter().collect());
        }
        match &state.kind {
            Kind::Map(map) => program(&map.program, found),
            Kind::Parallel { branches } => branches.iter().for_each(|branch| program(branch, found)),
            _ => {}
        }
    }
}

#[derive(Default)]
struct Names(BTreeSet<String>);

impl Names {
    fn state(&mut self, state: &State) {
        self.selection(&state.input_path);
        self.selection(&state.output_path);
        for template in [&state.arguments, &state.result_selector, &state.output].into_iter().flatten() {
            self.template(template);
        }
        state.assign.iter().for_each(|(_, template)| self.template(template));
        for catcher in &state.catch {
            catcher.output.iter().for_each(|template| self.template(template));
            catcher.assign.iter().for_each(|(_, template)| self.template(template));
        }
        match &state.kind {
            Kind::Task(task) => {
                [&task.timeout, &task.heartbeat].into_iter().flatten().for_each(|given| self.given(given));
                task.credentials.iter().for_each(|template| self.template(template));
            }
            Kind::Choice { rules, .. } => {
                for rule in rules {
                    self.condition(&rule.condition);
                    rule.output.iter().for_each(|template| self.template(template));
                    rule.assign.iter().for_each(|(_, template)| self.template(template));
                }
            }
            Kind::Wait(Wait::Seconds(given) | Wait::Timestamp(given)) => self.given(given),
            Kind::Fail { error, cause } => {
                [error, cause].into_iter().flatten().for_each(|text| self.template(&text.template));
            }
            Kind::Map(map) => {
                map.items_path.iter().for_each(|path| self.path(path));
                [&map.items, &map.selector].into_iter().flatten().for_each(|template| self.template(template));
                let numbers = [&map.concurrency, &map.tolerated_count, &map.tolerated_percentage];
                numbers.into_iter().flatten().for_each(|given| self.given(given));
                if let Some(distributed) = &map.distributed {
                    if let Some(reader) = &distributed.reader {
                        self.template(&reader.arguments);
                        reader.max_items.iter().for_each(|given| self.given(given));
                    }
                    if let Some(batcher) = &distributed.batcher {
                        batcher.input.iter().for_each(|template| self.template(template));
                        [&batcher.max_items, &batcher.max_bytes]
                            .into_iter()
                            .flatten()
                            .for_each(|given| self.given(given));
                    }
                    if let Some(writer) = &distributed.writer {
                        self.template(&writer.arguments);
                    }
                }
            }
            Kind::Pass { .. } | Kind::Succeed | Kind::Parallel { .. } => {}
        }
    }

    fn path(&mut self, path: &Path) {
        if let Root::Variable(name) = path.root() {
            self.0.insert(name.clone());
        }
    }

    fn selection(&mut self, selection: &Selection) {
        if let Selection::Path(path) = selection {
            self.path(path);
        }
    }

    fn given(&mut self, given: &Given) {
        match given {
            Given::Literal(_) => {}
            Given::Path(path) => self.path(path),
            Given::Expression(expression) => self.expression(expression),
        }
    }

    fn expression(&mut self, expression: &Expression) {
        self.0.extend(expression.variables());
    }

    fn template(&mut self, template: &Template) {
        match template {
            Template::Object(members) => members.iter().for_each(|(_, member)| self.template(member)),
            Template::Array(items) => items.iter().for_each(|item| self.template(item)),
            Template::Jsonata(expression) => self.expression(expression),
            other => other.visit_paths(&mut |path| self.path(path)),
        }
    }

    fn condition(&mut self, condition: &Condition) {
        match condition {
            Condition::And(parts) | Condition::Or(parts) => parts.iter().for_each(|part| self.condition(part)),
            Condition::Not(part) => self.condition(part),
            Condition::Compare(comparison) => {
                self.path(&comparison.variable);
                if let Operand::Path(path) = &comparison.operand {
                    self.path(path);
                }
            }
            Condition::Expression(expression) => self.expression(expression),
            Condition::Constant(_) => {}
        }
    }
}
