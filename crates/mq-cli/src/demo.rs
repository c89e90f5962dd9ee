//! `mq demo`: the dev brokers that there are, and every flow that they serve, live; judged by what was received.
//!
//! ```text
//!  DevServer (this process) ◄─ adapter ─ flow: sends a plan, receives, tells each step on stderr
//!                                          └─► Row { planned, came, kept } ─► table on stdout ─► exit code
//! ```

mod flows;
mod stage;
mod transactions;

use std::time::Duration;

use mq_dev::cmq::{Builder, DevServer};

use self::stage::Row;
use crate::adapter::{Broker, Options, Target};
use crate::args::Demo;
use crate::dev::with_faults;
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, say};
use crate::run::runtime;

/// Runs it to its end, or until the user wants to end.
pub(crate) fn run(typed: &Demo) -> Result<Exit, Failure> {
    let builder = stage::queues(DevServer::builder().gateway("127.0.0.1:0"));
    let builder = with_faults(builder, typed.fault.as_deref())?;
    let runtime = runtime()?;
    let exit = runtime.block_on(async {
        let interrupt = Interrupt::listen()?;
        tokio::select! {
            shown = show(builder) => shown,
            () = interrupt.wanted() => Ok(Exit::Done),
        }
    });
    runtime.shutdown_timeout(Duration::from_secs(1));
    exit
}

async fn show(builder: Builder) -> Result<Exit, Failure> {
    let server = builder
        .start()
        .await
        .map_err(|cause| Failure::Local("start the server".to_owned(), cause))?;
    say(format_args!(
        "a CMQ dev server, in this process, at {}",
        server.endpoint()
    ));
    let target = Target::cmq(&server.url())?;
    let broker = Broker::connect(target, Options::default()).await?;
    let rows = [
        flows::send_receive(&broker).await,
        flows::by_tag(&broker).await,
        flows::by_route(&broker).await,
        flows::retry_and_dead_letter(&broker).await,
        flows::ordered(&broker, &server).await,
        flows::scheduled(&broker).await,
        transactions::transactional(&server).await,
    ];
    broker.close().await?;
    server.close().await;
    let mut output = Output::stdout();
    for line in table(&rows) {
        output.line(&line)?;
    }
    Ok(verdict(&rows))
}

fn verdict(rows: &[Row]) -> Exit {
    let failed: Vec<&str> = rows
        .iter()
        .filter(|row| !row.kept)
        .map(|row| row.flow)
        .collect();
    if failed.is_empty() {
        say(format_args!("all {} flows kept their promise", rows.len()));
        return Exit::Done;
    }
    say(format_args!("not kept: {}", failed.join("; ")));
    Exit::Failed
}

fn table(rows: &[Row]) -> Vec<String> {
    let mut cells = vec![["PROTOCOL", "FLOW", "SENT", "CAME", "KEPT", ""].map(str::to_owned)];
    cells.extend(rows.iter().map(|row| {
        let kept = if row.kept { "yes" } else { "NO" };
        [
            "cmq".to_owned(),
            row.flow.to_owned(),
            row.sent.to_string(),
            row.came.to_string(),
            kept.to_owned(),
            row.told.clone(),
        ]
    }));
    crate::inspect::table(&cells)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_flow_that_failed_fails_the_demo() {
        let row = |kept| Row {
            flow: "ordered",
            sent: 2,
            came: 1,
            kept,
            told: "1 is missing".to_owned(),
        };
        assert_eq!(verdict(&[row(true), row(true)]), Exit::Done);
        assert_eq!(verdict(&[row(true), row(false)]), Exit::Failed);
        let lines = table(&[row(false)]);
        assert_eq!(
            lines[1],
            "cmq       ordered  2     1     NO    1 is missing"
        );
    }
}
