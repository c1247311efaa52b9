//! What the builder's words become.

use super::*;
use crate::engine::Login;
use bollard::models::ImageId;

fn stream(text: &str) -> BuildInfo {
    BuildInfo {
        stream: Some(text.into()),
        ..BuildInfo::default()
    }
}

fn order() -> BuildOrder {
    BuildOrder {
        image: "r.example:5000/web:1".into(),
        args: [("TOKEN".to_owned(), "s3cret-word".to_owned())].into(),
        ..BuildOrder::default()
    }
}

#[test]
fn a_failure_names_step_and_last_lines_and_no_value_of_an_argument() {
    let mut words = Words::new(&order());
    for text in [
        "Step 1/2 : FROM busybox\n",
        " ---> 1234\n",
        "Step 2/2 : RUN echo $TOKEN && false\n",
        " ---> Running in 0123456789ab\n",
        "s3cret-",
        "word\n",
        "Removing intermediate container 0123456789ab\n",
    ] {
        words.take(&stream(text));
    }
    let fault = words.fault("The command returned a non-zero code: 1").0;
    assert_eq!(
        fault,
        "step 2/2 `RUN echo $TOKEN && false` failed: The command returned a non-zero code: 1\n\
         the builder's last lines:\n***"
    );
}

#[test]
fn the_container_of_a_step_and_the_image_are_known() {
    let mut words = Words::new(&order());
    let told = words.take(&stream(" ---> Running in 0123456789ab\n"));
    assert!(told.contains(&Progress::Container("0123456789ab".into())));
    words.take(&BuildInfo {
        aux: Some(ImageId {
            id: Some("sha256:1".into()),
        }),
        ..BuildInfo::default()
    });
    assert_eq!(words.image_id.as_deref(), Some("sha256:1"));
}

#[test]
fn a_refused_push_names_registry_user_and_cure() {
    let user = Key::Stored(Login {
        username: "ada".into(),
        password: "hidden".into(),
    });
    let said = "denied: requested access to the resource is denied";
    let refused = not_pushed("r.example:5000/web:1", said, &user).0;
    for part in [
        "`r.example:5000`",
        "user `ada`",
        "berth registry login r.example:5000",
    ] {
        assert!(refused.contains(part), "{refused}");
    }
    assert!(
        not_pushed("r/web", "no basic auth credentials", &Key::None)
            .0
            .contains("none is stored")
    );
    assert!(
        not_pushed("r/web", "connection refused", &user)
            .0
            .contains("cannot be pushed")
    );
}

#[test]
fn digests_and_hosts() {
    assert_eq!(digest_in("1: digest: sha256:ab size: 528"), Some("sha256:ab"));
    assert_eq!(digest_in("Pushed"), None);
    let hosts = ["db:10.0.0.1".to_owned(), "a&b:::1".to_owned()];
    assert_eq!(
        with_hosts("x?a=1", &hosts),
        "x?a=1&extrahosts=db:10.0.0.1&extrahosts=a%26b:::1"
    );
}
