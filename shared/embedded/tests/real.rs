//! The embedded servers with the real programs: data kept, killed children back, nothing left behind.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use berth_embedded::{
    Binaries, Durability, Embedded, EmbeddedNats, EmbeddedOptions, EmbeddedPostgres, Error, NatsOptions,
    PostgresOptions,
};
use sqlx::{Connection as _, Executor as _, PgConnection};

/// How long a killed server may take to answer again.
const COMEBACK: Duration = Duration::from_secs(15);
const POLL: Duration = Duration::from_millis(20);

/// A folder that the account of Postgres can reach (temporary folders are closed to others).
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        use std::os::unix::fs::PermissionsExt as _;
        let path = std::env::temp_dir().join(format!("berth-embedded-{}-{name}", std::process::id()));
        std::fs::create_dir_all(&path).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn options(data: &Path) -> EmbeddedOptions {
    EmbeddedOptions {
        data: data.to_path_buf(),
        postgres: PostgresOptions {
            durability: Durability::ProcessOnly,
            database: Some("first".into()),
            ..PostgresOptions::default()
        },
        ..EmbeddedOptions::default()
    }
}

async fn query(url: &str, sql: &str) -> Result<i64, sqlx::Error> {
    let mut connection = PgConnection::connect(url).await?;
    let row: (i64,) = sqlx::query_as(sqlx::AssertSqlSafe(sql))
        .fetch_one(&mut connection)
        .await?;
    Ok(row.0)
}

async fn eventually<T, F: Future<Output = Option<T>>>(what: &str, mut look: impl FnMut() -> F) -> T {
    let until = Instant::now() + COMEBACK;
    loop {
        if let Some(found) = look().await {
            return found;
        }
        assert!(
            Instant::now() < until,
            "{what} did not happen within {COMEBACK:?}"
        );
        tokio::time::sleep(POLL).await;
    }
}

fn alive(pid: Option<u32>) -> bool {
    pid.is_some_and(|pid| Path::new(&format!("/proc/{pid}")).exists())
}

fn kill(pid: u32) {
    assert!(
        Command::new("kill")
            .arg("-9")
            .arg(pid.to_string())
            .status()
            .unwrap()
            .success()
    );
}

#[tokio::test]
async fn both_serve_keep_their_data_and_stop() {
    let folder = Folder::new("keep");
    let embedded = Embedded::start(options(&folder.0)).await.unwrap();
    let mut connection = PgConnection::connect(&embedded.postgres_url("first"))
        .await
        .unwrap();
    connection
        .execute("create table kept (n bigint); insert into kept values (7)")
        .await
        .unwrap();
    let client = async_nats::connect(embedded.nats_url()).await.unwrap();
    let stream = async_nats::jetstream::stream::Config {
        name: "KEPT".into(),
        subjects: vec!["kept".into()],
        first_sequence: Some(100),
        ..Default::default()
    };
    let jetstream = async_nats::jetstream::new(client);
    jetstream.create_stream(stream).await.unwrap();
    let ack = jetstream
        .publish("kept", "x".into())
        .await
        .unwrap()
        .await
        .unwrap();
    assert_eq!(ack.sequence, 100, "first_sequence is honoured");
    let pids = embedded.pids();
    embedded.stop().await.unwrap();
    assert!(!alive(pids.postgres) && !alive(pids.nats));
    assert_eq!(embedded.pids().postgres, None);
    drop(embedded);

    let again = Embedded::start(options(&folder.0)).await.unwrap();
    assert_eq!(
        query(&again.postgres_url("first"), "select n from kept")
            .await
            .unwrap(),
        7
    );
    let jetstream = async_nats::jetstream::new(async_nats::connect(again.nats_url()).await.unwrap());
    let mut stream = jetstream.get_stream("KEPT").await.unwrap();
    assert_eq!(stream.info().await.unwrap().state.last_sequence, 100);
    assert!(
        query(
            &again.postgres_url("postgres").replace("berth:", "berth:wrong"),
            "select 1::bigint"
        )
        .await
        .is_err()
    );
}

#[tokio::test]
async fn killed_children_come_back_at_the_same_address() {
    let folder = Folder::new("kill");
    let embedded = Embedded::start(options(&folder.0)).await.unwrap();
    let (postgres_url, nats_url) = (embedded.postgres_url("first"), embedded.nats_url());
    let mut connection = PgConnection::connect(&postgres_url).await.unwrap();
    connection
        .execute("create table kept (n bigint); insert into kept values (8)")
        .await
        .unwrap();
    let before = embedded.pids();
    kill(before.postgres.unwrap());
    kill(before.nats.unwrap());
    let found = eventually("Postgres back", || async {
        if embedded
            .pids()
            .postgres
            .is_none_or(|pid| Some(pid) == before.postgres)
        {
            return None;
        }
        query(&postgres_url, "select n from kept").await.ok()
    });
    assert_eq!(found.await, 8);
    eventually("NATS back", || async {
        if embedded.pids().nats.is_none_or(|pid| Some(pid) == before.nats) {
            return None;
        }
        async_nats::connect(&nats_url).await.ok()
    })
    .await;
    assert!(embedded.postgres().restarts() >= 1 && embedded.nats().restarts() >= 1);
}

#[tokio::test]
async fn a_second_server_on_the_folder_is_refused() {
    let folder = Folder::new("lock");
    let _embedded = Embedded::start(options(&folder.0)).await.unwrap();
    let error = Embedded::start(options(&folder.0)).await.map(|_| ()).unwrap_err();
    assert!(matches!(error, Error::Locked { .. }), "{error}");
    assert!(
        error.to_string().contains("choose another data folder"),
        "{error}"
    );
}

/// A server that was killed together with its children's parent-death signal lost leaves them running.
#[tokio::test]
async fn leftovers_of_a_crashed_server_are_ended_first() {
    let folder = Folder::new("stale");
    let first = Embedded::start(options(&folder.0)).await.unwrap();
    first.stop().await.unwrap();
    drop(first);
    let config = folder.0.canonicalize().unwrap().join("nats.conf");
    let binary = Binaries::default().find_nats_server().unwrap();
    let mut stray = Command::new(binary).arg("-c").arg(&config).spawn().unwrap();
    let again = Embedded::start(options(&folder.0)).await.unwrap();
    let ended = eventually("the stray ends", || {
        let ended = stray.try_wait().unwrap();
        async move { ended }
    });
    ended.await;
    async_nats::connect(again.nats_url()).await.unwrap();
}

#[tokio::test]
async fn nats_takes_new_users_and_refuses_a_faulty_configuration() {
    let folder = Folder::new("reload");
    let user = |name: &str| format!("authorization {{ users: [ {{ user: {name}, password: pw }} ] }}");
    let start = NatsOptions {
        extra: user("one"),
        ..NatsOptions::default()
    };
    let nats = EmbeddedNats::start_blocking(&folder.0, &Binaries::default(), &start).unwrap();
    let connect = async |name: &str| {
        let login = async_nats::ConnectOptions::with_user_and_password(name.into(), "pw".into());
        login.connect(nats.url()).await
    };
    connect("one").await.unwrap();
    assert!(connect("two").await.is_err());
    nats.reload_blocking(&user("two")).unwrap();
    connect("two").await.unwrap();
    assert!(connect("one").await.is_err());
    let error = nats
        .reload_blocking("authorization { users: [")
        .unwrap_err()
        .to_string();
    assert!(error.contains("goes on with the old one"), "{error}");
    connect("two").await.unwrap();
}

#[tokio::test]
async fn long_paths_get_a_short_socket_that_goes_again() {
    let folder = Folder::new("long");
    let data = folder.0.join("x".repeat(60)).join("y".repeat(60));
    let postgres =
        EmbeddedPostgres::start_blocking(&data, &Binaries::default(), &options(&data).postgres).unwrap();
    assert_eq!(
        query(&postgres.url("postgres"), "select 1::bigint")
            .await
            .unwrap(),
        1
    );
    let socket = postgres.socket_folder().to_path_buf();
    assert!(!socket.starts_with(&folder.0));
    drop(postgres);
    assert!(!socket.exists());
}

#[tokio::test]
async fn data_of_another_major_version_are_refused() {
    let folder = Folder::new("major");
    let postgres = options(&folder.0).postgres;
    drop(EmbeddedPostgres::start_blocking(&folder.0, &Binaries::default(), &postgres).unwrap());
    std::fs::write(folder.0.join("postgres/PG_VERSION"), "9\n").unwrap();
    let error = EmbeddedPostgres::start_blocking(&folder.0, &Binaries::default(), &postgres)
        .map(|_| ())
        .unwrap_err();
    assert!(error.to_string().contains("are of Postgres 9"), "{error}");
}
