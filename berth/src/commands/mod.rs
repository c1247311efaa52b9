//! What each command does, one file a group.

mod agent;
mod application;
mod build;
mod cluster;
mod config;
mod deploy;
mod events;
mod inspect;
mod local;
mod logs;
mod node;
mod plan;
mod portable;
mod registry;
mod release;
mod session;
mod status;
mod tables;
mod template;
mod token;
mod top;
mod volumes;
mod wait;
mod watch;
mod why;

pub use session::Session;

use crate::{
    cli::{Cli, Command, ConfigCommand},
    exit::Outcome,
    output::Printer,
    server,
};

/// Carries out a command.
///
/// # Errors
/// Why it could not be done, with its exit code.
pub async fn run(cli: Cli) -> Outcome {
    let printer = Printer {
        format: cli.global.output,
    };
    let session = || Session::open(&cli.global);
    match cli.command {
        Command::Server(args) => server::run(&args.settings).await,
        Command::Config(args) => match &args.command {
            Some(ConfigCommand::Show(args)) => local::show_config(args, printer),
            None => config::run(&args, printer),
        },
        Command::Agent(command) => agent::run(command, cli.global.token.as_deref(), printer).await,
        Command::Cluster(command) => cluster::run(&session()?, command).await,
        Command::Token(command) => token::run(&session()?, command).await,
        Command::Registry(command) => registry::run(&session()?, command).await,
        Command::Node(command) => node::run(&session()?, command).await,
        Command::Deploy(args) => deploy::deploy(&session()?, args).await,
        Command::Build(args) => build::run(&session()?, args).await,
        Command::Builds => build::list(&session()?).await,
        Command::Plan(args) => plan::plan(&session()?, args).await,
        Command::Update(args) => deploy::update(&session()?, args).await,
        Command::Run(args) => deploy::run_image(&session()?, args).await,
        Command::Apps => application::list(&session()?).await,
        Command::App(command) => application::run(&session()?, command).await,
        Command::Template(command) => template::run(&session()?, command).await,
        Command::Ps(args) => application::ps(&session()?, args).await,
        Command::Scale(args) => application::scale(&session()?, args).await,
        Command::Release(command) => release::run(&session()?, command).await,
        Command::Rollback(args) => release::rollback(&session()?, args).await,
        Command::Stop(args) => application::stop(&session()?, args).await,
        Command::Start(args) => application::start(&session()?, args).await,
        Command::Restart(args) => application::restart(&session()?, args).await,
        Command::Rm(args) => application::remove(&session()?, args).await,
        Command::Why(args) => why::run(&session()?, args).await,
        Command::Inspect(args) => inspect::run(&session()?, args).await,
        Command::Events(args) => events::run(&session()?, args).await,
        Command::Logs(args) => logs::run(&session()?, args).await,
        Command::Top(args) => top::run(&session()?, args).await,
        Command::Status(args) => status::run(&session()?, args).await,
        Command::Check(args) => local::check(&args, printer),
        Command::Login(args) => local::login(&cli.global, args, printer).await,
        Command::Version => local::version(&cli.global, printer).await,
        Command::Completions(args) => local::completions(&args),
        Command::DocsMarkdown => local::docs_markdown(),
    }
}
