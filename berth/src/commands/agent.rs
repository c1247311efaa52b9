//! `berth agent …`.

use crate::{cli::AgentCommand, exit::Outcome, output::Printer};

/// Carries out `berth agent …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(_command: AgentCommand, _printer: Printer) -> Outcome {
    Ok(())
}
