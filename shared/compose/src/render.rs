//! A specification as a Compose file. `parse(render(spec))` is `spec` again.

use crate::{
    render_container::{mount_entries, networks, port_text, runtime},
    render_contents::{self, Contents},
    render_deploy::{affinity, deploy, duration, restart_word},
    yaml::Yaml,
};
use berth_events::spec::{
    ApplicationSpec, DependencyCondition, EnvironmentValue, NetworkSpec, ReschedulePolicy, ServiceSpec,
    Strategy, VolumeSpec, ZONE_LABEL,
};

/// What a rendered file says of a variable whose value only the vault has: `${NAME:?kept in the vault}`.
pub const KEPT: &str = "kept in the vault";

/// The entries of a mapping, those without effect left out.
#[derive(Default)]
pub(crate) struct Entries(Vec<(String, Yaml)>);

impl Entries {
    pub(crate) fn add(&mut self, key: &str, value: Yaml) {
        self.0.push((key.to_owned(), value));
    }

    pub(crate) fn text(&mut self, key: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.add(key, Yaml::text(value));
        }
    }

    pub(crate) fn number(&mut self, key: &str, value: u64) {
        if value > 0 {
            self.add(key, Yaml::raw(value));
        }
    }

    pub(crate) fn flag(&mut self, key: &str, value: bool) {
        if value {
            self.add(key, Yaml::raw(true));
        }
    }

    pub(crate) fn duration(&mut self, key: &str, ms: Option<u64>) {
        if let Some(ms) = ms {
            self.add(key, Yaml::raw(duration(ms)));
        }
    }

    /// Adds a list or mapping that is not empty.
    pub(crate) fn nested(&mut self, key: &str, value: Yaml) {
        let empty = match &value {
            Yaml::List(items) => items.is_empty(),
            Yaml::Map(entries) => entries.is_empty(),
            Yaml::Text(_) | Yaml::Quoted(_) | Yaml::Raw(_) => false,
        };
        if !empty {
            self.add(key, value);
        }
    }

    pub(crate) fn map(self) -> Yaml {
        Yaml::Map(self.0)
    }
}

/// Writes the file. Plain environment values are the public ones, and are marked so. `reveal` gives the
/// value of a variable that is in the vault; where it gives none, the file asks for the value.
pub fn render(
    name: Option<&str>,
    spec: &ApplicationSpec,
    reveal: &dyn Fn(&str, &str, &EnvironmentValue) -> Option<String>,
) -> String {
    let mut top = Entries::default();
    if let Some(name) = name {
        top.add("name", Yaml::text(name));
    }
    if let Some(batch) = &spec.batch {
        let mut labels = Entries::default();
        labels.add("berth.project_type", Yaml::text("batch"));
        labels.text("berth.schedule", batch.schedule.as_ref());
        top.add("labels", labels.map());
    }
    let mut contents = Contents::default();
    let services = spec.services.iter().map(|(name, service)| {
        let mut entries = service_entries(name, service, reveal);
        render_contents::mounted(&mut entries, &service.container, &mut contents, reveal);
        (name.clone(), entries.map())
    });
    top.add("services", Yaml::Map(services.collect()));
    contents.declared(&mut top);
    let volumes = spec
        .volumes
        .iter()
        .map(|(name, volume)| (name.clone(), volume_entries(volume)));
    top.nested("volumes", Yaml::Map(volumes.collect()));
    let implied = |name: &str, network: &NetworkSpec| {
        name == crate::networks::DEFAULT
            && *network == NetworkSpec::default()
            && spec
                .services
                .values()
                .any(|service| service.container.networks.contains_key(name))
    };
    let networks = spec
        .networks
        .iter()
        .filter(|(name, network)| !implied(name, network));
    top.nested(
        "networks",
        Yaml::Map(
            networks
                .map(|(name, n)| (name.clone(), network_entries(n)))
                .collect(),
        ),
    );
    top.map().document()
}

fn volume_entries(volume: &VolumeSpec) -> Yaml {
    let mut out = Entries::default();
    out.text("name", volume.name.as_ref());
    out.flag("external", volume.external);
    out.text("driver", volume.driver.as_ref());
    out.nested("driver_opts", Yaml::table(&volume.driver_opts));
    out.nested("labels", Yaml::table(&volume.labels));
    out.map()
}

fn network_entries(network: &NetworkSpec) -> Yaml {
    let mut out = Entries::default();
    out.text("name", network.name.as_ref());
    out.flag("external", network.external);
    out.flag("internal", network.internal);
    out.nested("labels", Yaml::table(&network.labels));
    out.map()
}

fn service_entries(
    name: &str,
    service: &ServiceSpec,
    reveal: &dyn Fn(&str, &str, &EnvironmentValue) -> Option<String>,
) -> Entries {
    let container = &service.container;
    let mut out = Entries::default();
    out.add("image", Yaml::text(&container.image));
    for (key, words) in [
        ("entrypoint", &container.entrypoint),
        ("command", &container.command),
    ] {
        if let Some(words) = words {
            out.add(key, Yaml::texts(words));
        }
    }
    environment(&mut out, name, service, reveal);
    out.nested("labels", Yaml::table(&container.labels));
    out.nested(
        "ports",
        Yaml::List(
            container
                .ports
                .iter()
                .map(|port| Yaml::text(port_text(port)))
                .collect(),
        ),
    );
    out.nested("expose", Yaml::texts(&container.expose));
    out.nested(
        "volumes",
        Yaml::List(container.mounts.iter().map(mount_entries).collect()),
    );
    networks(&mut out, container);
    depends_on(&mut out, service);
    let links = service
        .external_links
        .iter()
        .map(|(alias, name)| Yaml::text(format!("{name}:{alias}")));
    out.nested("external_links", Yaml::List(links.collect()));
    if let Some(word) = restart_word(&service.restart) {
        out.add("restart", Yaml::text(word));
    }
    out.flag(
        "x-berth-abandon-volume",
        service.reschedule == ReschedulePolicy::OnNodeFailure,
    );
    if let Some(strategy) = service.placement.strategy {
        let word = match strategy {
            Strategy::Spread => "spread",
            Strategy::Binpack => "binpack",
        };
        out.add("x-berth-strategy", Yaml::text(word));
    }
    out.nested("deploy", deploy(service));
    runtime(&mut out, container);
    out
}

fn environment(
    out: &mut Entries,
    name: &str,
    service: &ServiceSpec,
    reveal: &dyn Fn(&str, &str, &EnvironmentValue) -> Option<String>,
) {
    let container = &service.container;
    let public = container
        .environment
        .iter()
        .filter(|(_, value)| matches!(value, EnvironmentValue::Plain(_)));
    let public = Yaml::texts(public.map(|(key, _)| key));
    let mut rules: Vec<Yaml> = service
        .placement
        .affinities
        .iter()
        .map(|rule| Yaml::text(format!("affinity:{}", affinity(rule))))
        .collect();
    for spread in service.placement.promises() {
        let soft = if spread.soft { "~" } else { "" };
        let label = if spread.label == ZONE_LABEL {
            "az"
        } else {
            &spread.label
        };
        rules.push(Yaml::text(format!(
            "availability:{label}=={soft}{}",
            spread.domains
        )));
    }
    if service.reschedule == ReschedulePolicy::Off {
        rules.push(Yaml::text("reschedule:off"));
    }
    let values = container.environment.iter().map(|(key, value)| {
        let shown = match value {
            EnvironmentValue::Plain(text) => Some(text.clone()),
            EnvironmentValue::Secret(_) => reveal(name, key, value),
        };
        (key, shown)
    });
    let asked = |key: &str| format!("${{{}:?{KEPT}}}", variable(key));
    if rules.is_empty() {
        let entries = values.map(|(key, shown)| {
            (
                key.clone(),
                shown.map_or_else(|| Yaml::Raw(format!("\"{}\"", asked(key))), Yaml::Text),
            )
        });
        out.nested("environment", Yaml::Map(entries.collect()));
    } else {
        let entries = values.map(|(key, shown)| match shown {
            Some(text) => Yaml::Text(format!("{key}={text}")),
            None => Yaml::Raw(format!("\"{key}={}\"", asked(key))),
        });
        out.add(
            "environment",
            Yaml::List(rules.into_iter().chain(entries).collect()),
        );
    }
    out.nested("x-berth-public", public);
}

/// A name that interpolation can read.
pub(crate) fn variable(key: &str) -> String {
    let good = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = key.chars().map(good).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) {
        format!("_{name}")
    } else {
        name
    }
}

fn depends_on(out: &mut Entries, service: &ServiceSpec) {
    if service
        .depends_on
        .values()
        .all(|condition| *condition == DependencyCondition::default())
    {
        out.nested("depends_on", Yaml::texts(service.depends_on.keys()));
        return;
    }
    let entries = service.depends_on.iter().map(|(name, condition)| {
        let word = match condition {
            DependencyCondition::ServiceStarted => "service_started",
            DependencyCondition::ServiceHealthy => "service_healthy",
            DependencyCondition::ServiceCompletedSuccessfully => "service_completed_successfully",
        };
        (
            name.clone(),
            Yaml::Map(vec![("condition".to_owned(), Yaml::text(word))]),
        )
    });
    out.add("depends_on", Yaml::Map(entries.collect()));
}
