//! Least right in Postgres, and planted secrets that must be found nowhere but in the container.

use anyhow::{Context, Result, bail, ensure};
use berth_e2e::{Form, IMAGE, Platform, SERVICES, on_engines, path, wait_for};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    path::Path,
    process::Command,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

/// The largest request of a trace exporter that is kept.
const MAX_TRACE_BYTES: usize = 16 * 1024 * 1024;
/// How long traces may take to come.
const TRACES: Duration = Duration::from_secs(15);

/// What Postgres says when a right is missing.
const DENIALS: &[&str] = &["permission denied", "must be owner", "must be superuser"];
/// The values, by the way on which they come in. None may be part of another.
const PLANTED: &[(&str, &str)] = &[
    ("environment", "plantedalpha7c1e"),
    ("env_file", "plantedbravo93d2"),
    ("interpolated from .env", "plantedcharlie5f0b"),
    ("a changed value", "planteddelta28aa"),
    ("berth run --env", "plantedecho61c4"),
    ("a secret's file", "plantedfoxtrot0d9b"),
    ("a secret's variable", "plantedgolf77f2"),
    ("a config's text", "plantedhotelc33e"),
];
/// A value that is marked public.
const PUBLIC: &str = "plantedpublicfe37";

/// A collector of traces that keeps what it is sent.
struct Collector {
    url: String,
    kept: Arc<Mutex<Vec<u8>>>,
}

impl Collector {
    fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let url = format!("http://{}", listener.local_addr()?);
        let kept = Arc::new(Mutex::new(Vec::new()));
        let sink = Arc::clone(&kept);
        // Ends with the test's process.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let sink = Arc::clone(&sink);
                std::thread::spawn(move || serve(stream, &sink).ok());
            }
        });
        Ok(Self { url, kept })
    }

    fn kept(&self) -> Vec<u8> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Answers each request of a connection with an empty success.
fn serve(mut stream: TcpStream, sink: &Mutex<Vec<u8>>) -> Result<()> {
    let mut buffer = Vec::new();
    let mut part = [0; 65_536];
    loop {
        let head = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let count = stream.read(&mut part)?;
            if count == 0 || buffer.len() > MAX_TRACE_BYTES {
                return Ok(());
            }
            buffer.extend_from_slice(&part[..count]);
        };
        let text = String::from_utf8_lossy(&buffer[..head]).to_lowercase();
        let length = text.lines().find_map(|line| line.strip_prefix("content-length:"));
        let length: usize = length.context("a length")?.trim().parse()?;
        ensure!(length < MAX_TRACE_BYTES && !text.contains("content-encoding"));
        while buffer.len() < head + length {
            let count = stream.read(&mut part)?;
            ensure!(count > 0, "the request was cut off");
            buffer.extend_from_slice(&part[..count]);
        }
        let body: Vec<u8> = buffer.drain(..head + length).collect();
        sink.lock().unwrap_or_else(PoisonError::into_inner).extend(body);
        stream.write_all(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n",
        )?;
    }
}

#[test]
fn what_is_stored_is_least_and_holds_no_secret() -> Result<()> {
    let collector = Collector::start()?;
    let environment = [
        ("BERTH_OTLP", collector.url.as_str()),
        ("BERTH_LOG_FORMAT", "json"),
    ];
    let platform = Platform::start_with(Form::One, 1, &environment)?;
    let database = Database::of(&platform)?;
    for service in SERVICES {
        each_role_keeps_to_its_own(&database, service).with_context(|| format!("role berth_{service}"))?;
    }
    plant(&platform)?;
    the_containers_have_the_values(&platform)?;
    wait_for("traces", TRACES, || {
        Ok((!collector.kept().is_empty()).then_some(()))
    })?;
    let places = [
        ("Postgres", database.everything()?),
        ("the command line", what_is_shown(&platform)?),
        ("traces", collector.kept()),
        ("the data folder", files_below(&platform.data())?),
        ("logs of the server", files_of(platform.folder(), "log")?),
        ("a node's agent", agents(&platform)?),
    ];
    let places = places.map(|(place, content)| (place, String::from_utf8_lossy(&content).into_owned()));
    for (place, content) in &places {
        ensure!(!content.is_empty(), "nothing of {place} was read");
        for (way, value) in PLANTED {
            if let Some(found) = around(content, value) {
                bail!("the value of {way} stands in {place}: …{found}…");
            }
        }
    }
    // The search finds what is there: a public value is in the log.
    ensure!(
        places
            .iter()
            .any(|(_, content)| around(content, PUBLIC).is_some()),
        "a public value is found nowhere: the search is blind"
    );
    Ok(())
}

/// Where the text stands, with what is around it.
fn around(content: &str, text: &str) -> Option<String> {
    let (before, after) = content.split_once(text)?;
    let before: String = before.chars().rev().take(120).collect();
    let before: String = before.chars().rev().collect();
    let after: String = after.chars().take(60).collect();
    Some(format!("{before}{text}{after}"))
}

/// Postgres, as each service logs in.
struct Database(BTreeMap<String, String>);

impl Database {
    fn of(platform: &Platform) -> Result<Self> {
        let text = std::fs::read(platform.data().join("roles.json"))?;
        Ok(Self(serde_json::from_slice(&text)?))
    }

    /// What came out, or what the server said.
    fn run(&self, service: &str, sql: &str) -> Result<std::result::Result<String, String>> {
        let url = self
            .0
            .get(service)
            .with_context(|| format!("a URL of {service}"))?;
        let output = Command::new("psql")
            .args([url, "-X", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-c", sql])
            .output()
            .context("run psql")?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(if output.status.success() {
            Ok(text(&output.stdout))
        } else {
            Err(text(&output.stderr))
        })
    }

    fn works(&self, service: &str, sql: &str) -> Result<String> {
        match self.run(service, sql)? {
            Ok(out) => Ok(out),
            Err(said) => bail!("`{sql}` is refused: {said}"),
        }
    }

    fn denied(&self, service: &str, sql: &str) -> Result<()> {
        match self.run(service, sql)? {
            Ok(out) => bail!("`{sql}` works: {out}"),
            Err(said) if DENIALS.iter().any(|word| said.contains(word)) => Ok(()),
            Err(said) => bail!("`{sql}` is refused, but not for want of a right: {said}"),
        }
    }

    /// All of these are denied; one session tries them, and what is not denied is named.
    fn all_denied(&self, service: &str, tried: &[String]) -> Result<()> {
        let url = self
            .0
            .get(service)
            .with_context(|| format!("a URL of {service}"))?;
        let mut command = Command::new("psql");
        command.args([url, "-X", "-A", "-t"]);
        for sql in tried {
            command.args(["-c", sql]);
        }
        let said = String::from_utf8_lossy(&command.output().context("run psql")?.stderr).into_owned();
        let denied = |line: &&str| line.contains("ERROR:") && DENIALS.iter().any(|word| line.contains(word));
        if said.lines().filter(denied).count() == tried.len() {
            return Ok(());
        }
        tried.iter().try_for_each(|sql| self.denied(service, sql))?;
        bail!("not all of {tried:?} are denied: {said}")
    }

    /// Every row of every table that some service may read, which is every table.
    fn everything(&self) -> Result<Vec<u8>> {
        let mut all = Vec::new();
        let mut read = std::collections::BTreeSet::new();
        let tables = "select format('%I.%I', n.nspname, c.relname) from pg_class c
            join pg_namespace n on n.oid = c.relnamespace
            where c.relkind in ('r', 'p', 'm') and not c.relispartition and n.nspname !~ '^(pg_|information_schema)'";
        let wanted: std::collections::BTreeSet<String> =
            self.works("ledger", tables)?.lines().map(str::to_owned).collect();
        for service in SERVICES {
            let mine = format!(
                "{tables} and has_schema_privilege(n.oid, 'usage') and has_table_privilege(c.oid, 'select')"
            );
            for table in self.works(service, &mine)?.lines() {
                if read.insert(table.to_owned()) {
                    all.extend(
                        self.works(service, &format!("select t::text from {table} t"))?
                            .into_bytes(),
                    );
                }
            }
        }
        let missed: Vec<_> = wanted.difference(&read).collect();
        ensure!(missed.is_empty(), "no service may read {missed:?}");
        Ok(all)
    }
}

fn each_role_keeps_to_its_own(database: &Database, service: &str) -> Result<()> {
    database.works(service, "select count(*) from es.event")?;
    let mut tried: Vec<String> = [
        "insert into es.event select * from es.event limit 1",
        "update es.event set type = 'x'",
        "delete from es.event",
        "truncate es.event",
        "drop table es.event",
        "alter table es.event disable trigger all",
        "update es.writer set last_pos = 0",
        "delete from es.stream_head",
        "create table es.mine(x int)",
        "create schema mine",
        "set role es_owner",
        "alter role berth_ledger superuser",
    ]
    .map(str::to_owned)
    .into();
    for other in SERVICES.iter().filter(|other| **other != service) {
        tried.push(format!("create table svc_{other}.mine(x int)"));
        tried.push(format!("set role berth_{other}"));
    }
    // Of each schema that is not the log's, a table that is there.
    let tables = "select distinct on (n.nspname) n.nspname || ' ' || c.relname from pg_class c
        join pg_namespace n on n.oid = c.relnamespace
        where c.relkind = 'r' and (n.nspname like 'svc!_%' escape '!' or n.nspname = 'vault')";
    let found = database.works(service, tables)?;
    ensure!(
        found.contains("vault ") && found.contains("svc_scheduler "),
        "schemas are {found}"
    );
    for line in found.lines() {
        let (schema, table) = line.split_once(' ').context("schema and table")?;
        let own = schema == format!("svc_{service}") || (schema == "vault" && service == "access");
        let sql = format!("select count(*) from {schema}.{table}");
        if own {
            database.works(service, &sql)?;
        } else {
            tried.push(sql);
        }
    }
    database.all_denied(service, &tried)?;
    if service != "ledger" {
        let append = "select p.oid::regprocedure from pg_proc p where p.proname = 'append_batch'";
        let function = database.works(service, append)?;
        let may = format!("select has_function_privilege('{}', 'execute')", function.trim());
        ensure!(
            database.works(service, &may)?.trim() == "f",
            "it may append to the log"
        );
    }
    Ok(())
}

fn plant(platform: &Platform) -> Result<()> {
    let value = |number: usize| PLANTED[number].1;
    platform.file("web.env", &format!("BRAVO={}\n", value(1)))?;
    platform.file("foxtrot.txt", value(5))?;
    let (golf, hotel) = (value(6), value(7));
    platform.file(".env", &format!("FROM_DOT_ENV={}\nGOLF={golf}\n", value(2)))?;
    let compose = |alpha: &str| {
        format!(
            "services:
  web:
    image: {IMAGE}
    env_file: [web.env]
    environment:
      ALPHA: {alpha}
      CHARLIE: ${{FROM_DOT_ENV}}
      SHOWN: {PUBLIC}
    x-berth-public: [SHOWN]
    secrets: [foxtrot, golf]
    configs: [hotel]
secrets:
  foxtrot: {{file: foxtrot.txt}}
  golf: {{environment: GOLF}}
configs:
  hotel: {{content: {hotel}}}
"
        )
    };
    platform.deploy("planted", &compose(value(0)))?;
    // A second release holds the old value's secret and the new one.
    platform.deploy("planted", &compose(value(3)))?;
    let echo = format!("ECHO={}", value(4));
    platform.berth(&["run", IMAGE, "--name", "ran", "--env", &echo, "--wait"])?;
    Ok(())
}

/// The values are in the containers, where they belong: in what the engine shows and in the process.
fn the_containers_have_the_values(platform: &Platform) -> Result<()> {
    let node = platform.lab.nodes().first().context("a node")?;
    let found = on_engines(platform)?;
    let named = |slot: &str| {
        let container = found.iter().find(|one| one.slot.starts_with(slot));
        container
            .map(|one| one.name.clone())
            .with_context(|| format!("{slot} among {found:?}"))
    };
    for (slot, values) in [("planted/", &[1, 2, 3][..]), ("ran/", &[4])] {
        let name = named(slot)?;
        let inside = node.docker(&["exec", &name, "env"])?;
        let shown: Value = serde_json::from_str(&node.docker(&["inspect", &name])?)?;
        let labels = shown[0]["Config"]["Labels"].to_string();
        for number in values {
            let (way, value) = PLANTED[*number];
            ensure!(inside.contains(value), "{way} is missing in {name}: {inside}");
            ensure!(
                shown[0]["Config"]["Env"].to_string().contains(value),
                "{way} in inspect"
            );
            ensure!(!labels.contains(value), "{way} stands in the labels of {name}");
        }
        if slot == "planted/" {
            let files = ["/run/secrets/foxtrot", "/run/secrets/golf", "/hotel"];
            let inside = node.docker(&["exec", &name, "cat", files[0], files[1], files[2]])?;
            for (way, value) in &PLANTED[5..] {
                ensure!(inside.contains(value), "{way} is missing in {name}: {inside}");
                ensure!(!shown.to_string().contains(value), "{way} in inspect");
            }
        }
    }
    Ok(())
}

/// All that the command line and the API tell of the application.
fn what_is_shown(platform: &Platform) -> Result<Vec<u8>> {
    let mut shown = String::new();
    for arguments in [
        &["events", "-o", "json"][..],
        &["app", "show", "planted", "-o", "json"],
        &["app", "show", "ran", "-o", "yaml"],
        &["app", "template", "planted"],
        &["app", "template", "ran"],
        &["inspect", "planted", "-o", "json"],
        &["inspect", "ran"],
        &["apps", "-o", "json"],
        &["ps", "-o", "json"],
        &["why", "planted", "web"],
        &["status", "-o", "json"],
    ] {
        shown += &platform.berth(arguments)?;
    }
    Ok(shown.into_bytes())
}

/// Everything that the agent keeps and says.
fn agents(platform: &Platform) -> Result<Vec<u8>> {
    let node = platform.lab.nodes().first().context("a node")?;
    let mut all = files_below(&node.folder().join("agent"))?;
    all.extend(std::fs::read(node.folder().join("agent.log"))?);
    Ok(all)
}

/// The files directly in a folder with this ending.
fn files_of(folder: &Path, ending: &str) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        let file = entry?.path();
        if file.extension().is_some_and(|found| found == ending) {
            all.extend(std::fs::read(&file).with_context(|| path(&file))?);
        }
    }
    Ok(all)
}

/// Every file below a folder: of Postgres tables, indexes and its own log of writes, of JetStream the messages.
fn files_below(folder: &Path) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    let mut open = vec![folder.to_owned()];
    while let Some(folder) = open.pop() {
        let Ok(entries) = std::fs::read_dir(&folder) else {
            continue; // It was removed meanwhile.
        };
        for entry in entries {
            let entry = entry?;
            let kind = entry.file_type()?;
            if kind.is_dir() {
                open.push(entry.path());
            } else if kind.is_file() {
                // Servers remove files as they go.
                all.extend(std::fs::read(entry.path()).unwrap_or_default());
            }
        }
    }
    Ok(all)
}
