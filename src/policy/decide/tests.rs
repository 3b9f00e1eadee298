use super::*;
use crate::consent::record::{Slot, State};
use crate::consent::{CategorySet, Timestamp, Validity};
use crate::policy::settings::{SenderHealth, Settings};

const NOW: Timestamp = Timestamp::from_secs(1_000_000);

fn record(states: &[(Category, State)], window_open: bool) -> Lookup {
    let mut record =
        GateRecord { window_until: if window_open { 1_000_001 } else { 0 }, ..GateRecord::default() };
    for (category, state) in states {
        record.slots[category.index()] = Slot { state: *state, ..Slot::default() };
    }
    Lookup::Found(record)
}

fn facts(lookups: &[Lookup], needs: Category) -> Facts<'_> {
    Facts {
        confirmation: Confirmation::NotReserved,
        now: NOW,
        sender: SenderScope::Permitted,
        quality: Quality::Unknown,
        addressee: Addressee::People { lookups, ambiguous: false },
        needs: CategorySet::of(needs),
        headline: needs,
        validity: &Validity::UNLIMITED,
        window: WindowKnowledge::Learnt,
    }
}

fn verdict(settings: Settings, facts: &Facts<'_>) -> Result<Basis, DenyReason> {
    match decide(&Policy::new(settings), facts) {
        Decision::Allow(permit) => Ok(permit.basis()),
        Decision::Deny(denial) => Err(denial.reason),
    }
}

#[test]
fn every_category_needs_its_own_grant() {
    for needed in [Category::Authentication, Category::Call, Category::Marketing, Category::Utility] {
        for granted in Category::ALL {
            let lookups = [record(&[(granted, State::Granted)], true)];
            let expected = if granted == needed { Ok(Basis::Consent) } else { Err(DenyReason::NoConsent) };
            assert_eq!(verdict(Settings::default(), &facts(&lookups, needed)), expected);
        }
    }
}

#[test]
fn service_sends_follow_the_table() {
    use DenyReason::{ConsentRevoked, NoConsent, WindowClosed};
    use WindowKnowledge::{Learnt, NotLearnt, Unavailable};
    let table = [
        (true, Learnt, State::Unstated, Ok(Basis::Window)),
        (true, Learnt, State::Granted, Ok(Basis::Window)),
        (true, Learnt, State::Revoked, Err(ConsentRevoked)),
        (false, Learnt, State::Unstated, Err(NoConsent)),
        (false, Learnt, State::Granted, Err(WindowClosed)),
        (false, Learnt, State::Revoked, Err(ConsentRevoked)),
        (false, NotLearnt, State::Unstated, Err(NoConsent)),
        (false, NotLearnt, State::Granted, Ok(Basis::Consent)),
        (false, NotLearnt, State::Revoked, Err(ConsentRevoked)),
        (false, Unavailable, State::Granted, Err(DenyReason::StoreUnavailable)),
    ];
    for (open, window, state, expected) in table {
        let lookups = [record(&[(Category::Service, state)], open)];
        let facts = Facts { window, ..facts(&lookups, Category::Service) };
        assert_eq!(verdict(Settings::default(), &facts), expected, "{open} {window:?} {state:?}");
    }
}

#[test]
fn a_required_window_is_required_even_when_none_was_ever_learnt() {
    let lookups = [record(&[(Category::Service, State::Granted)], false)];
    let facts = Facts { window: WindowKnowledge::NotLearnt, ..facts(&lookups, Category::Service) };
    let settings = Settings { service_window: ServiceWindow::Required, ..Settings::default() };
    assert_eq!(verdict(settings, &facts), Err(DenyReason::WindowClosed));
}

#[test]
fn an_unavailable_store_refuses_unless_the_policy_says_otherwise_for_this_category() {
    let mut settings = Settings::default();
    settings.failure_stance[Category::Utility.index()] = FailureStance::Open;
    for category in Category::ALL {
        let expected = if category == Category::Utility {
            Ok(Basis::FailOpen)
        } else {
            Err(DenyReason::StoreUnavailable)
        };
        assert_eq!(verdict(settings.clone(), &facts(&[Lookup::Unavailable], category)), expected);
    }
}

#[test]
fn of_a_remembered_record_only_the_withdrawals_count_while_the_store_is_away() {
    let failure_stance = Category::ALL.map(|_| FailureStance::Open);
    let settings = Settings { failure_stance, ..Settings::default() };
    let states = [(Category::Marketing, State::Revoked), (Category::Utility, State::Granted)];
    let Lookup::Found(before) = record(&states, true) else { panic!("a record") };
    for (category, open, closed) in [
        (Category::Marketing, Err(DenyReason::ConsentRevoked), DenyReason::ConsentRevoked),
        (Category::Utility, Ok(Basis::FailOpen), DenyReason::StoreUnavailable),
        (Category::Service, Ok(Basis::FailOpen), DenyReason::StoreUnavailable),
    ] {
        let lookups = [Lookup::Remembered(before)];
        assert_eq!(verdict(settings.clone(), &facts(&lookups, category)), open, "{category:?}");
        assert_eq!(verdict(Settings::default(), &facts(&lookups, category)), Err(closed), "{category:?}");
    }
}

#[test]
fn everybody_the_send_could_reach_must_agree() {
    let yes = record(&[(Category::Utility, State::Granted)], false);
    let no = record(&[(Category::Utility, State::Revoked)], false);
    for (lookups, ambiguous, expected) in [
        (vec![yes, yes], false, Ok(Basis::Consent)),
        (vec![yes, no], false, Err(DenyReason::ConsentRevoked)),
        (vec![yes, Lookup::Absent], false, Err(DenyReason::NoConsent)),
        (vec![Lookup::Absent, no], false, Err(DenyReason::ConsentRevoked)),
        (vec![yes, Lookup::Absent], true, Err(DenyReason::RecipientAmbiguous)),
        (vec![yes, yes], true, Ok(Basis::Consent)),
        (vec![], false, Err(DenyReason::RecipientUnreadable)),
    ] {
        let facts = Facts {
            addressee: Addressee::People { lookups: &lookups, ambiguous },
            ..facts(&[], Category::Utility)
        };
        assert_eq!(verdict(Settings::default(), &facts), expected, "{lookups:?}");
    }
}

#[test]
fn both_categories_are_needed_where_two_are() {
    let both = CategorySet::of(Category::Utility).with(Category::Service);
    let lookups = [record(&[(Category::Utility, State::Granted)], false)];
    let facts = Facts { needs: both, ..facts(&lookups, Category::Utility) };
    assert_eq!(verdict(Settings::default(), &facts), Err(DenyReason::NoConsent));
}

#[test]
fn the_order_of_judgement_is_kill_switch_sender_recipient() {
    let killed = Settings { kill_switch: CategorySet::of(Category::Utility), ..Settings::default() };
    let unknown = Facts {
        sender: SenderScope::Unknown,
        addressee: Addressee::Unreadable("why"),
        ..facts(&[], Category::Utility)
    };
    assert_eq!(verdict(killed.clone(), &unknown), Err(DenyReason::KillSwitch));
    assert_eq!(verdict(Settings::default(), &unknown), Err(DenyReason::CallerNotPermitted));
    let unreadable = Facts { sender: SenderScope::Permitted, ..unknown };
    assert_eq!(verdict(Settings::default(), &unreadable), Err(DenyReason::RecipientUnreadable));
    let other = Facts { needs: CategorySet::of(Category::Call), headline: Category::Call, ..unknown };
    assert_eq!(verdict(killed, &other), Err(DenyReason::CallerNotPermitted));
}

#[test]
fn groups_are_refused_unless_permitted_and_marketing_always() {
    let to_group = Facts { addressee: Addressee::Group(None), ..facts(&[], Category::Utility) };
    let permit = Settings { groups: Groups::Permit, ..Settings::default() };
    assert_eq!(verdict(Settings::default(), &to_group), Err(DenyReason::GroupNotPermitted));
    assert_eq!(verdict(permit.clone(), &to_group), Ok(Basis::Policy));
    let marketing = Facts { headline: Category::Marketing, ..to_group };
    assert_eq!(verdict(permit, &marketing), Err(DenyReason::GroupNotPermitted));
    let members = Settings { groups: Groups::Members, ..Settings::default() };
    assert_eq!(verdict(members.clone(), &to_group), Err(DenyReason::GroupNotPermitted));
    let unavailable = [Lookup::Unavailable];
    let asked = Members { lookups: &unavailable, window_open: false };
    let to_members = Facts { addressee: Addressee::Group(Some(asked)), ..to_group };
    assert_eq!(verdict(members.clone(), &to_members), Err(DenyReason::StoreUnavailable));
    let nobody = Members { lookups: &[], window_open: true };
    let to_nobody = Facts { addressee: Addressee::Group(Some(nobody)), ..to_group };
    assert_eq!(verdict(members, &to_nobody), Err(DenyReason::GroupNotPermitted));
}

#[test]
fn shadow_mode_lets_pass_and_remembers_but_the_kill_switch_holds() {
    let shadow = Settings { mode: Mode::Shadow, ..Settings::default() };
    let Decision::Allow(permit) =
        decide(&Policy::new(shadow.clone()), &facts(&[Lookup::Absent], Category::Utility))
    else {
        panic!("shadow mode forwards");
    };
    assert_eq!(permit.basis(), Basis::Shadow);
    assert_eq!(permit.would_deny().map(|d| d.reason), Some(DenyReason::NoConsent));
    let killed = Settings { kill_switch: CategorySet::ALL, ..shadow };
    assert_eq!(verdict(killed, &facts(&[Lookup::Absent], Category::Utility)), Err(DenyReason::KillSwitch));
}

#[test]
fn the_revision_follows_the_content() {
    let steered = Settings { steering: Steering::Pass, ..Settings::default() };
    assert_eq!(Policy::new(Settings::default()).revision(), Policy::new(Settings::default()).revision());
    assert_ne!(Policy::new(Settings::default()).revision(), Policy::new(steered).revision());
}

#[test]
fn steering_writes_are_refused_unless_the_policy_lets_them_pass() {
    let refused = decide_steering(&Policy::new(Settings::default()), "edge");
    assert!(matches!(refused, Decision::Deny(denial) if denial.reason == DenyReason::SteeringWrite));
    let pass = Policy::new(Settings { steering: Steering::Pass, ..Settings::default() });
    assert!(
        matches!(decide_steering(&pass, "edge"), Decision::Allow(permit) if permit.basis() == Basis::Policy)
    );
}

#[test]
fn a_number_rated_red_sends_no_marketing_unless_the_policy_says_so() {
    for brake in [SenderHealth::Refuse, SenderHealth::Warn, SenderHealth::Off] {
        for quality in Quality::ALL {
            for needed in [Category::Marketing, Category::Utility, Category::Authentication] {
                let lookups = [record(&[(needed, State::Granted)], false)];
                let settings = Settings { sender_health: brake, ..Settings::default() };
                let braked =
                    (brake, quality, needed) == (SenderHealth::Refuse, Quality::Red, Category::Marketing);
                let expected = if braked { Err(DenyReason::SenderHealth) } else { Ok(Basis::Consent) };
                assert_eq!(verdict(settings, &Facts { quality, ..facts(&lookups, needed) }), expected);
            }
        }
    }
    // Who said no hears that, whatever the number's rating.
    let lookups = [record(&[(Category::Marketing, State::Revoked)], false)];
    let facts = Facts { quality: Quality::Red, ..facts(&lookups, Category::Marketing) };
    assert_eq!(verdict(Settings::default(), &facts), Err(DenyReason::ConsentRevoked));
    let lookups = [record(&[(Category::Marketing, State::Granted)], false)];
    let addressee = Addressee::People { lookups: &lookups, ambiguous: false };
    let shadow = Settings { mode: Mode::Shadow, ..Settings::default() };
    assert_eq!(verdict(shadow, &Facts { addressee, ..facts }), Ok(Basis::Shadow));
}
