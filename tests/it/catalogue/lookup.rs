//! Templates that nobody knows yet: one look-up for all, a bounded wait, a budget.

use std::time::{Duration, Instant};

use optgate::sandbox::Action;

use super::{Provider, agree, assert_marketing, assert_utility, send};
use crate::support::eventually;

const FIFTY: usize = 50;

#[test]
fn fifty_sends_of_an_unknown_template_cause_one_look_up_and_get_its_category() {
    let provider = Provider::start();
    provider.put("brand_new", "UTILITY");
    // So slow that all of them wait for it.
    provider.fail(Action::Answer, Duration::from_millis(600));
    let gate = provider.seeking_gate().set("templates", "lookup_wait_ms", "8000").start();
    agree(&gate);
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let sends: Vec<_> = (0..FIFTY).map(|_| scope.spawn(|| send(&gate, "brand_new").status)).collect();
        sends.into_iter().map(|send| send.join().unwrap()).collect()
    });
    assert_eq!(statuses, [200; FIFTY]);
    let lists = provider.lists();
    assert_eq!(lists.len(), 1);
    assert!(lists[0].target.contains("&name=brand%5Fnew"), "{}", lists[0].target);
    assert_eq!(gate.count("optgate_template_lookups_total", &["result=\"found\""]), 1);
    assert_marketing(&gate, "promo_sale");
}

#[test]
fn a_provider_that_does_not_answer_holds_a_send_no_longer_than_configured() {
    let provider = Provider::start();
    provider.put("brand_new", "UTILITY");
    provider.fail(Action::Answer, Duration::from_secs(3));
    let gate = provider.seeking_gate().set("templates", "lookup_wait_ms", "300").start();
    agree(&gate);
    let began = Instant::now();
    assert_marketing(&gate, "brand_new");
    let waited = began.elapsed();
    assert!(waited >= Duration::from_millis(300) && waited < Duration::from_secs(2), "{waited:?}");
    // Nobody else waits for an account that was too slow.
    let began = Instant::now();
    for name in ["brand_new", "another", "a_third"] {
        assert_marketing(&gate, name);
    }
    assert!(began.elapsed() < Duration::from_millis(300 * 3), "{:?}", began.elapsed());
    assert_eq!(provider.sends(), 0);
    assert_eq!(gate.count("optgate_template_lookups_total", &["result=\"late\""]), 1);
    // The answer is there for the next.
    eventually("the look-up is over", || (send(&gate, "brand_new").status == 200).then_some(()));
}

#[test]
fn a_provider_that_is_away_is_asked_once_in_a_while() {
    let mut provider = Provider::start();
    let gate = provider.seeking_gate().start();
    agree(&gate);
    provider.stop();
    for _ in 0..10 {
        assert_marketing(&gate, "brand_new");
    }
    assert_eq!(gate.count("optgate_template_lookups_total", &["result=\"failed\""]), 1);
}

#[test]
fn a_template_that_does_not_exist_is_not_looked_up_for_each_send() {
    let provider = Provider::start();
    let gate = provider.seeking_gate().start();
    agree(&gate);
    for _ in 0..10 {
        assert_marketing(&gate, "no_such_thing");
    }
    assert_eq!((provider.list_count(), provider.sends()), (1, 0));
    assert_eq!(gate.count("optgate_template_lookups_total", &["result=\"not_found\""]), 1);
}

#[test]
fn names_without_end_do_not_use_up_the_accounts_allowance() {
    let provider = Provider::start();
    let gate = provider.seeking_gate().start();
    agree(&gate);
    for n in 0..60 {
        assert_marketing(&gate, &format!("made_up_{n}"));
    }
    let asked = provider.list_count();
    // A burst of 20, and one for each 30 s that the test takes.
    assert!((20..=24).contains(&asked), "{asked}");
    assert!(gate.count("optgate_template_lookups_total", &["result=\"refused\""]) >= 36);
    assert_eq!(provider.sends(), 0);
}

#[test]
fn a_look_up_is_stored_for_the_next_start() {
    let provider = Provider::start();
    let gate = provider.seeking_gate().start();
    agree(&gate);
    assert_utility(&gate, "order_update");
    let again = provider.seeking_gate().in_folder(gate.kill9()).start();
    assert_utility(&again, "order_update");
    assert_eq!(provider.list_count(), 1);
}
