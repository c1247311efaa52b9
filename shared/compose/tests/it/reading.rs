//! What correct files mean, shown as the file that means the same.

use crate::common::{Case, reads, service};
use insta::assert_snapshot;

#[test]
fn amounts() {
    assert_snapshot!(reads("mem_limit: 268435456\ncpu_shares: 50"), @r#"
        deploy:
          resources:
            limits:
              memory: 268435456
            reservations:
              cpus: "0.5"
              memory: 268435456
        cpu_shares: 50
    "#);
    assert_snapshot!(reads("mem_limit: 1.5gb\nmem_reservation: 512MiB\ncpus: .25\npids_limit: -1\nshm_size: 64m"), @r#"
        deploy:
          resources:
            limits:
              cpus: "0.25"
              memory: 1610612736
            reservations:
              memory: 536870912
        shm_size: 67108864
        "#);
    assert_snapshot!(reads("deploy: {resources: {limits: {cpus: '0.001', memory: 50M, pids: 100}, reservations: {cpus: 0.0001, memory: 20m}}}"), @r#"
        deploy:
          resources:
            limits:
              cpus: "0.001"
              memory: 52428800
              pids: 100
            reservations:
              cpus: "0.001"
              memory: 20971520
        "#);
    assert_snapshot!(reads("cpus: 0.5\ndeploy: {replicas: 3, resources: {limits: {cpus: '0.50'}}}\nscale: 3"), @r#"
        deploy:
          replicas: 3
          resources:
            limits:
              cpus: "0.5"
        "#);
    assert_snapshot!(reads("deploy: {mode: global}"), @r"
        deploy:
          mode: global
        ");
    assert_snapshot!(reads("labels: {aliyun.scale: 4, berth.scale: '4', a: true, b: , c: 1.10}"), @r#"
        labels:
          a: "true"
          b: ""
          c: "1.10"
        deploy:
          replicas: 4
        "#);
    assert_snapshot!(reads("labels: [aliyun.global=true, a=b=c, d]"), @r#"
        labels:
          a: "b=c"
          d: ""
        deploy:
          mode: global
        "#);
}

#[test]
fn restarts() {
    assert_snapshot!(reads("restart: no"), @r#"restart: "no""#);
    assert_snapshot!(reads("restart: unless-stopped"), @"");
    assert_snapshot!(reads("restart: on-failure:3"), @r#"restart: "on-failure:3""#);
    assert_snapshot!(reads("deploy: {restart_policy: {condition: on-failure, delay: 1m30s, max_attempts: 5}}"), @r"
        deploy:
          restart_policy:
            condition: on-failure
            max_attempts: 5
            delay: 90s
        ");
    assert_snapshot!(reads("deploy: {restart_policy: {condition: none}}"), @r#"restart: "no""#);
}

#[test]
fn environments() {
    assert_snapshot!(reads("environment: {A: 1, B: true, C: on, D: '', E: \"x # y\", F: 0x1F, G: 1_000}"), @r#"
        environment:
          A: "1"
          B: "true"
          C: "on"
          D: ""
          E: "x # y"
          F: "0x1F"
          G: "1_000"
        x-berth-public:
          - A
          - B
          - C
          - D
          - E
          - F
          - G
        "#);
    assert_snapshot!(reads("environment: [A=1, B=, C=x=y, 'D=$$HOME']\nx-berth-public: [A]"), @r#"
        environment:
          A: "1"
          B: ""
          C: "x=y"
          D: "$$HOME"
        x-berth-public:
          - A
          - B
          - C
          - D
        "#);
    let mut case = Case::files(&[
        (
            "a.env",
            "A=file\nB=\"two\\nlines\" # note\nexport C='$no'\nD=${A}-${OUT:-none}\n",
        ),
        ("conf/b.env", "A=second\n"),
    ]);
    case.environment.insert("OUT".into(), "outer".into());
    case.environment.insert("GIVEN".into(), "given".into());
    let text = "env_file: [a.env, {path: ./conf/b.env}, {path: c.env, required: false}]\nenvironment: {B: own, GIVEN: , GONE: }";
    assert_snapshot!(case.check(&service(text)), @r#"
        services:
          web:
            image: nginx
            environment:
              A: second
              B: own
              C: "$$no"
              D: file-outer
              GIVEN: given
            x-berth-public:
              - A
              - B
              - C
              - D
              - GIVEN
        W 5:36 [compose.unset_variable] services.web.environment.GONE: `GONE` has no value here nor outside; the container does not get it
            set GONE, or write GONE: "" for an empty value
        "#);
}

#[test]
fn placement_rules() {
    let text = "environment:\n- A=1\n- constraint:group==web\n- constraint:aliyun.node_index==(1|2|3*)\n- constraint:node!=~node-1\n- affinity:service!=~db\n- affinity:image==~redis\n- affinity:aliyun.lb.port_6379!=tcp://proxy:6379\n- constraint:zone==/^eu-.*/\n- reschedule:on-node-failure\n";
    assert_snapshot!(reads(text), @r#"
        environment:
          - "affinity:service!=~db"
          - "affinity:image==~redis"
          - "affinity:aliyun.lb.port_6379!=tcp://proxy:6379"
          - "A=1"
        x-berth-public:
          - A
        x-berth-abandon-volume: true
        deploy:
          placement:
            constraints:
              - "group==web"
              - "aliyun.node_index==/^(1|2|3.*)$$/"
              - "node.hostname!=~node-1"
              - "zone==/^eu-.*/"
        "#);
    assert_snapshot!(reads("environment: {\"constraint:group\": =web, \"affinity:service!=db\": , \"reschedule:off\": }"), @r#"
        environment:
          - "affinity:service!=db"
          - "reschedule:off"
        deploy:
          placement:
            constraints:
              - "group==web"
        "#);
    assert_snapshot!(reads("deploy: {placement: {constraints: [node.labels.ssd == true, \"node.platform.os!=windows\"], preferences: [{spread: node.labels.zone}], max_replicas_per_node: 2}}\nx-berth-strategy: binpack\nx-berth-abandon-volume: true"), @r#"
        x-berth-abandon-volume: true
        x-berth-strategy: binpack
        deploy:
          placement:
            constraints:
              - "node.labels.ssd==true"
              - "node.platform.os!=windows"
            preferences:
              - spread: node.labels.zone
            max_replicas_per_node: 2
        "#);
    assert_snapshot!(reads("labels: {com.docker.swarm.reschedule-policies: '[\"on-node-failure\"]', com.docker.swarm.affinities: '[\"service==db\"]'}"), @r#"
        environment:
          - "affinity:service==db"
        x-berth-abandon-volume: true
        "#);
}

#[test]
fn dependencies() {
    let text = "services:\n  web:\n    image: a\n    depends_on: {db: {condition: service_healthy}, job: {condition: service_completed_successfully}}\n    labels: {aliyun.depends: 'cache, db'}\n    network_mode: none\n  db: {image: b, network_mode: none, depends_on: [cache]}\n  cache: {image: c, network_mode: none}\n  job: {image: d, network_mode: none}\n";
    assert_snapshot!(Case::default().check(text), @r"
        services:
          cache:
            image: c
            network_mode: none
          db:
            image: b
            network_mode: none
            depends_on:
              - cache
          job:
            image: d
            network_mode: none
          web:
            image: a
            network_mode: none
            depends_on:
              cache:
                condition: service_started
              db:
                condition: service_healthy
              job:
                condition: service_completed_successfully
        ");
}

#[test]
fn anchors_merges_and_extensions() {
    let text = "version: '3.8'\nname: shop\nx-base: &base\n  restart: always\n  image: nginx:${UNUSED_HERE_IS_FINE:-1}\n  labels: &labels {a: '1', b: '2'}\nx-other: &other {tty: true, image: other}\nservices:\n  web:\n    <<: [*base, *other]\n    labels: {<<: *labels, b: '3'}\n    x-note: anything\n  api: {<<: *other, image: !override api, tty: !reset true, environment: !reset [A=1]}\n";
    assert_snapshot!(Case::default().check(text), @r#"
        name: shop
        services:
          api:
            image: api
          web:
            image: "nginx:1"
            labels:
              a: "1"
              b: "3"
            tty: true
        W 8:1 [compose.network_across_nodes] services: the services of the network `default` (api, web) reach each other only when they run on the same node
            on a cluster of several nodes, keep them together with affinity:service==NAME in `environment`; networks across nodes come with a later release
        "#);
}

#[test]
fn variables() {
    let mut case = Case::with(&[("TAG", "1.27"), ("EMPTY", ""), ("PORT", "8080"), ("COUNT", "3")]);
    case.dotenv = Some("TAG=from-dotenv\nNAME=\"dot\" # note\nBOTH=${TAG}-x\n".into());
    let text = "image: nginx:${TAG}\nports: [\"${PORT}:80\"]\nscale: $COUNT\nlabels: {a: \"${NAME} $BOTH ${EMPTY:-d} ${EMPTY-e}\", b: \"${NONE:-${NAME}}\", c: '$$TAG ${TAG:+set} ${NONE+x}', e: '${NONE}$NONE'}";
    assert_snapshot!(case.check(&service(text).replace("    image: nginx\n", "")), @r#"
        services:
          web:
            image: "nginx:1.27"
            labels:
              a: "dot 1.27-x d "
              b: dot
              c: "$$TAG set "
              e: ""
            ports:
              - "8080:80"
            deploy:
              replicas: 3
        W 6:117 [compose.unset_variable] services.web.labels.e: the variable `NONE` is not set; it becomes empty
            set NONE, give a default with ${NONE:-default}, or demand it with ${NONE:?}
        "#);
    assert_snapshot!(case.check(&service("labels: {a: \"${NONE:?say who}\", b: \"${EMPTY:?}\", c: \"${EMPTY?fine}\", d: \"${\", e: '${A!}', f: 'cost 5$', g: '${1}'}")), @r"
        E 4:17 [compose.interpolation] services.web.labels.a: the variable `NONE` must be set: say who
            set NONE in the environment or in .env
        E 4:40 [compose.interpolation] services.web.labels.b: the variable `EMPTY` must be set
            set EMPTY in the environment or in .env
        E 4:77 [compose.interpolation] services.web.labels.d: a variable's name begins with a letter or `_`
            write ${NAME}, or $$ for a dollar sign
        E 4:86 [compose.interpolation] services.web.labels.e: after the name comes `}`, `:-`, `-`, `:?`, `?`, `:+` or `+`
            write ${NAME}, or $$ for a dollar sign
        E 4:98 [compose.interpolation] services.web.labels.f: a single `$` begins a variable, and no name follows
            write ${NAME}, or $$ for a dollar sign
        E 4:112 [compose.interpolation] services.web.labels.g: a variable's name begins with a letter or `_`
            write ${NAME}, or $$ for a dollar sign
        ");
}

#[test]
fn the_project_has_a_name() {
    let text =
        "name: shop\nservices: {web: {image: \"${COMPOSE_PROJECT_NAME}/web\", labels: {a: \"$NAME\"}}}\n";
    assert_snapshot!(Case::with(&[("NAME", "n")]).check(text), @r#"
        name: shop
        services:
          web:
            image: shop/web
            labels:
              a: "n"
        "#);
    let text = "name: ${NAME}\nservices: {web: {image: a}}\n";
    assert_snapshot!(Case::with(&[("NAME", "n")]).check(text), @r#"
        name: "n"
        services:
          web:
            image: a
        "#);
}
