//! A command's view of the platform: client, printer, and how names become paths.

use crate::{
    cli::Global,
    client::{Client, encode, query, resolve},
    exit::{Exit, Failure, Outcome},
    output::Printer,
};
use berth_api::Cluster;

/// What a command works with.
pub struct Session {
    /// Speaks to the platform.
    pub client: Client,
    /// Prints results.
    pub printer: Printer,
}

impl Session {
    /// Finds the platform; nothing is sent yet.
    ///
    /// # Errors
    /// It is not known where the platform is.
    pub fn open(global: &Global) -> Outcome<Self> {
        Ok(Self {
            client: Client::new(resolve(global)?)?.keyed(global.idempotency_key.clone()),
            printer: Printer {
                format: global.output,
            },
        })
    }

    /// `/v1/<kind>/<name><rest>`, within the cluster to work in if one was named.
    pub fn path(&self, kind: &str, name: &str, rest: &str) -> String {
        self.in_cluster(&format!("/v1/{kind}/{}{rest}", encode(name)))
    }

    /// A path within the cluster to work in, if one was named.
    pub fn in_cluster(&self, path: &str) -> String {
        query(
            path,
            &[("cluster", self.client.cluster.as_deref().unwrap_or_default())],
        )
    }

    /// Name of the cluster to work in: the one that was named, or the only one there is.
    ///
    /// # Errors
    /// There is none, or there are several.
    pub async fn cluster(&self) -> Outcome<String> {
        if let Some(name) = &self.client.cluster {
            return Ok(name.clone());
        }
        let clusters: Vec<Cluster> = self.client.list("/v1/clusters").await?;
        match clusters.as_slice() {
            [only] => Ok(only.id.to_string()),
            [] => Err(Failure::new(Exit::NotFound, "there is no cluster yet")
                .cure("make one with `berth cluster create NAME`")),
            several => {
                let names: Vec<_> = several.iter().map(|cluster| cluster.name.as_str()).collect();
                let message = format!("there are several clusters: {}", names.join(", "));
                Err(Failure::usage(message).cure("say which with --cluster NAME or BERTH_CLUSTER"))
            }
        }
    }
}
