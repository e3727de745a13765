//! The reconciler function's `bootstrap`. It only wires.

use std::process::ExitCode;

fn main() -> ExitCode {
    aws::execute(reconciler_function::run)
}
