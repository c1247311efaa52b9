//! Makes the schema `es`, the roles and the services' own schemas. Safe at every start and by several at once.

use crate::error::LedgerError;
use sha2::{Digest, Sha256};
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection, PgPool, Row};
use std::{collections::BTreeMap, time::Duration};

/// The services that have a role `berth_<service>` and a schema `svc_<service>`.
pub const SERVICES: &[&str] = &[
    "ledger",
    "gateway",
    "cluster",
    "scheduler",
    "access",
    "lb",
    "log",
    "monitor",
];

/// All migrations of `es`, never changed once released.
const MIGRATIONS: &[(i32, &str)] = &[
    (1, include_str!("../schema.sql")),
    (2, include_str!("../schema-2.sql")),
];
/// Key of the advisory lock around the setup.
const SETUP_LOCK: i64 = 0x6265_7274_6801;
/// Roles belong to the whole server: two databases set up at once may collide, then it is tried again.
const SETUP_ATTEMPTS: u32 = 10;
const RETRY_DELAY: Duration = Duration::from_millis(100);
/// `duplicate_object`, `unique_violation`, `internal_error` ("tuple concurrently updated"), `duplicate_schema`.
const COLLISIONS: &[&str] = &["42710", "23505", "XX000", "42P06"];

/// Passwords of the services' roles.
#[derive(Clone, Default)]
pub struct Roles {
    /// Service → password. A service without one cannot log in.
    pub passwords: BTreeMap<String, String>,
}

impl std::fmt::Debug for Roles {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Roles")
            .field("services", &self.passwords.keys())
            .finish()
    }
}

/// Makes what is missing: roles, schemas, tables, rights; sets the passwords.
///
/// # Errors
/// [`LedgerError`] names the step.
pub async fn setup(admin: &PgPool, roles: &Roles) -> Result<(), LedgerError> {
    let mut connection = admin
        .acquire()
        .await
        .map_err(LedgerError::database("connect for the setup"))?;
    let mut attempt = 1;
    loop {
        let result = setup_once(&mut connection, roles).await;
        match result {
            Err(LedgerError::Database { source, action })
                if collided(&source) && attempt < SETUP_ATTEMPTS =>
            {
                tracing::debug!(action, attempt, "another setup runs on this server; trying again");
                attempt += 1;
                tokio::time::sleep(RETRY_DELAY).await;
            }
            other => return other,
        }
    }
}

fn collided(error: &sqlx::Error) -> bool {
    error
        .as_database_error()
        .and_then(sqlx::error::DatabaseError::code)
        .is_some_and(|code| COLLISIONS.contains(&&*code))
}

async fn setup_once(connection: &mut PgConnection, roles: &Roles) -> Result<(), LedgerError> {
    let mut tx = connection
        .begin()
        .await
        .map_err(LedgerError::database("begin the setup"))?;
    sqlx::query("select pg_advisory_xact_lock($1)")
        .bind(SETUP_LOCK)
        .execute(&mut *tx)
        .await
        .map_err(LedgerError::database("wait for another setup"))?;
    make_role(&mut tx, "es_owner").await?;
    make_role(&mut tx, "es_reader").await?;
    for service in SERVICES {
        let role = format!("berth_{service}");
        make_role(&mut tx, &role).await?;
        if let Some(password) = roles.passwords.get(*service) {
            set_password(&mut tx, &role, password).await?;
        }
        run(&mut tx, format!("grant es_reader to {role}")).await?;
    }
    run(
        &mut tx,
        "create schema if not exists es authorization es_owner".to_owned(),
    )
    .await?;
    migrate(&mut tx).await?;
    for service in SERVICES {
        own_schema(&mut tx, &format!("svc_{service}"), &format!("berth_{service}")).await?;
    }
    own_schema(&mut tx, "vault", "berth_access").await?;
    tx.commit()
        .await
        .map_err(LedgerError::database("commit the setup"))
}

/// Makes a role that cannot log in, and lets the one who runs the setup act for it.
async fn make_role(connection: &mut PgConnection, role: &str) -> Result<(), LedgerError> {
    let there = sqlx::query("select 1 from pg_roles where rolname = $1")
        .bind(role)
        .fetch_optional(&mut *connection)
        .await
        .map_err(LedgerError::database("look for a role"))?;
    if there.is_none() {
        run(connection, format!("create role {role} nologin")).await?;
    }
    let member = sqlx::query("select pg_has_role(current_user, $1, 'member') as member")
        .bind(role)
        .fetch_one(&mut *connection)
        .await
        .and_then(|row| row.try_get::<bool, _>("member"))
        .map_err(LedgerError::database("look at the members of a role"))?;
    if !member {
        run(connection, format!("grant {role} to current_user")).await?;
    }
    Ok(())
}

async fn set_password(connection: &mut PgConnection, role: &str, password: &str) -> Result<(), LedgerError> {
    let statement: String = sqlx::query_scalar("select format('alter role %I login password %L', $1, $2)")
        .bind(role)
        .bind(password)
        .fetch_one(&mut *connection)
        .await
        .map_err(LedgerError::database("quote a password"))?;
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .map_err(LedgerError::database("set the password of a role"))?;
    Ok(())
}

async fn own_schema(connection: &mut PgConnection, schema: &str, role: &str) -> Result<(), LedgerError> {
    run(
        connection,
        format!("create schema if not exists {schema} authorization {role}"),
    )
    .await
}

/// Runs a statement made of constants of this module only.
async fn run(connection: &mut PgConnection, statement: String) -> Result<(), LedgerError> {
    connection
        .execute(AssertSqlSafe(statement))
        .await
        .map_err(LedgerError::database("make a role or schema"))?;
    Ok(())
}

async fn migrate(connection: &mut PgConnection) -> Result<(), LedgerError> {
    run(connection, "set local role es_owner".to_owned()).await?;
    connection
        .execute(
            "create table if not exists es.migration(
               version int primary key, text_hash bytea not null, at timestamptz not null default now())",
        )
        .await
        .map_err(LedgerError::database("make the table of migrations"))?;
    for (version, text) in MIGRATIONS {
        let hash = Sha256::digest(text.as_bytes()).to_vec();
        let applied: Option<Vec<u8>> =
            sqlx::query_scalar("select text_hash from es.migration where version = $1")
                .bind(version)
                .fetch_optional(&mut *connection)
                .await
                .map_err(LedgerError::database("read the table of migrations"))?;
        match applied {
            Some(known) if known == hash => continue,
            Some(_) => return Err(LedgerError::Migration { version: *version }),
            None => {}
        }
        connection
            .execute(*text)
            .await
            .map_err(LedgerError::database("run a migration of schema es"))?;
        sqlx::query("insert into es.migration(version, text_hash) values ($1, $2)")
            .bind(version)
            .bind(hash)
            .execute(&mut *connection)
            .await
            .map_err(LedgerError::database("record a migration"))?;
    }
    run(connection, "reset role".to_owned()).await
}
