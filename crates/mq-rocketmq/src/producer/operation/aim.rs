//! Where an attempt goes, and when it is its turn.

use std::sync::Arc;

use super::{Operation, Stage};
use crate::auth::Hope;
use crate::conn::TopicRoute;
use crate::error::Error;
use crate::producer::ending::{Failed, no_turn, overtaken};
use crate::producer::lanes::Left;
use crate::producer::target::Target;
use crate::producer::timed;

impl Operation {
    /// One before it in its lane failed.
    pub(in crate::producer) fn is_overtaken(mut self: Box<Self>, cause: Error) {
        if let Some(payload) = self.payload.take() {
            let error = overtaken(cause);
            self.leave(Err(Failed { error, payload }), Left::Gone);
        }
    }

    /// It waited in its lane until its time was over.
    pub(in crate::producer) fn turn_missed(self: Box<Self>) {
        self.give_up(no_turn());
    }

    /// There is room, and it is its turn.
    pub(in crate::producer) fn go(mut self: Box<Self>) {
        self.stage = Stage::Goes;
        if let Some(slot) = &self.slot {
            // While it waited, the topic may have got more queues.
            if let Some(route) = self.known_route()
                && let Ok(target) = Target::of_lane(&self.producer, &route, &slot.lane)
                && target != self.target
            {
                self.target = target;
                self.encode();
            }
        } else if !self.target.is_well(&self.producer.client) {
            // Its broker may have gone.
            self.aim(None);
            self.encode();
        }
        self.submit();
    }

    /// Makes the next attempt, at another broker if there is one and it may. Called by the retry task.
    pub(in crate::producer) fn again(mut self: Box<Self>) {
        if self.stays() {
            self.find_broker();
        } else {
            let last = Arc::clone(&self.target.queue.broker);
            self.aim(Some(&last));
        }
        self.attempt += 1;
        self.hope = Hope::None;
        self.encode();
        self.submit();
    }

    /// Chooses again, if the route is still known.
    fn aim(&mut self, avoid: Option<&str>) {
        let route = self.route();
        if let Some(target) = route.and_then(|route| Target::choose(&self.producer, &route, avoid))
        {
            self.target = target;
        }
    }

    /// Whether its broker is never changed: it keeps an order, or is half a transaction.
    const fn stays(&self) -> bool {
        self.slot.is_some() || self.packed.is_half()
    }

    /// Its broker may have another address by now.
    fn find_broker(&mut self) {
        let route = self.known_route();
        if let Some(at) = route.and_then(|route| route.master(&self.target.queue.broker).cloned()) {
            self.target.endpoint = at;
        }
    }

    /// Whether the next attempt would reach another broker than the last, one that is not in trouble.
    pub(in crate::producer) fn has_alternative(&self) -> bool {
        let Some(route) = self.route().filter(|_| !self.stays()) else {
            return false;
        };
        self.target.has_alternative(&self.producer, &route)
    }

    /// The route, if it is still known, as far as what is scheduled may go by it.
    fn route(&self) -> Option<Arc<TopicRoute>> {
        let plan = self.packed.plan.as_ref();
        timed::usable(&self.producer.client, plan, self.known_route()?)
    }

    fn known_route(&self) -> Option<Arc<TopicRoute>> {
        let routes = &self.producer.client.routes;
        routes.cached_for_publishing(&self.topic)
    }
}
