//! Which types and versions may be written: those that every live instance can read (invariant 12).

use berth_events::{Category, Event, Feature, PlatformEvent, Recorded, ServiceHealth};
use berth_eventsourcing::{AppendError, AppendRequest};
use std::collections::BTreeSet;

/// Features that need to be enabled, and those that are.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Features {
    introduced: BTreeSet<Feature>,
    enabled: BTreeSet<Feature>,
}

impl Features {
    /// None of these is enabled.
    pub fn new(introduced: impl IntoIterator<Item = Feature>) -> Self {
        Self {
            introduced: introduced.into_iter().collect(),
            enabled: BTreeSet::new(),
        }
    }

    /// Takes a recorded event in; any but `platform.feature_enabled` changes nothing.
    pub fn take(&mut self, recorded: &Recorded) {
        if recorded.stream.category() != Category::Platform {
            return;
        }
        if let Ok(Event::Platform(PlatformEvent::FeatureEnabled(enabled))) = recorded.event() {
            self.enable(Feature::from(enabled.feature));
        }
    }

    /// May be written from now on.
    pub fn enable(&mut self, feature: Feature) {
        self.enabled.insert(feature);
    }

    /// Refuses an append with an event that not every instance can read.
    ///
    /// # Errors
    /// [`AppendError::Refused`] says which and what to do.
    pub fn check(&self, request: &AppendRequest) -> Result<(), AppendError> {
        if self.pending().next().is_none() {
            return Ok(());
        }
        let events = request.streams.iter().flat_map(|append| &append.events);
        let mut features = events.map(|event| Feature::of(&event.type_name, event.schema_version));
        match features.find(|feature| self.is_pending(feature)) {
            None => Ok(()),
            Some(feature) => Err(AppendError::Refused {
                reason: format!(
                    "`{feature}` is not enabled yet: not every running service can read it. Bring all of them to \
                     this release (`berth status` shows their versions); it is enabled by itself then"
                ),
            }),
        }
    }

    /// Not enabled yet.
    pub fn pending(&self) -> impl Iterator<Item = &Feature> {
        self.introduced.difference(&self.enabled)
    }

    fn is_pending(&self, feature: &Feature) -> bool {
        self.introduced.contains(feature) && !self.enabled.contains(feature)
    }

    /// What can be enabled: every service has answered, and every instance that did can read it.
    ///
    /// Placements are read by agents too, and those are not asked: such a feature is never enabled by itself.
    pub fn readable(&self, services: &[&str], answers: &[ServiceHealth]) -> BTreeSet<Feature> {
        let heard = |service: &&str| answers.iter().any(|answer| answer.service == **service);
        if !services.iter().all(heard) {
            return BTreeSet::new();
        }
        let by_all = |feature: &&Feature| answers.iter().all(|answer| answer.reads.contains(*feature));
        let placements = format!("{}.", Category::Placement.as_str());
        self.pending()
            .filter(|feature| !feature.as_str().starts_with(&placements))
            .filter(by_all)
            .cloned()
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use berth_events::{FeatureEnabled, HealthState, Meta, NodeDrained, NodeEvent, features_stream};
    use berth_eventsourcing::{Expected, MemoryLog, NewEvent, StreamAppend};
    use berth_ids::{EventId, NodeId, Timestamp};

    fn feature(text: &str) -> Feature {
        Feature::from(text.to_owned())
    }

    fn drained() -> AppendRequest {
        let event = Event::from(NodeEvent::Drained(NodeDrained {}));
        AppendRequest {
            tenant: "main".into(),
            meta: Meta::default(),
            streams: vec![StreamAppend {
                stream: berth_events::StreamName::new(Category::Node, NodeId::from_u128(1)),
                expected: Expected::Any,
                events: vec![NewEvent::encode(EventId::from_u128(1), &event).unwrap()],
            }],
            guards: Vec::new(),
            command: None,
        }
    }

    fn health(service: &str, reads: &[&str]) -> ServiceHealth {
        ServiceHealth {
            service: service.into(),
            instance: "one".into(),
            version: "1".into(),
            state: HealthState::Green,
            position: None,
            started_at: Timestamp::default(),
            reads: reads.iter().map(|text| feature(text)).collect(),
        }
    }

    #[test]
    fn a_feature_is_refused_until_it_is_enabled() {
        let mut features = Features::new([feature("node.drained@1")]);
        let refused = features.check(&drained());
        assert!(
            matches!(&refused, Err(AppendError::Refused { reason }) if reason.contains("node.drained@1")),
            "{refused:?}"
        );
        let enabled = PlatformEvent::FeatureEnabled(FeatureEnabled {
            feature: "node.drained@1".into(),
        });
        let recorded = MemoryLog::default().record(features_stream(), enabled, Timestamp::default());
        features.take(&recorded.unwrap());
        assert_eq!(features.check(&drained()), Ok(()));
    }

    #[test]
    fn what_was_never_introduced_needs_no_leave() {
        assert_eq!(Features::new([]).check(&drained()), Ok(()));
        assert_eq!(
            Features::new([feature("node.drained@2")]).check(&drained()),
            Ok(())
        );
    }

    #[test]
    fn a_feature_is_enabled_when_every_instance_of_every_service_reads_it() {
        let features = Features::new([feature("node.drained@1"), feature("placement.decided@2")]);
        let services = &["cluster", "lb"];
        let all = ["node.drained@1", "placement.decided@2"];
        let readable = |answers: &[ServiceHealth]| features.readable(services, answers);
        assert!(readable(&[health("cluster", &all)]).is_empty(), "lb is silent");
        let old = [
            health("cluster", &all),
            health("cluster", &[]),
            health("lb", &all),
        ];
        assert!(readable(&old).is_empty(), "one instance is older");
        let now = readable(&[health("cluster", &all), health("lb", &all)]);
        assert_eq!(now, BTreeSet::from([feature("node.drained@1")]));
    }
}
