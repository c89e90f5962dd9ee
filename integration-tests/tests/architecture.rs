//! The rules of the workspace, checked: who may depend on whom, what may be linked, and what a source file may do.
//!
//! Each rule is a function from data to a list of breaches; its own tests feed it bad data, so that none can pass by
//! looking at nothing. The tests in this file feed it the workspace.

#[path = "architecture/crates.rs"]
mod crates;
#[path = "architecture/graph.rs"]
mod graph;
#[path = "architecture/justfile.rs"]
mod justfile;
#[path = "architecture/policy.rs"]
mod policy;
#[path = "architecture/source.rs"]
mod source;
#[path = "architecture/text.rs"]
mod text;
#[path = "architecture/tree.rs"]
mod tree;

#[test]
fn dependencies_point_one_way() {
    let metadata = crates::metadata().unwrap();
    let edges = graph::edges(&metadata);
    assert!(edges.len() >= 6, "found only {edges:?}");
    assert_none(&graph::breaches(&edges));
}

#[test]
fn no_banned_crate_and_only_allowed_licences() {
    let metadata = crates::metadata().unwrap();
    let policy = policy::Policy::parse(&tree::read("deny.toml").unwrap()).unwrap();
    let packages = policy::packages(&metadata);
    assert!(
        packages.len() >= 100,
        "a graph of only {} packages",
        packages.len()
    );
    assert_none(&policy.banned(&packages));
    assert_none(&policy.licences(&packages));
    assert_none(&policy::too_new(&packages, &crates::RUST_VERSION));
}

#[test]
fn every_crate_is_ready_to_be_published() {
    let metadata = crates::metadata().unwrap();
    let crates = crates::describe(&metadata).unwrap();
    assert!(crates.len() >= 6, "found only {crates:?}");
    assert_none(&crates::breaches(&crates));
}

#[test]
fn sources_keep_to_their_rooms() {
    let mut breaches = Vec::new();
    let files = tree::rust_files().unwrap();
    assert!(files.len() >= 20, "found only {} files", files.len());
    for file in &files {
        match source::scan(&file.text) {
            Ok(scan) => breaches.extend(source::breaches(&file.path, &scan)),
            Err(error) => breaches.push(format!("{}: does not lex: {error}", file.path)),
        }
    }
    breaches.extend(source::stale_exceptions(&files));
    assert_none(&breaches);
}

#[test]
fn no_machine_and_no_registry_is_named() {
    let files = tree::text_files().unwrap();
    assert!(files.len() >= 40, "found only {} files", files.len());
    assert_none(&text::breaches(&files));
}

#[test]
fn recipes_are_one_plain_command_each() {
    let (recipes, breaches) = justfile::breaches(&tree::read("Justfile").unwrap());
    assert!(recipes >= 10, "found only {recipes} recipes");
    assert_none(&breaches);
}

#[track_caller]
fn assert_none(breaches: &[String]) {
    assert!(
        breaches.is_empty(),
        "{} breach(es):\n  {}",
        breaches.len(),
        breaches.join("\n  ")
    );
}
