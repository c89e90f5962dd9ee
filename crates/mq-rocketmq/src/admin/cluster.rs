//! Which brokers there are, and which of them a change is for.

use mq_core::{Endpoint, ErrorKind, Retry};

use crate::client::Shared;
use crate::error::{Error, Result, invalid};
use crate::proto::command::{BrokerData, ClusterInfo, GetClusterInfo};

/// A broker, as the nameservers know it.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) name: String,
    addresses: Vec<(i64, Endpoint)>,
}

impl Place {
    pub(super) fn new(data: &BrokerData) -> Self {
        Self {
            name: data.broker_name.clone(),
            addresses: data.endpoints().collect(),
        }
    }

    /// Where changes go: replicas refuse them.
    pub(super) fn master(&self, operation: &'static str) -> Result<&Endpoint> {
        let master = self.addresses.first().filter(|(id, _)| *id == 0);
        master
            .map(|(_, to)| to)
            .ok_or_else(|| self.away("the nameservers know no master of it", operation))
    }

    /// Where questions go: to the master, or else to the replica with the smallest number.
    pub(super) fn any(&self, operation: &'static str) -> Result<&Endpoint> {
        let first = self.addresses.first();
        first
            .map(|(_, to)| to)
            .ok_or_else(|| self.away("the nameservers know no address of it", operation))
    }

    fn away(&self, why: &str, operation: &'static str) -> Error {
        Error::builder(ErrorKind::Connect, format!("broker {}: {why}", self.name))
            .operation(operation)
            .hint("it may be starting or down")
            .build()
    }
}

/// All brokers, by name.
pub(super) fn all(info: &ClusterInfo) -> Vec<Place> {
    info.brokers.values().map(Place::new).collect()
}

/// The brokers of the cluster, or the one broker; without either those of the only cluster there is.
pub(super) fn choose(
    info: &ClusterInfo,
    cluster: Option<&str>,
    broker: Option<&str>,
    operation: &'static str,
) -> Result<Vec<Place>> {
    let names = |all: &mut dyn Iterator<Item = &String>| {
        let names: Vec<_> = all.map(String::as_str).collect();
        format!("there are {}", names.join(", "))
    };
    let absent = |what: String, hint: String| {
        Error::builder(ErrorKind::NotFound, what)
            .operation(operation)
            .hint(hint)
            .build()
    };
    let members = match cluster {
        Some(cluster) => info.clusters.get(cluster).ok_or_else(|| {
            let hint = names(&mut info.clusters.keys());
            absent(format!("cluster \"{cluster}\" does not exist"), hint)
        })?,
        // A broker's name is enough.
        None if broker.is_some() => &info.brokers.keys().cloned().collect(),
        None => {
            let mut clusters = info.clusters.values();
            match (clusters.next(), clusters.next()) {
                (Some(only), None) => only,
                (None, _) => return Err(nobody(operation)),
                _ => {
                    let known = names(&mut info.clusters.keys());
                    let message = format!("several clusters, none is chosen: {known}");
                    return Err(invalid(operation, message));
                }
            }
        }
    };
    let chosen = info
        .brokers
        .iter()
        .filter(|(name, _)| members.contains(name) && broker.is_none_or(|broker| broker == *name));
    let places: Vec<_> = chosen.map(|(_, data)| Place::new(data)).collect();
    match broker {
        Some(broker) if places.is_empty() => {
            let hint = names(&mut members.iter());
            Err(absent(format!("broker \"{broker}\" does not exist"), hint))
        }
        _ if places.is_empty() => Err(nobody(operation)),
        _ => Ok(places),
    }
}

/// What the nameservers know.
pub(super) async fn info(shared: &Shared, operation: &'static str) -> Result<ClusterInfo> {
    let nameservers = shared.routes.nameservers();
    nameservers.ask(&GetClusterInfo, operation).await
}

fn nobody(operation: &'static str) -> Error {
    Error::builder(ErrorKind::Connect, "the nameservers know no broker")
        .operation(operation)
        .retry(Retry::Later)
        .hint("brokers may be starting, or know other nameservers")
        .build()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cluster(members: &[(&str, &[&str])]) -> ClusterInfo {
        let mut info = ClusterInfo::default();
        for (cluster, names) in members {
            let owned = names.iter().map(|name| (*name).to_owned());
            info.clusters.insert((*cluster).to_owned(), owned.collect());
            for name in *names {
                let data = BrokerData {
                    broker_name: (*name).to_owned(),
                    broker_addrs: [(0, "127.0.0.1:1".to_owned())].into(),
                    ..BrokerData::default()
                };
                info.brokers.insert((*name).to_owned(), data);
            }
        }
        info
    }

    fn chosen(info: &ClusterInfo, cluster: Option<&str>, broker: Option<&str>) -> String {
        match choose(info, cluster, broker, "create topic") {
            Ok(places) => {
                let names: Vec<_> = places.into_iter().map(|place| place.name).collect();
                names.join(",")
            }
            Err(error) => format!("{}: {error}", error.kind()),
        }
    }

    #[test]
    fn the_only_cluster_needs_no_name_and_several_do() {
        let one = cluster(&[("c", &["b", "a"])]);
        assert_eq!(chosen(&one, None, None), "a,b");
        assert_eq!(chosen(&one, None, Some("b")), "b");
        let two = cluster(&[("c", &["a"]), ("d", &["b"])]);
        assert_eq!(
            chosen(&two, None, None),
            "invalid: create topic: several clusters, none is chosen: there are c, d"
        );
        assert_eq!(chosen(&two, Some("d"), None), "b");
        assert_eq!(chosen(&two, None, Some("b")), "b");
        let told = chosen(&two, Some("c"), Some("b"));
        assert_eq!(
            told,
            "not_found: create topic: broker \"b\" does not exist; there are a"
        );
        assert!(chosen(&two, Some("e"), None).starts_with("not_found"));
        assert!(chosen(&cluster(&[]), None, None).starts_with("connect"));
    }

    #[test]
    fn changes_go_to_masters_and_questions_to_anybody() {
        let place = |ids: &[i64]| {
            Place::new(&BrokerData {
                broker_name: "b".to_owned(),
                broker_addrs: ids
                    .iter()
                    .map(|id| (*id, format!("h:{}", id + 1)))
                    .collect(),
                ..BrokerData::default()
            })
        };
        assert_eq!(place(&[1, 0]).master("x").unwrap().to_string(), "h:1");
        assert_eq!(place(&[2, 1]).any("x").unwrap().to_string(), "h:2");
        let error = place(&[1]).master("x").unwrap_err();
        assert_eq!(
            (error.kind(), error.retry()),
            (ErrorKind::Connect, Retry::Later)
        );
        assert!(place(&[]).any("x").is_err());
    }
}
