//! Native brokers owned by one value: a fault test's handle, and what `brokers run` holds.

mod tls;

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Child;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rustix::process::Signal;

use self::tls::options;
use super::config::{BrokerOverlay, Overlay, write_home};
use super::ports::{Block, broker_port};
use super::process::{Identity, Program, end_group, in_path, tail};
use super::profile::{NAMESRV_JVM, Profile, Spec};
use super::ready::{self, Door, Guard};
use super::signals::Stop;
use super::state::Run;
use super::{Context, Error, Result, home, jars, now};

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
    name: &'static str,
    addr: SocketAddr,
    nameserver: SocketAddr,
    /// `None`: it is the nameserver.
    guard: Option<Guard>,
    door: Door,
    program: Program,
    run: Run,
    /// Replaced by a restart; `None` while nothing was started.
    child: Mutex<Option<Child>>,
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
    pub(super) fn start_until(profile: Profile, stop: &Stop) -> Result<Self> {
        let java = in_path(
            "java",
            "JDK 17 (Debian: apt-get install openjdk-17-jdk-headless)",
        )?;
        let spec = profile.spec();
        let lib = jars::fetch(spec.version, stop)?;
        // Before ports are chosen, so that orphans free theirs.
        super::state::sweep(&home(), stop)?;
        let ports = Block::choose(spec.base_port, stop)?;
        let namesrv = loopback(ports.base()).to_string();
        let run = Run::create(&home(), profile, &namesrv, stop)?;
        let servers = layout(spec, ports.base(), &Jvm { java, lib }, &run);
        // From here on Drop takes down whatever was started.
        let cluster = Self {
            profile,
            url: profile.url(&namesrv)?,
            namesrv,
            servers: servers?,
            run,
            detached: false,
            _ports: ports,
        };
        for server in &cluster.servers {
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
            .find(|server| server.name == name)
            .ok_or_else(|| Error::new(format!("profile {} has no broker {name:?}", self.profile)))
    }

    /// The nameserver's process, to be killed or stopped like a broker.
    ///
    /// # Errors
    /// None in practice: every profile has one.
    pub fn nameserver(&self) -> Result<&Broker> {
        self.broker(NAMESERVER)
    }

    /// Lets the brokers outlive this value and this process, until `brokers down`.
    pub(super) fn detach(mut self) -> Result<()> {
        self.run.detach()?;
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
        for server in &self.servers {
            if let Some(mut child) = server.child().take() {
                end_group(&mut child);
            }
        }
        // A broker writes while it dies.
        let _ = fs::remove_dir_all(self.run.dir());
    }
}

impl Broker {
    /// The broker's name in routes.
    pub fn name(&self) -> &str {
        self.name
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
        Ok(self.identity()?.pid.unsigned_abs())
    }

    /// Kills it at once, as a power failure would: nothing is flushed, nothing is unregistered.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn kill9(&self) -> Result<()> {
        self.identity()?;
        if let Some(mut child) = self.child().take() {
            end_group(&mut child);
        }
        Ok(())
    }

    /// Freezes it (SIGSTOP): its sockets stay open and nobody answers. Returns when every thread stands still.
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn stop(&self) -> Result<()> {
        self.signal(Signal::STOP)?;
        let process = self.identity()?;
        while process.alive() && !process.stopped() {
            std::thread::sleep(Duration::from_millis(1));
        }
        Ok(())
    }

    /// Lets it go on after [`Broker::stop`].
    ///
    /// # Errors
    /// If it doesn't run.
    pub fn cont(&self) -> Result<()> {
        self.signal(Signal::CONT)
    }

    /// Starts it again on its port and store, after killing it if it runs; returns when it answers.
    ///
    /// # Errors
    /// If it isn't ready within two minutes.
    pub fn restart(&self) -> Result<()> {
        if let Some(mut child) = self.child().take() {
            end_group(&mut child);
        }
        self.spawn()?;
        self.wait_ready(&Stop::default())
    }

    fn spawn(&self) -> Result<()> {
        let child = self
            .program
            .spawn(|process| self.run.record(self.name, process))?;
        *self.child() = Some(child);
        Ok(())
    }

    fn wait_ready(&self, stop: &Stop) -> Result<()> {
        let deadline = now() + READY;
        loop {
            let answer = match self.guard {
                None => ready::nameserver(self.addr, &self.door),
                Some(guard) => {
                    ready::broker(self.nameserver, self.name, self.addr, guard, &self.door)
                }
            };
            let Err(reason) = answer else { return Ok(()) };
            stop.check()?;
            if let Err(gone) = self.identity() {
                return Err(self.failed(&gone.to_string()));
            }
            if now() >= deadline {
                return Err(self.failed(&format!("not ready after {READY:?}: {reason}")));
            }
            std::thread::sleep(Duration::from_millis(100));
        }
    }

    fn failed(&self, why: &str) -> Error {
        let log = tail(&self.program.log);
        Error::new(format!(
            "{} at {} did not start: {why}\n{log}",
            self.name, self.addr
        ))
    }

    fn signal(&self, signal: Signal) -> Result<()> {
        if self.identity()?.signal(signal) {
            return Ok(());
        }
        Err(self.gone())
    }

    fn identity(&self) -> Result<Identity> {
        let mut child = self.child();
        let running = child.as_mut().ok_or_else(|| self.gone())?;
        if matches!(running.try_wait(), Ok(None)) {
            Identity::of(running.id())
        } else {
            Err(self.gone())
        }
    }

    fn gone(&self) -> Error {
        Error::new(format!("{} does not run", self.name))
    }

    fn child(&self) -> MutexGuard<'_, Option<Child>> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
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
        name,
        addr,
        nameserver,
        guard,
        door: door.clone(),
        program,
        run: run.clone(),
        child: Mutex::new(None),
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
/// Seven seconds on an idle machine, 35 were seen on a loaded one.
const READY: Duration = Duration::from_secs(120);
const OPENS: &[&str] = &[
    "--add-exports=java.base/jdk.internal.ref=ALL-UNNAMED",
    "--add-opens=java.base/java.nio=ALL-UNNAMED",
    "--add-opens=java.base/sun.nio.ch=ALL-UNNAMED",
    "--add-opens=java.base/java.lang=ALL-UNNAMED",
    "--add-opens=java.base/java.util=ALL-UNNAMED",
];
