//! HTTPS: with the CA that is trusted, and with another.

use std::sync::Arc;

use mq_cmq::{ErrorKind, Outcome};
use rustls::ServerConfig;
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use tokio_rustls::TlsAcceptor;

use crate::server::{Reply, Server};

#[tokio::test]
async fn a_server_is_trusted_by_its_ca_only() {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own.signing_key.serialize_der()));
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![own.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let server = Server::start_tls(acceptor, Reply::stored("1")).await;
    let builder = server.builder().https(&server.address);

    let client = builder.clone().attempts(1).ca(other.cert.pem()).build();
    let stranger = client.unwrap().queue("q").unwrap();
    let error = stranger.send("x").await.unwrap_err().error;
    assert_eq!(
        (error.kind(), error.outcome()),
        (ErrorKind::Connect, Outcome::NotSent)
    );
    assert!(server.seen().is_empty());

    let client = builder.clone().ca(own.cert.pem()).build().unwrap();
    client.queue("q").unwrap().send("x").await.unwrap();
    assert_eq!(server.seen().len(), 1);

    let error = builder.ca("no certificate").build().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Invalid);
}
