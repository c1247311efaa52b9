//! Enables events that an earlier release could not read, once every live instance can (invariant 12).

use crate::{queue::LedgerHandle, schema::SERVICES};
use berth_bus::{Bus, subject};
use berth_events::{Event, Feature, FeatureEnabled, Meta, PlatformEvent, ServiceHealth, features_stream};
use berth_eventsourcing::{AppendError, AppendRequest, Expected, NewEvent, StreamAppend};
use berth_ledger_core::Features;
use berth_service_kit::new_id;
use futures::future::join_all;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::sleep;

/// Time between two questions to all instances.
const ASK_EVERY: Duration = Duration::from_secs(2);
/// How long instances may take to answer.
const ANSWER_WAIT: Duration = Duration::from_millis(500);
/// Rounds in a row in which all must have said that they can read it: one that is slow once is not forgotten.
const ROUNDS: usize = 3;
/// Who enables.
const SERVICE: &str = "ledger";
const TENANT: &str = "main";

/// Asks all instances what they can read until there is nothing left to enable.
pub(crate) async fn enable_features(bus: Bus, handle: LedgerHandle, mut features: Features) {
    let mut rounds: Vec<BTreeSet<Feature>> = Vec::new();
    while features.pending().next().is_some() {
        sleep(ASK_EVERY).await;
        let asked = SERVICES
            .iter()
            .map(|service| bus.ask_all(subject::question(service, "health", "-"), ANSWER_WAIT));
        let answers: Vec<ServiceHealth> = join_all(asked).await.into_iter().flatten().collect();
        rounds.push(features.readable(SERVICES, &answers));
        if rounds.len() > ROUNDS {
            rounds.remove(0);
        }
        if rounds.len() < ROUNDS {
            continue;
        }
        let always = rounds
            .iter()
            .skip(1)
            .fold(rounds[0].clone(), |all, round| &all & round);
        for feature in always {
            match enable(&handle, &feature).await {
                Ok(()) => {
                    tracing::info!(%feature, "every running service can read it: enabled");
                    features.enable(feature);
                }
                Err(error) => tracing::warn!(%feature, %error, "could not enable it now; trying again"),
            }
        }
    }
}

async fn enable(handle: &LedgerHandle, feature: &Feature) -> Result<(), AppendError> {
    let event = Event::from(PlatformEvent::FeatureEnabled(FeatureEnabled {
        feature: feature.to_string(),
    }));
    let encoded = NewEvent::encode(new_id(), &event).map_err(|error| AppendError::Refused {
        reason: error.to_string(),
    })?;
    let request = AppendRequest {
        tenant: TENANT.to_owned(),
        meta: Meta {
            actor: format!("service:{SERVICE}"),
            correlation_id: new_id(),
            ..Meta::default()
        },
        streams: vec![StreamAppend {
            stream: features_stream(),
            expected: Expected::Any,
            events: vec![encoded],
        }],
        guards: Vec::new(),
        command: None,
    };
    handle.append(SERVICE, request).await.map(|_| ())
}
