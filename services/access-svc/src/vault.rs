//! The vault: versions of secrets, enveloped. Each secret has a data key, wrapped by the master key.
//!
//! XChaCha20-Poly1305 with random nonces; what a box is for (tenant, scope, version) is authenticated with
//! it, so that a row moved elsewhere does not open. Deleting a data key destroys all versions for ever.

use crate::files::{self, FileError};
use berth_access_core::constant_time_eq;
use berth_ids::{ClusterId, SecretId};
use chacha20poly1305::{
    Key, KeyInit, XChaCha20Poly1305, XNonce,
    aead::{Aead, Generate, Payload},
};
use sqlx::{PgPool, Postgres, Transaction};
use std::{collections::BTreeMap, path::Path};
use zeroize::Zeroizing;

/// The largest version of a secret, as JSON, in bytes.
pub const MAX_SECRET_BYTES: usize = 256 * 1024;
const KEY_BYTES: usize = 32;
const NONCE_BYTES: usize = 24;

const SCHEMA: &[&str] = &[
    "create table if not exists vault.data_key (secret_id uuid primary key, wrapped bytea not null)",
    "create table if not exists vault.version (secret_id uuid not null references vault.data_key on delete \
     cascade, version bigint not null, tenant text not null, scope text not null, sealed bytea not null, \
     stored_at timestamptz not null default now(), actor text not null, primary key (secret_id, version))",
];

/// Values by name.
pub type Values = BTreeMap<String, String>;

/// Why the vault does not give or take.
#[derive(Debug, thiserror::Error)]
pub enum VaultError {
    /// The database does not answer or refuses.
    #[error("could not use the vault's tables")]
    Database(#[from] sqlx::Error),
    /// The master key could not be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// The master key's file does not hold one.
    #[error("`{0}` holds no master key: 64 hexadecimal digits")]
    MasterKey(String),
    /// A box does not open: another master key, or the row was changed.
    #[error("secret {secret}@{version} does not open: is this the master key with which it was stored?")]
    Closed {
        /// The secret.
        secret: SecretId,
        /// Its version.
        version: u64,
    },
    /// There is no such version.
    #[error("the vault has no secret {secret}@{version}")]
    Absent {
        /// The secret.
        secret: SecretId,
        /// Its version.
        version: u64,
    },
    /// Past [`MAX_SECRET_BYTES`].
    #[error("the values have {0} bytes, more than the limit of {MAX_SECRET_BYTES}")]
    TooLarge(usize),
}

/// The key that wraps data keys.
pub struct MasterKey(Zeroizing<[u8; KEY_BYTES]>);

impl MasterKey {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; KEY_BYTES]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Loads the key of a file, or makes one. Without it the vault is lost: back it up, apart from the database.
    ///
    /// # Errors
    /// [`VaultError`].
    pub fn create_or_load(path: &Path) -> Result<Self, VaultError> {
        let bad = || VaultError::MasterKey(path.display().to_string());
        if let Some(text) = files::read(path)? {
            let text = Zeroizing::new(text);
            let bytes = Zeroizing::new(hex::decode(text.trim()).map_err(|_| bad())?);
            let bytes = <[u8; KEY_BYTES]>::try_from(bytes.as_slice()).map_err(|_| bad())?;
            return Ok(Self::from_bytes(bytes));
        }
        let made: [u8; KEY_BYTES] = Key::generate().into();
        files::write(path, &Zeroizing::new(hex::encode(made)))?;
        Ok(Self::from_bytes(made))
    }

    fn cipher(&self) -> XChaCha20Poly1305 {
        XChaCha20Poly1305::new(&Key::from(*self.0))
    }
}

/// What is stored.
pub struct Store<'a> {
    /// The secret.
    pub secret: SecretId,
    /// Its cluster.
    pub cluster: ClusterId,
    /// Its tenant.
    pub tenant: &'a str,
    /// What it belongs to.
    pub scope: &'a str,
    /// The values.
    pub values: &'a Values,
    /// Who stores them.
    pub actor: &'a str,
}

/// The vault. Cheap to clone.
#[derive(Clone)]
pub struct Vault {
    db: PgPool,
    master: std::sync::Arc<MasterKey>,
}

impl Vault {
    /// Opens the vault in schema `vault`, making its tables at the first time.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub async fn open(db: PgPool, master: MasterKey) -> Result<Self, VaultError> {
        for statement in SCHEMA {
            if let Err(error) = sqlx::query(*statement).execute(&db).await {
                // Of two instances that start at once, one finds the other's table.
                let lost_race = error
                    .as_database_error()
                    .is_some_and(|error| error.is_unique_violation());
                if !lost_race {
                    return Err(error.into());
                }
            }
        }
        Ok(Self {
            db,
            master: std::sync::Arc::new(master),
        })
    }

    /// Stores values and answers their version: the newest if it has the same values, else a new one.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn put(&self, store: &Store<'_>) -> Result<u64, VaultError> {
        let plain = Zeroizing::new(serde_json::to_vec(store.values).unwrap_or_default());
        if plain.len() > MAX_SECRET_BYTES {
            return Err(VaultError::TooLarge(plain.len()));
        }
        let mut transaction = self.db.begin().await?;
        let key = self.data_key(&mut transaction, store.secret).await?;
        let newest: Option<(i64, Vec<u8>)> = sqlx::query_as(
            "select version, sealed from vault.version where secret_id = $1 order by version desc limit 1",
        )
        .bind(store.secret.as_uuid())
        .fetch_optional(&mut *transaction)
        .await?;
        let version = newest.as_ref().map_or(0, |(version, _)| version.unsigned_abs());
        if let Some((_, sealed)) = &newest {
            let label = label(store.tenant, store.scope, version);
            let known = open(&key, &label, sealed).ok_or(VaultError::Closed {
                secret: store.secret,
                version,
            })?;
            if constant_time_eq(&known, &plain) {
                return Ok(version);
            }
        }
        let version = version + 1;
        let closed = VaultError::Closed {
            secret: store.secret,
            version,
        };
        let sealed = seal(&key, &label(store.tenant, store.scope, version), &plain).ok_or(closed)?;
        sqlx::query(
            "insert into vault.version (secret_id, version, tenant, scope, sealed, actor) \
             values ($1, $2, $3, $4, $5, $6)",
        )
        .bind(store.secret.as_uuid())
        .bind(version.cast_signed())
        .bind(store.tenant)
        .bind(store.scope)
        .bind(sealed)
        .bind(store.actor)
        .execute(&mut *transaction)
        .await?;
        transaction.commit().await?;
        Ok(version)
    }

    /// The newest version of a secret with its values; none: it has no version.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn newest(&self, secret: SecretId) -> Result<Option<(u64, Values)>, VaultError> {
        let (newest,): (Option<i64>,) =
            sqlx::query_as("select max(version) from vault.version where secret_id = $1")
                .bind(secret.as_uuid())
                .fetch_one(&self.db)
                .await?;
        let Some(version) = newest.map(i64::unsigned_abs) else {
            return Ok(None);
        };
        Ok(Some((version, self.get(secret, version).await?)))
    }

    /// The values of a version.
    ///
    /// # Errors
    /// [`VaultError`].
    pub async fn get(&self, secret: SecretId, version: u64) -> Result<Values, VaultError> {
        let row: Option<(Vec<u8>, String, String, Vec<u8>)> = sqlx::query_as(
            "select k.wrapped, v.tenant, v.scope, v.sealed from vault.version v \
             join vault.data_key k using (secret_id) where v.secret_id = $1 and v.version = $2",
        )
        .bind(secret.as_uuid())
        .bind(version.cast_signed())
        .fetch_optional(&self.db)
        .await?;
        let (wrapped, tenant, scope, sealed) = row.ok_or(VaultError::Absent { secret, version })?;
        let closed = || VaultError::Closed { secret, version };
        let key = self.unwrap_key(secret, &wrapped).ok_or_else(closed)?;
        let plain = open(&key, &label(&tenant, &scope, version), &sealed).ok_or_else(closed)?;
        serde_json::from_slice(&plain).map_err(|_| closed())
    }

    /// Destroys all versions of a secret for ever; says whether there were any.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub async fn destroy(&self, secret: SecretId) -> Result<bool, VaultError> {
        let gone = sqlx::query("delete from vault.data_key where secret_id = $1")
            .bind(secret.as_uuid())
            .execute(&self.db)
            .await?;
        Ok(gone.rows_affected() > 0)
    }

    /// Takes destroyed keys out of the database's files too, where deleted rows stay until they are swept.
    ///
    /// # Errors
    /// [`VaultError::Database`].
    pub async fn sweep(&self) -> Result<(), VaultError> {
        for table in ["vacuum vault.data_key", "vacuum vault.version"] {
            sqlx::query(table).execute(&self.db).await?;
        }
        Ok(())
    }

    /// The data key of a secret, made at its first version. Holds the secret until the transaction ends.
    async fn data_key(
        &self,
        transaction: &mut Transaction<'_, Postgres>,
        secret: SecretId,
    ) -> Result<XChaCha20Poly1305, VaultError> {
        let closed = || VaultError::Closed { secret, version: 0 };
        let fresh = Key::generate();
        let wrapped = seal(&self.master.cipher(), secret.as_uuid().as_bytes(), &fresh).ok_or_else(closed)?;
        sqlx::query("insert into vault.data_key (secret_id, wrapped) values ($1, $2) on conflict do nothing")
            .bind(secret.as_uuid())
            .bind(wrapped)
            .execute(&mut **transaction)
            .await?;
        let (wrapped,): (Vec<u8>,) =
            sqlx::query_as("select wrapped from vault.data_key where secret_id = $1 for update")
                .bind(secret.as_uuid())
                .fetch_one(&mut **transaction)
                .await?;
        self.unwrap_key(secret, &wrapped).ok_or_else(closed)
    }

    fn unwrap_key(&self, secret: SecretId, wrapped: &[u8]) -> Option<XChaCha20Poly1305> {
        let plain = open(&self.master.cipher(), secret.as_uuid().as_bytes(), wrapped)?;
        XChaCha20Poly1305::new_from_slice(&plain).ok()
    }
}

/// What a box is for. Each part has its length before it, so that no two labels are the same.
fn label(tenant: &str, scope: &str, version: u64) -> Vec<u8> {
    let mut label = Vec::new();
    for part in [tenant.as_bytes(), scope.as_bytes(), &version.to_be_bytes()] {
        label.extend_from_slice(&(part.len() as u64).to_be_bytes());
        label.extend_from_slice(part);
    }
    label
}

fn seal(cipher: &XChaCha20Poly1305, label: &[u8], plain: &[u8]) -> Option<Vec<u8>> {
    let nonce = XNonce::generate();
    let payload = Payload {
        msg: plain,
        aad: label,
    };
    let sealed = cipher.encrypt(&nonce, payload).ok()?;
    Some([nonce.as_slice(), &sealed].concat())
}

fn open(cipher: &XChaCha20Poly1305, label: &[u8], sealed: &[u8]) -> Option<Zeroizing<Vec<u8>>> {
    let (nonce, sealed) = sealed.split_at_checked(NONCE_BYTES)?;
    let nonce = XNonce::try_from(nonce).ok()?;
    let payload = Payload {
        msg: sealed,
        aad: label,
    };
    cipher.decrypt(&nonce, payload).ok().map(Zeroizing::new)
}
