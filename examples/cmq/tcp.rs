//! CMQ over TCP: what a queue over HTTP does, and how long a received message stays invisible, chosen by who receives it.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::TcpClient;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_TCP_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = TcpClient::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let name = format!("tcp-{run}");
    // Management goes over HTTP: a message stays invisible for 30 s, unless somebody asks for another time.
    client.as_client().create_queue(&name).await?;

    let queue = client.queue(&name)?;
    queue.send("I am test message.").await?;
    println!("sent     I am test message.");

    // This handle holds for three seconds what it receives; the queue stays as it is.
    let briefly = queue.clone().visibility(Duration::from_secs(3))?;
    let held = briefly.receive(Duration::from_secs(10)).await?;
    let held = held.ok_or("nothing came")?;
    println!("received {} attempt {}", held.body(), held.attempt());
    println!("hidden   {:?}", queue.receive(Duration::ZERO).await?);

    // It was not deleted, and comes again after the three seconds: long before the 30 that the queue has.
    let again = queue.receive(Duration::from_secs(10)).await?;
    let again = again.ok_or("nothing came again")?;
    println!("received {} attempt {}", again.body(), again.attempt());
    queue.delete(again.handle()).await?;
    client.as_client().delete_queue(&name).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080 --gateway 127.0.0.1:8081` answers to: the name server, which tells where the gateway is.
const DEV: &str = "cmq+tcp://AKIDdev:dev-secret@127.0.0.1:8080";
