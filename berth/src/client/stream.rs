//! Answers without an end: server-sent events and lines.

use crate::exit::{Exit, Failure, Outcome, chain};
use futures::StreamExt as _;
use reqwest::Response;

/// The longest line that is held.
const MAX_LINE_BYTES: usize = 1024 * 1024;

/// Lines of an answer as they come.
pub struct Lines {
    body: futures::stream::BoxStream<'static, reqwest::Result<bytes::Bytes>>,
    held: Vec<u8>,
    ended: bool,
}

impl Lines {
    /// Reads the body of an answer.
    pub fn new(response: Response) -> Self {
        Self {
            body: response.bytes_stream().boxed(),
            held: Vec::new(),
            ended: false,
        }
    }

    /// The next line without its line break; `None` at the end.
    ///
    /// # Errors
    /// The connection broke, or a line is too long.
    pub async fn next(&mut self) -> Outcome<Option<String>> {
        loop {
            if let Some(line) = take_line(&mut self.held) {
                return Ok(Some(line));
            }
            if self.ended {
                let rest = std::mem::take(&mut self.held);
                return Ok((!rest.is_empty()).then(|| String::from_utf8_lossy(&rest).into_owned()));
            }
            if self.held.len() > MAX_LINE_BYTES {
                return Err(Failure::other(format!(
                    "a line is longer than {MAX_LINE_BYTES} bytes"
                )));
            }
            match self.body.next().await {
                Some(Ok(bytes)) => self.held.extend_from_slice(&bytes),
                Some(Err(error)) => {
                    return Err(Failure::new(
                        Exit::Unavailable,
                        format!("the stream broke off: {}", chain(&error)),
                    ));
                }
                None => self.ended = true,
            }
        }
    }
}

fn take_line(held: &mut Vec<u8>) -> Option<String> {
    let end = held.iter().position(|byte| *byte == b'\n')?;
    let mut line: Vec<u8> = held.drain(..=end).collect();
    line.pop();
    if line.last() == Some(&b'\r') {
        line.pop();
    }
    Some(String::from_utf8_lossy(&line).into_owned())
}

/// One server-sent event.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SseEvent {
    /// For `Last-Event-ID`.
    pub id: Option<String>,
    /// Name; empty: `message`.
    pub event: String,
    /// Content.
    pub data: String,
}

/// Server-sent events as they come.
pub struct SseStream {
    lines: Lines,
}

impl SseStream {
    /// Reads the body of an answer.
    pub fn new(response: Response) -> Self {
        Self {
            lines: Lines::new(response),
        }
    }

    /// The next event; `None` at the end.
    ///
    /// # Errors
    /// The connection broke.
    pub async fn next(&mut self) -> Outcome<Option<SseEvent>> {
        let mut event = SseEvent::default();
        while let Some(line) = self.lines.next().await? {
            if line.is_empty() {
                if !event.data.is_empty() || event.id.is_some() {
                    return Ok(Some(event));
                }
                event = SseEvent::default();
                continue;
            }
            take_field(&mut event, &line);
        }
        Ok(None)
    }
}

fn take_field(event: &mut SseEvent, line: &str) {
    let (field, value) = line.split_once(':').unwrap_or((line, ""));
    let value = value.strip_prefix(' ').unwrap_or(value);
    match field {
        "id" => event.id = Some(value.to_owned()),
        "event" => value.clone_into(&mut event.event),
        "data" => {
            if !event.data.is_empty() {
                event.data.push('\n');
            }
            event.data.push_str(value);
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_end_where_they_end() {
        let mut held = b"one\r\ntwo\nthr".to_vec();
        assert_eq!(take_line(&mut held).as_deref(), Some("one"));
        assert_eq!(take_line(&mut held).as_deref(), Some("two"));
        assert_eq!(take_line(&mut held), None);
        assert_eq!(held, b"thr");
    }

    #[test]
    fn fields_of_an_event_are_read() {
        let mut event = SseEvent::default();
        for line in ["id: 7", "event: node.lost", "data: {", "data: }", ": comment"] {
            take_field(&mut event, line);
        }
        let wanted = SseEvent {
            id: Some("7".into()),
            event: "node.lost".into(),
            data: "{\n}".into(),
        };
        assert_eq!(event, wanted);
    }
}
