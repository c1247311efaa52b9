//! What the keys of one container mean, shown as the file that means the same.

use crate::common::{Case, reads, service};
use berth_events::spec::PullPolicy;
use insta::assert_snapshot;

#[test]
fn commands() {
    assert_snapshot!(reads("command: sh -c 'echo \"a b\"' x\\ y \"\"\nentrypoint: [tini, --]"), @r#"
        entrypoint:
          - tini
          - "--"
        command:
          - sh
          - "-c"
          - "echo \"a b\""
          - x y
          - ""
        "#);
    assert_snapshot!(reads("command: []\nentrypoint:"), @r"command: []");
    assert_snapshot!(reads("command: [sleep, 5, yes, 1.10]"), @r#"
        command:
          - sleep
          - "5"
          - "yes"
          - "1.10"
        "#);
}

#[test]
fn ports() {
    assert_snapshot!(reads("ports: [80, \"8080:80\", \"127.0.0.1:9000-9001:90-91/udp\", \"127.0.0.1::70\", \"[::1]:6:6\", \"22:22\"]"), @r#"
        ports:
          - "80"
          - "8080:80"
          - "127.0.0.1:9000:90/udp"
          - "127.0.0.1:9001:91/udp"
          - "127.0.0.1::70"
          - "[::1]:6:6"
          - "22:22"
        "#);
    assert_snapshot!(reads("ports: [{target: 80, published: \"8080\", host_ip: 10.0.0.1, protocol: TCP, mode: host}, {target: 1-2, published: 3-4}]"), @r#"
        ports:
          - "10.0.0.1:8080:80"
          - "3:1"
          - "4:2"
        "#);
    assert_snapshot!(reads("ports: [\"8080:80\", \"8080:80\", \"8080:80/udp\"]\nexpose: [3000, 53/udp, 80-81]"), @r#"
        ports:
          - "8080:80"
          - "8080:80/udp"
        expose:
          - "3000/tcp"
          - "53/udp"
          - "80/tcp"
          - "81/tcp"
        "#);
}

#[test]
fn how_containers_run() {
    let text = "user: 1000\nworking_dir: /app\nhostname: web-1\nstop_signal: term\nstop_grace_period: 1m\ncap_add: [cap_net_admin, NET_ADMIN]\ncap_drop: [all]\nread_only: true\nprivileged: false\npid: host\nipc: shareable\ninit: false\ntty: true\nstdin_open: true\nplatform: linux/arm64/v8\npull_policy: if_not_present";
    assert_snapshot!(reads(text), @r#"
        user: "1000"
        working_dir: /app
        hostname: web-1
        stop_signal: SIGTERM
        stop_grace_period: 60s
        cap_add:
          - NET_ADMIN
        cap_drop:
          - ALL
        read_only: true
        pid: host
        ipc: shareable
        init: false
        tty: true
        stdin_open: true
        platform: linux/arm64/v8
        "#);
    let text = "ulimits: {nofile: {soft: 1024, hard: 2048}, memlock: -1}\nsysctls: [net.core.somaxconn=1024]\nextra_hosts: [\"db:10.0.0.1\", \"six=[::1]\", \"gw:host-gateway\"]\nlogging: {options: {max-size: 10m, max-file: 3}}";
    assert_snapshot!(reads(text), @r#"
        ulimits:
          memlock:
            soft: -1
            hard: -1
          nofile:
            soft: 1024
            hard: 2048
        sysctls:
          net.core.somaxconn: "1024"
        extra_hosts:
          - "db:10.0.0.1"
          - "six:::1"
          - "gw:host-gateway"
        logging:
          driver: json-file
          options:
            max-file: "3"
            max-size: "10m"
        "#);
    assert_snapshot!(reads("extra_hosts: {db: 10.0.0.1, two: [10.0.0.2, 10.0.0.3]}\nlogging: {driver: none}"), @r#"
        extra_hosts:
          - "db:10.0.0.1"
          - "two:10.0.0.2"
          - "two:10.0.0.3"
        logging:
          driver: none
        "#);
}

#[test]
fn health() {
    assert_snapshot!(reads("healthcheck: {test: curl -f localhost, interval: 1m30s, timeout: 1.5s, retries: 3, start_period: 500ms}"), @r"
        healthcheck:
          test:
            - CMD-SHELL
            - curl -f localhost
          interval: 90s
          timeout: 1500ms
          retries: 3
          start_period: 500ms
        ");
    assert_snapshot!(reads("healthcheck: {test: [CMD, \"true\"], disable: true}"), @r"
        healthcheck:
          test:
            - NONE
        ");
    assert_snapshot!(reads("healthcheck: {test: [CMD, wget, '']}"), @r#"
        healthcheck:
          test:
            - CMD
            - wget
            - ""
        "#);
}

#[test]
fn mounts() {
    let mut case = Case {
        project_directory: Some("/srv/shop/".into()),
        ..Case::default()
    };
    let text = "volumes:\n- data:/data\n- /etc/app:/app:ro\n- ./conf/../x:/x\n- /anonymous\n- {type: volume, source: data, target: /again, read_only: true}\n- {type: bind, source: /b, target: /b, bind: {create_host_path: false}}\n- {type: tmpfs, target: /t, tmpfs: {size: 64m, mode: 0755}}\n- {type: volume, target: '/with:colon'}\ntmpfs: [/run, '/tmp:size=1m,mode=1777,ro']";
    let file = service(text)
        + "volumes:\n  data: {driver: local, driver_opts: {type: tmpfs}, labels: [a=b]}\n  old: {external: {name: older}}\n  ours: {name: fixed}\n";
    assert_snapshot!(case.check(&file), @r#"
        services:
          web:
            image: nginx
            volumes:
              - "data:/data"
              - "/etc/app:/app:ro"
              - "/srv/shop/x:/x"
              - /anonymous
              - "data:/again:ro"
              - type: bind
                source: /b
                bind:
                  create_host_path: false
                target: /b
              - type: tmpfs
                tmpfs:
                  size: 67108864
                  mode: 0755
                target: /t
              - type: volume
                target: "/with:colon"
              - type: tmpfs
                target: /run
              - type: tmpfs
                tmpfs:
                  size: 1048576
                  mode: 01777
                target: /tmp
                read_only: true
        volumes:
          data:
            driver: local
            driver_opts:
              type: tmpfs
            labels:
              a: b
          old:
            name: older
            external: true
          ours:
            name: fixed
        "#);
    case.project_directory = None;
    assert_snapshot!(case.check(&service("tmpfs: /run")), @r"
        services:
          web:
            image: nginx
            volumes:
              - type: tmpfs
                target: /run
        ");
}

#[test]
fn networks() {
    let case = Case::default();
    assert_snapshot!(case.check(&(service("networks: {front: {aliases: [www, api]}, default: }") + "networks:\n  front: {internal: true, labels: {a: b}, driver: bridge}\n  out: {external: true, name: shared}\n")), @r"
        services:
          web:
            image: nginx
            networks:
              default: {}
              front:
                aliases:
                  - www
                  - api
        networks:
          front:
            internal: true
            labels:
              a: b
          out:
            name: shared
            external: true
        ");
    assert_snapshot!(reads("network_mode: host"), @r"network_mode: host");
    assert_snapshot!(reads("network_mode: bridge"), @"");
    assert_snapshot!(case.check(&(service("networks: [back]") + "networks: {back: , default: {internal: true}}")), @r"
        services:
          web:
            image: nginx
            networks:
              - back
        networks:
          back: {}
          default:
            internal: true
        ");
}

#[test]
fn when_an_image_is_pulled() {
    for (word, policy) in [
        ("always", PullPolicy::Always),
        ("never", PullPolicy::Never),
        ("missing", PullPolicy::Missing),
        ("if_not_present", PullPolicy::Missing),
        ("daily", PullPolicy::Every { seconds: 86_400 }),
        ("weekly", PullPolicy::Every { seconds: 604_800 }),
        ("every_1d12h", PullPolicy::Every { seconds: 129_600 }),
        ("every_90m", PullPolicy::Every { seconds: 5_400 }),
    ] {
        let parsed = Case::default().read(&service(&format!("pull_policy: {word}")));
        assert_eq!(
            parsed.spec.services["web"].container.pull_policy, policy,
            "{word}"
        );
    }
    for wrong in [
        "every_",
        "every_0s",
        "every_12",
        "every_1y",
        "every_99999999999999999999d",
    ] {
        let faults = Case::default().parse(&service(&format!("pull_policy: {wrong}")));
        assert!(faults.is_err(), "{wrong}");
    }
}
