//! Wrong values: each is an error with its place and its cure, and one reading names all of them.

use crate::common::{Case, check, service};
use insta::assert_snapshot;

#[test]
fn mounts() {
    assert_snapshot!(check("volumes: [\"./data:/data\", \"~/x:/y\", \"data:/data\", \"/a:b\", \"/a:/\", \"/a:/b:rx\", \"a:b:c:d\"]"), @r#"
        E 4:15 [compose.bind_path] services.web.volumes[0]: `./data` is a path on your machine; containers run on nodes
            write an absolute path that is there on every node, use a named volume, or put the files into the image
        E 4:31 [compose.bind_path] services.web.volumes[1]: `~/x` names a home directory, and nodes have none of yours
            write the absolute path, or use a named volume
        E 4:41 [compose.undefined_volume] services.web.volumes[2]: no volume `data` is declared
            add `data:` under the top-level `volumes:`, or begin a path with /
        E 4:55 [compose.mount_target] services.web.volumes[3]: the target `b` is no absolute path
            write "name:/path", "/path/on/node:/path", or "/path" for an anonymous volume
        E 4:63 [compose.mount_target] services.web.volumes[4]: the target `/` would hide the whole image
            choose a path below /
        E 4:71 [compose.mount_option] services.web.volumes[5]: `rx` is no option of a mount
            write ro or rw after the target
        E 4:83 [compose.mount] services.web.volumes[6]: `a:b:c:d` has too many colons
            write "name:/path", "/path/on/node:/path", or "/path" for an anonymous volume
        "#);
    assert_snapshot!(check("volumes: [\"/a:/x\", \"/b:/x\"]"), @r"
        E 4:24 [compose.mount_target] services.web.volumes[1]: two mounts have the target `/x`
            give each mount a path of its own
        ");
    assert_snapshot!(check("volumes: [{type: bnd, target: /x}, {target: /y}, {type: bind, target: /z}, {type: tmpfs, source: a, target: /t}]"), @r"
        E 4:22 [compose.unknown_value] services.web.volumes[0].type: `type`: `bnd` is not known
            did you mean `bind`? write one of volume, bind, tmpfs
        E 4:40 [compose.mount] services.web.volumes[1]: a mount has no `type`
            write type: volume, bind or tmpfs
        E 4:54 [compose.mount] services.web.volumes[2]: a bind mount has no `source`
            write source: /path/on/the/node
        E 4:102 [compose.mount] services.web.volumes[3].source: a tmpfs has no source
            remove `source`
        ");
    assert_snapshot!(check("tmpfs: [\"/run:size=big\", \"run\", \"/t:mode=999\"]"), @r#"
        E 4:13 [compose.size] services.web.tmpfs[0]: size: `big` is no size
            write size=64m
        E 4:30 [compose.mount_target] services.web.tmpfs[1]: the target `run` is no absolute path
            write "name:/path", "/path/on/node:/path", or "/path" for an anonymous volume
        E 4:37 [compose.file_mode] services.web.tmpfs[2]: `999` is no mode of a file
            write it octal, such as 0755 or 01777
        "#);
    let case = Case {
        project_directory: Some("/srv/shop".into()),
        ..Case::default()
    };
    assert_snapshot!(case.check(&service("volumes: [\"../../etc:/x\", \"a/../../b:/y\"]")), @r"
        E 4:15 [compose.bind_path] services.web.volumes[0]: `../../etc` leaves the project folder
            keep the path inside the project folder, or write it absolute
        E 4:31 [compose.undefined_volume] services.web.volumes[1]: no volume `a/../../b` is declared
            add `a/../../b:` under the top-level `volumes:`, or begin a path with /
        ");
}

#[test]
fn env_files() {
    assert_snapshot!(check("env_file: a.env"), @r"
        E 4:15 [compose.env_file_missing] services.web.env_file: the env_file `a.env` was not found
            make the file, or write it as {path: …, required: false}
        ");
    assert_snapshot!(check("env_file: [../a.env, /etc/passwd, x/../../y]"), @r"
        E 4:16 [compose.env_file_path] services.web.env_file[0]: the env_file `../a.env` is not inside the project folder
            copy the file beside the Compose file and name it by a relative path without ..
        E 4:26 [compose.env_file_path] services.web.env_file[1]: the env_file `/etc/passwd` is not inside the project folder
            copy the file beside the Compose file and name it by a relative path without ..
        E 4:39 [compose.env_file_path] services.web.env_file[2]: the env_file `x/../../y` is not inside the project folder
            copy the file beside the Compose file and name it by a relative path without ..
        ");
    assert_snapshot!(check("env_file: [{required: false}, {path: a.env, required: maybe}]"), @r"
        E 4:16 [compose.env_file_path] services.web.env_file[0]: an env_file has no `path`
            write env_file: name.env, or a list of {path: name.env, required: false}
        E 4:35 [compose.env_file_missing] services.web.env_file[1]: the env_file `a.env` was not found
            make the file, or write it as {path: …, required: false}
        E 4:59 [compose.type] services.web.env_file[1].required: `required` must be true or false, and is `maybe`
            write true or false, in small letters and without quotes
        ");
    let case = Case::files(&[("a.env", "GOOD=1\nsome words\nSECRET=\"never closed\n")]);
    assert_snapshot!(case.check(&service("env_file: ./a.env")), @r"
        E a.env2:1 [compose.env_file_syntax] services.web.env_file: this line is no `NAME=value`
            write NAME=value, with letters, digits, `_`, `-` and `.` in the name; begin a comment with #
        E a.env3:1 [compose.env_file_syntax] services.web.env_file: the quote of `SECRET` is never closed
            close it, or leave the quotes away
        ");
}

#[test]
fn rules_of_placement() {
    assert_snapshot!(check("environment: [\"constraint:zone=a\", \"constraint:==a\", \"constraint:zone==\", \"constraint:zone==/(/\", \"affinity:x\"]"), @r"
        E 4:19 [compose.rule] services.web.environment[0]: One of operator ==, != is expected in `zone=a`
            write KEY==VALUE or KEY!=VALUE, with ~ before the value for a preference
        E 4:40 [compose.rule] services.web.environment[1]: `` is no key of a rule
            write KEY==VALUE or KEY!=VALUE, with ~ before the value for a preference
        E 4:58 [compose.rule] services.web.environment[2]: `zone==` has no value
            write KEY==VALUE or KEY!=VALUE, with ~ before the value for a preference
        E 4:79 [compose.rule] services.web.environment[3]: `/(/` is no regular expression: unclosed group
            write KEY==VALUE or KEY!=VALUE, with ~ before the value for a preference
        E 4:103 [compose.rule] services.web.environment[4]: One of operator ==, != is expected in `x`
            write KEY==VALUE or KEY!=VALUE, with ~ before the value for a preference
    ");
    assert_snapshot!(check("environment: [\"reschedule:on-node-failure\", \"reschedule:off\", \"reschedule:maybe\"]"), @r"
        E 4:49 [compose.conflict] services.web.environment[1]: two rules say different things about the loss of a node
            keep one of reschedule:on-node-failure (or x-berth-abandon-volume) and reschedule:off
        E 4:67 [compose.rule] services.web.environment[2]: `reschedule:maybe` is not known
            write reschedule:on-node-failure or reschedule:off
        ");
    assert_snapshot!(check("deploy: {placement: {constraints: [node.hostnam == a, node.colour == red]}}"), @r"
        E 4:40 [compose.rule] services.web.deploy.placement.constraints[0]: a node has no `node.hostnam`
            did you mean `node.hostname`? use node.labels.NAME, or one of node.id, node.hostname, node.platform.os, node.platform.arch
        E 4:59 [compose.rule] services.web.deploy.placement.constraints[1]: a node has no `node.colour`
            use node.labels.NAME, or one of node.id, node.hostname, node.platform.os, node.platform.arch
        ");
    assert_snapshot!(check("labels: {aliyun.scale: 2, berth.scale: 3, berth.glob: x, berth.global: maybe}"), @r"
        E 4:44 [compose.conflict] services.web.labels.berth.scale: `aliyun.scale` and `berth.scale` mean the same and have different values
            keep one of the two, best `berth.scale`
        E 4:59 [compose.reserved_label] services.web.labels.berth.glob: `berth.glob` is no label that Berth knows, and `berth.` is kept for those
            did you mean `berth.global`? choose another prefix for labels of your own
        E 4:76 [compose.type] services.web.labels.berth.global: the global label says `maybe`
            write 'true' or 'false'
        ");
    assert_snapshot!(check("labels: {berth.scale: two, com.docker.swarm.constraints: x}"), @r#"
        E 4:27 [compose.range] services.web.labels.berth.scale: the scale label says `two`
            write a whole number from 0 to 10000
        E 4:62 [compose.rule] services.web.labels.com.docker.swarm.constraints: `com.docker.swarm.constraints` is no JSON list of texts
            write '["rule", "rule"]'
        "#);
}

#[test]
fn whole_files() {
    let case = Case::default();
    assert_snapshot!(case.check(""), @r"
        E 0:0 [compose.empty] : the file is empty
            write `services:` and the services below it
        ");
    assert_snapshot!(case.check("- a\n"), @r"
        E 1:1 [compose.type] : a Compose file must be a mapping, and this is a list
            write `services:` and the services below it
        ");
    assert_snapshot!(case.check("web:\n  image: nginx\n"), @r"
        services:
          web:
            image: nginx
        W 1:1 [compose.v1] : the file is of version 1: its services are read as if they stood below `services:`
            write `services:` as the first line, and indent the services below it
    ");
    assert_snapshot!(case.check("version: '1'\nservices: {}\n"), @r"
        E 2:1 [compose.no_services] services: the file has no services
            write at least one service below `services:`
    ");
    assert_snapshot!(case.check("version: '4.0'\nservices: {web: {image: a}}\n"), @r"
        E 1:10 [compose.version] version: there is no version `4.0`
            remove the line: it is not needed
        ");
    assert_snapshot!(case.check("service:\n  web:\n    ports: []\n"), @r"
        E 1:1 [compose.no_services] : the file has no `services`
            did you mean `services` by `service`?
        ");
    assert_snapshot!(case.check("services: {}\n"), @r"
        E 1:1 [compose.no_services] services: the file has no services
            write at least one service below `services:`
        ");
    assert_snapshot!(case.check("services:\n  web:\n  db: {image: a b}\n  -x: {image: a}\n"), @r"
        E 2:3 [compose.type] services.web: the service `web` must be a mapping, and is nothing
            write at least `image: NAME` below it
        E 3:15 [compose.image] services.db.image: `a b` is no name of an image
            write NAME[:TAG] or REGISTRY/NAME[:TAG], without spaces
        E 4:3 [compose.name] services.-x: `-x` is no name of a service
            use up to 63 letters, digits, `-`, `_` and `.`, the first a letter or digit
        W 1:1 [compose.network_across_nodes] services: the services of the network `default` (-x, db) reach each other only when they run on the same node
            on a cluster of several nodes, keep them together with affinity:service==NAME in `environment`; networks across nodes come with a later release
        ");
    assert_snapshot!(case.check("services: {web: {build: .}, db: {}}\n"), @r"
        E 1:25 [compose.build] services.web.build: the service has `build`, and no `image` that says where the image goes
            write `image: REGISTRY/NAME:TAG` beside `build`: the image is pushed under that name, with the login of `berth registry login REGISTRY`
        E 1:29 [compose.image] services.db: the service `db` has no `image`
            write image: NAME[:TAG]
        W 1:1 [compose.network_across_nodes] services: the services of the network `default` (db, web) reach each other only when they run on the same node
            on a cluster of several nodes, keep them together with affinity:service==NAME in `environment`; networks across nodes come with a later release
        ");
    assert_snapshot!(case.check("name: -a\nservices: {web: {image: a}}\n"), @r"
        E 1:7 [compose.name] name: `-a` must begin with a letter or a digit
            choose another name, or remove the line and give --name
        ");
    assert_snapshot!(case.check("services: {web: {image: a}}\n---\nservices: {}\n"), @r"
        E 2:1 [compose.documents] : the file holds more than one YAML document
            keep one document; deploy each further one as its own application
        ");
    assert_snapshot!(case.check("services: {web: {image: a, networks: [fornt]}}\nnetworks: {front: }\nvolumes: {d: {external: true, driver: local}}\n"), @r"
        E 1:39 [compose.undefined_network] services.web.networks[0]: no network `fornt` is declared
            did you mean `front`?
        E 3:39 [compose.external] volumes.d.driver: `driver` cannot be set for something external, which exists already
            remove `driver`, or `external`
        ");
}

#[test]
fn dependency_cycles_are_named() {
    let text = "services:\n  a: {image: x, depends_on: [b]}\n  b: {image: x, depends_on: [c]}\n  c:\n    image: x\n    depends_on: {a: {condition: service_healthy}}\n  d: {image: x, depends_on: [a]}\n";
    assert_snapshot!(Case::default().check(text), @r"
        E 2:17 [compose.dependency_cycle] services.a.depends_on: the services wait for each other: a → b → c → a
            remove one of these dependencies
        W 1:1 [compose.network_across_nodes] services: the services of the network `default` (a, b, c, d) reach each other only when they run on the same node
            on a cluster of several nodes, keep them together with affinity:service==NAME in `environment`; networks across nodes come with a later release
        ");
    assert_snapshot!(check("depends_on: [web]"), @r"
        E 4:5 [compose.dependency_cycle] services.web.depends_on: the services wait for each other: web → web
            remove one of these dependencies
        ");
}

#[test]
fn yaml_faults() {
    let case = Case::default();
    assert_snapshot!(case.check("services:\n  web:\n\timage: nginx\n"), @r"
        E 3:2 [compose.yaml] : not YAML: tabs disallowed within this context (block indentation)
            check indentation, quotes and colons around this place; tabs cannot indent
        ");
    assert_snapshot!(case.check("services: {web: {image: nginx\n"), @r"
        E 1:17 [compose.yaml] : not YAML: unclosed bracket '{'
            check indentation, quotes and colons around this place; tabs cannot indent
        ");
    assert_snapshot!(case.check("services:\n  web: {image: a, image: b}\n  web: {image: c}\n"), @r"
        E 2:19 [compose.duplicate_key] : the key `image` stands here and on line 2
            keep one of the two; YAML does not say which one would win
        E 3:3 [compose.duplicate_key] : the key `web` stands here and on line 2
            keep one of the two; YAML does not say which one would win
        ");
    assert_snapshot!(case.check("services:\n  web: *nobody\n"), @r"
        E 2:8 [compose.alias] : the alias names no anchor that stands above it
            define it above with `&name`, or put the text into quotes
        ");
    assert_snapshot!(case.check("services:\n  web: &a {image: nginx, x-a: *a}\n"), @r"
        E 2:31 [compose.alias] : the alias stands inside the value that it names
            define the anchor before and outside the place that uses it
        ");
    assert_snapshot!(case.check("services:\n  web: {<<: nginx, image: a}\n"), @r"
        E 2:9 [compose.merge] : `<<` merges mappings only
            write `<<: *anchor` where the anchor stands on a mapping
        ");
    assert_snapshot!(case.check("services:\n  web: !secret {image: a}\n"), @r"
        E 2:16 [compose.tag] : the tag `!secret` means nothing in a Compose file
            remove the tag
        ");
    assert_snapshot!(case.check("services:\n  web: {image: a, ? [x] : b}\n"), @r"
        E 2:21 [compose.key] : a key must be a text
            write a text before the colon
        ");
}

#[test]
fn one_reading_names_all_faults_and_shows_them_as_a_compiler_does() {
    let text =
        "services:\n  web:\n    image: nginx\n    ports: [\"0:80\"]\n    restart: allways\n    portz: []\n";
    let faults = Case::default().parse(text).unwrap_err();
    let shown: Vec<String> = faults.iter().map(ToString::to_string).collect();
    assert_snapshot!(shown.join("\n\n"), @r#"
        error[compose.port_range]: port 0 is out of range
         --> compose.yaml:4:13 (services.web.ports[0])
          |
        4 |     ports: ["0:80"]
          |             ^
          = help: ports go from 1 to 65535

        error[compose.unknown_value]: `restart`: `allways` is not known
         --> compose.yaml:5:14 (services.web.restart)
          |
        5 |     restart: allways
          |              ^
          = help: write "no", always, unless-stopped, on-failure or on-failure:3

        warning[compose.unknown_key]: `portz` is no key that Compose has here; it has no effect
         --> compose.yaml:6:5 (services.web.portz)
          |
        6 |     portz: []
          |     ^
          = help: did you mean `ports`?
        "#);
}

#[test]
fn labels_that_berth_sets_itself() {
    let text = "services: {web: {image: a, labels: [io.berth.slot=1], deploy: {labels: {io.berth.x: y}}}}\nvolumes: {d: {labels: {io.berth.application: b}}}\nnetworks: {n: {labels: [io.berth.cluster=c]}}\n";
    assert_snapshot!(Case::default().check(text), @r"
        E 1:37 [compose.reserved_label] services.web.labels[0]: `io.berth.slot` is a label that Berth sets itself
            choose another prefix for labels of your own
        E 1:85 [compose.reserved_label] services.web.deploy.labels.io.berth.x: `io.berth.x` is a label that Berth sets itself
            choose another prefix for labels of your own
        E 2:46 [compose.reserved_label] volumes.d.labels.io.berth.application: `io.berth.application` is a label that Berth sets itself
            choose another prefix for labels of your own
        E 3:25 [compose.reserved_label] networks.n.labels[0]: `io.berth.cluster` is a label that Berth sets itself
            choose another prefix for labels of your own
        ");
}
