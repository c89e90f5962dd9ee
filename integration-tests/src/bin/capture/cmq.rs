//! Records CMQ's SDKs against the dev server: the golden fixtures of mq-cmq's requests and answers.
//!
//! ```text
//!   SDK ──► recorder ──► dev server        crates/mq-cmq/tests/fixtures/<sdk>-<signature>-<method>.http
//! ```

use std::fs;

use integration_tests::foreign::cmq::{Exchange, Recorder, Sdk, Signed, fixture, play};
use mq_dev::cmq::DevServer;

use super::Result;

/// Each SDK in each of its ways: all actions in its default way, those of messages in the others.
#[tokio::main]
pub(super) async fn record() -> Result<()> {
    for sdk in Sdk::ALL {
        for way in sdk.ways() {
            let exchanges = played(sdk, *way).await?;
            let path = fixture(sdk, *way);
            fs::create_dir_all(path.parent().ok_or("no directory")?)?;
            fs::write(&path, text(sdk, *way, &exchanges))?;
            println!("{} exchanges in {}", exchanges.len(), path.display());
        }
    }
    Ok(())
}

async fn played(sdk: Sdk, way: Signed) -> Result<Vec<Exchange>> {
    let server = DevServer::builder().refuse_replays(false).start().await?;
    let recorder = Recorder::start(server.addr()).await?;
    let mut theirs = sdk.start(recorder.address(), way).await?;
    play(&mut theirs).await?;
    let mut exchanges = recorder.exchanges();
    if way != Signed::default() {
        exchanges.retain(|exchange| exchange.action().ends_with("Message"));
    }
    server.close().await;
    Ok(exchanges)
}

fn text(sdk: Sdk, way: Signed, exchanges: &[Exchange]) -> String {
    let mut text = format!(
        "# {} with {} by {}, and mq-dev's answers: as on the wire, but for line ends, which were CR LF.\n\
         # Recorded by `cargo run -p integration-tests --bin capture -- cmq`; secret key: dev-secret.\n",
        sdk.version(),
        way.sign,
        way.method
    );
    text.extend(exchanges.iter().map(Exchange::write));
    text
}
