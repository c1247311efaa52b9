//! `secrets` and `configs`: what they hold, where they appear, and what is wrong with them.

use crate::common::{Case, list};
use berth_compose::{Content, Parsed};
use berth_events::spec::{EnvironmentValue, FileSpec};
use std::collections::BTreeMap;

const FILE: &str = "services:
  web:
    image: nginx
    secrets:
      - pw
      - {source: key, target: tls.key, uid: '101', gid: '102', mode: 0400}
    configs:
      - {source: site, target: /etc/nginx/site.conf, mode: '440'}
      - motd
secrets:
  pw: {environment: DB_PASSWORD}
  key: {file: ./tls/key.der}
configs:
  site: {file: site.conf}
  motd: {content: 'hello ${WHO}', x-berth-public: true}
";

fn read() -> Parsed {
    let case = Case {
        binaries: BTreeMap::from([("tls/key.der".to_owned(), "AAEC/w==".to_owned())]),
        files: BTreeMap::from([("site.conf".to_owned(), "server {}\n".to_owned())]),
        ..Case::with(&[("DB_PASSWORD", "planted"), ("WHO", "you")])
    };
    case.read(FILE)
}

fn files(parsed: &Parsed) -> &[FileSpec] {
    &parsed.spec.services["web"].container.files
}

#[test]
fn every_source_and_every_place() {
    let parsed = read();
    let seen: Vec<_> = files(&parsed)
        .iter()
        .map(|file| (file.target.as_str(), file.uid, file.gid, file.mode))
        .collect();
    assert_eq!(
        seen,
        [
            ("/run/secrets/pw", None, None, None),
            ("/run/secrets/tls.key", Some(101), Some(102), Some(0o400)),
            ("/etc/nginx/site.conf", None, None, Some(0o440)),
            ("/motd", None, None, None),
        ]
    );
    let contents: Vec<_> = parsed
        .contents
        .iter()
        .map(|(key, content)| (key.as_str(), content.clone()))
        .collect();
    assert_eq!(
        contents,
        [
            ("configs/site", Content::Text("server {}\n".into())),
            ("secrets/key", Content::Base64("AAEC/w==".into())),
            ("secrets/pw", Content::Text("planted".into())),
        ]
    );
}

#[test]
fn only_what_is_marked_public_is_in_the_specification() {
    let parsed = read();
    let text = serde_json::to_string(&parsed.spec).unwrap();
    assert!(!text.contains("planted") && !text.contains("server {}"), "{text}");
    assert_eq!(
        files(&parsed)[3].content,
        EnvironmentValue::Plain("hello you".into())
    );
    let EnvironmentValue::Secret(reference) = &files(&parsed)[0].content else {
        panic!("the secret is plain");
    };
    assert_eq!((reference.key.as_str(), reference.version), ("secrets/pw", 0));
    assert!(!format!("{parsed:?}").contains("planted"));
}

#[test]
fn a_rendered_file_keeps_what_the_vault_has() {
    let parsed = read();
    let text = berth_compose::render(None, &parsed.spec, &|_, _, _| None);
    let again = Case::default().read(&text);
    assert_eq!(again.spec, parsed.spec, "{text}");
    assert!(
        again.contents.values().all(|content| *content == Content::Kept),
        "{text}"
    );
    let shown = berth_compose::render(None, &parsed.spec, &|_, key, _| match key {
        "secrets/pw" => Some("pl$anted\n".to_owned()),
        _ => Some("AAEC/w==".to_owned()),
    });
    let again = Case::default().read(&shown);
    assert_eq!(again.spec, parsed.spec, "{shown}");
    assert_eq!(again.contents["secrets/pw"], Content::Text("pl$anted\n".into()));
    let given = Case::with(&[("SECRET_PW", "new")]).read(&text);
    assert_eq!(given.contents["secrets/pw"], Content::Text("new".into()));
}

#[test]
fn the_same_public_text_has_one_name_and_another_another() {
    let service = |name: &str, source: &str| {
        format!("  {name}: {{image: a, configs: [{{source: {source}, target: /etc/x.conf}}]}}\n")
    };
    let text = format!(
        "services:\n{}{}{}configs:\n  one: {{content: a, x-berth-public: true}}\n  two: {{content: b, x-berth-public: true}}\n",
        service("x", "one"),
        service("y", "two"),
        service("z", "one")
    );
    let parsed = Case::default().read(&text);
    let rendered = berth_compose::render(None, &parsed.spec, &|_, _, _| None);
    assert_eq!(rendered.matches("content:").count(), 2, "{rendered}");
    assert_eq!(Case::default().read(&rendered).spec, parsed.spec);
}

#[test]
fn faults_have_their_places_and_cures() {
    let text = "services:
  web:
    image: nginx
    volumes: ['/srv/x:/etc/x']
    secrets: [pw, gone, out, ext, {source: two}, {target: a}, none, lost]
    configs:
      - {source: c, target: /etc/x}
      - {source: c, target: ../../.., mode: 9}
      - {source: c, mode: worse}
secrets:
  pw: {environment: UNSET}
  out: {file: ../secret}
  ext: {external: true}
  two: {file: a, environment: B}
  none: {}
  lost: {file: lost.txt}
  unused: {file: ../never/read}
configs:
  c: {content: x}
  C: {content: y}
";
    let faults = Case::default().parse(text).unwrap_err();
    insta::assert_snapshot!(list(&faults), @r"
    E 5:19 [compose.undefined_content] services.web.secrets[1]: there is no `gone` in the top-level `secrets`
        did you mean `none`?
    E 5:50 [compose.content] services.web.secrets[5]: an entry of `secrets` names no `source`
        add `source: NAME`
    E 7:9 [compose.mount_target] services.web.configs[0]: something else has the target `/etc/x`
        give it a path of its own
    E 8:29 [compose.mount_target] services.web.configs[1].target: the target `/../../..` is no path of a file
        write an absolute path without `..` and `:`
    E 9:27 [compose.mode] services.web.configs[2].mode: `worse` are no permissions
        write four octal digits, such as 0440
    E 11:21 [compose.content] secrets.pw.environment: the variable `UNSET` is not set
        give it: -e UNSET=VALUE, or in `.env`
    E 12:15 [compose.content_path] secrets.out.file: the file `../secret` is not inside the project folder
        copy the file beside the Compose file and name it by a relative path without ..
    E 13:19 [compose.external_content] secrets.ext.external: `ext` is external, and there are no secrets or configs outside of applications
        give its content here: `environment: NAME` takes it from a variable of the one who deploys, `file: ./FILE` from a file; the vault keeps it
    E 14:31 [compose.content] secrets.two.environment: `two` has two contents
        keep one of them
    E 15:3 [compose.content] secrets.none: `none` says not where its content is
        add `file:` or `environment:`
    E 16:16 [compose.content] secrets.lost.file: the file `lost.txt` was not found
        make the file, or correct its path
    E 20:3 [compose.duplicate_key] configs.C: two configs are called `C`
        choose names that differ in more than small and capital letters
    ");
}

#[test]
fn contents_have_limits() {
    let big = "x".repeat(berth_compose::limits::MAX_CONTENT_BYTES + 1);
    let text = "services: {web: {image: a, secrets: [s]}}\nsecrets: {s: {file: f}}\n";
    let faults = Case::files(&[("f", &big)]).parse(text).unwrap_err();
    let said = list(&faults);
    assert!(
        said.contains("compose.content_size") && said.contains("184320"),
        "{said}"
    );
    let public = "services: {web: {image: a, configs: [s]}}\nconfigs: {s: {file: f, x-berth-public: true}}\n";
    let faults = Case::files(&[("f", &big[..40_000])]).parse(public).unwrap_err();
    assert!(list(&faults).contains("32768"), "{}", list(&faults));
}
