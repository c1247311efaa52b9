//! Keys and users of the bus: operator, accounts, one user a service, and an account and a user a node.
//!
//! Keys are made once and kept in one folder; tokens are signed anew at each start, so that the rights of a new
//! release come into force with it. The key of a node's account is derived, so that there is nothing to keep.

use crate::files::{self, FileError};
use berth_access_core::{
    AccountClaims, AccountLimits, SERVICES, Unsigned, UserClaims, account_claims, agent_permissions, exports,
    imports, operator_claims, service_permissions, user_claims,
};
use berth_ids::{ClusterId, NodeId, Timestamp};
use nkeys::{KeyPair, KeyPairType};
use sha2::{Digest as _, Sha256};
use std::path::{Path, PathBuf};

/// Name of the operator, and of the account in which all services are.
const ACCOUNT_NAME: &str = "berth";
/// Key of the operator, in the folder.
pub const OPERATOR_SEED: &str = "operator.seed";
/// Key of the account in which all services are.
pub const SERVICES_SEED: &str = "account-services.seed";
const SYSTEM_SEED: &str = "account-system.seed";
/// What keys of nodes' accounts are derived with, so that nothing else comes out the same.
const NODE_ACCOUNT_DOMAIN: &[u8] = b"berth account of a node\0";
/// Connections of a node: one, the next while the server still believes in the last, and some for people.
const MAX_NODE_CONNECTIONS: u32 = 8;
/// Subscriptions of a node: streams of output, questions under way, and what it always hears.
const MAX_NODE_SUBSCRIPTIONS: u32 = 1_024;
const SERVICES_LIMITS: AccountLimits = AccountLimits {
    jetstream: true,
    connections: None,
    subscriptions: None,
};
const SYSTEM_LIMITS: AccountLimits = AccountLimits {
    jetstream: false,
    connections: None,
    subscriptions: None,
};
const NODE_LIMITS: AccountLimits = AccountLimits {
    jetstream: false,
    connections: Some(MAX_NODE_CONNECTIONS),
    subscriptions: Some(MAX_NODE_SUBSCRIPTIONS),
};
/// The user of the system account, and its credentials file.
pub const SYSTEM_USER: &str = "system";

/// Why the bus has no keys.
#[derive(Debug, thiserror::Error)]
pub enum AuthError {
    /// A file could not be used.
    #[error(transparent)]
    File(#[from] FileError),
    /// A key could not be read or does not sign.
    #[error("could not use the bus key `{what}`")]
    Key {
        /// Which.
        what: String,
        /// Why.
        #[source]
        source: nkeys::error::Error,
    },
}

fn failed(what: &str) -> impl FnOnce(nkeys::error::Error) -> AuthError {
    let what = what.to_owned();
    move |source| AuthError::Key { what, source }
}

/// Signs accounts and users.
pub struct Signer {
    operator: KeyPair,
    services: KeyPair,
    services_seed: String,
}

impl Signer {
    /// From the seeds of the operator and of the services' account.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn from_seeds(operator: &str, services: &str) -> Result<Self, AuthError> {
        Ok(Self {
            operator: KeyPair::from_seed(operator).map_err(failed("operator"))?,
            services: KeyPair::from_seed(services).map_err(failed("services' account"))?,
            services_seed: services.to_owned(),
        })
    }

    /// Public key of the account in which services are.
    pub fn services_account(&self) -> String {
        self.services.public_key()
    }

    /// Public key of a node's account.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn node_account(&self, node: NodeId) -> Result<String, AuthError> {
        Ok(self.node_key(node)?.public_key())
    }

    /// Both parts have a fixed length: no two nodes give the same input.
    fn node_key(&self, node: NodeId) -> Result<KeyPair, AuthError> {
        let derived = Sha256::new()
            .chain_update(NODE_ACCOUNT_DOMAIN)
            .chain_update(self.services_seed.as_bytes())
            .chain_update(node.as_uuid().as_bytes())
            .finalize();
        KeyPair::new_from_raw(KeyPairType::Account, derived.into()).map_err(failed("node's account"))
    }

    /// The token of an agent's user; its inbox prefix is `_INBOX.<node>`.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn agent(
        &self,
        node: NodeId,
        cluster: ClusterId,
        user_key: &str,
        now: Timestamp,
    ) -> Result<String, AuthError> {
        let account = self.node_key(node)?;
        let unsigned = user_claims(&UserClaims {
            account: &account.public_key(),
            user: user_key,
            name: &node.to_string(),
            issued_at: now,
            permissions: Some(&agent_permissions(node, cluster)),
        });
        sign(unsigned, &account)
    }

    /// The token of the services' account, which offers what nodes import.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn services_token(&self, now: Timestamp) -> Result<String, AuthError> {
        let unsigned = account_claims(&AccountClaims {
            operator: &self.operator.public_key(),
            account: &self.services.public_key(),
            name: ACCOUNT_NAME,
            issued_at: now,
            limits: SERVICES_LIMITS,
            exports: &exports(),
            imports: None,
            revoked: None,
        });
        sign(unsigned, &self.operator)
    }

    /// The token of a node's account; one that is revoked has nothing and takes nobody.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn node_token(
        &self,
        node: NodeId,
        cluster: ClusterId,
        revoked: Option<Timestamp>,
        now: Timestamp,
    ) -> Result<String, AuthError> {
        let services = self.services.public_key();
        let shares = imports(node, cluster);
        let unsigned = account_claims(&AccountClaims {
            operator: &self.operator.public_key(),
            account: &self.node_account(node)?,
            name: &node.to_string(),
            issued_at: now,
            limits: NODE_LIMITS,
            exports: &[],
            imports: revoked
                .is_none()
                .then_some((services.as_str(), shares.as_slice())),
            revoked,
        });
        sign(unsigned, &self.operator)
    }
}

/// All keys and users of the bus, in one folder.
pub struct Bootstrap {
    folder: PathBuf,
    operator_seed: String,
    services_seed: String,
    config: String,
}

impl Bootstrap {
    /// Loads the keys of a folder, or makes them; signs every user anew.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn create_or_load(folder: &Path, now: Timestamp) -> Result<Self, AuthError> {
        files::make_folder(folder)?;
        let operator = key(&folder.join(OPERATOR_SEED), KeyPair::new_operator)?;
        let services = key(&folder.join(SERVICES_SEED), KeyPair::new_account)?;
        let system = key(&folder.join(SYSTEM_SEED), KeyPair::new_account)?;
        for service in SERVICES {
            user(folder, service, &services, true, now)?;
        }
        user(folder, SYSTEM_USER, &system, false, now)?;
        // By this the others know that a command has passed the gateway.
        let gateway = key(&folder.join("gateway.seed"), KeyPair::new_user)?;
        files::write(&folder.join("gateway.pub"), &gateway.public_key())?;
        let bootstrap = Self {
            folder: folder.to_owned(),
            operator_seed: operator.seed().map_err(failed("operator"))?,
            services_seed: services.seed().map_err(failed("services' account"))?,
            config: String::new(),
        };
        let config = bootstrap.render(&operator, &system, now)?;
        Ok(Self { config, ..bootstrap })
    }

    /// Lines for the server's configuration.
    pub fn nats_config(&self) -> &str {
        &self.config
    }

    /// The credentials file of a service, or of [`SYSTEM_USER`].
    pub fn credentials(&self, user: &str) -> PathBuf {
        self.folder.join(format!("{user}.creds"))
    }

    /// What access-svc signs agents' users with.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn signer(&self) -> Result<Signer, AuthError> {
        Signer::from_seeds(&self.operator_seed, &self.services_seed)
    }

    fn render(&self, operator: &KeyPair, system: &KeyPair, now: Timestamp) -> Result<String, AuthError> {
        let system_key = system.public_key();
        let operator_token = sign(
            operator_claims(&operator.public_key(), ACCOUNT_NAME, &system_key, now),
            operator,
        )?;
        let signer = self.signer()?;
        let services_token = signer.services_token(now)?;
        let system_token = sign(
            account_claims(&AccountClaims {
                operator: &operator.public_key(),
                account: &system_key,
                name: "system",
                issued_at: now,
                limits: SYSTEM_LIMITS,
                exports: &[],
                imports: None,
                revoked: None,
            }),
            operator,
        )?;
        let resolver = self.folder.join("resolver");
        files::make_folder(&resolver)?;
        Ok(format!(
            "operator: {operator_token}\nsystem_account: {system_key}\n\
             resolver: {{ type: full, dir: {:?}, allow_delete: false, interval: \"2m\" }}\n\
             resolver_preload: {{ {}: {services_token}, {system_key}: {system_token} }}\n",
            resolver.display().to_string(),
            signer.services_account(),
        ))
    }
}

fn key(path: &Path, make: fn() -> KeyPair) -> Result<KeyPair, AuthError> {
    let what = path.display().to_string();
    if let Some(seed) = files::read(path)? {
        return KeyPair::from_seed(seed.trim()).map_err(failed(&what));
    }
    let made = make();
    files::write(path, &made.seed().map_err(failed(&what))?)?;
    Ok(made)
}

/// Writes the credentials file of a user, with the key that it had.
fn user(
    folder: &Path,
    name: &str,
    account: &KeyPair,
    limited: bool,
    now: Timestamp,
) -> Result<(), AuthError> {
    let pair = key(&folder.join(format!("{name}.seed")), KeyPair::new_user)?;
    let permissions = limited.then(|| service_permissions(name));
    let unsigned = user_claims(&UserClaims {
        account: &account.public_key(),
        user: &pair.public_key(),
        name,
        issued_at: now,
        permissions: permissions.as_ref(),
    });
    let token = sign(unsigned, account)?;
    let seed = pair.seed().map_err(failed(name))?;
    files::write(
        &folder.join(format!("{name}.creds")),
        &credentials_text(&token, &seed),
    )?;
    Ok(())
}

/// A credentials file: token and seed, in the form that every client of NATS reads.
pub fn credentials_text(token: &str, seed: &str) -> String {
    format!(
        "-----BEGIN NATS USER JWT-----\n{token}\n------END NATS USER JWT------\n\n\
         -----BEGIN USER NKEY SEED-----\n{seed}\n------END USER NKEY SEED------\n"
    )
}

fn sign(unsigned: Unsigned, key: &KeyPair) -> Result<String, AuthError> {
    let signature = key.sign(unsigned.signing_input()).map_err(failed("signing"))?;
    Ok(unsigned.signed(&signature))
}
