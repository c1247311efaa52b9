//! Commands about applications and what runs of them.

// Help texts are read in a terminal, where `[HOST:]` is a part that may be left out, not a link.
#![allow(rustdoc::broken_intra_doc_links)]

use super::{
    CloneApp, DryRun, Export, Import, Method,
    parse::{duration, key_value, moment},
};
use berth_ids::Timestamp;
use clap::{Args, Subcommand};
use std::{path::PathBuf, time::Duration};

/// Variables that a Compose file is read with.
#[derive(Debug, Default, Args)]
pub struct Variables {
    /// Variable for `${…}` in the file; without a value: the shell's. May be given several times
    #[arg(short, long = "env", value_name = "KEY[=VALUE]")]
    pub env: Vec<String>,
    /// File of variables instead of the `.env` beside the Compose file
    #[arg(long, value_name = "FILE")]
    pub env_file: Option<PathBuf>,
    /// Compose file that is laid over the first. May be given several times
    #[arg(short, long = "file", value_name = "FILE")]
    pub file_over: Vec<PathBuf>,
    /// Take in services of this profile; `*` for all. May be given several times
    #[arg(long = "profile", value_name = "NAME")]
    pub profiles: Vec<String>,
}

/// Whether and how long to wait until an application runs.
#[derive(Debug, Default, Args)]
pub struct Wait {
    /// Wait until all containers run (and are healthy, where a check exists)
    #[arg(short, long)]
    pub wait: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "5m", value_parser = duration)]
    pub timeout: Duration,
}

/// What a deploy brings live, and how.
#[derive(Debug, Args)]
pub struct DeploySource {
    /// Compose file, or `-` for standard input
    #[arg(required_unless_present = "template")]
    pub file: Option<PathBuf>,
    /// Stored template in place of a file: NAME, or NAME@NUMBER for one of its versions; `-e` gives its values
    #[arg(long, value_name = "NAME", conflicts_with = "file")]
    pub template: Option<String>,
    /// Name of the application [default: `name:` of the file, else the folder's name]
    #[arg(long)]
    pub name: Option<String>,
    /// What the file is read with
    #[command(flatten)]
    pub variables: Variables,
    /// How it goes live
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    pub method: Method,
}

/// `berth deploy`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth deploy shop.yml --wait
  berth deploy shop.yml --name shop2 -e TAG=1.2 --cluster main
  berth deploy shop-2.yml --name shop --method blue-green
  berth deploy shop.yml --abandon-volume         start elsewhere what a lost node's volume holds
  cat shop.yml | berth deploy - --name shop
  berth app template shop | berth deploy -       values that the vault has are kept
  berth deploy --template wordpress -e PORT=80   from a stored template (`berth template ls`)")]
pub struct Deploy {
    /// What goes live, and how
    #[command(flatten)]
    pub what: DeploySource,
    /// Build nothing: take the images of services with `build` as their registry has them
    #[arg(long)]
    pub no_build: bool,
    /// Let containers that a local volume holds to a node start elsewhere, with an empty volume
    #[arg(long)]
    pub abandon_volume: bool,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth update`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth update shop shop.yml --wait")]
pub struct Update {
    /// Name or id; must exist
    pub app: String,
    /// Compose file, or `-` for standard input
    pub file: PathBuf,
    /// What the file is read with
    #[command(flatten)]
    pub variables: Variables,
    /// How it goes live
    #[arg(long, value_enum, default_value_t, value_name = "METHOD")]
    pub method: Method,
    /// Build nothing: take the images of services with `build` as their registry has them
    #[arg(long)]
    pub no_build: bool,
    /// Let containers that a local volume holds to a node start elsewhere, with an empty volume
    #[arg(long)]
    pub abandon_volume: bool,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth run`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth run nginx:1.27 -p 8080:80 --name web --replicas 2
  berth run busybox --name once -- sh -c 'echo hello; sleep 60'
  berth app template web                         print it as a Compose file")]
pub struct Run {
    /// Image
    pub image: String,
    /// Name of the application [default: the image's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Port to publish: [HOST:]CONTAINER[/udp]; may be given several times
    #[arg(short, long = "publish", value_name = "PORT")]
    pub ports: Vec<String>,
    /// Environment variable of the container; may be given several times
    #[arg(short, long = "env", value_name = "KEY=VALUE", value_parser = key_value)]
    pub env: Vec<(String, String)>,
    /// Wanted number of containers
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub replicas: u32,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
    /// Command in place of the image's
    #[arg(last = true, value_name = "CMD")]
    pub command: Vec<String>,
}

/// `berth app …`.
#[derive(Debug, Subcommand)]
pub enum AppCommand {
    /// List applications
    #[command(after_help = "EXAMPLES\n  berth app ls")]
    Ls,
    /// Show an application
    #[command(after_help = "EXAMPLES\n  berth app show shop")]
    Show(Target),
    /// Print an application as a Compose file
    #[command(after_help = "EXAMPLES\n  berth app template shop > shop.yml")]
    Template(Target),
    /// Remove an application
    Rm(Remove),
    /// Let go of the local volume that holds containers to a node; they start elsewhere with an empty one
    AbandonVolume(AbandonVolume),
    /// Write an application into a file, to be brought live elsewhere
    Export(Export),
    /// Bring an exported application live
    Import(Import),
    /// Bring the same application live once more, here or in another cluster; data in volumes is not copied
    Clone(CloneApp),
}

/// An application.
#[derive(Debug, Args)]
pub struct Target {
    /// Name or id
    pub app: String,
}

/// `berth app abandon-volume`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth app abandon-volume shop db --slot 1")]
pub struct AbandonVolume {
    /// Name or id
    pub app: String,
    /// Service
    pub service: String,
    /// Slot; may be given several times. None: all
    #[arg(long = "slot", value_name = "N")]
    pub slots: Vec<u32>,
}

/// `berth ps`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth ps\n  berth ps shop --all\n  berth ps -o json")]
pub struct Ps {
    /// Only this application, by name or id
    pub app: Option<String>,
    /// Ended containers too
    #[arg(short, long)]
    pub all: bool,
}

/// `berth scale`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth scale shop web 5
  berth scale shop web=5 worker=2 --wait
  berth scale shop web 5 --dry-run")]
pub struct Scale {
    /// Name or id
    pub app: String,
    /// SERVICE N, or SERVICE=N once or more
    #[arg(required = true, value_name = "SERVICE[=N]")]
    pub services: Vec<String>,
    /// Whether to do it
    #[command(flatten)]
    pub dry: DryRun,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth stop`, `berth start`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth stop shop\n  berth start shop --wait")]
pub struct StopStart {
    /// Name or id
    pub app: String,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth restart`.
#[derive(Debug, Args)]
#[command(
    after_help = "EXAMPLES\n  berth restart shop\n  berth restart shop web worker --wait\n  berth restart shop db --abandon-volume         give up its data on a node that is gone"
)]
pub struct Restart {
    /// Name or id
    pub app: String,
    /// Services; none: all
    pub services: Vec<String>,
    /// Let containers that a local volume holds to a node start elsewhere, with an empty volume
    #[arg(long)]
    pub abandon_volume: bool,
    /// Whether to do it
    #[command(flatten)]
    pub dry: DryRun,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth rm`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth rm shop\n  berth rm shop --volumes --wait")]
pub struct Remove {
    /// Name or id
    pub app: String,
    /// Its named volumes too
    #[arg(long)]
    pub volumes: bool,
    /// Whether to do it
    #[command(flatten)]
    pub dry: DryRun,
    /// Whether to wait
    #[command(flatten)]
    pub wait: Wait,
}

/// `berth why`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth why shop\n  berth why shop web\n  berth why shop_web_1")]
pub struct Why {
    /// Container or application, by name or id
    pub target: String,
    /// Only this service of the application
    pub service: Option<String>,
}

/// `berth inspect`.
#[derive(Debug, Args)]
#[command(
    after_help = "EXAMPLES\n  berth inspect shop\n  berth inspect shop_web_1\n  berth inspect n1 -o json"
)]
pub struct Inspect {
    /// Cluster, node, application, container, release, token or command, by name or id
    pub target: String,
}

/// `berth events`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth events --since 10m
  berth events --follow --app shop
  berth events --follow --type node.lost -o json")]
pub struct Events {
    /// Go on when the end is reached
    #[arg(short, long)]
    pub follow: bool,
    /// Only of this application, by name or id
    #[arg(long)]
    pub app: Option<String>,
    /// Only of this node, by name or id
    #[arg(long)]
    pub node: Option<String>,
    /// Only this type, such as `placement.decided`; may be given several times
    #[arg(long = "type", value_name = "TYPE")]
    pub types: Vec<String>,
    /// From this moment, or this long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// From the event after this position
    #[arg(long, value_name = "N", conflicts_with = "since")]
    pub after: Option<u64>,
    /// The newest so many, at most 500; with --since or --after: all
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub limit: u32,
}

/// `berth logs`.
#[derive(Debug, Clone, Args)]
#[command(after_help = "EXAMPLES
  berth logs shop_web_1 -f
  berth logs shop/web --tail 20 -t
  berth logs shop --since 10m")]
pub struct Logs {
    /// Container (name or id), APP/SERVICE, or APP
    pub target: String,
    /// Go on when the end is reached
    #[arg(short, long)]
    pub follow: bool,
    /// So many lines from the end [default: all]
    #[arg(long, short = 'n', value_name = "N")]
    pub tail: Option<u32>,
    /// From this moment, or this long ago
    #[arg(long, value_name = "TIME", value_parser = moment)]
    pub since: Option<Timestamp>,
    /// Put the engine's time before each line
    #[arg(short, long)]
    pub timestamps: bool,
}

/// `berth top`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES\n  berth top\n  berth top --once -o json")]
pub struct Top {
    /// Print once and end
    #[arg(long)]
    pub once: bool,
    /// Time between two looks
    #[arg(long, value_name = "TIME", default_value = "2s", value_parser = duration)]
    pub interval: Duration,
}
