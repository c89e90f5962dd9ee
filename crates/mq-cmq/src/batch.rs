//! Batches: which items go together, and whose result is whose.

use std::time::SystemTime;

use crate::error::{Error, Result, SendError, closed};
use crate::message::Receipt;

/// One item of a batch.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Item<K> {
    /// Its place in what was given.
    pub(crate) place: usize,
    /// Only items with the same one can go together.
    pub(crate) key: K,
    /// In bytes.
    pub(crate) size: usize,
}

/// Items that go together.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Together<K> {
    pub(crate) key: K,
    /// In the order in which they were given.
    pub(crate) places: Vec<usize>,
    size: usize,
}

/// Cuts items into requests: up to `most` of the same key, up to `bytes` together; an item that is larger goes alone.
pub(crate) fn cut<K: PartialEq + Copy>(
    items: impl IntoIterator<Item = Item<K>>,
    most: usize,
    bytes: usize,
) -> Vec<Together<K>> {
    let mut requests: Vec<Together<K>> = Vec::new();
    for item in items {
        // The last one of its key: a smaller item does not overtake, so that messages of a key are sent in their order.
        let last = requests.iter_mut().rfind(|it| it.key == item.key);
        match last {
            Some(it) if it.places.len() < most && it.size.saturating_add(item.size) <= bytes => {
                it.places.push(item.place);
                it.size += item.size;
            }
            _ => requests.push(Together {
                key: item.key,
                places: vec![item.place],
                size: item.size,
            }),
        }
    }
    requests
}

/// Cuts a request into halves until each part `fits`; one item is not cut.
pub(crate) fn halve<T>(items: &[T], fits: impl Fn(&[T]) -> bool) -> Vec<&[T]> {
    let (mut parts, mut rest) = (Vec::new(), vec![items]);
    while let Some(some) = rest.pop() {
        if some.len() <= 1 || fits(some) {
            parts.push(some);
        } else {
            let (first, second) = some.split_at(some.len() / 2);
            rest.extend([second, first]);
        }
    }
    parts
}

/// A result for each message, in their order.
pub(crate) struct Results(Vec<Option<Result<Receipt>>>);

impl Results {
    pub(crate) fn of(count: usize) -> Self {
        Self((0..count).map(|_| None).collect())
    }

    /// The message was not sent.
    pub(crate) fn fail(&mut self, place: usize, error: Error) {
        self.put(place, Err(error));
    }

    /// A request was answered with an id for each of its messages, or failed for all.
    pub(crate) fn spread(
        &mut self,
        places: &[usize],
        ids: Result<Vec<String>>,
        due: Option<SystemTime>,
    ) {
        match ids {
            Ok(ids) => {
                for (place, id) in places.iter().zip(ids) {
                    self.put(*place, Ok(Receipt::new(id, due)));
                }
            }
            Err(error) => {
                for place in places {
                    self.put(*place, Err(error.clone()));
                }
            }
        }
    }

    /// The results, with the messages that failed.
    pub(crate) fn with<M>(self, messages: Vec<M>) -> Vec<Result<Receipt, SendError<M>>> {
        let each = self.0.into_iter().zip(messages);
        each.map(|(result, message)| {
            // Each place is in one request, and each request fills all of its places.
            let result = result.unwrap_or_else(|| Err(closed("send")));
            result.map_err(|error| SendError::new(error, message))
        })
        .collect()
    }

    fn put(&mut self, place: usize, result: Result<Receipt>) {
        if let Some(slot) = self.0.get_mut(place) {
            *slot = Some(result);
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn places(items: &[(u8, usize)], most: usize, bytes: usize) -> Vec<Vec<usize>> {
        let items = items.iter().enumerate();
        let items = items.map(|(place, (key, size))| Item {
            place,
            key: *key,
            size: *size,
        });
        let cut = cut(items, most, bytes);
        cut.into_iter().map(|it| it.places).collect()
    }

    #[test]
    fn cuts_by_count_bytes_and_key() {
        assert_eq!(
            places(&[(0, 1); 5], 2, 100),
            [vec![0, 1], vec![2, 3], vec![4]]
        );
        let sizes = [(0, 60), (0, 40), (0, 1), (0, 200), (0, 1)];
        assert_eq!(
            places(&sizes, 16, 100),
            [vec![0, 1], vec![2], vec![3], vec![4]]
        );
        let keys = [(0, 1), (1, 1), (0, 1), (1, 1)];
        assert_eq!(places(&keys, 16, 100), [vec![0, 2], vec![1, 3]]);
        assert!(places(&[], 16, 100).is_empty());
    }

    #[test]
    fn halves_until_it_fits() {
        let fits = |some: &[u32]| some.iter().sum::<u32>() <= 6;
        let parts = halve(&[1, 2, 3, 4, 9, 5], fits);
        assert_eq!(parts, [&[1, 2, 3][..], &[4], &[9], &[5]]);
        assert_eq!(halve(&[6], fits), [&[6][..]]);
    }

    proptest! {
        #[test]
        fn each_item_goes_once_within_the_limits(items in proptest::collection::vec((0_u8..3, 0_usize..150), 0..80)) {
            let cut = places(&items, 16, 100);
            let mut all = cut.concat();
            all.sort_unstable();
            prop_assert_eq!(all, (0..items.len()).collect::<Vec<_>>());
            for request in cut {
                let size: usize = request.iter().map(|at| items[*at].1).sum();
                prop_assert!(request.len() == 1 || (request.len() <= 16 && size <= 100));
                prop_assert!(request.iter().all(|at| items[*at].0 == items[request[0]].0));
                prop_assert!(request.is_sorted());
            }
        }
    }
}
