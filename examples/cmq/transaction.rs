//! Transactions: a message is delivered if, and only if, its local work was done.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::time::{Duration, SystemTime};

use mq_cmq::{ControlClient, TcpClient, Verdict};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = std::env::var("MQ_CMQ_TCP_URL").unwrap_or_else(|_| DEV.to_owned());
    let control = std::env::var("MQ_CMQ_CONTROL_URL").unwrap_or_else(|_| CONTROL.to_owned());
    let control = ControlClient::from_url(&control)?.build()?;
    let run = SystemTime::UNIX_EPOCH.elapsed()?.as_millis();
    let name = format!("paid-orders-{run}");
    let making = control.create_queue(&name).transactional(true);
    making.first_query(Duration::from_secs(2)).await?;

    let client = TcpClient::from_url(&url)?.build()?;
    let orders = client.transactional(&name, |_pending| async {
        println!("the server asks");
        // Here the database is asked, by the id of what is pending: nothing else is told.
        Verdict::Commit
    })?;
    let queue = client.queue(&name)?;

    let prepared = orders.begin("order 1").await?;
    println!("before   {:?}", queue.receive(Duration::ZERO).await?);
    // Here the payment is made, and written down with prepared.id().
    prepared.commit().await?;

    // The same in one piece; an error would leave the decision to the checker.
    let pay = |_id| async { Ok::<_, std::io::Error>(Verdict::Rollback) };
    println!("order 2: {:?}", orders.transact("order 2", pay).await?);

    // As if the process died here.
    drop(orders.begin("order 3").await?);

    for _ in 0..2 {
        let message = queue.receive(Duration::from_secs(20)).await?;
        let message = message.ok_or("nothing came")?;
        println!("ship     {}", message.body());
        queue.delete(message.handle()).await?;
    }
    println!("left     {:?}", queue.receive(Duration::ZERO).await?);
    control.delete_queue(&name).await?;
    Ok(())
}

/// What `mq dev cmq --listen 127.0.0.1:8080 --gateway 127.0.0.1:8081` answers to.
const DEV: &str = "cmq+tcp://AKIDdev:dev-secret@127.0.0.1:8080";
const CONTROL: &str = "cmq+tc3+http://AKIDdev:dev-secret@127.0.0.1:8080?region=ap-guangzhou";
