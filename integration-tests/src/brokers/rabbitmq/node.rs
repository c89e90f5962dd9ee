//! A node owned by one value: a fault test's handle, and what `brokers run` holds.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use super::packages::{self, Server as Installed};
use super::{Ports, ROLE, VHOST, config, loopback, management_url, ready, url};
use crate::brokers::ports::Block;
use crate::brokers::process::Program;
use crate::brokers::profile::{Brokers, Profile};
use crate::brokers::server::Server;
use crate::brokers::signals::Stop;
use crate::brokers::state::{self, Run};
use crate::brokers::{Certificates, Context as _, Result, User, home};

/// One RabbitMQ node with an epmd of its own; dropping it ends both and removes their data.
///
/// # Examples
/// ```no_run
/// use integration_tests::brokers::rabbitmq::Node;
///
/// let node = Node::start()?;
/// println!("{} on {}", node.url(), node.version());
/// node.kill9()?;
/// node.restart()?; // the same ports and store
/// node.close_all_connections("maintenance")?;
/// # Ok::<(), integration_tests::brokers::Error>(())
/// ```
#[derive(Debug)]
pub struct Node {
    profile: Profile,
    version: String,
    ports: Ports,
    url: String,
    certificates: Certificates,
    epmd: Server,
    server: Server,
    run: Run,
    detached: bool,
    /// Kept so that a killed node's ports are still free when it is restarted.
    _ports: Block,
}

impl Node {
    /// Starts a node on free ports and waits until it answers. Blocks for some seconds, and longer at the very first time, when packages
    /// are downloaded.
    ///
    /// # Errors
    /// If there is no RabbitMQ to be had, or it isn't ready within two minutes: then with its log's end.
    pub fn start() -> Result<Self> {
        super::start(&Stop::default())
    }

    /// Like [`Node::start`], given up when `stop` is raised.
    pub(in crate::brokers) fn start_until(profile: Profile, stop: &Stop) -> Result<Self> {
        let installed = packages::find(stop)?;
        let certificates = Certificates::made()?;
        // Before ports are chosen, so that orphans free theirs.
        state::sweep(&home(), stop)?;
        let block = Block::choose(profile.plan(), stop)?;
        let ports = Ports { base: block.base() };
        let address = loopback(ports.amqp());
        let run = Run::create(&home(), profile, &address.to_string(), stop)?;
        let (epmd, server) = prepare(&run, ports, &installed, &certificates)?;
        // From here on Drop takes down whatever was started.
        let node = Self {
            profile,
            version: installed.version,
            ports,
            url: url("amqp", ROLE, address, VHOST),
            certificates,
            epmd: Server::new("epmd", epmd, &run),
            server: Server::new("node", server, &run),
            run,
            detached: false,
            _ports: block,
        };
        node.epmd.spawn()?;
        node.server.spawn()?;
        node.wait_ready(stop)?;
        Ok(node)
    }

    /// The URL for a client: [`ROLE`] on [`VHOST`].
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The URL of another user or virtual host.
    pub fn url_of(&self, user: User, vhost: &str) -> String {
        url("amqp", user, self.addr(), vhost)
    }

    /// The same as [`Node::url`] over TLS; [`Certificates`] has what is needed.
    pub fn tls_url(&self) -> String {
        url("amqps", ROLE, self.tls_addr(), VHOST)
    }

    /// Where the management answers, with a user of it.
    pub fn management_url(&self) -> String {
        management_url(self.management_addr())
    }

    /// Where it listens; the same after a restart.
    pub fn addr(&self) -> SocketAddr {
        loopback(self.ports.amqp())
    }

    /// Where it listens for TLS. A client's certificate is looked at, and not needed.
    pub fn tls_addr(&self) -> SocketAddr {
        loopback(self.ports.amqps())
    }

    /// Where its management listens.
    pub fn management_addr(&self) -> SocketAddr {
        loopback(self.ports.management())
    }

    /// Where it listens for the stream protocol.
    pub fn stream_addr(&self) -> SocketAddr {
        loopback(self.ports.stream())
    }

    /// The version of the RabbitMQ that was found.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Its process id; another one after a restart.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid()
    }

    /// The process id of its epmd, which stays through restarts.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn epmd_pid(&self) -> Result<u32> {
        self.epmd.pid()
    }

    /// Kills it at once with what it has started, as a power failure would.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn kill9(&self) -> Result<()> {
        self.server.kill9()
    }

    /// Freezes it (SIGSTOP): its sockets stay open and nobody answers. Returns when every thread stands still.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn stop(&self) -> Result<()> {
        self.server.stop()
    }

    /// Lets it go on after [`Node::stop`].
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn cont(&self) -> Result<()> {
        self.server.cont()
    }

    /// Has it stop by itself: connections are closed with code 320, and what is in memory is written. Returns when it is gone.
    ///
    /// # Errors
    /// If it doesn't run, or takes more than half a minute; then it is killed.
    pub fn shutdown(&self) -> Result<()> {
        self.server.shutdown()
    }

    /// Starts it again on its ports and store, after killing it if it runs; returns when it answers.
    ///
    /// # Errors
    /// If it isn't ready within two minutes.
    pub fn restart(&self) -> Result<()> {
        self.server.end();
        self.server.spawn()?;
        self.wait_ready(&Stop::default())
    }

    /// Its `rabbitmqctl`: knows the node's name, ports and cookie.
    pub fn control(&self) -> PathBuf {
        config::control(&self.server.program.dir)
    }

    fn wait_ready(&self, stop: &Stop) -> Result<()> {
        let tls = self.certificates.client_config()?;
        self.server.wait_ready(stop, || {
            ready::opens(self.addr())?;
            ready::opens_by_tls(self.tls_addr(), Arc::clone(&tls))?;
            ready::manages(self.management_addr())
        })
    }
}

impl Brokers for Node {
    fn variables(&self) -> Vec<(String, String)> {
        let mut all = self.profile.variables(&self.url, &self.version);
        let mut add = |name, value| all.push((self.profile.variable(name), value));
        add("MANAGEMENT_URL", self.management_url());
        add("TLS_URL", self.tls_url());
        let path = |path: PathBuf| path.display().to_string();
        add("TLS_CA", path(self.certificates.ca()));
        add("TLS_CERT", path(self.certificates.client()));
        add("TLS_KEY", path(self.certificates.client_key()));
        add("CTL", self.control().display().to_string());
        all
    }

    fn detach(mut self: Box<Self>) -> Result<()> {
        self.run.detach(self.variables())?;
        self.detached = true;
        Ok(())
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        self.run.end();
        self.server.end();
        self.epmd.end();
        // A node writes while it dies.
        let _ = fs::remove_dir_all(self.run.dir());
    }
}

/// Writes the node's directory; returns its epmd and the node.
fn prepare(
    run: &Run,
    ports: Ports,
    installed: &Installed,
    certificates: &Certificates,
) -> Result<(Program, Program)> {
    let dir = run.dir().join("node");
    fs::create_dir_all(&dir).context(|| format!("cannot create {}", dir.display()))?;
    let dir = fs::canonicalize(&dir).context(|| format!("cannot find {}", dir.display()))?;
    config::write(&dir, ports, installed, certificates)?;
    let program = |path: PathBuf, args: &[&str], log: &str| Program {
        path,
        args: args.iter().map(ToString::to_string).collect(),
        env: config::environment(&dir, ports, installed),
        dir: dir.clone(),
        log: dir.join(log),
    };
    let port = ports.epmd().to_string();
    let epmd = program(
        installed.erlang.join("epmd"),
        &["-address", "127.0.0.1", "-port", &port],
        "epmd.log",
    );
    let server = program(installed.scripts.join("rabbitmq-server"), &[], "out.log");
    Ok((epmd, server))
}
