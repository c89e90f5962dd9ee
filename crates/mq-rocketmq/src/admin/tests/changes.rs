use mq_core::{ErrorKind, Outcome, Retry};

use super::servers::Servers;
use crate::TopicOptions;
use crate::proto::Request;
use crate::proto::command::{
    CreateTopic, DeleteGroup, DeleteTopicAtBroker, DeleteTopicAtNameserver, GetGroups, GetRoute,
};

fn set(servers: &Servers, server: &'static str, code: i32, answer: (i32, &'static str)) {
    servers.state().refuse.insert((server, code), answer);
}

#[tokio::test]
async fn a_topic_is_created_at_every_master_and_shown_before_it_is_told() {
    let servers = Servers::start().await;
    let client = servers.client("/ns").await;
    servers.state().hidden = 4;
    let options = TopicOptions::new().queues(3);
    let made = client.admin().create_topic("t", options).await.unwrap();
    assert_eq!((made.name.as_str(), made.brokers.len()), ("t", 2));
    let asked = servers.asked::<CreateTopic>();
    let at: Vec<_> = asked.iter().map(|(server, _)| *server).collect();
    assert!(at.len() == 2 && at.contains(&"a") && at.contains(&"b"));
    for (_, request) in &asked {
        assert_eq!((&*request.topic, request.perm), ("ns%t", 6));
        assert_eq!((request.read_queue_nums, request.write_queue_nums), (3, 3));
    }
    // Once before, until it was shown, and once for those who send.
    assert!(servers.asked::<GetRoute>().len() >= 6);
    assert_eq!(
        client.shared().routes.cached("ns%t").unwrap().publish.len(),
        6
    );
}

#[tokio::test]
async fn a_topic_that_is_never_shown_is_told_as_created_and_unseen() {
    let servers = Servers::start().await;
    let client = servers.client("").await;
    servers.state().hidden = usize::MAX;
    let admin = client.admin();
    let failed = admin.create_topic("t", TopicOptions::new()).await;
    let failed = failed.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Timeout);
    assert_eq!(failed.error.retry(), Retry::Later);
    assert_eq!(failed.done, ["a", "b"]);
    assert!(failed.is_partial() && failed.failed.is_empty());
}

#[tokio::test]
async fn a_broker_that_refuses_or_is_silent_is_named_with_those_that_have_done_it() {
    let servers = Servers::start().await;
    let client = servers.client("").await;
    let create = CreateTopic::CODE.0;
    set(&servers, "b", create, (16, "no permission to access"));
    let admin = client.admin();
    let failed = admin.create_topic("t", TopicOptions::new()).await;
    let failed = failed.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::Auth);
    assert_eq!(failed.error.operation(), "create topic");
    assert!(failed.error.endpoint().is_some());
    assert_eq!(failed.error.outcome(), Outcome::Rejected);
    assert_eq!(
        (failed.done.as_slice(), failed.failed.as_slice()),
        (&["a".to_owned()][..], &["b".to_owned()][..])
    );
    let told = failed.to_string();
    assert!(
        told.contains("b: no permission") && told.contains("done at a"),
        "{told}"
    );
    // Silence leaves it open whether it was done.
    set(&servers, "b", create, (0, ""));
    let failed = admin.create_topic("t", TopicOptions::new()).await;
    let error = failed.unwrap_err().error;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Timeout, Outcome::Unknown)
    );
    // And made again it is completed.
    servers.state().refuse.clear();
    let made = admin.create_topic("t", TopicOptions::new()).await;
    assert_eq!(made.unwrap().brokers, ["a", "b"]);
}

#[tokio::test]
async fn a_topic_is_forgotten_by_the_nameserver_when_all_brokers_have_deleted_it() {
    let servers = Servers::start().await;
    let client = servers.client("").await;
    let shares = [("a", 4), ("b", 4)].into();
    servers.state().topics.insert("t".to_owned(), shares);
    set(&servers, "b", DeleteTopicAtBroker::CODE.0, (1, "busy"));
    let failed = client.admin().delete_topic("t").await.unwrap_err();
    assert_eq!(
        (failed.done.as_slice(), failed.error.retry()),
        (&["a".to_owned()][..], Retry::Later)
    );
    assert!(
        servers.asked::<DeleteTopicAtNameserver>().is_empty(),
        "or nobody finds b again"
    );
    servers.state().refuse.clear();
    let deleted = client.admin().delete_topic("t").await.unwrap();
    assert_eq!(deleted.brokers, ["a", "b"]);
    assert_eq!(servers.asked::<DeleteTopicAtBroker>().len(), 4);
    assert_eq!(servers.asked::<DeleteTopicAtNameserver>().len(), 1);
    let failed = client.admin().delete_topic("absent").await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::NotFound);
    assert!(!failed.is_partial());
}

#[tokio::test]
async fn groups_of_all_brokers_are_listed_page_by_page() {
    let servers = Servers::start().await;
    let named = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    {
        let mut state = servers.state();
        state.page = 2;
        let a = ["TOOLS_CONSUMER", "g0", "ns%g1", "ns%g3", "other%g"];
        state.groups.insert("a", named(&a));
        state.groups.insert("b", named(&["ns%g1", "ns%g2"]));
    }
    let inside = servers.client("/ns").await;
    assert_eq!(inside.admin().groups().await.unwrap(), ["g1", "g2", "g3"]);
    assert_eq!(servers.asked::<GetGroups>().len(), 4);
    let all = servers.client("").await.admin().groups().await.unwrap();
    assert_eq!(all, ["g0", "ns%g1", "ns%g2", "ns%g3", "other%g"]);
    set(&servers, "b", GetGroups::CODE.0, (1, "sick"));
    let error = inside.admin().groups().await.unwrap_err();
    assert!(
        error.to_string().contains("list groups: b: sick"),
        "{error}"
    );
}

#[tokio::test]
async fn a_group_is_deleted_where_it_is_and_its_topics_go_first() {
    let servers = Servers::start().await;
    let client = servers.client("").await;
    {
        let mut state = servers.state();
        state.groups.insert("b", vec!["g".to_owned()]);
        let share = [("b", 1)].into();
        state.topics.insert("%RETRY%g".to_owned(), share);
    }
    set(&servers, "b", DeleteTopicAtBroker::CODE.0, (1, "busy"));
    let failed = client.admin().delete_group("g").await.unwrap_err();
    assert_eq!(failed.failed, ["b"]);
    assert!(
        servers.asked::<DeleteGroup>().is_empty(),
        "or nobody comes back"
    );
    servers.state().refuse.clear();
    let deleted = client.admin().delete_group("g").await.unwrap();
    assert_eq!(deleted.brokers, ["b"]);
    let asked = servers.asked::<DeleteGroup>();
    let (at, request) = &asked[0];
    assert_eq!((asked.len(), *at), (1, "b"));
    // 5.x reads the one, 4.9 the other.
    assert_eq!(
        (request.clean_offset, request.remove_offset),
        (Some(true), Some(true))
    );
    let topics = servers.asked::<DeleteTopicAtBroker>();
    assert_eq!(&*topics[0].1.topic, "%RETRY%g");
    let failed = client.admin().delete_group("absent").await.unwrap_err();
    assert_eq!(failed.error.kind(), ErrorKind::NotFound);
}

#[tokio::test]
async fn a_group_is_created_where_it_is_missing() {
    let servers = Servers::start().await;
    let client = servers.client("").await;
    servers.state().groups.insert("a", vec!["g".to_owned()]);
    let made = client.admin().create_group("g").await.unwrap();
    assert_eq!(made.brokers, ["a", "b"]);
    let state = servers.state();
    let asked = state.asked.iter().filter(|(_, code, _)| *code == 200);
    let at: Vec<_> = asked.map(|(server, ..)| *server).collect();
    assert_eq!(at, ["b"], "settings at a stay");
}

#[tokio::test]
async fn what_belongs_to_brokers_is_not_touched() {
    let servers = Servers::start().await;
    let client = servers.client("/ns").await;
    let admin = client.admin();
    let before = servers.state().asked.len();
    for topic in ["TBW102", "rmq_sys_x", "a b", ""] {
        let created = admin.create_topic(topic, TopicOptions::new()).await;
        assert_eq!(created.unwrap_err().error.kind(), ErrorKind::Invalid);
        let deleted = admin.delete_topic(topic).await;
        assert_eq!(deleted.unwrap_err().error.kind(), ErrorKind::Invalid);
    }
    for queues in [0, 10_001] {
        let options = TopicOptions::new().queues(queues);
        let error = admin.create_topic("t", options).await.unwrap_err().error;
        assert_eq!(error.kind(), ErrorKind::Invalid);
    }
    let bare = servers.client("").await;
    let created = bare.admin().create_group("TOOLS_CONSUMER").await;
    assert_eq!(created.unwrap_err().error.kind(), ErrorKind::Invalid);
    let asked = servers.state().asked.len() - before;
    assert!(asked <= 1, "only the second client's connect");
}
