//! `build`: what is read of it, what is refused, and what a built image is called.

use crate::common::{Case, list};
use insta::assert_snapshot;
use std::collections::BTreeMap;

fn file(lines: &str) -> String {
    let lines: String = lines.lines().map(|line| format!("      {line}\n")).collect();
    format!("services:\n  web:\n    image: r.example:5000/web:1\n    build:\n{lines}")
}

fn digest() -> String {
    format!("sha256:{}", "0a".repeat(32))
}

fn built(digest: &str) -> Case {
    Case {
        built: Some(BTreeMap::from([("web".to_owned(), digest.to_owned())])),
        ..Case::default()
    }
}

#[test]
fn everything_that_the_builder_can_do_is_read() {
    let mut case = Case::with(&[("FROM_SHELL", "outside")]);
    case.profiles = vec![];
    let parsed = case.read(&file(
        "context: app\ndockerfile: docker/web\nargs: {A: 1, FROM_SHELL: , NOWHERE: }\ntarget: web\n\
         labels: {made.by: test}\nno_cache: true\npull: true\nnetwork: none\nextra_hosts: ['db:10.0.0.1', 'x=::1']\n\
         platforms: [linux/arm64]\ntags: [r.example:5000/web:2]\ncache_from: [r.example:5000/web:0]\nshm_size: 1m",
    ));
    let build = &parsed.builds["web"];
    let args: Vec<_> = build
        .args
        .iter()
        .map(|(name, value)| format!("{name}={}", value.as_deref().unwrap_or("-")))
        .collect();
    assert_eq!(args, ["A=1", "FROM_SHELL=outside", "NOWHERE=-"]);
    assert_eq!(
        (
            build.image.as_str(),
            build.context.as_str(),
            build.dockerfile.as_str()
        ),
        ("r.example:5000/web:1", "app", "app/docker/web")
    );
    assert_eq!(build.extra_hosts, ["db:10.0.0.1", "x:::1"]);
    assert!(build.no_cache && build.pull && build.shm_bytes == 1024 * 1024);
    assert_eq!(build.platform.as_deref(), Some("linux/arm64"));
    assert_eq!(
        (build.network.as_deref(), build.target.as_deref()),
        (Some("none"), Some("web"))
    );
    let short = Case::default().read("services: {web: {image: a, build: .}}");
    let build = &short.builds["web"];
    assert_eq!(
        (build.context.as_str(), build.dockerfile.as_str()),
        ("", "Dockerfile")
    );
    let inline = Case::default().read(&file("dockerfile_inline: FROM a"));
    assert_eq!(inline.builds["web"].dockerfile_inline.as_deref(), Some("FROM a"));
}

#[test]
fn what_the_builder_cannot_do_is_said_by_name() {
    let parsed = Case::default().read(&file(
        "context: .\nadditional_contexts: {a: .}\nsecrets: [a]\nssh: [default]\ncache_to: [a]\n\
         no_cache_filter: [a]\nentitlements: [a]\nprivileged: true\nulimits: {nofile: 1}\nisolation: default\n\
         provenance: true\nsbom: true\ndockerfle: a",
    ));
    let named: Vec<_> = parsed
        .warnings
        .iter()
        .map(|warning| {
            format!(
                "{} {}",
                warning.line,
                warning.path.rsplit('.').next().unwrap_or_default()
            )
        })
        .collect();
    assert_eq!(
        named,
        [
            "4 build",
            "6 additional_contexts",
            "7 secrets",
            "8 ssh",
            "9 cache_to",
            "10 no_cache_filter",
            "11 entitlements",
            "12 privileged",
            "13 ulimits",
            "14 isolation",
            "15 provenance",
            "16 sbom",
            "17 dockerfle"
        ]
    );
}

#[test]
fn what_cannot_be_sent_to_a_node_is_refused_with_its_place() {
    let case = Case::default();
    assert_snapshot!(case.check(&file("context: https://example.com/a.git")), @r"
    E 5:16 [compose.build_context] services.web.build.context: `https://example.com/a.git` is no folder
        fetch it beside the Compose file, and name that folder: a node builds what is sent to it only
    W 4:5 [compose.build_later] services.web.build: `r.example:5000/web:1` is built and pushed by `berth deploy`, on a node
        `berth build FILE` does it before
    ");
    let refused = |lines: &str| {
        let faults = case.parse(&file(lines)).unwrap_err();
        format!("{} {}", faults[0].line, faults[0].message)
    };
    assert_eq!(
        refused("context: ../elsewhere"),
        "5 `../elsewhere` is not inside the project folder"
    );
    assert_eq!(
        refused("context: app\ndockerfile: ../../Dockerfile"),
        "6 `../../Dockerfile` is not inside the project folder"
    );
    assert!(refused("platforms: [linux/amd64, linux/arm64]").contains("2 platforms"));
    assert!(refused("dockerfile: a\ndockerfile_inline: FROM a").contains("twice"));
}

#[test]
fn a_built_image_goes_by_its_digest() {
    let text = file("context: .");
    let parsed = built(&digest()).read(&text);
    assert_eq!(
        parsed.spec.services["web"].container.image,
        format!("r.example:5000/web:1@{}", digest())
    );
    assert!(parsed.warnings.is_empty(), "{}", list(&parsed.warnings));
    let parsed = built("").read(&text);
    assert_eq!(
        parsed.spec.services["web"].container.image,
        "r.example:5000/web:1"
    );
    let faults = built("sha256:00").parse(&text).unwrap_err();
    assert!(faults[0].message.contains("no digest"), "{}", list(&faults));
}

#[test]
fn an_image_that_nobody_has_built_is_refused() {
    let mut case = Case {
        built: Some(BTreeMap::new()),
        ..Case::default()
    };
    assert_snapshot!(list(&case.parse(&file("context: .")).unwrap_err()), @r"
    E 4:5 [compose.build] services.web.build: `r.example:5000/web:1` was not built: what its `build` needs is not here
        deploy with `berth deploy FILE`, which sends the folder to a node, or push the image yourself and remove `build`
    ");
    case.built = None;
    let named = format!("services: {{web: {{image: 'a@{}', build: .}}}}", digest());
    assert!(list(&case.parse(&named).unwrap_err()).contains("names a digest"));
}
