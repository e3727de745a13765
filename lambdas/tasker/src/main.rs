//! The tasker function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::execute(tasker_function::run)
}
