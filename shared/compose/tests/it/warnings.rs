//! What has no effect is said by name, and no warning shows an environment value.

use crate::common::{Case, list, service};
use insta::assert_snapshot;

fn warnings(lines: &str) -> String {
    let parsed = Case::default().read(&service(lines));
    list(&parsed.warnings)
}

#[test]
fn keys_without_effect() {
    assert_snapshot!(warnings("container_name: a\nattach: true\ndevelop: {}\nbuild: ."), @r"
        W 4:5 [compose.unsupported_key] services.web.container_name: `container_name` has no effect
            Berth names containers `<application>_<service>_<number>`; use a network alias for a fixed name
        W 5:5 [compose.unsupported_key] services.web.attach: `attach` has no effect
            `berth logs` shows the output
        W 6:5 [compose.unsupported_key] services.web.develop: `develop` has no effect
            it is for work on one machine
        W 7:5 [compose.build_later] services.web.build: `nginx` is built and pushed by `berth deploy`, on a node
            `berth build FILE` does it before
    ");
    assert_snapshot!(warnings("commmand: a\nenviroment: {A: 1}\nmem-limit: 5m\nreplicas: 3\nx-berth-publik: true\nx-mine: true"), @r"
        W 4:5 [compose.unknown_key] services.web.commmand: `commmand` is no key that Compose has here; it has no effect
            did you mean `command`?
        W 5:5 [compose.unknown_key] services.web.enviroment: `enviroment` is no key that Compose has here; it has no effect
            did you mean `environment`?
        W 6:5 [compose.unknown_key] services.web.mem-limit: `mem-limit` is no key that Compose has here; it has no effect
            did you mean `mem_limit`?
        W 7:5 [compose.unsupported_key] services.web.replicas: `replicas` has no effect
            write it under `deploy`
        W 8:5 [compose.unknown_key] services.web.x-berth-publik: `x-berth-publik` is no key that Compose has here; it has no effect
            did you mean `x-berth-public`?
        ");
    assert_snapshot!(warnings("deploy: {endpoint_mode: vip, update_config: {parallelism: 2}, replica: 3, resources: {reservations: {devices: []}}, restart_policy: {window: 5s}}"), @r"
        W 4:14 [compose.unsupported_key] services.web.deploy.endpoint_mode: `endpoint_mode` has no effect
            service names resolve to the containers; a virtual address comes with a later release
        W 4:67 [compose.unknown_key] services.web.deploy.replica: `replica` is no key that Compose has here; it has no effect
            did you mean `replicas`?
        W 4:138 [compose.unsupported_key] services.web.deploy.restart_policy.window: `window` has no effect
            Berth counts a container that ran for a while as recovered by itself
    ");
    assert_snapshot!(warnings("healthcheck: {test: a, start_interval: 5s}\nlogging: {drivr: x}\nports: [{target: 80, mode: ingress, name: web}]"), @r"
        W 5:15 [compose.unknown_key] services.web.logging.drivr: `drivr` is no key that Compose has here; it has no effect
            did you mean `driver`?
        W 6:26 [compose.port_mode] services.web.ports[0].mode: the port is published on the nodes that run a container, not on all
            reach the service on a node that runs it, or write mode: host to hide this warning
        W 6:41 [compose.unsupported_key] services.web.ports[0].name: `name` has no effect
            it is a note only
    ");
    assert_snapshot!(warnings("volumes: ['/a:/b:z', {type: volume, target: /x, volume: {nocopy: true}, consistency: cached}]\ntmpfs: ['/t:uid=5,noexec']"), @r"
        W 4:15 [compose.mount_option] services.web.volumes[0]: the mount option `z` has no effect
            remove it; only ro and rw are used
        W 4:62 [compose.unsupported_key] services.web.volumes[1].volume.nocopy: `nocopy` has no effect
            an empty volume is filled from the image, as the engine does
        W 4:77 [compose.unsupported_key] services.web.volumes[1].consistency: `consistency` has no effect
            mounts are always consistent on Linux
        W 5:13 [compose.mount_option] services.web.tmpfs[0]: the option `uid` of a tmpfs has no effect
            remove it; size, mode, ro and rw are used
        W 5:13 [compose.mount_option] services.web.tmpfs[0]: the option `noexec` of a tmpfs has no effect
            remove it; size, mode, ro and rw are used
        ");
    assert_snapshot!(warnings("networks: {default: {ipv4_address: 10.0.0.2}}\npull_policy: build\nrestart: always\ndeploy: {restart_policy: {condition: none}}"), @r"
        W 4:26 [compose.unsupported_key] services.web.networks.default.ipv4_address: `ipv4_address` has no effect
            the engine chooses the address; use the name
        W 5:5 [compose.unsupported_value] services.web.pull_policy: `pull_policy: build` has no effect; the image is pulled if it is missing
            write always, missing, never, daily, weekly or every_12h
        W 6:5 [compose.overridden] services.web.restart: `restart` has no effect beside `deploy.restart_policy`
            remove one of the two
        ");
}

#[test]
fn labels_and_rules_of_later_releases() {
    assert_snapshot!(warnings("environment: [\"availability:az==2\", \"whitelist:node==a\", \"constraint:node.role==manager\"]\nlabels: {aliyun.routing.port_80: shop, aliyun.log_store_x: stdout, aliyun.rolling_update: 'true'}"), @r"
        W 4:41 [compose.unsupported_rule] services.web.environment[1]: the rule `whitelist:node==a` has no effect in this release
            use constraint:node!=NAME
        W 4:62 [compose.unsupported_rule] services.web.environment[2]: `node.role` has no effect: every node runs containers, none is a manager
            label the nodes you mean and write node.labels.NAME==VALUE
        W 5:14 [compose.unsupported_label] services.web.labels.aliyun.routing.port_80: the label `aliyun.routing.port_80` is checked and kept, and nothing acts on it yet
            publish the port with `ports` meanwhile
        W 5:44 [compose.unsupported_label] services.web.labels.aliyun.log_store_x: the label `aliyun.log_store_x` is checked and kept, and nothing acts on it yet
            `berth logs` shows what the containers write
        W 5:72 [compose.unknown_label] services.web.labels.aliyun.rolling_update: the label `aliyun.rolling_update` is not known and has no effect
            did you mean `berth.rolling_updates`? it is set on the containers as it is
    ");
}

#[test]
fn ports_of_a_service_without_network_of_its_own() {
    assert_snapshot!(warnings("network_mode: host\nports: [\"80:80\"]"), @r"
        W 5:5 [compose.ports_without_network] services.web.ports: `ports` has no effect beside this `network_mode`: no port is published
            remove `ports`, or `network_mode`
        ");
}

#[test]
fn top_level() {
    let text = "services: {web: {image: a, networks: [far]}}\nnetworks: {far: {driver: overlay, attachable: true}}\nsecrets: {a: {}}\nincluds: [x]\nvolumes: {d: {drvier: local}}\n";
    assert_snapshot!(Case::default().check(text), @r"
        services:
          web:
            image: a
            networks:
              - far
        volumes:
          d: {}
        networks:
          far: {}
        W 2:18 [compose.network_across_nodes] networks.far.driver: `driver: overlay` has no effect in this release: the network is a bridge on each node
            place services that talk to each other on one node; networks across nodes come with a later release
        W 2:35 [compose.unsupported_key] networks.far.attachable: `attachable` has no effect
            a bridge is attachable on its node anyway
        W 4:1 [compose.unknown_key] includs: `includs` is no key that Compose has here; it has no effect
            remove it, or begin its name with `x-` if it is a note of your own
        W 5:15 [compose.unknown_key] volumes.d.drvier: `drvier` is no key that Compose has here; it has no effect
            did you mean `driver`?
    ");
}

#[test]
fn public_keys() {
    let parsed = Case::default()
        .parse(&service(
            "environment: {DEBUG: 1, PASSWORD: x}\nx-berth-public: [DEBUG, PASSWROD]",
        ))
        .unwrap();
    assert!(parsed.public["web"].contains("DEBUG"));
    assert!(!parsed.public["web"].contains("PASSWORD"));
    assert_snapshot!(list(&parsed.warnings), @r"
        W 5:29 [compose.unknown_public] services.web.x-berth-public[1]: `PASSWROD` is no variable of this service
            did you mean `PASSWORD`?
        ");
    assert!(
        Case::default()
            .parse(&service("x-berth-public: true"))
            .unwrap()
            .public["web"]
            .contains("ANY")
    );
    assert!(
        !Case::default()
            .parse(&service("x-berth-public: false"))
            .unwrap()
            .public["web"]
            .contains("ANY")
    );
}

/// Warnings are stored, so a secret must be in none of them, however the file is laid out.
#[test]
fn no_warning_shows_an_environment_value() {
    let layouts = [
        "services: {web: {image: a, foo: 1, environment: {PW: hunter2, Q: $NONE}, bar: 2}}",
        "services: {web: {image: a, foo: 1, environment: [PW=hunter2, \"Q=hunter2$NONE\"], bar: 2}}",
        "services:\n  web:\n    image: a\n    environment:\n      PW: hunter2$NONE\n      LONG: |\n        $NONE\n        hunter2\n    foo: 1\n",
        "services:\n  web:\n    image: a\n    environment:\n    - \"PW=hunter2\n        hunter2 $NONE\"\n",
        "services: {web: {image: a, enviroment: {PW: hunter2}, build: {args: [PW=hunter2]}}}",
        "x-env: &env {PW: \"hunter2${NONE}\"}\nservices: {web: {image: a, environment: *env}, api: {image: a, environment: {<<: *env}}}",
    ];
    let mut case = Case::files(&[("a.env", "PW=hunter2$NONE\n")]);
    case.dotenv = Some("A=hunter2$NONE\n".into());
    for layout in layouts {
        let parsed = case.read(layout);
        assert!(!parsed.warnings.is_empty(), "{layout}");
        for warning in &parsed.warnings {
            let shown = format!("{warning} {warning:?}");
            assert!(!shown.contains("hunter2"), "{layout}\n{shown}");
        }
    }
    let parsed = case.parse(&service("env_file: a.env")).unwrap();
    assert!(parsed.warnings.iter().any(|warning| warning.file == "a.env"));
    assert!(!format!("{:?}", parsed.warnings).contains("hunter2"));
}
