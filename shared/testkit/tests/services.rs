//! The servers of a test work, are separate, and leave nothing behind, not even after a kill.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_testkit::TestServices;
use sqlx::{Connection as _, Executor as _, PgConnection};

const PATIENCE: Duration = Duration::from_secs(10);
const POLL: Duration = Duration::from_millis(20);
/// Set in the process that is started to be killed.
const VICTIM: &str = "BERTH_TESTKIT_VICTIM";

/// Whether a process runs; one that waits to be reaped does not.
fn runs(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit(") ")
        .next()
        .is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

fn assert_ends(pid: u32) {
    let until = Instant::now() + PATIENCE;
    while runs(pid) {
        assert!(Instant::now() < until, "process {pid} is left");
        std::thread::sleep(POLL);
    }
}

#[tokio::test]
async fn databases_are_separate_and_nothing_is_left() {
    let services = TestServices::start().await.unwrap();
    let (one, two) = (
        services.fresh_database().await.unwrap(),
        services.fresh_database().await.unwrap(),
    );
    let mut connection = PgConnection::connect(&one).await.unwrap();
    connection
        .execute("create table only_here (n int)")
        .await
        .unwrap();
    connection.close().await.unwrap();
    let mut other = PgConnection::connect(&two).await.unwrap();
    assert!(other.execute("select * from only_here").await.is_err());
    let copy = services.copied_database("test_1").await.unwrap();
    let mut copied = PgConnection::connect(&copy).await.unwrap();
    copied.execute("select * from only_here").await.unwrap();
    let client = async_nats::connect(services.nats_url()).await.unwrap();
    async_nats::jetstream::new(client).query_account().await.unwrap();

    let (pids, folder) = (services.pids(), services.folder().to_path_buf());
    drop(services);
    assert!(!runs(pids.postgres.unwrap()) && !runs(pids.nats.unwrap()));
    assert!(!folder.exists());
}

/// Started by the test below in a process of its own; does nothing otherwise.
#[tokio::test]
async fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let services = TestServices::start().await.unwrap();
    let pids = services.pids();
    println!(
        "\nvictim {} {} {}",
        pids.postgres.unwrap(),
        pids.nats.unwrap(),
        services.folder().display()
    );
    tokio::time::sleep(PATIENCE * 6).await;
}

#[tokio::test]
async fn a_killed_test_leaves_no_servers_and_its_folder_goes_with_the_next() {
    let mut child = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "victim", "--nocapture"])
        .env(VICTIM, "1")
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap())
        .lines()
        .map_while(Result::ok);
    let line = lines.find(|line| line.starts_with("victim ")).unwrap();
    let words: Vec<&str> = line.split(' ').collect();
    let pids = [words[1].parse::<u32>().unwrap(), words[2].parse().unwrap()];
    let folder = PathBuf::from(words[3]);
    assert!(pids.iter().all(|pid| runs(*pid)) && folder.exists());
    child.kill().unwrap();
    child.wait().unwrap();
    pids.into_iter().for_each(assert_ends);
    let next = TestServices::start().await.unwrap();
    assert!(!Path::new(&folder).exists());
    drop(next);
}
