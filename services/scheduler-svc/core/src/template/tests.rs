//! Given what a template was, when it is saved or removed, then this is recorded.

use super::*;
use berth_events::template_id;

fn name() -> Name {
    Name::parse("web").unwrap()
}

fn save(text: &str) -> SchedulerCommand {
    SchedulerCommand::SaveTemplate {
        template_id: template_id("main", &name()),
        name: name(),
        description: String::new(),
        text: text.into(),
        expected_version: None,
    }
}

fn remove() -> SchedulerCommand {
    SchedulerCommand::RemoveTemplate {
        template_id: template_id("main", &name()),
        name: name(),
        expected_version: None,
    }
}

fn after(commands: &[SchedulerCommand]) -> Template {
    commands.iter().fold(Template::default(), |state, command| {
        let events = TemplateAggregate::decide(&state, command).unwrap();
        events.iter().fold(state, TemplateAggregate::evolve)
    })
}

fn code(state: &Template, command: &SchedulerCommand) -> String {
    TemplateAggregate::decide(state, command).unwrap_err().code
}

#[test]
fn a_changed_text_is_a_new_version_and_the_same_text_is_nothing() {
    let state = after(&[save("a"), save("a"), save("b")]);
    assert_eq!((state.number, state.version), (2, 2));
    assert_eq!(state.current.unwrap().text, "b");
}

#[test]
fn numbers_go_on_after_a_removal() {
    let state = after(&[save("a"), remove(), save("a")]);
    assert_eq!(state.number, 2);
    assert_eq!(
        code(&after(&[save("a"), remove()]), &remove()),
        "template.not_found"
    );
}

#[test]
fn what_is_empty_too_large_or_outdated_is_refused() {
    let empty = Template::default();
    assert_eq!(code(&empty, &save(" \n")), "template.empty");
    assert_eq!(
        code(&empty, &save(&"x".repeat(MAX_TEMPLATE_BYTES + 1))),
        "template.too_large"
    );
    let mut outdated = save("c");
    if let SchedulerCommand::SaveTemplate { expected_version, .. } = &mut outdated {
        *expected_version = Some(1);
    }
    assert_eq!(
        code(&after(&[save("a"), save("b")]), &outdated),
        "template.version"
    );
    assert!(TemplateAggregate::decide(&after(&[save("a")]), &outdated).is_ok());
}

#[test]
fn names_differ_by_account_and_not_by_case() {
    let upper = Name::parse("WEB").unwrap();
    assert_eq!(template_id("main", &name()), template_id("main", &upper));
    assert_ne!(template_id("main", &name()), template_id("other", &name()));
}
