//! The Cloud API's own documents, besides requests: answers to sends, template lists, the health of numbers.

pub mod answer;
pub mod group;
pub mod health;
pub mod listing;
pub mod templates;
