//! What a business keeps to show that a person agreed.

use serde::{Deserialize, Serialize};

use super::category::Category;

/// How one grant came about, in the words that were shown.
///
/// Text fields are kept as they came and never compared. Which of them a grant needs is the opt-in rules' business.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Evidence {
    /// Where the person agreed: `website`, `app`, `email`, `sms`, `phone`, `in_person`, `paper`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub channel: Option<String>,
    /// What the person did: `checked_box`, `pressed_button`, `signed`, `said_yes`, `texted_keyword`, `filled_form`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_action: Option<String>,
    /// Whether it stood beside the WhatsApp name and logo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name_and_logo_shown: Option<bool>,
    /// Whether the person could see and change the number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number_confirmed: Option<bool>,
    /// The types of message that were named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub categories_shown: Option<Vec<Category>>,
    /// The business that was named.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub business_named: Option<String>,
    /// The sentence that the person agreed to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wording: Option<String>,
    /// Which version of the wording it was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wording_version: Option<String>,
    /// The language of the wording.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub locale: Option<String>,
    /// The page on which it stood.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
}

impl Evidence {
    /// Whether nothing at all is stated.
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evidence([redacted])")
    }
}
