//! What the command says.

use std::io::Write;

/// A line of the answer.
pub(crate) fn line(text: &str) {
    // Nobody reading is no reason to stop.
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// What went wrong, on one line unless its last cause has more.
pub(crate) fn error(error: &anyhow::Error) {
    let _ = writeln!(std::io::stderr(), "error: {error:#}");
}
