//! Which lab has which place: several labs of several processes stand side by side on one machine.
//!
//! A place is a file in `/run/berth-lab`, locked as long as its owner lives. A file that nobody locks and that
//! is not marked as kept belongs to a run that was killed: what it left is removed before the place is taken.

use std::fs::{self, File, OpenOptions};
use std::io::{Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};

use crate::clean;
use crate::error::{Error, io_error};
use crate::names::Names;

const FOLDER: &str = "/run/berth-lab";
/// Places on one machine; the number is a part of addresses.
pub(crate) const MOST_SLOTS: u8 = 99;

/// What a place's file says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    pub root: PathBuf,
    pub nodes: usize,
    /// The lab outlives the process that made it.
    pub keep: bool,
}

impl Record {
    fn render(&self) -> String {
        format!(
            "nodes={}\nkeep={}\nroot={}\n",
            self.nodes,
            self.keep,
            self.root.display()
        )
    }

    fn parse(text: &str) -> Option<Self> {
        let field = |name: &str| {
            text.lines()
                .find_map(|line| line.strip_prefix(name)?.strip_prefix('='))
        };
        Some(Self {
            root: PathBuf::from(field("root")?),
            nodes: field("nodes")?.parse().ok()?,
            keep: field("keep")? == "true",
        })
    }
}

/// A taken place.
#[derive(Debug)]
pub(crate) struct Slot {
    pub number: u8,
    pub record: Record,
    file: File,
}

impl Slot {
    /// Takes a free place; `root` makes the lab's folder from the number. Removes what killed runs left.
    pub fn take(nodes: usize, root: impl Fn(u8) -> PathBuf) -> Result<Self, Error> {
        let _turn = turn()?;
        for number in 1..=MOST_SLOTS {
            let Some(file) = claim(number)? else { continue };
            let record = Record {
                root: root(number),
                nodes,
                keep: false,
            };
            let mut slot = Self { number, record, file };
            slot.write()?;
            return Ok(slot);
        }
        Err(Error::NoSlot(MOST_SLOTS))
    }

    /// Marks the lab as one that outlives this process.
    pub fn keep(&mut self) -> Result<(), Error> {
        self.record.keep = true;
        self.write()
    }

    fn write(&mut self) -> Result<(), Error> {
        let path = path(self.number);
        self.file.set_len(0).map_err(io_error("write", &path))?;
        self.file.rewind().map_err(io_error("write", &path))?;
        self.file
            .write_all(self.record.render().as_bytes())
            .map_err(io_error("write", &path))
    }
}

/// Gives a place free, after everything of its lab is gone.
pub(crate) fn release(number: u8) -> Result<(), Error> {
    let _turn = turn()?;
    fs::remove_file(path(number)).map_err(io_error("remove", path(number)))
}

/// The record of a place, if it is taken.
pub(crate) fn read(number: u8) -> Option<Record> {
    Record::parse(&fs::read_to_string(path(number)).ok()?)
}

/// Removes what killed runs left; kept labs stay. Returns the places that were cleaned.
pub(crate) fn sweep() -> Result<Vec<u8>, Error> {
    let _turn = turn()?;
    let taken: Vec<u8> = (1..=MOST_SLOTS).filter(|number| path(*number).exists()).collect();
    let mut swept = Vec::new();
    for number in taken {
        if claim(number)?.is_some() {
            fs::remove_file(path(number)).map_err(io_error("remove", path(number)))?;
            swept.push(number);
        }
    }
    Ok(swept)
}

/// Opens and locks a place's file if it is free, after removing what its dead owner left.
fn claim(number: u8) -> Result<Option<File>, Error> {
    let path = path(number);
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(&path)
        .map_err(io_error("open", &path))?;
    if file.try_lock().is_err() {
        return Ok(None);
    }
    let mut text = String::new();
    file.read_to_string(&mut text).map_err(io_error("read", &path))?;
    match Record::parse(&text) {
        Some(record) if record.keep => return Ok(None),
        Some(record) => clean::remove(&Names::new(number), &record)?,
        None => {}
    }
    Ok(Some(file))
}

/// One process at a time looks at the places.
fn turn() -> Result<File, Error> {
    fs::create_dir_all(FOLDER).map_err(io_error("make the folder", FOLDER))?;
    let path = Path::new(FOLDER).join("lock");
    let file = File::create(&path).map_err(io_error("create", &path))?;
    file.lock().map_err(io_error("lock", &path))?;
    Ok(file)
}

fn path(number: u8) -> PathBuf {
    Path::new(FOLDER).join(number.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_are_read_as_written() {
        let record = Record {
            root: "/tmp/a=b c".into(),
            nodes: 3,
            keep: true,
        };
        assert_eq!(Record::parse(&record.render()), Some(record));
        assert_eq!(Record::parse(""), None);
    }
}
