//! What a business keeps to show that a person agreed.

use serde::de::value::MapAccessDeserializer;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};
use utoipa::ToSchema;

use super::blank::is_blank;
use super::category::Category;

/// How one grant came about, in the words that were shown.
///
/// Text fields are kept as they came and never compared. Which of them a grant needs is the opt-in rules' business.
#[derive(Clone, PartialEq, Eq, Default, Serialize, Deserialize, ToSchema)]
#[serde(remote = "Self", deny_unknown_fields)]
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
    /// Where the proof itself lies: a message, a recording, a ticket, a scanned form.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
}

/// A field of [`Evidence`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum EvidenceField {
    /// [`Evidence::channel`].
    Channel,
    /// [`Evidence::user_action`].
    UserAction,
    /// [`Evidence::name_and_logo_shown`].
    NameAndLogoShown,
    /// [`Evidence::number_confirmed`].
    NumberConfirmed,
    /// [`Evidence::categories_shown`].
    CategoriesShown,
    /// [`Evidence::business_named`].
    BusinessNamed,
    /// [`Evidence::wording`].
    Wording,
    /// [`Evidence::wording_version`].
    WordingVersion,
    /// [`Evidence::locale`].
    Locale,
    /// [`Evidence::url`].
    Url,
    /// [`Evidence::reference`].
    Reference,
}

impl EvidenceField {
    /// Every field, in the order of the events' documentation.
    pub const ALL: [Self; 11] = [
        Self::Channel,
        Self::UserAction,
        Self::NameAndLogoShown,
        Self::NumberConfirmed,
        Self::CategoriesShown,
        Self::BusinessNamed,
        Self::Wording,
        Self::WordingVersion,
        Self::Locale,
        Self::Url,
        Self::Reference,
    ];

    /// Its name within an event's evidence.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Channel => "channel",
            Self::UserAction => "user_action",
            Self::NameAndLogoShown => "name_and_logo_shown",
            Self::NumberConfirmed => "number_confirmed",
            Self::CategoriesShown => "categories_shown",
            Self::BusinessNamed => "business_named",
            Self::Wording => "wording",
            Self::WordingVersion => "wording_version",
            Self::Locale => "locale",
            Self::Url => "url",
            Self::Reference => "reference",
        }
    }
}

impl Evidence {
    /// Whether a field says anything; blank text says nothing, and no flag of the evidence counts unless it is true.
    pub fn states(&self, field: EvidenceField) -> bool {
        let text = |text: &Option<String>| text.as_ref().is_some_and(|text| !is_blank(text));
        match field {
            EvidenceField::Channel => text(&self.channel),
            EvidenceField::UserAction => text(&self.user_action),
            EvidenceField::NameAndLogoShown => self.name_and_logo_shown == Some(true),
            EvidenceField::NumberConfirmed => self.number_confirmed == Some(true),
            EvidenceField::CategoriesShown => self.categories_shown.as_ref().is_some_and(|c| !c.is_empty()),
            EvidenceField::BusinessNamed => text(&self.business_named),
            EvidenceField::Wording => text(&self.wording),
            EvidenceField::WordingVersion => text(&self.wording_version),
            EvidenceField::Locale => text(&self.locale),
            EvidenceField::Url => text(&self.url),
            EvidenceField::Reference => text(&self.reference),
        }
    }

    /// Whether nothing at all is stated; blank text states nothing.
    pub fn is_empty(&self) -> bool {
        let texts = [
            &self.channel,
            &self.user_action,
            &self.business_named,
            &self.wording,
            &self.wording_version,
            &self.locale,
            &self.url,
            &self.reference,
        ];
        texts.into_iter().flatten().all(|text| is_blank(text))
            && self.name_and_logo_shown.is_none()
            && self.number_confirmed.is_none()
            && self.categories_shown.as_ref().is_none_or(Vec::is_empty)
    }
}

/// Only an object is evidence: a derived reader would take a list as well and give its items to the fields in order.
impl<'de> Deserialize<'de> for Evidence {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Evidence;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Evidence, A::Error> {
                Evidence::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Serialize for Evidence {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        Self::serialize(self, serializer)
    }
}

impl std::fmt::Debug for Evidence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Evidence([redacted])")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blank_text_states_nothing() {
        for (written, empty) in [
            ("{}", true),
            (r#"{"wording":""}"#, true),
            (r#"{"channel":" ","categories_shown":[]}"#, true),
            (r#"{"wording":"\u200b","reference":"\ufeff"}"#, true),
            (r#"{"reference":"ticket 17"}"#, false),
            (r#"{"wording":"I agree"}"#, false),
            (r#"{"number_confirmed":true}"#, false),
        ] {
            assert_eq!(serde_json::from_str::<Evidence>(written).unwrap().is_empty(), empty, "{written}");
        }
    }

    #[test]
    fn only_an_object_is_evidence() {
        let written = r#"{"channel":"website","number_confirmed":true}"#;
        let evidence: Evidence = serde_json::from_str(written).unwrap();
        assert_eq!(serde_json::to_string(&evidence).unwrap(), written);
        for bad in [r#"["website"]"#, r#""website""#, r#"{"chanel":"website"}"#] {
            assert!(serde_json::from_str::<Evidence>(bad).is_err(), "{bad}");
        }
    }
}
