//! What is read, and what leaves the specification.

use super::*;
use berth_api::ImageSource;

fn compose(text: &str) -> Deploy {
    Deploy {
        compose: Some(ComposeSource {
            file_name: "shop.yml".into(),
            text: text.into(),
            ..ComposeSource::default()
        }),
        ..Deploy::default()
    }
}

#[tokio::test]
async fn values_that_are_not_public_leave_the_specification() {
    let text = "name: shop\nservices:\n  web:\n    image: nginx\n    x-berth-public: [MODE]\n    \
                environment:\n      MODE: fast\n      PASSWORD: planted\n";
    let reading = read(compose(text), &BTreeSet::new(), Purpose::Live)
        .await
        .unwrap();
    assert_eq!(
        reading.secrets()["web"],
        BTreeMap::from([("PASSWORD".into(), "planted".into())])
    );
    assert!(
        !serde_json::to_string(&reading.redacted())
            .unwrap()
            .contains("planted")
    );
    let mut spec = reading.parsed.spec.clone();
    let stored = StoredSecret {
        secret_id: berth_ids::SecretId::from_u128(1),
        version: 3,
    };
    refer(&mut spec, "web", &stored, &["PASSWORD".into()]);
    let text = serde_json::to_string(&spec).unwrap();
    assert!(!text.contains("planted"), "{text}");
    assert!(text.contains("fast") && text.contains("\"version\":3"), "{text}");
}

#[tokio::test]
async fn an_image_says_what_the_equivalent_file_says() {
    let image = ImageSource {
        image: "registry:5000/team/Web:1.2".into(),
        ports: vec!["8080:80".into()],
        environment: BTreeMap::from([("PRICE".into(), "5$ ${NOT_A_VARIABLE}".into())]),
        replicas: Some(3),
        name: None,
        command: Some(vec!["sh".into(), "-c".into(), "echo $HOME".into()]),
    };
    let run = read(
        Deploy {
            image: Some(image),
            ..Deploy::default()
        },
        &BTreeSet::new(),
        Purpose::Live,
    )
    .await
    .unwrap();
    let file = "services:\n  web:\n    image: registry:5000/team/Web:1.2\n    ports: ['8080:80']\n    \
                environment: {PRICE: '5$$ $${NOT_A_VARIABLE}'}\n    deploy: {replicas: 3}\n    \
                command: [sh, -c, 'echo $$HOME']\n";
    let file = read(compose(file), &BTreeSet::new(), Purpose::Live)
        .await
        .unwrap();
    assert_eq!(run.parsed.spec, file.parsed.spec);
    assert_eq!(run.name().unwrap().as_str(), "web");
}

#[tokio::test]
async fn a_refused_key_names_its_line_and_who_may_allow_it() {
    let text = "name: shop\nservices:\n  web:\n    image: nginx\n    privileged: true\n";
    let reading = read(compose(text), &BTreeSet::new(), Purpose::Live)
        .await
        .unwrap();
    assert!(reading.violations(SecurityPolicy::Open).is_empty());
    let found = reading.violations(SecurityPolicy::Baseline);
    assert_eq!((found[0].line, found[0].file.as_str()), (5, "shop.yml"));
    assert!(found[0].cure.contains("administrator"), "{}", found[0].cure);
}

#[tokio::test]
async fn faults_come_with_their_places() {
    let fault = read(
        compose("services:\n  web:\n    image: nginx\n    ports: ['99999:80']\n"),
        &BTreeSet::new(),
        Purpose::Live,
    )
    .await;
    let Err(fault) = fault else { panic!("accepted") };
    assert_eq!(fault.code(), "compose.invalid");
}

#[tokio::test]
async fn an_image_that_was_not_built_is_refused_by_a_deploy_and_shown_by_a_look() {
    let text = "services:\n  web:\n    image: r.example/web:1\n    build: .\n";
    let fault = read(compose(text), &BTreeSet::new(), Purpose::Live)
        .await
        .err()
        .unwrap();
    assert_eq!(fault.code(), "compose.invalid");
    let looked = read(compose(text), &BTreeSet::new(), Purpose::Look)
        .await
        .unwrap();
    assert!(
        looked
            .warnings()
            .iter()
            .any(|warning| warning.code == "compose.build_later")
    );
    let mut deploy = compose(text);
    let digest = format!("sha256:{}", "a".repeat(64));
    if let Some(compose) = &mut deploy.compose {
        compose.built = [("web".to_owned(), digest.clone())].into();
    }
    let built = read(deploy, &BTreeSet::new(), Purpose::Live).await.unwrap();
    let image = &built.parsed.spec.services["web"].container.image;
    assert_eq!(*image, format!("r.example/web:1@{digest}"));
}
