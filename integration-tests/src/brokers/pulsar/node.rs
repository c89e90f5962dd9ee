//! A broker owned by one value: a fault test's handle, and what `brokers run` holds.

use std::fs;
use std::net::SocketAddr;
use std::path::PathBuf;

use super::config::Overlay;
use super::{Admin, OPEN, Ports, SECURED, Spec, Tokens, VERSION, archive, loopback};
use crate::brokers::ports::Block;
use crate::brokers::process::{Program, in_path};
use crate::brokers::profile::{Brokers, Profile};
use crate::brokers::server::Server;
use crate::brokers::signals::Stop;
use crate::brokers::state::{self, Run};
use crate::brokers::{Certificates, Context as _, Result, home};

/// One broker of Pulsar with its store; dropping it ends it and removes its data.
///
/// # Examples
/// ```no_run
/// use integration_tests::brokers::pulsar::Node;
///
/// let node = Node::start()?;
/// println!("{}", node.url());
/// node.kill9()?;
/// node.restart()?; // the same ports and store
/// # Ok::<(), integration_tests::brokers::Error>(())
/// ```
#[derive(Debug)]
pub struct Node {
    profile: Profile,
    ports: Ports,
    tokens: Option<Tokens>,
    admin: Admin,
    server: Server,
    run: Run,
    detached: bool,
    /// Kept so that a killed broker's ports are still free when it is restarted.
    _ports: Block,
}

impl Node {
    /// Starts a broker on free ports and waits until it is healthy. Blocks for some seconds, and longer at the very first time, when 245 MB
    /// are downloaded.
    ///
    /// # Errors
    /// If there is no Pulsar to be had, or it isn't ready within two minutes: then with its log's end.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// The same with these lines behind its configuration.
    ///
    /// # Errors
    /// Those of [`Node::start`].
    pub fn start_with(lines: &[&str]) -> Result<Self> {
        Self::start_until(Profile::Pulsar, &OPEN, lines, &Stop::default())
    }

    /// A broker with tokens, permissions and TLS, and these lines behind its configuration.
    ///
    /// # Errors
    /// Those of [`Node::start`].
    pub fn start_secured(lines: &[&str]) -> Result<Self> {
        Self::start_until(Profile::PulsarAuth, &SECURED, lines, &Stop::default())
    }

    /// Given up when `stop` is raised.
    pub(super) fn start_until(
        profile: Profile,
        spec: &'static Spec,
        lines: &[&str],
        stop: &Stop,
    ) -> Result<Self> {
        let java = in_path("java", "a JDK 17 (Debian: apt-get install openjdk-17-jdk)")?;
        let archive = archive::fetch(stop)?;
        // Before ports are chosen, so that orphans free theirs.
        state::sweep(&home(), stop)?;
        let block = Block::choose(profile.plan(), stop)?;
        let ports = Ports { base: block.base() };
        let endpoint = loopback(ports.plain()).to_string();
        let run = Run::create(&home(), profile, &endpoint, stop)?;
        let dir = run.dir().join("broker");
        fs::create_dir_all(&dir).context(|| format!("cannot create {}", dir.display()))?;
        let dir = fs::canonicalize(&dir).context(|| format!("cannot find {}", dir.display()))?;
        let tokens = spec.secured.then(|| Tokens::written(&dir)).transpose()?;
        let overlay = Overlay {
            dir: &dir,
            ports,
            spec,
            tokens: tokens.as_ref(),
            more: lines,
        };
        overlay.write(&archive)?;
        let program = Program {
            path: java,
            args: overlay.arguments(&archive),
            env: Vec::new(),
            log: dir.join("out.log"),
            dir,
        };
        let token = tokens.as_ref().map(|tokens| tokens.read(super::ADMIN));
        let admin = Admin::new(loopback(ports.admin()), token.transpose()?.as_deref());
        // From here on Drop takes down whatever was started.
        let node = Self {
            profile,
            ports,
            tokens,
            admin,
            server: Server::new("broker", program, &run),
            run,
            detached: false,
            _ports: block,
        };
        node.server.spawn()?;
        node.wait_ready(stop)?;
        Ok(node)
    }

    /// The URL for a client, without a token.
    pub fn url(&self) -> String {
        format!("pulsar://{}", self.addr())
    }

    /// The same over TLS; only a secured broker listens there.
    pub fn tls_url(&self) -> String {
        format!("pulsar+ssl://{}", self.tls_addr())
    }

    /// Where the management answers, and lookups over HTTP.
    pub fn admin_url(&self) -> String {
        format!("http://{}", loopback(self.ports.admin()))
    }

    /// Where it listens; the same after a restart.
    pub fn addr(&self) -> SocketAddr {
        loopback(self.ports.plain())
    }

    /// Where it listens for TLS, if it is secured. A client's certificate is looked at, and not needed.
    pub fn tls_addr(&self) -> SocketAddr {
        loopback(self.ports.tls())
    }

    /// Its management, asked as the admin.
    pub const fn admin(&self) -> &Admin {
        &self.admin
    }

    /// Its tokens, if it is secured.
    pub const fn tokens(&self) -> Option<&Tokens> {
        self.tokens.as_ref()
    }

    /// Its process id; another one after a restart.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid()
    }

    /// Kills it at once, as a power failure would.
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

    /// Has it stop by itself: producers and consumers are told to close. Returns when it is gone.
    ///
    /// # Errors
    /// If it doesn't run, or takes more than half a minute; then it is killed.
    pub fn shutdown(&self) -> Result<()> {
        self.server.shutdown()
    }

    /// Starts it again on its ports and store, after killing it if it runs; returns when it is healthy.
    ///
    /// # Errors
    /// If it isn't ready within two minutes.
    pub fn restart(&self) -> Result<()> {
        self.server.end();
        self.server.spawn()?;
        self.wait_ready(&Stop::default())
    }

    fn wait_ready(&self, stop: &Stop) -> Result<()> {
        self.server.wait_ready(stop, || self.admin.healthy())
    }
}

impl Brokers for Node {
    fn variables(&self) -> Vec<(String, String)> {
        let mut all = self.profile.variables(&self.url(), VERSION);
        let mut add = |name, value| all.push((self.profile.variable(name), value));
        add("ADMIN_URL", self.admin_url());
        if let (Some(tokens), Ok(made)) = (&self.tokens, Certificates::made()) {
            add("TLS_URL", self.tls_url());
            let admin = loopback(self.ports.admin_tls());
            add("ADMIN_TLS_URL", format!("https://{admin}"));
            let path = |path: PathBuf| path.display().to_string();
            add("TLS_CA", path(made.ca()));
            add("TLS_CERT", path(made.client()));
            add("TLS_KEY", path(made.client_key()));
            add("TOKEN", path(tokens.admin()));
            add("TOKEN_NOBODY", path(tokens.nobody()));
            add("TOKEN_EXPIRED", path(tokens.expired()));
            add("TOKEN_KEY", path(tokens.key()));
        }
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
        // A broker writes while it dies.
        let _ = fs::remove_dir_all(self.run.dir());
    }
}
