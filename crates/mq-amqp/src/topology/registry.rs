//! What a client has declared, in the order in which it did.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;

use super::{Binding, Exchange, Queue};

/// Remembers what is to be declared again. What was deleted, by us or with its last user, is forgotten.
// rabbitmq-java-client: AutorecoveringConnection.maybeDeleteRecordedAutoDeleteQueue, …Exchange
#[derive(Debug, Default)]
pub(crate) struct Registry(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    /// By the order of their declaration, under numbers that are not used twice.
    items: BTreeMap<u64, Item>,
    numbers: u64,
    /// Names of the broker's choice that have changed: the one that was given, and the present one.
    renamed: Vec<(ByteString, ByteString)>,
    /// Our consumers, a queue each.
    consumers: Vec<ByteString>,
}

#[derive(Debug, Clone)]
pub(super) enum Item {
    Exchange(Exchange),
    /// With its present name.
    Queue(Queue, ByteString),
    Binding(Binding),
}

impl Registry {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was declared next after the item of this number, from 0 on; whatever is declared or forgotten meanwhile.
    pub(super) fn after(&self, number: u64) -> Option<(u64, Item)> {
        let state = self.state();
        let mut later = state.items.range(number + 1..);
        later.next().map(|(number, item)| (*number, item.clone()))
    }

    /// Whether it is an exclusive queue, or one's binding: those are the connection's that declared the queue.
    pub(super) fn is_of_one_connection(&self, item: &Item) -> bool {
        let own = |queue: &Queue| queue.exclusive || queue.name().is_empty();
        match item {
            Item::Exchange(_) => false,
            Item::Queue(queue, _) => own(queue),
            Item::Binding(binding) => {
                binding.is_queue
                    && self.state().items.values().any(|item| {
                        matches!(item, Item::Queue(queue, name) if *name == binding.destination && own(queue))
                    })
            }
        }
    }

    pub(super) fn exchange(&self, exchange: Exchange) {
        let mut state = self.state();
        let same = |item: &Item| matches!(item, Item::Exchange(it) if it.name == exchange.name);
        match state.items.values_mut().find(|item| same(item)) {
            Some(item) => *item = Item::Exchange(exchange),
            None => state.push(Item::Exchange(exchange)),
        }
    }

    pub(super) fn queue(&self, queue: Queue, name: ByteString) {
        let mut state = self.state();
        let same = |item: &Item| matches!(item, Item::Queue(_, it) if *it == name);
        match state.items.values_mut().find(|item| same(item)) {
            Some(item) => *item = Item::Queue(queue, name),
            None => state.push(Item::Queue(queue, name)),
        }
    }

    pub(super) fn binding(&self, binding: Binding) {
        let mut state = self.state();
        if !state
            .items
            .values()
            .any(|item| matches!(item, Item::Binding(it) if *it == binding))
        {
            state.push(Item::Binding(binding));
        }
    }

    pub(super) fn forget_binding(&self, binding: &Binding) {
        self.state().forget_binding(binding);
    }

    pub(super) fn forget_queue(&self, name: &str) {
        self.state().forget_queue(name);
    }

    pub(super) fn forget_exchange(&self, name: &str) {
        self.state().forget_exchange(name);
    }

    /// The name that a queue of the broker's naming has now.
    pub(crate) fn present(&self, name: &ByteString) -> ByteString {
        let state = self.state();
        let renamed = state.renamed.iter().find(|(given, _)| given == name);
        renamed.map_or_else(|| name.clone(), |(_, present)| present.clone())
    }

    /// A queue has another name now; its bindings follow.
    pub(super) fn rename(&self, old: &ByteString, new: &ByteString) {
        let mut state = self.state();
        for item in state.items.values_mut() {
            match item {
                Item::Queue(_, name) if name == old => *name = new.clone(),
                Item::Binding(binding) if binding.is_queue && binding.destination == *old => {
                    binding.destination = new.clone();
                }
                _ => {}
            }
        }
        match state.renamed.iter_mut().find(|(_, present)| present == old) {
            Some((_, present)) => *present = new.clone(),
            None => state.renamed.push((old.clone(), new.clone())),
        }
    }

    pub(crate) fn consumer_begun(&self, queue: &ByteString) {
        self.state().consumers.push(queue.clone());
    }

    /// A consumer of ours is closed; the broker deletes an auto-delete queue with its last one.
    pub(crate) fn consumer_ended(&self, queue: &ByteString) {
        let present = self.present(queue);
        let mut state = self.state();
        if let Some(at) = state.consumers.iter().position(|it| it == queue) {
            state.consumers.swap_remove(at);
        }
        let last = !state.consumers.contains(queue);
        let goes = |item: &Item| matches!(item, Item::Queue(it, name) if it.auto_delete && *name == present);
        if last && state.items.values().any(goes) {
            state.forget_queue(&present);
        }
    }
}

impl State {
    fn push(&mut self, item: Item) {
        self.numbers += 1;
        self.items.insert(self.numbers, item);
    }

    fn forget_queue(&mut self, name: &str) {
        self.items
            .retain(|_, item| !matches!(item, Item::Queue(_, it) if it == name));
        self.forget_bindings(|binding| binding.is_queue && binding.destination == name);
    }

    fn forget_exchange(&mut self, name: &str) {
        self.items
            .retain(|_, item| !matches!(item, Item::Exchange(it) if it.name == name));
        self.forget_bindings(|binding| {
            binding.source == name || !binding.is_queue && binding.destination == name
        });
    }

    fn forget_binding(&mut self, gone: &Binding) {
        self.forget_bindings(|binding| binding == gone);
    }

    /// An auto-delete exchange is gone with its last binding.
    fn forget_bindings(&mut self, goes: impl Fn(&Binding) -> bool) {
        let mut sources = Vec::new();
        self.items.retain(|_, item| match item {
            Item::Binding(binding) if goes(binding) => {
                sources.push(binding.source.clone());
                false
            }
            _ => true,
        });
        for source in sources {
            let used = self
                .items
                .values()
                .any(|item| matches!(item, Item::Binding(it) if it.source == source));
            let goes = |item: &Item| matches!(item, Item::Exchange(it) if it.auto_delete && it.name == source);
            if !used && self.items.values().any(goes) {
                self.forget_exchange(&source);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(registry: &Registry) -> Vec<String> {
        let name = |item: &Item| match item {
            Item::Exchange(it) => format!("exchange {}", it.name),
            Item::Queue(_, name) => format!("queue {name}"),
            Item::Binding(it) => format!("{} to {}", it.destination, it.source),
        };
        let mut number = 0;
        let next = || {
            let (found, item) = registry.after(number)?;
            number = found;
            Some(name(&item))
        };
        std::iter::from_fn(next).collect()
    }

    #[test]
    fn what_was_deleted_is_forgotten_with_what_hung_on_it() {
        let registry = Registry::default();
        registry.exchange(Exchange::topic("a").auto_delete());
        registry.exchange(Exchange::topic("b"));
        registry.queue(Queue::classic("q"), "q".into());
        registry.binding(Binding::exchange("a").to("b"));
        registry.binding(Binding::queue("q").to("a"));
        registry.binding(Binding::queue("q").to("b"));
        registry.forget_queue("q");
        assert_eq!(names(&registry), ["exchange b"]);
    }

    #[test]
    fn what_goes_meanwhile_does_not_hide_what_comes_next() {
        let registry = Registry::default();
        for name in ["a", "b", "c"] {
            registry.queue(Queue::classic(name), name.into());
        }
        let (at, _) = registry.after(0).unwrap();
        registry.forget_queue("a");
        let (at, next) = registry.after(at).unwrap();
        assert!(matches!(next, Item::Queue(_, name) if name == "b"));
        registry.forget_queue("c");
        registry.queue(Queue::classic("d"), "d".into());
        let (_, next) = registry.after(at).unwrap();
        assert!(matches!(next, Item::Queue(_, name) if name == "d"));
    }

    #[test]
    fn an_auto_delete_queue_is_forgotten_with_its_last_consumer() {
        let registry = Registry::default();
        registry.queue(Queue::classic("q").auto_delete(), "q".into());
        registry.consumer_begun(&"q".into());
        registry.consumer_begun(&"q".into());
        registry.consumer_ended(&"q".into());
        assert_eq!(names(&registry), ["queue q"]);
        registry.consumer_ended(&"q".into());
        assert!(names(&registry).is_empty());
    }

    #[test]
    fn bindings_and_consumers_follow_a_new_name_twice() {
        let registry = Registry::default();
        registry.queue(Queue::temporary(), "one".into());
        registry.binding(Binding::queue("one").to("x"));
        registry.rename(&"one".into(), &"two".into());
        registry.rename(&"two".into(), &"three".into());
        assert_eq!(names(&registry), ["queue three", "three to x"]);
        assert_eq!(registry.present(&"one".into()), "three");
        assert_eq!(registry.present(&"other".into()), "other");
    }
}
