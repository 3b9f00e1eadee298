use super::*;
use crate::consent::{Basis, DenyReason, Quality};
use crate::policy::Mode;

fn labels(tenant: Option<usize>, outcome: Outcome) -> DecisionLabels {
    DecisionLabels { tenant, category: Some(Category::Marketing), outcome, mode: Mode::Enforce }
}

/// The page without what differs from run to run and with the buckets of the histograms left out.
fn stable(page: &str) -> String {
    let differs = |line: &&str| !line.starts_with("process_") && !line.contains("_bucket{");
    page.lines().filter(differs).map(|line| line.to_owned() + "\n").collect()
}

/// A sender of which everything is known, and one of which nothing is.
fn senders(metrics: &Metrics) {
    let moments = Moments { webhook: 1_790_000_000, send: 1_790_000_001, marketing: 0 };
    let state = SenderState { moments, quality: Quality::Yellow, can_send: Some(true) };
    metrics.set_sender("106540352242922", state);
    metrics.set_sender("7", SenderState::default());
    metrics.sender_status("106540352242922", StatusResult::Stopped);
    metrics.sender_polled("106540352242922", PollResult::Ok);
    metrics.bypass_suspected("106540352242922");
    metrics.sender_warned("106540352242922", 1);
    metrics.category_mismatch(Category::Utility, Category::Marketing);
    metrics.account_event(crate::wire::webhook::AccountEvent::Restriction);
    metrics.message_ids_lost(2);
    metrics.statuses_dropped(5);
    metrics.answer_links(AnswerLink::Learnt, 3);
}

#[test]
fn the_page_is_as_documented() {
    let metrics = Metrics::new(&["acme".to_owned(), "globex \"west\"".to_owned()]);
    let [one, two] = [metrics.worker(), metrics.worker()];
    for worker in [&one, &two] {
        worker.request(Kind::Send);
        worker.decision(labels(Some(0), Outcome::Allow(Basis::Consent)));
    }
    one.request(Kind::Refused);
    one.decision(labels(Some(1), Outcome::Deny(DenyReason::ConsentRevoked)));
    two.request(Kind::Refused);
    let unread = Outcome::Deny(DenyReason::RequestUnreadable);
    two.decision(DecisionLabels { category: None, mode: Mode::Shadow, ..labels(None, unread) });
    two.request(Kind::Passthrough);
    two.aborted();
    two.fail_open(Category::Utility);
    two.upstream_failed(UpstreamFailure::OutcomeUnknown);
    two.observe_lookup(Source::Store, Duration::from_micros(300));
    two.observe_upstream(StatusClass::of(200_u16), Duration::from_millis(80));
    let _in_flight = one.in_flight();
    drop(two.in_flight());
    metrics.set_store_up(true);
    metrics.decision_log_dropped(3);
    metrics.legacy_grant(1);
    metrics.auth_failed(AuthFailure::Limited);
    senders(&metrics);
    let age = ("102290129340398".to_owned(), "provider", Duration::from_secs(90));
    metrics.set_template_ages(vec![age]);
    metrics.template_sync(TemplateSync::Limited);
    metrics.template_lookup(TemplateLookup::Found);
    assert_eq!(stable(&metrics.render()), include_str!("golden.txt"));
}

#[test]
fn a_histogram_counts_up_to_infinity_in_every_series() {
    let metrics = Metrics::new(&[]);
    metrics.worker().observe_lookup(Source::Cache, Duration::from_nanos(900));
    metrics.worker().observe_lookup(Source::Cache, Duration::from_secs(60));
    let page = metrics.render();
    for line in [
        "optgate_lookup_seconds_bucket{le=\"0.000001\",source=\"cache\"} 1",
        "optgate_lookup_seconds_bucket{le=\"8.388608\",source=\"cache\"} 1",
        "optgate_lookup_seconds_bucket{le=\"+Inf\",source=\"cache\"} 2",
        "optgate_lookup_seconds_bucket{le=\"+Inf\",source=\"store\"} 0",
    ] {
        assert!(page.lines().any(|l| l == line), "{line} is missing in {page}");
    }
}

#[test]
fn counters_add_up_over_threads() {
    let metrics = Metrics::new(&["acme".to_owned()]);
    std::thread::scope(|scope| {
        for _ in 0..5 {
            let worker = metrics.worker();
            scope.spawn(move || (0..10_000).for_each(|_| worker.request(Kind::Send)));
        }
    });
    assert!(metrics.render().contains("optgate_requests_total{kind=\"send\"} 50000\n"));
}

#[test]
fn every_combination_of_labels_has_a_cell_of_its_own() {
    let metrics = Metrics::new(&["acme".to_owned()]);
    let mut count = 0;
    for tenant in [Some(0), None] {
        for category in Category::ALL.into_iter().map(Some).chain([None]) {
            for mode in Mode::ALL {
                for outcome in Outcome::all() {
                    metrics.worker().decision(DecisionLabels { tenant, category, outcome, mode });
                    count += 1;
                }
            }
        }
    }
    let page = metrics.render();
    let cells: Vec<_> = page.lines().filter(|line| line.starts_with("optgate_decisions_total")).collect();
    assert!(cells.len() == count && cells.iter().all(|line| line.ends_with(" 1")), "{cells:?}");
}

#[test]
fn a_tenant_that_a_reload_brings_is_counted_under_its_name() {
    let metrics = Metrics::new(&["acme".to_owned()]);
    metrics.worker().decision(labels(Some(1), Outcome::Allow(Basis::Consent)));
    metrics.set_tenants(vec!["acme".to_owned(), "globex".to_owned()]);
    metrics.worker().decision(labels(Some(1), Outcome::Allow(Basis::Consent)));
    let line = "optgate_decisions_total{tenant=\"globex\",category=\"marketing\",decision=\"allow\",reason=\"consent\",mode=\"enforce\"} 2\n";
    assert!(metrics.render().contains(line), "{}", metrics.render());
}

#[test]
fn the_page_shows_the_process() {
    let page = Metrics::new(&[]).render();
    for name in ["process_start_time_seconds 1", "process_resident_memory_bytes "] {
        assert!(page.lines().any(|line| line.starts_with(name)), "{page}");
    }
}
