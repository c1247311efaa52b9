//! `docs/cli.md`: the reference of all commands, written from their definition.

use crate::exit::EXIT_CODES;
use clap::{Arg, Command};

const HEAD: &str = "\
# The command line

Written by `berth docs-markdown`; a test keeps it up to date. `berth COMMAND --help` shows the same.

";

/// The reference of a command and all below it.
pub fn markdown(mut root: Command) -> String {
    root.build();
    let mut text = HEAD.to_owned();
    text.push_str("## Exit codes\n\n```text\n");
    text.push_str(EXIT_CODES.trim_start_matches("EXIT CODES\n"));
    text.push_str("\n```\n\n## Common options\n\nEvery command takes them; an option wins over its variable of the environment, that over the stored context.\n\n");
    text.push_str(&table(root.get_arguments().filter(|arg| arg.is_global_set())));
    for command in root.get_subcommands().filter(|command| !command.is_hide_set()) {
        section(command, "berth", 2, &mut text);
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

fn section(command: &Command, parent: &str, level: usize, text: &mut String) {
    let name = format!("{parent} {}", command.get_name());
    text.push_str(&format!("{} `{name}`\n\n", "#".repeat(level)));
    if let Some(about) = command.get_about() {
        text.push_str(&format!("{about}.\n\n"));
    }
    let own = || {
        command
            .get_arguments()
            .filter(|arg| !arg.is_global_set() && arg.get_id() != "help" && !arg.is_hide_set())
    };
    if own().next().is_some() {
        text.push_str(&format!("```text\n{name}{}\n```\n\n", usage(command)));
        text.push_str(&table(own()));
    }
    if let Some(after) = command.get_after_help() {
        text.push_str(&format!("```text\n{after}\n```\n\n"));
    }
    for below in command
        .get_subcommands()
        .filter(|below| !below.is_hide_set() && below.get_name() != "help")
    {
        section(below, &name, level + 1, text);
    }
}

fn usage(command: &Command) -> String {
    let mut text = String::new();
    for arg in command.get_arguments().filter(|arg| arg.is_positional()) {
        let name = value_name(arg);
        let dots = if many(arg) { "…" } else { "" };
        let lead = if arg.is_last_set() { "-- " } else { "" };
        match arg.is_required_set() {
            true => text.push_str(&format!(" {lead}{name}{dots}")),
            false => text.push_str(&format!(" [{lead}{name}{dots}]")),
        }
    }
    text.push_str(" [OPTIONS]");
    text
}

fn many(arg: &Arg) -> bool {
    matches!(arg.get_action(), clap::ArgAction::Append)
}

fn value_name(arg: &Arg) -> String {
    let names = arg.get_value_names().unwrap_or_default();
    names
        .first()
        .map_or_else(|| arg.get_id().as_str().to_uppercase(), ToString::to_string)
}

fn table<'a>(args: impl Iterator<Item = &'a Arg>) -> String {
    let mut text = String::from("| Option | Meaning |\n|---|---|\n");
    for arg in args {
        let mut name = match (arg.get_short(), arg.get_long()) {
            (Some(short), Some(long)) => format!("-{short}, --{long}"),
            (None, Some(long)) => format!("--{long}"),
            (Some(short), None) => format!("-{short}"),
            (None, None) => value_name(arg),
        };
        if arg.get_action().takes_values() && !arg.is_positional() {
            name = format!("{name} {}", value_name(arg));
        }
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        text.push_str(&format!("| `{name}` | {}{} |\n", escape(&help), more(arg)));
    }
    text.push('\n');
    text
}

fn more(arg: &Arg) -> String {
    let mut parts = Vec::new();
    let choices: Vec<_> = arg
        .get_possible_values()
        .iter()
        .filter(|_| arg.get_action().takes_values())
        .map(|value| format!("`{}`", value.get_name()))
        .collect();
    if !choices.is_empty() {
        parts.push(choices.join(", "));
    }
    let defaults: Vec<_> = arg
        .get_default_values()
        .iter()
        .filter(|value| arg.get_action().takes_values() && !value.is_empty())
        .map(|value| format!("default `{}`", value.to_string_lossy()))
        .collect();
    parts.extend(defaults);
    if let Some(variable) = arg.get_env() {
        parts.push(format!("variable `{}`", variable.to_string_lossy()));
    }
    if parts.is_empty() {
        String::new()
    } else {
        format!(" ({})", parts.join("; "))
    }
}

fn escape(text: &str) -> String {
    text.replace('|', "\\|").replace('<', "&lt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Cli;
    use clap::CommandFactory as _;

    #[test]
    fn the_reference_is_up_to_date() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/cli.md");
        let wanted = markdown(Cli::command());
        let found = std::fs::read_to_string(path).unwrap_or_default();
        assert!(
            found.trim_end() == wanted.trim_end(),
            "docs/cli.md is not up to date; write it with `cargo run -p berth -- docs-markdown > docs/cli.md`"
        );
    }

    #[test]
    fn every_command_has_words_and_examples() {
        fn check(command: &Command) {
            for below in command
                .get_subcommands()
                .filter(|below| !below.is_hide_set() && below.get_name() != "help")
            {
                let name = below.get_name();
                assert!(below.get_about().is_some(), "`{name}` has no words");
                let leaf = below.get_subcommands().next().is_none();
                let examples = below
                    .get_after_help()
                    .is_some_and(|text| text.to_string().contains("EXAMPLES"));
                assert!(!leaf || examples, "`{name}` has no examples");
                check(below);
            }
        }
        let mut root = Cli::command();
        root.build();
        root.clone().debug_assert();
        check(&root);
    }
}
