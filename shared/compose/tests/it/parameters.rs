//! Parameters of templates, and values for them.

use berth_compose::{fit, parameters};
use berth_events::spec::{Parameter, ParameterKind};
use std::collections::BTreeMap;

const TEXT: &str = "\
x-parameters:
  PORT: { type: port, default: 8080, description: Where it is reached }
  SIZE: { options: [small, large], default: small }
  COUNT: { type: integer, min: 1, max: 9 }
  PASSWORD: { generate: 24 }
services:
  web:
    image: web:${TAG:-1}
    ports: [\"${PORT}:80\"]
    deploy: { replicas: 1 }
    environment:
      PASSWORD: ${PASSWORD}
      SIZE: ${SIZE}
      DOMAIN: ${DOMAIN:?which one}
      NOTE: ${NOTE} of ${COUNT}
      COST: $$5
";

fn of(text: &str) -> Vec<Parameter> {
    parameters("web.yml", text).unwrap_or_default()
}

fn values(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn messages(given: &[(&str, &str)]) -> Vec<String> {
    let faults = fit(&of(TEXT), &values(given)).err().unwrap_or_default();
    faults
        .into_iter()
        .map(|fault| format!("{}; {}", fault.message, fault.cure))
        .collect()
}

#[test]
fn declared_ones_come_first_and_used_ones_are_found() {
    let found = of(TEXT);
    let names: Vec<_> = found.iter().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(
        names,
        ["PORT", "SIZE", "COUNT", "PASSWORD", "DOMAIN", "NOTE", "TAG"]
    );
    let required: Vec<_> = found
        .iter()
        .filter(|p| p.required)
        .map(|p| p.name.as_str())
        .collect();
    assert_eq!(required, ["COUNT", "DOMAIN", "NOTE"]);
    assert_eq!(found[1].kind, ParameterKind::Choice);
    assert!(found[3].secret && found[3].generate == Some(24));
}

#[test]
fn values_are_checked_and_defaults_filled_in() {
    let given = values(&[("COUNT", "3"), ("DOMAIN", "a.example"), ("NOTE", "")]);
    let fitted = fit(&of(TEXT), &given).unwrap();
    assert_eq!(fitted.given["PORT"], "8080");
    assert_eq!(fitted.given["SIZE"], "small");
    assert!(!fitted.given.contains_key("TAG"), "its default is in the text");
    assert_eq!(fitted.generate, [("PASSWORD".to_owned(), 24)].into());
}

#[test]
fn every_wrong_value_is_named_at_once() {
    let found = messages(&[("PORT", "0"), ("SIZE", "big"), ("COUNT", "12"), ("DOMAN", "x")]);
    assert_eq!(
        found,
        [
            "the template has no parameter `DOMAN`; did you mean `DOMAIN`?",
            "the parameter `PORT` must be a port from 1 to 65535, and is `0`; give a port from 1 to 65535",
            "the parameter `SIZE` must be one of small, large, and is `big`; give one of small, large",
            "the parameter `COUNT` must be a whole number from 1 to 9, and is `12`; give a whole number from 1 to 9",
            "the parameter `DOMAIN` has no value; give it: DOMAIN=VALUE",
            "the parameter `NOTE` has no value; give it: NOTE=VALUE",
        ]
    );
}

#[test]
fn wrong_declarations_are_named_with_their_place() {
    let text = "x-parameters:\n  A: { type: number }\n  B: { defualt: 1 }\n  C: { type: port, default: x }\n  \
                D: { secret: true, default: s }\n  E: { type: choice }\n  F-G: {}\n";
    let faults = parameters("t.yml", text).unwrap_err();
    let found: Vec<_> = faults
        .iter()
        .map(|fault| (fault.line, fault.message.as_str()))
        .collect();
    assert_eq!(
        found,
        [
            (2, "this type is not known"),
            (3, "a parameter has no `defualt`"),
            (
                4,
                "the default does not fit: the parameter `C` must be a port from 1 to 65535, and is `x`"
            ),
            (5, "a secret has no default: the text is no place for it"),
            (6, "a choice has no `options`"),
            (7, "`F-G` is no name of a variable"),
        ]
    );
    assert_eq!(faults[1].cure, "did you mean `default`?");
    assert!(parameters("t.yml", "a: [").is_err());
}
