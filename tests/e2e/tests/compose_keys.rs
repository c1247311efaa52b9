//! Every key of a Compose file that the platform promises, seen on the container that comes of it.

use anyhow::{Context, Result, ensure};
use berth_e2e::{Form, IMAGE, Platform, items, path, wait_for};
use serde_json::{Value, json};
use std::{fs, path::PathBuf, time::Duration};

/// How long a deploy of this file may take on a busy machine.
const DEPLOYED: &str = "40s";
const SETTLE: Duration = Duration::from_secs(30);

fn compose() -> String {
    format!(
        r#"name: keys
x-log: &log {{ driver: json-file, options: {{ max-size: 1m }} }}
x-common: &common {{ COMMON: "yes", OVER: anchor }}
services:
  full:
    image: {IMAGE}
    entrypoint: [/bin/sh, -c]
    command: ["trap 'exit 0' USR1; while :; do sleep 1; done"]
    environment:
      <<: *common
      OVER: own
      FROM: ${{FROM_DOTENV}}
      DEFAULTED: ${{UNSET:-fallback}}
      DOLLAR: $$x
    env_file: [app.env]
    ports: ["127.0.0.1:29190:90", "29191:91/udp"]
    expose: ["7000"]
    labels: {{ com.example.a: "1" }}
    restart: on-failure:3
    depends_on: [base]
    cpus: 0.5
    mem_limit: 64m
    user: "1000:1000"
    working_dir: /tmp
    hostname: myhost
    healthcheck: {{ test: "true", interval: 1s, timeout: 2s, retries: 4, start_period: 1s }}
    stop_signal: SIGUSR1
    stop_grace_period: 3s
    cap_add: [CHOWN]
    cap_drop: [MKNOD]
    read_only: true
    tmpfs: ["/run:size=1m"]
    ulimits: {{ nofile: {{ soft: 100, hard: 200 }} }}
    sysctls: {{ net.core.somaxconn: 256 }}
    extra_hosts: ["foo:1.2.3.4"]
    logging: *log
    volumes: ["data:/data:ro", "/srv:/srv:ro"]
    networks: {{ front: {{ aliases: [other] }}, back: {{}} }}
    init: true
    dns: [9.9.9.9]
    dns_search: example.org
    dns_opt: ["ndots:2"]
    shm_size: 32m
    oom_score_adj: 100
    pids_limit: 50
    memswap_limit: 96m
    group_add: ["100"]
    domainname: shop.test
    security_opt: ["no-new-privileges:true"]
    stdin_open: true
    use_api_socket: true
    deploy:
      placement: {{ constraints: ["node.labels.disk == ssd"] }}
      resources: {{ reservations: {{ memory: 32M }} }}
  base:
    image: {IMAGE}
    networks: [front]
  everywhere:
    image: {IMAGE}
    deploy: {{ mode: global }}
volumes: {{ data: {{}} }}
networks: {{ front: {{}}, back: {{ internal: true }} }}
"#
    )
}

fn project(platform: &Platform) -> Result<PathBuf> {
    let folder = platform.folder().join("project");
    fs::create_dir_all(&folder)?;
    fs::write(folder.join(".env"), "FROM_DOTENV=dotted\n")?;
    fs::write(folder.join("app.env"), "FILED=1\nOVER=file\n")?;
    let file = folder.join("compose.yml");
    fs::write(&file, compose())?;
    Ok(file)
}

#[test]
fn every_key_reaches_the_container() -> Result<()> {
    let platform = Platform::start(Form::One, 1)?;
    let file = path(&project(&platform)?);
    waits_for_a_label_and_heals(&platform, &file)?;
    holds_every_key(&inspect(&platform, "keys_full_1")?)?;
    starts_in_order_and_finds_names(&platform)?;
    keeps_named_warnings(&platform)?;
    the_template_changes_nothing(&platform)?;
    an_image_is_run_like_a_file(&platform)?;
    policies_name_the_place(&platform)
}

fn waits_for_a_label_and_heals(platform: &Platform, file: &str) -> Result<()> {
    platform.berth(&["deploy", file])?;
    wait_for("a pending service with its reason", SETTLE, || {
        let why = platform.berth(&["why", "keys", "full"])?;
        Ok(why.contains("no node has node.labels.disk==ssd").then_some(()))
    })?;
    platform.berth(&["node", "label", "n1", "disk=ssd"])?;
    platform.berth(&["deploy", file, "--wait", "--timeout", DEPLOYED])?;
    Ok(())
}

fn inspect(platform: &Platform, container: &str) -> Result<Value> {
    let node = platform.lab.nodes().first().context("a node")?;
    let all: Value = serde_json::from_str(&node.docker(&["inspect", container])?)?;
    all.get(0).cloned().context("one container")
}

fn holds_every_key(seen: &Value) -> Result<()> {
    let expected = [
        ("/Config/Entrypoint", json!(["/bin/sh", "-c"])),
        (
            "/Config/Cmd",
            json!(["trap 'exit 0' USR1; while :; do sleep 1; done"]),
        ),
        (
            "/Config/Env",
            json!([
                "COMMON=yes",
                "DEFAULTED=fallback",
                "DOLLAR=$x",
                "FILED=1",
                "FROM=dotted",
                "OVER=own",
                "PATH=/bin"
            ]),
        ),
        ("/Config/Labels/com.example.a", json!("1")),
        ("/Config/User", json!("1000:1000")),
        ("/Config/WorkingDir", json!("/tmp")),
        ("/Config/Hostname", json!("myhost")),
        ("/Config/StopSignal", json!("SIGUSR1")),
        ("/Config/StopTimeout", json!(3)),
        ("/Config/Healthcheck/Test", json!(["CMD-SHELL", "true"])),
        ("/Config/Healthcheck/Interval", json!(1_000_000_000)),
        ("/Config/Healthcheck/Retries", json!(4)),
        ("/State/Health/Status", json!("healthy")),
        ("/Config/ExposedPorts/7000~1tcp", json!({})),
        (
            "/HostConfig/PortBindings/90~1tcp",
            json!([{ "HostIp": "127.0.0.1", "HostPort": "29190" }]),
        ),
        ("/HostConfig/PortBindings/91~1udp/0/HostPort", json!("29191")),
        ("/HostConfig/RestartPolicy/Name", json!("")),
        ("/HostConfig/NanoCpus", json!(500_000_000)),
        ("/HostConfig/Memory", json!(64 << 20)),
        ("/HostConfig/MemoryReservation", json!(32 << 20)),
        ("/HostConfig/CapAdd", json!(["CHOWN"])),
        ("/HostConfig/CapDrop", json!(["MKNOD"])),
        ("/HostConfig/ReadonlyRootfs", json!(true)),
        (
            "/HostConfig/Ulimits/0",
            json!({ "Name": "nofile", "Soft": 100, "Hard": 200 }),
        ),
        ("/HostConfig/Init", json!(true)),
        ("/HostConfig/Dns", json!(["9.9.9.9"])),
        ("/HostConfig/DnsSearch", json!(["example.org"])),
        ("/HostConfig/DnsOptions", json!(["ndots:2"])),
        ("/HostConfig/ShmSize", json!(32 << 20)),
        ("/HostConfig/OomScoreAdj", json!(100)),
        ("/HostConfig/PidsLimit", json!(50)),
        ("/HostConfig/MemorySwap", json!(96 << 20)),
        ("/HostConfig/GroupAdd", json!(["100"])),
        ("/HostConfig/SecurityOpt", json!(["no-new-privileges:true"])),
        ("/Config/Domainname", json!("shop.test")),
        ("/Config/OpenStdin", json!(true)),
        ("/HostConfig/Sysctls", json!({ "net.core.somaxconn": "256" })),
        ("/HostConfig/ExtraHosts", json!(["foo:1.2.3.4"])),
        (
            "/HostConfig/LogConfig",
            json!({ "Type": "json-file", "Config": { "max-size": "1m" } }),
        ),
    ];
    for (pointer, value) in expected {
        let found = seen.pointer(pointer);
        ensure!(found == Some(&value), "{pointer} is {found:?}, not {value}");
    }
    let mounts = seen["Mounts"].as_array().context("mounts")?;
    let mount = |target: &str| mounts.iter().find(|mount| mount["Destination"] == target);
    let data = mount("/data").context("the volume")?;
    ensure!(data["Name"] == "keys_data" && data["RW"] == false, "{data}");
    let srv = mount("/srv").context("the bind")?;
    ensure!(
        srv["Type"] == "bind" && srv["Source"] == "/srv" && srv["RW"] == false,
        "{srv}"
    );
    ensure!(
        mount("/run").is_some_and(|run| run["Type"] == "tmpfs"),
        "no tmpfs"
    );
    let networks = seen["NetworkSettings"]["Networks"]
        .as_object()
        .context("networks")?;
    ensure!(
        networks.keys().eq(["keys_back", "keys_front"]),
        "{:?}",
        networks.keys()
    );
    Ok(())
}

fn starts_in_order_and_finds_names(platform: &Platform) -> Result<()> {
    let started = |name: &str| -> Result<String> {
        let at = inspect(platform, name)?["State"]["StartedAt"].clone();
        Ok(at.as_str().context("a moment")?.to_owned())
    };
    let (base, full) = (started("keys_base_1")?, started("keys_full_1")?);
    ensure!(base < full, "full began at {full}, before base at {base}");
    let node = platform.lab.nodes().first().context("a node")?;
    for name in ["full", "other"] {
        node.docker(&["exec", "keys_base_1", "ping", "-c", "1", "-W", "2", name])?;
    }
    let shown = items(&platform.json(&["ps", "keys"])?);
    let everywhere = shown.iter().filter(|row| row["service"] == "everywhere").count();
    ensure!(everywhere == 1, "global mode runs {everywhere} times on one node");
    Ok(())
}

fn keeps_named_warnings(platform: &Platform) -> Result<()> {
    let shown = platform.json(&["app", "show", "keys"])?.to_string();
    ensure!(
        shown.contains("use_api_socket"),
        "the warning is not stored: {shown}"
    );
    Ok(())
}

fn the_template_changes_nothing(platform: &Platform) -> Result<()> {
    let template = platform.file("template.yml", &platform.berth(&["app", "template", "keys"])?)?;
    let template = path(&template);
    let id = |platform: &Platform| -> Result<Value> { Ok(inspect(platform, "keys_full_1")?["Id"].clone()) };
    let before = id(platform)?;
    let values = [
        "COMMON=yes",
        "DEFAULTED=fallback",
        "DOLLAR=$x",
        "FILED=1",
        "FROM=dotted",
        "OVER=own",
    ];
    let mut arguments = vec!["deploy", template.as_str(), "--wait", "--timeout", DEPLOYED];
    arguments.extend(values.iter().flat_map(|value| ["-e", *value]));
    let said = platform.try_berth(&arguments)?;
    let said = format!("{}{}", text(&said.stdout), text(&said.stderr));
    ensure!(said.contains("nothing has changed"), "{said}");
    ensure!(id(platform)? == before, "the template replaced a container");
    Ok(())
}

fn an_image_is_run_like_a_file(platform: &Platform) -> Result<()> {
    let run = [
        "run",
        IMAGE,
        "--name",
        "one",
        "-p",
        "29200:80",
        "-e",
        "A=b",
        "--wait",
        "--timeout",
        DEPLOYED,
    ];
    platform.berth(&run)?;
    let service = &platform.json(&["app", "show", "one"])?["services"][0]["name"];
    let service = service.as_str().context("the service's name")?;
    let file = format!(
        "services:\n  {service}:\n    image: {IMAGE}\n    environment: {{ A: b }}\n    ports: [\"29200:80\"]\n"
    );
    let file = path(&platform.file("one.yml", &file)?);
    let said = text(&platform.try_berth(&["deploy", &file, "--name", "one"])?.stderr);
    let shown = platform.berth(&["app", "show", "one"])?;
    ensure!(
        !shown.contains("superseded"),
        "the file differs from the image's run: {said}{shown}"
    );
    Ok(())
}

fn policies_name_the_place(platform: &Platform) -> Result<()> {
    let text_of = |key: &str| format!("services:\n  a:\n    image: {IMAGE}\n    {key}\n");
    let refuses = |key: &str, rule: &str| -> Result<()> {
        let file = path(&platform.file("rule.yml", &text_of(key))?);
        let output = platform.try_berth(&["deploy", &file, "--name", "rule"])?;
        let said = text(&output.stderr);
        ensure!(
            output.status.code() == Some(4),
            "{key}: {:?}: {said}",
            output.status
        );
        for part in ["rule.yml:4:", rule, "administrator"] {
            ensure!(said.contains(part), "{key}: no `{part}` in {said}");
        }
        Ok(())
    };
    refuses("privileged: true", "privileged")?;
    refuses("network_mode: host", "host_network")?;
    refuses("pid: host", "host_namespace")?;
    refuses("volumes: [\"/var/run/docker.sock:/s\"]", "engine_socket")?;
    refuses("volumes: [\"/etc:/e\"]", "system_path")?;
    platform.berth(&["cluster", "set", "main", "--policy", "restricted"])?;
    refuses("volumes: [\"/srv:/e\"]", "host_path")?;
    ensure!(
        items(&platform.json(&["apps"])?).len() == 2,
        "a refused deploy left an application"
    );
    platform.berth(&["cluster", "set", "main", "--policy", "open"])?;
    let file = path(&platform.file("rule.yml", &text_of("network_mode: host"))?);
    platform.berth(&["deploy", &file, "--name", "rule", "--wait", "--timeout", DEPLOYED])?;
    let mode = inspect(platform, "rule_a_1")?["HostConfig"]["NetworkMode"].clone();
    ensure!(mode == "host", "the network mode is {mode}");
    Ok(())
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}
