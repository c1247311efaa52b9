//! Values of secrets for one container: asked for, put into its environment and its files.

use super::{SecretError, steps::Context};
use berth_agent_core::{Failure, Wanted};
use berth_events::{
    FailureReason,
    spec::{EnvironmentValue, SecretRef},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

fn reference(value: &EnvironmentValue) -> Option<SecretRef> {
    match value {
        EnvironmentValue::Secret(secret) => Some(secret.clone()),
        EnvironmentValue::Plain(_) => None,
    }
}

impl Context {
    /// The values of its environment.
    pub(super) async fn secrets_of(&self, wanted: &Wanted) -> Result<BTreeMap<SecretRef, String>, Failure> {
        let refs = wanted.container.environment.values().filter_map(reference);
        self.values(wanted, refs.collect()).await
    }

    async fn values(
        &self,
        wanted: &Wanted,
        refs: BTreeSet<SecretRef>,
    ) -> Result<BTreeMap<SecretRef, String>, Failure> {
        if refs.is_empty() {
            return Ok(BTreeMap::new());
        }
        match self.secrets.open(wanted.placed.allocation_id, refs.clone()).await {
            Ok(values) if refs.iter().all(|secret| values.contains_key(secret)) => Ok(values),
            Ok(_) => Err(Failure::Final {
                reason: FailureReason::Secrets,
                message: "the platform did not give all secrets of the container; deploy it again".to_owned(),
            }),
            Err(SecretError::Away(_)) => Err(Failure::Waiting),
            Err(error @ SecretError::Refused(_)) => Err(Failure::Passing {
                reason: FailureReason::Secrets,
                message: error.to_string(),
            }),
        }
    }

    /// Writes the files of a container unless they are there; gives their folder.
    pub(super) async fn files_of(&self, wanted: &Wanted) -> Result<Option<PathBuf>, Failure> {
        let (id, specs) = (wanted.placed.allocation_id, &wanted.container.files);
        if specs.is_empty() {
            return Ok(None);
        }
        if !self.files.has(id) {
            let mut values = BTreeMap::new();
            let refs: BTreeSet<SecretRef> =
                specs.iter().filter_map(|file| reference(&file.content)).collect();
            // One by one: an answer has room for the largest content, not for many.
            for secret in refs {
                values.append(&mut self.values(wanted, BTreeSet::from([secret])).await?);
            }
            let (files, specs) = (self.files.clone(), specs.clone());
            let written = tokio::task::spawn_blocking(move || files.write(id, &specs, &values)).await;
            let refused = |message: String| Failure::Passing {
                reason: FailureReason::Secrets,
                message,
            };
            match written {
                Ok(Ok(())) => {}
                Ok(Err(error)) => return Err(refused(chain(&error))),
                Err(error) => return Err(refused(error.to_string())),
            }
        }
        Ok(self.files.folder(id))
    }
}

/// An error with what is behind it.
fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut next = error.source();
    while let Some(error) = next {
        text = format!("{text}: {error}");
        next = error.source();
    }
    text
}
