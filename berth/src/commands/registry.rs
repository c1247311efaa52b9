//! `berth registry …`.

use super::Session;
use crate::{
    cli::{RegistryCommand, RegistryLogin},
    client::encode,
    exit::{Failure, Outcome},
    output::{Table, cell},
};
use berth_api::{Registries, Written};
use reqwest::Method;
use std::io::{IsTerminal as _, Read as _};

/// More than any password or access token has.
const MAX_PASSWORD_BYTES: u64 = 16 * 1024;

/// Carries out `berth registry …`.
///
/// # Errors
/// What the platform answered.
pub async fn run(session: &Session, command: RegistryCommand) -> Outcome {
    let cluster = session.cluster().await?;
    let all = format!("/v1/clusters/{}/registries", encode(&cluster));
    match command {
        RegistryCommand::Login(args) => {
            let body = berth_api::RegistryLogin {
                password: password(session, &args)?,
                username: args.username,
            };
            let path = format!("{all}/{}", encode(&args.registry));
            let written: Written = session.client.write(Method::PUT, &path, Some(&body)).await?;
            let name = written.name.clone().unwrap_or(args.registry);
            let line = format!("nodes pull images of {name} as {} from now on", body.username);
            session.printer.done(&written, &line)
        }
        RegistryCommand::Ls => {
            let stored: Registries = session.client.get(&all).await?;
            session.printer.print(&stored.items, |items| {
                let mut table = Table::new(&["REGISTRY", "USER", "STORED", "BY"]);
                for item in items {
                    table.row([
                        cell(&item.registry),
                        cell(&item.username),
                        cell(item.stored_at),
                        cell(&item.stored_by),
                    ]);
                }
                table.render()
            })
        }
        RegistryCommand::Logout { registry } => {
            let path = format!("{all}/{}", encode(&registry));
            let written: Written = session.client.delete(&path).await?;
            let line = format!("the login of {registry} is destroyed");
            session.printer.done(&written, &line)
        }
    }
}

fn password(session: &Session, args: &RegistryLogin) -> Outcome<String> {
    if let Some(password) = &args.password {
        session.printer.note(
            "a password on the command line is seen by others on this machine; --password-stdin hides it",
        );
        return Ok(password.clone());
    }
    if !args.password_stdin && std::io::stdin().is_terminal() {
        let question = format!("password of {} at {}: ", args.username, args.registry);
        return Ok(rpassword::prompt_password(question)?);
    }
    let mut text = String::new();
    std::io::stdin()
        .take(MAX_PASSWORD_BYTES)
        .read_to_string(&mut text)?;
    let password = text.trim_end_matches(['\r', '\n']);
    if password.is_empty() {
        return Err(Failure::usage("there is no password on standard input")
            .cure("pipe it in, or call this in a terminal to be asked for it"));
    }
    Ok(password.to_owned())
}
