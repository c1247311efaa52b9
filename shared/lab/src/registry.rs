//! A registry of images on the lab's network, to which the lab's engines speak without TLS.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Lab;
use crate::error::{Error, io_error};

const PROGRAM: &str = "docker-registry";
const READY_PATIENCE: Duration = Duration::from_secs(20);
const READY_POLL: Duration = Duration::from_millis(20);
/// The longest wait for an answer.
const ANSWER_PATIENCE: Duration = Duration::from_secs(5);
/// Who may log in to a private registry.
pub const USER: &str = "ada";
/// With this password.
pub const PASSWORD: &str = "harbour-7";
/// The line of that user, made by `htpasswd -B`.
const HTPASSWD: &str = "ada:$2b$05$p/goed8j1zF60AnO5bE3Du48AlL4rbBnDJBDxAf4GYrtOzFnlEnRe\n";

/// A running registry. Dropping it ends it; its data go with the lab.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    log: PathBuf,
    server: Child,
}

impl Registry {
    /// Starts one that everybody may use.
    pub fn start(lab: &Lab) -> Result<Self, Error> {
        Self::launch(lab, "public", "")
    }

    /// Starts one that only [`USER`] may use.
    pub fn start_private(lab: &Lab) -> Result<Self, Error> {
        let users = lab.root().join("htpasswd");
        fs::write(&users, HTPASSWD).map_err(io_error("write", &users))?;
        let path = users.display();
        let auth = format!("auth: {{htpasswd: {{realm: lab, path: {path}}}}}\n");
        Self::launch(lab, "private", &auth)
    }

    fn launch(lab: &Lab, name: &str, auth: &str) -> Result<Self, Error> {
        let folder = lab.root().join(format!("registry-{name}"));
        fs::create_dir_all(&folder).map_err(io_error("make the folder", &folder))?;
        let address = free_address(lab)?;
        let config = folder.join("config.yml");
        let text = format!(
            "version: 0.1\nlog: {{level: info}}\nstorage: {{filesystem: {{rootdirectory: {}}}, delete: {{enabled: \
             true}}}}\nhttp: {{addr: \"{address}\"}}\n{auth}",
            folder.join("data").display()
        );
        fs::write(&config, text).map_err(io_error("write", &config))?;
        let log = folder.join("log");
        let output = File::create(&log).map_err(io_error("open", &log))?;
        let errors = output.try_clone().map_err(io_error("open", &log))?;
        let mut command = Command::new(PROGRAM);
        command
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none");
        command.stdin(Stdio::null()).stdout(output).stderr(errors);
        let server = command.spawn().map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => Error::MissingProgram {
                program: PROGRAM.into(),
                package: PROGRAM,
            },
            _ => io_error("run", PROGRAM)(error),
        })?;
        let registry = Self { address, log, server };
        registry.wait()?;
        Ok(registry)
    }

    fn wait(&self) -> Result<(), Error> {
        let until = Instant::now() + READY_PATIENCE;
        while TcpStream::connect(self.address).is_err() {
            if Instant::now() > until {
                let output = fs::read_to_string(&self.log).unwrap_or_default();
                return Err(Error::Command {
                    command: format!("{PROGRAM} serve"),
                    status: "not ready".into(),
                    output,
                });
            }
            std::thread::sleep(READY_POLL);
        }
        Ok(())
    }

    /// What names of its images begin with: `host:port`.
    pub fn host(&self) -> String {
        self.address.to_string()
    }

    /// The name of an image in it.
    pub fn image(&self, name: &str) -> String {
        format!("{}/{name}", self.address)
    }

    /// How often something of the path was asked for with success, by the registry's own log. Engines ask for
    /// `manifests/<tag or digest>` with each pull, and for each of `blobs/` that they do not have.
    pub fn served(&self, path: &str) -> usize {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let served = text
            .lines()
            .filter(|line| line.contains("\"GET /v2/") && line.contains("\" 200 ") && line.contains(path));
        served.count()
    }

    /// The digest that a tag has now, without a login.
    pub fn digest(&self, name: &str, tag: &str) -> Result<String, Error> {
        let url = format!("/v2/{name}/manifests/{tag}");
        let answer = self.head(&url).map_err(io_error("ask", &url))?;
        let digest = answer.lines().find_map(|line| {
            let (header, value) = line.split_once(':')?;
            header
                .eq_ignore_ascii_case("Docker-Content-Digest")
                .then(|| value.trim().to_owned())
        });
        digest.ok_or_else(|| Error::Command {
            command: format!("HEAD {url}"),
            status: "without a digest".into(),
            output: answer,
        })
    }

    /// Deletes content by its digest, without a login.
    pub fn delete(&self, name: &str, digest: &str) -> Result<(), Error> {
        let url = format!("/v2/{name}/manifests/{digest}");
        let answer = self.ask("DELETE", &url).map_err(io_error("ask", &url))?;
        if answer.starts_with("HTTP/1.") && answer.contains(" 202 ") {
            return Ok(());
        }
        Err(Error::Command {
            command: format!("DELETE {url}"),
            status: "refused".into(),
            output: answer,
        })
    }

    fn head(&self, path: &str) -> std::io::Result<String> {
        self.ask("HEAD", path)
    }

    fn ask(&self, method: &str, path: &str) -> std::io::Result<String> {
        let mut stream = TcpStream::connect(self.address)?;
        stream.set_read_timeout(Some(ANSWER_PATIENCE))?;
        let accept = "application/vnd.docker.distribution.manifest.v2+json";
        write!(
            stream,
            "{method} {path} HTTP/1.0\r\nHost: {}\r\nAccept: {accept}\r\n\r\n",
            self.address
        )?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer)?;
        Ok(answer)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn free_address(lab: &Lab) -> Result<SocketAddr, Error> {
    let listener = TcpListener::bind((lab.host_address(), 0))
        .map_err(io_error("listen on", lab.host_address().to_string()))?;
    listener
        .local_addr()
        .map_err(io_error("listen on", lab.host_address().to_string()))
}
