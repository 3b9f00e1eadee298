use std::path::Path;

use super::*;
use crate::consent::Category;
use crate::store::{Kind, Settings};
use crate::wire::classify::TemplateEntry;

async fn store(folder: &Path) -> ConsentStore {
    let settings = Settings {
        form: crate::store::Form::Plain,
        recipients_key: None,
        kind: Kind::Embedded { path: folder.join("consent.redb") },
        lookup_deadline: Settings::LOOKUP_DEADLINE,
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
        asks_to_call: false,
    }
}

fn known(category: Category, correct_category: Option<Category>) -> CatalogueAnswer {
    CatalogueAnswer::Known(TemplateEntry { category, correct_category, asks_to_call: false })
}

#[tokio::test]
async fn a_template_is_found_by_account_name_and_exact_language() {
    let folder = tempfile::tempdir().unwrap();
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System);
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
    let catalogue = Catalogue::new(store(folder.path()).await, Clock::System);
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
    let catalogue = Catalogue::new(kept.clone(), Clock::System);
    let clone = catalogue.clone();
    let odd = ListedTemplate {
        status: None,
        correct_category: Some(Category::Authentication),
        asks_to_call: true,
        ..listed("b", "pt_BR", Category::Utility)
    };
    catalogue.replace("1", vec![listed("a", "en", Category::Utility), odd]).await.unwrap();
    assert_eq!(clone.entry(Some("1"), "a", "en"), known(Category::Utility, None));
    kept.put_templates("2", b"garbage".to_vec()).await.unwrap();

    let again = Catalogue::new(kept.clone(), Clock::System);
    assert!(again.age().is_none() && again.count() == 0);
    again.load().await.unwrap();
    assert_eq!(again.accounts()["1"].templates, catalogue.accounts()["1"].templates);
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
    let catalogue = Catalogue::new(kept.clone(), Clock::System);
    catalogue.replace("1", vec![listed("a", "en", Category::Marketing)]).await.unwrap();
    kept.close().await;
    assert!(catalogue.replace("1", vec![listed("a", "en", Category::Utility)]).await.is_err());
    assert_eq!(catalogue.entry(Some("1"), "a", "en"), known(Category::Marketing, None));
}
