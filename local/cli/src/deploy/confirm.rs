//! The question before something is taken away.

use std::io::{BufRead as _, IsTerminal as _, Write as _};

use crate::Error;

/// Whether a person agrees. `yes` agrees in advance; without a terminal nobody can.
///
/// # Errors
/// [`Error::Usage`] where nobody can be asked.
pub fn confirm(yes: bool, what: &str) -> Result<bool, Error> {
    if yes {
        return Ok(true);
    }
    let stdin = std::io::stdin();
    if !stdin.is_terminal() {
        return Err(Error::Usage(format!("{what}: agree to it with --yes")));
    }
    eprint!("{what}. Go on? [y/N] ");
    let refused = |error| Error::Machine("asking".into(), error);
    std::io::stderr().flush().map_err(refused)?;
    let mut answer = String::new();
    stdin.lock().read_line(&mut answer).map_err(refused)?;
    Ok(matches!(answer.trim(), "y" | "Y" | "yes"))
}
