//! optgate: a consent gate for business messaging.
//!
//! A reverse proxy that stands in front of the WhatsApp Business API, judges every outbound send by what its recipient has agreed to, and refuses every send that nobody agreed to.
//! The modules are declared from the lowest floor to the highest: each imports only from floors below its own.

pub mod admin;
pub mod app;
pub mod audit;
pub mod cli;
pub mod config;
pub mod consent;
pub mod decision_log;
pub mod judge;
pub mod metrics;
pub mod net;
pub mod policy;
pub mod proxy;
pub mod sandbox;
pub mod senders;
pub mod store;
pub mod templates;
pub mod upstream;
pub mod webhook;
pub mod wire;
