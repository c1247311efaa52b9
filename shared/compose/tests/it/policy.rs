//! What each policy refuses, and where the file says it.

use crate::common::{Case, list, service};
use berth_compose::policy_violations;
use berth_events::SecurityPolicy;
use insta::assert_snapshot;

/// The violations of a service under a policy, each with its place.
fn refused(policy: SecurityPolicy, lines: &str) -> String {
    refused_file(policy, &service(lines))
}

fn refused_file(policy: SecurityPolicy, text: &str) -> String {
    let parsed = Case::default().read(text);
    let violations = policy_violations(&parsed.spec, policy);
    list(
        &violations
            .iter()
            .map(|violation| parsed.explain(violation))
            .collect::<Vec<_>>(),
    )
}

const EVERYTHING: &str = "privileged: true\npid: host\nipc: host\nnetwork_mode: host\ncap_add: [CHOWN, cap_sys_admin]\nvolumes:\n- /srv/data:/data\n- /var/run/docker.sock:/s\n- {type: bind, source: /etc/../etc/ssl, target: /ssl}";

#[test]
fn restricted_refuses_whatever_reaches_the_node() {
    assert_snapshot!(refused(SecurityPolicy::Restricted, EVERYTHING), @r"
        E 4:17 [compose.policy] services.web.privileged: `privileged: true` of the service `web` is refused by the rule `privileged` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 7:19 [compose.policy] services.web.network_mode: `network_mode: host` of the service `web` is refused by the rule `host_network` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 5:10 [compose.policy] services.web.pid: `pid: host` of the service `web` is refused by the rule `host_namespace` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 6:10 [compose.policy] services.web.ipc: `ipc: host` of the service `web` is refused by the rule `host_namespace` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 11:7 [compose.policy] services.web.volumes[1]: `volumes: /var/run/docker.sock` of the service `web` is refused by the rule `engine_socket` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 12:28 [compose.policy] services.web.volumes[2].source: `volumes: /etc/ssl` of the service `web` is refused by the rule `system_path` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 8:22 [compose.policy] services.web.cap_add[1]: `cap_add: SYS_ADMIN` of the service `web` is refused by the rule `dangerous_capability` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 10:7 [compose.policy] services.web.volumes[0]: `volumes: /srv/data` of the service `web` is refused by the rule `host_path` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to baseline
        E 8:15 [compose.policy] services.web.cap_add[0]: `cap_add: CHOWN` of the service `web` is refused by the rule `added_capability` of the policy `restricted`
            remove it, or ask an administrator of the cluster to set its policy to baseline
        ");
}

#[test]
fn baseline_refuses_what_gives_the_node_away() {
    assert_snapshot!(refused(SecurityPolicy::Baseline, EVERYTHING), @r"
        E 4:17 [compose.policy] services.web.privileged: `privileged: true` of the service `web` is refused by the rule `privileged` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 7:19 [compose.policy] services.web.network_mode: `network_mode: host` of the service `web` is refused by the rule `host_network` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 5:10 [compose.policy] services.web.pid: `pid: host` of the service `web` is refused by the rule `host_namespace` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 6:10 [compose.policy] services.web.ipc: `ipc: host` of the service `web` is refused by the rule `host_namespace` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 11:7 [compose.policy] services.web.volumes[1]: `volumes: /var/run/docker.sock` of the service `web` is refused by the rule `engine_socket` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 12:28 [compose.policy] services.web.volumes[2].source: `volumes: /etc/ssl` of the service `web` is refused by the rule `system_path` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        E 8:22 [compose.policy] services.web.cap_add[1]: `cap_add: SYS_ADMIN` of the service `web` is refused by the rule `dangerous_capability` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        ");
}

#[test]
fn open_refuses_nothing() {
    assert_eq!(refused(SecurityPolicy::Open, EVERYTHING), "");
}

#[test]
fn ordinary_services_pass_everywhere() {
    let lines =
        "ports: [\"80:80\"]\ncap_drop: [ALL]\nipc: private\nvolumes: [data:/d, /anonymous]\ntmpfs: /run";
    assert_eq!(
        refused_file(
            SecurityPolicy::Restricted,
            &(service(lines) + "volumes: {data: }\n")
        ),
        ""
    );
}

#[test]
fn folders_around_and_below_system_paths_count() {
    for path in [
        "/",
        "/var",
        "/var/lib",
        "/var/lib/docker/volumes/x",
        "/etc",
        "/dev/sda",
        "/proc/1",
        "/run",
        "//etc",
        "/srv/../etc",
    ] {
        assert_ne!(
            refused(SecurityPolicy::Baseline, &format!("volumes: [\"{path}:/x\"]")),
            "",
            "{path}"
        );
    }
    for path in ["/srv", "/home/app", "/etcetera", "/var/lib/app", "/data"] {
        assert_eq!(
            refused(SecurityPolicy::Baseline, &format!("volumes: [\"{path}:/x\"]")),
            "",
            "{path}"
        );
    }
}

/// The same reach by other names: a volume that is a bind mount, a network that is the host's.
#[test]
fn detours_are_seen() {
    let volume =
        service("volumes: [v:/x]") + "volumes: {v: {driver_opts: {type: none, o: bind, device: /etc}}}\n";
    assert_snapshot!(refused_file(SecurityPolicy::Baseline, &volume), @r"
        E 4:5 [compose.policy] services.web.volumes: `volumes: /etc` of the service `web` is refused by the rule `system_path` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        ");
    let overlay = volume.replace(
        "{type: none, o: bind, device: /etc}",
        "{type: overlay, device: overlay, o: 'lowerdir=/srv:/root,upperdir=/u'}",
    );
    assert_snapshot!(refused_file(SecurityPolicy::Baseline, &overlay), @r"
        E 4:5 [compose.policy] services.web.volumes: `volumes: /root` of the service `web` is refused by the rule `system_path` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        ");
    let remote = volume.replace(
        "{type: none, o: bind, device: /etc}",
        "{type: nfs, o: 'addr=10.0.0.1,rw', device: ':/etc'}",
    );
    assert_eq!(refused_file(SecurityPolicy::Restricted, &remote), "");
    let network = service("networks: [n]") + "networks: {n: {external: true, name: host}}\n";
    assert_snapshot!(refused_file(SecurityPolicy::Baseline, &network), @r"
        E 4:16 [compose.policy] services.web.networks[0]: `networks: n` of the service `web` is refused by the rule `host_network` of the policy `baseline`
            remove it, or ask an administrator of the cluster to set its policy to open
        ");
}

#[test]
fn places_are_found_by_path() {
    let text = "services:\n  my.web:\n    image: a\n    ports: [\"80:80\", \"81:81\"]\n";
    let parsed = Case::default().parse(text).unwrap();
    let place = |path: &str| {
        let location = parsed.locate(path);
        (location.line, location.column)
    };
    assert_eq!(place("services.my.web.ports[1]"), (4, 22));
    assert_eq!(place("services.my.web.ports[7]"), (4, 5));
    assert_eq!(place("services.my.web.cap_add"), (2, 3));
    assert_eq!(place("nothing"), (1, 1));
}
