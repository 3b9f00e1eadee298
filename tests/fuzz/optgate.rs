//! What the fuzz targets run: the floors of optgate that read untrusted bytes, the oracle of the integration tests, and what must hold.

#![allow(
    deprecated,
    unused_imports,
    reason = "ring, which stands in for aws-lc-rs here, deprecates its comparison in constant time; not all that is offered is used here"
)]

extern crate self as optgate;

#[path = "../../src/consent/mod.rs"]
pub mod consent;
#[path = "../../src/wire/mod.rs"]
pub mod wire;
#[path = "../../src/policy/mod.rs"]
pub mod policy;
#[path = "../../src/config/mod.rs"]
pub mod config;

/// All that a configuration needs to know of the admin API.
#[path = "../../src/admin/scope.rs"]
pub mod admin;
/// All that a configuration needs to know of it.
#[path = "../../src/upstream/token.rs"]
pub mod upstream;

#[path = "../it/oracle/lenient/mod.rs"]
mod lenient;
#[path = "../it/oracle/assertion.rs"]
mod assertion;
#[path = "../it/oracle/choices.rs"]
mod choices;

pub mod checks;
