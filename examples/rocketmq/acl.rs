//! Access control: keys from a file that may be rewritten while the program runs, or from the environment.
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::env::var;
use std::error::Error;

use mq_rocketmq::{Client, Credentials, ErrorKind, Message};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let url = var("MQ_ROCKETMQ_URL")
        .map_err(|_| "set MQ_ROCKETMQ_URL, such as rocketmq://127.0.0.1:9876")?;
    let builder = Client::from_url(&url)?;
    let client = match (var("KEYS_FILE"), var("ROCKETMQ_AK")) {
        // Huawei's config.yaml: ACL_ACCESS_KEY and ACL_SECRET_KEY. Read again when the broker refuses what was read last.
        (Ok(file), _) => {
            let provider = move || {
                let file = file.clone();
                async move { Credentials::from_file(file) }
            };
            builder.credentials_provider(provider).connect().await?
        }
        // ROCKETMQ_AK and ROCKETMQ_SK, unless the URL has keys.
        (_, Ok(_)) => builder.credentials_from_env()?.connect().await?,
        // Those of the URL.
        _ => builder.connect().await?,
    };

    let producer = client.producer("example-acl").build().await?;
    match producer.send(Message::new("example-acl", "hello")).await {
        Ok(receipt) => println!("sent to {}/{}", receipt.broker(), receipt.queue()),
        Err(failed) if failed.error.kind() == ErrorKind::Auth => {
            println!("refused: {}", failed.error);
            return Err("these keys may not send here".into());
        }
        Err(failed) => return Err(failed.into()),
    }
    client.close().await?;
    Ok(())
}
