//! Records in the log that the vault holds a version. Values never come here.

use berth_access_core::{StoreSecret, secret_of, secret_stream, store};
use berth_events::Rejection;
use berth_eventsourcing::AppendError;
use berth_service_kit::{
    DecideError, Decision, ServiceContext, append_events, decide_over_streams, own_meta,
};

/// Tries against a stream that changes.
const MAX_CONFLICTS: u32 = 10;

/// Why a version is not recorded.
#[derive(Debug)]
pub(crate) enum Fault {
    /// A rule refuses.
    Refused(Rejection),
    /// Not now.
    Away(String),
}

/// Records a version, once.
pub(crate) async fn record(
    context: &ServiceContext,
    tenant: &str,
    actor: &str,
    wanted: &StoreSecret,
) -> Result<(), Fault> {
    for _ in 0..MAX_CONFLICTS {
        let decided = decide_over_streams(&context.log(), |streams| {
            let stream = secret_stream(wanted.secret_id);
            let loaded = streams.get(&stream)?;
            let events = store(&secret_of(loaded), wanted)?;
            Ok(berth_eventsourcing::Decision::nothing().with(stream, loaded.version, events))
        })
        .await;
        let (streams, guards) = match decided {
            Ok(Decision::Append { streams, guards, .. }) => (streams, guards),
            Ok(Decision::Reject(rejection)) => return Err(Fault::Refused(rejection)),
            Err(error @ (DecideError::Log(_) | DecideError::Unavailable(_))) => {
                return Err(Fault::Away(error.to_string()));
            }
        };
        if streams.is_empty() {
            return Ok(());
        }
        let mut meta = own_meta(context);
        actor.clone_into(&mut meta.actor);
        match append_events(context, tenant, meta, streams, guards).await {
            Ok(_) => return Ok(()),
            Err(AppendError::Conflict { .. } | AppendError::Guarded { .. }) => {}
            Err(error) => return Err(Fault::Away(error.to_string())),
        }
    }
    Err(Fault::Away("the secret is being stored by others".into()))
}
