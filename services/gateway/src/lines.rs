//! Bytes of several outputs, cut into lines.

use berth_api::LogLine;
use std::collections::BTreeMap;

/// The longest line; a longer one is cut.
const MAX_LINE_BYTES: usize = 64 * 1024;

/// Bytes that have no line break yet, by output.
#[derive(Default)]
pub(crate) struct Lines {
    open: BTreeMap<String, Vec<u8>>,
}

impl Lines {
    /// Takes bytes in; gives the lines that they complete.
    pub(crate) fn push(&mut self, stream: &str, bytes: &[u8]) -> Vec<LogLine> {
        let held = self.open.entry(stream.to_owned()).or_default();
        let mut lines = Vec::new();
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            held.extend_from_slice(piece);
            if piece.ends_with(b"\n") {
                held.pop();
                if held.ends_with(b"\r") {
                    held.pop();
                }
                lines.extend(take(stream, held));
            } else {
                while held.len() > MAX_LINE_BYTES {
                    let mut rest = held.split_off(MAX_LINE_BYTES);
                    lines.extend(take(stream, held));
                    held.append(&mut rest);
                }
            }
        }
        lines
    }

    /// What is left at the end.
    pub(crate) fn finish(self) -> Vec<LogLine> {
        let left = self.open.into_iter().filter(|(_, held)| !held.is_empty());
        left.flat_map(|(stream, mut held)| take(&stream, &mut held))
            .collect()
    }
}

/// Lines of what is held, none longer than allowed.
fn take(stream: &str, held: &mut Vec<u8>) -> Vec<LogLine> {
    let bytes = std::mem::take(held);
    if bytes.is_empty() {
        return vec![LogLine {
            stream: stream.to_owned(),
            text: String::new(),
        }];
    }
    let pieces = bytes.chunks(MAX_LINE_BYTES);
    let lines = pieces.map(|piece| LogLine {
        stream: stream.to_owned(),
        text: String::from_utf8_lossy(piece).into_owned(),
    });
    lines.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn texts(lines: &[LogLine]) -> Vec<String> {
        lines
            .iter()
            .map(|line| format!("{}:{}", line.stream, line.text))
            .collect()
    }

    #[test]
    fn lines_are_joined_across_frames_and_outputs_kept_apart() {
        let mut lines = Lines::default();
        assert_eq!(texts(&lines.push("stdout", b"a\nb")), ["stdout:a"]);
        assert_eq!(texts(&lines.push("stderr", b"x\r\n\n")), ["stderr:x", "stderr:"]);
        assert_eq!(texts(&lines.push("stdout", b"c\nd")), ["stdout:bc"]);
        assert_eq!(texts(&lines.finish()), ["stdout:d"]);
    }

    #[test]
    fn a_character_split_between_frames_is_whole_again() {
        let mut lines = Lines::default();
        let bytes = "ü\n".as_bytes();
        assert!(lines.push("stdout", &bytes[..1]).is_empty());
        assert_eq!(texts(&lines.push("stdout", &bytes[1..])), ["stdout:ü"]);
    }

    #[test]
    fn a_line_without_end_is_cut() {
        let mut lines = Lines::default();
        let cut = lines.push("stdout", &vec![b'x'; MAX_LINE_BYTES * 2 + 5]);
        assert_eq!(cut.len(), 2);
        assert_eq!(lines.finish()[0].text.len(), 5);
    }
}
