//! `mq dev`: brokers for development, in this process, until Ctrl-C.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use mq_dev::cmq::{Builder, DevServer, Fault, PushTargets, Seed};

use crate::args::{Dev, DevBroker, DevCmq, PushTo};
use crate::exit::{Exit, Failure};
use crate::interrupt::Interrupt;
use crate::output::{Output, say};
use crate::run::small_runtime;

/// What is logged unless `RUST_LOG` says otherwise: each push to a URL, too.
pub(crate) const LOG: &str = "warn,mq_dev::cmq::push=info";

/// Runs them until the user wants to end.
pub(crate) fn run(typed: Dev) -> Result<Exit, Failure> {
    let DevBroker::Cmq(typed) = typed.broker;
    let builder = plan(&typed)?;
    small_runtime()?.block_on(serve(builder, typed.snapshot))
}

/// Breaks what `--fault` says.
pub(crate) fn with_faults(builder: Builder, spec: Option<&str>) -> Result<Builder, Failure> {
    let faults = spec.map_or(Ok(Vec::new()), Fault::parse_list);
    let faults = faults.map_err(|why| Failure::Usage(format!("--fault: {why}")))?;
    Ok(faults.into_iter().fold(builder, Builder::fault))
}

/// What was typed, judged: files are read here.
fn plan(typed: &DevCmq) -> Result<Builder, Failure> {
    let mut builder = DevServer::builder().listen(&typed.listen);
    builder = builder.push(match typed.push {
        PushTo::Off => PushTargets::Off,
        PushTo::Public => PushTargets::Public,
        PushTo::Any => PushTargets::Any,
    });
    if let Some(listen) = &typed.gateway {
        builder = builder.gateway(listen);
    }
    if let Some(address) = &typed.advertise {
        builder = builder.advertise(address);
    }
    builder = with_faults(builder, typed.fault.as_deref())?;
    if let Some(path) = &typed.seed {
        builder = builder.seed(read_seed(path)?);
    }
    let Some(path) = &typed.snapshot else {
        return Ok(builder);
    };
    match File::open(path) {
        Ok(file) => builder
            .restore(file)
            .map_err(|cause| local("read", path, cause)),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => Ok(builder),
        Err(cause) => Err(local("read", path, cause)),
    }
}

fn read_seed(path: &Path) -> Result<Seed, Failure> {
    let text = std::fs::read_to_string(path).map_err(|cause| local("read", path, cause))?;
    toml::from_str(&text).map_err(|error| {
        // The first line says where, and the last what.
        let told = error.to_string();
        let told: Vec<&str> = told.lines().map(str::trim).collect();
        let (first, last) = (told.first(), told.last());
        let what = [first, last]
            .into_iter()
            .flatten()
            .copied()
            .collect::<Vec<_>>();
        Failure::Usage(format!("{}: {}", path.display(), what.join(": ")))
    })
}

async fn serve(builder: Builder, snapshot: Option<PathBuf>) -> Result<Exit, Failure> {
    let interrupt = Interrupt::listen()?;
    let server = builder.start().await.map_err(|cause| match cause.kind() {
        io::ErrorKind::InvalidInput => Failure::Usage(cause.to_string()),
        _ => Failure::Local("start the server".to_owned(), cause),
    })?;
    let mut output = Output::stdout();
    output.line(&server.url())?;
    if server.gateway_addr().is_some() {
        output.line(&server.tcp_url())?;
        output.line(&server.control_url())?;
    }
    say("serving CMQ in memory; Ctrl-C ends it");
    interrupt.wanted().await;
    match &snapshot {
        Some(path) => {
            let saved = save(server, path).await;
            saved.map_err(|cause| local("write", path, cause))?;
        }
        None => server.close().await,
    }
    Ok(Exit::Done)
}

/// Whole or not at all: what was there before stays until the new one is written.
async fn save(server: DevServer, path: &Path) -> io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".new");
    let beside = PathBuf::from(beside);
    let mut file = io::BufWriter::new(File::create(&beside)?);
    server.close_into(&mut file).await?;
    let file = file.into_inner().map_err(io::IntoInnerError::into_error)?;
    file.sync_all()?;
    std::fs::rename(&beside, path)
}

fn local(what: &str, path: &Path, cause: io::Error) -> Failure {
    Failure::Local(format!("{what} {}", path.display()), cause)
}
