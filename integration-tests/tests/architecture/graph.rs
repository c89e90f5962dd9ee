//! Who may depend on whom: mq-core ← mq-net ← mq-\<protocol\> ← mq-dev ← mq-cli ← integration-tests; examples use protocol crates.

use cargo_metadata::Metadata;

/// One workspace member names another, as a normal, build or dev dependency.
#[derive(Debug)]
pub(crate) struct Edge {
    pub(crate) from: String,
    pub(crate) to: String,
    pub(crate) kind: String,
}

/// The edges between members, from their manifests.
pub(crate) fn edges(metadata: &Metadata) -> Vec<Edge> {
    let members = metadata.workspace_packages();
    let mut edges = Vec::new();
    for package in &members {
        for dependency in &package.dependencies {
            if members.iter().any(|member| *member.name == dependency.name) {
                edges.push(Edge {
                    from: package.name.to_string(),
                    to: dependency.name.clone(),
                    kind: dependency.kind.to_string(),
                });
            }
        }
    }
    edges
}

/// The edges that point the wrong way.
pub(crate) fn breaches(edges: &[Edge]) -> Vec<String> {
    let wrong = edges.iter().filter(|edge| !may(&edge.from, &edge.to));
    wrong
        .map(|edge| format!("{} must not know {} ({})", edge.from, edge.to, edge.kind))
        .collect()
}

/// Whether this is the name of a crate that speaks one protocol.
pub(crate) fn is_protocol(name: &str) -> bool {
    matches!(layer(name), Some(Layer::Protocol))
}

fn may(from: &str, to: &str) -> bool {
    let (Some(from), Some(to)) = (layer(from), layer(to)) else {
        return false;
    };
    match from {
        Layer::Examples => to == Layer::Protocol,
        _ => to < from,
    }
}

/// In the order of dependency, so that `<` is "may be known by".
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd)]
enum Layer {
    Core,
    Net,
    Protocol,
    Dev,
    Cli,
    Suite,
    Examples,
}

fn layer(name: &str) -> Option<Layer> {
    Some(match name {
        "mq-core" => Layer::Core,
        "mq-net" => Layer::Net,
        "mq-dev" => Layer::Dev,
        "mq-cli" => Layer::Cli,
        "integration-tests" => Layer::Suite,
        "examples" => Layer::Examples,
        name if name.starts_with("mq-") => Layer::Protocol,
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn allowed(from: &str, to: &str) -> bool {
        let edge = Edge {
            from: from.into(),
            to: to.into(),
            kind: "dev".into(),
        };
        breaches(&[edge]).is_empty()
    }

    #[test]
    fn down_is_allowed() {
        for (from, to) in [
            ("mq-rocketmq", "mq-core"),
            ("mq-dev", "mq-core"),
            ("mq-dev", "mq-rocketmq"),
            ("mq-cli", "mq-dev"),
            ("integration-tests", "mq-cli"),
            ("examples", "mq-pulsar"),
        ] {
            assert!(allowed(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn up_sideways_and_unknown_are_not() {
        for (from, to) in [
            ("mq-core", "mq-rocketmq"),
            ("mq-rocketmq", "mq-pulsar"),
            ("mq-rocketmq", "mq-dev"),
            ("mq-dev", "mq-cli"),
            ("mq-cli", "integration-tests"),
            ("examples", "mq-core"),
            ("examples", "mq-dev"),
            ("integration-tests", "examples"),
            ("stranger", "mq-core"),
        ] {
            assert!(!allowed(from, to), "{from} -> {to}");
        }
    }

    #[test]
    fn dev_and_build_edges_are_seen() {
        let metadata = crate::crates::metadata().unwrap();
        let package = metadata
            .packages
            .iter()
            .find(|it| *it.name == "mq-rocketmq")
            .unwrap();
        let kinds: Vec<_> = package
            .dependencies
            .iter()
            .map(|it| it.kind.to_string())
            .collect();
        assert!(kinds.iter().any(|kind| kind == "dev"), "{kinds:?}");
    }
}
