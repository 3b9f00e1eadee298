//! Listening: sockets, TLS, framing, draining. Knows no consent and no WhatsApp.
//!
//! The data plane is several single-threaded runtimes that listen on one port. Each of their connections goes
//! through [`serve_connection`]: the first bytes choose HTTP/1.1 or HTTP/2 ([`preface`]), a request whose end
//! two readers could place differently is refused before the service hears of it ([`guard`], [`check_h2`]),
//! one that arrives whole is read and answered by a loop of our own and any other by hyper, and a [`Drain`] lets
//! what is in flight finish.

mod drain;
pub mod guard;
mod h2_check;
mod inbound;
mod listener;
mod patience;
pub mod preface;
pub mod pulse;
mod serve;
mod tls;
mod whole;

#[cfg(test)]
mod tests;

pub use drain::{DRAIN_LIMIT, Drain, DrainTrigger, Drained, asked_to_end, drain};
pub use guard::FramingFault;
pub use h2_check::{check_h2, check_trailers};
pub use inbound::Inbound;
pub use listener::{Accepted, BindError, Listener, bind, bind_shared};
pub use patience::{Patience, within};
pub use serve::{ConnectionSettings, Ending, LocalExec, serve_connection};
pub use tls::{ClientTls, ServerTls, ServerTlsFiles, TlsError, TlsSettings};
