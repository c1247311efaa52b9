//! Real engines as nodes: containers run and answer, engines die and return, and nothing is left behind.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use berth_testkit::lab::{self, Lab};

const PATIENCE: Duration = Duration::from_secs(20);
const POLL: Duration = Duration::from_millis(50);
/// Set in the process that is started to be killed.
const VICTIM: &str = "BERTH_LAB_VICTIM";

/// Whether engines can run here; says why not.
fn possible(test: &str) -> bool {
    let missing = ["dockerd", "docker", "nsenter", "ip"]
        .into_iter()
        .find(|program| {
            !Command::new("sh")
                .args(["-c", &format!("command -v {program}")])
                .output()
                .unwrap()
                .status
                .success()
        });
    match (lab::is_root(), missing) {
        (true, None) => return true,
        (false, _) => println!("skipped {test}: it needs root"),
        (true, Some(program)) => println!("skipped {test}: `{program}` is not installed"),
    }
    false
}

fn eventually(what: &str, mut look: impl FnMut() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !look() {
        assert!(
            Instant::now() < until,
            "{what} did not happen within {PATIENCE:?}"
        );
        std::thread::sleep(POLL);
    }
}

/// What the web server of a node's container says, asked from a place in the lab.
/// (`nc`, because the static `wget` of Debian 12 crashes when it is given a time limit.)
fn page(mut from: Command, address: &str) -> String {
    let (ip, port) = address.split_once(':').unwrap();
    let mut asked = from
        .args(["nc", "-w", "2", ip, port])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    asked
        .stdin
        .take()
        .unwrap()
        .write_all(b"GET / HTTP/1.0\r\n\r\n")
        .unwrap();
    String::from_utf8_lossy(&asked.wait_with_output().unwrap().stdout).into_owned()
}

#[test]
fn two_nodes_serve_fail_and_vanish() {
    if !possible("two_nodes_serve_fail_and_vanish") {
        return;
    }
    let mut lab = Lab::start(2).unwrap();
    let ids: Vec<String> = lab
        .nodes()
        .iter()
        .map(|node| node.docker(&["info", "-f", "{{.ID}}"]).unwrap())
        .collect();
    assert_ne!(ids[0], ids[1], "engines have identities of their own");
    for node in lab.nodes() {
        node.import_busybox("berth-test/web:1").unwrap();
        node.docker(&[
            "run",
            "-d",
            "--stop-timeout",
            "1",
            "--name",
            "web",
            "-p",
            "8080:80",
            "berth-test/web:1",
        ])
        .unwrap();
    }
    // From the machine to node 1, and from node 1 to node 2.
    let address = |lab: &Lab, index: usize| format!("{}:8080", lab.nodes()[index].address());
    let (one, two) = (address(&lab, 0), address(&lab, 1));
    eventually("node 1 answers", || {
        page(Command::new("busybox"), &one).contains("berth test page")
    });
    eventually("node 2 answers node 1", || {
        page(lab.nodes()[0].command("busybox"), &two).contains("berth test page")
    });

    lab.nodes()[1].cut_link().unwrap();
    assert_eq!(page(lab.nodes()[0].command("busybox"), &two), "");
    lab.nodes()[1].join_link().unwrap();
    eventually("node 2 is back", || {
        page(lab.nodes()[0].command("busybox"), &two).contains("berth test page")
    });

    let node = lab.node(1).unwrap();
    let before = node.engine_pid().unwrap();
    node.kill_engine().unwrap();
    assert!(!node.engine_answers() && node.engine_pid().is_none());
    node.start_engine().unwrap();
    assert_ne!(node.engine_pid().unwrap(), before);
    node.docker(&["start", "web"]).unwrap();
    eventually("node 1 answers again", || {
        page(Command::new("busybox"), &one).contains("berth test page")
    });

    let mut sleeper = Command::new("sleep");
    sleeper.arg("300");
    let mut child = lab.nodes()[1].spawn_in("sleeper", &sleeper).unwrap();
    lab.node(2).unwrap().power_off();
    eventually("everything on node 2 ends", || {
        child.try_wait().unwrap().is_some()
    });
    assert_eq!(page(lab.nodes()[0].command("busybox"), &two), "");

    let (number, root) = (lab.number(), lab.root().to_path_buf());
    assert!(!lab.leftovers().is_empty());
    // A panic must clean as well: the lab is dropped while it unwinds.
    let panicked = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
        let _lab = lab;
        panic!("the test fails");
    }));
    assert!(panicked.is_err());
    assert_eq!(lab::leftovers(number), Vec::<String>::new());
    assert!(!root.exists());
}

#[test]
fn the_images_of_the_sample_run() {
    if !possible("the_images_of_the_sample_run") {
        return;
    }
    let lab = Lab::start(1).unwrap();
    let node = &lab.nodes()[0];
    let shop = concat!(env!("CARGO_MANIFEST_DIR"), "/../../samples/shop");
    let images = lab::image::samples(shop.as_ref()).unwrap();
    let names: Vec<&str> = images.iter().map(|image| image.name.as_str()).collect();
    assert_eq!(
        names,
        [
            "berth-samples/api:1",
            "berth-samples/web:1",
            "berth-samples/worker:1"
        ]
    );
    images
        .iter()
        .for_each(|image| lab::image::import(&node.docker_host(), image).unwrap());
    node.docker(&["network", "create", "shop"]).unwrap();
    let run = |name: &str, url: &str| {
        let url = format!("API_URL={url}");
        let image = format!("berth-samples/{name}:1");
        node.docker(&[
            "run",
            "-d",
            "--network",
            "shop",
            "--name",
            name,
            "-e",
            &url,
            &image,
        ])
        .unwrap()
    };
    run("api", "");
    run("web", "http://api:8080");
    run("worker", "http://api:8080");
    let shop = [
        "exec",
        "web",
        "wget",
        "-q",
        "-O",
        "-",
        "http://127.0.0.1/cgi-bin/shop",
    ];
    eventually("the shop shows the orders", || {
        node.docker(&shop).is_ok_and(|page| page.contains("\"open\":"))
    });
    eventually("the worker packs", || {
        node.docker(&["logs", "worker"])
            .unwrap()
            .contains("packed order 1; {")
    });
    let began = Instant::now();
    node.docker(&["stop", "api", "web", "worker"]).unwrap();
    assert!(began.elapsed() < Duration::from_secs(6), "they end when asked");
}

/// Started by the test below in a process of its own; does nothing otherwise.
#[test]
fn victim() {
    if std::env::var_os(VICTIM).is_none() {
        return;
    }
    let lab = Lab::start(1).unwrap();
    let node = &lab.nodes()[0];
    node.import_busybox("berth-test/web:1").unwrap();
    node.docker(&["run", "-d", "berth-test/web:1"]).unwrap();
    println!("\nvictim {}", lab.number());
    std::thread::sleep(PATIENCE * 3);
}

#[test]
fn what_a_killed_run_left_is_swept() {
    if !possible("what_a_killed_run_left_is_swept") {
        return;
    }
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
    let number: u8 = line["victim ".len()..].parse().unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    let left = lab::leftovers(number);
    assert!(left.iter().any(|what| what.starts_with("process")), "{left:?}");
    assert!(left.iter().any(|what| what.starts_with("bridge")), "{left:?}");
    // Another lab that starts at the same time may have swept it already.
    lab::sweep().unwrap();
    assert!(lab::leftovers(number).is_empty());
}

#[test]
fn a_kept_lab_stays_until_it_is_removed() {
    if !possible("a_kept_lab_stays_until_it_is_removed") {
        return;
    }
    let lab = Lab::start(1).unwrap();
    let host = lab.nodes()[0].docker_host();
    let number = lab.keep().unwrap();
    lab::sweep().unwrap();
    assert!(
        Command::new("docker")
            .args(["-H", &host, "ps"])
            .output()
            .unwrap()
            .status
            .success()
    );
    lab::remove(number).unwrap();
    assert!(lab::leftovers(number).is_empty());
    assert!(Lab::start(0).is_err());
}
