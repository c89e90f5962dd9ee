//! Who is let in, and what is said to whom is not: on a broker with tokens, permissions and TLS (profile `pulsar-auth`).
#![allow(
    clippy::unwrap_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use integration_tests::brokers::pulsar::{BASIC, CERTIFIED};
use integration_tests::harness::provider::Provider;
use integration_tests::harness::pulsar::{Manage, told, url};
use integration_tests::harness::{now, unique, within};
use mq_pulsar::{
    Auth, Client, ClientBuilder, ErrorCode, ErrorKind, Message, OAuth2, Retry, Secret,
};

const WAIT: Duration = Duration::from_secs(30);
/// What "at once" is.
const SOON: Duration = Duration::from_secs(5);

fn plain() -> ClientBuilder {
    Client::from_url(&url()).unwrap()
}

fn secured() -> ClientBuilder {
    let ca = fs::read(told("TLS_CA")).unwrap();
    Client::from_url(&told("TLS_URL")).unwrap().tls_ca(ca)
}

fn token(name: &str) -> Secret {
    Secret::new(fs::read_to_string(told(name)).unwrap().trim())
}

async fn works(client: Client) {
    let topic = Manage::shared().topic("let-in").await;
    let producer = client.producer(topic).build().await.unwrap();
    producer.send(Message::new("hello")).await.unwrap();
    producer.close().await.unwrap();
    client.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_a_token_is_taken_as_a_value_from_a_file_and_from_a_supplier() {
    works(plain().token(token("TOKEN")).connect().await.unwrap()).await;
    works(secured().token(token("TOKEN")).connect().await.unwrap()).await;
    let file = Auth::token_file(told("TOKEN"));
    works(plain().auth(file).connect().await.unwrap()).await;
    let asked = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&asked);
    let supplied = Auth::token_supplier(move || {
        count.fetch_add(1, Ordering::Relaxed);
        async { Ok(token("TOKEN")) }
    });
    works(secured().auth(supplied).connect().await.unwrap()).await;
    assert!(asked.load(Ordering::Relaxed) >= 1);
}

#[tokio::test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_who_is_not_let_in_hears_it_at_once_and_no_secret_is_told() {
    let canary = "canary.canary.canary";
    let wrong = [
        plain(),
        plain().token(Secret::new(canary)),
        plain().token(token("TOKEN_EXPIRED")),
    ];
    for options in wrong {
        assert!(!format!("{options:?}").contains("canary"));
        let asked = now();
        let error = options.connect().await.unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
        assert_eq!(error.code(), Some(&ErrorCode::AUTHENTICATION));
        assert_eq!(error.retry(), Retry::Never);
        assert!(now() - asked < SOON, "{error}");
        let told = format!("{error:#} {error:#?}");
        assert!(!told.contains("canary") && !told.contains("eyJ"), "{told}");
    }
    let none = Auth::token_file("/nowhere/token");
    let error = plain().auth(none).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    let nobody = plain().token(token("TOKEN_NOBODY"));
    let nobody = nobody.connect().await.unwrap();
    let topic = Manage::shared().topic("forbidden").await;
    let refused = within(WAIT, "a refusal", nobody.producer(&topic).build()).await;
    let error = refused.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert_eq!(error.code(), Some(&ErrorCode::AUTHORIZATION), "{error}");
    nobody.close().await;
}

#[tokio::test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_a_certificate_that_is_not_to_be_trusted_is_not() {
    let token = token("TOKEN");
    let asked = now();
    let url = told("TLS_URL");
    let strangers = Client::from_url(&url).unwrap().token(token.clone());
    let error = strangers.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert_eq!(error.retry(), Retry::Never, "{error}");
    let other_name = secured().tls_server_name("other.example").token(token);
    let error = other_name.connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Connect, "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
    assert!(now() - asked < SOON);
    let hint = Client::from_url(&url.replace("pulsar+ssl", "pulsar")).unwrap();
    let error = hint.connect().await.unwrap_err();
    assert!(error.to_string().contains("pulsar+ssl://"), "{error}");
}

#[tokio::test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_an_identity_provider_gives_tokens_out() {
    let provider = Provider::start("right", || token("TOKEN").expose().to_owned()).await;
    let of = |secret: &str| {
        let provider = OAuth2::new(&provider.issuer, "me", Secret::new(secret));
        Auth::oauth2(provider.audience("urn:test pulsar"))
    };
    let options = secured().auth(of("right"));
    assert!(!format!("{options:?}").contains("right"));
    let client = options.connect().await.unwrap();
    works(client).await;
    let forms = provider.forms();
    // Both connections, of the lookup and of the topic, are one here; what was given is kept for the next in any case.
    assert_eq!(forms.len(), 1, "{forms:?}");
    assert_eq!(
        forms[0],
        "grant_type=client_credentials&client_id=me&client_secret=right&audience=urn%3Atest%20pulsar"
    );

    let asked = now();
    let error = plain().auth(of("wrong")).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert_eq!(error.retry(), Retry::Never);
    assert!(error.to_string().contains("access_denied"), "{error}");
    assert!(!format!("{error:#} {error:#?}").contains("wrong"));
    assert!(now() - asked < SOON, "{error}");
}

#[tokio::test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_addresses_of_consoles_are_asked_with_the_token_too() {
    let ca = || fs::read(told("TLS_CA")).unwrap();
    let (http, https) = (told("ADMIN_URL"), told("ADMIN_TLS_URL"));
    let web = |url: &str| Client::from_url(url).unwrap();
    works(web(&http).token(token("TOKEN")).connect().await.unwrap()).await;
    let secured = web(&https).tls_ca(ca()).token(token("TOKEN"));
    works(secured.connect().await.unwrap()).await;

    let topic = Manage::shared().topic("web-forbidden").await;
    for (name, code) in [
        ("TOKEN_EXPIRED", ErrorCode::AUTHENTICATION),
        ("TOKEN_NOBODY", ErrorCode::AUTHORIZATION),
    ] {
        let client = web(&http).token(token(name)).connect().await.unwrap();
        let asked = now();
        let error = client.producer(&topic).build().await.unwrap_err();
        assert_eq!(
            (error.kind(), error.code()),
            (ErrorKind::Auth, Some(&code)),
            "{error}"
        );
        assert!(now() - asked < SOON, "{error}");
    }
}

#[tokio::test]
#[ignore = "needs Pulsar with tokens and TLS (profile pulsar-auth)"]
async fn real_pulsar_auth_a_password_and_a_certificate_are_taken() {
    let manage = Manage::shared();
    let namespace = manage.namespace("others").await;
    for role in [BASIC.name, CERTIFIED] {
        manage
            .permit(&namespace, role, &["produce", "consume"])
            .await;
    }
    let certificate = || {
        (
            fs::read(told("TLS_CERT")).unwrap(),
            fs::read(told("TLS_KEY")).unwrap(),
        )
    };
    let (chain, key) = certificate();
    let web = Client::from_url(&told("ADMIN_URL")).unwrap();
    let basic = || Auth::basic(BASIC.name, Secret::new(BASIC.secret));
    for options in [
        plain().auth(basic()),
        web.auth(basic()),
        secured().tls_identity(chain, key).auth(Auth::certificate()),
    ] {
        let client = options.connect().await.unwrap();
        let topic = format!("{namespace}/{}", unique("let-in"));
        let producer = client.producer(topic).build().await.unwrap();
        producer.send(Message::new("hello")).await.unwrap();
        client.close().await;
    }
    let wrong = Auth::basic(BASIC.name, Secret::new("canary"));
    let error = plain().auth(wrong).connect().await.unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
    assert!(!format!("{error:#} {error:#?}").contains("canary"));
    // Not secured, there is no certificate to be seen.
    let error = plain()
        .auth(Auth::certificate())
        .connect()
        .await
        .unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Auth, "{error}");
}
