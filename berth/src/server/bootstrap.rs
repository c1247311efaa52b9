//! The first account and the root token: made once, shown once, kept for the command line on this machine.

use super::{
    folder::{Folder, read_json, write_json},
    foundation::Foundation,
    report::api_url,
    roles::random_secret,
    services::{TENANT, connect},
};
use crate::{
    client::{Profile, write_client_toml},
    config::Config,
    exit::{Outcome, chain},
    output::print_text,
};
use berth_api::API_TOKEN_PREFIX;
use berth_bus::Bus;
use berth_events::{AccessCommand, COMMAND_VERSION, Command, CommandBody, CommandOutcome};
use berth_ids::{AccountId, TokenId};
use berth_service_kit::{Clock, derived_id, new_id};
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};
use std::{path::PathBuf, sync::Arc, time::Duration};
use tokio_util::sync::CancellationToken;

/// The service whose bus user may send commands.
const SENDER: &str = "gateway";
/// Wait before the command is sent again.
const RETRY_DELAY: Duration = Duration::from_secs(1);

/// What is bootstrapped, written down before it is sent: after a crash the same is sent again.
#[derive(Serialize, Deserialize)]
struct Wish {
    account_id: AccountId,
    token_id: TokenId,
    secret: String,
}

/// Makes the account and the root token unless that has happened. Tries until shutdown.
pub async fn ensure_root(
    config: Config,
    folder: Folder,
    foundation: Arc<Foundation>,
    shutdown: CancellationToken,
) {
    if folder.client().exists() {
        return;
    }
    let done = tokio::select! {
        done = try_root(&config, &folder, &foundation) => done,
        () = shutdown.cancelled() => return,
    };
    if let Err(failure) = done {
        tracing::error!(%failure, "the root token could not be made; it is tried again at the next start");
    }
}

async fn try_root(config: &Config, folder: &Folder, foundation: &Foundation) -> Outcome {
    let path = wish_path(folder);
    let wish = match read_json::<Wish>(&path)? {
        Some(wish) => wish,
        None => {
            let wish = Wish {
                account_id: new_id(),
                token_id: new_id(),
                secret: random_secret(),
            };
            write_json(&path, &wish)?;
            wish
        }
    };
    let bus = connect(SENDER, config, foundation).await?;
    if submit(&bus, &wish).await {
        let token = format!(
            "{API_TOKEN_PREFIX}{}.{}",
            wish.token_id.as_uuid().simple(),
            wish.secret
        );
        let profile = Profile {
            url: Some(api_url(config, foundation)),
            ca_file: Some(foundation.security.ca_file()),
            token: Some(token.clone()),
            cluster: None,
        };
        write_client_toml(&folder.client(), &profile)?;
        print_text(&format!(
            "Root token (shown once, kept in {}):\n  {token}",
            folder.client().display()
        ))?;
    } else {
        tracing::warn!(
            "this platform has a root token already, and it is not in {}",
            folder.client().display()
        );
    }
    std::fs::remove_file(&path)?;
    Ok(())
}

fn wish_path(folder: &Folder) -> PathBuf {
    folder.root().join("root.json")
}

/// Sends until there is an outcome; says whether this wish is the one that was carried out.
async fn submit(bus: &Bus, wish: &Wish) -> bool {
    let command_id = derived_id(wish.token_id.as_uuid(), "bootstrap");
    let hash = hex::encode(Sha256::digest(wish.secret.as_bytes()));
    loop {
        let command = Command {
            version: COMMAND_VERSION,
            command_id,
            tenant: TENANT.to_owned(),
            actor: "system:bootstrap".to_owned(),
            correlation_id: new_id(),
            issued_at: Clock::now(),
            request_hash: hash.clone(),
            traceparent: None,
            body: CommandBody::Access(AccessCommand::Bootstrap {
                account_id: wish.account_id,
                token_id: wish.token_id,
                hash: hash.clone(),
            }),
        };
        match bus.submit(&command, None).await {
            Ok(CommandOutcome::Accepted { .. }) => return true,
            Ok(CommandOutcome::Rejected(rejection)) => {
                tracing::debug!(code = rejection.code, "bootstrap was refused");
                return false;
            }
            Err(error) => tracing::debug!(error = chain(&error), "bootstrap waits for the services"),
        }
        tokio::time::sleep(RETRY_DELAY).await;
    }
}
