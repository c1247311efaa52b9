//! Reading projects from folders.

use super::*;

#[test]
fn names_are_found_in_every_form() {
    let text = "image: web:${TAG:-1}\ncommand: echo $WHO $$NOT ${A}${B?x} $1\nenvironment:\n  - PASSED\n  OTHER:\n  K: v\n";
    let names: Vec<_> = named(text).into_iter().collect();
    assert_eq!(names, ["A", "B", "OTHER", "PASSED", "TAG", "WHO", "environment"]);
}

#[test]
fn a_project_takes_what_it_names_and_no_more() {
    let folder = tempfile::tempdir().unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put(
        "shop.yml",
        "services:\n  web:\n    image: web:$TAG\n    env_file: [one.env, ../out.env, absent.env]\n",
    );
    put(".env", "X=1\n");
    put("one.env", "Y=${HOST_NAME}\n");
    put("two.env", "Z=1\n");
    let shell = |name: &str| match name {
        "TAG" | "HOST_NAME" | "SECRET" | "GIVEN" => Some(format!("shell-{name}")),
        _ => None,
    };
    let variables = Variables {
        env: vec!["GIVEN".into(), "A=b=c".into()],
        ..Variables::default()
    };
    let project = Project::read(&folder.path().join("shop.yml"), &variables, &shell).unwrap();
    let names: Vec<_> = project.environment.keys().map(String::as_str).collect();
    assert_eq!(names, ["A", "GIVEN", "HOST_NAME", "TAG"]);
    assert_eq!(project.files.keys().collect::<Vec<_>>(), ["one.env"]);
    assert_eq!(project.dotenv.as_deref(), Some("X=1\n"));
    assert!(!project.names_itself());
}

#[test]
fn links_out_of_the_project_are_not_followed() {
    let (folder, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let secret = outside.path().join("secret");
    std::fs::write(&secret, "KEY=1\n").unwrap();
    let file = folder.path().join("shop.yml");
    let text = "services:\n  web:\n    image: web\n    env_file: [in.env, sub/out.env]\n";
    std::fs::write(&file, text).unwrap();
    std::fs::write(folder.path().join("real.env"), "A=1\n").unwrap();
    std::os::unix::fs::symlink("real.env", folder.path().join("in.env")).unwrap();
    let read = || Project::read(&file, &Variables::default(), &|_| None);
    assert_eq!(read().unwrap().files["in.env"], "A=1\n");
    std::os::unix::fs::symlink(outside.path(), folder.path().join("sub")).unwrap();
    std::fs::rename(&secret, outside.path().join("out.env")).unwrap();
    let refused = read().unwrap_err();
    assert!(refused.message.contains("out of the project folder"), "{refused}");
    std::fs::remove_file(folder.path().join("sub")).unwrap();
    std::os::unix::fs::symlink(outside.path().join("out.env"), folder.path().join(".env")).unwrap();
    assert!(read().is_err());
}

#[test]
fn large_files_and_unset_variables_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("big.yml");
    std::fs::write(&path, " ".repeat(MAX_FILE_BYTES + 1)).unwrap();
    let read = |variables: &Variables| Project::read(&path, variables, &|_| None).unwrap_err().message;
    assert!(
        read(&Variables::default()).contains("more than"),
        "{}",
        read(&Variables::default())
    );
    assert!(
        given(&["UNSET".into()], &|_| None)
            .unwrap_err()
            .message
            .contains("not set")
    );
}

#[test]
fn files_that_name_files_are_followed_and_laid_over() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("db")).unwrap();
    let put = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    put(
        "shop.yml",
        "include: [db/compose.yaml]\nservices: {web: {image: web}}\n",
    );
    put("test.yml", "services: {web: {env_file: ['$STAGE.env']}}\n");
    put(
        "db/compose.yaml",
        "services: {db: {extends: {file: base.yaml, service: base}}}\n",
    );
    put("db/base.yaml", "services: {base: {image: 'db:$TAG'}}\n");
    put("one.env", "A=1\n");
    let shell = |name: &str| match name {
        "STAGE" => Some("one".to_owned()),
        "TAG" => Some("7".to_owned()),
        _ => None,
    };
    let read = |over: &str| {
        let over = [folder.path().join(over)];
        Project::read_over(
            &folder.path().join("shop.yml"),
            &over,
            &Variables::default(),
            &shell,
        )
    };
    let project = read("test.yml").unwrap();
    let names: Vec<_> = project.files.keys().map(String::as_str).collect();
    assert_eq!(names, ["db/base.yaml", "db/compose.yaml", "one.env", "test.yml"]);
    let spec = berth_compose::parse(&project.input(None)).unwrap().spec;
    assert_eq!(spec.services["db"].container.image, "db:7");
    assert!(spec.services["web"].container.environment.contains_key("A"));
    let outside = tempfile::tempdir().unwrap();
    std::fs::write(outside.path().join("o.yml"), "services: {}\n").unwrap();
    let path = outside.path().join("o.yml");
    assert!(
        Project::read_over(
            &folder.path().join("shop.yml"),
            &[path],
            &Variables::default(),
            &shell
        )
        .is_err()
    );
}

#[test]
fn a_printed_template_names_itself() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("template.yml");
    let text = "name: shop\nservices:\n  web:\n    image: web\n    environment:\n      \
                PASSWORD: \"${PASSWORD:?kept in the vault}\"\n";
    std::fs::write(&path, text).unwrap();
    let project = Project::read(&path, &Variables::default(), &|_| None).unwrap();
    assert!(project.names_itself());
}
