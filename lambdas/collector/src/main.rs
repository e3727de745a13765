//! The collector function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::exit_code(&collector_function::run())
}
