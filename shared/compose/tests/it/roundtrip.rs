//! A specification written as a file and read again is the same specification.

use crate::{common::Case, specs::application};
use berth_compose::render;
use berth_events::spec::{EnvironmentValue, SecretRef};
use proptest::prelude::*;

proptest! {
    #[test]
    fn written_and_read_again_is_the_same(spec in application()) {
        let parsed = Case::default().read(&render(Some("shop"), &spec, &|_, _, _| None));
        prop_assert_eq!(parsed.spec, spec);
        prop_assert_eq!(parsed.name.as_deref(), Some("shop"));
    }
}

#[test]
fn secrets_are_asked_for_or_revealed() {
    let secret = EnvironmentValue::Secret(SecretRef {
        secret_id: berth_ids::SecretId::from_u128(1),
        version: 1,
        key: "PW".into(),
    });
    let mut spec = Case::default()
        .read("services: {web: {image: a, network_mode: none}}")
        .spec;
    let environment = &mut spec.services.get_mut("web").unwrap().container.environment;
    environment.insert("MY.PW".into(), secret);
    environment.insert("DEBUG".into(), EnvironmentValue::Plain("1".into()));
    insta::assert_snapshot!(render(None, &spec, &|_, _, _| None), @r#"
        services:
          web:
            image: a
            environment:
              DEBUG: "1"
              MY.PW: "${MY_PW:?kept in the vault}"
            x-berth-public:
              - DEBUG
            network_mode: none
        "#);
    insta::assert_snapshot!(render(None, &spec, &|service, key, _| Some(format!("{service}/{key}=$x"))), @r#"
        services:
          web:
            image: a
            environment:
              DEBUG: "1"
              MY.PW: "web/MY.PW=$$x"
            x-berth-public:
              - DEBUG
            network_mode: none
        "#);
}
