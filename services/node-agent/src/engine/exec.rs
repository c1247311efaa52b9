//! A command line in a running container.

use super::{Engine, EngineError, logs::hide};
use berth_agent_core::MAX_MESSAGE_BYTES;
use bollard::{
    exec::{CreateExecOptions, StartExecResults},
    query_parameters::InspectContainerOptions,
};
use futures::StreamExt;

/// What a command line came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ran {
    /// Its exit code.
    pub code: i64,
    /// The end of what it wrote, values of the container's secrets left out.
    pub output: String,
}

impl Engine {
    /// Runs a line in a container's shell and waits for its end.
    ///
    /// # Errors
    /// [`EngineError`]: the container does not run, or has no shell.
    pub async fn run(&self, container: &str, line: &str) -> Result<Ran, EngineError> {
        let docker = self.docker().await?;
        let options = CreateExecOptions {
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            cmd: Some(vec!["/bin/sh", "-c", line]),
            ..CreateExecOptions::default()
        };
        let exec = docker
            .create_exec(container, options)
            .await
            .map_err(|e| self.error(e))?;
        let mut bytes = Vec::new();
        if let StartExecResults::Attached { mut output, .. } = docker
            .start_exec(&exec.id, None)
            .await
            .map_err(|e| self.error(e))?
        {
            while let Some(chunk) = output.next().await {
                bytes.extend_from_slice(&chunk.map_err(|e| self.error(e))?.into_bytes());
                // Of much output the end says most.
                let surplus = bytes.len().saturating_sub(MAX_MESSAGE_BYTES);
                bytes.drain(..surplus);
            }
        }
        let ended = docker.inspect_exec(&exec.id).await.map_err(|e| self.error(e))?;
        let code = ended.exit_code.unwrap_or(-1);
        if code == 0 {
            return Ok(Ran {
                code,
                output: String::new(),
            });
        }
        let answer = docker
            .inspect_container(container, None::<InspectContainerOptions>)
            .await;
        let values = answer
            .map(|answer| super::logs::secret_values(&answer))
            .unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let output = hide(text.trim(), &values);
        Ok(Ran { code, output })
    }
}
