//! The planner function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::exit_code(&planner_function::run())
}
