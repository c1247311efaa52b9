//! What services take of each other.
// A helper of tests fails like a test.
#![allow(clippy::unwrap_used)]

use crate::common::{Case, list};
use berth_events::spec::*;

#[test]
fn a_link_is_an_alias_of_the_other_service() {
    let text =
        "services: {web: {image: web, links: [db, 'cache:redis']}, db: {image: db}, cache: {image: cache}}";
    let parsed = Case::default().read(text);
    let spec = parsed.spec;
    assert_eq!(
        spec.services["cache"].container.networks["default"].aliases,
        ["redis"]
    );
    assert!(
        spec.services["db"].container.networks["default"]
            .aliases
            .is_empty()
    );
    assert_eq!(
        spec.services["web"].depends_on.keys().collect::<Vec<_>>(),
        ["cache", "db"]
    );
    let again = berth_compose::render(None, &spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&again).spec, spec, "{again}");
    let apart = "services: {web: {image: web, links: ['db:web2'], networks: [a]}, db: {image: db, networks: [b]}, web2: {image: x}}\nnetworks: {a: , b: }";
    let said = list(&Case::default().read(apart).warnings);
    assert!(
        said.contains("compose.link_network") && said.contains("compose.link_alias"),
        "{said}"
    );
    let wrong = "services: {web: {image: web, links: [databse]}, database: {image: db}}";
    let said = list(&Case::default().parse(wrong).unwrap_err());
    assert!(said.contains("did you mean `database`?"), "{said}");
}

#[test]
fn volumes_come_with_the_node_of_the_other_service() {
    let text = "services:
  a: {image: a, volumes: ['data:/data', '/anonymous'], network_mode: none}
  b: {image: b, volumes_from: ['a:ro'], network_mode: none}
  c: {image: c, volumes_from: [b], volumes: ['other:/data'], network_mode: none}
volumes: {data: , other: }
";
    let parsed = Case::default().read(text);
    let b = &parsed.spec.services["b"];
    assert_eq!(b.container.mounts.len(), 1);
    assert!(b.container.mounts[0].read_only);
    assert_eq!(
        b.container.mounts[0].source,
        MountSource::Volume { name: "data".into() }
    );
    assert_eq!(
        (
            b.placement.affinities[0].subject.as_str(),
            b.placement.affinities[0].pattern.as_str()
        ),
        ("service", "a")
    );
    assert!(b.depends_on.contains_key("a"));
    let c = &parsed.spec.services["c"].container.mounts;
    assert_eq!(c.len(), 1, "its own mount stays: {c:?}");
    assert!(
        list(&parsed.warnings).contains("without a name"),
        "{}",
        list(&parsed.warnings)
    );
    let again = berth_compose::render(None, &parsed.spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&again).spec, parsed.spec, "{again}");
}

#[test]
fn external_links_are_kept() {
    let text = "services: {web: {image: web, external_links: ['price.local', 'db_1:db']}}";
    let parsed = Case::default().read(text);
    let links = &parsed.spec.services["web"].external_links;
    assert_eq!(links["db"], "db_1");
    assert_eq!(links["price.local"], "price.local");
    assert!(list(&parsed.warnings).contains("compose.external_link"));
    let again = berth_compose::render(None, &parsed.spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&again).spec, parsed.spec, "{again}");
}

#[test]
fn a_shared_namespace_keeps_services_together_and_in_order() {
    let text = "services:\n  web: {image: a}\n  side: {image: b, network_mode: 'service:web', pid: 'service:web', ipc: 'service:web'}\n";
    let spec = Case::default().read(text).spec;
    let side = &spec.services["side"];
    assert_eq!(side.container.network_mode.as_deref(), Some("service:web"));
    assert_eq!(side.container.pid_mode.as_deref(), Some("service:web"));
    assert_eq!(side.container.ipc_mode.as_deref(), Some("service:web"));
    assert_eq!(
        spec.services["web"].container.ipc_mode.as_deref(),
        Some("shareable")
    );
    assert!(side.container.networks.is_empty() && side.depends_on.contains_key("web"));
    assert_eq!(side.placement.affinities.len(), 1);
    assert_eq!(side.placement.affinities[0].pattern, "web");
    let rendered = berth_compose::render(None, &spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&rendered).spec, spec, "{rendered}");
}

#[test]
fn a_namespace_of_nobody_is_an_error_with_its_cure() {
    let said = |mode: &str| {
        let text =
            format!("services:\n  web: {{image: a, network_mode: '{mode}'}}\n  database: {{image: b}}\n");
        list(&Case::default().parse(&text).unwrap_err())
    };
    assert!(said("service:databse").contains("did you mean `database`?"));
    assert!(said("service:web").contains("with itself"));
    assert!(said("container:other").contains("write service:NAME"));
}
