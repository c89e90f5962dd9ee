//! Lookups over HTTP, as consoles hand their addresses out.
// apache/pulsar: HttpLookupService, HttpClient; broker TopicLookup, PersistentTopics.getPartitionedMetadata

use hyper::Method;
use hyper::header::HeaderValue;
use mq_core::{Endpoint, ErrorKind, Outcome, Retry, ServiceUrl};
use mq_net::Stream;
use serde::Deserialize;
use serde::de::DeserializeOwned;

use super::super::Shared;
use super::{MOST_REDIRECTS, strange};
use crate::conn::Broker;
use crate::conn::http::{self, Answered, Question};
use crate::error::{Error, ErrorCode, Result, words};
use crate::proto::api;
use crate::topic::TopicName;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct LookedUp {
    broker_url: Option<String>,
    broker_url_tls: Option<String>,
}

#[derive(Deserialize)]
struct Partitions {
    partitions: u32,
}

#[derive(Deserialize)]
struct Refusal {
    reason: String,
}

impl Shared {
    /// Whether one of the hosts is there.
    pub(super) async fn reach_web(&self) -> Result<()> {
        let reach = async |endpoint: Endpoint| {
            let tls = self.options.tls.as_ref();
            let opening = Stream::open(&endpoint, tls);
            let opened = tokio::time::timeout(self.options.connect_timeout, opening).await;
            let error = match opened {
                Ok(Ok(_)) => return Ok(()),
                Ok(Err(cause)) => crate::conn::not_connected(&cause),
                Err(_) => {
                    let message =
                        format!("no connection within {:?}", self.options.connect_timeout);
                    Error::builder(ErrorKind::Connect, message).build()
                }
            };
            let error = error.into_builder().operation("connect");
            Err(error.endpoint(endpoint.to_string()).build())
        };
        self.any_host(reach).await
    }

    pub(super) async fn look_up_web(&self, topic: &TopicName) -> Result<Broker> {
        let mut path = format!("/lookup/v2/topic/{}", topic.path());
        if let Some(listener) = &self.options.listener {
            path = format!("{path}?listenerName={}", http::escaped(listener));
        }
        let (at, found): (_, LookedUp) = self.get(&path).await?;
        let (plain, tls) = (found.broker_url.as_deref(), found.broker_url_tls.as_deref());
        self.named(plain, tls, &at.to_string()).map(Broker::at)
    }

    pub(super) async fn partitions_web(&self, topic: &TopicName, create: bool) -> Result<u32> {
        let path = topic.path();
        let path = format!("/admin/v2/{path}/partitions?checkAllowAutoCreation={create}");
        let (_, Partitions { partitions }) = self.get(&path).await?;
        Ok(partitions)
    }

    /// All of them, whatever the pattern.
    pub(super) async fn topics_web(
        &self,
        ask: &api::CommandGetTopicsOfNamespace,
    ) -> Result<api::CommandGetTopicsOfNamespaceResponse> {
        let api::CommandGetTopicsOfNamespace { namespace, .. } = ask;
        let mode = ask.mode().as_str_name();
        let path = format!("/admin/v2/namespaces/{namespace}/topics?mode={mode}");
        let (_, topics) = self.get(&path).await?;
        Ok(api::CommandGetTopicsOfNamespaceResponse {
            topics,
            ..api::CommandGetTopicsOfNamespaceResponse::default()
        })
    }

    async fn get<T: DeserializeOwned + Send>(&self, path: &str) -> Result<(Endpoint, T)> {
        self.any_host(async |endpoint| self.get_at(endpoint, path.to_owned()).await)
            .await
            .map_err(|error| error.into_builder().operation("lookup").build())
    }

    /// Asks a host, and whom it names in its place.
    async fn get_at<T: DeserializeOwned>(
        &self,
        endpoint: Endpoint,
        path: String,
    ) -> Result<(Endpoint, T)> {
        let (mut endpoint, mut path) = (endpoint, path);
        for _ in 0..MOST_REDIRECTS {
            let question = Question {
                method: Method::GET,
                path: path.clone(),
                headers: self.headers().await?,
                body: bytes::Bytes::new(),
            };
            let (tls, within) = (self.options.tls.as_ref(), self.options.connect_timeout);
            let answered = http::ask(&endpoint, tls, question, within).await?;
            let asked = endpoint.to_string();
            match answered.status {
                200..300 => {
                    let read = serde_json::from_slice(&answered.body);
                    return Ok((endpoint, read.map_err(|_| strange(&asked))?));
                }
                300..400 => (endpoint, path) = self.elsewhere(&answered, &asked)?,
                _ => return Err(refused(&answered, &asked)),
            }
        }
        let message = format!("brokers sent the question around {MOST_REDIRECTS} times");
        Err(Error::builder(ErrorKind::Busy, message)
            .retry(Retry::Later)
            .build())
    }

    fn elsewhere(&self, answered: &Answered, asked: &str) -> Result<(Endpoint, String)> {
        let secured = self.options.tls.is_some();
        let scheme = if secured { "https://" } else { "http://" };
        let location = answered.location.as_deref().unwrap_or_default();
        let Some(rest) = location.strip_prefix(scheme) else {
            // Who the client is is not told over what is not secured.
            let message = format!("it sends the question to what is no {scheme} address");
            let error = Error::builder(ErrorKind::Protocol, message);
            return Err(error.endpoint(asked).build());
        };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let port = if secured { 443 } else { 80 };
        let hosts = ServiceUrl::parse_endpoints(host, Some(port)).ok();
        let host = hosts.and_then(|hosts| hosts.into_iter().next());
        let host = host.ok_or_else(|| strange(asked))?;
        Ok((host, format!("/{path}")))
    }

    /// Who the client is, as brokers read it in HTTP.
    async fn headers(&self) -> Result<Vec<(&'static str, HeaderValue)>> {
        let Some(value) = self.options.auth.header().await? else {
            return Ok(Vec::new());
        };
        let method = self.options.auth.method().unwrap_or("none");
        Ok(vec![
            ("authorization", value),
            (
                "x-pulsar-auth-method-name",
                HeaderValue::from_static(method),
            ),
        ])
    }
}

fn refused(answered: &Answered, asked: &str) -> Error {
    let told = serde_json::from_slice::<Refusal>(&answered.body);
    let told = told.ok().filter(|refusal| !refusal.reason.is_empty());
    let told = told.map(|refusal| words(told_inside(&refusal.reason)));
    let status = answered.status;
    let message = told.unwrap_or_else(|| format!("the lookup was answered with status {status}"));
    // Brokers say so of a role that they know and that has no permission. apache/pulsar: PulsarWebResource.validateTopicOperationAsync
    let is_known = status == 401 && message.starts_with("Unauthorized to ");
    let status = if is_known { 403 } else { status };
    let (kind, retry, code) = match status {
        401 => (
            ErrorKind::Auth,
            Retry::Never,
            Some(ErrorCode::AUTHENTICATION),
        ),
        403 => (
            ErrorKind::Auth,
            Retry::Never,
            Some(ErrorCode::AUTHORIZATION),
        ),
        404 => (
            ErrorKind::NotFound,
            Retry::Never,
            Some(ErrorCode::TOPIC_NOT_FOUND),
        ),
        429 | 500.. => (ErrorKind::Busy, Retry::Later, None),
        _ => (ErrorKind::Rejected, Retry::Never, None),
    };
    let mut error = Error::builder(kind, message).retry(retry).endpoint(asked);
    // Of a host that is short of something, another one may know more.
    if retry == Retry::Never {
        error = error.outcome(Outcome::Rejected);
    }
    if let Some(code) = code {
        error = error.code(code);
    }
    error.hint(match status {
        401 => "check the token, or what else the client authenticates with",
        403 => "give the role permission to produce or consume in the namespace",
        404 => "create the topic, or check its name, tenant and namespace; is it the port of the web service?",
        _ => "ask again later, or use the cluster's address that begins with pulsar://",
    })
    .build()
}

/// What failed, of a text with a stack trace.
// apache/pulsar: RestException.getExceptionData
fn told_inside(reason: &str) -> &str {
    let mut lines = reason.lines();
    lines
        .find_map(|line| line.strip_prefix("Message: "))
        .unwrap_or(reason)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_web_service_refuses_is_told_with_its_words_and_whether_to_ask_again() {
        let of = |status, body: &'static str| {
            let body = bytes::Bytes::from_static(body.as_bytes());
            let answered = Answered {
                status,
                location: None,
                body,
            };
            refused(&answered, "a:1")
        };
        let trace = r#"{"reason":"\n --- An unexpected error occurred in the server ---\n\nMessage: no listener\n\nStacktrace:\n\nx"}"#;
        let error = of(500, trace);
        assert_eq!(
            (error.message(), error.kind()),
            ("no listener", ErrorKind::Busy)
        );
        assert_eq!(error.retry(), Retry::Later);
        let error = of(
            401,
            r#"{"reason":"Unauthorized to validateTopicOperation"}"#,
        );
        assert_eq!(error.code(), Some(&ErrorCode::AUTHORIZATION));
        let error = of(401, "<html>");
        assert_eq!(error.code(), Some(&ErrorCode::AUTHENTICATION));
        assert_eq!(error.message(), "the lookup was answered with status 401");
        assert_eq!(of(404, r#"{"reason":""}"#).kind(), ErrorKind::NotFound);
    }
}
