//! What every kind of consent store must hold to. A clause is one async function; each kind runs all of them.

pub(crate) mod bench;
mod clauses;
mod erasing;
pub(crate) mod events;
mod hashing;
mod noting;
mod order;

use bench::Bench;

/// The clauses of every file.
mod all {
    pub(super) use super::clauses::*;
    pub(super) use super::erasing::*;
    pub(super) use super::hashing::*;
    pub(super) use super::noting::*;
    pub(super) use super::order::*;
}

/// Makes every clause a test of a kind of store.
macro_rules! holds_for {
    ($($clause:ident),+ $(,)?) => {
        holds_for!(@kind embedded Bench::embedded(), $($clause),+);
        holds_for!(@kind redis Bench::redis(), $($clause),+);
    };
    (@kind $kind:ident $bench:expr, $($clause:ident),+) => {
        mod $kind {
            use super::{Bench, all};

            $(
                #[test]
                fn $clause() {
                    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
                    let bench: Bench = $bench;
                    runtime.block_on(all::$clause(&bench));
                }
            )+
        }
    };
}

holds_for!(
    what_was_agreed_is_found_and_the_rest_is_absent,
    any_order_of_events_gives_the_same_record,
    random_events_in_every_order_and_twice_give_the_record_that_follows,
    nobody_but_the_person_takes_a_withdrawal_back,
    a_repeated_event_is_already_known,
    a_person_withdraws_under_every_identity_and_grants_cross_observed_links_only,
    identities_linked_through_a_third_share_withdrawals,
    a_grant_after_the_persons_withdrawal_is_stored_and_ignored,
    a_grant_older_than_a_withdrawal_says_so,
    spellings_of_one_subscriber_share_a_record,
    tenants_know_nothing_of_each_other,
    tenants_keep_their_records_when_the_configuration_is_reordered,
    a_pending_grant_waits_for_its_confirmation_in_any_order,
    a_person_of_many_events_costs_no_more_than_their_share,
    a_legacy_grant_is_marked_undoes_no_withdrawal_and_ends_when_the_tenant_says,
    wordings_keep_their_numbers_however_the_table_is_written,
    a_grant_to_an_unlisted_wording_ends_with_the_older_ones,
    terms_that_are_changed_while_the_store_is_open_hold_at_once,
    a_cached_absence_gives_way_to_a_grant,
    a_cached_grant_gives_way_to_a_withdrawal,
    no_reader_sees_a_grant_once_its_withdrawal_is_acknowledged,
    an_inbound_message_opens_the_window_and_marks_the_tenant,
    too_many_links_are_refused_but_never_a_withdrawal,
    a_lookup_that_is_too_late_is_unavailable,
    bytes_that_are_no_record_are_unavailable,
    secrets_are_made_once_and_survive,
    templates_survive_and_replace_each_other,
    pages_hold_every_dossier_once,
    whoever_is_wanted_is_found_among_a_tenants_people,
    tenants_that_come_later_get_numbers_and_the_others_keep_theirs,
    a_closed_store_answers_nothing_and_keeps_everything,
    errors_and_debug_output_name_nobody,
    an_erased_person_is_refused_and_leaves_no_byte_behind,
    erasing_again_changes_nothing_and_erasing_nobody_says_so,
    events_from_before_an_erasure_do_not_bring_the_grant_back,
    only_the_persons_own_later_act_grants_after_an_erasure,
    erasing_one_identity_erases_them_all,
    a_withdrawal_that_named_too_many_leaves_nothing_of_the_erased_with_the_others,
    whoever_came_back_can_be_erased_again,
    no_reader_sees_a_grant_once_its_erasure_is_acknowledged,
    events_that_arrive_during_an_erasure_lose_no_withdrawal,
    an_erasure_survives_the_store_being_opened_again,
    whoever_is_unknown_is_blocked_by_their_erasure,
    grants_and_an_erasure_of_somebody_unknown_meet_in_any_order,
    losing_the_count_of_tombstones_revives_nobody,
    a_tombstone_from_elsewhere_withdraws_from_who_is_known_here,
    hashed_recipients_are_found_and_stand_nowhere,
    a_hashed_store_links_pages_and_erases_like_any_other,
    what_a_hashed_store_exports_it_takes_in_again,
    tombstones_of_a_plain_store_are_exported_and_taken_in_again,
    a_hash_names_nobody_in_a_plain_store,
    a_filled_store_keeps_the_form_it_was_made_with,
    numbers_of_senders_only_grow_and_texts_replace_each_other,
    sums_add_up_by_day_and_old_days_are_forgotten,
    a_filter_holds_what_was_put_into_it_and_nothing_else,
    a_store_has_the_configured_key_from_its_first_start_and_keeps_it,
);

/// What only the embedded store can get wrong: its file.
mod embedded_file {
    use optgate::store::OpenError;

    use super::Bench;
    use super::bench::described;

    #[tokio::test]
    async fn filters_are_forgotten_after_their_days() {
        super::noting::a_file_forgets_filters_after_their_days(&Bench::embedded()).await;
    }

    #[tokio::test]
    async fn what_is_told_again_is_not_written_again() {
        use super::events::{apply, grant, inbound, revoke};
        let bench = Bench::embedded();
        let store = bench.open().await;
        let told = || [grant("+15550000001", 10), inbound("+15550000001", 20), revoke("+15550000002", 30)];
        apply(&store, told()).await.unwrap();
        let before = std::fs::read(bench.file()).unwrap();
        for _ in 0..3 {
            apply(&store, told()).await.unwrap();
        }
        assert!(std::fs::read(bench.file()).unwrap() == before, "a repeat was written to the disk");
        apply(&store, [grant("+15550000001", 40)]).await.unwrap();
        assert!(std::fs::read(bench.file()).unwrap() != before);
        store.close().await;
        let store = bench.open().await;
        assert_eq!(apply(&store, told()).await.unwrap().len(), 3, "the store goes on");
    }

    #[tokio::test]
    async fn a_file_in_use_says_who_may_have_it() {
        let bench = Bench::embedded();
        let first = bench.open().await;
        let refused = bench.try_open().await.unwrap_err();
        assert!(matches!(refused, OpenError::Locked { .. }), "{refused:?}");
        assert!(described(&refused).contains("in use by another process"), "{}", described(&refused));
        first.close().await;
        bench.open().await.close().await;
    }

    #[tokio::test]
    async fn a_file_that_is_no_store_is_refused_and_left_alone() {
        let bench = Bench::embedded();
        let text = "not a database, but somebody's notes ".repeat(500);
        std::fs::write(bench.file(), &text).unwrap();
        let refused = bench.try_open().await.unwrap_err();
        assert!(matches!(refused, OpenError::Unreadable { .. }), "{refused:?}");
        assert_eq!(std::fs::read_to_string(bench.file()).unwrap(), text);
    }

    #[tokio::test]
    async fn a_truncated_file_is_refused() {
        let bench = Bench::embedded();
        bench.open().await.close().await;
        let file = std::fs::OpenOptions::new().write(true).open(bench.file()).unwrap();
        file.set_len(file.metadata().unwrap().len() / 2).unwrap();
        let refused = bench.try_open().await.unwrap_err();
        assert!(matches!(refused, OpenError::Unreadable { .. }), "{refused:?}");
    }

    #[tokio::test]
    async fn a_file_of_another_format_names_both_formats() {
        let bench = Bench::embedded();
        bench.open().await.close().await;
        bench.write_raw("meta", |transaction| {
            let meta = redb::TableDefinition::<&str, u32>::new("meta");
            transaction.open_table(meta).unwrap().insert("format", 7).unwrap();
        });
        let refused = bench.try_open().await.unwrap_err();
        assert!(described(&refused).contains("format 7"), "{}", described(&refused));
    }

    #[tokio::test]
    async fn a_place_where_nothing_can_be_written_is_named() {
        let bench = Bench::embedded();
        std::fs::create_dir(bench.file()).unwrap();
        let refused = bench.try_open().await.unwrap_err();
        assert!(matches!(refused, OpenError::NotAccessible { .. }), "{refused:?}");
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_file_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let bench = Bench::embedded();
        bench.open().await.close().await;
        assert_eq!(std::fs::metadata(bench.file()).unwrap().permissions().mode() & 0o777, 0o600);
    }
}
