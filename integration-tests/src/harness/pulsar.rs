//! Pulsar as this run shares it, or as a test has its own, and what its management is asked for.

mod flow;

use std::sync::Arc;

use mq_pulsar::{Auth, Client, ClientBuilder};
use serde_json::{Value, json};
use tokio::task::spawn_blocking;

pub use self::flow::{WAIT, acked, connect, connect_to, fill, next, numbers, only, some};
pub use super::amqp::on;
use super::unique;
use crate::brokers::Result;
use crate::brokers::pulsar::{Admin, Node, shared, variable};

/// The URL of the broker that this run shares, without a token. A missing variable fails the test and is named.
pub fn url() -> String {
    let shared = shared().unwrap_or_else(|why| panic!("{why}"));
    shared.url().to_owned()
}

/// What the launcher has told of the broker that this run shares; see [`variable`].
pub fn told(name: &str) -> String {
    variable(name).unwrap_or_else(|why| panic!("{why}"))
}

/// Options of a client of the broker that this run shares, by TLS and as the admin; of profile `pulsar-auth`.
pub fn secured() -> ClientBuilder {
    let ca = std::fs::read(told("TLS_CA")).unwrap();
    let url = told("TLS_URL");
    let builder = Client::from_url(&url).unwrap().tls_ca(ca);
    builder.auth(Auth::token_file(told("TOKEN")))
}

/// The broker's version, as the launcher told it.
pub fn version() -> String {
    variable("VERSION").unwrap_or_else(|_| "unknown".to_owned())
}

/// A broker of the test's own.
pub async fn own_node() -> Arc<Node> {
    let started = spawn_blocking(Node::start).await.unwrap();
    Arc::new(started.unwrap())
}

/// A broker of the test's own with tokens, permissions and TLS.
pub async fn own_secured_node() -> Arc<Node> {
    let started = spawn_blocking(|| Node::start_secured(&[])).await.unwrap();
    Arc::new(started.unwrap())
}

/// A broker's management. What it refuses fails the test, but for [`Manage::ask`].
///
/// A topic is named as clients name it, in short or in full.
#[derive(Debug, Clone)]
pub struct Manage {
    admin: Admin,
}

impl Manage {
    /// That of the broker that this run shares.
    pub fn shared() -> Self {
        let admin = shared().and_then(|shared| shared.admin());
        let admin = admin.unwrap_or_else(|why| panic!("{why}"));
        Self { admin }
    }

    /// That of a test's own broker.
    pub fn of(node: &Node) -> Self {
        let admin = node.admin().clone();
        Self { admin }
    }

    /// Asks behind `/admin/v2/`.
    ///
    /// # Errors
    /// It refuses, or doesn't answer.
    pub async fn ask(&self, method: &'static str, path: &str, told: Value) -> Result<Value> {
        let (admin, path) = (self.admin.clone(), format!("/admin/v2/{path}"));
        let asking = spawn_blocking(move || admin.ask(method, &path, &told));
        asking.await.unwrap()
    }

    async fn must(&self, method: &'static str, path: String, told: Value) -> Value {
        let answer = self.ask(method, &path, told).await;
        answer.unwrap_or_else(|why| panic!("{why}"))
    }

    /// Makes a topic without partitions, which no other test and no other run uses, and returns its full name.
    pub async fn topic(&self, what: &str) -> String {
        let topic = format!("persistent://public/default/{}", unique(what));
        self.must("PUT", path(&topic), Value::Null).await;
        topic
    }

    /// The same with so many partitions.
    pub async fn partitioned(&self, what: &str, count: u32) -> String {
        let topic = format!("persistent://public/default/{}", unique(what));
        self.partition(&topic, count).await;
        topic
    }

    /// Makes a topic of this name with so many partitions.
    pub async fn partition(&self, topic: &str, count: u32) {
        let path = format!("{}/partitions", path(topic));
        self.must("PUT", path, count.into()).await;
    }

    /// Has a topic have so many partitions, more than before.
    pub async fn grow(&self, topic: &str, count: u32) {
        let path = format!("{}/partitions", path(topic));
        self.must("POST", path, count.into()).await;
    }

    /// How many partitions a topic has; 0 if it has none.
    pub async fn partitions(&self, topic: &str) -> u64 {
        let path = format!("{}/partitions", path(topic));
        let answer = self.must("GET", path, Value::Null).await;
        let count = answer.get("partitions").and_then(Value::as_u64);
        count.unwrap()
    }

    /// Makes a subscription that begins at the first message.
    pub async fn subscribe(&self, topic: &str, subscription: &str) {
        let path = format!("{}/subscription/{subscription}", path(topic));
        self.must("PUT", path, "earliest".into()).await;
    }

    /// Has the broker let go of a topic: who uses it is told to look it up again.
    pub async fn unload(&self, topic: &str) {
        let path = format!("{}/unload", path(topic));
        self.must("PUT", path, Value::Null).await;
    }

    /// Ends a topic: nobody sends to it any more, and what is there can be consumed.
    pub async fn terminate(&self, topic: &str) {
        let path = format!("{}/terminate", path(topic));
        self.must("POST", path, Value::Null).await;
    }

    /// Takes a topic away from whoever uses it.
    pub async fn delete(&self, topic: &str) {
        let path = format!("{}?force=true", path(topic));
        self.must("DELETE", path, Value::Null).await;
    }

    /// What the broker knows about a topic, its producers and its subscriptions.
    pub async fn stats(&self, topic: &str) -> Value {
        let path = format!("{}/stats", path(topic));
        self.must("GET", path, Value::Null).await
    }

    /// The same of how its messages and its subscriptions' places are stored.
    pub async fn internal_stats(&self, topic: &str) -> Value {
        let path = format!("{}/internalStats", path(topic));
        self.must("GET", path, Value::Null).await
    }

    /// How many entries, batches as one, a subscription of a topic without partitions has not acknowledged.
    pub async fn backlog(&self, topic: &str, subscription: &str) -> u64 {
        let stats = self.stats(topic).await;
        let known = stats
            .get("subscriptions")
            .and_then(|all| all.get(subscription));
        let found = known.and_then(|one| one.get("msgBacklog")?.as_u64());
        found.unwrap_or_else(|| panic!("no subscription {subscription} in {stats}"))
    }

    /// Makes a namespace that no other test uses: `public/<what>…`, for its settings.
    pub async fn namespace(&self, what: &str) -> String {
        let namespace = format!("public/{}", unique(what));
        let path = format!("namespaces/{namespace}");
        self.must("PUT", path, json!({})).await;
        namespace
    }

    /// Whether the broker throws away what was sent twice to a topic of a namespace.
    pub async fn deduplicate(&self, namespace: &str, on: bool) {
        let path = format!("namespaces/{namespace}/deduplication");
        self.must("POST", path, on.into()).await;
    }

    /// Lets a role do these things, `produce` and `consume` among them, in a namespace.
    pub async fn permit(&self, namespace: &str, role: &str, actions: &[&str]) {
        let path = format!("namespaces/{namespace}/permissions/{role}");
        self.must("POST", path, actions.into()).await;
    }

    /// Takes a role's permissions away.
    pub async fn revoke(&self, namespace: &str, role: &str) {
        let path = format!("namespaces/{namespace}/permissions/{role}");
        self.must("DELETE", path, Value::Null).await;
    }

    /// Lets no more than so many bytes lie unacknowledged in a topic of a namespace; `policy` is what happens to producers then,
    /// `producer_exception` or `producer_request_hold`. Looked at once a second.
    pub async fn quota(&self, namespace: &str, bytes: u64, policy: &str) {
        let path =
            format!("namespaces/{namespace}/backlogQuota?backlogQuotaType=destination_storage");
        let quota = json!({ "limitSize": bytes, "limitTime": -1, "policy": policy });
        self.must("POST", path, quota).await;
    }
}

/// `persistent/public/default/orders`, of whatever form of the name.
fn path(topic: &str) -> String {
    let (domain, name) = topic.split_once("://").unwrap_or(("persistent", topic));
    if name.contains('/') {
        return format!("{domain}/{name}");
    }
    format!("{domain}/public/default/{name}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_topic_may_be_named_in_short() {
        for (topic, expected) in [
            ("t", "persistent/public/default/t"),
            ("a/b/t", "persistent/a/b/t"),
            ("non-persistent://a/b/t", "non-persistent/a/b/t"),
        ] {
            assert_eq!(path(topic), expected);
        }
    }
}
