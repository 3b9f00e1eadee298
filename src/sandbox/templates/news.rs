//! What webhooks tell of a template that was added or changed.

use std::time::Duration;

use serde_json::Value;

use super::super::json::Object;
use super::super::webhook::{News, now};
use super::Template;

/// How long before its time Meta announces another category, at the most.
const NOTICE: Duration = Duration::from_secs(24 * 60 * 60);

impl Template {
    /// Everything that is different from what was `before`; a category announced is `due` then, or in a day.
    pub(super) fn news(&self, before: Option<&Template>, due: Option<u64>) -> Vec<News> {
        let Some(before) = before else { return vec![self.status_news()] };
        let mut news = Vec::new();
        if self.category != before.category {
            news.push(self.news_of("template_category_update", |value| {
                value.text("previous_category", &before.category).text("new_category", &self.category)
            }));
        }
        let announced = self.correct_category.as_ref().filter(|category| **category != self.category);
        if let Some(announced) =
            announced.filter(|category| before.correct_category.as_ref() != Some(*category))
        {
            let due = due.unwrap_or_else(|| now() + NOTICE.as_secs());
            // The new category of an announcement is the one that the template still has.
            news.push(self.news_of("template_category_update", |value| {
                let value = value.text("new_category", &self.category).text("correct_category", announced);
                value.raw("category_update_timestamp", due)
            }));
        }
        if self.status() != before.status() {
            news.push(self.status_news());
        }
        if self.components != before.components {
            let body = self.body().unwrap_or_default();
            let told = |value: Object| value.text("message_template_element", &body);
            news.push(self.news_of("message_template_components_update", told));
        }
        news
    }

    fn status_news(&self) -> News {
        self.news_of("message_template_status_update", |value| {
            let value = value.text("event", self.status()).text("reason", "NONE");
            value.text("message_template_category", &self.category)
        })
    }

    fn news_of(&self, field: &'static str, tell: impl FnOnce(Object) -> Object) -> News {
        let value = Object::new()
            .raw("message_template_id", &self.id)
            .text("message_template_name", &self.name)
            // Meta writes the language so here, and with an underscore everywhere else.
            .text("message_template_language", &self.language.replace('_', "-"));
        let value = tell(value).finish();
        News { account: self.account.clone(), name: self.name.clone(), field, value }
    }

    /// The text of the component that is the body.
    fn body(&self) -> Option<String> {
        let components: Value = serde_json::from_str(&self.components).ok()?;
        let is_body = |component: &&Value| component.get("type").and_then(Value::as_str) == Some("BODY");
        let body = components.as_array()?.iter().find(is_body)?;
        body.get("text").and_then(Value::as_str).map(str::to_owned)
    }
}
