//! The admin API from outside: where it is, which token opens it, and what its errors mean to a person.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::Value;

use super::args::Global;
use super::trust;
use crate::admin::ADMIN_TOKEN_FILE;

/// Where the gate keeps its files unless told otherwise.
const DATA_DIR: &str = "optgate-data";
/// The variable that prevails over the token file.
const TOKEN_VARIABLE: &str = "OPTGATE_TOKEN";
const CONNECT_PATIENCE: Duration = Duration::from_secs(5);
const ANSWER_PATIENCE: Duration = Duration::from_secs(120);
const MAX_ANSWER: u64 = 256 << 20;
/// What may stand unescaped in one segment of a path.
const SEGMENT: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A connection to a gate's admin API.
pub(super) struct Client {
    agent: ureq::Agent,
    base: String,
    token: Option<String>,
    source: TokenSource,
}

/// Where the token came from, or should have.
#[derive(Clone, Debug)]
pub(super) enum TokenSource {
    Variable,
    File(PathBuf),
}

/// Why the admin API did not do what was asked.
#[derive(Debug)]
pub(super) enum ClientError {
    /// The URL is none that can be called.
    Url(String),
    /// The certificates that the flags name will not do.
    Tls(String),
    /// The token file is there and cannot be read.
    TokenFile(PathBuf, io::Error),
    /// Nobody answered.
    Unreachable(String, ureq::Error),
    /// The connection broke before the answer was whole.
    Broken(String, ureq::Error),
    /// The token, or its absence, was not accepted.
    Unauthorized { base: String, source: TokenSource, presented: bool },
    /// It answered with problems.
    Refused { status: u16, title: String, problems: Vec<String> },
    /// It answered with something that is no answer of the admin API.
    Foreign { base: String, status: u16 },
}

impl Client {
    /// A client for the gate that the flags name. Connects to nothing yet.
    pub(super) fn new(global: &Global) -> Result<Self, ClientError> {
        let base = global.admin.trim_end_matches('/').to_owned();
        let uri =
            base.parse::<http::Uri>().ok().filter(|uri| matches!(uri.scheme_str(), Some("http" | "https")));
        if uri.is_none_or(|uri| uri.host().is_none_or(str::is_empty)) {
            return Err(ClientError::Url(base));
        }
        let (token, source) = token(global.data_dir.as_deref().unwrap_or(Path::new(DATA_DIR)))?;
        let agent = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            // A proxy for the web is no way to a gate, and would see the token.
            .proxy(None)
            .tls_config(trust::tls(global)?)
            .timeout_connect(Some(CONNECT_PATIENCE))
            .timeout_recv_response(Some(ANSWER_PATIENCE))
            .build()
            .new_agent();
        Ok(Self { agent, base, token, source })
    }

    /// `GET`
    pub(super) fn get(&self, path: &str) -> Result<Value, ClientError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(request.call())
    }

    /// `DELETE`
    pub(super) fn delete(&self, path: &str) -> Result<Value, ClientError> {
        let mut request = self.agent.delete(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(request.call())
    }

    /// `GET` of something too long to hold, read while it arrives.
    pub(super) fn stream(&self, path: &str) -> Result<impl io::Read + use<>, ClientError> {
        let mut request = self.agent.get(format!("{}{path}", self.base));
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        let answer = request.call().map_err(|cause| ClientError::Unreachable(self.base.clone(), cause))?;
        if answer.status() == 200 {
            return Ok(answer.into_body().into_with_config().limit(u64::MAX).reader());
        }
        let status = answer.status().as_u16();
        let refused = self.read(Ok(answer)).err();
        Err(refused.unwrap_or(ClientError::Foreign { base: self.base.clone(), status }))
    }

    /// `POST` of JSON.
    pub(super) fn post_json(&self, path: &str, body: &Value) -> Result<Value, ClientError> {
        self.write("POST", path, ("application/json", body.to_string().as_bytes()))
    }

    /// `POST` or `PUT` of a body with its content type.
    pub(super) fn write(&self, verb: &str, path: &str, body: (&str, &[u8])) -> Result<Value, ClientError> {
        let url = format!("{}{path}", self.base);
        let mut request = if verb == "PUT" { self.agent.put(url) } else { self.agent.post(url) };
        if let Some(token) = &self.token {
            request = request.header("authorization", format!("Bearer {token}"));
        }
        self.read(request.content_type(body.0).send(body.1))
    }

    fn read(&self, answer: Result<http::Response<ureq::Body>, ureq::Error>) -> Result<Value, ClientError> {
        let answer = answer.map_err(|cause| ClientError::Unreachable(self.base.clone(), cause))?;
        let status = answer.status().as_u16();
        if status == 401 {
            let presented = self.token.is_some();
            return Err(ClientError::Unauthorized {
                base: self.base.clone(),
                source: self.source.clone(),
                presented,
            });
        }
        let body = answer.into_body().into_with_config().limit(MAX_ANSWER).read_to_vec();
        let body = body.map_err(|cause| ClientError::Broken(self.base.clone(), cause))?;
        let value: Option<Value> = serde_json::from_slice(&body).ok();
        match value {
            Some(value) if status == 200 => Ok(value),
            Some(problem) if problem.get("title").is_some() => Err(refused(status, &problem)),
            _ => Err(ClientError::Foreign { base: self.base.clone(), status }),
        }
    }
}

/// One segment of a path, such as a recipient.
pub(super) fn segment(text: &str) -> impl fmt::Display + '_ {
    utf8_percent_encode(text, SEGMENT)
}

fn token(data_dir: &Path) -> Result<(Option<String>, TokenSource), ClientError> {
    if let Some(token) = std::env::var_os(TOKEN_VARIABLE).filter(|token| !token.is_empty()) {
        return Ok((Some(token.to_string_lossy().trim().to_owned()), TokenSource::Variable));
    }
    let path = data_dir.join(ADMIN_TOKEN_FILE);
    let token = match std::fs::read_to_string(&path) {
        Ok(token) => Some(token.trim().to_owned()),
        Err(cause) if cause.kind() == io::ErrorKind::NotFound => None,
        Err(cause) => return Err(ClientError::TokenFile(path, cause)),
    };
    Ok((token, TokenSource::File(path)))
}

/// An error answer (RFC 9457) and every problem that it lists.
fn refused(status: u16, problem: &Value) -> ClientError {
    let text = |member| problem.get(member).and_then(Value::as_str).unwrap_or_default();
    let detail = Some(text("detail")).filter(|detail| !detail.is_empty());
    let listed = problem.get("problems").and_then(Value::as_array).into_iter().flatten();
    let problems = detail.into_iter().chain(listed.filter_map(Value::as_str)).map(str::to_owned).collect();
    ClientError::Refused { status, title: text("title").to_owned(), problems }
}

impl fmt::Display for ClientError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Url(url) => {
                write!(
                    f,
                    "--admin {url:?} cannot be called: write http://HOST:PORT or https://HOST:PORT, such as http://127.0.0.1:9090"
                )
            }
            Self::Tls(what) => f.write_str(what),
            Self::TokenFile(path, cause) => {
                write!(
                    f,
                    "the admin token in {} cannot be read: {cause}; run as its owner, or set {TOKEN_VARIABLE}",
                    path.display()
                )
            }
            Self::Unreachable(base, cause) => {
                write!(
                    f,
                    "no answer from the admin API at {base}: {cause}\nis `optgate serve` running? --admin names another address"
                )
            }
            Self::Broken(base, cause) => {
                write!(f, "the answer of the admin API at {base} broke off: {cause}")
            }
            Self::Unauthorized { base, source, presented } => unauthorized(f, base, source, *presented),
            Self::Refused { status, title, problems } => {
                write!(f, "{title} ({status})")?;
                problems.iter().try_for_each(|problem| write!(f, "\n  - {problem}"))
            }
            Self::Foreign { base, status } => {
                write!(
                    f,
                    "{base} answered {status} and is no admin API of optgate; --admin names another address"
                )
            }
        }
    }
}

fn unauthorized(
    f: &mut fmt::Formatter<'_>,
    base: &str,
    source: &TokenSource,
    presented: bool,
) -> fmt::Result {
    match source {
        TokenSource::Variable => {
            write!(f, "the admin API at {base} does not know the token in {TOKEN_VARIABLE} (401)")
        }
        TokenSource::File(path) if presented => {
            write!(f, "the admin API at {base} does not know the token in {} (401)", path.display())
        }
        TokenSource::File(path) => {
            write!(f, "the admin API at {base} wants a token (401) and {} is not there", path.display())
        }
    }?;
    write!(
        f,
        "\nset {TOKEN_VARIABLE} to a token whose digest stands in [[admin.tokens]]; a gate without any keeps its own in \
         {ADMIN_TOKEN_FILE} in its data folder, which --data-dir names"
    )
}

impl std::error::Error for ClientError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::TokenFile(_, cause) => Some(cause),
            Self::Unreachable(_, cause) | Self::Broken(_, cause) => Some(cause),
            Self::Url(_)
            | Self::Tls(_)
            | Self::Unauthorized { .. }
            | Self::Refused { .. }
            | Self::Foreign { .. } => None,
        }
    }
}
