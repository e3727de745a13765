//! The installer function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::exit_code(&installer_function::run())
}
