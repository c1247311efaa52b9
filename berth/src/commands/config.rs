//! `berth config FILE`: the model of a Compose file as it is understood.

use crate::{
    cli::ConfigArgs,
    exit::{Failure, Outcome},
    files::{self, Project},
    output::Printer,
};
use berth_compose::{Severity, config};

/// Prints the model of a file and of everything that it names.
///
/// # Errors
/// The file is wrong, or one that it names cannot be read.
pub fn run(args: &ConfigArgs, printer: Printer) -> Outcome {
    let Some((first, over)) = args.files.split_first() else {
        return Err(Failure::usage("no Compose file is named".to_owned()));
    };
    let project = Project::read_over(first, over, &args.variables, &files::shell)?;
    let folder = project.full_folder()?;
    let input = berth_compose::Input {
        project_directory: Some(&folder),
        ..project.input(None)
    };
    match config::normalise(&input, &project.compose_name()) {
        Ok(read) => {
            for warning in &read.warnings {
                eprintln!("{warning}\n");
            }
            printer.print(&read.model, config::to_yaml)
        }
        Err(faults) => {
            for fault in &faults {
                eprintln!("{fault}\n");
            }
            let errors = faults.iter().filter(|fault| fault.severity == Severity::Error);
            Err(Failure::usage(format!(
                "{}: {} errors",
                project.file_name,
                errors.count()
            )))
        }
    }
}
