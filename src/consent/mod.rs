//! The words of consent: what a recipient, a category, an event and a record are, and how a record follows from events.
//!
//! Pure: no I/O, no async, no provider's wire format. Every other module speaks in these words.

pub mod blank;
pub mod category;
pub mod chain;
pub mod dossier;
pub mod event;
pub mod evidence;
pub mod keyed;
pub mod lookup;
pub mod mac;
pub mod phone;
pub mod plan;
pub mod pulse;
pub mod reason;
pub mod recipient;
pub mod record;
pub mod redact;
pub mod tenant;
pub mod terms;
pub mod time;
pub mod words;

pub use category::{Category, CategorySet};
pub use event::{Actor, Event, EventId, Kind};
pub use keyed::{RecipientHash, RecipientHasher};
pub use lookup::Lookup;
pub use phone::E164;
pub use pulse::{Felt, Pulse, Quality};
pub use reason::{Basis, DenyReason};
pub use recipient::{Recipient, RecipientKey, UserId};
pub use record::{GateRecord, Standing};
pub use tenant::TenantId;
pub use terms::Validity;
pub use time::{Clock, Timestamp};
