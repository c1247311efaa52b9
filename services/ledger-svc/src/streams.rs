//! The streams of JetStream, made here and nowhere else (`docs/contracts.md`).

use crate::{error::LedgerError, options::LedgerOptions};
use async_nats::jetstream::{
    Context, ErrorCode,
    context::{CreateStreamErrorKind, DeleteStreamErrorKind, GetStreamErrorKind},
    stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType},
};
use berth_eventsourcing::MAX_APPEND_BYTES;
use std::time::Duration;

/// Stream of facts.
pub const EVT: &str = "EVT";
/// Stream of container logs on their way to log-svc.
pub const LOGS: &str = "LOGS";
/// Stream of dead letters.
pub(crate) const ADV: &str = "ADV";
/// Where services put what they give up.
const DEAD_LETTERS: &str = "adv.*";
/// What JetStream says of a message that it does not deliver any more: its service died at it each time.
const GIVEN_UP: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.>";
/// The smallest `max_payload` of a server: the largest append, its quotes escaped, with its envelope.
pub const MIN_MAX_PAYLOAD: usize = 2 * MAX_APPEND_BYTES + 512 * 1024;
/// 2.9 silently ignores `first_sequence`.
const OLDEST_SERVER: (u32, u32) = (2, 11);

const GIB: i64 = 1024 * 1024 * 1024;
const DAY: Duration = Duration::from_secs(24 * 60 * 60);
/// Commands wait at most this long; the gateway has given up long before.
const CMD_MAX_AGE: Duration = Duration::from_secs(60 * 60);
const CMD_MAX_MESSAGES: i64 = 100_000;
/// Reports are sent again from the agent's journal.
const RPT_MAX_AGE: Duration = DAY;
const RPT_MAX_MESSAGES: i64 = 1_000_000;
/// People look at dead letters within this time; then the service is told well again.
const ADV_MAX_AGE: Duration = DAY;
const ADV_MAX_MESSAGES: i64 = 10_000;
const ADV_MAX_BYTES: i64 = 64 * 1024 * 1024;
const DUPLICATE_WINDOW: Duration = Duration::from_secs(120);

/// Checks that the server can carry what the log can hold.
///
/// # Errors
/// [`LedgerError::Setup`] says what to change.
pub(crate) fn check_server(client: &async_nats::Client) -> Result<(), LedgerError> {
    let info = client.server_info();
    let mut parts = info
        .version
        .split('.')
        .map(|part| part.parse::<u32>().unwrap_or(0));
    let version = (parts.next().unwrap_or(0), parts.next().unwrap_or(0));
    if version < OLDEST_SERVER {
        return Err(LedgerError::Setup {
            what: format!("nats-server {} is too old for the log", info.version),
            cure: "install 2.11 or newer".into(),
        });
    }
    if info.max_payload < MIN_MAX_PAYLOAD {
        return Err(LedgerError::Setup {
            what: format!(
                "nats-server carries messages of {} bytes only, the log needs {MIN_MAX_PAYLOAD}",
                info.max_payload
            ),
            cure: "set `max_payload: 2MB` in its configuration".into(),
        });
    }
    Ok(())
}

/// EVT as it should be. `first` is the position of its first message if it has to be made anew.
pub(crate) fn evt(options: &LedgerOptions, first: u64) -> Config {
    Config {
        deny_delete: true,
        deny_purge: true,
        max_age: options.evt_max_age,
        max_bytes: options.evt_max_bytes,
        // The sequence is the key; no message carries an id.
        duplicate_window: Duration::from_secs(1),
        first_sequence: (first > 1).then_some(first),
        ..stream(EVT, "evt.>", options)
    }
}

/// The other streams.
fn others(options: &LedgerOptions) -> [Config; 5] {
    let work = |name, subject| Config {
        retention: RetentionPolicy::WorkQueue,
        discard: DiscardPolicy::New,
        duplicate_window: DUPLICATE_WINDOW,
        max_bytes: options.work_max_bytes,
        ..stream(name, subject, options)
    };
    [
        Config {
            max_age: CMD_MAX_AGE,
            max_messages: CMD_MAX_MESSAGES,
            ..work("CMD", "cmd.>")
        },
        Config {
            max_age: RPT_MAX_AGE,
            max_messages: RPT_MAX_MESSAGES,
            ..work("RPT", "rpt.>")
        },
        Config {
            max_messages_per_subject: 1,
            max_bytes: options.work_max_bytes,
            ..stream("DOC", "doc.>", options)
        },
        Config {
            max_age: DAY,
            max_bytes: options.logs_max_bytes,
            ..stream(LOGS, "log.>", options)
        },
        Config {
            subjects: vec![DEAD_LETTERS.to_owned(), GIVEN_UP.to_owned()],
            max_age: ADV_MAX_AGE,
            max_messages: ADV_MAX_MESSAGES,
            max_bytes: ADV_MAX_BYTES,
            ..stream(ADV, DEAD_LETTERS, options)
        },
    ]
}

fn stream(name: &str, subject: &str, options: &LedgerOptions) -> Config {
    Config {
        name: name.to_owned(),
        subjects: vec![subject.to_owned()],
        storage: StorageType::File,
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        num_replicas: options.replicas,
        allow_direct: true,
        max_messages: -1,
        max_messages_per_subject: -1,
        ..Config::default()
    }
}

/// The largest sizes of the streams by default.
pub(crate) const EVT_MAX_BYTES: i64 = 8 * GIB;
pub(crate) const EVT_MAX_AGE: Duration = Duration::from_secs(30 * 24 * 60 * 60);
pub(crate) const WORK_MAX_BYTES: i64 = GIB;
pub(crate) const LOGS_MAX_BYTES: i64 = 2 * GIB;

/// Makes or updates CMD, RPT, DOC, LOGS and ADV.
pub(crate) async fn ensure_others(jetstream: &Context, options: &LedgerOptions) -> Result<(), LedgerError> {
    for config in others(options) {
        let action = format!("make stream {}", config.name);
        jetstream
            .create_or_update_stream(config)
            .await
            .map_err(LedgerError::bus(action))?;
    }
    Ok(())
}

/// State of EVT; `None` if it is not there.
pub(crate) async fn evt_info(jetstream: &Context) -> Result<Option<Info>, LedgerError> {
    match jetstream.get_stream(EVT).await {
        Ok(stream) => Ok(Some(stream.cached_info().clone())),
        Err(error) => match error.kind() {
            GetStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND => {
                Ok(None)
            }
            _ => Err(LedgerError::bus("look at stream EVT")(error)),
        },
    }
}

fn exists(kind: &CreateStreamErrorKind) -> bool {
    matches!(kind, CreateStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NAME_EXIST)
}

/// Makes EVT, with its first message at a position.
pub(crate) async fn make_evt(
    jetstream: &Context,
    options: &LedgerOptions,
    first: u64,
) -> Result<(), LedgerError> {
    match jetstream.create_stream(evt(options, first)).await {
        Ok(_) => Ok(()),
        // Another relay was faster; what it made is looked at again.
        Err(error) if exists(&error.kind()) => Ok(()),
        Err(error) => Err(LedgerError::bus("make stream EVT")(error)),
    }
}

fn is_absent(kind: &DeleteStreamErrorKind) -> bool {
    matches!(kind, DeleteStreamErrorKind::JetStream(cause) if cause.error_code() == ErrorCode::STREAM_NOT_FOUND)
}

/// Deletes a stream that is made anew from the log, if it is there.
pub(crate) async fn delete(jetstream: &Context, stream: &str) -> Result<(), LedgerError> {
    match jetstream.delete_stream(stream).await {
        Ok(_) => Ok(()),
        Err(error) if is_absent(&error.kind()) => Ok(()),
        Err(error) => Err(LedgerError::bus(format!("delete stream {stream}"))(error)),
    }
}
