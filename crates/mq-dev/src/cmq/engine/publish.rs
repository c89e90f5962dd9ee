//! Publishing: each message goes to the subscriptions that want it, and is kept nowhere else.

use std::collections::HashMap;

use mq_cmq::proto::ErrorCode;
use mq_cmq::proto::limits::{self, Refusal};

use super::push::Waiting;
use super::queue::weight;
use super::queues::{check_bodies, check_heap};
use super::{Body, Engine, QueueKey, Result, folded, matches};
use crate::cmq::spec::{Filter, SubscriptionSpec, Target};

impl Engine {
    /// Hands messages to the subscriptions that want them; their ids.
    ///
    /// # Errors
    /// What the service would refuse; nobody is subscribed, or nobody wants them.
    pub(crate) fn publish(
        &mut self,
        now: u64,
        name: &str,
        bodies: &[&str],
        tags: &[&str],
        routing_key: Option<&str>,
    ) -> Result<Vec<u64>> {
        self.advance(now);
        let topic = self.topic(name)?;
        check_bodies(bodies, topic.spec.max_body)?;
        limits::tags(tags)?;
        let routing_key = routing_key.filter(|key| !key.is_empty());
        routing_key.map_or(Ok(()), limits::routing_key)?;
        let filter = topic.spec.filter;
        if filter == Filter::Routing && routing_key.is_none() {
            let message = "the topic filters by routing keys, and there is none";
            return Err(Refusal::new(ErrorCode::ROUTING_KEY_MISSING, message));
        }
        let all = topic.subscriptions.values().map(|one| &one.spec);
        // What leads to a queue that was deleted leads nowhere.
        let live: Vec<&SubscriptionSpec> = all.filter(|spec| self.leads_somewhere(spec)).collect();
        if live.is_empty() {
            let message = "topic has no subscription whose queue exists: the message is not kept";
            return Err(Refusal::new(ErrorCode::NO_SUBSCRIPTION, message));
        }
        let wanted = |spec: &&SubscriptionSpec| wants(spec, filter, tags, routing_key);
        let chosen: Vec<SubscriptionSpec> = live.into_iter().filter(wanted).cloned().collect();
        if chosen.is_empty() {
            let message = "no subscription matches: the message is not kept";
            return Err(Refusal::new(ErrorCode::NOTHING_MATCHES, message));
        }
        self.check_targets(&chosen, bodies)?;
        let size: usize = bodies.iter().map(|body| weight(body)).sum();
        self.check_memory(size.saturating_mul(chosen.len()))?;
        let urls = chosen
            .iter()
            .filter(|one| matches!(one.target, Target::Url(_)));
        if self.push_http && self.pushes.len() + urls.count() * bodies.len() > self.limits.pushes {
            let message = format!("{} messages wait to be pushed already", self.pushes.len());
            return Err(Refusal::new(ErrorCode::HEAP_FULL, message));
        }
        let mut ids = Vec::with_capacity(bodies.len());
        for body in bodies {
            let id = self.ids.message();
            ids.push(id);
            let body = Body::from(*body);
            for one in &chosen {
                self.hand_over(one, id, &body, tags);
            }
        }
        for one in &chosen {
            if let Target::Queue(queue) = &one.target
                && let Ok(key) = self.key(queue)
            {
                self.settle(key, Vec::new());
            }
        }
        self.pushes_due();
        Ok(ids)
    }

    fn leads_somewhere(&self, spec: &SubscriptionSpec) -> bool {
        match &spec.target {
            Target::Queue(queue) => self.key(queue).is_ok(),
            Target::Url(_) => true,
        }
    }

    /// That each queue takes what it would get: a publish that one of them refuses reaches none, so that nothing is lost and who publishes
    /// it again makes no duplicates.
    fn check_targets(&self, chosen: &[SubscriptionSpec], bodies: &[&str]) -> Result<()> {
        let mut coming: HashMap<QueueKey, usize> = HashMap::new();
        for spec in chosen {
            let Target::Queue(name) = &spec.target else {
                continue;
            };
            let key = self.key(name)?;
            let coming = coming.entry(key).or_default();
            *coming += bodies.len();
            if let Some(queue) = self.queues.get(&key) {
                let its = |refusal: Refusal| {
                    let message = format!("{}, of the subscription {}", refusal.message, spec.name);
                    Refusal::new(refusal.code, message)
                };
                check_bodies(bodies, queue.spec().max_body).map_err(its)?;
                check_heap(queue, *coming).map_err(its)?;
            }
        }
        Ok(())
    }

    fn hand_over(&mut self, to: &SubscriptionSpec, id: u64, body: &Body, tags: &[&str]) {
        match &to.target {
            Target::Queue(queue) => {
                // It exists: see `leads_somewhere`.
                if let Ok(key) = self.key(queue) {
                    let now = self.now;
                    self.enqueue(key, id, body, now);
                }
            }
            Target::Url(_) if self.push_http => {
                let waiting = Waiting {
                    topic: folded(&to.topic),
                    subscription: folded(&to.name),
                    id,
                    body: Body::clone(body),
                    tags: tags.join(", "),
                    published: self.now,
                    tries: 0,
                };
                let now = self.now;
                let push = self.ids.push();
                self.pushes.add(push, now, waiting);
            }
            Target::Url(_) => tracing::info!(
                target: "mq_dev::cmq::push",
                topic = to.topic,
                subscription = to.name,
                id,
                "push: refused, this server does not push to URLs"
            ),
        }
    }
}

fn wants(spec: &SubscriptionSpec, filter: Filter, tags: &[&str], key: Option<&str>) -> bool {
    match filter {
        Filter::Tags => {
            spec.tags.is_empty() || spec.tags.iter().any(|tag| tags.contains(&tag.as_str()))
        }
        Filter::Routing => spec
            .binding_keys
            .iter()
            .any(|pattern| matches(pattern, key.unwrap_or_default())),
    }
}
