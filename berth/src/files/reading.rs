//! Reading files of a project, no more of them than a limit and none from outside.

use crate::exit::{Failure, Outcome};
use std::{
    fs::File,
    io::Read as _,
    path::{Component, Path},
};

pub(super) fn is_inside(path: &Path) -> bool {
    path.components()
        .all(|part| matches!(part, Component::Normal(_) | Component::CurDir))
}

/// Refuses a link out of the project: a file of someone else must not pull this user's secrets into containers.
pub(super) fn stays_inside(folder: &Path, file: &Path) -> Outcome<()> {
    let real = |path: &Path| path.canonicalize().map_err(|error| unreadable(path, &error));
    let target = real(file)?;
    if target.starts_with(real(folder)?) {
        return Ok(());
    }
    let message = format!(
        "`{}` is a link out of the project folder, to `{}`",
        file.display(),
        target.display()
    );
    Err(Failure::usage(message).cure("copy the file beside the Compose file, or name it by --env-file FILE"))
}

pub(super) fn read_file(path: &Path, most: usize) -> Outcome<String> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    read_all(file, path, most)
}

pub(super) fn read_bytes(path: &Path, most: usize) -> Outcome<Vec<u8>> {
    let file = File::open(path).map_err(|error| unreadable(path, &error))?;
    read_at_most(file, path, most)
}

pub(super) fn no_text(path: &Path) -> Failure {
    Failure::usage(format!("`{}` is not text in UTF-8", path.display()))
}

pub(super) fn unreadable(path: &Path, error: &std::io::Error) -> Failure {
    Failure::usage(format!("could not read `{}`: {error}", path.display()))
}

pub(super) fn read_all(from: impl std::io::Read, path: &Path, most: usize) -> Outcome<String> {
    String::from_utf8(read_at_most(from, path, most)?).map_err(|_| no_text(path))
}

pub(super) fn read_at_most(from: impl std::io::Read, path: &Path, most: usize) -> Outcome<Vec<u8>> {
    let mut bytes = Vec::new();
    let limit = u64::try_from(most).unwrap_or(u64::MAX).saturating_add(1);
    from.take(limit)
        .read_to_end(&mut bytes)
        .map_err(|error| unreadable(path, &error))?;
    if bytes.len() > most {
        return Err(
            Failure::usage(format!("`{}` has more than {most} bytes", path.display()))
                .cure("such files hold no data: move contents into images or volumes"),
        );
    }
    Ok(bytes)
}
