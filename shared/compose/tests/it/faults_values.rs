//! Wrong values of a service: each is an error with its place and its cure.

use crate::common::check;
use insta::assert_snapshot;

#[test]
fn wrong_types() {
    assert_snapshot!(check("ports: 80"), @r#"
        E 4:12 [compose.type] services.web.ports: `ports` must be a list, and is `80`
            write `ports: ["8080:80"]`
        "#);
    assert_snapshot!(check("ports: [[80]]"), @r#"
        E 4:13 [compose.type] services.web.ports[0]: a port must be a text or a mapping, and is a list
            write "8080:80", "127.0.0.1:8080:80/udp", or "80" to let the engine choose the node's port
        "#);
    assert_snapshot!(check("deploy: {replicas: many}"), @r"
        E 4:24 [compose.type] services.web.deploy.replicas: `replicas` must be a whole number, and is `many`
            write a whole number from 0 to 10000
        ");
    assert_snapshot!(check("deploy: 3"), @r"
        E 4:13 [compose.type] services.web.deploy: `deploy` must be a mapping, and is `3`
            write `deploy: {replicas: 2}`
        ");
    assert_snapshot!(check("environment: 5"), @r"
        E 4:18 [compose.type] services.web.environment: `environment` must be a mapping or a list, and is one text
            write `environment: {NAME: value}`
        ");
    assert_snapshot!(check("environment: {A: [1]}"), @r"
        E 4:19 [compose.type] services.web.environment.A: `A` must be a text, and is a list
            write one value, in quotes if YAML could misread it
        ");
    assert_snapshot!(check("labels: [[a]]"), @r"
        E 4:14 [compose.type] services.web.labels[0]: this item must be a text, and is a list
            write one value, in quotes if YAML could misread it
        ");
    assert_snapshot!(check("read_only: yes"), @r"
        E 4:16 [compose.type] services.web.read_only: `read_only` must be true or false, and is `yes`
            write true or false, in small letters and without quotes
        ");
    assert_snapshot!(check("privileged: 1"), @r"
        E 4:17 [compose.type] services.web.privileged: `privileged` must be true or false, and is `1`
            write true or false, in small letters and without quotes
        ");
    assert_snapshot!(check("depends_on: web2"), @r"
        E 4:17 [compose.type] services.web.depends_on: `depends_on` must be a list, and is `web2`
            write `depends_on: [database]`
        ");
    assert_snapshot!(check("cap_add: NET_ADMIN"), @r"
        E 4:14 [compose.type] services.web.cap_add: `cap_add` must be a list, and is `NET_ADMIN`
            write `cap_add: [NET_ADMIN]`
        ");
    assert_snapshot!(check("logging: json-file"), @r"
        E 4:14 [compose.type] services.web.logging: `logging` must be a mapping, and is `json-file`
            write `logging: {driver: json-file, options: {max-size: 10m}}`
        ");
    assert_snapshot!(check("command: {a: b}"), @r#"
        E 4:5 [compose.type] services.web.command: `command` must be a list, and is a mapping
            write `command: ["program", "argument"]`
        "#);
    assert_snapshot!(check("user: [a]"), @r"
        E 4:5 [compose.type] services.web.user: `user` must be a text, and is a list
            write one value, in quotes if YAML could misread it
        ");
    assert_snapshot!(check("healthcheck: {retries: 1.5}"), @r"
        E 4:28 [compose.type] services.web.healthcheck.retries: `retries` must be a whole number, and is `1.5`
            write a whole number from 0 to 1000000
        ");
}

#[test]
fn ports_out_of_range() {
    assert_snapshot!(check("ports: [\"0:80\", \"80:65536\", \"a:80\", \"80:80/http\", \"9-8:9-8\", \"1-3:1\"]"), @r#"
        E 4:13 [compose.port_range] services.web.ports[0]: port 0 is out of range
            ports go from 1 to 65535
        E 4:21 [compose.port_range] services.web.ports[1]: port 65536 is out of range
            ports go from 1 to 65535
        E 4:33 [compose.port] services.web.ports[2]: `a` is no port
            write "8080:80", "127.0.0.1:8080:80/udp", or "80" to let the engine choose the node's port
        E 4:41 [compose.port_protocol] services.web.ports[3]: `http` is no protocol of a port
            write tcp, udp or sctp
        E 4:55 [compose.port_range] services.web.ports[4]: the range 9-8 runs backwards
            write 8-9
        E 4:66 [compose.port_range] services.web.ports[5]: the two ranges of ports have different lengths
            write as many ports of the node as of the container
        "#);
    assert_snapshot!(check("ports: [\"8080:80\", \"8080:81\", \"1.2.3:1:1\", \"\", \"-5\"]"), @r#"
        E 4:24 [compose.port_taken] services.web.ports[1]: port 8080/tcp of the node is published twice
            give each line a port of its own
        E 4:35 [compose.port_address] services.web.ports[2]: `1.2.3` is no address of a node
            write an IP address before the port, an IPv6 one in brackets
        E 4:48 [compose.port] services.web.ports[3]: `` is no port
            write "8080:80", "127.0.0.1:8080:80/udp", or "80" to let the engine choose the node's port
        E 4:52 [compose.port] services.web.ports[4]: `` is no port
            write "8080:80", "127.0.0.1:8080:80/udp", or "80" to let the engine choose the node's port
        "#);
    assert_snapshot!(check("ports: [{target: 0}, {published: 80}, {target: 80, mode: hosted}, {target: 80, protocl: udp}]"), @r"
        E 4:22 [compose.port_range] services.web.ports[0].target: port 0 is out of range
            ports go from 1 to 65535
        E 4:26 [compose.port] services.web.ports[1]: a port has no `target`
            write target: PORT, the port inside the container
        E 4:62 [compose.unknown_value] services.web.ports[2].mode: `mode`: `hosted` is not known
            write one of host, ingress
        W 4:84 [compose.unknown_key] services.web.ports[3].protocl: `protocl` is no key that Compose has here; it has no effect
            did you mean `protocol`?
        ");
    assert_snapshot!(check("expose: [0, 80/x, 70000]"), @r"
        E 4:14 [compose.port_range] services.web.expose[0]: port 0 is out of range
            ports go from 1 to 65535
        E 4:17 [compose.port_protocol] services.web.expose[1]: `x` is no protocol of a port
            write tcp, udp or sctp
        E 4:23 [compose.port_range] services.web.expose[2]: port 70000 is out of range
            ports go from 1 to 65535
        ");
    assert_snapshot!(check("ports: [\"1-2000:1-2000\"]"), @r"
        E 4:13 [compose.port_count] services.web.ports[0]: more than 1000 ports are published
            publish fewer ports, or use network_mode: host
        ");
}

#[test]
fn amounts() {
    assert_snapshot!(check("mem_limit: -5m"), @r"
        E 4:16 [compose.size] services.web.mem_limit: `mem_limit`: `-5m` is negative
            write a size such as 512m, 1.5g or a number of bytes
        ");
    assert_snapshot!(check("mem_limit: 5 apples"), @r"
        E 4:16 [compose.size] services.web.mem_limit: `mem_limit`: `5 apples` has the unknown unit `apples`
            write a size such as 512m, 1.5g or a number of bytes
        ");
    assert_snapshot!(check("mem_limit: 1m"), @r"
        E 4:16 [compose.memory_too_small] services.web.mem_limit: a memory limit of 1048576 bytes is less than the engine accepts
            write at least 6m
        ");
    assert_snapshot!(check("mem_limit: 99999999999999999999g"), @r"
        E 4:16 [compose.size] services.web.mem_limit: `mem_limit`: `99999999999999999999g` is too large
            write a size such as 512m, 1.5g or a number of bytes
        ");
    assert_snapshot!(check("cpus: -1"), @r"
        E 4:11 [compose.cpus] services.web.cpus: `cpus`: `-1` is negative or no number
            write a number of cores such as 0.5 or 2
        ");
    assert_snapshot!(check("cpus: fast"), @r"
        E 4:11 [compose.cpus] services.web.cpus: `cpus`: `fast` is no number of cores
            write a number of cores such as 0.5 or 2
        ");
    assert_snapshot!(check("cpus: 1\ndeploy: {resources: {limits: {cpus: 2}}}"), @r"
        E 5:41 [compose.conflict] services.web.deploy.resources.limits.cpus: `cpus` and `deploy.resources.limits.cpus` say different things
            keep one of the two
        ");
    assert_snapshot!(check("cpus: 1\ncpu_shares: 150"), @r"
        E 5:17 [compose.conflict] services.web.cpu_shares: more processor time is reserved than the limit allows
            raise the limit, or reserve less (cpu_shares: 100 reserves one core)
        ");
    assert_snapshot!(check("mem_limit: 64m\nmem_reservation: 65m"), @r"
        E 5:22 [compose.conflict] services.web.mem_reservation: more memory is reserved than the limit allows
            raise the limit, or reserve less
        ");
}

#[test]
fn numbers_and_times() {
    assert_snapshot!(check("scale: 2\ndeploy: {replicas: 3}"), @r"
        E 4:12 [compose.conflict] services.web.scale: `deploy.replicas` and `scale` say different things
            keep one of the two
        ");
    assert_snapshot!(check("deploy: {replicas: -1}"), @r"
        E 4:24 [compose.range] services.web.deploy.replicas: `replicas` is -1, out of range
            write a whole number from 0 to 10000
        ");
    assert_snapshot!(check("deploy: {replicas: 2, mode: global}"), @r"
        E 2:3 [compose.conflict] services.web: `web` is global and has a number of containers
            remove the number (deploy.replicas, scale or the scale label), or the global mode
        ");
    assert_snapshot!(check("deploy: {mode: globl}"), @r"
        E 4:20 [compose.unknown_value] services.web.deploy.mode: `mode`: `globl` is not known
            did you mean `global`? write one of replicated, global
        ");
    assert_snapshot!(check("stop_grace_period: 10"), @r"
        E 4:24 [compose.duration] services.web.stop_grace_period: `stop_grace_period`: `10` has no unit
            write a time with units, such as 10s, 1m30s or 500ms
        ");
    assert_snapshot!(check("stop_grace_period: 5x"), @r"
        E 4:24 [compose.duration] services.web.stop_grace_period: `stop_grace_period`: `5x` has the unknown unit `x`
            write a time with units, such as 10s, 1m30s or 500ms
        ");
    assert_snapshot!(check("stop_grace_period: 9999999h"), @r"
        E 4:24 [compose.duration] services.web.stop_grace_period: `stop_grace_period` is longer than a day
            write at most 24h
        ");
    assert_snapshot!(check("healthcheck: {interval: soon, timeout: -3s, test: [echo]}"), @r#"
        E 4:29 [compose.duration] services.web.healthcheck.interval: `interval`: `soon` is no time
            write a time with units, such as 10s, 1m30s or 500ms
        E 4:44 [compose.duration] services.web.healthcheck.timeout: `timeout`: `-3s` is negative
            write a time with units, such as 10s, 1m30s or 500ms
        E 4:49 [compose.healthcheck] services.web.healthcheck.test: the test does not begin with NONE, CMD or CMD-SHELL, or has the wrong number of words
            write [CMD, program, argument], [CMD-SHELL, "a line for the shell"], [NONE], or one text
        "#);
    assert_snapshot!(check("ulimits: {nofil: 5, nproc: {soft: 5}, core: {soft: 3, hard: 2}}"), @r"
        E 4:22 [compose.unknown_value] services.web.ulimits.nofil: there is no limit `nofil`
            did you mean `nofile`?
        E 4:25 [compose.ulimit] services.web.ulimits.nproc: a limit needs `soft` and `hard`
            write {soft: 1024, hard: 2048}, or one number for both
        E 4:43 [compose.ulimit] services.web.ulimits.core: the soft limit 3 is above the hard limit 2
            raise `hard`, or lower `soft`
        ");
}

#[test]
fn words() {
    assert_snapshot!(check("restart: allways"), @r#"
        E 4:14 [compose.unknown_value] services.web.restart: `restart`: `allways` is not known
            write "no", always, unless-stopped, on-failure or on-failure:3
        "#);
    assert_snapshot!(check("restart: on-failure:x"), @r#"
        E 4:14 [compose.unknown_value] services.web.restart: `restart`: `on-failure:x` is not known
            write "no", always, unless-stopped, on-failure or on-failure:3
        "#);
    assert_snapshot!(check("cap_add: [NET_ADMN, cap_chown]"), @r"
        E 4:15 [compose.capability] services.web.cap_add[0]: there is no capability `NET_ADMN`
            did you mean `NET_ADMIN`?
        ");
    assert_snapshot!(check("stop_signal: SIGTRM"), @r"
        E 4:18 [compose.stop_signal] services.web.stop_signal: there is no signal `SIGTRM`
            did you mean `SIGTERM`?
        ");
    assert_snapshot!(check("pull_policy: sometimes"), @r"
        E 4:18 [compose.unknown_value] services.web.pull_policy: `pull_policy`: `sometimes` is not known
            write always, missing, never, daily, weekly or every_12h
        ");
    assert_snapshot!(check("platform: linux"), @r"
        E 4:15 [compose.platform] services.web.platform: `linux` is no platform
            write OS/ARCHITECTURE, such as linux/amd64 or linux/arm64/v8
        ");
    assert_snapshot!(check("hostname: a_b.-c"), @r"
        E 4:15 [compose.hostname] services.web.hostname: `a_b.-c` is no host name
            use letters, digits, `-` and dots, up to 63 characters between dots
        ");
    assert_snapshot!(check("working_dir: app"), @r"
        E 4:18 [compose.path] services.web.working_dir: `working_dir`: `app` is no absolute path
            write /app
        ");
    assert_snapshot!(check("network_mode: service:db"), @r"
        E 4:19 [compose.undefined_service] services.web.network_mode: there is no service `db`
            name a service of this file
        ");
    assert_snapshot!(check("network_mode: hosts"), @r"
        E 4:19 [compose.unknown_value] services.web.network_mode: `network_mode`: `hosts` is not known
            write host, none or service:NAME, or use `networks`
        ");
    assert_snapshot!(check("network_mode: host\nnetworks: [default]"), @r"
        E 4:19 [compose.conflict] services.web.network_mode: `network_mode` and `networks` exclude each other
            keep one of the two
        ");
    assert_snapshot!(check("pid: container:x\nipc: hots"), @r"
        E 4:10 [compose.unsupported_value] services.web.pid: `pid: container:x`: which node has a container that is not of this file is not known
            make it a service of this file, and write service:NAME
        E 5:10 [compose.unknown_value] services.web.ipc: `ipc`: `hots` is not known
            did you mean `host`? write one of host, shareable, private, none
        ");
    assert_snapshot!(check("command: echo 'a"), @r"
        E 4:14 [compose.command] services.web.command: `command` is no command: a single quote is never closed
            close the quote, or write the words as a list
        ");
    assert_snapshot!(check("extra_hosts: [\"db\", \"db:nowhere\"]"), @r#"
        E 4:19 [compose.extra_host] services.web.extra_hosts[0]: `db` and `` are no host name and address
            write "name:192.0.2.1" or "name:host-gateway"
        E 4:25 [compose.extra_host] services.web.extra_hosts[1]: `db` and `nowhere` are no host name and address
            write "name:192.0.2.1" or "name:host-gateway"
        "#);
    assert_snapshot!(check("depends_on: {web2: {condition: service_health}}"), @r"
        E 4:18 [compose.undefined_service] services.web.depends_on.web2: there is no service `web2`
            did you mean `web`?
        ");
    assert_snapshot!(check("x-berth-strategy: bin-pack"), @r"
        E 4:23 [compose.unknown_value] services.web.x-berth-strategy: `x-berth-strategy`: `bin-pack` is not known
            did you mean `binpack`? write one of spread, binpack
        ");
}
