//! `berth server`, `berth config` and `berth agent`.

use super::parse::{key_value, resource};
use clap::{Args, Subcommand};
use std::path::PathBuf;

/// `berth server`. Values are texts here: the configuration checks all of them at once.
#[derive(Debug, Default, Args)]
#[command(after_help = "\
EXAMPLES
  berth server                                        everything, data in /var/lib/berth
  berth server --data ./data --listen 127.0.0.1:7443  for a try-out
  berth server --embedded-only --data /srv/berth      only NATS and Postgres
  berth server --only scheduler --data /srv/berth     one service beside it
  BERTH_HTTP=off berth server --config berth.toml     from file and environment

Settings come from the file, then from the environment (BERTH_LISTEN and so on), then from options;
`berth config show` prints them with their origin.")]
pub struct ServerArgs {
    /// Settings
    #[command(flatten)]
    pub settings: SettingArgs,
}

/// Settings of a server, as texts. Options win over the environment, the environment over the file.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Settings")]
pub struct SettingArgs {
    /// Configuration file [default: berth.toml in the data folder, if there]
    #[arg(long, value_name = "FILE", env = "BERTH_SERVER_CONFIG")]
    pub config: Option<PathBuf>,
    /// Folder of all data [default: /var/lib/berth]
    #[arg(long, value_name = "DIR")]
    pub data: Option<String>,
    /// Where the API listens with TLS [default: 0.0.0.0:7443]
    #[arg(long, value_name = "ADDRESS")]
    pub listen: Option<String>,
    /// Where the API listens without TLS, loopback only; `off` for nowhere [default: 127.0.0.1:7080]
    #[arg(long, value_name = "ADDRESS")]
    pub http: Option<String>,
    /// Where the own NATS listens for agents and services, with TLS [default: 0.0.0.0:7422]
    #[arg(long, value_name = "ADDRESS")]
    pub nats: Option<String>,
    /// Names and addresses under which others reach this server [default: host name and addresses]
    #[arg(long, value_name = "HOST,…")]
    pub advertise: Option<String>,
    /// Where /metrics and /health are served; `off` for nowhere [default: 127.0.0.1:9464]
    #[arg(long, value_name = "ADDRESS")]
    pub metrics: Option<String>,
    /// Run only these services: ledger, gateway, cluster, scheduler, access, lb, log, monitor
    #[arg(long, value_name = "SERVICE,…", conflicts_with = "embedded_only")]
    pub only: Option<String>,
    /// Run only NATS and Postgres; services run in other processes on the same data folder
    #[arg(long)]
    pub embedded_only: bool,
    /// Wait for another process that runs NATS and Postgres of the data folder, never start them; so do all
    /// with --only but without the ledger
    #[arg(long)]
    pub attach: bool,
    /// Administrator's URL of a Postgres to use instead of an own one
    #[arg(long, value_name = "URL")]
    pub postgres_url: Option<String>,
    /// URL of a NATS to use instead of an own one
    #[arg(long, value_name = "URL")]
    pub nats_url: Option<String>,
    /// Folder of the services' bus credentials [default: creds in the data folder]
    #[arg(long, value_name = "DIR")]
    pub creds_dir: Option<String>,
    /// OTLP/HTTP collector for traces, such as http://127.0.0.1:4318
    #[arg(long, value_name = "URL")]
    pub otlp: Option<String>,
    /// How log lines are written: json or text [default: text]
    #[arg(long, value_name = "FORMAT")]
    pub log_format: Option<String>,
    /// How long services may take to end [default: 20s]
    #[arg(long, value_name = "TIME")]
    pub stop_timeout: Option<String>,
}

/// `berth config`.
#[derive(Debug, Args)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "EXAMPLES
  berth config shop.yml
  berth config shop.yml -f shop.test.yml --profile debug -o json
  berth config show --data ./data                settings of `berth server`"
)]
pub struct ConfigArgs {
    /// What else to print
    #[command(subcommand)]
    pub command: Option<ConfigCommand>,
    /// Compose file, or `-` for standard input; further ones are laid over it
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// What it is read with
    #[command(flatten)]
    pub variables: super::application::Variables,
}

/// `berth config …`.
#[derive(Debug, Subcommand)]
pub enum ConfigCommand {
    /// Print all settings with their origin, without secrets
    #[command(after_help = "EXAMPLES\n  berth config show\n  berth config show --data ./data -o json")]
    Show(Box<SettingArgs>),
}

/// `berth agent …`.
#[derive(Debug, Subcommand)]
pub enum AgentCommand {
    /// Make this server a node of a cluster, and run the agent
    Join(Box<AgentJoin>),
    /// Run the agent of a server that has joined
    Run(AgentRun),
}

/// Where an agent keeps its data and finds its engine.
#[derive(Debug, Clone, Args)]
pub struct AgentPlace {
    /// Folder of the agent's data
    #[arg(
        long,
        value_name = "DIR",
        default_value = "/var/lib/berth-agent",
        env = "BERTH_AGENT_DATA"
    )]
    pub data: PathBuf,
    /// Address of the engine [default: that of the join, else unix:///var/run/docker.sock]
    #[arg(long, value_name = "URL", env = "DOCKER_HOST")]
    pub docker_host: Option<String>,
}

/// `berth agent join`.
#[derive(Debug, Args)]
#[command(after_help = "EXAMPLES
  berth agent join https://berth.example:7443 --token-file /run/token
  cat token | berth agent join https://berth.example:7443 -
  BERTH_TOKEN=… berth agent join https://berth.example:7443
  berth agent join https://berth.example:7443 TOKEN    others on this server can read it while it joins
  berth agent join https://10.0.0.1:7443 TOKEN --name n1 --zone a --label disk=ssd
  berth agent join https://10.0.0.1:7443 TOKEN --no-run && systemctl start berth-agent")]
pub struct AgentJoin {
    /// Address of the platform
    #[arg(value_name = "URL")]
    pub platform: String,
    /// Join token, which pins the platform's CA; `-` reads it from standard input [default: BERTH_TOKEN].
    /// Given here, every user of this server sees it in the list of processes
    #[arg(value_name = "TOKEN")]
    pub join_token: Option<String>,
    /// File with the join token
    #[arg(long, value_name = "FILE", conflicts_with = "join_token")]
    pub token_file: Option<PathBuf>,
    /// Where
    #[command(flatten)]
    pub place: AgentPlace,
    /// Name of the node [default: the host name]
    #[arg(long)]
    pub name: Option<String>,
    /// Zone
    #[arg(long)]
    pub zone: Option<String>,
    /// Label; may be given several times
    #[arg(long = "label", value_name = "KEY=VALUE", value_parser = key_value)]
    pub labels: Vec<(String, String)>,
    /// Countable resource of the server, such as gpu=2; may be given several times
    #[arg(long = "resource", value_name = "KIND=COUNT", value_parser = resource)]
    pub resources: Vec<(String, u64)>,
    /// Address by which other nodes reach it [default: the one that leads to the platform]
    #[arg(long)]
    pub address: Option<String>,
    /// Only join; run it later by `berth agent run`
    #[arg(long)]
    pub no_run: bool,
    /// How log lines and traces are written
    #[command(flatten)]
    pub telemetry: AgentTelemetry,
}

/// `berth agent run`.
#[derive(Debug, Args)]
#[command(
    after_help = "EXAMPLES\n  berth agent run\n  berth agent run --data /srv/agent --docker-host unix:///run/docker.sock"
)]
pub struct AgentRun {
    /// Where
    #[command(flatten)]
    pub place: AgentPlace,
    /// How log lines and traces are written
    #[command(flatten)]
    pub telemetry: AgentTelemetry,
}

/// Logs and traces of an agent.
#[derive(Debug, Clone, Args)]
pub struct AgentTelemetry {
    /// OTLP/HTTP collector for traces
    #[arg(long, value_name = "URL", env = "BERTH_OTLP")]
    pub otlp: Option<String>,
    /// How log lines are written: json or text
    #[arg(long, value_name = "FORMAT", default_value = "text", env = "BERTH_LOG_FORMAT", value_parser = ["json", "text"])]
    pub log_format: String,
}
