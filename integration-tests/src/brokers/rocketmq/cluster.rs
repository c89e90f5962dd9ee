//! Native brokers owned by one value: a fault test's handle, and what `brokers run` holds.

mod tls;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use self::tls::options;
use super::config::{BrokerOverlay, Overlay, write_home};
use super::jars;
use super::ready::{self, Door, Guard};
use super::spec::{NAMESRV_JVM, Spec, broker_port, url};
use crate::brokers::ports::Block;
use crate::brokers::process::{Program, in_path};
use crate::brokers::profile::{Brokers, Plan, Profile};
use crate::brokers::server::Server;
use crate::brokers::signals::Stop;
use crate::brokers::state::{self, Run};
use crate::brokers::{Context as _, Error, Result, home};

/// A nameserver with its brokers; dropping it ends them and removes their data.
///
/// # Examples
/// ```no_run
/// use integration_tests::brokers::{Cluster, Profile};
///
/// let cluster = Cluster::start(Profile::Rocketmq)?;
/// let broker = cluster.broker("broker-a")?;
/// println!("{} routes to {}", cluster.url(), broker.addr());
/// broker.kill9()?;
/// broker.restart()?; // the same port and store
/// # Ok::<(), integration_tests::brokers::Error>(())
/// ```
#[derive(Debug)]
pub struct Cluster {
    profile: Profile,
    url: String,
    namesrv: String,
    servers: Vec<Broker>,
    run: Run,
    detached: bool,
    /// Kept so that a killed broker's ports are still free when it is restarted.
    _ports: Block,
}

/// One server process: a broker, or the nameserver.
#[derive(Debug)]
pub struct Broker {
    server: Server,
    addr: SocketAddr,
    nameserver: SocketAddr,
    /// `None`: it is the nameserver.
    guard: Option<Guard>,
    door: Door,
}

impl Cluster {
    /// Starts the profile's brokers on free ports and waits until each answers. Blocks for some
    /// seconds, and longer at the very first time, when jars are downloaded.
    ///
    /// # Errors
    /// If a tool is missing, or a broker isn't ready within two minutes: then with its log's end.
    pub fn start(profile: Profile) -> Result<Self> {
        Self::start_until(profile, &Stop::default())
    }

    /// Like [`Cluster::start`], given up when `stop` is raised.
    pub(in crate::brokers) fn start_until(profile: Profile, stop: &Stop) -> Result<Self> {
        let plan = profile.plan();
        let Plan::Rocketmq(spec) = plan else {
            return Err(Error::new(format!("profile {profile} is not RocketMQ's")));
        };
        let java = in_path(
            "java",
            "JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)",
        )?;
        let lib = jars::fetch(spec.version, stop)?;
        // Before ports are chosen, so that orphans free theirs.
        state::sweep(&home(), stop)?;
        let ports = Block::choose(plan, stop)?;
        let namesrv = loopback(ports.base()).to_string();
        let run = Run::create(&home(), profile, &namesrv, stop)?;
        let servers = layout(spec, ports.base(), &Jvm { java, lib }, &run);
        // From here on Drop takes down whatever was started.
        let cluster = Self {
            profile,
            url: url(spec, &namesrv)?,
            namesrv,
            servers: servers?,
            run,
            detached: false,
            _ports: ports,
        };
        for Broker { server, .. } in &cluster.servers {
            server.spawn()?;
        }
        for server in &cluster.servers {
            server.wait_ready(stop)?;
        }
        Ok(cluster)
    }

    /// The URL for a client; it holds the super user's credentials if the profile has ACL on.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// The nameserver as `host:port`.
    pub fn namesrv(&self) -> &str {
        &self.namesrv
    }

    /// What was started.
    pub fn profile(&self) -> Profile {
        self.profile
    }

    /// The broker of that name: `broker-a`, and `broker-b` where the profile has two.
    ///
    /// # Errors
    /// If the profile has no such broker.
    pub fn broker(&self, name: &str) -> Result<&Broker> {
        self.servers
            .iter()
            .find(|server| server.name() == name)
            .ok_or_else(|| Error::new(format!("profile {} has no broker {name:?}", self.profile)))
    }

    /// The nameserver's process, to be killed or stopped like a broker.
    ///
    /// # Errors
    /// None in practice: every profile has one.
    pub fn nameserver(&self) -> Result<&Broker> {
        self.broker(NAMESERVER)
    }
}

impl Brokers for Cluster {
    fn variables(&self) -> Vec<(String, String)> {
        self.profile.variables(&self.url, self.profile.version())
    }

    fn detach(mut self: Box<Self>) -> Result<()> {
        self.run.detach(self.variables())?;
        self.detached = true;
        Ok(())
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if self.detached {
            return;
        }
        // All at once by their recorded identities, then each is reaped.
        self.run.end();
        for Broker { server, .. } in &self.servers {
            server.end();
        }
        // A broker writes while it dies.
        let _ = fs::remove_dir_all(self.run.dir());
    }
}

impl Broker {
    /// The broker's name in routes.
    pub fn name(&self) -> &str {
        self.server.name
    }

    /// Where it listens; the same after a restart.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Its process id; another one after a restart.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn pid(&self) -> Result<u32> {
        self.server.pid()
    }

    /// Kills it at once, as a power failure would: nothing is flushed, nothing is unregistered.
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

    /// Lets it go on after [`Broker::stop`].
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn cont(&self) -> Result<()> {
        self.server.cont()
    }

    /// Starts it again on its port and store, after killing it if it runs; returns when it answers.
    ///
    /// # Errors
    /// If it isn't ready within two minutes.
    pub fn restart(&self) -> Result<()> {
        self.server.end();
        self.server.spawn()?;
        self.wait_ready(&Stop::default())
    }

    fn wait_ready(&self, stop: &Stop) -> Result<()> {
        self.server.wait_ready(stop, || match self.guard {
            None => ready::nameserver(self.addr, &self.door),
            Some(guard) => {
                ready::broker(self.nameserver, self.name(), self.addr, guard, &self.door)
            }
        })
    }
}

/// What is the same for every server of a version.
struct Jvm {
    java: PathBuf,
    lib: PathBuf,
}

impl Jvm {
    /// The command line of one server, whose home, working directory and log lie in `dir`.
    fn program(&self, options: &[String], class: &str, dir: &Path) -> Program {
        // Absolute, so that the process can be found by its run's path.
        let path = |name: &str| dir.join(name).display().to_string();
        // Both generations take these; 5.x does not run on JDK 17 without.
        let mut args: Vec<String> = OPENS.iter().map(ToString::to_string).collect();
        args.extend_from_slice(options);
        args.push(format!("-Duser.home={}", dir.display()));
        args.extend([
            "-cp".to_owned(),
            format!("{}:{}/*", path("conf"), self.lib.display()),
        ]);
        args.extend([class.to_owned(), "-c".to_owned(), path("server.conf")]);
        Program {
            path: self.java.clone(),
            args,
            env: vec![("ROCKETMQ_HOME".to_owned(), dir.display().to_string())],
            dir: dir.to_owned(),
            log: dir.join("out.log"),
        }
    }
}

/// Writes every server's directory: the nameserver first, then the brokers in the table's order.
fn layout(spec: &'static Spec, base: u16, jvm: &Jvm, run: &Run) -> Result<Vec<Broker>> {
    let nameserver = loopback(base);
    let guard = match (spec.acl, spec.is_4()) {
        (false, _) => Guard::Open,
        (true, false) => Guard::Acl2,
        (true, true) => Guard::Acl1,
    };
    let door = Door::of(spec)?;
    let server = |name, addr, guard, program| Broker {
        server: Server::new(name, program, run),
        addr,
        nameserver,
        guard,
        door: door.clone(),
    };
    let mut servers = Vec::new();
    let dir = prepare(run, NAMESERVER, spec)?;
    let overlay = Overlay {
        listen_port: base,
        broker: None,
    };
    overlay.write(&["namesrv.conf"], &dir.join("server.conf"))?;
    let program = jvm.program(
        &options(NAMESRV_JVM, spec, &dir)?,
        "org.apache.rocketmq.namesrv.NamesrvStartup",
        &dir,
    );
    servers.push(server(NAMESERVER, nameserver, None, program));
    for (index, (name, pieces)) in spec.brokers.iter().enumerate() {
        let port = broker_port(base, index);
        let dir = prepare(run, name, spec)?;
        let broker = BrokerOverlay {
            nameserver: nameserver.to_string(),
            store: dir.join("store"),
        };
        let overlay = Overlay {
            listen_port: port,
            broker: Some(broker),
        };
        overlay.write(pieces, &dir.join("server.conf"))?;
        let class = "org.apache.rocketmq.broker.BrokerStartup";
        let program = jvm.program(&options(spec.broker_jvm, spec, &dir)?, class, &dir);
        servers.push(server(name, loopback(port), Some(guard), program));
    }
    Ok(servers)
}

fn prepare(run: &Run, name: &str, spec: &Spec) -> Result<PathBuf> {
    let dir = run.dir().join(name);
    write_home(&dir, spec)?;
    fs::canonicalize(&dir).context(|| format!("cannot find {}", dir.display()))
}

fn loopback(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::LOCALHOST, port))
}

const NAMESERVER: &str = "namesrv";
const OPENS: &[&str] = &[
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
];
