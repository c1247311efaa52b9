//! `berth inspect`: everything known of any object.

use super::{Session, events};
use crate::{
    cli::Inspect as Args,
    client::encode,
    exit::{Exit, Failure, Outcome},
};
use berth_api::{CommandReport, Inspection};

/// Carries out `berth inspect`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, args: Args) -> Outcome {
    let path = session.path("inspect", &args.target, "");
    match session.client.get::<Inspection>(&path).await {
        Ok(inspection) => session.printer.print(&inspection, text),
        Err(failure) if failure.exit == Exit::NotFound => {
            let missing = Failure::new(Exit::NotFound, format!("there is no object `{}`", args.target))
                .cure("name a cluster, node, application, container, token or command, by name or id");
            if args.target.parse::<berth_ids::CommandId>().is_err() {
                return Err(missing);
            }
            let report: CommandReport = session
                .client
                .get(&format!("/v1/commands/{}", encode(&args.target)))
                .await?;
            if report.outcome.is_none() {
                return Err(missing);
            }
            session.printer.print(&report, yaml)
        }
        Err(failure) => Err(failure),
    }
}

fn yaml(value: &impl serde::Serialize) -> String {
    let plain = serde_json::to_value(value).unwrap_or_default();
    serde_saphyr::to_string(&plain).unwrap_or_default()
}

fn text(inspection: &Inspection) -> String {
    let mut text = format!(
        "# {} {}\n{}",
        inspection.kind,
        inspection.id,
        yaml(&inspection.object)
    );
    if let Some(spec) = &inspection.spec {
        text.push_str("\n# specification\n");
        text.push_str(&yaml(spec));
    }
    text.push_str("\n# last events\n");
    for event in &inspection.events {
        text.push_str(&events::line(event));
        text.push('\n');
    }
    text
}
