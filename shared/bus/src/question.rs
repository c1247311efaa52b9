//! Questions: asked and answered at once, never stored.

use crate::{Bus, BusError, subject};
use async_nats::Message;
use berth_events::{Answer, Rejection};
use futures::StreamExt;
use serde::{Serialize, de::DeserializeOwned};
use std::{future::Future, sync::Arc, time::Duration};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

/// What the subject of an answer begins with: an inbox of a service, or the way back to a node's own account,
/// which the server itself has made (it lets nobody else name one).
const WAYS_BACK: [&str; 2] = ["_INBOX.", "_R_."];
/// The longest wait for an answer.
const ASK_TIMEOUT: Duration = Duration::from_secs(3);
/// Questions of one kind answered at the same time.
const MAX_PARALLEL_ANSWERS: usize = 64;
/// Wait before a broken subscription is made again.
const RESUBSCRIBE_DELAY: Duration = Duration::from_millis(200);

/// Why a question has no answer.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// Nobody answered: the service is away.
    #[error("service `{service}` does not answer `{question}`: {reason}")]
    Silent {
        /// Who was asked.
        service: String,
        /// What.
        question: String,
        /// Why.
        reason: String,
    },
    /// It answered that it will not.
    #[error("{}", .0.message)]
    Refused(Rejection),
}

impl Bus {
    /// Asks a service a question.
    ///
    /// # Errors
    /// [`AskError`].
    pub async fn ask<A: DeserializeOwned>(
        &self,
        service: &str,
        question: &str,
        key: &str,
        body: &impl Serialize,
    ) -> Result<A, AskError> {
        let silent = |reason: String| AskError::Silent {
            service: service.to_owned(),
            question: question.to_owned(),
            reason,
        };
        let payload = serde_json::to_vec(body).map_err(|error| silent(error.to_string()))?;
        let ask = async_nats::Request::new()
            .payload(payload.into())
            .timeout(Some(ASK_TIMEOUT));
        let answer = self
            .client
            .send_request(subject::question(service, question, key), ask)
            .await
            .map_err(|error| silent(error.to_string()))?;
        match serde_json::from_slice(&answer.payload).map_err(|error| silent(error.to_string()))? {
            Answer::Ok(value) => Ok(value),
            Answer::Refused(rejection) => Err(AskError::Refused(rejection)),
        }
    }

    /// Asks all instances of a service and collects what comes within a time.
    pub async fn ask_all<A: DeserializeOwned>(&self, subject: String, wait: Duration) -> Vec<A> {
        let inbox = self.client.new_inbox();
        let Ok(mut answers) = self.client.subscribe(inbox.clone()).await else {
            return Vec::new();
        };
        if self
            .client
            .publish_with_reply(subject, inbox, "{}".into())
            .await
            .is_err()
        {
            return Vec::new();
        }
        let mut found = Vec::new();
        let deadline = tokio::time::Instant::now() + wait;
        while let Ok(Some(message)) = tokio::time::timeout_at(deadline, answers.next()).await {
            match serde_json::from_slice(&message.payload) {
                Ok(Answer::Ok(answer)) => found.push(answer),
                Ok(Answer::Refused(_)) | Err(_) => {}
            }
        }
        found
    }

    /// Answers a question until shutdown. `handler` gets the subject's last part and the body.
    ///
    /// Instances share the questions, except those named `health`, which every instance answers.
    pub async fn answer<Q, A, F, Fut>(&self, sink: QuestionSink, handler: F)
    where
        Q: DeserializeOwned + Send + 'static,
        A: Serialize + Send + 'static,
        F: Fn(String, Q) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = Result<A, Rejection>> + Send + 'static,
    {
        let handler = Arc::new(handler);
        let limit = Arc::new(tokio::sync::Semaphore::new(MAX_PARALLEL_ANSWERS));
        let tasks = TaskTracker::new();
        while !sink.shutdown.is_cancelled() {
            let mut questions = match self.subscribe_question(&sink).await {
                Ok(questions) => questions,
                Err(error) => {
                    tracing::warn!(%error, "could not subscribe to `{}`; trying again", sink.question);
                    tokio::time::sleep(RESUBSCRIBE_DELAY).await;
                    continue;
                }
            };
            while let Some(message) = tokio::select! {
                message = questions.next() => message,
                () = sink.shutdown.cancelled() => None,
            } {
                let Ok(permit) = limit.clone().acquire_owned().await else {
                    break;
                };
                let (bus, handler) = (self.clone(), handler.clone());
                tasks.spawn(async move {
                    bus.answer_one(message, &*handler).await;
                    drop(permit);
                });
            }
        }
        tasks.close();
        tasks.wait().await;
    }

    async fn subscribe_question(&self, sink: &QuestionSink) -> Result<async_nats::Subscriber, BusError> {
        let subject = subject::question(&sink.service, &sink.question, "*");
        let result = if sink.question == "health" {
            self.client.subscribe(subject.clone()).await
        } else {
            self.client
                .queue_subscribe(subject.clone(), sink.service.clone())
                .await
        };
        result.map_err(|error| BusError::stream(format!("subscribe to `{subject}`"), error))
    }

    async fn answer_one<Q, A, F, Fut>(&self, message: Message, handler: &F)
    where
        Q: DeserializeOwned,
        A: Serialize,
        F: Fn(String, Q) -> Fut,
        Fut: Future<Output = Result<A, Rejection>>,
    {
        let Some(reply) = message.reply else { return };
        // Answers go out with our rights: to an inbox, never where the asker could not speak itself.
        if !WAYS_BACK.iter().any(|way| reply.starts_with(way)) {
            tracing::warn!(subject = %message.subject, %reply, "a question wants its answer elsewhere than in an inbox");
            return;
        }
        let key = message.subject.rsplit('.').next().unwrap_or_default().to_owned();
        let answer = match serde_json::from_slice::<Q>(&message.payload) {
            Ok(question) => match handler(key, question).await {
                Ok(value) => Answer::Ok(value),
                Err(rejection) => Answer::Refused(rejection),
            },
            Err(error) => Answer::Refused(Rejection {
                kind: berth_events::RejectionKind::Invalid,
                code: "question.shape".into(),
                message: format!(
                    "the question on `{}` does not have its shape: {error}",
                    message.subject
                ),
                cure: None,
            }),
        };
        match serde_json::to_vec(&answer) {
            Ok(payload) => {
                if let Err(error) = self.client.publish(reply, payload.into()).await {
                    tracing::debug!(%error, "could not send an answer; the asker will ask again");
                }
            }
            Err(error) => tracing::error!(%error, "an answer on `{}` has no JSON form", message.subject),
        }
    }
}

/// Which questions are answered, and until when.
#[derive(Clone)]
pub struct QuestionSink {
    /// The service that answers.
    pub service: String,
    /// The question.
    pub question: String,
    /// When to stop.
    pub shutdown: CancellationToken,
}
