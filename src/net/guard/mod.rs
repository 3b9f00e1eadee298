//! Guarding HTTP/1 against requests whose end two readers could place differently.
//!
//! [`GuardedIo`] stands between the socket and hyper's server connection. hyper is lenient where leniency is
//! dangerous for a proxy (it takes a bare LF, prefers `Transfer-Encoding` over `Content-Length`, and asks for
//! no `Host`), so every head and every chunk line is read here first, strictly, and hyper only ever sees bytes
//! that have one reading. At the first fault hyper is fed bytes that it is certain to refuse itself: pipelined
//! requests before the fault are still answered in order, then comes a bare 400 and the end of the connection;
//! inside a body they are a body error, so the request is never complete. Nothing after the fault is read.
//!
//! | rule | source |
//! |---|---|
//! | lines end with CRLF; a bare LF or CR is refused | RFC 9112 §2.2 |
//! | nothing stands before the request line | stricter than RFC 9112 §2.2 |
//! | one SP between method, target and version | RFC 9112 §3 |
//! | the method is an upper-case token, not `CONNECT`, not `TRACE` | RFC 9110 §9.1, §9.3.6, §9.3.8 |
//! | the target is in origin-form: `/`, visible ASCII, no fragment | RFC 9112 §3.2.1 |
//! | the version is exactly `HTTP/1.0` or `HTTP/1.1` | RFC 9112 §2.3 |
//! | exactly one `Host`, which is a host | RFC 9112 §3.2, RFC 9110 §7.2 |
//! | a field name is a token, the colon follows at once | RFC 9112 §5.1 |
//! | no folded field lines | RFC 9112 §5.2 |
//! | no control characters in values but HTAB | RFC 9110 §5.5 |
//! | at most one `Content-Length`, only digits | RFC 9112 §6.2, RFC 9110 §8.6 |
//! | `Transfer-Encoding` once, exactly `chunked`, not in HTTP/1.0 | RFC 9112 §6.1 |
//! | never both of them | RFC 9112 §6.1, §6.3 |
//! | a chunk is 1 to 16 hexadecimal digits, CRLF, data, CRLF; no extensions | RFC 9112 §7.1, stricter than §7.1.1 |
//! | no trailer fields, no `Trailer` | stricter than RFC 9112 §7.1.2, RFC 9110 §6.5.1 |
//! | `Connection` lists only `close`, `keep-alive`, `te` | RFC 9110 §7.6.1 |
//! | no `Upgrade`, no `HTTP2-Settings` | RFC 9110 §7.8, RFC 9113 §3.1 |
//! | `Expect` only `100-continue` | RFC 9110 §10.1.1 |
//! | at most 16 KiB of head and 100 fields | RFC 9112 §3, RFC 9110 §5.4 |

mod fault;
mod head;
mod io;
mod messages;
mod name;
pub(super) mod rules;
#[cfg(test)]
mod tests;

pub use fault::FramingFault;
pub(super) use head::{Framing, Head, Noted};
pub use io::{GuardPatience, GuardedIo};
pub(super) use name::Known;
