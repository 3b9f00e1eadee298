//! What a Redis server, or the way to it, can refuse us, each with what to do about it.

use std::fmt;

use redis::{ErrorKind, RedisError, ServerError};

use crate::store::naming::{Form, OTHER_KEY};

/// Why Redis did not do what it was asked. Holds nothing that a server said beyond its error code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RedisFault {
    /// No connection yet, or none any more.
    Unreachable,
    /// It took longer than we wait.
    TooSlow,
    /// It asks for a login, or refuses ours.
    Credentials,
    /// The login may not do what is needed.
    NotPermitted,
    /// It is a replica: what it knows may be old, and it takes no writes.
    NotPrimary,
    /// It still reads its data from disk.
    Loading,
    /// It is full.
    OutOfMemory,
    /// It cannot keep writes on disk and therefore takes none.
    CannotPersist,
    /// A key of ours holds something of another type.
    WrongType,
    /// Other writers changed the same recipients every time we tried.
    Contended,
    /// Fewer replicas than `wait_replicas` confirmed a write.
    NotReplicated,
    /// The tenants' numbers changed while we ran.
    TenantsChanged,
    /// It keeps recipients in another form than is configured.
    OtherForm(Form),
    /// It was made with another key of keyed hashes than is configured.
    OtherKey,
    /// The server speaks no RESP3: it is older than Redis 6.
    TooOld,
    /// Anything else, by the code that the server gave.
    Other(String),
}

impl RedisFault {
    /// From what the library reports about a command or a connection.
    pub(super) fn of(error: &RedisError) -> Self {
        if let Some(code) = error.code() {
            return Self::of_code(code);
        }
        if error.is_timeout() {
            return Self::TooSlow;
        }
        if error.kind() == ErrorKind::AuthenticationFailed {
            Self::Credentials
        } else if error.kind() == ErrorKind::RESP3NotSupported {
            Self::TooOld
        } else {
            // Whatever else goes wrong without a code from the server went wrong on the way.
            Self::Unreachable
        }
    }

    /// From an error in the middle of a pipeline.
    pub(super) fn of_reply(error: &ServerError) -> Self {
        Self::of_code(error.code())
    }

    fn of_code(code: &str) -> Self {
        match code {
            "NOAUTH" | "WRONGPASS" => Self::Credentials,
            "NOPERM" => Self::NotPermitted,
            "READONLY" | "MASTERDOWN" => Self::NotPrimary,
            "LOADING" => Self::Loading,
            "OOM" => Self::OutOfMemory,
            "MISCONF" => Self::CannotPersist,
            "WRONGTYPE" => Self::WrongType,
            other => Self::Other(other.to_owned()),
        }
    }
}

impl fmt::Display for RedisFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Unreachable => {
                "Redis cannot be reached: check that it runs and that [store] url, the network and TLS are right; optgate reconnects by itself"
            }
            Self::TooSlow => {
                "Redis did not answer in time: look for slow commands (SLOWLOG), a paused server or a saturated network; optgate goes on trying"
            }
            Self::Credentials => {
                "Redis refused the login: put a valid user and password into [store] url, or repair the ACL user; optgate goes on trying"
            }
            Self::NotPermitted => {
                "the Redis user may not run a command or touch a key that optgate needs: give it the ACL line of the operator's guide"
            }
            Self::NotPrimary => {
                "the Redis server is a replica, or its primary is away: point [store] url at the primary; optgate goes on trying"
            }
            Self::Loading => "Redis is loading its data: wait until it is done",
            Self::OutOfMemory => {
                "Redis is full (OOM): raise maxmemory; no event is accepted until then, and none was lost"
            }
            Self::CannotPersist => {
                "Redis cannot write to its disk (MISCONF): repair its disk or snapshots; no event is accepted until then"
            }
            Self::WrongType => {
                "a key that starts with og: holds something that optgate did not write: give optgate a Redis database or prefix of its own, and restore the key from a backup"
            }
            Self::Contended => "other nodes kept changing the same recipients: repeat the request",
            Self::NotReplicated => {
                "fewer replicas than [store] wait_replicas confirmed the write, which is therefore not acknowledged: check the replicas, then repeat the request"
            }
            Self::TenantsChanged => {
                "the tenants' numbers or the recipients' secret in Redis are not those that this node knew: check that the database was not replaced by another one; optgate reads them again"
            }
            Self::OtherForm(kept) => return write!(f, "this Redis database {}", kept.remedy()),
            Self::OtherKey => return write!(f, "this Redis database {OTHER_KEY}"),
            Self::TooOld => "the server speaks no RESP3: use Redis 6 or later",
            Self::Other(code) => return write!(f, "Redis answered {code}: see its log"),
        })
    }
}

impl std::error::Error for RedisFault {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_that_servers_are_known_to_send_has_its_remedy() {
        for (code, fault) in [
            ("NOAUTH", RedisFault::Credentials),
            ("WRONGPASS", RedisFault::Credentials),
            ("NOPERM", RedisFault::NotPermitted),
            ("READONLY", RedisFault::NotPrimary),
            ("MASTERDOWN", RedisFault::NotPrimary),
            ("LOADING", RedisFault::Loading),
            ("OOM", RedisFault::OutOfMemory),
            ("MISCONF", RedisFault::CannotPersist),
            ("WRONGTYPE", RedisFault::WrongType),
        ] {
            assert_eq!(RedisFault::of_code(code), fault);
            assert!(fault.to_string().contains(':') || fault == RedisFault::Loading, "{fault}");
        }
        assert_eq!(RedisFault::of_code("TRYAGAIN").to_string(), "Redis answered TRYAGAIN: see its log");
    }
}
