//! `mq-pulsar`'s generated types are those of the definition beside them. `MQ_UPDATE=1` writes them anew.

use std::{fs, path::Path};

#[test]
fn types_are_those_of_the_definition() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates/mq-pulsar");
    let definition = root.join("proto");
    let files = protox::compile(["PulsarApi.proto"], [&definition]).unwrap();
    let out = tempfile::tempdir().unwrap();
    prost_build::Config::new()
        .bytes(["."])
        // The definition beside the code has them.
        .disable_comments(["."])
        // They carry credentials: src/proto/redact.rs has what they print.
        .skip_debug([
            ".pulsar.proto.AuthData",
            ".pulsar.proto.CommandConnect",
            ".pulsar.proto.CommandLookupTopic",
            ".pulsar.proto.CommandPartitionedTopicMetadata",
        ])
        .out_dir(out.path())
        .compile_fds(files)
        .unwrap();
    let made = fs::read_to_string(out.path().join("pulsar.proto.rs")).unwrap();
    let made = format!("{HEAD}{made}");
    let kept = root.join("src/proto/api.rs");
    if std::env::var_os("MQ_UPDATE").is_some() {
        fs::write(&kept, &made).unwrap();
    }
    // Not assert_eq!: its message would be both files.
    assert!(
        fs::read_to_string(&kept).unwrap_or_default() == made,
        "src/proto/api.rs is not what proto/PulsarApi.proto makes: MQ_UPDATE=1 writes it"
    );
}

const HEAD: &str = "\
// Licensed to the Apache Software Foundation (ASF) under the Apache License, Version 2.0: generated from
// proto/PulsarApi.proto, whose notice holds here, by `cargo test -p integration-tests --test pulsar_generated`.
";
