//! Where keys come from: the environment, a file, or somebody who changes them.

use std::future::Future;
use std::path::Path;
use std::pin::Pin;

use mq_core::Secret;

use super::Credentials;
use crate::error::{Result, invalid};

/// Gives the keys of a client, again whenever they may have changed: for keys that are rotated, and for temporary ones.
///
/// It is asked by [`ClientBuilder::connect`](crate::ClientBuilder::connect), when a server refuses the keys it gave last, and by
/// [`Client::refresh_credentials`](crate::Client::refresh_credentials). What is refused is signed anew and sent again, once, if the keys
/// are others than before; connections stay as they are. Who gives the same keys again is not asked for a second. An answer may take as
/// long as a request.
///
/// A function that returns a future is a provider:
///
/// ```no_run
/// # fn f() -> mq_rocketmq::Result<()> {
/// use mq_rocketmq::{Client, Credentials};
///
/// // A file that an agent rewrites.
/// let builder = Client::from_url("rocketmq://mq.example:9876")?
///     .credentials_provider(|| async { Credentials::from_file("/run/secrets/rocketmq") });
/// # Ok(())
/// # }
/// ```
pub trait CredentialsProvider: Send + Sync + 'static {
    /// The keys of now. An error is logged and leaves the former ones in use; it should hold no secret.
    fn provide(&self) -> Provided<'_>;
}

/// What a [`CredentialsProvider`] answers in its time.
pub type Provided<'a> = Pin<
    Box<
        dyn Future<Output = Result<Credentials, Box<dyn std::error::Error + Send + Sync>>>
            + Send
            + 'a,
    >,
>;

impl<F, R, E> CredentialsProvider for F
where
    F: Fn() -> R + Send + Sync + 'static,
    R: Future<Output = Result<Credentials, E>> + Send + 'static,
    E: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    fn provide(&self) -> Provided<'_> {
        let asked = self();
        Box::pin(async move { asked.await.map_err(Into::into) })
    }
}

impl Credentials {
    /// Keys from the environment: `ROCKETMQ_AK` and `ROCKETMQ_SK`. Nothing else in this crate reads them.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: one of them is missing or empty; it is named. Not retryable.
    pub fn from_env() -> Result<Self> {
        Self::from_variables(|name| std::env::var(name).ok())
    }

    fn from_variables(read: impl Fn(&str) -> Option<String>) -> Result<Self> {
        let get = |name: &str| {
            let value = read(name).map(|value| value.trim().to_owned());
            value.filter(|value| !value.is_empty()).ok_or_else(|| {
                let error = invalid(READ, format!("{name} is not set")).into_builder();
                error
                    .hint("set ROCKETMQ_AK and ROCKETMQ_SK to the access key and the secret key")
                    .build()
            })
        };
        Ok(Self::new(get(AK)?, get(SK)?))
    }

    /// Keys from a file, which is read at once and blocks meanwhile: one `name: value` or `name=value` a line, quotes around the value may
    /// be left away, `#` begins a comment at the start of a line. The names are `ACL_ACCESS_KEY` and `ACL_SECRET_KEY` as in Huawei's guide,
    /// `accessKey` and `secretKey` as in RocketMQ's `tools.yml`, and `securityToken` for temporary keys. Other names are passed over.
    ///
    /// # Errors
    ///
    /// Kind `Invalid`: it can't be read, or a key is missing, empty or there twice. The line is told, nothing of what stands there. Not
    /// retryable.
    pub fn from_file(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let text = std::fs::read_to_string(path).map_err(|cause| {
            let why = format!("the keys can't be read from {}", path.display());
            invalid(READ, why).into_builder().source(cause).build()
        })?;
        parse(&text).map_err(|why| invalid(READ, format!("{}: {why}", path.display())))
    }
}

fn parse(text: &str) -> Result<Credentials, String> {
    let (mut access, mut secret, mut token) = (None, None, None);
    for (number, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        // A value may hold both marks: whichever comes first ends the name.
        let Some((name, value)) = line.split_once([':', '=']) else {
            continue;
        };
        let place = match normal(name).as_str() {
            "aclaccesskey" | "accesskey" => &mut access,
            "aclsecretkey" | "secretkey" => &mut secret,
            "aclsecuritytoken" | "securitytoken" => &mut token,
            _ => continue,
        };
        let value = unquoted(value.trim());
        let line = number + 1;
        if value.is_empty() {
            return Err(format!("the value in line {line} is empty"));
        }
        if place.replace(value.to_owned()).is_some() {
            return Err(format!("line {line} says again what was said before"));
        }
    }
    let missing = |what: &str| format!("there is no {what} (accessKey: …, secretKey: …)");
    let access = access.ok_or_else(|| missing("access key"))?;
    let secret = secret.ok_or_else(|| missing("secret key"))?;
    let credentials = Credentials::new(access, secret);
    Ok(match token {
        Some(token) => credentials.security_token(Secret::new(token)),
        None => credentials,
    })
}

/// `ACL_ACCESS_KEY`, `access-key` and `"accessKey"` are one name.
fn normal(name: &str) -> String {
    let letters = name.chars().filter(char::is_ascii_alphanumeric);
    letters.map(|c| c.to_ascii_lowercase()).collect()
}

fn unquoted(value: &str) -> &str {
    let inside = |quote| value.strip_prefix(quote)?.strip_suffix(quote);
    inside('"').or_else(|| inside('\'')).unwrap_or(value)
}

const READ: &str = "read credentials";
const AK: &str = "ROCKETMQ_AK";
const SK: &str = "ROCKETMQ_SK";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_in_any_of_its_forms() {
        for text in [
            "ACL_ACCESS_KEY: \"ak\"\nACL_SECRET_KEY: \"s:k=#\"\n",
            "accessKey=ak\r\nsecretKey=s:k=#\r\n",
            "# keys\n\naccessKey: 'ak'\nother: x\n  secretKey : s:k=#  \nnonsense",
            "\u{feff}access-key : ak\nSECRET_KEY = s:k=#",
        ] {
            let credentials = parse(text).unwrap();
            assert_eq!(credentials.access_key, "ak");
            assert_eq!(credentials.secret_key.expose(), "s:k=#", "{text}");
            assert!(credentials.token.is_none());
        }
        let temporary = parse("accessKey: a\nsecretKey: b\nsecurityToken: c").unwrap();
        assert_eq!(temporary.token.unwrap().expose(), "c");
    }

    #[test]
    fn what_is_wrong_is_told_without_what_is_there() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("keys");
        for (text, part) in [
            ("accessKey: canary", "no secret key"),
            ("canary", "no access key"),
            ("accessKey: canary\nsecretKey: \"\"", "line 2 is empty"),
            ("secretKey: canary\nsecretKey: canary", "line 2 says again"),
        ] {
            std::fs::write(&file, text).unwrap();
            let error = Credentials::from_file(&file).unwrap_err();
            let said = format!("{error:#} {error:?}");
            assert!(said.contains(part) && !said.contains("canary"), "{said}");
        }
        let error = Credentials::from_file(dir.path().join("absent")).unwrap_err();
        assert!(error.to_string().contains("absent"));
    }

    #[test]
    fn the_environment_has_two_names() {
        let read = |name: &str| match name {
            "ROCKETMQ_AK" => Some("ak".to_owned()),
            "ROCKETMQ_SK" => Some(" sk ".to_owned()),
            _ => None,
        };
        let credentials = Credentials::from_variables(read).unwrap();
        assert_eq!(credentials.secret_key.expose(), "sk");
        let error = Credentials::from_variables(|name| read(name).filter(|value| value == "ak"));
        assert!(
            error
                .unwrap_err()
                .to_string()
                .contains("ROCKETMQ_SK is not set")
        );
    }
}
