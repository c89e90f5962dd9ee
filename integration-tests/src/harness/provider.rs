//! An identity provider of a test's own: it knows one client, and gives out what the test makes of a token.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

/// It runs until it is dropped.
#[derive(Debug)]
pub struct Provider {
    /// Where its discovery document stands below.
    pub issuer: String,
    forms: Arc<Mutex<Vec<String>>>,
    task: JoinHandle<()>,
}

impl Provider {
    /// Gives a token to who sends `client_secret=` with this secret in a form.
    pub async fn start(
        secret: &'static str,
        token: impl Fn() -> String + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let issuer = format!("http://{}", listener.local_addr().unwrap());
        let forms = Arc::new(Mutex::new(Vec::new()));
        let (kept, base) = (Arc::clone(&forms), issuer.clone());
        let task = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let answer = |head: &str, form: &str| {
                    if head.starts_with("GET /.well-known/openid-configuration ") {
                        return (200, format!(r#"{{"token_endpoint":"{base}/token"}}"#));
                    }
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    kept.push(form.to_owned());
                    if !form.contains(&format!("client_secret={secret}&")) {
                        return (401, r#"{"error":"access_denied"}"#.to_owned());
                    }
                    let token = token();
                    (
                        200,
                        format!(r#"{{"access_token":"{token}","expires_in":3600}}"#),
                    )
                };
                let _ = serve(stream, answer).await;
            }
        });
        Self {
            issuer,
            forms,
            task,
        }
    }

    /// The forms with which tokens were asked for.
    pub fn forms(&self) -> Vec<String> {
        let forms = self.forms.lock().unwrap_or_else(PoisonError::into_inner);
        forms.clone()
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.task.abort();
    }
}

/// Reads a request to the end of its body, and answers it.
async fn serve(
    mut stream: TcpStream,
    answer: impl Fn(&str, &str) -> (u16, String),
) -> std::io::Result<()> {
    let mut read = Vec::new();
    let (head, form) = loop {
        if stream.read_buf(&mut read).await? == 0 {
            return Ok(());
        }
        let text = String::from_utf8_lossy(&read).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            continue;
        };
        let lower = head.to_ascii_lowercase();
        let length = lower
            .lines()
            .find_map(|line| line.strip_prefix("content-length: "));
        let length = length.map_or(0, |length| length.parse().unwrap());
        if body.len() >= length {
            break (head.to_owned(), body.to_owned());
        }
    };
    let (status, body) = answer(&head, &form);
    let length = body.len();
    let whole = format!("HTTP/1.1 {status} x\r\ncontent-length: {length}\r\n\r\n{body}");
    stream.write_all(whole.as_bytes()).await?;
    stream.shutdown().await
}
