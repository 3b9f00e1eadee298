//! How a Redis store is addressed: one server, a Sentinel group or a Cluster, in one URL.

use percent_encoding::percent_decode_str;

use crate::consent::redact::Redacted;

/// The port of a Redis server that names none.
const REDIS_PORT: u16 = 6379;
/// The port of a Sentinel that names none.
const SENTINEL_PORT: u16 = 26379;

/// A checked Redis URL: `redis://HOST:PORT/DB`, `redis+cluster://A,B,C` or `redis+sentinel://A,B/NAME`, with `rediss` for TLS.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RedisAddress {
    /// What stands behind the hosts.
    pub topology: Topology,
    /// Whether connections are encrypted.
    pub tls: bool,
    /// Hosts (without brackets) and ports, in the order in which they were written; never empty.
    pub hosts: Vec<(String, u16)>,
    /// The ACL user, if one is named.
    pub user: Option<String>,
    /// The password, if one is given.
    pub password: Option<Redacted<String>>,
    /// The database number; always 0 in a cluster.
    pub database: u32,
}

/// How many Redis servers there are and how the primary is found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Topology {
    /// One server.
    Single,
    /// The hosts are seeds of a cluster.
    Cluster,
    /// The hosts are Sentinels, which know the primary by this name.
    Sentinel(String),
}

impl RedisAddress {
    /// Reads a URL; `None` if it is not exactly of one of these forms.
    pub fn parse(url: &str) -> Option<Self> {
        let (scheme, rest) = url.split_once("://")?;
        let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (tls, kind) = match scheme.strip_prefix("rediss") {
            Some(kind) => (true, kind),
            None => (false, scheme.strip_prefix("redis")?),
        };
        let (login, hosts) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (topology, database, port) = match (kind, path) {
            ("", path) => (Topology::Single, database(path)?, REDIS_PORT),
            ("+cluster", "" | "0") => (Topology::Cluster, 0, REDIS_PORT),
            ("+sentinel", path) => {
                let (name, path) = path.split_once('/').unwrap_or((path, ""));
                let name = Some(name).filter(|name| is_name(name))?;
                (Topology::Sentinel(name.to_owned()), database(path)?, SENTINEL_PORT)
            }
            _ => return None,
        };
        let hosts: Vec<_> = hosts.split(',').map(|host| host_and_port(host, port)).collect::<Option<_>>()?;
        let (user, password) = credentials(login)?;
        let one = topology != Topology::Single || hosts.len() == 1;
        one.then_some(Self { topology, tls, hosts, user, password, database })
    }
}

fn database(path: &str) -> Option<u32> {
    if path.is_empty() { Some(0) } else { path.parse().ok() }
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

fn host_and_port(text: &str, default: u16) -> Option<(String, u16)> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']')?;
        host.parse::<std::net::Ipv6Addr>().ok()?;
        (host, if port.is_empty() { None } else { Some(port.strip_prefix(':')?) })
    } else {
        let (host, port) = text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)));
        (Some(host).filter(|host| is_name(host))?, port)
    };
    let port = port.map_or(Some(default), |port| port.parse().ok().filter(|port| *port != 0))?;
    Some((host.to_owned(), port))
}

/// `user:password`, `:password` or nothing, percent-encoded where they hold `@`, `/` or `:`.
fn credentials(login: &str) -> Option<(Option<String>, Option<Redacted<String>>)> {
    let decode = |text: &str| Some(percent_decode_str(text).decode_utf8().ok()?.into_owned());
    let (user, password) = login.split_once(':').unwrap_or((login, ""));
    let user = Some(decode(user)?).filter(|user| !user.is_empty());
    let password = Some(decode(password)?).filter(|password| !password.is_empty());
    // A user without a password would be sent to the server as nobody.
    if user.is_some() && password.is_none() { None } else { Some((user, password.map(Redacted::new))) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        for (url, topology, tls, hosts, database) in [
            ("redis://127.0.0.1", Topology::Single, false, vec![("127.0.0.1", 6379)], 0),
            ("redis://cache:7000/3", Topology::Single, false, vec![("cache", 7000)], 3),
            ("rediss://[::1]:7000", Topology::Single, true, vec![("::1", 7000)], 0),
            ("redis+cluster://a:1,b,c:3", Topology::Cluster, false, vec![("a", 1), ("b", 6379), ("c", 3)], 0),
            ("rediss+cluster://a", Topology::Cluster, true, vec![("a", 6379)], 0),
            (
                "redis+sentinel://a,b:5/main",
                Topology::Sentinel("main".into()),
                false,
                vec![("a", 26379), ("b", 5)],
                0,
            ),
            ("redis+sentinel://a/main/2", Topology::Sentinel("main".into()), false, vec![("a", 26379)], 2),
        ] {
            let hosts = hosts.into_iter().map(|(host, port)| (host.to_owned(), port)).collect();
            let expected = RedisAddress { topology, tls, hosts, user: None, password: None, database };
            assert_eq!(RedisAddress::parse(url), Some(expected), "{url}");
        }
    }

    #[test]
    fn a_login_is_decoded_and_its_password_never_shown() {
        let address = RedisAddress::parse("redis://gate:p%40ss%2Fword@h").unwrap();
        assert_eq!(address.user.as_deref(), Some("gate"));
        assert_eq!(address.password.as_ref().unwrap().danger_reveal(), "p@ss/word");
        assert!(!format!("{address:?}").contains("p@ss"));
        assert!(RedisAddress::parse("redis://:secret@h").unwrap().user.is_none());
    }

    #[test]
    fn anything_else_is_refused() {
        for url in [
            "",
            "redis",
            "redis:/h",
            "http://h",
            "redis://",
            "redis://h:0",
            "redis://h:x",
            "redis://h/x",
            "redis://a,b",
            "redis://h h",
            "redis+cluster://a,,b",
            "redis+cluster://a/1",
            "redis+sentinel://a",
            "redis+sentinel://a/",
            "redis+ring://a",
            "redis://user@h",
            "redis://[::1",
            "redis://[x]:1",
        ] {
            assert!(RedisAddress::parse(url).is_none(), "{url}");
        }
    }
}
