//! What `berth server` says when it has started.

use super::{folder::Folder, foundation::Foundation, services::Services};
use crate::{
    config::Config,
    output::{Table, Tone, cell, toned},
};
use berth_events::HealthState;

/// The report, for people.
pub fn report(config: &Config, folder: &Folder, foundation: &Foundation, services: &Services) -> String {
    let mut table = Table::new(&["SERVICE", "STATE", "LISTENS"]);
    let (postgres, nats) = foundation.own();
    if let Some(pid) = postgres {
        table.row([
            cell("postgres"),
            toned("running", Tone::Good),
            cell(format!("unix socket only (pid {pid})")),
        ]);
    }
    let others = foundation.nats_public.join(", ");
    match nats {
        Some(pid) => table.row([
            cell("nats"),
            toned("running", Tone::Good),
            cell(format!("{others} (pid {pid})")),
        ]),
        None => table.row([
            cell("nats"),
            toned("elsewhere", Tone::Dim),
            cell(&foundation.nats_url),
        ]),
    }
    for (service, health) in &services.healths {
        let (state, tone) = match health.get().state {
            HealthState::Green => ("running".to_owned(), Tone::Good),
            HealthState::Yellow(reason) => (reason, Tone::Warn),
            HealthState::Red(reason) => (reason, Tone::Bad),
        };
        let listens = if *service == "gateway" {
            addresses(config)
        } else {
            "bus".to_owned()
        };
        table.row([cell(service), toned(state, tone), cell(listens)]);
    }
    let mut fields = Table::fields();
    fields.field("Data", folder.root().display());
    if config.services.contains("gateway") {
        let url = api_url(config, foundation);
        fields.field("API", &url);
        fields.field("Documentation", format!("{url}/docs"));
        fields.field("CA", foundation.security.ca_file().display());
        fields.field(
            "Command line",
            format!("export BERTH_CONFIG={}; berth status", folder.client().display()),
        );
    }
    if let Some(metrics) = config.metrics {
        fields.field("Metrics", format!("http://{metrics}/metrics"));
    }
    fields.field(
        "Logs",
        "standard error; postgres.log and nats.log in the data folder",
    );
    format!(
        "\nberth {} is up\n\n{}\n\n{}\n",
        env!("CARGO_PKG_VERSION"),
        table.render(),
        fields.render()
    )
}

fn addresses(config: &Config) -> String {
    let http = config
        .http
        .map(|address| format!(", http://{address}"))
        .unwrap_or_default();
    format!("https://{}{http}", config.listen)
}

/// The address of the API for clients.
pub fn api_url(config: &Config, foundation: &Foundation) -> String {
    let host = foundation.security.host();
    let port = config.listen.port();
    if host.contains(':') {
        format!("https://[{host}]:{port}")
    } else {
        format!("https://{host}:{port}")
    }
}
