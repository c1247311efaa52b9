//! Keys and users of the bus: operator, accounts, one user a service, and the signing of agents' users.
//!
//! Everything is made once and kept in one folder; user tokens are signed anew at each start, so that the
//! rights of a new release come into force with it.

use crate::files::{self, FileError};
use berth_access_core::{
    AccountClaims, SERVICES, Unsigned, UserClaims, account_claims, agent_permissions, operator_claims,
    service_permissions, user_claims,
};
use berth_ids::{ClusterId, NodeId, Timestamp};
use nkeys::KeyPair;
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

/// Name of the account in which all services and agents are.
const ACCOUNT_NAME: &str = "berth";
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
    account: KeyPair,
}

impl Signer {
    /// From the seeds of operator and account.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn from_seeds(operator: &str, account: &str) -> Result<Self, AuthError> {
        Ok(Self {
            operator: KeyPair::from_seed(operator).map_err(failed("operator"))?,
            account: KeyPair::from_seed(account).map_err(failed("account"))?,
        })
    }

    /// Public key of the account in which services and agents are.
    pub fn account(&self) -> String {
        self.account.public_key()
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
        let unsigned = user_claims(&UserClaims {
            account: &self.account.public_key(),
            user: user_key,
            name: &node.to_string(),
            issued_at: now,
            permissions: Some(&agent_permissions(node, cluster)),
        });
        sign(unsigned, &self.account)
    }

    /// The account's token, which names the users that are refused.
    ///
    /// # Errors
    /// [`AuthError::Key`].
    pub fn account_token(
        &self,
        revoked: &BTreeMap<String, Timestamp>,
        now: Timestamp,
    ) -> Result<String, AuthError> {
        let unsigned = account_claims(&AccountClaims {
            operator: &self.operator.public_key(),
            account: &self.account.public_key(),
            name: ACCOUNT_NAME,
            issued_at: now,
            jetstream: true,
            revoked,
        });
        sign(unsigned, &self.operator)
    }
}

/// All keys and users of the bus, in one folder.
pub struct Bootstrap {
    folder: PathBuf,
    operator_seed: String,
    account_seed: String,
    config: String,
}

impl Bootstrap {
    /// Loads the keys of a folder, or makes them; signs every user anew.
    ///
    /// # Errors
    /// [`AuthError`].
    pub fn create_or_load(folder: &Path, now: Timestamp) -> Result<Self, AuthError> {
        files::make_folder(folder)?;
        let operator = key(&folder.join("operator.seed"), KeyPair::new_operator)?;
        let account = key(&folder.join("account.seed"), KeyPair::new_account)?;
        let system = key(&folder.join("system.seed"), KeyPair::new_account)?;
        for service in SERVICES {
            user(folder, service, &account, true, now)?;
        }
        user(folder, SYSTEM_USER, &system, false, now)?;
        let bootstrap = Self {
            folder: folder.to_owned(),
            operator_seed: operator.seed().map_err(failed("operator"))?,
            account_seed: account.seed().map_err(failed("account"))?,
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
        Signer::from_seeds(&self.operator_seed, &self.account_seed)
    }

    fn render(&self, operator: &KeyPair, system: &KeyPair, now: Timestamp) -> Result<String, AuthError> {
        let system_key = system.public_key();
        let operator_token = sign(
            operator_claims(&operator.public_key(), ACCOUNT_NAME, &system_key, now),
            operator,
        )?;
        let none = BTreeMap::new();
        let signer = self.signer()?;
        // Accounts are signed once: a newer token would undo revocations that the servers know.
        let account_token = kept(&self.folder.join("account.jwt"), || {
            signer.account_token(&none, now)
        })?;
        let system_token = kept(&self.folder.join("system.jwt"), || {
            let claims = account_claims(&AccountClaims {
                operator: &operator.public_key(),
                account: &system_key,
                name: "system",
                issued_at: now,
                jetstream: false,
                revoked: &none,
            });
            sign(claims, operator)
        })?;
        let resolver = self.folder.join("resolver");
        files::make_folder(&resolver)?;
        Ok(format!(
            "operator: {operator_token}\nsystem_account: {system_key}\n\
             resolver: {{ type: full, dir: {:?}, allow_delete: false, interval: \"2m\" }}\n\
             resolver_preload: {{ {}: {account_token}, {system_key}: {system_token} }}\n",
            resolver.display().to_string(),
            signer.account(),
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

fn kept(path: &Path, make: impl FnOnce() -> Result<String, AuthError>) -> Result<String, AuthError> {
    if let Some(token) = files::read(path)? {
        return Ok(token.trim().to_owned());
    }
    let token = make()?;
    files::write(path, &token)?;
    Ok(token)
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
