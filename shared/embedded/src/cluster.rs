//! The data folder of Postgres: made, copied from an earlier one, checked.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use rand::RngExt as _;

use crate::account::Account;
use crate::binaries::PostgresBinaries;
use crate::error::{Error, io_error};
use crate::folder;
use crate::postgres::{Durability, PostgresOptions, SUPERUSER};

/// The file of the superuser's password, beside the data folder.
pub(crate) const PASSWORD: &str = "postgres.password";
const PASSWORD_BYTES: usize = 32;

/// Makes a data folder under another name and moves it into place when it is complete.
pub(crate) fn initialise(
    data: &Path,
    cluster: &Path,
    programs: &PostgresBinaries,
    account: &Account,
    options: &PostgresOptions,
) -> Result<(), Error> {
    let fresh = data.join("postgres.new");
    if fresh.exists() {
        fs::remove_dir_all(&fresh).map_err(io_error("remove the unfinished", &fresh))?;
    }
    let template = options.template_folder.as_ref().map(|folder| {
        // Files of another version or account are of no use.
        folder.join(format!("postgres-{}-{}", programs.major, account.uid))
    });
    match &template {
        Some(template) if template.is_dir() => take_template(template, data, &fresh)?,
        _ => {
            let password = run_initdb(data, &fresh, programs, account, options)?;
            if let Some(template) = &template {
                keep_template(template, &fresh, &password);
            }
        }
    }
    if let Some(database) = &options.database {
        create_database(&fresh, database, programs, account)?;
    }
    fs::rename(&fresh, cluster).map_err(io_error("put in place", cluster))
}

/// Runs initdb; the password of the superuser.
fn run_initdb(
    data: &Path,
    fresh: &Path,
    programs: &PostgresBinaries,
    account: &Account,
    options: &PostgresOptions,
) -> Result<String, Error> {
    account.private_folder(fresh)?;
    let mut bytes = [0_u8; PASSWORD_BYTES];
    rand::rng().fill(&mut bytes);
    let password: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
    folder::write_private(&data.join(PASSWORD), &password)?;
    let handed = data.join("postgres.password.initdb");
    folder::write_private(&handed, &password)?;
    account.own(&handed)?;
    let mut initdb = account.command(&programs.folder.join("initdb"));
    initdb.args([
        "--locale=C.UTF-8",
        "--encoding=UTF8",
        "--auth=scram-sha-256",
        "--data-checksums",
    ]);
    initdb
        .arg(format!("--username={SUPERUSER}"))
        .arg("--pwfile")
        .arg(&handed)
        .arg("-D")
        .arg(fresh);
    if options.durability == Durability::ProcessOnly {
        // Small files of the log: less to write and to copy.
        initdb.args(["--no-sync", "--wal-segsize=1"]);
    }
    let made = run(initdb, "initdb");
    let _ = fs::remove_file(&handed);
    made.map(|()| password)
}

/// Copies an earlier data folder and its password.
fn take_template(template: &Path, data: &Path, fresh: &Path) -> Result<(), Error> {
    let kept = template.join(PASSWORD);
    let password = fs::read_to_string(&kept).map_err(io_error("read", &kept))?;
    folder::write_private(&data.join(PASSWORD), &password)?;
    copy(&template.join("postgres"), fresh)
}

/// Keeps a data folder for the next. It is only a saving of time: a failure is told and forgotten.
fn keep_template(template: &Path, fresh: &Path, password: &str) {
    let mut unfinished = template.as_os_str().to_owned();
    unfinished.push(format!("-{}", std::process::id()));
    let unfinished = PathBuf::from(unfinished);
    let kept = fs::create_dir_all(&unfinished)
        .map_err(io_error("make the folder", &unfinished))
        .and_then(|()| copy(fresh, &unfinished.join("postgres")))
        .and_then(|()| folder::write_private(&unfinished.join(PASSWORD), password));
    if let Err(error) = kept {
        tracing::warn!("a template of Postgres could not be kept: {error}");
    }
    // Another process may have been faster; then there is one already.
    if fs::rename(&unfinished, template).is_err() {
        let _ = fs::remove_dir_all(&unfinished);
    }
}

fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    let mut command = Command::new("cp");
    command.args(["-a", "--reflink=auto", "--"]).arg(from).arg(to);
    run(command, "copying a data folder of Postgres")
}

/// Creates a database in a data folder on which no server runs.
fn create_database(
    cluster: &Path,
    name: &str,
    programs: &PostgresBinaries,
    account: &Account,
) -> Result<(), Error> {
    let mut single = account.command(&programs.folder.join("postgres"));
    single.arg("--single").arg("-D").arg(cluster).arg("postgres");
    let statement = format!("CREATE DATABASE \"{}\"\n", name.replace('"', "\"\""));
    let path = cluster.join("create-database.sql");
    folder::write_private(&path, &statement)?;
    single.stdin(fs::File::open(&path).map_err(io_error("open", &path))?);
    let made = run(single, "creating the first database");
    fs::remove_file(&path).map_err(io_error("remove", &path))?;
    made
}

fn run(mut command: Command, action: &str) -> Result<(), Error> {
    command.current_dir("/").env_clear().envs(plain_environment());
    let failed = |status: String, output: String| Error::Tool {
        action: action.to_owned(),
        status,
        output,
    };
    let output = command
        .output()
        .map_err(|error| failed(error.to_string(), format!("{command:?}")))?;
    if output.status.success() {
        return Ok(());
    }
    let text = [output.stdout, output.stderr].concat();
    Err(failed(
        output.status.to_string(),
        String::from_utf8_lossy(&text).into_owned(),
    ))
}

/// Nothing of our own environment, which may hold secrets, reaches a child.
pub(crate) fn plain_environment() -> Vec<(&'static str, String)> {
    let path = std::env::var("PATH").unwrap_or_else(|_| "/usr/sbin:/usr/bin:/sbin:/bin".into());
    vec![("PATH", path), ("LC_ALL", "C.UTF-8".into()), ("TZ", "UTC".into())]
}

/// Refuses data of another major version than the programs.
pub(crate) fn check_version(cluster: &Path, programs: &PostgresBinaries) -> Result<(), Error> {
    let path = cluster.join("PG_VERSION");
    let data = fs::read_to_string(&path)
        .map_err(io_error("read", &path))?
        .trim()
        .to_owned();
    if data == programs.major.to_string() {
        return Ok(());
    }
    Err(Error::DataVersion {
        folder: cluster.to_path_buf(),
        data,
        program: programs.folder.join("postgres"),
        binary: programs.major.to_string(),
    })
}
