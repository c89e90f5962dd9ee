//! What the Java client allocates, recorded; and what has to hold of any group.
//!
//! ```text
//!   fixtures/java-5.5.0/allocations.jsonl       first line: which client; then one group a line
//!     "brokers":[["r0@a",2],["r1@a",1]]         the queues: places 0, 1 and 2
//!     "answers":{"circle":"0 2|1|"}             client by client, the last is one that the group does not have; ! if Java throws;
//!                                               # and the first 16 digits of its SHA-1 for a long answer
//! ```

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Mutex;

use mq_core::ErrorKind;
use proptest::prelude::*;
use serde_json::Value;
use sha1::{Digest as _, Sha1};

use super::input::java_order;
use super::*;
use crate::name::Namespace;

#[test]
fn every_strategy_answers_as_java_does() {
    let mut lines = FIXTURE
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let header: Value = lines.next().unwrap();
    assert_eq!(header["client"], "V5_5_0");
    let mut seen: BTreeMap<&str, usize> = BTreeMap::new();
    for (number, line) in (2..).zip(lines) {
        let case = Case::read(&line);
        for (name, answer) in line["answers"].as_object().unwrap() {
            let ours = case.answer(name, &case.strategy(name));
            assert_eq!(ours, answer.as_str().unwrap(), "line {number}, {name}");
            let kind = STRATEGIES.iter().find(|kind| name.starts_with(**kind));
            *seen.entry(kind.unwrap()).or_default() += 1;
        }
    }
    for kind in STRATEGIES {
        assert!(
            seen.get(kind).is_some_and(|count| *count >= 200),
            "{seen:?}"
        );
    }
}

/// A group as a broker describes it, and what its strategies are set to.
#[derive(Debug)]
struct Case {
    namespace: Namespace,
    topic: String,
    clients: Vec<String>,
    queues: Vec<QueueId>,
    rooms: Vec<String>,
    config: Vec<QueueRef>,
}

impl Case {
    fn new(brokers: &[(String, i32)], clients: Vec<String>) -> Self {
        Self {
            namespace: Namespace::default(),
            topic: "orders".to_owned(),
            clients,
            queues: queues("orders", brokers),
            rooms: Vec::new(),
            config: Vec::new(),
        }
    }

    fn read(line: &Value) -> Self {
        let field = |name: &str| line[name].as_array().unwrap().iter();
        let text = |value: &Value| value.as_str().unwrap().to_owned();
        let number = |value: &Value| i32::try_from(value.as_i64().unwrap()).unwrap();
        let topic = text(&line["topic"]);
        let brokers: Vec<_> = field("brokers")
            .map(|broker| (text(&broker[0]), number(&broker[1])))
            .collect();
        let queues = queues(&topic, &brokers);
        let queue = |place: &Value| &queues[usize::try_from(number(place)).unwrap()];
        Self {
            namespace: Namespace::default(),
            config: field("config").map(|it| reference(queue(it))).collect(),
            clients: field("clients").map(text).collect(),
            rooms: field("rooms").map(text).collect(),
            topic,
            queues,
        }
    }

    /// The strategy that the fixture calls so.
    fn strategy(&self, name: &str) -> Allocation {
        if let Some(inside) = name.strip_prefix("nearby-") {
            return Allocation::nearby(self.strategy(inside), broker_room, client_room);
        }
        match name.split_once('-').unwrap_or((name, "10")) {
            ("averagely", _) => Allocation::averagely(),
            ("circle", _) => Allocation::circle(),
            ("config", _) => Allocation::fixed(self.config.clone()),
            ("room", _) => Allocation::machine_rooms(self.rooms.clone()),
            ("hash", nodes) => Allocation::consistent_hash(nodes.parse().unwrap()),
            _ => panic!("no strategy is called {name}"),
        }
    }

    fn group<'a>(&'a self, own: &'a str) -> Group<'a> {
        Group {
            namespace: &self.namespace,
            name: "group",
            topic: &self.topic,
            own,
        }
    }

    /// The queues of one client, in the strategy's order.
    fn decide(&self, allocation: &Allocation, own: &str) -> Result<Vec<QueueRef>, Undecided> {
        let group = self.group(own);
        let lists = Lists::new(&group, &self.clients, &self.queues);
        allocation.decide(&lists.input(&group))
    }

    /// The fixture's answer, from our strategy.
    fn answer(&self, name: &str, allocation: &Allocation) -> String {
        let mut asked: Vec<&str> = Vec::new();
        for client in self.clients.iter().map(String::as_str).chain([OUTSIDER]) {
            if !asked.contains(&client) {
                asked.push(client);
            }
        }
        let answers: Vec<String> = asked
            .into_iter()
            .map(|own| match self.decide(allocation, own) {
                Ok(_) if self.queues.is_empty() && name != "config" => "!".to_owned(),
                Ok(queues) => self.places(&queues),
                Err(Undecided::NoRoom(_)) => "!".to_owned(),
                Err(Undecided::Unlisted) if self.queues.is_empty() => "!".to_owned(),
                // Java takes its queues from it, until the next list.
                Err(Undecided::Unlisted) if own == OUTSIDER => String::new(),
                Err(other) => panic!("{own}: {other:?}"),
            })
            .collect();
        let answer = answers.join("|");
        if answer.encode_utf16().count() <= LONGEST {
            return answer;
        }
        let digest = Sha1::digest(answer.as_bytes());
        digest[..8].iter().fold("#".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
    }

    fn places(&self, queues: &[QueueRef]) -> String {
        let place = |queue: &QueueRef| self.queues.iter().position(|it| reference(it) == *queue);
        let places: Vec<_> = queues
            .iter()
            .map(|it| place(it).unwrap().to_string())
            .collect();
        places.join(" ")
    }

    /// How many queues each client has; every queue is somebody's, and nobody else's.
    fn shares(&self, allocation: &Allocation) -> Vec<usize> {
        let owned = self.clients.iter().map(|own| {
            let owned = allocation.allocate(&self.group(own), &self.clients, &self.queues);
            owned.unwrap().unwrap()
        });
        let owned: Vec<Vec<QueueId>> = owned.collect();
        let mut all = owned.concat();
        all.sort();
        let mut queues = self.queues.clone();
        queues.sort();
        assert_eq!(all, queues, "{allocation:?}");
        owned.iter().map(Vec::len).collect()
    }
}

fn queues(topic: &str, brokers: &[(String, i32)]) -> Vec<QueueId> {
    let topic: Arc<str> = topic.into();
    let queues = brokers.iter().flat_map(|(broker, count)| {
        let (topic, broker): (_, Arc<str>) = (&topic, broker.as_str().into());
        (0..*count).map(move |id| QueueId {
            topic: Arc::clone(topic),
            broker: Arc::clone(&broker),
            id,
        })
    });
    queues.collect()
}

fn reference(queue: &QueueId) -> QueueRef {
    QueueRef::new(
        Arc::clone(&queue.topic),
        Arc::clone(&queue.broker),
        queue.id,
    )
}

/// As the recording program has them.
fn broker_room(broker: &str) -> Option<String> {
    broker.split_once('@').map(|(room, _)| room.to_owned())
}

fn client_room(client: &str) -> Option<String> {
    let parts: Vec<&str> = client.splitn(3, '.').collect();
    (parts.len() == 3).then(|| format!("r{}", parts[1]))
}

prop_compose! {
    /// Brokers in three rooms, clients in up to four.
    fn cases()(
        brokers in prop::collection::btree_map((0..3_u8, 0..9_u8), 0..16_i32, 1..5),
        clients in prop::collection::btree_set((0..4_u8, 0..200_u8), 1..21),
    ) -> Case {
        let brokers: Vec<_> = brokers.into_iter()
            .map(|((room, broker), queues)| (format!("r{room}@broker-{broker}"), queues))
            .collect();
        let clients = clients.into_iter().map(|(room, host)| format!("10.{room}.0.{host}@1#2"));
        Case::new(&brokers, clients.collect())
    }
}

fn is_even(shares: &[usize]) -> bool {
    shares.iter().max().unwrap() - shares.iter().min().unwrap() <= 1
}

proptest! {
    #[test]
    fn every_queue_has_exactly_one_owner(case in cases(), virtual_nodes in 1_u16..30) {
        for inside in [
            Allocation::averagely(),
            Allocation::circle(),
            Allocation::consistent_hash(virtual_nodes),
            Allocation::machine_rooms(["r0", "r1", "r2"]),
        ] {
            case.shares(&inside);
            case.shares(&Allocation::nearby(inside, broker_room, client_room));
        }
    }

    #[test]
    fn shares_differ_by_one_at_most(case in cases()) {
        for allocation in [
            Allocation::averagely(),
            Allocation::circle(),
            Allocation::machine_rooms(["r0", "r1", "r2"]),
        ] {
            prop_assert!(is_even(&case.shares(&allocation)), "{:?}", allocation);
        }
        // In each room, of its own queues.
        let nearby = Allocation::nearby(Allocation::circle(), broker_room, client_room);
        for room in ["r0", "r1", "r2", "r3"] {
            let of_room = |own: &&String| client_room(own).as_deref() == Some(room);
            let local = |own: &String| {
                let owned = case.decide(&nearby, own).unwrap();
                owned.iter().filter(|queue| broker_room(queue.broker()).as_deref() == Some(room)).count()
            };
            let shares: Vec<usize> = case.clients.iter().filter(of_room).map(local).collect();
            prop_assert!(shares.is_empty() || is_even(&shares), "{room}: {shares:?}");
        }
    }

    #[test]
    fn lists_may_come_in_any_order(case in cases()) {
        let mut turned = Case::new(&[], case.clients.iter().rev().cloned().collect());
        turned.queues = case.queues.iter().rev().cloned().collect();
        for own in &case.clients {
            for name in ["averagely", "circle", "hash", "nearby-circle"] {
                let allocation = case.strategy(name);
                prop_assert_eq!(turned.decide(&allocation, own), case.decide(&allocation, own));
            }
        }
    }
}

fn two_by_four() -> Case {
    let clients = ["10.0.0.1@1", "10.1.0.1@1"].map(str::to_owned);
    Case::new(&[("r0@a".to_owned(), 4)], clients.to_vec())
}

#[test]
fn a_list_without_us_decides_nothing() {
    let case = two_by_four();
    for name in [
        "averagely",
        "circle",
        "hash",
        "room",
        "nearby-circle",
        "nearby-config",
    ] {
        let allocation = case.strategy(name);
        let group = case.group("me");
        for ids in [&*case.clients, &[]] {
            let answer = allocation.allocate(&group, ids, &case.queues).unwrap();
            assert_eq!(answer, None, "{name}");
        }
    }
    let custom = Allocation::custom("never asked", |_| panic!("asked"));
    assert_eq!(case.decide(&custom, "me"), Err(Undecided::Unlisted));
}

#[test]
fn a_topic_without_queues_gives_none() {
    let case = Case::new(&[], two_by_four().clients);
    let nowhere = Allocation::nearby(Allocation::circle(), |_| None, |_| None);
    let custom = Allocation::custom("never asked", |_| panic!("asked"));
    for allocation in [
        Allocation::averagely(),
        case.strategy("hash"),
        nowhere,
        custom,
    ] {
        let answer = allocation.allocate(&case.group("10.0.0.1@1"), &case.clients, &[]);
        assert_eq!(answer.unwrap(), Some(Vec::new()), "{allocation:?}");
    }
}

#[test]
fn a_room_that_is_not_known_is_an_error_that_says_whose() {
    let case = two_by_four();
    let ask = |broker: fn(&str) -> Option<String>, client: fn(&str) -> Option<String>| {
        let allocation = Allocation::nearby(Allocation::averagely(), broker, client);
        let group = case.group("10.0.0.1@1");
        let answer = allocation.allocate(&group, &case.clients, &case.queues);
        let error = answer.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Invalid);
        error.to_string()
    };
    let error = ask(|_| None, client_room);
    assert!(
        error.contains("broker \"r0@a\" is in no machine room"),
        "{error}"
    );
    let error = ask(broker_room, |id| {
        (!id.starts_with("10.1.")).then(String::new)
    });
    assert!(error.contains("client \"10.0.0.1@1\" is in no"), "{error}");
}

#[test]
fn a_fixed_list_is_by_topic_and_never_more_than_the_topic_has() {
    let namespace = Namespace::new("ns").unwrap();
    let allocation = Allocation::fixed([
        QueueRef::new("orders", "a", 1),
        QueueRef::new("ns%orders", "a", 2),
        QueueRef::new("orders", "a", 9),
        QueueRef::new("orders", "elsewhere", 1),
        QueueRef::new("others", "a", 0),
        QueueRef::new("%RETRY%group", "a", 0),
    ]);
    for (topic, ours) in [
        ("ns%orders", &[1, 2][..]),
        ("ns%others", &[0]),
        ("%RETRY%ns%group", &[0]),
        ("ns%group", &[]),
    ] {
        let group = Group {
            namespace: &namespace,
            name: "ns%group",
            topic,
            own: "me",
        };
        let answer = allocation.allocate(&group, &[], &queues(topic, &[("a".to_owned(), 4)]));
        let ids: Vec<i32> = answer
            .unwrap()
            .unwrap()
            .iter()
            .map(|queue| queue.id)
            .collect();
        assert_eq!(ids, ours, "{topic}");
    }
}

#[test]
fn a_custom_one_sees_sorted_lists_and_short_names() {
    let namespace = Namespace::new("ns").unwrap();
    let seen = Arc::new(Mutex::new(String::new()));
    let copy = Arc::clone(&seen);
    let allocation = Allocation::custom("last", move |input| {
        let queues: Vec<_> = input.queues.iter().map(QueueRef::queue).collect();
        *copy.lock().unwrap() = format!(
            "{} {} {} {:?} {queues:?}",
            input.group, input.topic, input.own, input.members
        );
        let beyond = QueueRef::new(input.topic, "a", 7);
        input
            .queues
            .last()
            .cloned()
            .into_iter()
            .chain([beyond])
            .collect()
    });
    let group = Group {
        namespace: &namespace,
        name: "ns%group",
        topic: "%RETRY%ns%group",
        own: "b",
    };
    let mut queues = queues(group.topic, &[("a".to_owned(), 3)]);
    queues.reverse();
    let ids = ["c", "b", "a"].map(str::to_owned);
    let ours = allocation.allocate(&group, &ids, &queues).unwrap().unwrap();
    assert_eq!(ours, queues[..1]);
    let expected = "group %RETRY%group b [\"a\", \"b\", \"c\"] [0, 1, 2]";
    assert_eq!(*seen.lock().unwrap(), expected);
}

#[test]
fn a_panic_is_an_error() {
    let case = two_by_four();
    let allocation = Allocation::custom("of mine", |_| panic!("on purpose"));
    let answer = allocation.allocate(&case.group("10.0.0.1@1"), &case.clients, &case.queues);
    let error = answer.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
    assert!(error.to_string().contains("of mine panicked"), "{error}");
}

#[test]
fn brokers_sort_by_name_and_queues_by_number() {
    let case = Case::new(
        &[("b2".to_owned(), 1), ("b10".to_owned(), 11)],
        vec!["x".to_owned()],
    );
    let all = case.decide(&Allocation::averagely(), "x").unwrap();
    assert_eq!(all[9], QueueRef::new("orders", "b10", 9));
    assert_eq!(all[10], QueueRef::new("orders", "b10", 10));
    assert_eq!(all[11], QueueRef::new("orders", "b2", 0));
    // U+1F600 is after U+FF5E as code points go; UTF-16 puts its surrogate first.
    assert_eq!(
        java_order("\u{1F600}", "\u{FF5E}"),
        std::cmp::Ordering::Less
    );
}

/// The names in the fixture begin with one of these.
const STRATEGIES: [&str; 6] = ["averagely", "circle", "config", "room", "hash", "nearby-"];
const FIXTURE: &str = include_str!("../../../tests/fixtures/java-5.5.0/allocations.jsonl");
const OUTSIDER: &str = "10.9.9.9@9#9";
/// Longer answers are hashed.
const LONGEST: usize = 48;
