//! How Pulsar lets one in: flags and variables that are not part of its URL.

use std::path::Path;

use mq_core::Secret;
use mq_pulsar::Auth;

use super::usage;
use crate::adapter::Target;
use crate::args::Access;
use crate::exit::Failure;

/// The target with what lets it in.
pub(super) fn let_in(
    target: Target,
    url: &str,
    typed: Access,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<Target, Failure> {
    let Target::Pulsar { mut builder, .. } = target else {
        return Ok(target);
    };
    if !is_namespace(&typed.namespace) {
        return Err(usage(format!(
            "--namespace {:?} is none: write TENANT/NAMESPACE, as public/default",
            typed.namespace
        )));
    }
    let secured = [&typed.tls_ca, &typed.tls_cert, &typed.tls_key];
    let (scheme, _) = url.trim().split_once("://").unwrap_or_default();
    let is_secured = SECURED.iter().any(|it| scheme.eq_ignore_ascii_case(it));
    if !is_secured && secured.into_iter().any(Option::is_some) {
        return Err(usage(
            "--tls-ca, --tls-cert and --tls-key are for a URL that begins with pulsar+ssl:// or https://",
        ));
    }
    if let Some(ca) = &typed.tls_ca {
        *builder = builder.tls_ca(read("--tls-ca", ca)?);
    }
    let certified = match (&typed.tls_cert, &typed.tls_key) {
        (Some(chain), Some(key)) => {
            *builder = builder.tls_identity(read("--tls-cert", chain)?, read("--tls-key", key)?);
            true
        }
        (None, None) => false,
        _ => return Err(usage("--tls-cert and --tls-key go together")),
    };
    let told = variable(TOKEN).filter(|token| !token.is_empty());
    let auth = match (typed.token, &typed.token_file, told) {
        (Some(_), Some(_), _) => {
            return Err(usage("--token and --token-file: one token is enough"));
        }
        (Some(token), ..) => Some(Auth::token(token)),
        (None, Some(path), _) => {
            // It is read again whenever it is needed; a mistyped name is told now.
            read("--token-file", path)?;
            Some(Auth::token_file(path))
        }
        (None, None, Some(token)) => Some(Auth::token(Secret::new(token))),
        (None, None, None) => certified.then(Auth::certificate),
    };
    if let Some(auth) = auth {
        *builder = builder.auth(auth);
    }
    if let Some(listener) = typed.listener {
        *builder = builder.listener(listener);
    }
    Ok(Target::Pulsar {
        builder,
        namespace: typed.namespace,
    })
}

fn read(flag: &str, path: &Path) -> Result<Vec<u8>, Failure> {
    let read = std::fs::read(path);
    read.map_err(|cause| usage(format!("{flag} {}: {cause}", path.display())))
}

fn is_namespace(text: &str) -> bool {
    let parts: Vec<_> = text.split('/').collect();
    parts.len() == 2 && parts.iter().all(|part| !part.trim().is_empty())
}

pub(super) const TOKEN_TYPED: &str = "--token is a secret, which every user of this machine can read while the command runs; \
     put it into MQ_PULSAR_TOKEN or a file instead";
const TOKEN: &str = "MQ_PULSAR_TOKEN";
const SECURED: [&str; 2] = ["pulsar+ssl", "https"];
