//! The command line: every command, option and example. Nothing here does anything.

mod application;
mod build;
mod cluster;
mod local;
mod node;
mod parse;
mod plan;
mod portable;
mod registry;
mod release;
mod server;
mod template;
mod token;

pub use application::{
    AbandonVolume, AppCommand, Deploy, DeploySource, Events, Inspect, Logs, Ps, Remove, Restart, Run, Scale,
    StopStart, Top, Update, Variables, Wait, Why,
};
pub use build::BuildArgs;
pub use cluster::{ClusterCommand, CreateCluster, SetCluster};
pub use local::{Check, Completions, Login};
pub use node::{Drain, LabelNode, NodeCommand, NodeResource};
use parse::key_text;
pub use parse::{age, duration};
pub use plan::{DryRun, Plan, PlanEnding};
pub use portable::{CloneApp, Export, Import};
pub use registry::{RegistryCommand, RegistryLogin};
pub use release::{
    AbortRelease, ConfirmRelease, Method, ReleaseCommand, Rollback, ShowRelease, WatchRelease, Weigh,
};
pub use server::{
    AgentCommand, AgentJoin, AgentPlace, AgentRun, AgentTelemetry, ConfigArgs, ConfigCommand, ServerArgs,
    SettingArgs,
};
pub use template::{SaveTemplate, ShowTemplate, TemplateCommand};
pub use token::{CreateToken, TokenCommand};

use crate::{exit::EXIT_CODES, output::Format};
use clap::{Args, Parser, Subcommand};
use std::path::PathBuf;

const EXAMPLES: &str = "\
EXAMPLES
  berth server                                   start the platform on this machine
  berth cluster create main                      make a cluster
  berth token create --join --cluster main       mint a token for new nodes
  berth agent join https://HOST:7443 TOKEN       make this server a node
  berth deploy shop.yml --wait                   bring a Compose file live
  berth ps                                       see its containers
  berth why shop web                             learn why they are where they are";

/// Turns servers with a Docker Engine into clusters, and Compose files into running applications.
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    propagate_version = false,
    after_help = const_format(),
    max_term_width = 110,
    disable_help_subcommand = true
)]
pub struct Cli {
    /// Options of every command.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

fn const_format() -> String {
    format!("{EXAMPLES}\n\n{EXIT_CODES}")
}

/// Options of every command that speaks to a platform.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Common options")]
pub struct Global {
    /// How results are printed
    #[arg(
        short,
        long,
        global = true,
        value_enum,
        default_value_t,
        value_name = "FORMAT"
    )]
    pub output: Format,
    /// Cluster to work in, by name or id; needed only if there are several
    #[arg(long, global = true, env = "BERTH_CLUSTER", value_name = "NAME")]
    pub cluster: Option<String>,
    /// Stored platform to speak to (`berth login` stores them)
    #[arg(long, global = true, env = "BERTH_CONTEXT", value_name = "NAME")]
    pub context: Option<String>,
    /// Address of the platform
    #[arg(long, global = true, env = "BERTH_URL", value_name = "URL")]
    pub url: Option<String>,
    /// API token
    #[arg(
        long,
        global = true,
        env = "BERTH_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub token: Option<String>,
    /// Certificate of the platform's own CA, as a PEM file
    #[arg(long, global = true, env = "BERTH_CA", value_name = "FILE")]
    pub ca: Option<PathBuf>,
    /// Key of the change: the same command with the same key is done once, however often it is sent
    #[arg(long, global = true, env = "BERTH_IDEMPOTENCY_KEY", value_name = "KEY", value_parser = key_text)]
    pub idempotency_key: Option<String>,
}

/// Every command.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the platform, or one of its services
    Server(Box<ServerArgs>),
    /// Make this server a node of a cluster
    #[command(subcommand)]
    Agent(AgentCommand),
    /// Create and change clusters
    #[command(subcommand)]
    Cluster(ClusterCommand),
    /// Mint and revoke tokens
    #[command(subcommand)]
    Token(TokenCommand),
    /// Logins with which nodes pull images from private registries
    #[command(subcommand)]
    Registry(RegistryCommand),
    /// See and change nodes
    #[command(subcommand)]
    Node(NodeCommand),
    /// Bring a Compose file live
    Deploy(Deploy),
    /// Build the images of a Compose file on nodes, and push them to their registry
    Build(BuildArgs),
    /// List images that nodes have built
    #[command(after_help = "EXAMPLES\n  berth builds\n  berth builds -o json")]
    Builds,
    /// Say what a deploy would do: what differs, which containers come, stay and go, where and why
    Plan(Plan),
    /// Run one image as an application
    Run(Run),
    /// List applications
    #[command(after_help = "EXAMPLES\n  berth apps\n  berth apps -o json")]
    Apps,
    /// One application: show, template, remove, volumes, export, import, clone
    #[command(subcommand)]
    App(AppCommand),
    /// Stored Compose files with parameters, and those that come with Berth
    #[command(subcommand)]
    Template(TemplateCommand),
    /// List containers
    Ps(Ps),
    /// Change the wanted number of containers
    Scale(Scale),
    /// Replace the Compose file of an application
    Update(Update),
    /// Releases of an application: list, show, watch, pause, resume, abort, confirm
    #[command(subcommand)]
    Release(ReleaseCommand),
    /// Bring an earlier release back
    Rollback(Rollback),
    /// Stop all containers of an application
    Stop(StopStart),
    /// Run a stopped application again
    Start(StopStart),
    /// Replace the containers of an application by new ones
    Restart(Restart),
    /// Remove an application
    Rm(Remove),
    /// Why a container is where it is, or why it is not running
    Why(Why),
    /// Everything known of any object
    Inspect(Inspect),
    /// What happened
    Events(Events),
    /// Output of containers
    Logs(Logs),
    /// What nodes and containers use now
    Top(Top),
    /// How the platform is
    Status(Status),
    /// Check a Compose file without deploying it
    Check(Check),
    /// Print a Compose file as it is understood, every short form written out
    Config(ConfigArgs),
    /// Store address and token of a platform
    Login(Login),
    /// Versions of this program and of the platform
    #[command(after_help = "EXAMPLES\n  berth version\n  berth version -o json")]
    Version,
    /// Print a completion script for a shell
    Completions(Completions),
    /// Print the reference of all commands as Markdown
    #[command(hide = true)]
    DocsMarkdown,
}

/// `berth status`.
#[derive(Debug, Args)]
#[command(
    after_help = "EXAMPLES\n  berth status\n  berth status --wait-ready --timeout 60s\n  berth status -o json"
)]
pub struct Status {
    /// Wait until every service is well
    #[arg(long)]
    pub wait_ready: bool,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = duration)]
    pub timeout: std::time::Duration,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::error::ErrorKind;

    fn parse(line: &str) -> Result<Cli, ErrorKind> {
        let words = std::iter::once("berth").chain(line.split_whitespace());
        Cli::try_parse_from(words).map_err(|error| error.kind())
    }

    #[test]
    fn common_options_stand_anywhere() {
        for line in [
            "--cluster c -o json ps",
            "ps --cluster c -o json",
            "ps -o json --cluster c",
        ] {
            let global = parse(line).unwrap().global;
            assert_eq!(
                (global.cluster.as_deref(), global.output),
                (Some("c"), Format::Json),
                "{line}"
            );
        }
    }

    #[test]
    fn a_token_to_join_is_the_default_and_excludes_scopes() {
        let Command::Token(TokenCommand::Create(args)) = parse("token create --join --ttl 1h --max-uses 3")
            .unwrap()
            .command
        else {
            panic!("another command");
        };
        assert_eq!(
            (args.join, args.max_uses, args.ttl.map(|ttl| ttl.as_secs())),
            (true, 3, Some(3_600))
        );
        assert!(parse("token create").is_ok());
        assert_eq!(
            parse("token create --join --scope read").unwrap_err(),
            ErrorKind::ArgumentConflict
        );
        assert_eq!(
            parse("token create --scope wizard").unwrap_err(),
            ErrorKind::InvalidValue
        );
    }

    #[test]
    fn a_command_behind_two_dashes_is_the_containers() {
        let Command::Run(args) = parse("run busybox -p 80:80 -e A=b --replicas 2 -- sh -c x --name")
            .unwrap()
            .command
        else {
            panic!("another command");
        };
        assert_eq!(args.command, ["sh", "-c", "x", "--name"]);
        assert_eq!((args.replicas, args.name), (2, None));
        assert_eq!(args.env, [("A".to_owned(), "b".to_owned())]);
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        let refused = [
            ("scale shop", ErrorKind::MissingRequiredArgument),
            ("cluster set main", ErrorKind::MissingRequiredArgument),
            ("node label n1", ErrorKind::MissingRequiredArgument),
            ("node drain n1 --deadline soon", ErrorKind::ValueValidation),
            ("events --since 1h --after 3", ErrorKind::ArgumentConflict),
            (
                "server --only ledger --embedded-only",
                ErrorKind::ArgumentConflict,
            ),
            ("deploy", ErrorKind::MissingRequiredArgument),
            ("fly", ErrorKind::InvalidSubcommand),
        ];
        for (line, kind) in refused {
            assert_eq!(parse(line).map(|_| ()).unwrap_err(), kind, "{line}");
        }
        assert!(parse("node label n1 --rm rack").is_ok());
        assert!(parse("cluster set main --policy open").is_ok());
    }
}
