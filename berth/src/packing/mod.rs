//! The folder of a build as one archive: what `.dockerignore` leaves, nothing from outside of the project.

mod bases;
mod ignore;

pub use bases::registries;

use crate::exit::{Failure, Outcome};
use berth_api::MAX_CONTEXT_BYTES;
use berth_compose::Build;
use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use futures::Stream;
use ignore::Ignored;
use std::{
    fs::{self, File, Metadata},
    io::{self, BufWriter, Read as _, Write},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
};
use tar::{Builder, EntryType, Header};
use tokio::{sync::mpsc, task::JoinHandle};

/// The most files and folders of a context.
const MAX_ENTRIES: usize = 100_000;
/// The deepest folder.
const MAX_DEPTH: usize = 100;
/// The largest Dockerfile or `.dockerignore`.
const MAX_TEXT_BYTES: u64 = 1024 * 1024;
/// Bytes that are packed before they are sent.
const PIECE_BYTES: usize = 256 * 1024;
/// Pieces that wait for the network.
const WAITING_PIECES: usize = 8;
/// Name in the archive of a Dockerfile that is not in the context.
const OWN_DOCKERFILE: &str = ".berth.Dockerfile";
const IGNORE_FILE: &str = ".dockerignore";

/// A context that can be packed.
#[derive(Debug)]
pub struct Context {
    folder: PathBuf,
    ignored: Ignored,
    /// Text of the Dockerfile.
    pub steps: String,
    /// Its path in the archive.
    pub dockerfile: String,
    /// It is not a file of the context.
    added: bool,
}

impl Context {
    /// Looks at the folder of a build.
    ///
    /// # Errors
    /// The folder or its Dockerfile is not there, leads out of the project, or cannot be read.
    pub fn of(project: &Path, build: &Build) -> Outcome<Self> {
        let folder = inside(project, &build.context, "folder of the build")?;
        if !folder.is_dir() {
            return Err(Failure::usage(format!("`{}` is no folder", build.context)));
        }
        let below = if build.context.is_empty() {
            Some(build.dockerfile.as_str())
        } else {
            let rest = build.dockerfile.strip_prefix(&build.context);
            rest.and_then(|rest| rest.strip_prefix('/'))
        };
        let (steps, dockerfile, added) = match (&build.dockerfile_inline, below) {
            (Some(text), _) => (text.clone(), OWN_DOCKERFILE.to_owned(), true),
            (None, below) => {
                let path = inside(project, &build.dockerfile, "Dockerfile")?;
                let text = read_text(&path)?;
                // A link is followed here, and would not be by the builder.
                let plain = path.starts_with(&folder) && below.is_some();
                let name = below.filter(|_| plain).unwrap_or(OWN_DOCKERFILE);
                (text, name.to_owned(), !plain)
            }
        };
        let ignored = ignored(project, &folder, build)?;
        Ok(Self {
            folder,
            ignored,
            steps,
            dockerfile,
            added,
        })
    }

    /// Packs in the background. The archive comes as pieces; whether all went well is told by the handle.
    pub fn pack(
        self,
    ) -> (
        impl Stream<Item = io::Result<Bytes>> + Send + 'static,
        JoinHandle<Outcome<u64>>,
    ) {
        let (pieces, mut packed) = mpsc::channel(WAITING_PIECES);
        let work = tokio::task::spawn_blocking(move || {
            let ended = self.write(pieces.clone());
            if let Err(failure) = &ended {
                // Nobody listens any more: then the request has failed, and says so.
                let _ = pieces.blocking_send(Err(io::Error::other(failure.message.clone())));
            }
            ended
        });
        (futures::stream::poll_fn(move |cx| packed.poll_recv(cx)), work)
    }

    fn write(&self, pieces: mpsc::Sender<io::Result<Bytes>>) -> Outcome<u64> {
        let out = BufWriter::with_capacity(PIECE_BYTES, Pieces { pieces, sent: 0 });
        let mut archive = Builder::new(GzEncoder::new(out, Compression::fast()));
        if self.added {
            let mut header = Header::new_gnu();
            header.set_size(self.steps.len() as u64);
            header.set_mode(0o644);
            header.set_mtime(0);
            header.set_uid(0);
            header.set_gid(0);
            header.set_entry_type(EntryType::Regular);
            let added = archive.append_data(&mut header, &self.dockerfile, self.steps.as_bytes());
            added.map_err(|error| not_packed(Path::new(&self.dockerfile), &error))?;
        }
        let mut entries = 0;
        self.add(&mut archive, "", 0, &mut entries)?;
        let failed = |error: io::Error| not_packed(&self.folder, &error);
        let out = archive.into_inner().and_then(GzEncoder::finish).map_err(failed)?;
        let pieces = out.into_inner().map_err(|error| failed(error.into_error()))?;
        Ok(pieces.sent)
    }

    fn add<W: Write>(
        &self,
        archive: &mut Builder<W>,
        below: &str,
        depth: usize,
        entries: &mut usize,
    ) -> Outcome {
        let folder = self.folder.join(below);
        if depth > MAX_DEPTH {
            return Err(Failure::usage(format!(
                "`{}` is more than {MAX_DEPTH} folders deep",
                folder.display()
            )));
        }
        let failed = |error: io::Error| not_packed(&folder, &error);
        let mut names = Vec::new();
        for entry in fs::read_dir(&folder).map_err(failed)? {
            names.push(entry.map_err(failed)?.file_name());
        }
        names.sort();
        for name in names {
            let name = name.to_string_lossy();
            let path = if below.is_empty() {
                name.into_owned()
            } else {
                format!("{below}/{name}")
            };
            let full = self.folder.join(&path);
            let about = fs::symlink_metadata(&full).map_err(|error| not_packed(&full, &error))?;
            let kept = path == self.dockerfile || path == IGNORE_FILE;
            let left_out = !kept && self.ignored.has(&path);
            if left_out
                && !(about.is_dir() && (self.ignored.takes_back() || self.dockerfile.starts_with(&path)))
            {
                continue;
            }
            *entries += 1;
            if *entries > MAX_ENTRIES {
                let message = format!("the folder of the build has more than {MAX_ENTRIES} files");
                return Err(
                    Failure::usage(message).cure("leave out by .dockerignore what the image does not need")
                );
            }
            if !left_out {
                append(archive, &full, &path, &about).map_err(|error| not_packed(&full, &error))?;
            }
            if about.is_dir() {
                self.add(archive, &path, depth + 1, entries)?;
            }
        }
        Ok(())
    }
}

fn append<W: Write>(archive: &mut Builder<W>, full: &Path, path: &str, about: &Metadata) -> io::Result<()> {
    let mut header = Header::new_gnu();
    header.set_mode(about.mode() & 0o7777);
    header.set_mtime(u64::try_from(about.mtime()).unwrap_or(0));
    header.set_uid(0);
    header.set_gid(0);
    header.set_size(0);
    let kind = about.file_type();
    if kind.is_dir() {
        header.set_entry_type(EntryType::Directory);
        archive.append_data(&mut header, format!("{path}/"), io::empty())
    } else if kind.is_symlink() {
        // As it is: it is followed in the image only, never here.
        header.set_entry_type(EntryType::Symlink);
        archive.append_link(&mut header, path, fs::read_link(full)?)
    } else if kind.is_file() {
        header.set_entry_type(EntryType::Regular);
        header.set_size(about.len());
        let mut file = File::open(full)?.take(about.len());
        archive.append_data(&mut header, path, &mut file)?;
        match file.limit() {
            0 => Ok(()),
            _ => Err(io::Error::other("it became shorter while it was read")),
        }
    } else {
        // Sockets, pipes and devices are no content.
        Ok(())
    }
}

/// Hands on what is packed.
struct Pieces {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    sent: u64,
}

impl Write for Pieces {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.sent += bytes.len() as u64;
        if self.sent > MAX_CONTEXT_BYTES {
            return Err(io::Error::other(format!(
                "it has more than {MAX_CONTEXT_BYTES} bytes, packed; leave out by .dockerignore what the image does not need"
            )));
        }
        let sent = self.pieces.blocking_send(Ok(Bytes::copy_from_slice(bytes)));
        sent.map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The file with the patterns: one of the Dockerfile's own wins.
fn ignored(project: &Path, folder: &Path, build: &Build) -> Outcome<Ignored> {
    let own = project.join(format!("{}{IGNORE_FILE}", build.dockerfile));
    let common = folder.join(IGNORE_FILE);
    match [own, common].into_iter().find(|path| path.is_file()) {
        Some(path) => {
            let real = path.canonicalize().map_err(|error| not_packed(&path, &error))?;
            stays(project, &path, &real)?;
            Ignored::read(&read_text(&real)?)
        }
        None => Ok(Ignored::default()),
    }
}

/// A path of the project, links followed.
fn inside(project: &Path, path: &str, what: &str) -> Outcome<PathBuf> {
    let full = project.join(path);
    let real = full.canonicalize().map_err(|error| {
        Failure::usage(format!("the {what} `{}` cannot be read: {error}", full.display()))
            .cure("check `build` in the Compose file")
    })?;
    stays(project, &full, &real)?;
    Ok(real)
}

fn stays(project: &Path, path: &Path, real: &Path) -> Outcome {
    let project = project
        .canonicalize()
        .map_err(|error| not_packed(project, &error))?;
    if real.starts_with(project) {
        return Ok(());
    }
    let message = format!(
        "`{}` leads out of the project folder, to `{}`",
        path.display(),
        real.display()
    );
    Err(Failure::usage(message).cure("copy it beside the Compose file"))
}

fn read_text(path: &Path) -> Outcome<String> {
    let mut text = String::new();
    let file = File::open(path).map_err(|error| not_packed(path, &error))?;
    let read = file.take(MAX_TEXT_BYTES + 1).read_to_string(&mut text);
    read.map_err(|error| not_packed(path, &error))?;
    if text.len() as u64 > MAX_TEXT_BYTES {
        return Err(Failure::usage(format!(
            "`{}` has more than {MAX_TEXT_BYTES} bytes",
            path.display()
        )));
    }
    Ok(text)
}

fn not_packed(path: &Path, error: &io::Error) -> Failure {
    Failure::usage(format!("`{}` cannot be packed: {error}", path.display()))
}

#[cfg(test)]
mod tests;
