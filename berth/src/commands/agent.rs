//! `berth agent …`: makes this server a node and runs its agent.

use crate::{
    cli::{AgentCommand, AgentJoin, AgentPlace, AgentRun, AgentTelemetry},
    client::failure,
    exit::{Exit, Failure, Outcome, chain},
    output::Printer,
    server::{Signals, read_json, start_telemetry, write_json},
};
use berth_node_agent::{AgentOptions, JoinError, JoinOptions, Joined};
use serde::{Deserialize, Serialize};
use std::{
    io::Read,
    path::{Path, PathBuf},
};
use tokio_util::sync::CancellationToken;

/// The engine of most servers.
const DEFAULT_ENGINE: &str = "unix:///var/run/docker.sock";
/// In place of a token: it comes on standard input.
const STDIN: &str = "-";
/// The most that is read as a token.
const MAX_TOKEN_BYTES: u64 = 4096;
/// What a join remembers for the runs after it.
const CHOICES: &str = "choices.json";

/// What was chosen at the join.
#[derive(Default, Serialize, Deserialize)]
struct Choices {
    docker_host: Option<String>,
}

/// What `berth agent join` prints.
#[derive(Serialize)]
struct Node {
    id: String,
    name: String,
    cluster_id: String,
    address: String,
    data: PathBuf,
}

/// Carries out `berth agent …`.
///
/// # Errors
/// It could not join, or the agent could not start.
pub async fn run(command: AgentCommand, given: Option<&str>, printer: Printer) -> Outcome {
    match command {
        AgentCommand::Join(args) => {
            let token = token_of(args.join_token.as_deref(), args.token_file.as_deref(), given)?;
            join(*args, token, printer).await
        }
        AgentCommand::Run(AgentRun { place, telemetry }) => {
            let engine = engine_of(&place)?;
            start(&place.data, engine, telemetry).await
        }
    }
}

/// The join token: from a file, from standard input, from the command line, or from the environment.
fn token_of(word: Option<&str>, file: Option<&Path>, given: Option<&str>) -> Outcome<String> {
    let text = match (file, word) {
        (Some(file), _) => {
            let open = std::fs::File::open(file)
                .map_err(|error| Failure::usage(format!("cannot read {}: {error}", file.display())))?;
            read_token(open)?
        }
        (None, Some(STDIN)) => read_token(std::io::stdin().lock())?,
        (None, Some(word)) => word.to_owned(),
        (None, None) => given.unwrap_or_default().to_owned(),
    };
    match text.trim() {
        "" => Err(Failure::usage("there is no join token")
            .cure("give it with --token-file FILE, in BERTH_TOKEN, or on standard input as `-`")),
        token => Ok(token.to_owned()),
    }
}

fn read_token(from: impl Read) -> Outcome<String> {
    let mut text = String::new();
    from.take(MAX_TOKEN_BYTES)
        .read_to_string(&mut text)
        .map_err(|error| Failure::from_error("read the join token", &error))?;
    Ok(text)
}

async fn join(args: AgentJoin, token: String, printer: Printer) -> Outcome {
    let docker_host = engine_of(&args.place)?;
    let data = args.place.data.clone();
    let options = JoinOptions {
        url: args.platform,
        token,
        data_dir: data.clone(),
        docker_host: docker_host.clone(),
        name: args.name,
        zone: args.zone,
        address: args.address,
        labels: args.labels.into_iter().collect(),
        resources: args.resources.into_iter().collect(),
    };
    let joined = berth_node_agent::join(options)
        .await
        .map_err(|error| refused(&error))?;
    write_json(
        &data.join(CHOICES),
        &Choices {
            docker_host: Some(docker_host.clone()),
        },
    )?;
    let line = format!(
        "this server is node {} ({}) now, reached at {}",
        joined.name, joined.node_id, joined.address
    );
    printer.done(&node(joined, &data), &line)?;
    if args.no_run {
        printer.note(&format!("next: berth agent run --data {}", data.display()));
        return Ok(());
    }
    start(&data, docker_host, args.telemetry).await
}

fn node(joined: Joined, data: &Path) -> Node {
    Node {
        id: joined.node_id.to_string(),
        name: joined.name,
        cluster_id: joined.cluster_id.to_string(),
        address: joined.address,
        data: data.to_path_buf(),
    }
}

/// The engine that was named, or that of the join, or the usual one.
fn engine_of(place: &AgentPlace) -> Outcome<String> {
    if let Some(engine) = &place.docker_host {
        return Ok(engine.clone());
    }
    let kept: Choices = read_json(&place.data.join(CHOICES))?.unwrap_or_default();
    Ok(kept.docker_host.unwrap_or_else(|| DEFAULT_ENGINE.to_owned()))
}

async fn start(data: &Path, docker_host: String, logs: AgentTelemetry) -> Outcome {
    let telemetry = start_telemetry("berth-agent", logs.log_format == "json", logs.otlp)?;
    let mut signals = Signals::listen()?;
    let shutdown = CancellationToken::new();
    let options = AgentOptions {
        data_dir: data.to_path_buf(),
        docker_host,
    };
    let agent = berth_node_agent::run(options, shutdown.clone());
    tokio::pin!(agent);
    let ended = tokio::select! {
        ended = &mut agent => ended,
        name = signals.next() => {
            tracing::info!("{name}: the agent stops, its containers go on (again: at once)");
            signals.kill_on_next();
            shutdown.cancel();
            agent.await
        }
    };
    telemetry.shutdown();
    ended.map_err(|error| Failure::from_error("run the agent", &error))
}

fn refused(error: &JoinError) -> Failure {
    let exit = match error {
        JoinError::Refused(problem) => failure(problem).exit,
        JoinError::Token(_) | JoinError::Url(_) | JoinError::Plaintext(_) | JoinError::Name(..) => {
            Exit::Usage
        }
        JoinError::AlreadyJoined { .. } | JoinError::Foreign { .. } => Exit::Refused,
        JoinError::Silent { .. } | JoinError::Engine(_) => Exit::Unavailable,
        JoinError::Shape { .. } | JoinError::State(_) | JoinError::Key(_) | JoinError::Client(_) => {
            Exit::Failure
        }
    };
    Failure::new(exit, chain(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_comes_from_where_it_was_said() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        std::fs::write(&file, "from-file\n").unwrap();
        let of = |word, file, given| token_of(word, file, given).unwrap();
        assert_eq!(of(None, Some(file.as_path()), Some("environment")), "from-file");
        assert_eq!(of(Some("word"), None, Some("environment")), "word");
        assert_eq!(of(None, None, Some("environment")), "environment");
        assert_eq!(token_of(None, None, None).unwrap_err().exit, Exit::Usage);
        assert_eq!(
            token_of(None, Some(&folder.path().join("none")), None)
                .unwrap_err()
                .exit,
            Exit::Usage
        );
    }
}
