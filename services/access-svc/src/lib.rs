//! Accounts, tokens, bus users and secrets: the service shell around `berth-access-core`, and the vault.
//!
//! Also what a platform needs once at its beginning: an own certificate authority ([`ca`]) and the keys and
//! users of the bus ([`nats_auth`]). Secret values are held in memory only, and never logged.

mod accounts;
pub mod ca;
mod commands;
mod erasure;
mod files;
pub mod nats_auth;
mod questions;
mod renewal;
mod secrets;
pub mod vault;

use berth_access_core::AccessView;
use berth_bus::BusOptions;
use berth_service_kit::{ServiceContext, ServiceError, answer_health, serve_decisions, start_projection};
pub use erasure::REMOVED_SECRET_GRACE;
use std::{sync::Arc, time::Duration};

/// The rights name as many readers as the bus takes.
const _: () = assert!(berth_bus::LOG_READERS == berth_access_core::LOG_READERS);

/// Gives certificates as they are now, or says why it cannot.
pub type CaSource = Arc<dyn Fn() -> Result<String, String> + Send + Sync>;

/// What access-svc needs besides its context.
pub struct AccessOptions {
    /// The key that wraps the vault's data keys.
    pub master_key: vault::MasterKey,
    /// The keys that sign bus users.
    pub signer: nats_auth::Signer,
    /// How to reach the bus as the system account's user, to make nodes' accounts known to the servers.
    /// Absent: the servers are told by whoever runs them (tests).
    pub system: Option<BusOptions>,
    /// The certificates by which agents check the bus now, PEM; looked at for every agent that asks.
    pub agents_ca_pem: CaSource,
    /// How long secrets outlive their application: [`REMOVED_SECRET_GRACE`].
    pub removed_secret_grace: Duration,
}

/// Runs the service until shutdown.
///
/// # Errors
/// [`ServiceError`] if the database cannot be used at start; later outages heal.
pub async fn run(context: ServiceContext, options: AccessOptions) -> Result<(), ServiceError> {
    let failed = |what: &str, error: Box<dyn std::error::Error + Send + Sync>| {
        ServiceError::new(context.service, what, error)
    };
    let vault = vault::Vault::open(context.db.clone(), options.master_key)
        .await
        .map_err(|error| failed("open the vault", error.into()))?;
    let view = start_projection::<AccessView>(&context)
        .await
        .map_err(|error| failed("follow the log", error.into()))?;
    let signer = Arc::new(options.signer);
    let rules = Arc::new(commands::Rules::new(context.log(), signer.clone()));
    let renewal = renewal::Renewal::new(
        context.clone(),
        view.clone(),
        signer.clone(),
        options.agents_ca_pem,
    );
    let desk = Arc::new(questions::Desk::new(context.clone(), view.clone(), vault.clone()));
    tokio::join!(
        serve_decisions(context.clone(), rules),
        questions::answer(context.clone(), desk),
        renewal::answer(context.clone(), renewal),
        accounts::keep(context.clone(), view.clone(), signer, options.system),
        erasure::keep(context.clone(), view, vault, options.removed_secret_grace),
        answer_health(context.clone()),
    );
    Ok(())
}
