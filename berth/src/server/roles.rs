//! How each service logs in to Postgres: generated passwords, kept as URLs in the data folder.

use super::folder::{Folder, read_json, write_json};
use crate::exit::{Failure, Outcome};
use berth_ledger_svc::Roles;
use sha2::{Digest as _, Sha256};
use sqlx::{
    PgPool,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use std::{collections::BTreeMap, str::FromStr as _, time::Duration};

/// Connections of one service.
const POOL_CONNECTIONS: u32 = 8;
/// The longest wait for a connection of the pool.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest time that a connection stays idle.
const IDLE_TIMEOUT: Duration = Duration::from_secs(300);
/// Environment variable with the URL of one service: `BERTH_DB_LEDGER`.
const ENV_PREFIX: &str = "BERTH_DB_";
/// Database of the platform.
pub const DATABASE: &str = "berth";

/// Database URLs by service.
pub type Urls = BTreeMap<String, String>;

/// Passwords of the services, made at the first start and kept.
///
/// # Errors
/// The file cannot be read or written.
pub fn ensure(folder: &Folder, url_of: &dyn Fn(&str, &str) -> String) -> Outcome<(Urls, Roles)> {
    let before: Urls = read_json(&folder.roles())?.unwrap_or_default();
    let mut passwords = BTreeMap::new();
    let mut urls = Urls::new();
    for service in berth_ledger_svc::SERVICES {
        let kept = before.get(*service).and_then(|url| password_of(url));
        let password = kept.unwrap_or_else(random_secret);
        urls.insert(
            (*service).to_owned(),
            url_of(&format!("berth_{service}"), &password),
        );
        passwords.insert((*service).to_owned(), password);
    }
    if urls != before {
        write_json(&folder.roles(), &urls)?;
    }
    Ok((urls, Roles { passwords }))
}

/// Database URLs that another process has made.
///
/// # Errors
/// The file cannot be read.
pub fn kept(folder: &Folder) -> Outcome<Urls> {
    Ok(read_json(&folder.roles())?.unwrap_or_default())
}

/// 256 random bits as hexadecimal digits: the hash of three UUIDs of version 4, which hold 366.
pub fn random_secret() -> String {
    let mut hash = Sha256::new();
    for _ in 0..3 {
        hash.update(uuid::Uuid::new_v4().as_bytes());
    }
    hex::encode(hash.finalize())
}

/// The password in a URL that [`ensure`] wrote: hexadecimal, so nothing is encoded in it.
fn password_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once("://")?;
    let (user, _) = rest.split_once('@')?;
    let (_, password) = user.split_once(':')?;
    (!password.is_empty() && password.chars().all(|c| c.is_ascii_hexdigit())).then(|| password.to_owned())
}

/// The URL of a role beside that of an administrator.
///
/// # Errors
/// The administrator's URL is none.
pub fn beside(admin: &str, role: &str, password: &str) -> String {
    let (scheme, rest) = admin.split_once("://").unwrap_or(("postgres", admin));
    let end = rest.find(['/', '?']).unwrap_or(rest.len());
    let (authority, path) = rest.split_at(end);
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{scheme}://{role}:{password}@{host}{path}")
}

/// A pool for a service: the environment's URL wins over the kept one.
///
/// # Errors
/// There is no URL for it.
pub fn pool(service: &str, urls: &Urls) -> Outcome<PgPool> {
    let variable = format!("{ENV_PREFIX}{}", service.to_uppercase());
    let url = std::env::var(&variable)
        .ok()
        .or_else(|| urls.get(service).cloned())
        .ok_or_else(|| {
            Failure::usage(format!(
                "it is not known how service `{service}` logs in to Postgres"
            ))
            .cure(format!(
                "give {variable}, or start the process with `ledger` on this data folder first"
            ))
        })?;
    open(&url, &format!("berth-{service}"))
}

/// A pool; connections are made when they are needed.
///
/// # Errors
/// The URL is none.
pub fn open(url: &str, name: &str) -> Outcome<PgPool> {
    let options = PgConnectOptions::from_str(url)
        .map_err(|error| Failure::usage(format!("a database URL is wrong: {error}")))?
        .application_name(name);
    Ok(PgPoolOptions::new()
        .max_connections(POOL_CONNECTIONS)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .idle_timeout(IDLE_TIMEOUT)
        .connect_lazy_with(options))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn passwords_are_kept_and_never_equal() {
        let place = tempfile::tempdir().unwrap();
        let folder = Folder::open(place.path()).unwrap();
        let url =
            |role: &str, password: &str| format!("postgres://{role}:{password}@localhost/berth?host=%2Fx");
        let (first, roles) = ensure(&folder, &url).unwrap();
        let (second, again) = ensure(&folder, &url).unwrap();
        assert_eq!(first, second);
        assert_eq!(roles.passwords, again.passwords);
        let different: std::collections::BTreeSet<_> = roles.passwords.values().collect();
        assert_eq!(different.len(), berth_ledger_svc::SERVICES.len());
        assert_eq!(kept(&folder).unwrap(), first);
    }

    #[test]
    fn a_roles_url_keeps_everything_but_the_login() {
        assert_eq!(
            beside(
                "postgres://admin:pw@db:5432/berth?sslmode=require",
                "berth_log",
                "x"
            ),
            "postgres://berth_log:x@db:5432/berth?sslmode=require"
        );
        assert_eq!(beside("postgres://db/berth", "r", "p"), "postgres://r:p@db/berth");
    }
}
