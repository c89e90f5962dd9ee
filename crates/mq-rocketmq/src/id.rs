//! Unique ids of messages and of this client.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use crate::proto::message::{UniqueIdParts, unique_id};

/// Makes unique ids in Java's format: address, process, salt, milliseconds since the month began, counter.
///
/// Source: apache/rocketmq, `MessageClientIDSetter`. Java's salt is a class loader's hash; ours is random, so that forked processes and
/// containers with equal process numbers differ. The counter has 16 bits on the wire; its overflow changes the salt, so that more than
/// 65 536 ids in a millisecond stay apart.
#[derive(Debug)]
pub(crate) struct UniqueIds {
    address: IpAddr,
    process: u16,
    salt: u32,
    counter: AtomicU32,
}

impl UniqueIds {
    pub(crate) fn new(address: IpAddr) -> Self {
        Self {
            address,
            // As in Java, only the low 16 bits travel.
            process: low16(std::process::id()),
            salt: fastrand::u32(..),
            counter: AtomicU32::new(0),
        }
    }

    pub(crate) fn next(&self, wall: SystemTime) -> String {
        let count = self.counter.fetch_add(1, Ordering::Relaxed);
        let since_month = i32::try_from(since_month_ms(wall)).unwrap_or(i32::MAX);
        unique_id(&UniqueIdParts {
            ip: self.address,
            pid: self.process,
            salt: self.salt.wrapping_add(count >> 16).to_be_bytes(),
            since_month_ms: since_month,
            counter: low16(count),
        })
    }
}

/// The address this machine would use to reach `host`, or loopback: no packet is sent.
pub(crate) fn local_address(host: &str, port: u16) -> IpAddr {
    let target: IpAddr = host.parse().unwrap_or(LOOPBACK);
    let any: IpAddr = if target.is_ipv4() {
        [0, 0, 0, 0].into()
    } else {
        [0u16; 8].into()
    };
    UdpSocket::bind((any, 0))
        .and_then(|socket| {
            socket.connect((target, port))?;
            socket.local_addr()
        })
        .map_or(LOOPBACK, |local| local.ip())
}

fn low16(number: u32) -> u16 {
    u16::try_from(number & 0xFFFF).unwrap_or(0)
}

/// Milliseconds since the first of the month, 0:00 UTC. (Java takes the local time zone; only differences matter.)
fn since_month_ms(wall: SystemTime) -> u32 {
    let since_epoch = wall.duration_since(UNIX_EPOCH).unwrap_or_default();
    let days = since_epoch.as_secs() / DAY;
    let in_day = since_epoch.as_millis() - u128::from(days * DAY) * 1000;
    let total = u128::from(day_of_month(days)) * u128::from(DAY) * 1000 + in_day;
    u32::try_from(total).unwrap_or(0)
}

/// Days since the month of a day began (0 to 30). Source: Howard Hinnant, "chrono-compatible low-level date algorithms".
const fn day_of_month(days_since_epoch: u64) -> u64 {
    let shifted = days_since_epoch + 719_468;
    let of_era = shifted % 146_097;
    let year_of_era = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month = (5 * of_year + 2) / 153;
    of_year - (153 * month + 2) / 5
}

const LOOPBACK: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const DAY: u64 = 86_400;

#[cfg(test)]
mod tests {
    use std::collections::HashSet;
    use std::time::Duration;

    use super::*;

    #[test]
    fn knows_the_day_of_the_month() {
        // 1970-01-01, 1970-02-01, 2000-02-29, 2026-11-21
        for (days, expected) in [(0, 0), (31, 0), (11_016, 28), (20_778, 20)] {
            assert_eq!(day_of_month(days), expected, "{days}");
        }
    }

    #[test]
    fn ids_do_not_repeat_past_the_counter() {
        let ids = UniqueIds::new([10, 0, 0, 1].into());
        let wall = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        let made: HashSet<String> = (0..200_000).map(|_| ids.next(wall)).collect();
        assert_eq!(made.len(), 200_000);
        assert!(
            made.iter()
                .all(|id| id.len() == 32 && id.starts_with("0A000001"))
        );
    }
}
