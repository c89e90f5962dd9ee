//! Which broker has a topic, and how many partitions it has: asked of a broker, or of the addresses that speak HTTP.
// apache/pulsar: BinaryProtoLookupService

mod web;

use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBuilder};
use mq_core::{Endpoint, ErrorKind, Outcome, Retry, ServiceUrl};
use tokio::time::{Instant, sleep_until};

use super::Shared;
use crate::conn::{Broker, Connection, now};
use crate::error::{Error, Result, refused};
use crate::proto::api::{
    self, command_lookup_topic_response, command_partitioned_topic_metadata_response,
};
use crate::topic::TopicName;

impl Shared {
    /// Connects to one of the addresses that the user gave.
    ///
    /// # Errors
    ///
    /// What connecting answers.
    pub(super) async fn reach(&self) -> Result<()> {
        if self.options.web {
            return self.reach_web().await;
        }
        self.service().await.map(drop)
    }

    /// A connection to the broker that has the topic.
    ///
    /// # Errors
    ///
    /// What connecting or the broker answers; `Later` where it is worth asking again.
    pub(crate) async fn connection_of(&self, topic: &TopicName) -> Result<Connection> {
        let broker = if self.options.web {
            self.look_up_web(topic).await?
        } else {
            self.look_up(topic).await?
        };
        self.pool.get(&broker).await
    }

    async fn look_up(&self, topic: &TopicName) -> Result<Broker> {
        let mut asked = self.service().await?;
        let mut authoritative = false;
        for _ in 0..MOST_REDIRECTS {
            let (at, connection) = &asked;
            let ask = api::CommandLookupTopic {
                topic: topic.as_str().to_owned(),
                authoritative: Some(authoritative),
                advertised_listener_name: self.options.listener.clone(),
                ..api::CommandLookupTopic::default()
            };
            let answer = connection.ask(ask).await?.lookup_topic_response;
            let answer = answer.ok_or_else(|| strange(connection.endpoint()))?;
            if answer.response() == command_lookup_topic_response::LookupType::Failed {
                let text = answer.message.as_deref().unwrap_or_default();
                return Err(refused_at(
                    answer.error.unwrap_or_default(),
                    text,
                    connection,
                ));
            }
            let address = self.address(&answer, connection)?;
            let redirected =
                answer.response() == command_lookup_topic_response::LookupType::Redirect;
            let broker = if answer.proxy_through_service_url() {
                Broker {
                    address: at.clone(),
                    behind: Some(address),
                }
            } else {
                Broker::at(address)
            };
            if !redirected {
                return Ok(broker);
            }
            authoritative = answer.authoritative();
            asked = (broker.address.clone(), self.pool.get(&broker).await?);
        }
        let message =
            format!("brokers sent the question for {topic} around {MOST_REDIRECTS} times");
        let error = Error::builder(ErrorKind::Busy, message);
        Err(error.operation("lookup").retry(Retry::Later).build())
    }

    /// The broker's address, of the kind that this client connects to.
    fn address(
        &self,
        answer: &api::CommandLookupTopicResponse,
        asked: &Connection,
    ) -> Result<Endpoint> {
        let api::CommandLookupTopicResponse {
            broker_service_url: plain,
            broker_service_url_tls: tls,
            ..
        } = answer;
        self.named(plain.as_deref(), tls.as_deref(), asked.endpoint())
    }

    /// The one of a broker's addresses that this client connects to.
    fn named(&self, plain: Option<&str>, tls: Option<&str>, asked: &str) -> Result<Endpoint> {
        let secured = self.options.tls.is_some();
        let url = if secured { tls } else { plain };
        let Some(url) = url.filter(|url| !url.is_empty()) else {
            let which = if secured { "with" } else { "without" };
            let message = format!("the broker of the topic has no address {which} TLS");
            let error = Error::builder(ErrorKind::Unsupported, message).operation("lookup");
            return Err(error.endpoint(asked).build());
        };
        let parsed = ServiceUrl::parse(url, None).ok();
        let first = parsed.and_then(|url| url.endpoints.into_iter().next());
        first.ok_or_else(|| strange(asked))
    }

    /// How many partitions a topic has; 0 if it is not partitioned. Asked for with `create`, a broker that may makes it.
    ///
    /// # Errors
    ///
    /// As [`connection_of`](Self::connection_of); kind `NotFound`.
    pub(crate) async fn partitions(&self, topic: &TopicName, create: bool) -> Result<u32> {
        if self.options.web {
            return self.partitions_web(topic, create).await;
        }
        let (_, connection) = self.service().await?;
        // Brokers before 3.0.6 know no other way.
        let can_choose = connection
            .settled()
            .features
            .supports_get_partitioned_metadata_without_auto_creation();
        let ask = api::CommandPartitionedTopicMetadata {
            topic: topic.as_str().to_owned(),
            metadata_auto_creation_enabled: can_choose.then_some(create),
            ..api::CommandPartitionedTopicMetadata::default()
        };
        let answer = connection.ask(ask).await?.partition_metadata_response;
        let answer = answer.ok_or_else(|| strange(connection.endpoint()))?;
        if answer.response() == command_partitioned_topic_metadata_response::LookupType::Failed {
            let text = answer.message.as_deref().unwrap_or_default();
            return Err(refused_at(
                answer.error.unwrap_or_default(),
                text,
                &connection,
            ));
        }
        Ok(answer.partitions())
    }

    /// The topics of a namespace, partitions by their own names.
    ///
    /// # Errors
    ///
    /// As [`connection_of`](Self::connection_of).
    pub(crate) async fn topics(
        &self,
        ask: api::CommandGetTopicsOfNamespace,
    ) -> Result<api::CommandGetTopicsOfNamespaceResponse> {
        if self.options.web {
            return self.topics_web(&ask).await;
        }
        let (_, connection) = self.service().await?;
        let answer = connection.ask(ask).await?.get_topics_of_namespace_response;
        answer.ok_or_else(|| strange(connection.endpoint()))
    }

    /// A connection to one of the addresses that the user gave: the one that worked last, else the next.
    async fn service(&self) -> Result<(Endpoint, Connection)> {
        let connect = async |endpoint: Endpoint| {
            let connection = self.pool.get(&Broker::at(endpoint.clone())).await?;
            Ok((endpoint, connection))
        };
        self.any_host(connect).await
    }

    /// Does something at one of the addresses that the user gave: the one that worked last, else the next.
    async fn any_host<T, Fut>(&self, work: impl Fn(Endpoint) -> Fut + Send) -> Result<T>
    where
        Fut: Future<Output = Result<T>> + Send,
        T: Send,
    {
        let hosts = &self.options.endpoints;
        let first = self.first.load(std::sync::atomic::Ordering::Relaxed);
        let mut failures = Vec::new();
        for at in 0..hosts.len() {
            let at = (first + at) % hosts.len();
            let Some(endpoint) = hosts.get(at) else {
                continue;
            };
            match work(endpoint.clone()).await {
                Ok(done) => {
                    self.first.store(at, std::sync::atomic::Ordering::Relaxed);
                    return Ok(done);
                }
                Err(error) if is_of_the_host(&error) => failures.push(error),
                // Another one would say the same.
                Err(error) => return Err(error),
            }
        }
        Err(none_reached(failures))
    }

    /// Does it again with pauses while it is worth it and there is time.
    ///
    /// # Errors
    ///
    /// The last failure.
    pub(crate) async fn retrying<T, Fut>(
        &self,
        deadline: Instant,
        mut work: impl FnMut() -> Fut + Send,
    ) -> Result<T>
    where
        Fut: Future<Output = Result<T>> + Send,
    {
        let mut pauses = pauses();
        loop {
            let error = match work().await {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            let next = now() + pauses.next().unwrap_or(LONGEST);
            if error.retry() == Retry::Never || next >= deadline {
                return Err(error);
            }
            sleep_until(next).await;
        }
    }
}

/// Longer and longer, so that a broker which starts is not stormed, and at most so long that its return is noticed soon.
pub(crate) fn pauses() -> impl Iterator<Item = Duration> + Send {
    let builder = ExponentialBuilder::new()
        .with_min_delay(Duration::from_millis(20))
        .with_max_delay(LONGEST)
        .with_jitter()
        .without_max_times();
    builder.build().map(|pause| pause.min(LONGEST))
}

fn refused_at(code: i32, text: &str, connection: &Connection) -> Error {
    let error = refused(code, text).into_builder().operation("lookup");
    error.endpoint(connection.endpoint()).build()
}

fn strange(asked: &str) -> Error {
    let message = "the broker answered the lookup with something else";
    let error = Error::builder(ErrorKind::Protocol, message).operation("lookup");
    error.endpoint(asked).build()
}

/// Whether another host may do better.
fn is_of_the_host(error: &Error) -> bool {
    !matches!(error.kind(), ErrorKind::Auth | ErrorKind::Closed)
        && error.outcome() != Outcome::Rejected
}

fn none_reached(mut failures: Vec<Error>) -> Error {
    if failures.len() == 1
        && let Some(only) = failures.pop()
    {
        return only;
    }
    let all: Vec<_> = failures
        .iter()
        .map(|error| {
            format!(
                "{} ({})",
                error.endpoint().unwrap_or_default(),
                error.message()
            )
        })
        .collect();
    let message = format!(
        "none of {} hosts can be reached: {}",
        all.len(),
        all.join(", ")
    );
    Error::builder(ErrorKind::Connect, message)
        .operation("connect")
        .build()
}

// apache/pulsar: ClientConfigurationData.maxLookupRedirects
const MOST_REDIRECTS: usize = 20;
const LONGEST: Duration = Duration::from_secs(1);
