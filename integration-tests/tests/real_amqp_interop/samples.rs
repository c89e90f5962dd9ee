//! The sample programs of TDMQ for RabbitMQ, unmodified but for address and credentials, with ours at the other end.

use std::process::Stdio;

use integration_tests::brokers::rabbitmq::{ROLE, VHOST, shared};
use integration_tests::foreign::amqp::Peer;
use integration_tests::harness::within;
use mq_amqp::{Binding, Client, ErrorKind, Exchange, Message, Queue};
use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};

use crate::world::{Promise, WAIT, World, next};

const EXCHANGE: &str = "direct_exchange";
const QUEUE: &str = "route_queue1";
const KEYS: [&str; 4] = ["aaa.bbb.ccc", "aaa.bbb.ddd", "aaa.ccc.zzz", "xxx.yyy.zzz"];

/// What stands in the guide, and stands once in each program.
fn placeholders() -> [(&'static str, String); 5] {
    let node = shared().unwrap();
    let (host, port) = node.address().rsplit_once(':').unwrap();
    [
        ("'rolename'", format!("'{}'", ROLE.name)),
        ("'eyJr***'", format!("'{}'", ROLE.secret)),
        ("'amqp-xx.rabbitmq.x.com'", format!("'{host}'")),
        ("port=5672", format!("port={port}")),
        ("'amqp-xxx|Vhostname'", format!("'{VHOST}'")),
    ]
}

/// A sample that runs. Dropped, its process is killed.
struct Sample {
    process: Child,
    lines: Lines<BufReader<ChildStdout>>,
    _program: tempfile::TempDir,
}

impl Sample {
    async fn start(name: &str) -> Self {
        let built = Peer::Pika.build().await;
        let built = built.unwrap_or_else(|failure| panic!("{failure}"));
        let mut program = std::fs::read_to_string(built.join("samples").join(name)).unwrap();
        for (placeholder, of_the_node) in placeholders() {
            assert_eq!(
                program.matches(placeholder).count(),
                1,
                "{placeholder} in {name}"
            );
            program = program.replace(placeholder, &of_the_node);
        }
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join(name), program).unwrap();
        let mut process = Command::new(built.join("venv/bin/python"))
            .arg(dir.path().join(name))
            .env("PYTHONUNBUFFERED", "1")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let lines = BufReader::new(process.stdout.take().unwrap()).lines();
        Self {
            process,
            lines,
            _program: dir,
        }
    }

    async fn line(&mut self) -> String {
        let line = within(WAIT, "a line of the sample", self.lines.next_line())
            .await
            .unwrap();
        match line {
            Some(line) => line,
            None => panic!("the sample ended: {}", self.complaints().await),
        }
    }

    async fn complaints(&mut self) -> String {
        let mut text = String::new();
        let stderr = self.process.stderr.as_mut().unwrap();
        stderr.read_to_string(&mut text).await.unwrap();
        text
    }

    /// Ctrl-C.
    async fn interrupted(mut self) {
        let pid = self.process.id().unwrap().to_string();
        let sent = Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .await
            .unwrap();
        assert!(sent.success());
        assert_eq!(self.line().await, "Interrupted");
        self.ended().await;
    }

    async fn ended(mut self) {
        let status = within(WAIT, "its end", self.process.wait()).await.unwrap();
        assert!(status.success(), "{status}: {}", self.complaints().await);
    }
}

/// Our side of the guide's consumer: its exclusive queue, both keys, a prefetch of 1.
async fn their_sender_our_receiver(client: &Client) {
    client
        .declare_exchange(Exchange::direct(EXCHANGE).transient())
        .await
        .unwrap();
    client
        .declare_queue(Queue::classic(QUEUE).exclusive())
        .await
        .unwrap();
    for key in &KEYS[..2] {
        let binding = Binding::queue(QUEUE).to(EXCHANGE).key(*key);
        client.bind(binding).await.unwrap();
    }
    let consumer = client.consumer(QUEUE).prefetch(1).build().await.unwrap();
    let mut sender = Sample::start("messageProducer.py").await;
    for _ in KEYS {
        assert_eq!(sender.line().await, "send success msg to rabbitmq");
    }
    sender.ended().await;
    for key in &KEYS[..2] {
        let delivery = next(&consumer).await;
        let body = format!("{key}This is a new direct message.");
        assert_eq!(
            (delivery.routing_key(), delivery.text()),
            (*key, Some(&*body))
        );
        assert_eq!(delivery.exchange(), EXCHANGE);
        assert_eq!(delivery.message().properties().delivery_mode, Some(2));
        delivery.ack().await.unwrap();
    }
    // Everything that it sent was there before it ended: the other two went nowhere.
    consumer.close().await;
    assert_eq!(client.queue(QUEUE).await.unwrap().messages, 0);
    client.delete_queue(QUEUE).await.unwrap();
}

/// Our side of the guide's producer; its consumer ends by Ctrl-C, and its exclusive queue with it.
async fn our_sender_their_receiver(client: &Client) {
    let mut receiver = Sample::start("messageConsumer.py").await;
    let consumer = " [Consumer1(Direct 'aaa.bbb.ccc'/'aaa.bbb.ddd')]";
    let up = format!("{consumer} Waiting for messages. To exit press CTRL+C");
    assert_eq!(receiver.line().await, up);
    let publisher = client.publisher(EXCHANGE).build().await.unwrap();
    for (number, key) in KEYS.into_iter().enumerate() {
        let sent = publisher.send(Message::new(key, format!("{key} from ours")));
        match sent.await {
            Ok(_) => assert!(number < 2, "{key} is bound by nobody"),
            Err(failed) => {
                assert!(number >= 2, "{failed}");
                assert_eq!(failed.kind(), ErrorKind::NotFound);
            }
        }
    }
    for key in &KEYS[..2] {
        let wanted = format!("{consumer} Received (b'{key} from ours')");
        assert_eq!(receiver.line().await, wanted);
    }
    receiver.interrupted().await;
    let gone = client.queue(QUEUE).await.unwrap_err();
    assert_eq!(gone.kind(), ErrorKind::NotFound);
    client.delete_exchange(EXCHANGE).await.unwrap();
}

/// One test for both ways: the names are the guide's.
#[tokio::test]
#[ignore = "needs RabbitMQ (MQ_AMQP_URL), Python 3 with venv"]
async fn real_amqp_interop_the_sample_programs_of_tdmq() {
    let promise = Promise {
        test: "real_amqp_interop_the_sample_programs_of_tdmq",
        flow: "send, receive",
        text: "TDMQ's sample programs for pika, as they are: theirs to ours, ours to theirs",
    };
    let both_ways = async |world: &mut World| {
        their_sender_our_receiver(&world.ours).await;
        our_sender_their_receiver(&world.ours).await;
    };
    promise.kept(Peer::Pika, both_ways).await;
}
