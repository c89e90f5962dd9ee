//! `docker-compose.yml`, read by compose's own loader, says what the launcher's table says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    reason = "a test fails by panicking"
)]

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use integration_tests::brokers::{
    Container, Profile, Service, compose_file, pulsar, rabbitmq, services,
};
use serde_json::Value;

#[test]
#[ignore = "needs Go"]
fn real_compose_agrees_with_the_launcher() {
    let mut project = load(&compose_file());
    let loaded = project["services"].as_object_mut().unwrap();
    // Not the launcher's: it is built here, and runs without a container by `mq dev cmq`.
    compare_cmq(&loaded.remove("cmq").unwrap());
    compare_rabbitmq(&loaded.remove("rabbitmq").unwrap());
    compare_pulsar(&loaded.remove("pulsar").unwrap());
    let expected: BTreeMap<String, (Profile, Service)> = Profile::ALL
        .into_iter()
        .flat_map(|profile| services(profile).into_iter().map(move |s| (profile, s)))
        .map(|(profile, service)| (service.name.clone(), (profile, service)))
        .collect();
    let names = |all: Vec<&String>| all.into_iter().cloned().collect::<Vec<_>>();
    assert_eq!(
        names(loaded.keys().collect()),
        names(expected.keys().collect())
    );
    for (name, (profile, service)) in &expected {
        compare(&loaded[name], *profile, service);
    }
}

#[test]
#[ignore = "needs Go"]
fn real_compose_a_wrong_key_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("compose.yml");
    std::fs::write(
        &file,
        "services: { a: { image: b, healthcheck: { retriez: 1 } } }",
    )
    .unwrap();
    let output = Command::new(checker(dir.path()))
        .arg(&file)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("retriez"));
}

fn compare(loaded: &Value, profile: Profile, service: &Service) {
    let name = &service.name;
    assert_eq!(loaded["image"], service.image.as_str(), "{name}");

    // `docker compose up` alone starts the default profile.
    let profiles = if profile == Profile::Rocketmq {
        Value::Null
    } else {
        profile.name().into()
    };
    assert_eq!(loaded["profiles"][0], profiles, "{name}");

    assert_eq!(all_published(loaded), service.ports, "{name}");

    let listen = service.ports.last().unwrap().to_string();
    let variable = |key: &str| loaded["environment"][key].as_str();
    assert_eq!(variable("PORT"), Some(listen.as_str()), "{name}");
    assert_eq!(
        variable("BASE"),
        Some(service.base.join(" ").as_str()),
        "{name}"
    );
    assert_eq!(variable("BROKER"), service.broker, "{name}");
    assert_eq!(variable("NAMESRV"), service.nameserver.as_deref(), "{name}");

    assert_base(loaded, &integration_tests::brokers::base_dir());

    let health = &loaded["healthcheck"];
    let test = health["test"][1].as_str().unwrap();
    assert_eq!(health["test"][0], "CMD-SHELL", "{name}");
    assert!(
        test.contains(service.health) && test.contains("$PORT"),
        "{name}: {test}"
    );
    assert!(health["retries"].as_u64().unwrap() > 0, "{name}");
    if let Some(nameserver) = &service.nameserver {
        let (nameserver, _) = nameserver.split_once(':').unwrap();
        let condition = &loaded["depends_on"][nameserver]["condition"];
        assert_eq!(condition, "service_healthy", "{name}");
    }
}

fn compare_rabbitmq(loaded: &Value) {
    let expected = rabbitmq::container();
    let script = compare_container(loaded, &expected);
    for file in std::fs::read_dir(expected.base).unwrap() {
        let name = file.unwrap().file_name().into_string().unwrap();
        assert!(script.contains(&format!("/base/{name}")), "{name}");
    }
    let test = loaded["healthcheck"]["test"][1].as_str().unwrap();
    assert!(test.contains("\"$PORT\""), "{test}");
    assert!(test.contains(rabbitmq::VHOST) && test.contains(rabbitmq::ROLE.name));
}

fn compare_pulsar(loaded: &Value) {
    let script = compare_container(loaded, &pulsar::container());
    for said in ["cat /base/pulsar.conf", pulsar::LISTENER] {
        assert!(script.contains(said), "{said}: {script}");
    }
    let test = loaded["healthcheck"]["test"][1].as_str().unwrap();
    assert!(
        test.contains(":$ADMIN_PORT/admin/v2/brokers/health"),
        "{test}"
    );
}

/// One broker, with the base files that a native one has; returns what it runs.
fn compare_container<'a>(loaded: &'a Value, expected: &Container) -> &'a str {
    assert_eq!(loaded["image"], expected.image.as_str());
    assert_eq!(loaded["profiles"][0], expected.name);
    let ports: Vec<_> = expected.ports.iter().map(|(_, port)| *port).collect();
    assert_eq!(all_published(loaded), ports);
    assert_base(loaded, &expected.base);
    let script = loaded["command"][0].as_str().unwrap();
    for (variable, port) in &expected.ports {
        let told = loaded["environment"][variable].as_str();
        assert_eq!(told, Some(port.to_string().as_str()), "{variable}");
        assert!(script.contains(&format!("\"${variable}\"")), "{variable}");
    }
    script
}

/// The base files are mounted, and can't be written.
fn assert_base(loaded: &Value, base: &Path) {
    let mount = &loaded["volumes"][0];
    let source = Path::new(mount["source"].as_str().unwrap());
    assert_eq!(source.canonicalize().unwrap(), base.canonicalize().unwrap());
    assert_eq!(mount["target"], "/base");
    assert_eq!(mount["read_only"], true);
}

/// The CMQ dev server, on the port on which its image listens.
fn compare_cmq(loaded: &Value) {
    assert_eq!(loaded["profiles"][0], "cmq");
    assert_eq!(published(&loaded["ports"][0]), 31680);
    assert_eq!(published(&loaded["ports"][1]), 31681);
    assert_eq!(loaded["build"]["dockerfile"], "docker/cmq/Dockerfile");
    let dockerfile = compose_file().with_file_name("docker/cmq/Dockerfile");
    let dockerfile = std::fs::read_to_string(dockerfile).unwrap();
    assert!(dockerfile.contains("\"0.0.0.0:31680\""));
    assert!(dockerfile.contains("\"0.0.0.0:31681\""));
    assert!(dockerfile.contains("MQ_DEV_ADVERTISE=127.0.0.1:31681"));
    assert_eq!(loaded["environment"]["MQ_DEV_ADVERTISE"], "127.0.0.1:31681");
    assert_eq!(loaded["healthcheck"]["test"][1], "mq");
    let url = loaded["environment"]["MQ_CMQ_URL"].as_str().unwrap();
    assert!(url.ends_with("@127.0.0.1:31680"), "{url}");
}

fn all_published(loaded: &Value) -> Vec<u16> {
    let ports = loaded["ports"].as_array().unwrap();
    ports.iter().map(published).collect()
}

/// A published port: on loopback, and the same inside and outside.
fn published(port: &Value) -> u16 {
    assert_eq!(port["host_ip"], "127.0.0.1", "{port}");
    assert_eq!(
        port["published"].as_str().unwrap(),
        port["target"].to_string(),
        "{port}"
    );
    port["target"].as_u64().unwrap().try_into().unwrap()
}

fn load(file: &Path) -> Value {
    let dir = tempfile::tempdir().unwrap();
    let output = Command::new(checker(dir.path()))
        .arg(file)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    serde_json::from_slice(&output.stdout).unwrap()
}

fn checker(dir: &Path) -> std::path::PathBuf {
    let binary = dir.join("compose-check");
    let output = Command::new("go")
        .args(["build", "-o"])
        .arg(&binary)
        .arg(".")
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("compose-check"))
        .output()
        .expect("`go` must be in PATH: install Go 1.24 or later");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    binary
}
