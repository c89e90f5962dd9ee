//! CMQ's SDKs as programs that are asked one call after the other.
//!
//! ```text
//!   Sdk::Python.start(server, Signed::default()) ─► Session ─► {"Action": "SendMessage", …} ─► SDK ─► HTTP
//!                                                      ◄─ {"code": 0, "msgId": …} ◄───────────┘
//! ```
//!
//! Calls and answers are in the words of the wire, whatever the SDK's own are: a test asks all of them the same.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use serde_json::Value;
use tokio::process::Command;

use super::Failure;
use super::asked::Asked;
use super::build::{self, JAVA, MAVEN, PIP, Recipe, VENV};

pub mod control;
mod exchanges;
mod script;

pub use self::exchanges::{Exchange, Recorder};
pub use self::script::{bodies, play};

/// An official SDK, or the one for Node that the npm registry has. Unmodified, and pinned by version and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Sdk {
    /// `qcloud-cmq-sdk-py3` 0.1 of `PyPI`. Needs Python 3 with venv.
    Python,
    /// `com.qcloud:cmq-http-client` 1.0.7 of Maven Central. Needs JDK 17 and Maven.
    Java,
    /// `cmq-sdk` 2.1.0 of the npm registry. Needs Node.js and npm. Knows POST alone, and signs for one of CMQ's own hosts.
    Node,
    /// `com.qcloud:cmq-tcp-client` 1.1.8 of Maven Central: TCP, with transactions. Needs JDK 17 and Maven. Its codes are those of TCP.
    JavaTcp,
}

/// How an SDK is to sign, and to send what it has signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Signed {
    /// `sha1` or `sha256`.
    pub sign: &'static str,
    /// `POST` or `GET`.
    pub method: &'static str,
}

impl Default for Signed {
    /// What the SDKs do if nothing is said.
    fn default() -> Self {
        signed("sha1", "POST")
    }
}

impl Sdk {
    /// All that speak HTTP alone.
    pub const ALL: [Self; 3] = [Self::Python, Self::Java, Self::Node];

    /// All ways of signing and sending that it has, its default first.
    pub const fn ways(self) -> &'static [Signed] {
        match self {
            Self::Python | Self::Java => WAYS,
            Self::Node | Self::JavaTcp => WAYS.split_at(2).0,
        }
    }

    /// Name and version, as tables show them.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Python => "Python SDK 0.1",
            Self::Java => "Java SDK 1.0.7",
            Self::Node => "Node SDK 2.1.0",
            Self::JavaTcp => "Java TCP SDK 1.1.8",
        }
    }

    /// Starts it (and builds it, if this machine has not built these sources yet) for a server with the dev server's own credentials.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn start(self, server: SocketAddr, signed: Signed) -> Result<Session, Failure> {
        let built = build::build(self.recipe()).await?;
        let mut command = self.command(&built, server);
        command
            .args(["--id", "AKIDdev", "--key", "dev-secret"])
            .args(["--sign", signed.sign, "--method", signed.method])
            .current_dir(&built);
        let theirs = Asked::start(self.version(), command)?;
        Ok(Session { theirs })
    }

    const fn recipe(self) -> Recipe {
        let (name, steps): (_, &[&[&str]]) = match self {
            Self::Python => ("cmq-python", &[VENV, PIP]),
            // Strict about the checksums of what is downloaded.
            Self::Java => ("cmq-java", &[MAVEN]),
            // As the lock file says, hash by hash.
            Self::Node => ("cmq-node", &[NPM]),
            Self::JavaTcp => ("cmq-java-tcp", &[MAVEN]),
        };
        Recipe { name, steps }
    }

    fn command(self, built: &Path, server: SocketAddr) -> Command {
        let mut command = match self {
            Self::Python => Command::new(built.join("venv/bin/python")),
            Self::Java | Self::JavaTcp => Command::new("java"),
            Self::Node => Command::new("node"),
        };
        let endpoint = format!("http://{server}");
        match self {
            Self::Python => command.args(["-W", "ignore", "main.py", "--endpoint", &endpoint]),
            Self::Java => command
                .args(JAVA)
                .args(["-cp", "target/foreign-cmq-java.jar:target/lib/*"])
                .args(["mq.foreign.cmq.Main", "--endpoint", &endpoint]),
            Self::JavaTcp => command
                .args(JAVA)
                .args(["-cp", "target/foreign-cmq-java-tcp.jar:target/lib/*"])
                .args(["mq.foreign.cmqtcp.Main", "--endpoint", &endpoint]),
            Self::Node => command.env("CMQ_ADDRESS", server.to_string()).args([
                "-r",
                "./preload.js",
                "main.js",
            ]),
        };
        command
    }
}

/// A running SDK. Dropped, its process is killed.
#[derive(Debug)]
pub struct Session {
    theirs: Asked,
}

impl Session {
    /// Asks for an action, with parameters in a JSON object, and gives what the SDK made of a success.
    ///
    /// # Errors
    /// [`Failure::Refused`] for a refused signature, [`Failure::Failed`] for any other answer of the server's; with the code -1 the SDK got
    /// no answer that it understood, with -2 it knows no such action or parameter. [`Failure::TimedOut`], [`Failure::Output`].
    pub async fn call(&mut self, action: &str, params: Value) -> Result<Value, Failure> {
        let answer = self.theirs.call(action, params).await;
        answer.map_err(|failure| match failure {
            Failure::Failed { code, error } if code == AUTHENTICATION => {
                Failure::Refused { code, error }
            }
            other => other,
        })
    }

    /// As [`call`](Self::call), with the answer as it is: the SDK for Node shows what else there is in an error.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], [`Failure::Output`].
    pub async fn ask(&mut self, action: &str, params: Value) -> Result<Value, Failure> {
        self.theirs.ask(action, params).await
    }
}

/// Where the fixtures of an SDK are checked in.
pub fn fixture(sdk: Sdk, signed: Signed) -> PathBuf {
    let name = format!(
        "{}-{}-{}.http",
        sdk.recipe().name.trim_start_matches("cmq-"),
        signed.sign,
        signed.method.to_ascii_lowercase()
    );
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/mq-cmq/tests/fixtures")
        .join(name)
}

const fn signed(sign: &'static str, method: &'static str) -> Signed {
    Signed { sign, method }
}

const WAYS: &[Signed] = &[
    signed("sha1", "POST"),
    signed("sha256", "POST"),
    signed("sha1", "GET"),
    signed("sha256", "GET"),
];

const NPM: &[&str] = &["npm", "ci", "--silent", "--ignore-scripts"];
const AUTHENTICATION: i32 = 4100;
