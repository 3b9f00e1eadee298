//! A real `redis-server` of the test's own.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::process::Command;
use std::time::Duration;

use tempfile::TempDir;

use super::process::Process;
use super::{PATIENCE, eventually, free_addr};

/// A running server; it ends with the test.
pub(crate) struct Redis {
    process: Process,
    addr: SocketAddr,
    lines: Vec<String>,
    folder: TempDir,
}

/// An answer of the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Reply {
    Simple(String),
    Error(String),
    Integer(i64),
    Bulk(Option<Vec<u8>>),
    Array(Vec<Reply>),
}

impl Redis {
    /// Starts a server that keeps nothing on disk.
    pub(crate) fn start() -> Self {
        Self::with(&[])
    }

    /// Starts a server with more lines of configuration, such as `requirepass secret`.
    pub(crate) fn with(lines: &[&str]) -> Self {
        let folder = TempDir::with_prefix("optgate-redis-").unwrap();
        let lines: Vec<String> = lines.iter().map(|line| (*line).to_owned()).collect();
        // Another process may take the port between the choice and the bind.
        for _ in 0..5 {
            let addr = free_addr();
            if let Some(process) = launch(addr, &lines, &folder) {
                return Self { process, addr, lines, folder };
            }
        }
        panic!("redis-server found no port in five attempts");
    }

    pub(crate) fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// `redis://127.0.0.1:port`, with the password if the server asks for one.
    pub(crate) fn url(&self) -> String {
        let secret = self.password().map(|p| format!(":{p}@")).unwrap_or_default();
        format!("redis://{secret}{}", self.addr)
    }

    fn password(&self) -> Option<&str> {
        self.lines.iter().find_map(|line| line.strip_prefix("requirepass "))
    }

    /// Sends one command and reads its reply.
    ///
    /// # Panics
    /// The server does not answer within [`PATIENCE`].
    #[track_caller]
    pub(crate) fn command(&self, words: &[impl AsRef<[u8]>]) -> Reply {
        self.command_as(self.password(), words)
    }

    /// The same with another password than the one it was started with.
    #[track_caller]
    pub(crate) fn command_as(&self, password: Option<&str>, words: &[impl AsRef<[u8]>]) -> Reply {
        let mut connection = connect(self.addr).unwrap();
        if let Some(password) = password {
            exchange(&mut connection, &["AUTH", password]).unwrap();
        }
        exchange(&mut connection, words).unwrap_or_else(|e| panic!("no answer: {e}"))
    }

    /// Every byte that the server has on disk, once it has written what it knows.
    #[track_caller]
    pub(crate) fn files(&self) -> Vec<u8> {
        assert_eq!(self.command(&["SAVE"]), Reply::Simple("OK".into()));
        let mut bytes = Vec::new();
        let mut folders = vec![self.folder.path().to_owned()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    folders.push(path);
                } else {
                    bytes.extend(std::fs::read(path).unwrap());
                }
            }
        }
        bytes
    }

    /// Has the server write its append-only file anew from what it knows now, and waits until the old one is gone.
    #[track_caller]
    pub(crate) fn rewrite_files(&self) {
        let rewritten = |redis: &Self| {
            let Reply::Bulk(Some(info)) = redis.command(&["INFO", "persistence"]) else { panic!("no info") };
            let info = String::from_utf8(info).unwrap();
            ["aof_rewrite_in_progress:0", "aof_rewrite_scheduled:0", "aof_last_bgrewrite_status:ok"]
                .iter()
                .all(|line| info.contains(line))
        };
        eventually("no other rewrite runs", || rewritten(self).then_some(()));
        assert!(matches!(self.command(&["BGREWRITEAOF"]), Reply::Simple(_)));
        eventually("the file is rewritten", || rewritten(self).then_some(()));
    }

    /// Ends the server on the spot.
    pub(crate) fn kill9(&mut self) {
        self.process.kill9();
    }

    /// Starts it again on the same port with the same folder.
    pub(crate) fn restart(&mut self) {
        self.kill9();
        self.process = eventually("the port is free again", || launch(self.addr, &self.lines, &self.folder));
    }

    /// Freezes the server: connections stay open and nothing answers.
    pub(crate) fn pause(&self) {
        self.process.signal("STOP");
    }

    /// Ends a [`Redis::pause`].
    pub(crate) fn resume(&self) {
        self.process.signal("CONT");
    }
}

/// Starts the program and waits until it answers; `None` if the port was taken.
fn launch(addr: SocketAddr, lines: &[String], folder: &TempDir) -> Option<Process> {
    let config = folder.path().join("redis.conf");
    let fixed = [
        format!("bind {}", addr.ip()),
        format!("port {}", addr.port()),
        format!("dir {}", folder.path().display()),
        "save \"\"".to_owned(),
        "daemonize no".to_owned(),
    ];
    std::fs::write(&config, [&fixed, lines].concat().join("\n") + "\n").unwrap();
    let mut command = Command::new("redis-server");
    command.arg(&config);
    let mut process = Process::start(command).unwrap_or_else(|e| {
        panic!("cannot start redis-server ({e}): install it (Debian: apt-get install redis-server) or run tests/run")
    });
    eventually("redis-server answers PING", || {
        if let Some(status) = process.exited() {
            let output = process.stdout().join("\n");
            assert!(output.contains("Address already in use"), "redis-server: {status}\n{output}");
            return Some(false);
        }
        let answers = |mut c| exchange(&mut c, &["PING"]).is_ok();
        connect(addr).is_ok_and(answers).then_some(true)
    })
    .then_some(process)
}

fn connect(addr: SocketAddr) -> std::io::Result<BufReader<TcpStream>> {
    let stream = TcpStream::connect_timeout(&addr, Duration::from_secs(1))?;
    stream.set_read_timeout(Some(PATIENCE))?;
    Ok(BufReader::new(stream))
}

fn exchange(connection: &mut BufReader<TcpStream>, words: &[impl AsRef<[u8]>]) -> std::io::Result<Reply> {
    let mut command = format!("*{}\r\n", words.len()).into_bytes();
    for word in words.iter().map(AsRef::as_ref) {
        command.extend_from_slice(format!("${}\r\n", word.len()).as_bytes());
        command.extend_from_slice(word);
        command.extend_from_slice(b"\r\n");
    }
    connection.get_mut().write_all(&command)?;
    read_reply(connection)
}

fn read_reply(from: &mut impl BufRead) -> std::io::Result<Reply> {
    let mut line = String::new();
    from.read_line(&mut line)?;
    let line = line.trim_end();
    let broken = || std::io::Error::other(format!("not a Redis reply: {line:?}"));
    let (kind, rest) = line.split_at_checked(1).ok_or_else(broken)?;
    let number = || rest.parse::<i64>().map_err(|_| broken());
    match kind {
        "+" => Ok(Reply::Simple(rest.to_owned())),
        "-" => Ok(Reply::Error(rest.to_owned())),
        ":" => Ok(Reply::Integer(number()?)),
        "$" => {
            let Ok(length) = usize::try_from(number()?) else { return Ok(Reply::Bulk(None)) };
            let mut bytes = vec![0; length + 2];
            from.read_exact(&mut bytes)?;
            bytes.truncate(length);
            Ok(Reply::Bulk(Some(bytes)))
        }
        "*" => (0..number()?).map(|_| read_reply(from)).collect::<Result<_, _>>().map(Reply::Array),
        _ => Err(broken()),
    }
}

#[test]
fn a_server_answers_remembers_and_ends_with_its_test() {
    let redis = Redis::with(&["requirepass secret", "maxmemory 100mb"]);
    assert_eq!(redis.command(&["SET", "a", "b c"]), Reply::Simple("OK".into()));
    assert_eq!(redis.command(&["GET", "a"]), Reply::Bulk(Some(b"b c".to_vec())));
    assert_eq!(redis.command(&["GET", "none"]), Reply::Bulk(None));
    assert_eq!(redis.command(&["DEL", "a"]), Reply::Integer(1));
    assert!(matches!(redis.command(&["NONSENSE"]), Reply::Error(_)));
    assert!(redis.url().starts_with("redis://:secret@127.0.0.1:"));
    let addr = redis.addr();
    drop(redis);
    assert!(TcpStream::connect(addr).is_err());
}

#[test]
fn a_paused_server_is_silent_and_a_killed_one_can_return() {
    let mut redis = Redis::start();
    redis.pause();
    let mut connection = connect(redis.addr()).unwrap();
    connection.get_ref().set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!(exchange(&mut connection, &["PING"]).is_err());
    redis.resume();
    assert_eq!(redis.command(&["PING"]), Reply::Simple("PONG".into()));
    redis.restart();
    assert_eq!(redis.command(&["PING"]), Reply::Simple("PONG".into()));
}
