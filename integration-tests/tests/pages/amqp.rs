//! What the pages of AMQP show in Rust, so that it compiles. None of it is run here; the examples are.

use std::error::Error;
use std::time::Duration;

use futures_util::StreamExt as _;
use mq_amqp::{
    Binding, Cancel, Client, Endpoint, Event, Exchange, Message, OrderedPublisher, OrderedTopic,
    Outcome, Overflow, Publisher, Queue, Received, RetryPolicy, Secret, Settle,
};

type Result<T = (), E = Box<dyn Error>> = std::result::Result<T, E>;
type MyError = std::io::Error;

async fn work(_: &Received) -> Result<(), MyError> {
    Ok(())
}

async fn readme() -> Result {
    use mq_amqp::{Client, Message};

    let client = Client::from_url("amqp://user:password@host,host2/vhost")?
        .connect()
        .await?;

    let publisher = client.publisher("exchange").build().await?;
    let receipt = publisher.send(Message::new("routing.key", "hello")).await?;

    let consumer = client.consumer("queue").build().await?;
    while let Some(delivery) = consumer.recv().await? {
        println!("{:?}", delivery.text());
        delivery.ack().await?;
    }
    let _ = receipt;
    Ok(())
}

async fn outcomes(publisher: Publisher, message: Message, mut outbox: Vec<Message>) -> Result {
    if let Err(failed) = publisher.send(message).await {
        match failed.outcome() {
            Outcome::Rejected => println!("{failed}"),
            _ => outbox.push(*failed.message),
        }
    }
    Ok(())
}

async fn topology(client: Client) -> Result {
    let queue = Queue::quorum("orders")
        .delivery_limit(5)
        .dead_letter_exchange("")
        .dead_letter_routing_key("orders.dead")
        .max_length(100_000)
        .overflow(Overflow::RejectPublish);
    client.declare_queue(Queue::quorum("orders.dead")).await?;
    client.declare_queue(queue).await?;
    Ok(())
}

async fn retries(client: Client) -> Result {
    let policy = RetryPolicy::delayed(Duration::from_secs(1), Duration::from_secs(60));
    let consumer = client
        .consumer("orders")
        .retry(policy.attempts(5))
        .parking_queue("orders.parked")
        .build()
        .await?;
    consumer
        .run(|message| async move {
            work(&message).await?;
            Ok::<_, MyError>(Settle::Ack)
        })
        .await?;
    Ok(())
}

async fn scheduled(client: Client) -> Result {
    let scheduler = client.scheduler().build().await?;
    let message = Message::new("reminders", "call back");
    scheduler
        .deliver_after(message, Duration::from_secs(3600))
        .await?;

    let message = Message::new("orders.unpaid", "order 17");
    let due = Duration::from_secs(900);
    let receipt = scheduler.deliver_after(message, due).cancellable().await?;
    let handle = receipt.scheduled().expect("it was scheduled").to_string();

    match scheduler.cancel(&handle.parse()?).await? {
        Cancel::Cancelled => {}
        Cancel::TooLate => {}
        _ => {}
    }
    Ok(())
}

async fn events(client: Client) -> Result {
    let mut events = client.events();
    while let Some(event) = events.next().await {
        match event {
            Event::Blocked { reason } => println!("sends wait: {reason}"),
            Event::Unblocked => println!("sends go on"),
            Event::NotRestored { what, error } => println!("{what}: {error}"),
            other => println!("{other:?}"),
        }
    }
    Ok(())
}

async fn sample_producer() -> Result {
    let client = Client::builder()
        .hosts([Endpoint::new("amqp-xx.rabbitmq.x.com", 5672)])
        .vhost("amqp-xxx|Vhostname")
        .credentials("rolename", Secret::new("eyJr***"))
        .connect()
        .await?;
    client
        .declare_exchange(Exchange::direct("direct_exchange").transient())
        .await?;

    let publisher = client.publisher("direct_exchange").build().await?;
    for key in ["aaa.bbb.ccc", "aaa.bbb.ddd", "aaa.ccc.zzz", "xxx.yyy.zzz"] {
        let message = Message::new(key, format!("{key}This is a new direct message."));
        match publisher.send(message).await {
            Ok(_receipt) => println!("stored {key}"),
            Err(failed) => println!("{failed}"),
        }
    }
    client.close().await;
    Ok(())
}

async fn sample_consumer(client: Client) -> Result {
    client
        .declare_queue(Queue::classic("route_queue1").exclusive())
        .await?;
    for key in ["aaa.bbb.ccc", "aaa.bbb.ddd"] {
        let binding = Binding::queue("route_queue1").to("direct_exchange");
        client.bind(binding.key(key)).await?;
    }

    let consumer = client.consumer("route_queue1").prefetch(1).build().await?;
    let handle = consumer.handle();
    tokio::spawn(async move {
        let _ = tokio::signal::ctrl_c().await;
        handle.close().await;
    });
    while let Some(delivery) = consumer.recv().await? {
        println!("Received {:?}", delivery.text());
        delivery.ack().await?;
    }
    client.close().await;
    Ok(())
}

async fn many(publisher: Publisher, lines: Vec<String>) -> Result {
    let messages = futures_util::stream::iter(lines).map(|line| Message::new("lines", line));
    let mut results = std::pin::pin!(publisher.send_all(messages));
    while let Some(result) = results.next().await {
        let receipt = result?;
        println!("{}", receipt.unique_id());
    }
    Ok(())
}

async fn handlers(client: Client) -> Result {
    let consumer = client
        .consumer("task_queue")
        .prefetch(32)
        .concurrency(8)
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

async fn answers(client: Client) -> Result {
    let rpc = client.rpc("").await?;
    let answer = rpc
        .call(Message::new("rpc_queue", "30"))
        .timeout(Duration::from_secs(5))
        .await?;
    println!("{:?}", answer.text());
    Ok(())
}

async fn from_lapin(client: Client) -> Result {
    let publisher = client.publisher("").window(1000).build().await?;
    let confirm = publisher.enqueue(Message::new("orders", "one")).await?;
    let receipt = confirm.await?;
    println!("{} after {}", receipt.unique_id(), receipt.attempts());

    let consumer = client.consumer("orders").prefetch(250).build().await?;
    while let Some(delivery) = consumer.recv().await? {
        match work(&delivery).await {
            Ok(()) => delivery.ack().await?,
            Err(_) => delivery.settle(Settle::Retry).await?,
        }
    }
    Ok(())
}

async fn tx(client: Client) -> Result {
    let mut channel = client
        .tx_channel()
        .consume("orders")
        .prefetch(10)
        .build()
        .await?;
    let mut tx = channel.begin().await?;
    if let Some(order) = tx.recv().await? {
        tx.publish("", Message::new("bills", order.body().clone()))
            .await?;
        tx.ack(&order)?;
    }
    tx.commit().await?;
    Ok(())
}

async fn tx_told(tx: mq_amqp::Tx<'_>) -> Result {
    match tx.commit().await {
        Ok(()) => {}
        Err(failed) if !failed.unroutable.is_empty() => {
            for unrouted in failed.unroutable {
                println!("{:?} to {}", unrouted.message, unrouted.exchange);
            }
        }
        Err(failed) if failed.outcome() != Outcome::Unknown => println!("{failed}"),
        Err(failed) => return Err(failed.into()),
    }
    Ok(())
}

async fn look_up(_: &str) -> mq_amqp::Verdict {
    mq_amqp::Verdict::Unknown
}

async fn pay(_: &str) -> Result {
    Ok(())
}

async fn check_back(client: Client) -> Result {
    let publisher = client
        .publisher("orders")
        .checker(
            "payments",
            |message| async move { look_up(message.id()).await },
        )
        .build()
        .await?;
    let transaction = publisher.begin(Message::new("paid", "order 7")).await?;
    pay(transaction.id()).await?;
    transaction.commit().await?;
    Ok(())
}

async fn ordered(client: Client) -> Result {
    let topic = client
        .ordered_topic("orders")
        .partitions(8)
        .declare()
        .await?;
    let publisher = topic.publisher().build().await?;
    // The routing key is the key.
    publisher.send(Message::new("order-42", "paid")).await?;
    ordered_again(publisher, Vec::new(), Vec::new()).await?;
    ordered_handlers(topic.clone()).await?;
    for partition in 0..topic.partitions() {
        client.delete_queue(&topic.queue(partition)).await?;
    }
    client.delete_exchange(topic.name()).await?;
    Ok(())
}

async fn ordered_again(
    publisher: OrderedPublisher,
    steps: Vec<(String, String)>,
    mut again: Vec<Message>,
) -> Result {
    let mut under_way = Vec::new();
    for (order, step) in steps {
        let message = Message::new(order, step);
        under_way.push(publisher.enqueue(message).await?);
    }
    for confirm in under_way {
        if let Err(failed) = confirm.await {
            again.push(*failed.message);
        }
    }
    Ok(())
}

async fn ordered_handlers(topic: OrderedTopic) -> Result {
    let policy = RetryPolicy::in_place(Duration::from_secs(1), Duration::from_secs(60));
    let consumer = topic.consumer().retry(policy.attempts(10)).build().await?;
    consumer
        .run(|message| async move {
            work(&message).await?;
            Ok::<_, MyError>(Settle::Ack)
        })
        .await?;
    Ok(())
}
