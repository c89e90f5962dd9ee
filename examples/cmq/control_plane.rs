//! The control plane, where TDMQ makes its queues and topics: dead letters, a topic with tags, lists, and what is there again is told.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{ControlClient, ControlCode, DeadLetter, Filter, PushRetry};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_CONTROL_URL").unwrap_or_else(|_| DEV.to_owned());
    let control = ControlClient::from_url(&url)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let named = |name: &str| format!("{name}-{run}");
    let short = |name: &str| name.replace(&format!("-{run}"), "");
    let (dead, queue) = (named("dead_queue_api"), named("queue_api"));
    let (topic, target) = (named("topic_api"), named("topic_queue_api"));

    control.create_queue(&dead).await?;
    // Policy 0: what was received 3 times and not deleted.
    let rule = DeadLetter::after_receives(&dead, 3);
    control.create_queue(&queue).dead_letter(rule).await?;
    match control.create_queue(&queue).await {
        Err(error) if error.code() == Some(&ControlCode::QUEUE_EXISTS) => println!("was there"),
        other => println!("made anew? {other:?}"),
    }

    let making = control.create_topic(&topic).filter(Filter::Tags);
    making.retention(Duration::from_secs(86_400)).await?;
    control.create_queue(&target).await?;
    let subscribing = control.subscribe(&topic, "sub").queue(&target);
    let subscribing = subscribing.retry(PushRetry::Backoff).filter_tags(["TAG"]);
    subscribing.await?;

    // Page by page, however many there are.
    let own = || control.queues().containing(&queue);
    for made in own().all().await? {
        let rule = made.attributes.dead_letter;
        let to = rule.map(|rule| short(rule.queue()));
        println!("queue    {}, dead letters to {to:?}", short(&made.name));
    }
    for made in control.subscriptions(&topic).all().await? {
        println!(
            "{}      has tags {:?}",
            made.name, made.attributes.filter_tags
        );
    }

    control.unsubscribe(&topic, "sub").await?;
    control.delete_topic(&topic).await?;
    for name in [&queue, &dead, &target] {
        control.delete_queue(name).await?;
    }
    println!("left     {} queues", own().all().await?.len());
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080` answers to. The service: `cmq+tc3+https://id:key@tdmq.tencentcloudapi.com?region=…`.
const DEV: &str = "cmq+tc3+http://AKIDdev:dev-secret@127.0.0.1:8080?region=ap-guangzhou";
