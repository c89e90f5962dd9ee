//! Tencent Cloud's SDKs, of which one part is the control plane of CMQ, as programs that are asked one call after the other.
//!
//! ```text
//!   Sdk::Go.start(server, Keys::of_development()) ─► Session ─► {"Action": "CreateCmqQueue", …} ─► SDK ─► HTTP, TC3-HMAC-SHA256
//!                                                       ◄─ {"Code": "", "QueueId": …} ◄────────────┘
//! ```

use std::net::SocketAddr;
use std::path::Path;

use serde_json::Value;
use tokio::process::Command;

use super::super::Failure;
use super::super::asked::Asked;
use super::super::build::{self, PIP, Recipe, VENV};
use super::NPM;

/// An official SDK of the product `tdmq`, 2020-02-17. Unmodified, and pinned by version and hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Sdk {
    /// `tencentcloud-sdk-python-tdmq` 3.1.130 of `PyPI`. Needs Python 3 with venv.
    Python,
    /// `tencentcloud-sdk-nodejs` 4.1.313 of the npm registry. Needs Node.js and npm. Takes the service of its scope from the endpoint, signs the host
    /// without its port, and its bodies always.
    Node,
    /// `github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/tdmq` v1.0.900. Needs Go 1.24. The only one with `DescribeCmqDeadLetterSourceQueues`.
    Go,
}

/// Who asks, and whether the signature covers the body.
#[derive(Debug, Clone, Copy)]
pub struct Keys<'a> {
    /// The secret id.
    pub id: &'a str,
    /// The secret key.
    pub key: &'a str,
    /// The token of a temporary key.
    pub token: Option<&'a str>,
    /// Whether bodies are left out of the signature, by `X-TC-Content-SHA256: UNSIGNED-PAYLOAD`.
    pub unsigned: bool,
}

impl Keys<'_> {
    /// The dev server's own, with bodies signed.
    pub const fn of_development() -> Self {
        Self {
            id: "AKIDdev",
            key: "dev-secret",
            token: None,
            unsigned: false,
        }
    }
}

impl Sdk {
    /// Name and version, as tables show them.
    pub const fn version(self) -> &'static str {
        match self {
            Self::Python => "Python SDK 3.1.130",
            Self::Node => "Node SDK 4.1.313",
            Self::Go => "Go SDK v1.0.900",
        }
    }

    /// Whether it can leave bodies out of its signatures.
    pub const fn knows_unsigned_payload(self) -> bool {
        matches!(self, Self::Python | Self::Go)
    }

    /// Starts it, and builds it, if this machine has not built these sources yet.
    ///
    /// # Errors
    /// [`Failure::Build`].
    pub async fn start(self, server: SocketAddr, keys: Keys<'_>) -> Result<Session, Failure> {
        let built = build::build(self.recipe()).await?;
        let mut command = self.command(&built);
        command
            .args(["--endpoint", &server.to_string()])
            .args(["--id", keys.id, "--key", keys.key])
            .current_dir(&built);
        if let Some(token) = keys.token {
            command.args(["--token", token]);
        }
        if keys.unsigned {
            command.arg("--unsigned-payload");
        }
        // They would send what is for this machine to a proxy, too.
        for proxy in ["http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"] {
            command.env_remove(proxy);
        }
        let theirs = Asked::start(self.version(), command)?;
        Ok(Session { theirs })
    }

    const fn recipe(self) -> Recipe {
        let (name, steps): (_, &[&[&str]]) = match self {
            Self::Python => ("cmq-control-python", &[VENV, PIP]),
            Self::Node => ("cmq-control-node", &[NPM]),
            // As go.sum says, hash by hash.
            Self::Go => ("cmq-control-go", &[GO]),
        };
        Recipe { name, steps }
    }

    fn command(self, built: &Path) -> Command {
        let (program, args) = match self {
            Self::Python => (
                built.join("venv/bin/python"),
                &["-W", "ignore", "main.py"][..],
            ),
            Self::Node => ("node".into(), &["main.js"][..]),
            Self::Go => (built.join("foreign-cmq-control-go"), &[][..]),
        };
        let mut command = Command::new(program);
        command.args(args);
        command
    }
}

/// A running SDK. Dropped, its process is killed.
#[derive(Debug)]
pub struct Session {
    theirs: Asked,
}

impl Session {
    /// Asks for an action, with parameters in a JSON object in the words of the wire, and gives what the SDK made of the answer: of a success without
    /// the id of the request.
    ///
    /// # Errors
    /// [`Failure::TimedOut`], [`Failure::Output`]. What the server, or the SDK itself, refuses is [`No`].
    pub async fn call(
        &mut self,
        action: &str,
        params: Value,
    ) -> Result<Result<Value, No>, Failure> {
        let mut answer = self.theirs.ask(action, params).await?;
        let mut take = |name: &str| {
            let taken = answer.as_object_mut().and_then(|it| it.remove(name));
            taken.and_then(|it| it.as_str().map(str::to_owned))
        };
        let request_id = take("RequestId").unwrap_or_default();
        let message = take("Message").unwrap_or_default();
        let Some(code) = take("Code") else {
            let why = format!("{}: no code in {answer}", self.theirs.what());
            return Err(Failure::Output(why));
        };
        if code.is_empty() {
            return Ok(Ok(answer));
        }
        Ok(Err(No {
            code,
            message,
            request_id,
        }))
    }
}

/// An error that an SDK raised.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct No {
    /// The service's code, or one of the SDK's own, which begins with `ClientError`.
    pub code: String,
    /// The service's words.
    pub message: String,
    /// The id of the request.
    pub request_id: String,
}

const GO: &[&str] = &["go", "build", "-o", "foreign-cmq-control-go", "."];
