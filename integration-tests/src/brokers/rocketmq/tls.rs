//! TLS of RocketMQ's servers: what a URL says of it, and what a server is started with.

use std::fs;
use std::path::{Path, PathBuf};

use super::spec::Tls;
use crate::brokers::{Certificates, Context as _, Result};

/// The options of a URL.
pub(super) fn query(tls: Tls) -> Result<String> {
    let made = Certificates::made()?;
    let mut options = vec![
        "?tls=true".to_owned(),
        format!("tls_ca={}", made.ca().display()),
    ];
    if tls.mutual {
        options.push(format!("tls_cert={}", made.client().display()));
        options.push(format!("tls_key={}", made.client_key().display()));
    }
    Ok(options.join("&"))
}

/// JVM options of a server whose home is `dir`, after writing what they name.
pub(super) fn install(tls: Tls, dir: &Path) -> Result<Vec<String>> {
    let made = Certificates::made()?;
    let own = dir.join("tls");
    fs::create_dir_all(&own).context(|| format!("cannot create {}", own.display()))?;
    made.present(dir, "server")?;
    let path = |path: PathBuf| path.display().to_string();
    let text = [
        "tls.test.mode.enable=false".to_owned(),
        format!(
            "tls.server.need.client.auth={}",
            if tls.mutual { "require" } else { "none" }
        ),
        format!("tls.server.authClient={}", tls.mutual),
        format!("tls.server.keyPath={}", path(own.join("server.key"))),
        format!("tls.server.certPath={}", path(own.join("server.pem"))),
        format!("tls.server.trustCertPath={}", path(made.ca())),
        "tls.client.authServer=true".to_owned(),
        format!("tls.client.trustCertPath={}", path(made.ca())),
        format!("tls.client.keyPath={}", path(made.client_key())),
        format!("tls.client.certPath={}", path(made.client())),
    ];
    let file = own.join("tls.properties");
    fs::write(&file, text.join("\n") + "\n")
        .context(|| format!("cannot write {}", file.display()))?;
    Ok(vec![
        format!("-Dtls.config.file={}", file.display()),
        format!("-Dtls.server.mode={}", tls.mode),
        // What the server itself connects to, the nameserver, is spoken to by TLS too.
        "-Dtls.enable=true".to_owned(),
    ])
}
