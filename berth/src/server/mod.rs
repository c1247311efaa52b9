//! `berth server`.

mod settings;

pub use settings::{checked, gather_settings};

use crate::{cli::SettingArgs, exit::Outcome};

/// Runs the platform.
///
/// # Errors
/// It could not be started.
pub async fn run(args: &SettingArgs) -> Outcome {
    checked(&gather_settings(args)?).map(drop)
}
