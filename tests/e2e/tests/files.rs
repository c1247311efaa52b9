//! `secrets` and `configs` of a Compose file as a container sees them, from release to release.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, path, wait_for};
use std::{fs, time::Duration};

const DEPLOYED: &str = "60s";
const SETTLE: Duration = Duration::from_secs(30);
/// Bytes that are no text.
const KEY: &[u8] = &[0, 159, 146, 150, 255];

fn compose() -> String {
    format!(
        "name: files
services:
  web:
    image: {IMAGE}
    user: '1000:1000'
    read_only: true
    secrets:
      - password
      - {{source: key, target: tls.key, uid: '1000', gid: '1000', mode: 0400}}
    configs:
      - {{source: site, target: /etc/site.conf}}
  worker:
    image: {IMAGE}
    configs: [motd]
secrets:
  password: {{environment: DB_PASSWORD}}
  key: {{file: ./tls.der}}
configs:
  site: {{file: ./site.conf}}
  motd: {{content: 'welcome to ${{PLACE}}', x-berth-public: true}}
"
    )
}

struct Files {
    platform: Platform,
    file: String,
}

impl Files {
    fn docker(&self, arguments: &[&str]) -> Result<String> {
        let node = self.platform.lab.nodes().first().context("a node")?;
        Ok(node.docker(arguments)?.trim().to_owned())
    }

    fn inside(&self, container: &str, script: &str) -> Result<String> {
        self.docker(&["exec", container, "sh", "-c", script])
    }

    fn id(&self, container: &str) -> Result<String> {
        self.docker(&["inspect", "-f", "{{.Id}}", container])
    }

    fn deploy(&self, file: &str, password: &[&str]) -> Result<String> {
        let arguments = ["deploy", file, "--wait", "--timeout", DEPLOYED];
        let output = self.platform.try_berth(&[&arguments[..], password].concat())?;
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        ensure!(output.status.success(), "{said}");
        Ok(String::from_utf8_lossy(&output.stdout).into_owned() + &said)
    }
}

#[test]
fn secrets_and_configs_are_files_of_the_container() -> Result<()> {
    let platform = Platform::start(Form::One, 1)?;
    let folder = platform.folder().join("project");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(".env"), "PLACE=the lab\n")?;
    fs::write(folder.join("site.conf"), "server one\n")?;
    fs::write(folder.join("tls.der"), KEY)?;
    fs::write(folder.join("compose.yml"), compose())?;
    let file = path(&folder.join("compose.yml"));
    let files = Files { platform, file };
    files.deploy(&files.file, &["-e", "DB_PASSWORD=first"])?;
    the_container_sees_them(&files)?;
    only_what_changed_is_replaced(&files, &folder)?;
    a_template_keeps_them(&files)?;
    they_come_back_when_memory_was_lost(&files)?;
    out_of_the_project_is_refused(&files)
}

fn the_container_sees_them(files: &Files) -> Result<()> {
    let script = "cat /run/secrets/password; echo; od -An -tx1 /run/secrets/tls.key; cat /etc/site.conf; \
                  stat -c '%a %u:%g' /run/secrets/password /run/secrets/tls.key; \
                  (echo x > /run/secrets/password) 2>/dev/null || echo refused";
    let seen = files.inside("files_web_1", script)?;
    let expected = "first\n 00 9f 92 96 ff\nserver one\n444 0:0\n400 1000:1000\nrefused";
    ensure!(seen == expected, "{seen}");
    let motd = files.inside("files_worker_1", "cat /motd")?;
    ensure!(motd == "welcome to the lab", "{motd}");
    let shown = files.docker(&["inspect", "files_web_1"])?;
    ensure!(
        !shown.contains("first") && !shown.contains("server one"),
        "{shown}"
    );
    Ok(())
}

fn only_what_changed_is_replaced(files: &Files, folder: &std::path::Path) -> Result<()> {
    let before = (files.id("files_web_1")?, files.id("files_worker_1")?);
    let said = files.deploy(&files.file, &["-e", "DB_PASSWORD=first"])?;
    ensure!(said.contains("nothing has changed"), "{said}");
    fs::write(folder.join("site.conf"), "server two\n")?;
    files.deploy(&files.file, &["-e", "DB_PASSWORD=first"])?;
    wait_for("the new config in a new container", SETTLE, || {
        let names = files.docker(&["ps", "--format", "{{.Names}}", "--filter", "name=files_web_1"])?;
        let name = names.lines().next().unwrap_or_default().to_owned();
        Ok((!name.is_empty() && files.inside(&name, "cat /etc/site.conf")? == "server two").then_some(()))
    })?;
    let after = files.docker(&["ps", "-q", "--no-trunc"])?;
    ensure!(
        !after.contains(&before.0),
        "the container with the old config still runs"
    );
    ensure!(
        after.contains(&before.1),
        "a container that has no part in it was replaced"
    );
    Ok(())
}

fn a_template_keeps_them(files: &Files) -> Result<()> {
    let template = files.platform.berth(&["app", "template", "files"])?;
    ensure!(template.contains("x-berth-kept: true"), "{template}");
    ensure!(
        template.contains("welcome to the lab") && !template.contains("server two"),
        "{template}"
    );
    let template = path(&files.platform.file("template.yml", &template)?);
    let said = files.deploy(&template, &[])?;
    ensure!(said.contains("nothing has changed"), "{said}");
    Ok(())
}

fn they_come_back_when_memory_was_lost(files: &Files) -> Result<()> {
    let source = "{{range .Mounts}}{{.Source}}{{end}}";
    let source = files.docker(&["inspect", "-f", source, "files_worker_1"])?;
    let folder = std::path::Path::new(&source)
        .parent()
        .context("a folder")?
        .to_owned();
    fs::remove_dir_all(&folder)?;
    files.docker(&["kill", "files_worker_1"])?;
    wait_for("the file after its loss", SETTLE, || {
        let running = files.docker(&["inspect", "-f", "{{.State.Running}}", "files_worker_1"])?;
        if running != "true" {
            return Ok(None);
        }
        Ok((files.inside("files_worker_1", "cat /motd")? == "welcome to the lab").then_some(()))
    })
}

fn out_of_the_project_is_refused(files: &Files) -> Result<()> {
    let text = format!(
        "services:\n  a:\n    image: {IMAGE}\n    secrets: [s]\nsecrets:\n  s: {{file: ../../etc/shadow}}\n"
    );
    let file = path(&files.platform.file("out.yml", &text)?);
    let output = files.platform.try_berth(&["deploy", &file, "--name", "out"])?;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    ensure!(output.status.code() == Some(2), "{:?}: {said}", output.status);
    ensure!(
        said.contains("out.yml:6:") && said.contains("not inside the project folder"),
        "{said}"
    );
    Ok(())
}
