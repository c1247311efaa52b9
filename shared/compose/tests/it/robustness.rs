//! Whatever the text, reading it ends with an answer, and an answer's faults stand inside the file.

use crate::common::{Case, list};
use proptest::prelude::*;

/// A file that uses every kind of key, to be damaged.
const FILE: &str = "\
version: '3.8'
name: shop
x-base: &base {restart: always, labels: &labels {a: '1'}}
services:
  web:
    <<: *base
    image: nginx:${TAG:-1}
    command: sh -c 'echo \"a\"'
    ports: [\"127.0.0.1:8080-8081:80-81/tcp\", {target: 90, published: 91, mode: host}]
    environment: [A=$B, 'constraint:zone==/a|b/', 'affinity:service!=~db', C]
    env_file: [{path: a.env, required: false}]
    volumes: ['data:/d:ro', {type: tmpfs, target: /t, tmpfs: {size: 1m, mode: 0755}}]
    deploy:
      replicas: 3
      resources: {limits: {cpus: '0.5', memory: 64m}, reservations: {cpus: 0.25}}
      placement: {constraints: [node.labels.x==y], preferences: [{spread: zone}]}
      restart_policy: {condition: on-failure, delay: 1m30s}
    healthcheck: {test: [CMD, a], interval: 10s, retries: 3}
    ulimits: {nofile: {soft: 1, hard: 2}}
    depends_on: {db: {condition: service_healthy}}
    networks: {front: {aliases: [www]}}
    extra_hosts: ['a:1.2.3.4', 'b=[::1]']
    x-berth-public: [A]
  db: {image: db, tmpfs: '/run:size=1m,mode=1777', stop_signal: SIGINT, stop_grace_period: 1m}
volumes: {data: {driver: local}}
networks: {front: {internal: true}}
";

/// Reads a text and checks what every answer promises.
fn answer(text: &str) -> Result<(), TestCaseError> {
    let mut case = Case::with(&[("B", "b")]);
    case.dotenv = Some(text.to_owned());
    for case in [Case::default(), case] {
        let faults = match case.parse(text) {
            Ok(parsed) => {
                let rendered = berth_compose::render(parsed.name.as_deref(), &parsed.spec, &|_, _, _| None);
                let again = Case::default().parse(&rendered).map_err(|faults| {
                    TestCaseError::fail(format!("{text}\nbecomes\n{rendered}\n{}", list(&faults)))
                })?;
                prop_assert_eq!(&again.spec, &parsed.spec, "{}", rendered);
                parsed.warnings
            }
            Err(faults) => {
                prop_assert!(!faults.is_empty());
                faults
            }
        };
        for fault in faults {
            prop_assert!(!fault.message.is_empty() && !fault.cure.is_empty(), "{}", fault);
            // A fault at the end of the text may stand on the line after the last.
            prop_assert!(fault.line as usize <= text.lines().count() + 1, "{}", fault);
        }
    }
    Ok(())
}

#[test]
fn the_undamaged_file_is_good() {
    Case::default().read(FILE);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn any_text(text in any::<String>()) {
        answer(&text)?;
    }

    #[test]
    fn pieces_of_yaml(pieces in prop::collection::vec(prop::sample::select(vec![
        "services", ": ", "\n", "\n  ", "\n    ", "web", "image", "- ", "[", "]", "{", "}", "&a ", "*a", "<<", "!reset ",
        "!!str ", "'", "\"", "|\n", ">", "#", "$", "${", "%", "---", "...", "? ", ",", "ports", "80:80", "0", "-", "~", "\t", "ä",
    ]), 0..60)) {
        answer(&pieces.concat())?;
    }

    #[test]
    fn a_damaged_file(
        damage in prop::collection::vec((0..2000_usize, 0..12_usize, "[a-z0-9:\\-\\[\\]{}&*!'\"$ \n/.,=~]{0,4}"), 1..4)
    ) {
        let mut text: Vec<char> = FILE.chars().collect();
        for (at, length, new) in damage {
            let from = at.min(text.len());
            let to = (from + length).min(text.len());
            text.splice(from..to, new.chars());
        }
        answer(&text.into_iter().collect::<String>())?;
    }

    #[test]
    fn a_damaged_value(line in 0..40_usize, value in "[ -~]{0,12}") {
        let lines: Vec<String> = FILE.lines().enumerate().map(|(index, text)| match text.split_once(": ") {
            Some((key, _)) if index == line => format!("{key}: {value}"),
            _ => text.to_owned(),
        }).collect();
        answer(&(lines.join("\n") + "\n"))?;
    }
}
