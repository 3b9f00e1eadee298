use proptest::prelude::*;
use proptest::sample::select;

use super::*;
use Category::{Authentication, Marketing, Utility};

/// When the list was read, in seconds.
const LISTED: u64 = 1_000;

fn at(seconds: u64) -> Timestamp {
    Timestamp::from_secs(seconds)
}

fn entry(category: Category) -> Entry {
    let listed = ListedTemplate {
        name: "a".to_owned(),
        language: "en".to_owned(),
        category,
        correct_category: None,
        status: Some("APPROVED".to_owned()),
        quality: None,
        asks_to_call: false,
    };
    Entry::listed(listed, at(LISTED))
}

fn told(category: Category, source: Source, news: &[(u64, TemplateNews)]) -> Entry {
    let mut entry = entry(category);
    for (seconds, news) in news {
        entry.hear(source, Some(at(*seconds)), news);
    }
    entry
}

fn kinds(entry: &Entry, source: Source, now: u64) -> (Category, Option<Category>) {
    let effect = entry.effect(source, at(now));
    (effect.category, effect.correct_category)
}

fn announced(then: Category, due: u64) -> TemplateNews {
    TemplateNews::Announced { now: None, then, due: Some(at(due)) }
}

const BOTH: [Source; 2] = [Source::Operator, Source::Provider];

#[test]
fn a_change_counts_from_when_it_was_told() {
    for source in BOTH {
        let entry = told(Utility, source, &[(LISTED + 60, TemplateNews::Became(Marketing))]);
        assert_eq!(kinds(&entry, source, LISTED + 61), (Marketing, None));
        let entry = told(Marketing, source, &[(LISTED + 60, TemplateNews::Became(Utility))]);
        assert_eq!(kinds(&entry, source, LISTED + 61), (Utility, None), "{source:?}");
    }
}

#[test]
fn what_is_older_than_a_list_that_was_read_changes_nothing_and_an_imported_one_only_gets_stricter() {
    for (listed, became, source, expected) in [
        (Utility, Marketing, Source::Provider, (Utility, None)),
        (Utility, Marketing, Source::Operator, (Marketing, None)),
        (Marketing, Utility, Source::Provider, (Marketing, None)),
        (Marketing, Utility, Source::Operator, (Marketing, None)),
        (Utility, Authentication, Source::Operator, (Utility, Some(Authentication))),
    ] {
        let entry = told(listed, source, &[(LISTED - 60, TemplateNews::Became(became))]);
        assert_eq!(kinds(&entry, source, LISTED), expected, "{source:?} {listed:?} {became:?}");
    }
}

#[test]
fn about_the_time_of_the_list_the_stricter_counts() {
    for (listed, became) in [(Utility, Marketing), (Marketing, Utility)] {
        for at in [LISTED - 20, LISTED, LISTED + 2] {
            let entry = told(listed, Source::Provider, &[(at, TemplateNews::Became(became))]);
            assert_eq!(kinds(&entry, Source::Provider, LISTED + 3), (Marketing, None), "{at}");
        }
    }
}

#[test]
fn an_announced_category_counts_at_once_and_alone_from_its_time_on() {
    for (listed, then, before, after) in [
        (Utility, Marketing, (Utility, Some(Marketing)), (Marketing, None)),
        (Marketing, Utility, (Marketing, Some(Utility)), (Utility, None)),
        (Utility, Authentication, (Utility, Some(Authentication)), (Authentication, None)),
    ] {
        for source in BOTH {
            let due = LISTED + 3_600;
            let entry = told(listed, source, &[(LISTED + 60, announced(then, due))]);
            assert_eq!(kinds(&entry, source, due - 1), before, "{source:?} {then:?}");
            assert_eq!(kinds(&entry, source, due), after, "{source:?} {then:?}");
        }
    }
}

#[test]
fn an_announcement_that_comes_late_still_counts_unless_the_list_is_newer_than_its_time() {
    let (told_at, due) = (LISTED - 600, LISTED + 600);
    let late = told(Utility, Source::Provider, &[(told_at, announced(Marketing, due))]);
    assert_eq!(kinds(&late, Source::Provider, LISTED), (Utility, Some(Marketing)));
    let over = told(Utility, Source::Provider, &[(told_at, announced(Marketing, LISTED - 31))]);
    assert_eq!(kinds(&over, Source::Provider, LISTED), (Utility, None));
}

#[test]
fn a_list_that_is_read_after_its_time_ends_an_announcement() {
    let due = LISTED + 60;
    let before = told(Marketing, Source::Provider, &[(LISTED + 10, announced(Utility, due))]);
    let read_again = |seconds: u64| {
        let listed = entry(Marketing).listed;
        Entry::listed(listed, at(seconds)).succeed(Source::Provider, Some(&before))
    };
    let early = read_again(due - 30);
    assert_eq!(kinds(&early, Source::Provider, due), (Utility, None), "it is due and not listed since");
    let soon = read_again(due + 10);
    assert_eq!(kinds(&soon, Source::Provider, due + 11), (Marketing, None), "the list may lag: the stricter");
    let late = read_again(due + 31);
    assert_eq!(
        kinds(&late, Source::Provider, due + 32),
        (Marketing, None),
        "the provider thought better of it"
    );
    assert_eq!(late.announced(), None);
}

#[test]
fn a_change_that_is_done_ends_its_announcement() {
    let due = LISTED + 600;
    let news = [(LISTED + 10, announced(Marketing, due)), (LISTED + 300, TemplateNews::Became(Marketing))];
    let entry = told(Utility, Source::Provider, &news);
    assert_eq!(entry.announced(), None);
    let changed_again = [news[0].clone(), news[1].clone(), (due + 60, TemplateNews::Became(Utility))];
    let entry = told(Utility, Source::Provider, &changed_again);
    assert_eq!(kinds(&entry, Source::Provider, due + 61), (Utility, None));
}

#[test]
fn a_webhook_without_a_time_can_only_make_it_stricter() {
    for source in BOTH {
        let mut milder = entry(Marketing);
        milder.hear(source, None, &TemplateNews::Became(Utility));
        assert_eq!(kinds(&milder, source, LISTED + 60), (Marketing, None));
        let mut stricter = entry(Utility);
        stricter.hear(source, None, &TemplateNews::Became(Marketing));
        assert_eq!(kinds(&stricter, source, LISTED + 60), (Marketing, None));
    }
}

#[test]
fn what_was_written_anew_may_ask_to_call_until_it_is_listed_again() {
    let mut rewritten = entry(Utility);
    rewritten.hear(Source::Provider, Some(at(LISTED + 60)), &TemplateNews::Rewritten);
    assert!(rewritten.effect(Source::Provider, at(LISTED + 61)).asks_to_call);
    let again = Entry::listed(entry(Utility).listed, at(LISTED + 90));
    assert!(
        !again.succeed(Source::Provider, Some(&rewritten)).effect(Source::Provider, at(LISTED)).asks_to_call
    );
}

#[test]
fn status_and_quality_are_the_latest_told() {
    let status = |event: &str| TemplateNews::Status { event: event.to_owned(), category: None };
    let news = [
        (LISTED + 20, status("PAUSED")),
        (LISTED + 10, status("APPROVED")),
        (LISTED + 30, TemplateNews::Quality("RED".to_owned())),
    ];
    let entry = told(Utility, Source::Provider, &news);
    assert_eq!((entry.status().unwrap().as_str(), entry.quality().unwrap().as_str()), ("PAUSED", "RED"));
    assert_eq!(kinds(&entry, Source::Provider, LISTED + 40), (Utility, None), "nobody is judged by either");
}

#[test]
fn two_entries_of_one_template_ask_for_what_both_ask() {
    let entry =
        |category, correct_category| TemplateEntry { category, correct_category, asks_to_call: false };
    for (one, other, both) in [
        (entry(Utility, None), entry(Utility, None), entry(Utility, None)),
        (entry(Utility, None), entry(Marketing, None), entry(Marketing, None)),
        (entry(Utility, Some(Marketing)), entry(Utility, None), entry(Marketing, None)),
        (entry(Utility, None), entry(Authentication, None), entry(Utility, Some(Authentication))),
        (entry(Utility, Some(Authentication)), entry(Marketing, None), entry(Marketing, None)),
    ] {
        assert_eq!(stricter(one, other), both);
        assert_eq!(stricter(other, one), both);
        let calling = TemplateEntry { asks_to_call: true, ..other };
        assert_eq!(stricter(one, calling), TemplateEntry { asks_to_call: true, ..both });
    }
}

fn any_news() -> impl Strategy<Value = (u64, TemplateNews)> {
    let category = || select(vec![Utility, Marketing, Authentication]);
    let time = || LISTED - 40..LISTED + 40;
    let what = prop_oneof![
        category().prop_map(TemplateNews::Became),
        (proptest::option::of(category()), category(), proptest::option::of(time()))
            .prop_map(|(now, then, due)| TemplateNews::Announced { now, then, due: due.map(at) }),
        (select(vec!["APPROVED", "PAUSED"]), proptest::option::of(category()))
            .prop_map(|(event, category)| TemplateNews::Status { event: event.to_owned(), category }),
        select(vec!["RED", "GREEN"]).prop_map(|score| TemplateNews::Quality(score.to_owned())),
        Just(TemplateNews::Rewritten),
    ];
    (time(), what)
}

proptest! {
    #[test]
    fn neither_the_order_nor_the_number_of_deliveries_matters(
        news in proptest::collection::vec(any_news(), 0..8),
        shuffled in any::<u64>(),
        listed in select(vec![Utility, Marketing]),
    ) {
        for source in BOTH {
            let once = told(listed, source, &news);
            let mut other = news.clone();
            let turn = usize::try_from(shuffled % 8).unwrap() % news.len().max(1);
            other.rotate_left(turn);
            if shuffled % 2 == 0 {
                other.reverse();
            }
            other.extend(news.iter().take(turn).cloned());
            prop_assert_eq!(told(listed, source, &other), once);
        }
    }
}
