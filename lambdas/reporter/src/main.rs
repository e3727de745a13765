//! The reporter function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::exit_code(&reporter_function::run())
}
