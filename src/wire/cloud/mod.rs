//! The Cloud API's own documents, besides requests: answers to sends, and template lists.

pub mod answer;
pub mod listing;
pub mod templates;
