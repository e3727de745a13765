//! The completion function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::execute(completion_function::run)
}
