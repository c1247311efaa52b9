//! Images without a registry: the machine's static busybox, packed and imported.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};

use crate::error::{Error, io_error};
use crate::system::{run, run_command};

const BUSYBOX: &str = "/bin/busybox";
const PAGE: &str = "berth test page\n";
/// What an image runs if the caller names nothing else: a web server for `/www` on port 80. The shell in
/// front of it ends at once when asked to; the web server as first process would ignore the signal.
const SERVE: &str = "#!/bin/sh\ntrap 'exit 0' TERM INT\nhttpd -f -p 80 -h /www &\nwait $!\n";
const SERVE_PATH: &str = "/bin/serve";
/// The command of an image made from a folder of samples.
const SAMPLE_START: &str = "/start";

/// What goes into an image, besides busybox and its applets.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// `name:tag`.
    pub name: String,
    /// A folder whose content is laid over the image.
    pub overlay: Option<PathBuf>,
    /// The command; a web server for `/www` on port 80 if empty.
    pub command: Vec<String>,
}

/// Makes an image of the machine's static busybox, with a web server as its command.
pub fn import_busybox(docker_host: &str, name: &str) -> Result<(), Error> {
    import(
        docker_host,
        &Image {
            name: name.to_owned(),
            ..Image::default()
        },
    )
}

/// The images of a sample: one a folder in `<sample>/images`, named `berth-samples/<folder>:1`.
pub fn samples(sample: &Path) -> Result<Vec<Image>, Error> {
    let folder = sample.join("images");
    let entries = fs::read_dir(&folder).map_err(io_error("read the folder", &folder))?;
    let mut images = Vec::new();
    for entry in entries {
        let entry = entry.map_err(io_error("read the folder", &folder))?;
        images.push(Image {
            name: format!("berth-samples/{}:1", entry.file_name().to_string_lossy()),
            overlay: Some(entry.path()),
            command: vec![SAMPLE_START.to_owned()],
        });
    }
    images.sort_by(|left, right| left.name.cmp(&right.name));
    Ok(images)
}

/// Makes an image in an engine.
pub fn import(docker_host: &str, image: &Image) -> Result<(), Error> {
    let stage = Stage::new()?;
    stage.fill(image.overlay.as_deref())?;
    let command = if image.command.is_empty() {
        vec![SERVE_PATH.to_owned()]
    } else {
        image.command.clone()
    };
    let words: Vec<String> = command
        .iter()
        .map(|word| format!("\"{}\"", word.replace('"', "\\\"")))
        .collect();
    let change = format!("CMD [{}]", words.join(", "));
    let mut tar = Command::new("tar")
        .args(["--owner=0", "--group=0", "--numeric-owner", "-C"])
        .arg(&stage.folder)
        .args(["-c", "."])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .map_err(io_error("run", "tar"))?;
    let mut docker = Command::new("docker");
    docker.args([
        "-H",
        docker_host,
        "import",
        "--change",
        "ENV PATH=/bin",
        "--change",
        &change,
        "-",
        &image.name,
    ]);
    if let Some(output) = tar.stdout.take() {
        docker.stdin(output);
    }
    let imported = run_command(docker);
    let packed = tar.wait().map_err(io_error("wait for", "tar"))?;
    imported?;
    if packed.success() {
        return Ok(());
    }
    let command = format!("tar -C {} -c .", stage.folder.display());
    Err(Error::Command {
        command,
        status: packed.to_string(),
        output: String::new(),
    })
}

/// A folder in which an image is laid out; it goes when it is dropped.
struct Stage {
    folder: PathBuf,
}

impl Stage {
    fn new() -> Result<Self, Error> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let folder = std::env::temp_dir().join(format!("berth-image-{}-{number}", std::process::id()));
        fs::create_dir_all(&folder).map_err(io_error("make the folder", &folder))?;
        Ok(Self { folder })
    }

    fn fill(&self, overlay: Option<&Path>) -> Result<(), Error> {
        for name in ["bin", "etc", "proc", "sys", "dev", "root", "tmp", "var", "www"] {
            let path = self.folder.join(name);
            fs::create_dir_all(&path).map_err(io_error("make the folder", path))?;
        }
        let open = fs::Permissions::from_mode(0o1777);
        fs::set_permissions(self.folder.join("tmp"), open)
            .map_err(io_error("open to all", self.folder.join("tmp")))?;
        let busybox = self.folder.join("bin/busybox");
        fs::copy(busybox_program()?, &busybox).map_err(io_error("copy busybox to", &busybox))?;
        for applet in run(BUSYBOX, &["--list"])?
            .lines()
            .filter(|applet| *applet != "busybox")
        {
            let link = self.folder.join("bin").join(applet);
            symlink("busybox", &link).map_err(io_error("link", &link))?;
        }
        let accounts = "root:x:0:0:root:/root:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n";
        let serve = self.folder.join(SERVE_PATH.trim_start_matches('/'));
        fs::write(&serve, SERVE).map_err(io_error("write", &serve))?;
        let runnable = fs::Permissions::from_mode(0o755);
        fs::set_permissions(&serve, runnable).map_err(io_error("make executable", &serve))?;
        for (name, text) in [
            ("etc/passwd", accounts),
            ("etc/group", "root:x:0:\n"),
            ("www/index.html", PAGE),
        ] {
            let path = self.folder.join(name);
            fs::write(&path, text).map_err(io_error("write", path))?;
        }
        if let Some(overlay) = overlay {
            let content = format!("{}/.", overlay.display());
            run("cp", &["-a", &content, &self.folder.to_string_lossy()])?;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.folder);
    }
}

/// The machine's busybox, if it needs no libraries.
fn busybox_program() -> Result<&'static Path, Error> {
    let path = Path::new(BUSYBOX);
    let content = fs::read(path).map_err(io_error("read", path))?;
    // A program with an interpreter names the dynamic loader in its first page.
    let head = content.get(..4096).unwrap_or(&content);
    let dynamic = head
        .windows(9)
        .any(|bytes| bytes == b"ld-linux-" || bytes == b"/ld-musl-");
    if dynamic {
        Err(Error::NoStaticBusybox(path.to_path_buf()))
    } else {
        Ok(path)
    }
}
