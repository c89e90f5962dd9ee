//! Everything that the pages show in Rust, so that it compiles. None of it is run here; the examples are.

use std::error::Error;
use std::time::Duration;

use mq_rocketmq::{
    Client, Credentials, Dialect, KeyHash, Message, Producer, RateLimit, Received, Settle, Tls,
    Verdict,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;
type MyError = std::io::Error;

async fn work(_: &Received) -> Result<(), MyError> {
    Ok(())
}

async fn look_up(_: &str) -> Verdict {
    Verdict::Unknown
}

async fn pay(_: &str) -> Result<(), MyError> {
    Ok(())
}

async fn first_minute() -> Result {
    use mq_rocketmq::{Client, Message};

    let client = Client::from_url("rocketmq://access:secret@host:9876;host2:9876/namespace")?
        .connect()
        .await?;

    let producer = client.producer("group").build().await?;
    let receipt = producer
        .send(Message::new("topic", "hello").tag("TagA").key("OrderID188"))
        .await?;

    let consumer = client
        .consumer("group")
        .subscribe("topic", "TagA || TagB")
        .build()
        .await?;
    while let Some(delivery) = consumer.recv().await? {
        println!("{:?}", delivery.body());
        delivery.ack().await?;
    }
    let _ = receipt;
    Ok(())
}

async fn tdmq(access_key: &str, secret_key: &str) -> Result {
    let client = Client::builder()
        .nameserver("rocketmq-xxx.example:8080")
        .credentials(Credentials::new(access_key, secret_key))
        .namespace("rocketmq-xxx|namespace_python")
        .connect()
        .await?;

    let producer = client.producer("group1").build().await?;
    let message = Message::new("topic1", "This is a new message.")
        .key("KEYS")
        .tag("TAGS");
    let receipt = producer.send(message).await?;
    println!("{receipt:?}");

    let consumer = client
        .consumer("group11")
        .subscribe("topic1", "TAGS")
        .build()
        .await?;
    consumer
        .run(|message| async move {
            println!("{:?}", message.body());
            Ok::<_, MyError>(Settle::Ack)
        })
        .await?;
    Ok(())
}

async fn normal() -> Result {
    let client = Client::from_url("rocketmq://192.168.0.1:8100")?
        .connect()
        .await?;
    let producer = client.producer("ProducerGroupName").build().await?;
    let message = Message::new("TopicTest", "Hello world")
        .tag("TagA")
        .key("OrderID188");
    let receipt = producer.send(message).await?;
    println!("{} at {}", receipt.unique_id(), receipt.offset());

    let consumer = client
        .consumer("group")
        .subscribe("TopicTest", "*")
        .build()
        .await?;
    consumer
        .run(|message| async move {
            println!("{:?}", message.body());
            Ok::<_, MyError>(Settle::Ack)
        })
        .await?;
    Ok(())
}

async fn ordered(client: Client) -> Result {
    let producer = client.producer("ProducerGroupName").build().await?;
    for number in 0..100 {
        let order = format!("order{}", number % 10);
        let message = Message::new("TopicTest", format!("step {number}")).ordering_key(order);
        producer.send(message).await?;
    }

    let consumer = client
        .consumer("group")
        .subscribe("TopicTest", "*")
        .ordered()
        .build()
        .await?;
    consumer
        .run(|message| async move {
            match work(&message).await {
                Ok(()) => Ok::<_, MyError>(Settle::Ack),
                Err(_) => Ok(Settle::RetryAfter(Duration::from_secs(3))),
            }
        })
        .await?;
    Ok(())
}

async fn ordered_short(client: Client, producer: Producer) -> Result {
    for number in 0..100 {
        let order = format!("order{}", number % 10);
        let message = Message::new("TopicTest", format!("step {number}")).ordering_key(order);
        producer.send(message).await?;
    }

    let consumer = client
        .consumer("group")
        .subscribe("TopicTest", "*")
        .ordered()
        .build()
        .await?;
    drop(consumer);
    Ok(())
}

async fn ordered_as_go(client: Client) -> Result {
    let producer = client
        .producer("group")
        .key_hash(KeyHash::Fnv1a)
        .build()
        .await?;
    drop(producer);
    Ok(())
}

async fn explicit_queue(client: Client) -> Result {
    let producer = client.producer("group").build().await?;
    let number = 7_usize;
    let queues = producer.queues("TopicTest").await?;
    let queue = &queues[number % queues.len()];
    producer
        .send(Message::new("TopicTest", "step 1"))
        .queue(queue)
        .await?;
    Ok(())
}

async fn transactional(client: Client) -> Result {
    let producer = client
        .producer("orders")
        .checker(|message| async move { look_up(message.id()).await })
        .topic("TopicTest")
        .build()
        .await?;
    let transaction = producer
        .begin(Message::new("TopicTest", "order 7 is paid"))
        .await?;
    pay(transaction.id()).await?;
    transaction.commit().await?;
    Ok(())
}

async fn scheduled() -> Result {
    let client = Client::from_url("rocketmq://192.168.0.1:8100?dialect=dms")?
        .connect()
        .await?;
    let producer = client.producer("ProducerGroupName").build().await?;
    let message =
        Message::new("ScheduledTopic", "close the order").deliver_after(Duration::from_secs(10));
    let receipt = producer.send(message).await?;
    if let Some(handle) = receipt.scheduled() {
        println!("{}", producer.cancel(handle).await?);
    }
    Ok(())
}

async fn secured() -> Result {
    let client = Client::builder()
        .nameserver("192.168.0.1:8100;192.168.0.2:8100")
        .credentials(Credentials::from_env()?)
        .tls(Tls::new().ca_file("ca.pem")?)
        .dialect(Dialect::HuaweiDms)
        .connect()
        .await?;
    client.close().await?;
    Ok(())
}

async fn rate_limit(client: Client) -> Result {
    let limit = RateLimit::per_second(200).wait(Duration::from_secs(3));
    let consumer = client
        .consumer("group")
        .subscribe("TopicTest", "*")
        .rate_limit(limit)
        .build()
        .await?;
    drop(consumer);
    Ok(())
}

async fn broadcast(client: Client) -> Result {
    let consumer = client
        .consumer("caches")
        .subscribe("TopicTest", "*")
        .broadcast("/var/lib/app/offsets")
        .build()
        .await?;
    drop(consumer);
    Ok(())
}

async fn batch(client: Client) -> Result {
    let producer = client.producer("ProducerGroupName").build().await?;
    let messages = (0..100).map(|number| Message::new("TopicTest", format!("line {number}")));
    for result in producer.send_batch(messages).await {
        let receipt = result?;
        println!("{}", receipt.unique_id());
    }
    Ok(())
}

async fn readme() -> Result {
    let client = Client::from_url("rocketmq://192.168.0.1:8100")?
        .connect()
        .await?;
    let producer = client.producer("ProducerGroupName").build().await?;
    let message = Message::new("TopicTest", "Hello world")
        .tag("TagA")
        .key("OrderID188");
    let receipt = producer.send(message).await?;
    println!("{receipt:?}");
    client.close().await?;

    let message = Message::new("test", "Hello RocketMQ");
    let confirm = producer.enqueue(message).await?;
    let receipt = confirm.await?;
    drop(receipt);

    let consumer = client
        .consumer("group")
        .subscribe("TopicTest", "*")
        .build()
        .await?;
    consumer
        .run(|message| async move {
            println!("{:?}", message.body());
            Ok::<_, MyError>(Settle::Ack)
        })
        .await?;

    let message = Message::new("TopicTest", "message body").property("property", "test");
    drop(message);
    Ok(())
}

async fn cmq() -> Result {
    use mq_cmq::Client;

    let client =
        Client::from_url("cmq+https://AKIDxxx:key@cmq-gz.public.tencenttdmq.com")?.build()?;
    let queue = client.queue("orders")?;
    queue.send("hello").await?;
    if let Some(message) = queue.receive(Duration::from_secs(10)).await? {
        println!("{}", message.body());
        queue.delete(message.handle()).await?;
    }

    let consumer = queue.consumer().concurrency(16).build()?;
    while let Some(delivery) = consumer.recv().await? {
        println!("{}", delivery.body());
        delivery.ack().await?;
    }
    Ok(())
}
