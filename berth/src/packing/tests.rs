//! What is packed of a folder.

use super::*;
use flate2::read::GzDecoder;
use futures::StreamExt as _;
use std::{collections::BTreeMap, os::unix::fs::symlink};

fn build(context: &str, dockerfile: &str) -> Build {
    Build {
        context: context.into(),
        dockerfile: dockerfile.into(),
        ..Build::default()
    }
}

fn project(files: &[(&str, &str)]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (path, text) in files {
        let full = folder.path().join(path);
        fs::create_dir_all(full.parent().unwrap()).unwrap();
        fs::write(full, text).unwrap();
    }
    folder
}

async fn packed(project: &Path, build: &Build) -> Outcome<BTreeMap<String, String>> {
    let (pieces, work) = Context::of(project, build)?.pack();
    let pieces: Vec<_> = pieces.collect().await;
    work.await.unwrap()?;
    let bytes: Vec<u8> = pieces.into_iter().flat_map(|piece| piece.unwrap()).collect();
    let mut archive = tar::Archive::new(GzDecoder::new(bytes.as_slice()));
    let mut files = BTreeMap::new();
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().to_string_lossy().into_owned();
        let mut text = String::new();
        if let Some(target) = entry.link_name().unwrap() {
            text = format!("-> {}", target.display());
        }
        entry.read_to_string(&mut text).unwrap();
        assert_eq!(entry.header().uid().unwrap(), 0);
        files.insert(path, text);
    }
    Ok(files)
}

fn names(files: &BTreeMap<String, String>) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}

#[tokio::test]
async fn what_is_ignored_stays_and_the_dockerfile_comes_along() {
    let folder = project(&[
        ("app/Dockerfile", "FROM busybox\n"),
        ("app/.dockerignore", "*\n!src\nsrc/secret\n"),
        ("app/src/main.c", "int main;"),
        ("app/src/secret", "hidden"),
        ("app/large", "no"),
        ("outside", "no"),
    ]);
    let files = packed(folder.path(), &build("app", "app/Dockerfile"))
        .await
        .unwrap();
    assert_eq!(
        names(&files),
        [".dockerignore", "Dockerfile", "src/", "src/main.c"]
    );
    assert_eq!(files["src/main.c"], "int main;");
}

#[tokio::test]
async fn a_dockerfile_from_elsewhere_or_in_the_file_is_added() {
    let folder = project(&[("app/a", "1"), ("docker/web", "FROM a\n")]);
    let files = packed(folder.path(), &build("app", "docker/web")).await.unwrap();
    assert_eq!(files[OWN_DOCKERFILE], "FROM a\n");
    let inline = Build {
        dockerfile_inline: Some("FROM b\n".into()),
        ..build("app", "app/Dockerfile")
    };
    let context = Context::of(folder.path(), &inline).unwrap();
    assert_eq!(
        (context.dockerfile.as_str(), context.steps.as_str()),
        (OWN_DOCKERFILE, "FROM b\n")
    );
    let files = packed(folder.path(), &inline).await.unwrap();
    assert_eq!(names(&files), [OWN_DOCKERFILE, "a"]);
}

#[tokio::test]
async fn nothing_comes_from_outside_of_the_project() {
    let elsewhere = project(&[("secret", "hidden"), ("Dockerfile", "FROM a\n")]);
    let folder = project(&[("Dockerfile", "FROM a\n"), ("app/x", "1")]);
    let to = |name: &str| folder.path().join(name);
    symlink(elsewhere.path().join("secret"), to("app/link")).unwrap();
    symlink(elsewhere.path(), to("away")).unwrap();
    symlink(elsewhere.path().join("Dockerfile"), to("app/Dockerfile")).unwrap();
    let files = packed(folder.path(), &build("app", "Dockerfile")).await.unwrap();
    assert!(files["link"].starts_with("-> "), "a link stays a link: {files:?}");
    assert!(!format!("{files:?}").contains("hidden"));
    for wrong in [build("away", "away/Dockerfile"), build("app", "app/Dockerfile")] {
        let fault = packed(folder.path(), &wrong).await.unwrap_err();
        assert!(
            fault.message.contains("leads out of the project folder"),
            "{fault}"
        );
    }
}

#[tokio::test]
async fn what_is_not_there_is_named() {
    let folder = project(&[("app/x", "1")]);
    let fault = packed(folder.path(), &build("app", "app/Dockerfile"))
        .await
        .unwrap_err();
    assert!(fault.message.contains("the Dockerfile `"), "{fault}");
    let fault = packed(folder.path(), &build("web", "web/Dockerfile"))
        .await
        .unwrap_err();
    assert!(fault.message.contains("the folder of the build `"), "{fault}");
}
