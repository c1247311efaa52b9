//! SIGTERM and SIGINT: the first asks for a tidy end, the second ends at once.

use crate::exit::{Failure, Outcome};
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Exit code of a process that a second signal ended, as shells have it.
const KILLED: i32 = 130;

/// Both signals.
pub struct Signals {
    terminate: Signal,
    interrupt: Signal,
}

impl Signals {
    /// Takes the signals from now on.
    ///
    /// # Errors
    /// The system does not let us.
    pub fn listen() -> Outcome<Self> {
        let listen = |kind| signal(kind).map_err(|error| Failure::from_error("listen for signals", &error));
        Ok(Self {
            terminate: listen(SignalKind::terminate())?,
            interrupt: listen(SignalKind::interrupt())?,
        })
    }

    /// Waits for the next one and names it.
    pub async fn next(&mut self) -> &'static str {
        tokio::select! {
            _ = self.terminate.recv() => "SIGTERM",
            _ = self.interrupt.recv() => "SIGINT",
        }
    }

    /// Ends the process at the next signal, whatever it is doing. Children die with it.
    pub fn kill_on_next(mut self) {
        tokio::spawn(async move {
            let name = self.next().await;
            eprintln!("{name} again: ended at once");
            std::process::exit(KILLED);
        });
    }
}
