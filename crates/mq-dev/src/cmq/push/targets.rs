//! Where pushes may go.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a server pushes to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum PushTargets {
    /// Nowhere: what is for a URL is dropped, with a line in the log. The default.
    #[default]
    Off,
    /// To public addresses: not to this machine, the network around it, or the metadata service of a cloud.
    Public,
    /// To any address. For tests, whose receivers are on this machine.
    Any,
}

impl PushTargets {
    pub(super) fn allow(self, ip: IpAddr) -> bool {
        match self {
            Self::Off => false,
            Self::Public => is_public(ip),
            Self::Any => true,
        }
    }
}

fn is_public(ip: IpAddr) -> bool {
    match ip {
        IpAddr::V4(ip) => is_public_v4(ip),
        IpAddr::V6(ip) => is_public_v6(ip),
    }
}

/// Source: IANA's registry of special-purpose addresses.
fn is_public_v4(ip: Ipv4Addr) -> bool {
    let [a, b, c, _] = ip.octets();
    let shared = a == 100 && (64..128).contains(&b);
    let benchmark = a == 198 && (18..20).contains(&b);
    let protocol = a == 192 && b == 0 && c == 0;
    !(ip.is_private()
        || ip.is_loopback()
        || ip.is_link_local()
        || ip.is_multicast()
        || ip.is_documentation()
        || a == 0
        || a >= 240
        || shared
        || benchmark
        || protocol)
}

fn is_public_v6(ip: Ipv6Addr) -> bool {
    let octets = ip.octets();
    let segments = ip.segments();
    // Addresses of the old kind in the clothes of the new one: mapped, translated, 6to4.
    let [.., last4, last3, last2, last1] = octets;
    let last = Ipv4Addr::new(last4, last3, last2, last1);
    let [_, _, first4, first3, first2, first1, ..] = octets;
    match segments {
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => is_public_v4(last),
        [0x2002, ..] => is_public_v4(Ipv4Addr::new(first4, first3, first2, first1)),
        // For protocols (2001::/23), and for documentation.
        [0x2001, 0..0x200 | 0xdb8, ..] => false,
        // Global unicast.
        [0x2000..0x4000, ..] => true,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_public_addresses_are_public() {
        for (ip, public) in [
            ("8.8.8.8", true),
            ("100.63.0.1", true),
            ("2400:3200::1", true),
            ("::ffff:8.8.8.8", true),
            ("127.0.0.1", false),
            ("10.0.0.1", false),
            ("172.16.0.1", false),
            ("192.168.1.1", false),
            ("169.254.169.254", false),
            ("100.64.0.1", false),
            ("0.0.0.0", false),
            ("255.255.255.255", false),
            ("224.0.0.1", false),
            ("::1", false),
            ("::", false),
            ("fe80::1", false),
            ("fd00::1", false),
            ("ff02::1", false),
            ("::ffff:127.0.0.1", false),
            ("::ffff:169.254.169.254", false),
            ("64:ff9b::a00:1", false),
            ("2002:7f00:1::", false),
            ("2001:db8::1", false),
        ] {
            let ip: IpAddr = ip.parse().unwrap();
            assert_eq!(PushTargets::Public.allow(ip), public, "{ip}");
            assert!(PushTargets::Any.allow(ip) && !PushTargets::Off.allow(ip));
        }
    }
}
