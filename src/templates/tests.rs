use std::path::Path;

use super::*;
use crate::consent::Category;
use crate::store;
use crate::wire::classify::TemplateEntry;

async fn store(folder: &Path) -> ConsentStore {
    let settings = store::Settings {
        form: store::Form::Plain,
        recipients_key: None,
        kind: store::Kind::Embedded { path: folder.join("consent.redb") },
        lookup_deadline: store::Settings::LOOKUP_DEADLINE,
        cache_capacity: 10,
        tenants: vec!["acme".to_owned()],
        terms: Vec::new(),
    };
    ConsentStore::open(settings, Clock::System).await.unwrap()
}

fn listed(name: &str, language: &str, category: Category) -> ListedTemplate {
    ListedTemplate {
        name: name.to_owned(),
        language: language.to_owned(),
        category,
        correct_category: None,
        status: Some("APPROVED".to_owned()),
        quality: None,
        asks_to_call: false,
    }
}

fn known(category: Category, correct_category: Option<Category>) -> CatalogueAnswer {
    CatalogueAnswer::Known(TemplateEntry { category, correct_category, asks_to_call: false })
}

#[tokio::test]
async fn a_template_is_found_by_account_name_and_exact_language() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System, Settings::default());
    let changing = ListedTemplate {
        correct_category: Some(Category::Marketing),
        ..listed("b", "de", Category::Utility)
    };
    catalogue.replace("1", vec![listed("a", "en-US", Category::Utility), changing]).await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "a", "en_US"), known(Category::Utility, None));
    assert_eq!(catalogue.entry(Some("1"), "b", "de"), known(Category::Utility, Some(Category::Marketing)));
    for (account, name, language) in [
        ("1", "a", "en-US"),
        ("1", "a", "en"),
        ("1", "A", "en_US"),
        ("2", "a", "en_US"),
        ("", "a", "en_US"),
        ("1", "", ""),
    ] {
        assert_eq!(
            catalogue.entry(Some(account), name, language),
            CatalogueAnswer::Unknown,
            "{account} {name} {language}"
        );
    }
    assert_eq!(catalogue.count(), 2);
}

#[tokio::test]
async fn without_an_account_the_strictest_of_all_accounts_counts() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System, Settings::default());
    catalogue
        .replace("1", vec![listed("a", "en", Category::Utility), listed("b", "en", Category::Utility)])
        .await
        .unwrap();
    catalogue
        .replace(
            "2",
            vec![listed("a", "en", Category::Marketing), listed("b", "en", Category::Authentication)],
        )
        .await
        .unwrap();
    assert_eq!(catalogue.entry(None, "a", "en"), known(Category::Marketing, None));
    assert_eq!(catalogue.entry(None, "b", "en"), known(Category::Utility, Some(Category::Authentication)));
    assert_eq!(catalogue.entry(Some("1"), "a", "en"), known(Category::Utility, None));
    catalogue.replace("2", vec![]).await.unwrap();
    assert_eq!(catalogue.entry(None, "a", "en"), known(Category::Utility, None));
}

#[tokio::test]
async fn the_catalogue_outlives_the_process_and_clones_share_it() {
    let folder = tempfile::tempdir().unwrap();
    let kept = store(folder.path()).await;
    let catalogue = Catalogue::new(kept.clone(), Clock::System, Settings::default());
    let clone = catalogue.clone();
    let odd = ListedTemplate {
        status: None,
        correct_category: Some(Category::Authentication),
        asks_to_call: true,
        ..listed("b", "pt_BR", Category::Utility)
    };
    catalogue.replace("1", vec![listed("a", "en", Category::Utility), odd]).await.unwrap();
    assert_eq!(clone.entry(Some("1"), "a", "en"), known(Category::Utility, None));
    assert!(kept.swap_templates("2", None, b"garbage".to_vec()).await.unwrap());

    let again = Catalogue::new(kept.clone(), Clock::System, Settings::default());
    assert!(again.age().is_none() && again.count() == 0);
    again.load().await.unwrap();
    assert_eq!(again.accounts()["1"], catalogue.accounts()["1"]);
    assert_eq!(
        again.entry(Some("1"), "b", "pt_BR"),
        CatalogueAnswer::Known(TemplateEntry {
            category: Category::Utility,
            correct_category: Some(Category::Authentication),
            asks_to_call: true
        })
    );
    assert!(!again.accounts().contains_key("2") && again.age().is_some());
}

#[tokio::test]
async fn a_list_that_the_store_does_not_take_is_not_in_force() {
    let folder = tempfile::tempdir().unwrap();
    let kept = store(folder.path()).await;
    let catalogue = Catalogue::new(kept.clone(), Clock::System, Settings::default());
    catalogue.replace("1", vec![listed("a", "en", Category::Marketing)]).await.unwrap();
    kept.close().await;
    assert!(catalogue.replace("1", vec![listed("a", "en", Category::Utility)]).await.is_err());
    assert_eq!(catalogue.entry(Some("1"), "a", "en"), known(Category::Marketing, None));
}

#[tokio::test]
async fn a_list_of_version_1_is_read_at_its_strictest() {
    let folder = tempfile::tempdir().unwrap();
    let kept = store(folder.path()).await;
    let version_1 = r#"{"v":1,"at":"2026-01-01T00:00:00Z","templates":[
        {"n":"a","l":"en","c":"marketing","s":"APPROVED"},{"n":"a","l":"en","c":"utility"},{"n":"b","l":"de","c":"utility","cc":"marketing"}]}"#;
    assert!(kept.swap_templates("1", None, version_1.as_bytes().to_vec()).await.unwrap());
    let catalogue = Catalogue::new(kept, Clock::System, Settings::default());
    catalogue.load().await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "a", "en"), known(Category::Marketing, None));
    assert_eq!(catalogue.entry(Some("1"), "b", "de"), known(Category::Utility, Some(Category::Marketing)));
    assert_eq!(catalogue.count(), 2);
}

/// What was read from the provider at a time.
fn reading(templates: &[(&str, Category)], at: u64, whole: bool) -> Reading {
    let at = Timestamp::from_secs(at);
    let listed = |(name, category): &(&str, Category)| (listed(name, "en", *category), at);
    Reading { templates: templates.iter().map(listed).collect(), whole_since: whole.then_some(at) }
}

#[tokio::test]
async fn of_an_imported_list_and_the_providers_the_stricter_counts() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System, Settings::default());
    let now = u64::from(Clock::System.now().as_secs_u32());
    catalogue
        .replace("1", vec![listed("a", "en", Category::Utility), listed("b", "en", Category::Marketing)])
        .await
        .unwrap();
    let read = [("a", Category::Marketing), ("b", Category::Utility), ("c", Category::Utility)];
    catalogue.take_in("1", reading(&read, now, true)).await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "a", "en"), known(Category::Marketing, None));
    assert_eq!(catalogue.entry(Some("1"), "b", "en"), known(Category::Marketing, None));
    assert_eq!(catalogue.entry(Some("1"), "c", "en"), known(Category::Utility, None));
    let sources: Vec<Source> =
        catalogue.rows(&catalogue.accounts()["1"]).iter().map(|row| row.source).collect();
    assert_eq!(sources, [Source::Both, Source::Both, Source::Provider]);
    catalogue.replace("1", Vec::new()).await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "b", "en"), known(Category::Utility, None));
}

#[tokio::test]
async fn only_a_whole_list_makes_a_template_disappear() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System, Settings::default());
    let now = u64::from(Clock::System.now().as_secs_u32());
    let both = [("a", Category::Utility), ("b", Category::Utility)];
    catalogue.take_in("1", reading(&both, now - 100, true)).await.unwrap();
    catalogue.take_in("1", reading(&both[..1], now - 90, false)).await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "b", "en"), known(Category::Utility, None));
    // Looked up while the whole list was being read: it may have been made after its page.
    catalogue.take_in("1", reading(&[("new", Category::Utility)], now - 70, false)).await.unwrap();
    catalogue.take_in("1", reading(&both[..1], now - 80, true)).await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "b", "en"), CatalogueAnswer::Unknown);
    assert_eq!(catalogue.entry(Some("1"), "new", "en"), known(Category::Utility, None));
    // A reading that was slower than a later one changes nothing.
    catalogue.take_in("1", reading(&[("a", Category::Marketing)], now - 95, false)).await.unwrap();
    assert_eq!(catalogue.entry(Some("1"), "a", "en"), known(Category::Utility, None));
}

#[tokio::test]
async fn time_makes_a_list_stale_and_brings_announced_changes_into_force() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::manual(Timestamp::from_secs(1_000_000));
    let catalogue = Catalogue::new(store(folder.path()).await, clock.clone(), Settings::default());
    catalogue.take_in("1", reading(&[("a", Category::Marketing)], 1_000_000, true)).await.unwrap();
    let notice = TemplateNotice {
        account: "1".to_owned(),
        name: "a".to_owned(),
        language: "en".to_owned(),
        at: Some(Timestamp::from_secs(1_000_060)),
        what: TemplateNews::Announced {
            now: Some(Category::Marketing),
            then: Category::Utility,
            due: Some(Timestamp::from_secs(1_003_600)),
        },
    };
    catalogue.learn(&[notice]).await.unwrap();
    let known_at = async |seconds: u64| {
        clock.set(Timestamp::from_secs(seconds));
        let due = catalogue.keep_up_with_time(Timestamp::from_secs(seconds - 10)).await;
        (catalogue.entry(Some("1"), "a", "en"), due)
    };
    let to_be = known(Category::Marketing, Some(Category::Utility));
    assert_eq!(known_at(1_003_599).await, (to_be, vec![]));
    let due = vec![("1".to_owned(), "a".to_owned())];
    assert_eq!(known_at(1_003_600).await, (known(Category::Utility, None), due), "it is read again");
    assert_eq!(known_at(1_000_000 + 24 * 3600).await.0, known(Category::Utility, None));
    assert_eq!(known_at(1_000_001 + 24 * 3600).await.0, CatalogueAnswer::Unknown);
    assert_eq!(catalogue.entry(None, "a", "en"), known(Category::Marketing, None));
}

#[tokio::test]
async fn nothing_rests_on_what_is_unknown_before_the_store_was_read() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System, Settings::default());
    catalogue.replace("1", vec![listed("a", "en", Category::Utility)]).await.unwrap();
    assert!(!catalogue.is_loaded());
    catalogue.load().await.unwrap();
    assert!(catalogue.is_loaded());
}
