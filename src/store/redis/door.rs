//! How a connection to the Redis server is made, and what is asked of it before it may be used.

use std::path::PathBuf;
use std::time::Duration;

use redis::aio::MultiplexedConnection;
use redis::io::tcp::TcpSettings;
use redis::{
    AsyncConnectionConfig, Client, Cmd, ConnectionAddr, ErrorKind, IntoConnectionInfo, Pipeline,
    ProtocolVersion, PushInfo, RedisConnectionInfo, RedisError, TlsCertificates, Value,
};
use tokio::time::timeout;

use crate::consent::redact::Redacted;
use crate::store::OpenError;

use super::fault::RedisFault;
use super::keys;

/// The longest that a connection may take from the first packet to the end of the login.
const CONNECT: Duration = Duration::from_secs(1);
/// How many commands may wait for the writing half before those who bring more wait as well.
const QUEUE: usize = 1024;

/// How a Redis server is reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// Its name or address.
    pub host: String,
    /// Its port.
    pub port: u16,
    /// Whether the connection is encrypted, and by whom the server's certificate must be signed.
    pub tls: Option<Trust>,
    /// The ACL user; `None` for the server's default user.
    pub username: Option<String>,
    /// The user's password.
    pub password: Option<Redacted<String>>,
    /// The database number.
    pub database: u32,
    /// How many replicas must confirm a write before it is acknowledged.
    pub wait_replicas: u32,
}

/// Whose signature makes a server's certificate good.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trust {
    /// The public certificate authorities.
    Public,
    /// Those in this PEM file, and no others.
    File(PathBuf),
}

/// Makes connections.
pub(super) struct Door {
    client: Client,
}

impl Door {
    pub(super) fn new(settings: &Settings) -> Result<Self, OpenError> {
        let client = client(settings)?;
        Ok(Self { client })
    }

    /// A connection, logged in; pushes of the server go to `pushed`.
    pub(super) async fn connect(
        &self,
        pushed: impl Fn(PushInfo) + Send + Sync + 'static,
    ) -> Result<MultiplexedConnection, RedisFault> {
        let pushed = move |push| -> Result<(), std::convert::Infallible> {
            pushed(push);
            Ok(())
        };
        // Every wait has a limit of its own: lookups their deadline, heartbeats and writes their patience.
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT))
            .set_response_timeout(None)
            .set_pipeline_buffer_size(QUEUE)
            .set_push_sender(pushed);
        let connected =
            timeout(CONNECT, self.client.get_multiplexed_async_connection_with_config(&config)).await;
        connected.map_err(|_| RedisFault::TooSlow)?.map_err(|error| RedisFault::of(&error))
    }
}

fn client(settings: &Settings) -> Result<Client, OpenError> {
    let refused = |source| OpenError::Redis { source };
    let mut redis = RedisConnectionInfo::default()
        .set_protocol(ProtocolVersion::RESP3)
        .set_db(i64::from(settings.database))
        // Naming the library is a command more, which a minimal ACL user may not run.
        .set_skip_set_lib_name();
    if let Some(username) = &settings.username {
        redis = redis.set_username(username);
    }
    if let Some(password) = &settings.password {
        redis = redis.set_password(password.danger_reveal());
    }
    let (host, port) = (settings.host.clone(), settings.port);
    let addr = match settings.tls {
        None => ConnectionAddr::Tcp(host, port),
        Some(_) => ConnectionAddr::TcpTls { host, port, insecure: false, tls_params: None },
    };
    let info = addr
        .into_connection_info()
        .map_err(refused)?
        .set_redis_settings(redis)
        .set_tcp_settings(TcpSettings::default().set_nodelay(true));
    match &settings.tls {
        None => Client::open(info).map_err(refused),
        Some(trust) => Client::build_with_tls(info, certificates(trust)?).map_err(refused),
    }
}

fn certificates(trust: &Trust) -> Result<TlsCertificates, OpenError> {
    // An error says that somebody installed a provider before, which then is as good.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let root_cert = match trust {
        Trust::Public => None,
        Trust::File(path) => {
            let read = std::fs::read(path);
            Some(read.map_err(|source| OpenError::NotAccessible { path: path.clone(), source })?)
        }
    };
    Ok(TlsCertificates { client_tls: None, root_cert })
}

/// Asks one thing and waits no longer than `patience`.
pub(super) async fn ask(
    connection: &MultiplexedConnection,
    command: &Cmd,
    patience: Duration,
) -> Result<Value, RedisFault> {
    let mut connection = connection.clone();
    let answer = timeout(patience, connection.send_packed_command(command)).await;
    match answer.map_err(|_| RedisFault::TooSlow)? {
        Ok(Value::ServerError(error)) => Err(RedisFault::of_reply(&error)),
        Ok(value) => Ok(value),
        Err(error) => Err(RedisFault::of(&error)),
    }
}

/// Asks several things at once; an answer of the server that is an error stands among the others.
pub(super) async fn ask_all(
    connection: &MultiplexedConnection,
    commands: &Pipeline,
    patience: Duration,
) -> Result<Vec<Value>, RedisFault> {
    let mut connection = connection.clone();
    let answers = timeout(patience, connection.send_packed_commands(commands, 0, commands.len())).await;
    let answers = answers.map_err(|_| RedisFault::TooSlow)?.map_err(|error| RedisFault::of(&error))?;
    if answers.len() == commands.len() { Ok(answers) } else { Err(RedisFault::Unreachable) }
}

/// The commands by which a connection shows that it reaches a primary that answers reads.
pub(super) fn proof() -> Pipeline {
    let mut proof = redis::pipe();
    proof.cmd("ROLE").cmd("GET").arg(keys::TEMPLATES_CHANGED);
    proof
}

/// What the answers to [`proof`] say.
pub(super) fn proven(answers: &[Value]) -> Result<(), RedisFault> {
    for answer in answers {
        if let Value::ServerError(error) = answer {
            return Err(RedisFault::of_reply(error));
        }
    }
    match answers.first() {
        Some(Value::Array(role)) if role.first().and_then(bytes) == Some(b"master") => Ok(()),
        Some(_) | None => Err(RedisFault::NotPrimary),
    }
}

/// The bytes of an answer that is a string.
pub(super) fn bytes(value: &Value) -> Option<&[u8]> {
    if let Value::BulkString(bytes) = value {
        Some(bytes)
    } else if let Value::SimpleString(text) = value {
        Some(text.as_bytes())
    } else {
        None
    }
}

/// Whether an error says that its connection is of no more use.
pub(super) fn breaks(error: &RedisError) -> bool {
    error.is_io_error() || error.is_unrecoverable_error() || error.kind() == ErrorKind::Parse
}
