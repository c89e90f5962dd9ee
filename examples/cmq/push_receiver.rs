//! Receives pushes: a server of hyper's on this machine, subscribed to a topic, that fails once and is pushed to again.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, SystemTime};

use hyper::server::conn::http1;
use hyper_util::{rt::TokioIo, service::TowerToHyperService};
use mq_cmq::Client;
use mq_cmq::push::{PushReceiver, Pushed};
use tokio::{net::TcpListener, sync::mpsc};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_URL").unwrap_or_else(|_| DEV.to_owned());
    let client = Client::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let name = format!("push-{run}");

    let (done, mut wait) = mpsc::channel(1);
    let failed = AtomicBool::new(false);
    let receiver = PushReceiver::json(move |pushed: Pushed| {
        let first = !failed.swap(true, Ordering::Relaxed);
        let done = done.clone();
        async move {
            println!(
                "pushed   {} with {}",
                pushed.body(),
                pushed.tags().join(" ")
            );
            // An error is answered with 500, and pushed again; the other with 200: it is done.
            if first {
                return Err("not now");
            }
            done.send(()).await.map_err(|_| "over")
        }
    });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let own = format!("http://{}/", listener.local_addr()?);
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let service = TowerToHyperService::new(receiver.clone());
            let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
            drop(tokio::spawn(connection));
        }
    });

    let topic = client.create_topic(&name).await?;
    let subscription = topic.subscribe("own").http(own).await?;
    topic
        .publish(mq_cmq::TopicMessage::new("sunny").tag("weather"))
        .await?;
    let ended = tokio::time::timeout(Duration::from_secs(20), wait.recv()).await?;
    println!("done     {}", ended.is_some());
    subscription.unsubscribe().await?;
    client.delete_topic(&name).await?;
    Ok(())
}
const DEV: &str = "cmq+http://AKIDdev:dev-secret@127.0.0.1:8080"; // as of `mq dev cmq --listen 127.0.0.1:8080 --push any`
