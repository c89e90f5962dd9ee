//! What TCP needs beside the pool: gateways, routes to them, and who answers what they ask.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use mq_core::{Endpoint, ErrorKind, Outcome, Retry};
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::Shared;
use crate::conn::Gateways;
use crate::error::{Error, Result, failed};
use crate::proto::Action;
use crate::proto::action::{Destination, QueryQueueRoute, QueryTopicRoute, Route};

/// See the module.
pub(crate) struct Carrier {
    pub(super) gateways: Gateways,
    pub(super) routes: Routes,
    /// One asks for a route at a time, and those behind find it.
    asking: Semaphore,
}

impl Carrier {
    /// `fixed`: the gateways of everything, where the service's own addresses can't be reached from here.
    pub(crate) fn new(gateways: Gateways, fixed: Vec<Endpoint>) -> Self {
        Self {
            gateways,
            routes: Routes {
                fixed,
                known: Mutex::default(),
            },
            asking: Semaphore::new(1),
        }
    }

    pub(super) fn close(&self) {
        self.gateways.close();
    }
}

/// Which gateways serve what.
pub(super) struct Routes {
    fixed: Vec<Endpoint>,
    known: Mutex<Known>,
}

#[derive(Default)]
struct Known {
    queues: HashMap<String, Served>,
    topics: HashMap<String, Served>,
    /// Of the fixed ones, the one that is used.
    at: usize,
}

struct Served {
    /// The first is used; never empty.
    gateways: Vec<Endpoint>,
    since: Instant,
}

impl Routes {
    /// The gateways that are known, however long ago they were asked for.
    fn believed(&self, to: Destination<'_>) -> Vec<Endpoint> {
        let mut known = self.known();
        let served = known.of(to).get(name(to));
        served
            .map(|served| served.gateways.clone())
            .unwrap_or_default()
    }

    /// The gateway that is used, if it was asked for not too long ago.
    pub(super) fn current(&self, to: Destination<'_>, now: Instant) -> Option<Endpoint> {
        let mut known = self.known();
        if !self.fixed.is_empty() {
            return self.fixed.get(known.at % self.fixed.len()).cloned();
        }
        let served = known.of(to).get(name(to))?;
        let fresh = now.saturating_duration_since(served.since) < FRESH;
        fresh.then(|| served.gateways.first().cloned()).flatten()
    }

    /// A gateway did not do it: the next one is used, or, behind the last one, a new route.
    pub(super) fn failed(&self, to: Destination<'_>, gateway: &Endpoint) {
        let mut known = self.known();
        if !self.fixed.is_empty() {
            let at = known.at % self.fixed.len();
            if self.fixed.get(at) == Some(gateway) {
                known.at = at + 1;
            }
            return;
        }
        let all = known.of(to);
        if let Some(served) = all.get_mut(name(to)) {
            served.gateways.retain(|it| it != gateway);
            if served.gateways.is_empty() {
                all.remove(name(to));
            }
        }
    }

    fn learn(&self, to: Destination<'_>, gateways: Vec<Endpoint>, now: Instant) -> Vec<Endpoint> {
        let mut known = self.known();
        let served = Served {
            gateways,
            since: now,
        };
        known.of(to).insert(name(to).to_owned(), served);
        let all = known.queues.values().chain(known.topics.values());
        all.flat_map(|it| it.gateways.iter().cloned()).collect()
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    const fn of(&mut self, to: Destination<'_>) -> &mut HashMap<String, Served> {
        match to {
            Destination::Queue(_) => &mut self.queues,
            Destination::Topic(_) => &mut self.topics,
        }
    }
}

const fn name(of: Destination<'_>) -> &str {
    match of {
        Destination::Queue(name) | Destination::Topic(name) => name,
    }
}

impl Shared {
    /// Which gateways serve a queue or topic, in an order of dice: as they are known, or else asked for. While the name server can't be reached, those that
    /// were known before are used on.
    pub(crate) async fn ask_route(
        &self,
        carrier: &Carrier,
        to: Destination<'_>,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Vec<Endpoint>> {
        self.find_route(carrier, to, operation, deadline, false)
            .await
    }

    /// `anew`: asks, whatever is known.
    async fn find_route(
        &self,
        carrier: &Carrier,
        to: Destination<'_>,
        operation: &'static str,
        deadline: Instant,
        anew: bool,
    ) -> Result<Vec<Endpoint>> {
        if !carrier.routes.fixed.is_empty() {
            return Ok(carrier.routes.fixed.clone());
        }
        let left = deadline.saturating_duration_since(self.clock.now());
        let turn = timeout(left, carrier.asking.acquire()).await;
        let _turn = turn.map_err(|_| {
            let late = Error::builder(ErrorKind::Timeout, "no route in time");
            late.operation(operation).endpoint(&self.host).build()
        })?;
        // Somebody else may have asked meanwhile.
        let known = carrier.routes.current(to, self.clock.now());
        if let Some(gateway) = known.filter(|_| !anew) {
            return Ok(vec![gateway]);
        }
        let route = match to {
            Destination::Queue(queue) => {
                let action = QueryQueueRoute { queue };
                self.route(&action, operation, deadline).await
            }
            Destination::Topic(topic) => {
                let action = QueryTopicRoute { topic };
                self.route(&action, operation, deadline).await
            }
        };
        let route = match route {
            Ok(route) => route,
            Err(error) if error.retry() == Retry::Later => {
                let believed = carrier.routes.believed(to);
                if believed.is_empty() {
                    return Err(error);
                }
                tracing::debug!(%error, "no route can be asked for: the known one is used on");
                return Ok(believed);
            }
            Err(error) => return Err(error),
        };
        let gateways = route.gateways.iter().map(|text| {
            Endpoint::parse(text, None)
                .map_err(|why| format!("the route names \"{text}\", which is no address: {why}"))
        });
        let mut gateways: Vec<Endpoint> = gateways.collect::<Result<_, _>>().map_err(|why| {
            let strange = self.not_the_protocol(operation, &why);
            strange.outcome(Outcome::NotSent).build()
        })?;
        fastrand::shuffle(&mut gateways);
        if !gateways.is_empty() {
            let all = carrier.routes.learn(to, gateways.clone(), self.clock.now());
            carrier.gateways.keep_only(&all);
        }
        Ok(gateways)
    }

    async fn route<A: Action<Reply = Route> + Sync>(
        &self,
        action: &A,
        operation: &'static str,
        deadline: Instant,
    ) -> Result<Route> {
        let answered = self.attempt_http(action, operation, deadline).await?;
        self.reply::<A>(&answered, operation)
    }

    /// Has all gateways of a queue stay connected, so that they can ask.
    pub(crate) async fn stay(&self, queue: &str, operation: &'static str) -> Result<()> {
        let Some(carrier) = &self.carrier else {
            return Ok(());
        };
        let deadline = self.clock.now() + self.timeout;
        let to = Destination::Queue(queue);
        for gateway in self
            .find_route(carrier, to, operation, deadline, true)
            .await?
        {
            let stayed = carrier.gateways.stay(&gateway, self.tasks()).await;
            stayed.map_err(|failure| failed(operation, &gateway.to_string(), failure))?;
        }
        Ok(())
    }
}

/// For how long a route is believed while it works.
const FRESH: Duration = Duration::from_secs(300);
