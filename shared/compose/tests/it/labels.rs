//! Labels of the platform: what they mean, and what is refused.

// A helper of tests fails like a test.
#![allow(clippy::unwrap_used)]

use crate::common::{Case, check, list, service};
use berth_events::spec::*;

fn read(lines: &str) -> ServiceSpec {
    Case::default().read(&service(lines)).spec.services["web"].clone()
}

/// The only fault of some labels, as code and message.
fn fault(labels: &str) -> String {
    let faults = Case::default().parse(&service(labels)).unwrap_err();
    let errors: Vec<_> = faults
        .iter()
        .filter(|fault| fault.severity == berth_compose::Severity::Error)
        .collect();
    assert_eq!(errors.len(), 1, "{labels}\n{}", list(&faults));
    assert!(
        errors[0].line > 3 && errors[0].column > 0 && !errors[0].cure.is_empty(),
        "{:?}",
        errors[0]
    );
    format!("[{}] {}", errors[0].code, errors[0].message)
}

#[test]
fn the_worked_example_of_the_product() {
    let web = read(
        "expose: ['8080']
labels:
  aliyun.scale: '4'
  aliyun.routing.port_8080: shop;http://www.example.com/shop
  aliyun.routing.session_sticky: 'false'
  aliyun.probe.url: http://container:8080/ping
  aliyun.probe.timeout_seconds: '2'
  aliyun.rolling_updates: 'true'
  aliyun.rolling_updates.parallelism: '2'
  aliyun.log_store_Out: stdout
  aliyun.log_ttl_Out: '30'
  aliyun.auto_scaling.max_cpu: '70'
  aliyun.auto_scaling.min_cpu: '30'
  aliyun.auto_scaling.step: '1'
  aliyun.auto_scaling.min_instances: '2'
  aliyun.auto_scaling.max_instances: '10'
environment:
  - availability:az==~2
  - affinity:service!=~report
  - constraint:group==web",
    );
    assert_eq!(web.mode, ServiceMode::Replicated { replicas: 4 });
    let route = |host: &str, context: &str| RouteSpec {
        port: 8080,
        scheme: RouteScheme::Http,
        host: host.into(),
        context: context.into(),
    };
    assert_eq!(
        web.labels.routes,
        [route("shop", ""), route("www.example.com", "/shop")]
    );
    assert!(web.labels.routes[0].is_prefix() && !web.labels.routes[1].is_prefix());
    assert_eq!(web.labels.session_sticky, Some(false));
    assert_eq!(
        web.container.probe,
        Some(ProbeSpec {
            check: ProbeCheck::Http {
                port: 8080,
                path: "/ping".into()
            },
            timeout_ms: 2_000,
            initial_delay_ms: 0
        })
    );
    assert_eq!(
        web.update,
        Some(UpdatePolicy {
            parallelism: 2,
            ..UpdatePolicy::default()
        })
    );
    assert_eq!(
        web.labels.logs.stores["out"],
        LogStore {
            source: "stdout".into(),
            ttl_days: 30
        }
    );
    let scaling = web.labels.auto_scaling.unwrap();
    assert_eq!(
        scaling.cpu,
        Band {
            min: Some(30),
            max: Some(70)
        }
    );
    assert_eq!(
        (scaling.step, scaling.min_instances, scaling.max_instances),
        (Some(1), Some(2), Some(10))
    );
    assert_eq!(web.placement.zones, Some(ZoneSpread { zones: 2, soft: true }));
    assert_eq!(web.placement.affinities.len(), 1);
    assert_eq!(web.placement.constraints.len(), 1);
    assert!(
        web.container.labels.is_empty(),
        "a change of such a label re-creates no container"
    );
}

#[test]
fn both_families_mean_the_same_and_are_read_from_deploy_too() {
    let aliyun = read("labels: {aliyun.latest_image: true, aliyun.probe.cmd: 'pg_isready', aliyun.gpu: 2}");
    let berth =
        read("deploy: {labels: {berth.latest_image: 'true', berth.probe.cmd: pg_isready, berth.gpu: '2'}}");
    assert_eq!(aliyun.labels, berth.labels);
    assert_eq!(aliyun.container, berth.container);
    assert!(aliyun.labels.latest_image);
    assert_eq!(aliyun.container.pull_policy, PullPolicy::Always);
    assert_eq!(aliyun.container.engine.gpus(), Some(2));
    let check = ProbeCheck::Command {
        line: "pg_isready".into(),
    };
    assert_eq!(aliyun.container.probe.unwrap().check, check);
}

#[test]
fn what_is_read_is_written_and_read_again() {
    let lines = "labels: {berth.routing.port_80: 'shop;https://a.example.com/x', berth.lb.port_6379: 'tcp://my-slb:6379', \
                 berth.probe.url: 'tcp://container:6379', berth.rolling_updates: 'true', berth.retry_count: 3}\n\
                 environment: [availability:az==3, availability:node.labels.rack==~2]\ndeploy: {rollback_config: {order: start-first, max_failure_ratio: 0.25}}";
    let parsed = Case::default().read(&service(lines));
    let again = berth_compose::render(None, &parsed.spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&again).spec, parsed.spec, "{again}");
    let web = &parsed.spec.services["web"];
    let listener = ListenerSpec {
        port: 6379,
        scheme: "tcp".into(),
        balancer: "my-slb".into(),
        front_port: 6379,
    };
    assert_eq!(web.labels.listeners, [listener]);
    assert!(
        web.container.labels.contains_key("berth.lb.port_6379"),
        "affinities look at it"
    );
    assert_eq!(web.rollback.unwrap().max_failure_permille, 250);
    assert_eq!(
        web.placement.zones,
        Some(ZoneSpread {
            zones: 3,
            soft: false
        })
    );
    let racks = DomainSpread {
        label: "node.labels.rack".into(),
        domains: 2,
        soft: true,
    };
    assert_eq!(web.placement.domains, [racks]);
}

#[test]
fn promises_of_domains_agree_and_are_few() {
    for (rules, said) in [
        (
            "availability:rack==2, availability:rack==3",
            "different things about `rack`",
        ),
        (
            "availability:a==2, availability:b==2, availability:c==2",
            "zones and 2 more labels",
        ),
        (
            "availability:az==2, availability:zone==3",
            "different things about zones",
        ),
    ] {
        let fault = fault(&format!("environment: [{rules}]"));
        assert!(fault.contains(said), "{rules}: {fault}");
    }
    let web = read("environment: [availability:rack==2, availability:rack==2]");
    assert_eq!(web.placement.domains.len(), 1);
}

#[test]
fn routes_of_every_form() {
    let web = read(
        "labels: {aliyun.routing.port_80: 'wss://a.b-c.example.com/x_y/z.1; tcp://db.local ;ws://Shop'}",
    );
    let routes: Vec<_> = web
        .labels
        .routes
        .iter()
        .map(|r| (r.scheme, r.host.as_str(), r.context.as_str()))
        .collect();
    assert_eq!(
        routes,
        [
            (RouteScheme::Wss, "a.b-c.example.com", "/x_y/z.1"),
            (RouteScheme::Tcp, "db.local", ""),
            (RouteScheme::Ws, "shop", "")
        ]
    );
    assert!(web.labels.routes[1].is_internal());
    for (value, said) in [
        ("ftp://a.example.com", "invalid protocol `ftp`"),
        ("https://shop", "must have fully qualified domain name"),
        ("x.alicontainer.com", "is not allowed as user provided domain"),
        ("a;b;http://a", "found duplicated routing: `http://a`"),
        ("-a.example.com", "is no domain"),
        ("a.example.c0m", "is no domain"),
        ("a.example.com/Ä", "is no context path"),
    ] {
        let fault = fault(&format!("labels: {{aliyun.routing.port_80: '{value}'}}"));
        assert!(fault.contains(said), "{value}: {fault}");
    }
    for port in ["0", "65536", "http"] {
        let fault = fault(&format!("labels: {{aliyun.routing.port_{port}: a}}"));
        assert!(fault.contains("invalid routing port number"), "{fault}");
    }
}

#[test]
fn every_listed_error() {
    for (labels, said) in [
        ("aliyun.lb.port_80: 'ftp://a:80'", "invalid loadbalancer protocol"),
        (
            "aliyun.lb.port_80: 'tcp://a b:80'",
            "invalid name of loadbalancer",
        ),
        ("aliyun.lb.port_80: 'tcp://a'", "the uri: tcp://a is not valid"),
        ("aliyun.lb.port_80: 'tcp://a:99999'", "is not valid"),
        (
            "aliyun.probe.url: 'https://container/'",
            "Unsupported scheme of probe URL",
        ),
        (
            "aliyun.probe.url: 'http://web/'",
            "the host of a probe URL is `container`",
        ),
        ("aliyun.probe.url: 'tcp://container'", "needs a port"),
        (
            "aliyun.probe.url: 'tcp://container:1', berth.probe.cmd: x",
            "mutually exclusive",
        ),
        (
            "aliyun.probe.cmd: x, aliyun.probe.timeout_seconds: soon",
            "the label says `soon`",
        ),
        (
            "aliyun.log_store_a: app.log",
            "invalid log path: app.log, must be stdout or start with /",
        ),
        ("'aliyun.log_store_a.b': stdout", "invalid SLS label key"),
        (
            "aliyun.log_store_a: /var/log/a, aliyun.log_store_b: /var/log/b",
            "share the directory",
        ),
        (
            "aliyun.log_store_a: stdout, aliyun.log_ttl_a: 366",
            "the label says `366`",
        ),
        (
            "aliyun.auto_scaling.max_cpu: 20, aliyun.auto_scaling.min_cpu: 30",
            "is not less than",
        ),
        (
            "aliyun.auto_scaling.max_cup: 20",
            "there is no auto_scaling.max_cup",
        ),
        (
            "aliyun.auto_scaling.min_instances: 3, aliyun.auto_scaling.max_instances: 2",
            "is more than",
        ),
        (
            "aliyun.remove_containers: all",
            "remove_containers: `all` is not known",
        ),
        ("aliyun.latest_image: maybe", "neither true nor false"),
        (
            "aliyun.latest_image: true, berth.latest_image: false",
            "mean the same and have different values",
        ),
        ("berth.routing.prot_80: a", "is no label that Berth knows"),
    ] {
        let fault = fault(&format!("labels: {{{labels}}}"));
        assert!(fault.contains(said), "{labels}: {fault}");
    }
    for (rule, said) in [
        ("availability:az==0", "no number of zones"),
        ("availability:az!=2", "no number of domains"),
        ("availability:rack==many", "no number of values of `rack`"),
        ("constraint:group=web", "One of operator ==, != is expected"),
    ] {
        let fault = fault(&format!("environment: ['{rule}']"));
        assert!(fault.contains(said), "{rule}: {fault}");
    }
}

#[test]
fn labels_without_effect_are_warned_of() {
    insta::assert_snapshot!(check(
        "labels: {aliyun.probe.timeout_seconds: 3, aliyun.rolling_updates.parallelism: 2, aliyun.log_ttl_x: 3, aliyun.routing.session_sticky: true, aliyun.rotuing.port_80: a}"
    ), @r#"
        services:
          web:
            image: nginx
            labels:
              aliyun.rotuing.port_80: a
            deploy:
              labels:
                aliyun.log_ttl_x: "3"
                aliyun.probe.timeout_seconds: "3"
                aliyun.routing.session_sticky: "true"
        W 4:14 [compose.label] services.web.labels.aliyun.probe.timeout_seconds: probe.timeout_seconds is ignored without probe.url or probe.cmd
            add one of the two, or remove it
        W 4:47 [compose.label] services.web.labels.aliyun.rolling_updates.parallelism: rolling_updates.parallelism alone has no effect
            add rolling_updates: 'true'
        W 4:86 [compose.unsupported_label] services.web.labels.aliyun.log_ttl_x: the label `aliyun.log_ttl_x` is checked and kept, and nothing acts on it yet
            `berth logs` shows what the containers write
        W 4:86 [compose.label] services.web.labels.aliyun.log_ttl_x: log_ttl_x has no log_store of that name
            add log_store_x: stdout
        W 4:107 [compose.unsupported_label] services.web.labels.aliyun.routing.session_sticky: the label `aliyun.routing.session_sticky` is checked and kept, and nothing acts on it yet
            publish the port with `ports` meanwhile
        W 4:107 [compose.label] services.web.labels.aliyun.routing.session_sticky: session_sticky has no effect without a route
            add routing.port_N
        W 4:144 [compose.unknown_label] services.web.labels.aliyun.rotuing.port_80: the label `aliyun.rotuing.port_80` is not known and has no effect
            it is set on the containers as it is
    "#);
    insta::assert_snapshot!(check(
        "labels: {aliyun.rolling_updates: true, aliyun.rolling_updates.parallelism: many}"
    ), @r"
        services:
          web:
            image: nginx
            deploy:
              update_config:
                parallelism: 1
        W 4:44 [compose.label] services.web.labels.aliyun.rolling_updates.parallelism: rolling_updates.parallelism is no number from 1; 1 is taken
            write a whole number from 1
    ");
}

#[test]
fn a_batch_job() {
    let text = "labels: {aliyun.schedule: '0-59/30 * * * * *'}\nservices: {job: {image: a, labels: {aliyun.retry_count: 2, aliyun.remove_containers: remove-finished}}}";
    let spec = Case::default().read(text).spec;
    assert_eq!(
        spec.batch.clone().unwrap().schedule.as_deref(),
        Some("0-59/30 * * * * *")
    );
    let task = &spec.services["job"].labels.task;
    assert_eq!(
        (task.retry_count, task.remove_containers),
        (Some(2), Some(RemoveContainers::RemoveFinished))
    );
    let again = berth_compose::render(None, &spec, &|_, _, _| None);
    assert_eq!(Case::default().read(&again).spec, spec, "{again}");
    let bad = "labels: {aliyun.schedule: '0 30 2 * *'}\nservices: {job: {image: a}}";
    assert!(list(&Case::default().parse(bad).unwrap_err()).contains("no time in six fields"));
}

#[test]
fn what_is_replaced_when_it_stays_unhealthy_is_said_on_the_container() {
    let text = |seconds: &str| {
        format!("services: {{web: {{image: a, labels: {{berth.replace_unhealthy: {seconds}}}}}}}")
    };
    let spec = Case::default().read(&text("30")).spec;
    let labels = &spec.services["web"].container.labels;
    assert_eq!(
        labels.get("berth.replace_unhealthy").map(String::as_str),
        Some("30")
    );
    let faults = Case::default().parse(&text("soon")).unwrap_err();
    assert!(list(&faults).contains("replace_unhealthy"), "{}", list(&faults));
}

/// The labels of the product, each with a value that it allows, and what has to stand beside it.
const ROWS: &[(&str, &str, &str)] = &[
    ("scale", "2", ""),
    ("global", "true", ""),
    ("routing.port_80", "shop;http://www.example.com/x", ""),
    ("routing.session_sticky", "false", "routing.port_80: shop"),
    ("routing.weight", "50", ""),
    ("routing.ssl_cert", "x", ""),
    ("routing.extra_setting", "x", ""),
    ("routing.timeout_setting", "x", ""),
    ("routing.worker", "x", ""),
    ("lb.port_80", "tcp://balancer:80", ""),
    ("vip.port_80", "x", ""),
    ("probe.url", "http://container:8080/ping", ""),
    ("probe.cmd", "test -e /ready", ""),
    ("probe.timeout_seconds", "7", "probe.cmd: x"),
    ("probe.initial_delay_seconds", "7", "probe.cmd: x"),
    ("rolling_updates", "true", ""),
    ("rolling_updates.parallelism", "2", "rolling_updates: true"),
    ("depends", "db", ""),
    ("latest_image", "true", ""),
    ("logs", "/var/log/x", ""),
    ("log_store_x", "stdout", ""),
    ("log_ttl_x", "30", "log_store_x: stdout"),
    ("log.timestamp", "false", ""),
    ("log_project", "x", ""),
    ("auto_scaling.max_cpu", "70", ""),
    ("auto_scaling.min_cpu", "30", ""),
    ("auto_scaling.max_memory", "70", ""),
    ("auto_scaling.min_memory", "30", ""),
    ("auto_scaling.max_internetInRate", "70", ""),
    ("auto_scaling.min_internetInRate", "30", ""),
    ("auto_scaling.max_internetOutRate", "70", ""),
    ("auto_scaling.min_internetOutRate", "30", ""),
    ("auto_scaling.step", "1", ""),
    ("auto_scaling.max_instances", "10", ""),
    ("auto_scaling.min_instances", "2", ""),
    ("auto_scaling.period", "2", ""),
    ("monitoring.script", "sh gather.sh", ""),
    ("monitoring.http", "http://container:80/x", ""),
    ("monitoring.conf", "x", ""),
    ("monitoring.reload", "x", ""),
    ("monitoring.tags", "x", ""),
    ("monitoring.format", "x", ""),
    ("monitoring.interval", "1", ""),
    ("monitoring.addon.influxdb", "x", ""),
    ("monitoring.addon.influxdb_retention_policy", "x", ""),
    ("monitoring.addon.prometheus", "x", ""),
    ("gpu", "1", ""),
    ("retry_count", "3", ""),
    ("remove_containers", "remove-all", ""),
    ("addon", "proxy", ""),
    ("custom_addon", "proxy", ""),
    ("proxy.VIRTUAL_HOST", "http://www.example.com/x", ""),
    ("proxy.VIRTUAL_HOST_WEIGHT", "1", ""),
    ("proxy.required", "true", ""),
    ("proxy.BALANCE", "roundrobin", ""),
    ("proxy.HEALTH_CHECK", "check", ""),
];

#[test]
fn every_label_of_the_product_means_the_same_in_both_families() {
    let file = |family: &str, labels: &[(&str, &str)]| {
        let labels = labels.iter().filter(|(name, _)| !name.is_empty());
        let lines = labels.map(|(name, value)| format!("      '{family}.{name}': '{value}'\n"));
        let lines: String = lines.collect();
        let labels = if lines.is_empty() {
            String::new()
        } else {
            format!("    labels:\n{lines}")
        };
        format!("services:\n  web:\n    image: nginx\n{labels}  db: {{image: db}}\n")
    };
    for (name, value, beside) in ROWS {
        let beside = beside.split_once(": ").unwrap_or_default();
        let read = |family: &str, labels: &[(&str, &str)]| {
            let parsed = Case::default().read(&file(family, labels));
            let bad = parsed
                .warnings
                .iter()
                .find(|warning| warning.code == "compose.unknown_label" || warning.code == "compose.label");
            assert!(bad.is_none(), "{name}: {}", list(&parsed.warnings));
            parsed
        };
        let (aliyun, berth) = (
            read("aliyun", &[(name, value), beside]),
            read("berth", &[(name, value), beside]),
        );
        let plain = |parsed: &berth_compose::Parsed| {
            // What is set on containers has the name that it was written with.
            format!("{:?}", parsed.spec).replace("aliyun.", "berth.")
        };
        assert_eq!(plain(&aliyun), plain(&berth), "{name}");
        let without = read("berth", &[beside]);
        let warned = berth.warnings.len() > without.warnings.len();
        assert!(
            berth.spec != without.spec || warned,
            "{name} has no effect, and no word of it"
        );
        let twice = format!("labels: {{'aliyun.{name}': '{value}', 'berth.{name}': '{value}0'}}");
        let faults = Case::default().parse(&service(&twice)).unwrap_err();
        assert!(
            list(&faults).contains("compose.conflict"),
            "{name}: {}",
            list(&faults)
        );
    }
}
