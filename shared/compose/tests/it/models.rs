//! Several files as one: `-f` over `-f`, `extends`, `include`, profiles, and files of version 1.
// A helper of tests fails like a test.
#![allow(clippy::panic, clippy::unwrap_used)]

use crate::common::{Case, list};
use berth_compose::{Input, config};
use berth_events::spec::*;
use serde_json::{Value, json};

/// The normalised model of a file, in the folder `/p`.
fn model(case: &Case, text: &str) -> Value {
    let input = Input {
        file_name: "compose.yaml",
        text,
        project_name: Some("shop"),
        environment: &case.environment,
        dotenv: case.dotenv.as_deref(),
        files: &case.files,
        binaries: &case.binaries,
        overrides: &case.overrides,
        profiles: &case.profiles,
        project_directory: Some("/p"),
        builds: berth_compose::Builds::Refused,
    };
    let read = config::normalise(&input, "p").unwrap_or_else(|faults| panic!("{}", list(&faults)));
    read.model
}

fn faults(case: &Case, text: &str) -> String {
    list(&case.parse(text).unwrap_err())
}

fn over(files: &[(&str, &str)]) -> Case {
    Case {
        overrides: files.iter().map(|(name, _)| (*name).to_owned()).collect(),
        ..Case::files(files)
    }
}

#[test]
fn one_file_is_laid_over_another() {
    let base = "services:
  web:
    image: web:1
    command: [a, b]
    environment: {A: '1', B: '1'}
    labels: [x=1]
    ports: ['80:80', '81:81']
    volumes: ['data:/data', './conf:/conf:ro']
    depends_on: [db]
    logging: {driver: json-file, options: {max-size: 1m}}
    networks: [front]
    healthcheck: {test: [CMD, a], interval: 5s}
    extra_hosts: ['a:1.1.1.1']
  db: {image: db}
volumes: {data: }
networks: {front: {}, back: {}}
";
    let upper = "services:
  web:
    image: web:2
    command: c
    environment: [B=2, C=3]
    labels: {x: 2, y: 3}
    ports: ['82:82', '80:80']
    volumes: ['other:/data']
    depends_on: {cache: {condition: service_healthy}}
    logging: {driver: syslog}
    networks: {back: {aliases: [w]}}
    healthcheck: {test: [CMD, b]}
    extra_hosts: ['a:1.1.1.1', 'b:2.2.2.2']
  cache: {image: cache}
volumes: {other: }
";
    let all = model(&over(&[("over.yaml", upper)]), base);
    let web = &all["services"]["web"];
    assert_eq!(web["image"], "web:2");
    assert_eq!(web["command"], json!(["c"]));
    assert_eq!(web["environment"], json!({"A": "1", "B": "2", "C": "3"}));
    assert_eq!(web["labels"], json!({"x": "2", "y": "3"}));
    let ports: Vec<_> = web["ports"]
        .as_array()
        .unwrap()
        .iter()
        .map(|port| port["published"].as_str().unwrap())
        .collect();
    assert_eq!(ports, ["80", "81", "82"]);
    let mounts = web["volumes"].as_array().unwrap();
    assert_eq!(mounts[0]["source"], "other");
    assert_eq!(mounts[1]["source"], "/p/conf");
    assert_eq!(web["depends_on"]["db"]["condition"], "service_started");
    assert_eq!(web["depends_on"]["cache"]["condition"], "service_healthy");
    assert_eq!(web["logging"], json!({"driver": "syslog"}));
    assert_eq!(
        web["networks"],
        json!({"front": null, "back": {"aliases": ["w"]}})
    );
    assert_eq!(
        web["healthcheck"],
        json!({"test": ["CMD", "b"], "interval": "5s"})
    );
    assert_eq!(web["extra_hosts"], json!(["a=1.1.1.1", "b=2.2.2.2"]));
    assert_eq!(
        all["volumes"],
        json!({"other": {"name": "shop_other"}}),
        "what nobody uses is left out"
    );
}

#[test]
fn reset_takes_away_and_override_replaces() {
    let base =
        "services: {web: {image: a, ports: ['80:80'], environment: {A: '1'}, command: x, labels: {a: '1'}}}";
    let upper = "services: {web: {ports: !reset [], environment: !override {B: '2'}, command: !reset null, labels: {b: '2'}}}";
    let all = model(&over(&[("over.yaml", upper)]), base);
    let web = &all["services"]["web"];
    assert_eq!(web.get("ports"), None);
    assert_eq!(web["environment"], json!({"B": "2"}));
    assert_eq!(web["command"], Value::Null);
    assert_eq!(web["labels"], json!({"a": "1", "b": "2"}));
    let spec = over(&[("over.yaml", upper)]).read(base).spec;
    let web = &spec.services["web"].container;
    assert!(web.ports.is_empty() && web.command.is_none());
    assert_eq!(web.environment.keys().collect::<Vec<_>>(), ["B"]);
}

#[test]
fn values_of_two_kinds_do_not_meet() {
    let case = over(&[("over.yaml", "services: {web: {deploy: [a]}}\n")]);
    let said = faults(&case, "services: {web: {image: a, deploy: {replicas: 2}}}");
    assert!(
        said.contains("E over.yaml1:26 [compose.merge] services.web.deploy:"),
        "{said}"
    );
}

#[test]
fn a_service_extends_others_of_this_file_and_of_another() {
    let case = Case::files(&[
        (
            "sub/base.yaml",
            "services:\n  base:\n    extends: {file: more.yaml, service: root}\n    env_file: [a.env]\n    volumes: ['./conf:/conf']\n    environment: [A=base, B=base]\n",
        ),
        (
            "sub/more.yaml",
            "services: {root: {image: root, labels: {from: root}, cap_add: [CHOWN]}}",
        ),
        ("sub/a.env", "FILE=1\n"),
    ]);
    let text = "services:
  web:
    extends: {file: sub/base.yaml, service: base}
    environment: [A=web]
    cap_add: [KILL]
  api:
    extends: web
    image: api
";
    let all = model(&case, text);
    let web = &all["services"]["web"];
    assert_eq!(web["image"], "root");
    assert_eq!(web["environment"], json!({"A": "web", "B": "base", "FILE": "1"}));
    assert_eq!(web["volumes"][0]["source"], "/p/sub/conf");
    assert_eq!(web["cap_add"], json!(["CHOWN", "KILL"]));
    assert_eq!(all["services"]["api"]["image"], "api");
    assert_eq!(all["services"]["api"]["labels"], json!({"from": "root"}));
    let text = text.replace("    volumes", "    #");
    let said = faults(&case, &text);
    assert!(
        said.contains("sub/base.yaml5:15"),
        "a fault stands in the file that says it: {said}"
    );
}

#[test]
fn faults_of_extends() {
    let none = Case::default();
    for (text, code) in [
        (
            "services: {a: {image: a, extends: b}}",
            "there is no service `b` to extend",
        ),
        (
            "services: {a: {image: a, extends: {file: x.yaml, service: b}}}",
            "the file `x.yaml` was not found",
        ),
        (
            "services: {a: {image: a, extends: {file: ../x.yaml, service: b}}}",
            "is not inside the project folder",
        ),
        ("services: {a: {extends: b}, b: {extends: a}}", "extends itself"),
        (
            "services: {a: {image: a, extends: {}}}",
            "`extends` names no service",
        ),
    ] {
        let said = faults(&none, text);
        assert!(said.contains(code), "{text}\n{said}");
    }
    let itself = Case::files(&[("x.yaml", "services: {a: {extends: {file: x.yaml, service: a}}}")]);
    let said = faults(&itself, "services: {a: {extends: {file: x.yaml, service: a}}}");
    assert!(said.contains("extends itself"), "{said}");
}

#[test]
fn files_are_included_with_their_own_folder_and_variables() {
    let case = Case {
        dotenv: Some("TAG=outer\n".into()),
        ..Case::files(&[
            (
                "db/compose.yaml",
                "services: {db: {image: 'db:${TAG}-${OWN}', volumes: ['./data:/data'], networks: [back]}}\nnetworks: {back: }\n",
            ),
            ("db/.env", "TAG=inner\nOWN=1\n"),
            ("web.yaml", "services: {web: {image: web}}\n"),
            ("web.over.yaml", "services: {web: {labels: {a: '1'}}}\n"),
        ])
    };
    let text = "include:\n  - db/compose.yaml\n  - path: [web.yaml, web.over.yaml]\nservices:\n  web: {command: x}\n";
    let all = model(&case, text);
    let db = &all["services"]["db"];
    assert_eq!(db["image"], "db:outer-1");
    assert_eq!(db["volumes"][0]["source"], "/p/db/data");
    assert_eq!(all["services"]["web"]["command"], json!(["x"]));
    assert_eq!(all["services"]["web"]["labels"], json!({"a": "1"}));
    assert_eq!(all["networks"]["back"]["name"], "shop_back");
    let circle = Case::files(&[("a.yaml", "include: [a.yaml]\n")]);
    assert!(
        faults(&circle, "include: [a.yaml]\nservices: {a: {image: a}}").contains("include cycle detected")
    );
}

#[test]
fn what_a_client_must_send_is_found_step_by_step() {
    let mut case = Case::default();
    let text = "include: [db/compose.yaml]\nservices: {web: {image: a, extends: {file: x.yaml, service: b}, label_file: l.env, secrets: [s]}}\nsecrets: {s: {file: ./s.txt}}\n";
    let asked = |case: &Case| {
        berth_compose::referenced_files_of(&Input {
            file_name: "compose.yaml",
            text,
            project_name: None,
            environment: &case.environment,
            dotenv: None,
            files: &case.files,
            binaries: &Default::default(),
            overrides: &[],
            profiles: &[],
            project_directory: None,
            builds: berth_compose::Builds::Refused,
        })
    };
    assert!(
        asked(&case).contains(&"db/compose.yaml".to_owned()),
        "{:?}",
        asked(&case)
    );
    let db = "services: {db: {image: db, env_file: ['${E:-a}.env']}}\n";
    case.files.insert("db/compose.yaml".into(), db.into());
    case.files
        .insert("x.yaml".into(), "services: {b: {image: b}}\n".into());
    let all = asked(&case);
    for file in ["db/.env", "db/a.env", "l.env", "s.txt", "x.yaml"] {
        assert!(all.contains(&file.to_owned()), "{file}: {all:?}");
    }
}

#[test]
fn services_of_other_profiles_are_left_out() {
    let text = "services:
  web: {image: web, depends_on: {debug: {condition: service_started, required: false}}}
  debug: {image: debug, profiles: [debug]}
";
    let names = |case: &Case| case.read(text).spec.services.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&Case::default()), ["web"]);
    let chosen = Case {
        profiles: vec!["debug".into()],
        ..Case::default()
    };
    assert_eq!(names(&chosen), ["debug", "web"]);
    assert_eq!(
        names(&Case::with(&[("COMPOSE_PROFILES", "x, debug")])),
        ["debug", "web"]
    );
    let needed = text.replace(", required: false", "");
    let said = faults(&Case::default(), &needed);
    assert!(
        said.contains("[compose.profile]") && said.contains("--profile"),
        "{said}"
    );
}

#[test]
fn version_1_is_read() {
    let text = "web:
  image: web
  net: host
  log_driver: json-file
  log_opt: {max-size: 1m}
  mem_limit: 64m
db:
  image: db
  ports: ['5432:5432']
";
    let parsed = Case::default().read(text);
    assert_eq!(parsed.spec.services.keys().collect::<Vec<_>>(), ["db", "web"]);
    let web = &parsed.spec.services["web"].container;
    assert_eq!(web.network_mode.as_deref(), Some("host"));
    assert_eq!(web.logging.as_ref().unwrap().driver, "json-file");
    assert_eq!(
        parsed.spec.services["db"].mode,
        ServiceMode::Replicated { replicas: 1 }
    );
    assert!(
        list(&parsed.warnings).contains("[compose.v1]"),
        "{}",
        list(&parsed.warnings)
    );
}

#[test]
fn the_model_is_written_as_yaml_that_is_read_back() {
    let text = "services: {web: {image: a, command: ['a $$b'], environment: {A: 'x: y', B: }, scale: 2, cpus: 0.5, mem_limit: 1g, stop_grace_period: 1m30s, ulimits: {nofile: 5}}}";
    let first = model(&Case::default(), text);
    assert_eq!(first["services"]["web"]["stop_grace_period"], "1m30s");
    assert_eq!(first["services"]["web"]["mem_limit"], "1073741824");
    assert_eq!(first["services"]["web"]["command"], json!(["a $$b"]));
    let again = model(&Case::default(), &config::to_yaml(&first));
    assert_eq!(first, again);
}
