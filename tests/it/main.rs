//! The integration tests: one binary, real sockets, the real gate.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test stops at the first surprise and says where"
)]
#![allow(
    clippy::format_push_string,
    clippy::format_collect,
    reason = "tests build their texts the way they read best"
)]

mod admin_tls;
mod audit;
mod base_path;
mod catalogue;
mod cli;
mod clients;
mod config;
mod demo;
mod deploy;
mod durability;
mod explain;
mod faults;
mod floors;
mod forgetting;
mod import;
mod interrupted;
mod journey;
mod oracle;
mod readme;
mod redis;
mod reload;
mod sandbox;
mod schemathesis;
mod store_contract;
mod support;
mod webhook;
