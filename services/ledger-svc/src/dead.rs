//! Looks at the stream of dead letters, so that the health of the log says what was given up.

use crate::{run::Status, streams::ADV};
use berth_bus::Bus;
use berth_events::DeadLetter;
use std::{sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// How often it looks.
const LOOK_INTERVAL: Duration = Duration::from_secs(5);

/// Looks until shutdown.
pub(crate) async fn watch(bus: Bus, status: Arc<Status>, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        match look(&bus).await {
            Ok(letters) => status.dead_letters(letters),
            // The stream is made by the relay, and the bus may be away: both are said elsewhere.
            Err(error) => tracing::debug!(error, "dead letters cannot be counted now"),
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK_INTERVAL) => {}
            () = shutdown.cancelled() => {}
        }
    }
}

/// What was given up, in words; `None` if nothing was.
async fn look(bus: &Bus) -> Result<Option<String>, String> {
    let stream = bus.jetstream().get_stream(ADV).await;
    let stream = stream.map_err(|error| error.to_string())?;
    let state = stream.cached_info().state.clone();
    if state.messages == 0 {
        return Ok(None);
    }
    let last = stream.get_raw_message(state.last_sequence).await;
    let last = last.map_err(|error| error.to_string())?;
    let what = match serde_json::from_slice::<DeadLetter>(&last.payload) {
        Ok(letter) => format!(
            "`{}` by {} after {} tries: {}",
            letter.subject, letter.service, letter.deliveries, letter.reason
        ),
        Err(_) => format!("`{}`: its service died at it each time", last.subject),
    };
    let messages = match state.messages {
        1 => "1 message was".to_owned(),
        many => format!("{many} messages were"),
    };
    Ok(Some(format!(
        "{messages} given up within a day (stream {ADV}); the last on {what}"
    )))
}
