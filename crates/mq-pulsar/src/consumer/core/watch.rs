//! Which partitions this consumer has for itself, and who is told.

use tokio::sync::broadcast;

use super::{Core, Part};
use crate::consumer::events::{ConsumerEvent, ConsumerEvents};

impl Core {
    /// What happens from now on, after how it is now.
    pub(in crate::consumer) fn events(&self) -> ConsumerEvents {
        let state = self.state();
        let known = state.parts.iter();
        let first = known.filter_map(|part| Some(activity(&part.topic, part.active?)));
        ConsumerEvents::new(first.collect(), self.events.subscribe())
    }
}

impl Part {
    /// The broker has said whether this consumer is the one that has the partition, or can't say so any more.
    pub(super) fn activate(
        &mut self,
        active: Option<bool>,
        events: &broadcast::Sender<ConsumerEvent>,
    ) {
        let was = std::mem::replace(&mut self.active, active);
        let tell = match active {
            Some(_) => was != active,
            None => was == Some(true),
        };
        if tell {
            // Nobody has to listen.
            let _ = events.send(activity(&self.topic, active == Some(true)));
        }
    }
}

fn activity(topic: &str, active: bool) -> ConsumerEvent {
    let topic = topic.to_owned();
    if active {
        ConsumerEvent::Active { topic }
    } else {
        ConsumerEvent::Inactive { topic }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_changes_are_told_and_a_lost_broker_ends_it() {
        let (events, mut told) = broadcast::channel(8);
        let mut part = Part::new("t".into(), None);
        for active in [
            None,
            Some(false),
            Some(false),
            Some(true),
            Some(true),
            None,
            None,
        ] {
            part.activate(active, &events);
        }
        let expected = [
            activity("t", false),
            activity("t", true),
            activity("t", false),
        ];
        for event in expected {
            assert_eq!(told.try_recv().unwrap(), event);
        }
        assert!(told.try_recv().is_err(), "and nothing else");
    }
}
