//! `berth template …`, and deploying from one.

use super::{Session, cluster::parse_name};
use crate::{
    cli::{SaveTemplate, ShowTemplate, TemplateCommand, Variables, age},
    client::{encode, query},
    exit::{Exit, Failure, Outcome},
    files,
    output::{Table, Tone, cell, toned, word},
};
use berth_api::{StoredTemplate, TemplateItem, TemplateSource, Written};
use berth_events::spec::Parameter;
use berth_ids::Timestamp;
use berth_service_kit::Clock;
use reqwest::Method;

/// Carries out `berth template …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: TemplateCommand) -> Outcome {
    match command {
        TemplateCommand::Ls => {
            let items: Vec<TemplateItem> = session.client.list("/v1/templates").await?;
            session.printer.print(&items, |items| table(items, Clock::now()))
        }
        TemplateCommand::Show(args) => show(session, &args).await,
        TemplateCommand::Save(args) => save(session, args).await,
        TemplateCommand::Rm { name } => {
            let written: Written = session.client.delete(&path(&name)).await?;
            session
                .printer
                .done(&written, &format!("template {name} is forgotten"))
        }
    }
}

fn path(name: &str) -> String {
    format!("/v1/templates/{}", encode(name))
}

/// Reads `NAME` or `NAME@NUMBER`.
fn named(text: &str) -> Outcome<(String, Option<u32>)> {
    match text.rsplit_once('@') {
        None => Ok((text.to_owned(), None)),
        Some((name, number)) => match number.parse() {
            Ok(number) => Ok((name.to_owned(), Some(number))),
            Err(_) => Err(Failure::usage(format!("`{number}` is no number of a version"))
                .cure("write NAME, or NAME@NUMBER such as web@2")),
        },
    }
}

async fn show(session: &Session, args: &ShowTemplate) -> Outcome {
    let (name, number) = named(&args.template)?;
    let number = number.map(|number| number.to_string()).unwrap_or_default();
    let template: StoredTemplate = session
        .client
        .get(&query(&path(&name), &[("number", &number)]))
        .await?;
    if args.text {
        return session.printer.print(&template, |template| template.text.clone());
    }
    session.printer.print(&template, fields)
}

async fn save(session: &Session, args: SaveTemplate) -> Outcome {
    let name = parse_name(&args.name)?;
    let text = files::text(&args.file)?;
    let description = match args.description {
        Some(description) => description,
        None => before(session, name.as_str()).await?,
    };
    let body = berth_api::SaveTemplate { text, description };
    let path = path(name.as_str());
    let written: Written = session.client.write(Method::PUT, &path, Some(&body)).await?;
    let line = format!("stored {0}\nnext: berth deploy --template {0}", written.id);
    session.printer.done(&written, &line)
}

/// The description that a stored template has.
async fn before(session: &Session, name: &str) -> Outcome<String> {
    match session.client.get::<StoredTemplate>(&path(name)).await {
        Ok(template) => Ok(template.description),
        Err(failure) if failure.exit == Exit::NotFound => Ok(String::new()),
        Err(failure) => Err(failure),
    }
}

/// What `deploy --template` sends.
///
/// # Errors
/// A variable cannot be read.
pub fn source(template: &str, variables: &Variables) -> Outcome<TemplateSource> {
    let (name, number) = named(template)?;
    if !variables.file_over.is_empty() {
        return Err(Failure::usage("no file can be laid over a template")
            .cure("`berth template show NAME --text > FILE` makes a file of it"));
    }
    Ok(TemplateSource {
        name,
        number,
        values: files::values(variables, &files::shell)?,
        profiles: variables.profiles.clone(),
    })
}

fn table(items: &[TemplateItem], now: Timestamp) -> String {
    let mut table = Table::new(&["NAME", "VERSION", "FROM", "CHANGED", "DESCRIPTION"]);
    for item in items {
        let changed = item
            .saved_at
            .map_or_else(|| "-".to_owned(), |at| format!("{} ago", age(at, now)));
        table.row([
            cell(&item.name),
            cell(item.number),
            toned(word(&item.origin), Tone::Dim),
            cell(changed),
            cell(&item.description),
        ]);
    }
    table.render()
}

fn fields(template: &StoredTemplate) -> String {
    let mut fields = Table::fields();
    fields.field("name", format!("{}@{}", template.name, template.number));
    fields.field("from", word(&template.origin));
    fields.field("description", &template.description);
    let versions: Vec<_> = template
        .versions
        .iter()
        .map(|version| version.number.to_string())
        .collect();
    if !versions.is_empty() {
        fields.field("versions", versions.join(", "));
    }
    let mut table = Table::new(&["PARAMETER", "TYPE", "DEFAULT", "DESCRIPTION"]);
    for parameter in &template.parameters {
        table.row([
            cell(&parameter.name),
            cell(kind(parameter)),
            cell(default(parameter)),
            cell(&parameter.description),
        ]);
    }
    let parameters = if template.parameters.is_empty() {
        String::new()
    } else {
        table.render()
    };
    let use_it = format!(
        "deploy it: berth deploy --template {} [-e NAME=VALUE …]",
        template.name
    );
    [fields.render(), parameters, template.text.clone(), use_it]
        .iter()
        .map(|part| part.trim_end())
        .filter(|part| !part.is_empty())
        .collect::<Vec<_>>()
        .join("\n\n")
}

fn kind(parameter: &Parameter) -> String {
    if !parameter.options.is_empty() {
        return parameter.options.join("|");
    }
    match (parameter.min, parameter.max) {
        (None, None) => word(&parameter.kind),
        (least, most) => {
            let end = |end: Option<i64>| end.map(|end| end.to_string()).unwrap_or_default();
            format!("{} {}..{}", word(&parameter.kind), end(least), end(most))
        }
    }
}

fn default(parameter: &Parameter) -> String {
    match (&parameter.default, parameter.generate) {
        (Some(default), _) => default.clone(),
        (None, Some(_)) => "(made up)".to_owned(),
        (None, None) if parameter.required => "(needed)".to_owned(),
        (None, None) => "(in the text)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_follows_the_name() {
        assert_eq!(named("web").unwrap(), ("web".to_owned(), None));
        assert_eq!(named("web@2").unwrap(), ("web".to_owned(), Some(2)));
        assert_eq!(named("web@x").unwrap_err().exit, Exit::Usage);
    }
}
