//! The fields that are about groups: that one exists, who joins and leaves it, and that somebody writes to it. Source: Meta, "Webhooks for Groups API".

use serde_json::Value;

use super::json::{items, phone, text, time, user_id};
use super::{Person, Reading};
use crate::consent::redact::Redacted;
use crate::consent::{E164, Timestamp, UserId};

/// Something that is told about a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GroupNotice {
    /// The phone number id that it was told to.
    pub sender: String,
    /// The provider's id of the group; it may hold the business's number.
    pub group: Redacted<String>,
    /// When it happened, by the provider's clock.
    pub at: Timestamp,
    /// What happened.
    pub what: GroupNews,
}

/// What can happen to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GroupNews {
    /// It was made, without anybody in it: people join by its link.
    Created,
    /// It is gone.
    Deleted,
    /// They are in it from now on.
    Joined(Vec<Person>),
    /// Somebody joined who cannot be read.
    SomebodyJoined,
    /// They are not any more.
    Left(Vec<Person>),
    /// A member wrote to it.
    Wrote(Person),
}

/// `group_lifecycle_update` and `group_participants_update`.
pub(super) fn read(sender: &str, value: &Value, reading: &mut Reading) {
    for item in items(value, "groups") {
        let told = match text(item, "type") {
            // What failed has changed nothing.
            Some("group_create" | "group_delete") if items(item, "errors").next().is_some() => continue,
            Some("group_create") => vec![GroupNews::Created],
            Some("group_delete") => vec![GroupNews::Deleted],
            Some("group_participants_add") => joined(item),
            Some("group_participants_remove") => {
                let removed = items(item, "removed_participants").filter_map(participant);
                vec![GroupNews::Left(removed.collect())]
            }
            Some(_) | None => continue,
        };
        match (text(item, "group_id"), time(item, "timestamp")) {
            (Some(group), Some(at)) => {
                let notice = |what| notice(sender, group, at, what);
                reading.groups.extend(told.into_iter().map(notice));
            }
            _ => reading.unreadable = reading.unreadable.saturating_add(1),
        }
    }
}

/// A message to a group, which shows that its writer is in it.
pub(super) fn read_message(sender: &str, message: &Value, reading: &mut Reading) {
    let writer = Person {
        phone: phone(message, "from"),
        user: user_id(message, "from_user_id"),
        parent: user_id(message, "from_parent_user_id"),
    };
    match (text(message, "group_id"), time(message, "timestamp")) {
        (Some(group), Some(at)) => reading.groups.push(notice(sender, group, at, GroupNews::Wrote(writer))),
        _ => reading.unreadable = reading.unreadable.saturating_add(1),
    }
}

fn notice(sender: &str, group: &str, at: Timestamp, what: GroupNews) -> GroupNotice {
    GroupNotice { sender: sender.to_owned(), group: Redacted::new(group.to_owned()), at, what }
}

/// One who cannot be read must not be taken for nobody.
fn joined(item: &Value) -> Vec<GroupNews> {
    let all: Vec<Option<Person>> = items(item, "added_participants").map(participant).collect();
    let unclear = all.is_empty() || all.iter().any(Option::is_none);
    let mut told = vec![GroupNews::Joined(all.into_iter().flatten().collect())];
    if unclear {
        told.push(GroupNews::SomebodyJoined);
    }
    told
}

/// Named by number and ids, or only by what was asked for.
pub(in crate::wire) fn participant(item: &Value) -> Option<Person> {
    let input = || text(item, "input");
    let digits = |written: &str| E164::from_digits(written.strip_prefix('+').unwrap_or(written).as_bytes());
    let person = Person {
        phone: phone(item, "wa_id").or_else(|| digits(input()?)),
        user: user_id(item, "user_id").or_else(|| UserId::parse(input()?)),
        parent: user_id(item, "parent_user_id"),
    };
    Some(person).filter(|person| !person.identities().is_empty())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn told(item: &Value) -> (Vec<GroupNews>, u32) {
        let mut reading = Reading::default();
        read("1", &json!({ "groups": [item] }), &mut reading);
        assert!(reading.groups.iter().all(|notice| notice.group.danger_reveal() == "G"));
        (reading.groups.into_iter().map(|notice| notice.what).collect(), reading.unreadable)
    }

    fn item(kind: &str, key: &str, value: Value) -> Value {
        let mut item = json!({ "timestamp": "1744344496", "group_id": "G", "type": kind });
        item[key] = value;
        item
    }

    fn ann() -> Person {
        Person {
            phone: E164::parse("+15550000001"),
            user: UserId::parse("US.1"),
            parent: UserId::parse("US.ENT.2"),
        }
    }

    #[test]
    fn what_meta_documents_of_groups_is_read() {
        let named = json!([{ "wa_id": "15550000001", "user_id": "US.1", "parent_user_id": "US.ENT.2" }]);
        let by_input = json!([{ "input": "+15550000001" }, { "input": "US.1" }]);
        let one = |phone: Option<&str>, user: Option<&str>| Person {
            phone: phone.and_then(E164::parse),
            user: user.and_then(UserId::parse),
            parent: None,
        };
        for (item, expected) in [
            (item("group_create", "subject", json!("s")), vec![GroupNews::Created]),
            (item("group_create", "errors", json!([{ "code": 131_215 }])), vec![]),
            (item("group_delete", "request_id", json!("r")), vec![GroupNews::Deleted]),
            (item("group_delete", "errors", json!([{}])), vec![]),
            (
                item("group_participants_add", "added_participants", named),
                vec![GroupNews::Joined(vec![ann()])],
            ),
            (
                item("group_participants_remove", "removed_participants", by_input),
                vec![GroupNews::Left(vec![one(Some("+15550000001"), None), one(None, Some("US.1"))])],
            ),
            (item("group_join_request_created", "wa_id", json!("15550000001")), vec![]),
        ] {
            assert_eq!(told(&item), (expected, 0), "{item}");
        }
    }

    #[test]
    fn somebody_who_cannot_be_read_is_somebody() {
        let some = json!([{ "wa_id": "15550000001" }, { "username": "ann" }]);
        let (news, _) = told(&item("group_participants_add", "added_participants", some));
        assert!(
            matches!(news.as_slice(), [GroupNews::Joined(one), GroupNews::SomebodyJoined] if one.len() == 1)
        );
        let (news, _) = told(&item("group_participants_add", "added_participants", json!([])));
        assert_eq!(news, [GroupNews::Joined(vec![]), GroupNews::SomebodyJoined]);
        let mut reading = Reading::default();
        read("1", &json!({ "groups": [{ "type": "group_create", "group_id": "G" }] }), &mut reading);
        assert_eq!((reading.groups.len(), reading.unreadable), (0, 1));
    }
}
