//! What a child process prints: to a file of bounded size, with the last lines kept for error messages.

use std::collections::VecDeque;
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The log file is renamed to `<name>.1` when it has grown past this.
const FILE_BYTES: u64 = 8 * 1024 * 1024;
const TAIL_LINES: usize = 40;
/// A longer line is cut into several.
const LINE_BYTES: u64 = 16 * 1024;

/// The output of one supervised program, over all its restarts.
#[derive(Debug, Clone)]
pub(crate) struct Output {
    path: PathBuf,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    lines: Mutex<Lines>,
    more: Condvar,
}

#[derive(Debug, Default)]
struct Lines {
    /// How many lines came before the first that is kept.
    dropped: u64,
    kept: VecDeque<String>,
}

impl Output {
    pub fn new(path: PathBuf) -> Self {
        Self {
            path,
            shared: Arc::default(),
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The last lines, for error messages.
    pub fn tail(&self) -> String {
        let lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines
            .kept
            .iter()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join("\n")
    }

    /// The number of lines so far; a mark for [`Output::wait_for`].
    pub fn mark(&self) -> u64 {
        let lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.dropped + lines.kept.len() as u64
    }

    /// Waits for a line after `mark` that `wanted` accepts.
    pub fn wait_for<T>(
        &self,
        mark: u64,
        patience: Duration,
        wanted: impl Fn(&str) -> Option<T>,
    ) -> Option<T> {
        let until = Instant::now() + patience;
        let mut lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            let skip = usize::try_from(mark.saturating_sub(lines.dropped)).unwrap_or(usize::MAX);
            if let Some(found) = lines.kept.iter().skip(skip).find_map(|line| wanted(line)) {
                return Some(found);
            }
            let left = until.checked_duration_since(Instant::now())?;
            lines = self
                .shared
                .more
                .wait_timeout(lines, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
    }

    /// Copies a child's output until it ends, on a thread of its own.
    pub fn pump(&self, name: &'static str, source: impl Read + Send + 'static) {
        let output = self.clone();
        let thread = std::thread::Builder::new().name(format!("{name}-output"));
        if let Err(error) = thread.spawn(move || output.copy(name, source)) {
            tracing::error!(%error, "could not start the thread that reads the output of {name}");
        }
    }

    fn copy(&self, name: &'static str, source: impl Read) {
        let mut reader = BufReader::new(source);
        let mut file = LogFile::open(&self.path);
        let mut line = Vec::new();
        loop {
            line.clear();
            match (&mut reader).take(LINE_BYTES).read_until(b'\n', &mut line) {
                Ok(0) | Err(_) => return,
                Ok(_) => {}
            }
            let text = String::from_utf8_lossy(&line).trim_end().to_owned();
            tracing::debug!(child = name, "{text}");
            file.write(&text);
            self.keep(text);
        }
    }

    fn keep(&self, line: String) {
        let mut lines = self.shared.lines.lock().unwrap_or_else(PoisonError::into_inner);
        if lines.kept.len() == TAIL_LINES {
            lines.kept.pop_front();
            lines.dropped += 1;
        }
        lines.kept.push_back(line);
        self.shared.more.notify_all();
    }
}

/// A log file that never grows past its bound; a full disk must not stop the child's output.
struct LogFile {
    path: PathBuf,
    file: Option<File>,
    written: u64,
}

impl LogFile {
    fn open(path: &Path) -> Self {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .mode(0o600)
            .open(path);
        let file = file
            .inspect_err(|error| tracing::warn!(%error, "could not open `{}`", path.display()))
            .ok();
        let written = file
            .as_ref()
            .and_then(|file| file.metadata().ok())
            .map_or(0, |about| about.len());
        Self {
            path: path.to_path_buf(),
            file,
            written,
        }
    }

    fn write(&mut self, line: &str) {
        if self.written > FILE_BYTES {
            let mut old = self.path.clone().into_os_string();
            old.push(".1");
            let _ = fs::rename(&self.path, old);
            *self = Self::open(&self.path);
        }
        if let Some(file) = &mut self.file
            && writeln!(file, "{line}").is_ok()
        {
            self.written += line.len() as u64 + 1;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keeps_the_last_lines_and_finds_new_ones() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(folder.path().join("log"));
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        output.copy("test", text.as_bytes());
        assert_eq!(output.tail().lines().next(), Some("line 60"));
        let mark = output.mark();
        assert_eq!(mark, 100);
        let find = |line: &str| (line == "line 99").then_some(());
        assert_eq!(output.wait_for(mark, Duration::from_millis(1), find), None);
        assert_eq!(
            output.wait_for(mark - 1, Duration::from_millis(1), find),
            Some(())
        );
        assert_eq!(fs::read_to_string(output.path()).unwrap(), text);
    }

    #[test]
    fn the_file_is_bounded() {
        let folder = tempfile::tempdir().unwrap();
        let output = Output::new(folder.path().join("log"));
        let line = "x".repeat(15 * 1024);
        let text = format!("{line}\n").repeat(700);
        output.copy("test", text.as_bytes());
        assert!(fs::metadata(folder.path().join("log.1")).unwrap().len() <= FILE_BYTES + LINE_BYTES + 1);
        assert!(fs::metadata(output.path()).unwrap().len() < FILE_BYTES);
    }
}
