//! Dead letters by both policies, set and taken away by one, followed by the server, described by both.

use std::time::Duration;

use integration_tests::foreign::cmq::control::Sdk;
use mq_cmq::DeadLetter;
use serde_json::{Value, json};

use super::same::{list, same, source};
use super::world::{NOW, Promise, World};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Python 3 with venv"]
async fn real_cmq_interop_control_dead_letter_python() {
    dead_letter("real_cmq_interop_control_dead_letter_python", Sdk::Python).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Node.js and npm"]
async fn real_cmq_interop_control_dead_letter_node() {
    dead_letter("real_cmq_interop_control_dead_letter_node", Sdk::Node).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs Go 1.24"]
async fn real_cmq_interop_control_dead_letter_go() {
    dead_letter("real_cmq_interop_control_dead_letter_go", Sdk::Go).await;
}

async fn dead_letter(test: &'static str, sdk: Sdk) {
    let promise = Promise {
        test,
        flow: "manage",
        text: "dead letters by the control plane: after so many receives, or such a time, as one has set it, and both see it",
    };
    let scenario = async |world: &mut World| {
        world.control.create_queue("dead").await.unwrap();
        after_receives(world).await;
        after_a_time(world).await;
        sources(world).await;
        unbound(world).await;
        of_ours(world).await;
        incomplete(world).await;
    };
    promise.kept(sdk, scenario).await;
}

async fn rule(world: &mut World, queue: &str) -> Option<DeadLetter> {
    world
        .queue_as_both_see_it(queue)
        .await
        .attributes
        .dead_letter
}

async fn after_receives(world: &mut World) {
    let given = json!({
        "QueueName": "q", "VisibilityTimeout": 10, "DeadLetterQueueName": "dead", "Policy": 0, "MaxReceiveCount": 2,
    });
    world.they("CreateCmqQueue", given).await;
    let expected = DeadLetter::after_receives("dead", 2);
    assert_eq!(rule(world, "q").await, Some(expected));
    dies_after_two_receives(world).await;
}

async fn dies_after_two_receives(world: &mut World) {
    let queue = world.http.queue("q").unwrap();
    queue.send("dies 中").await.unwrap();
    for _ in 0..2 {
        world.nothing("dead").await;
        let message = queue.receive(NOW).await.unwrap();
        assert_eq!(message.unwrap().body(), "dies 中");
        world.clock().advance(Duration::from_secs(10));
    }
    world.nothing("q").await;
    let letter = world.take_by_tcp("dead").await;
    assert_eq!(letter.body(), "dies 中");
    let (origin, from) = (
        letter.origin().unwrap(),
        world.queue_as_both_see_it("q").await,
    );
    assert_eq!((&origin.queue_id, origin.attempts), (&from.id, 2));
}

async fn after_a_time(world: &mut World) {
    let given = json!({
        "QueueName": "q", "DeadLetterQueueName": "dead", "Policy": 1, "MaxTimeToLive": 300, "MsgRetentionSeconds": 3600,
    });
    world.they("ModifyCmqQueueAttribute", given).await;
    let expected = DeadLetter::after("dead", Duration::from_secs(300));
    assert_eq!(rule(world, "q").await, Some(expected));
    world.http.queue("q").unwrap().send("ages").await.unwrap();
    world.clock().advance(Duration::from_secs(299));
    world.nothing("dead").await;
    world.clock().advance(Duration::from_secs(1));
    world.nothing("q").await;
    assert_eq!(world.take_by_tcp("dead").await.body(), "ages");
}

/// Two queues whose dead letters come to one: in its description, and as a list where theirs knows that.
async fn sources(world: &mut World) {
    let given = json!({"QueueName": "second", "DeadLetterQueueName": "dead", "Policy": 0, "MaxReceiveCount": 1000});
    world.they("CreateCmqQueue", given).await;
    let ours = world.control.dead_letter_sources("dead");
    let ours = ours.all().await.unwrap();
    let names: Vec<&str> = ours.iter().map(|it| it.name.as_str()).collect();
    assert_eq!(names, ["q", "second"]);
    let seen = world.queue_as_both_see_it("dead").await;
    assert_eq!(seen.dead_letter_sources, ours);

    let action = "DescribeCmqDeadLetterSourceQueues";
    let of = json!({"DeadLetterQueueName": "dead"});
    if world.sdk != Sdk::Go {
        let no = world.theirs.call(action, of).await.unwrap().unwrap_err();
        assert_eq!(no.code, "ClientError.NoSuchAction");
        return;
    }
    let all: Vec<Value> = ours.iter().map(source).collect();
    for (given, expected, count) in [
        (of, &all[..], 2),
        (
            json!({"DeadLetterQueueName": "dead", "Offset": 1, "Limit": 1}),
            &all[1..],
            2,
        ),
        (
            json!({"DeadLetterQueueName": "dead", "SourceQueueName": "sec"}),
            &all[1..],
            1,
        ),
    ] {
        let answer = world.they(action, given).await;
        assert_eq!(answer["TotalCount"], count);
        let theirs = list(&answer, "QueueSet");
        assert_eq!(theirs.len(), expected.len());
        for (theirs, ours) in theirs.iter().zip(expected) {
            same(theirs, ours);
        }
    }
    let no = json!({"DeadLetterQueueName": "none"});
    assert_eq!(world.refused(action, no).await.code, "ResourceNotFound");
}

async fn unbound(world: &mut World) {
    for name in ["q", "second"] {
        let given = json!({"SourceQueueName": name});
        world.they("UnbindCmqDeadLetter", given).await;
        assert_eq!(rule(world, name).await, None);
    }
    let seen = world.queue_as_both_see_it("dead").await;
    assert_eq!(seen.dead_letter_sources, []);
    world.http.queue("q").unwrap().send("stays").await.unwrap();
    world.clock().advance(Duration::from_secs(301));
    assert_eq!(world.take("q").await.body(), "stays");
}

async fn of_ours(world: &mut World) {
    for set in [
        DeadLetter::after("dead", Duration::from_secs(600)),
        DeadLetter::after_receives("dead", 2),
    ] {
        let change = world.control.change_queue("q").dead_letter(set.clone());
        change.await.unwrap();
        assert_eq!(rule(world, "q").await, Some(set));
    }
    dies_after_two_receives(world).await;
    world.control.unbind_dead_letter("q").await.unwrap();
    assert_eq!(rule(world, "q").await, None);
}

/// A rule that lacks what its policy needs, or names a queue that is not there, is refused and changes nothing.
async fn incomplete(world: &mut World) {
    for (settings, code) in [
        (
            json!({"DeadLetterQueueName": "dead", "Policy": 0}),
            "MissingParameter",
        ),
        (
            json!({"DeadLetterQueueName": "dead", "Policy": 1}),
            "MissingParameter",
        ),
        (
            json!({"DeadLetterQueueName": "dead", "Policy": 2, "MaxReceiveCount": 1}),
            "InvalidParameterValue",
        ),
        (
            json!({"DeadLetterQueueName": "dead", "Policy": 1, "MaxTimeToLive": 299}),
            "InvalidParameterValue",
        ),
        (
            json!({"DeadLetterQueueName": "none", "Policy": 0, "MaxReceiveCount": 1}),
            "ResourceNotFound",
        ),
    ] {
        let mut given = settings;
        given["QueueName"] = "q".into();
        let no = world
            .refused("ModifyCmqQueueAttribute", given.clone())
            .await;
        assert_eq!(no.code, code, "{given}: {no:?}");
        assert_eq!(rule(world, "q").await, None);
    }
}
