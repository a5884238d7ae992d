//! SIGINT and SIGTERM: the first cancels, the second leaves.

use std::io::{self, Write};

use crate::{CancelToken, Failure, media};

/// Connects the signals to `token`. On the second one removes temporary files and calls `leave`.
pub fn install(token: &CancelToken, leave: fn()) -> Result<(), Failure> {
    let token = token.clone();
    let handler = move || {
        if token.cancel() {
            media::remove_leftovers();
            leave();
        }
        let _ = writeln!(io::stderr(), "stopping after this step; interrupt again to leave at once");
    };
    ctrlc::set_handler(handler).map_err(|e| Failure::failed(format!("signals cannot be handled: {e}")))
}
