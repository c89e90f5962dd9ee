//! TLS: trusts the CA of the brokers, and says what is wrong when they are not who they should be.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env::var;
use std::error::Error;

use mq_rocketmq::{Client, Message, Tls, TlsError};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = var("MQ_ROCKETMQ_URL").map_err(
        |_| "set MQ_ROCKETMQ_URL, such as rocketmq://127.0.0.1:9876?tls=true&tls_ca=ca.pem",
    )?;
    if !url.contains("tls=true") && var("TLS_CA").is_err() {
        return Err("no TLS: add ?tls=true&tls_ca=ca.pem to the URL, or set TLS_CA".into());
    }
    // With tls=true in the URL this is done already; in code it is the same.
    let mut builder = Client::from_url(&url)?;
    if let Ok(ca) = var("TLS_CA") {
        builder = builder.tls(Tls::new().ca_file(ca)?);
    }
    let client = builder.connect().await?;
    let producer = client.producer("example-tls").build().await?;
    let receipt = producer.send(Message::new("example-tls", "hello")).await?;
    println!("sent to {}/{}", receipt.broker(), receipt.queue());
    client.close().await?;

    // Who does not trust the broker's issuer is told so, and has sent nothing.
    let wary = Client::from_url(&url)?.tls(Tls::new());
    if let Err(error) = wary.connect().await {
        let tls = error
            .source()
            .and_then(|cause| cause.downcast_ref::<TlsError>());
        println!("refused: {:?}", tls.map(TlsError::fault));
        println!("{error}");
    }
    Ok(())
}
