//! What a container uses as the engine counts it: costly, for when the kernel's files cannot be read.

use super::{Engine, EngineError};
use crate::usage::Reading;
use bollard::{models::ContainerStatsResponse, query_parameters::StatsOptionsBuilder};
use futures::StreamExt;
use std::time::Duration;

/// The longest wait for one answer.
const PATIENCE: Duration = Duration::from_secs(3);

impl Engine {
    /// What a container uses now; `None` if the engine does not say soon.
    ///
    /// # Errors
    /// [`EngineError`].
    pub(crate) async fn usage(&self, id: &str) -> Result<Option<Reading>, EngineError> {
        let docker = self.docker().await?;
        let options = StatsOptionsBuilder::default()
            .stream(false)
            .one_shot(true)
            .build();
        let mut answers = Box::pin(docker.stats(id, Some(options)));
        match tokio::time::timeout(PATIENCE, answers.next()).await {
            Ok(Some(answer)) => Ok(reading(&answer.map_err(|error| self.error(error))?)),
            Ok(None) | Err(_) => Ok(None),
        }
    }
}

/// As `docker stats` counts: memory without file pages that the kernel may drop at any time. The engine gives
/// the machine's memory as the limit of a container without one.
fn reading(answer: &ContainerStatsResponse) -> Option<Reading> {
    let memory = answer.memory_stats.as_ref()?;
    let cache = memory.stats.as_ref().and_then(|stats| {
        let v1 = stats.get("total_inactive_file");
        v1.or(stats.get("inactive_file")).copied()
    });
    let cpu = answer.cpu_stats.as_ref()?.cpu_usage.as_ref()?;
    Some(Reading {
        cpu_nanos: cpu.total_usage?,
        memory_bytes: memory.usage?.saturating_sub(cache.unwrap_or(0)),
        memory_limit_bytes: memory.limit.unwrap_or(0),
        pids: answer
            .pids_stats
            .as_ref()
            .and_then(|pids| pids.current)
            .unwrap_or(0),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_of_the_engine_is_read() {
        let text = r#"{"cpu_stats":{"cpu_usage":{"total_usage":77000}},"pids_stats":{"current":2},
            "memory_stats":{"usage":5000,"limit":8192,"stats":{"total_inactive_file":500}}}"#;
        let found = reading(&serde_json::from_str(text).unwrap()).unwrap();
        assert_eq!(
            (found.cpu_nanos, found.memory_bytes, found.pids),
            (77_000, 4_500, 2)
        );
        // One that does not run has no figures.
        assert_eq!(
            reading(&serde_json::from_str(r#"{"memory_stats":{}}"#).unwrap()),
            None
        );
    }
}
