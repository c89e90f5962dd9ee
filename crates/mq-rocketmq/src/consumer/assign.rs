//! Which queues of a topic are this consumer's, when every member of the group works it out alone.
//!
//! All members, whatever their language, have to come to the same split from the same lists, or queues are read twice or never. So
//! order and arithmetic are Java's to the letter.

use std::cmp::Ordering;

/// Java's order of strings: by UTF-16 code unit.
// apache/rocketmq: RebalanceImpl sorts ids with Collections.sort and queues by MessageQueue.compareTo; both use String.compareTo
pub(crate) fn java_order(a: &str, b: &str) -> Ordering {
    a.encode_utf16().cmp(b.encode_utf16())
}

/// The slice of `queues` that `own` takes, as Java's default strategy splits them; `None` if `own` is not among the `ids`, when the
/// list is too old to decide by.
///
/// Both lists come in any order; `by` gives a queue's broker name and number.
// apache/rocketmq: AllocateMessageQueueAveragely, the first `queues mod ids` members take one more
pub(crate) fn averagely<Q: Clone>(
    own: &str,
    ids: &[String],
    queues: &[Q],
    by: impl Fn(&Q) -> (&str, i32),
) -> Option<Vec<Q>> {
    let mut ids: Vec<&str> = ids.iter().map(String::as_str).collect();
    ids.sort_unstable_by(|a, b| java_order(a, b));
    ids.dedup();
    let index = ids.iter().position(|id| *id == own)?;

    let mut queues = queues.to_vec();
    queues.sort_unstable_by(|a, b| {
        let ((a_broker, a_id), (b_broker, b_id)) = (by(a), by(b));
        java_order(a_broker, b_broker).then(a_id.cmp(&b_id))
    });

    let (share, rest) = (queues.len() / ids.len(), queues.len() % ids.len());
    let start = index * share + index.min(rest);
    let len = share + usize::from(index < rest);
    Some(queues.into_iter().skip(start).take(len).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Queue = (String, i32);

    fn queues(count: usize) -> Vec<Queue> {
        (0..count)
            .map(|n| (format!("broker-{}", n % 2), i32::try_from(n / 2).unwrap()))
            .collect()
    }

    fn ids(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("10.0.0.{n}@1")).collect()
    }

    fn split(own: &str, ids: &[String], queues: &[Queue]) -> Option<Vec<Queue>> {
        averagely(own, ids, queues, |(broker, id)| (broker, *id))
    }

    /// Java's own words, index by index.
    fn java(index: usize, ids: usize, queues: &[Queue]) -> Vec<Queue> {
        let (size, ids, index) = (
            i64::try_from(queues.len()).unwrap(),
            i64::try_from(ids).unwrap(),
            i64::try_from(index).unwrap(),
        );
        let rest = size % ids;
        let average = if size <= ids {
            1
        } else if rest > 0 && index < rest {
            size / ids + 1
        } else {
            size / ids
        };
        let start = if rest > 0 && index < rest {
            index * average
        } else {
            index * average + rest
        };
        let range = average.min(size - start);
        (0..range.max(0))
            .map(|n| queues[usize::try_from(start + n).unwrap()].clone())
            .collect()
    }

    #[test]
    fn splits_as_java_does() {
        for members in 1..12 {
            for count in 0..20 {
                let mut sorted = queues(count);
                sorted.sort();
                let names = ids(members);
                let mut order = names.clone();
                order.sort();
                for own in &names {
                    let index = order.iter().position(|id| id == own).unwrap();
                    assert_eq!(
                        split(own, &names, &queues(count)).unwrap(),
                        java(index, members, &sorted),
                        "{own} of {members}, {count} queues"
                    );
                }
            }
        }
    }

    #[test]
    fn more_consumers_than_queues_leaves_some_empty() {
        let all: Vec<usize> = ids(5)
            .iter()
            .map(|own| split(own, &ids(5), &queues(3)).unwrap().len())
            .collect();
        assert_eq!(all, [1, 1, 1, 0, 0]);
    }

    #[test]
    fn a_list_without_us_decides_nothing() {
        assert_eq!(split("me", &ids(3), &queues(8)), None);
        assert_eq!(split("me", &[], &queues(8)), None);
    }

    #[test]
    fn brokers_sort_by_name_and_queues_by_number() {
        let mixed = vec![
            ("b10".to_owned(), 10),
            ("b2".to_owned(), 0),
            ("b10".to_owned(), 9),
        ];
        let own = ["x".to_owned()];
        let got = split("x", &own, &mixed).unwrap();
        assert_eq!(
            got,
            [
                ("b10".to_owned(), 9),
                ("b10".to_owned(), 10),
                ("b2".to_owned(), 0)
            ]
        );
        // U+FF5E is after U+1F600 as code points go, and before it in neither: UTF-16 puts the surrogate first.
        assert_eq!(java_order("\u{1F600}", "\u{FF5E}"), Ordering::Less);
    }

    proptest! {
        #[test]
        fn every_queue_has_exactly_one_owner(members in 1_usize..40, count in 0_usize..200) {
            let names = ids(members);
            let mut taken: Vec<Queue> =
                names.iter().flat_map(|own| split(own, &names, &queues(count)).unwrap()).collect();
            taken.sort();
            let mut all = queues(count);
            all.sort();
            prop_assert_eq!(taken, all);
        }
    }
}
