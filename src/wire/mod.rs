//! Providers' wire formats: recognising sends, reading recipients, classifying payloads, rendering refusals.
//!
//! Knows every JSON name and edge of the provider; knows nothing of consent records, policy, sockets or stores.
//! Recognising happens in two steps, because most requests must stream: [`recognize::head`] judges what the head alone tells,
//! [`recognize::body`] judges a buffered body where the head asked for it.

pub mod cloud;
pub mod recognize;
pub mod identify;
pub mod json_text;
pub mod classify;
pub mod refusal;
pub mod send;
pub mod webhook;

pub use send::{Payload, Send, Surface, Template};
