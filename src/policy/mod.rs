//! Policy and the decision: what the operator wants, and what follows for one send.
//!
//! Pure: reads no clock, no store, no socket. Knows neither HTTP nor a provider's JSON nor where consent is kept.

pub mod decide;
pub mod facts;
pub mod opt_in;
pub mod permit;
pub mod settings;

pub use decide::{Decision, decide, decide_steering, refuse};
pub use facts::{Addressee, Confirmation, Facts, Members, WindowKnowledge};
pub use permit::{Clearance, Denial, Permit};
pub use settings::{FailureStance, Mode, Policy, Settings};
