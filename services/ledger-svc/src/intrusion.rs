//! What somebody else has put into EVT, and making the stream anew.
//!
//! NATS checks where a client publishes, but not where it wants the answer: JetStream sends acknowledgements
//! and the messages that are read to any subject that is named as a reply, `evt.…` too. So a stolen node, which
//! may publish nothing there, can still bring a message in. It is no event, or one at a wrong sequence.

use crate::{
    error::LedgerError,
    streams::{EVT, delete},
};
use async_nats::jetstream::{self, stream::LastRawMessageErrorKind};
use berth_bus::Bus;
use berth_events::Recorded;

/// The most messages that are looked at: what a relay may have had on its way.
const MAX_LOOKED_AT: u64 = 4_096;

/// Looks at the messages after `sound`, at least at the last, and deletes EVT if one of them is foreign.
/// Says whether it did.
///
/// # Errors
/// [`LedgerError::Bus`]; it may be repeated.
pub(crate) async fn removed(bus: &Bus, sound: u64, last: u64) -> Result<bool, LedgerError> {
    let stream = bus
        .jetstream()
        .get_stream_no_info(EVT)
        .await
        .map_err(LedgerError::bus("look into stream EVT"))?;
    let from = sound.clamp(last.saturating_sub(MAX_LOOKED_AT), last.saturating_sub(1)) + 1;
    for sequence in from..=last {
        let message = match stream.get_raw_message(sequence).await {
            Ok(message) => message,
            // Too old to be kept, and so before anything that is on its way.
            Err(error) if error.kind() == LastRawMessageErrorKind::NoMessageFound => continue,
            Err(error) => return Err(LedgerError::bus(format!("read message {sequence} of EVT"))(error)),
        };
        if is_foreign(&message) {
            tracing::error!(
                sequence,
                subject = %message.subject,
                "message {sequence} of stream EVT is not from the log: some user of the bus named `{}` as the \
                 subject of a reply. The stream is made anew; look for a stolen node",
                message.subject
            );
            delete(bus.jetstream(), EVT).await?;
            return Ok(true);
        }
    }
    Ok(false)
}

fn is_foreign(message: &jetstream::message::StreamMessage) -> bool {
    serde_json::from_slice::<Recorded>(&message.payload)
        .map_or(true, |recorded| recorded.position != message.sequence)
}
