use std::thread;

use super::*;
use crate::consent::Timestamp;
use crate::metrics::Metrics;
use crate::policy::{Mode, Policy, Settings};

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

struct Fixture {
    folder: tempfile::TempDir,
    metrics: Metrics,
}

impl Fixture {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().unwrap(), metrics: Metrics::new(&[]) }
    }

    fn keep(&self, time: Duration, max_bytes: u64) -> Keep {
        Keep { dir: self.folder.path().join("decisions"), time, max_bytes }
    }

    fn keeper(&self, keep: &Keep) -> Keeper {
        Keeper::open(keep.clone(), self.metrics.clone()).unwrap()
    }
}

fn id(n: u64) -> DecisionId {
    DecisionId::parse(&format!("01ARYZ6S41{n:016}")).unwrap()
}

fn line(n: u64) -> String {
    format!(
        "{{\"time\":\"t\",\"id\":\"{}\",\"message_id\":\"m{n}\",\"pad\":\"{}\"}}\n",
        id(n),
        "x".repeat(1000)
    )
}

fn bytes(keep: &Keep) -> u64 {
    segments(&keep.dir).unwrap().iter().map(|s| fs::metadata(&s.path).unwrap().len()).sum()
}

#[test]
fn a_kept_decision_is_found_by_its_id_and_by_its_message_in_every_segment_and_after_a_restart() {
    let fixture = Fixture::new();
    let keep = fixture.keep(DAY, 64 << 20);
    let archive = Archive::of(&keep);
    for start in [0, 3000] {
        let mut keeper = fixture.keeper(&keep);
        for n in start..start + 3000 {
            keeper.write(line(n).as_bytes(), 1);
        }
    }
    assert_eq!(segments(&keep.dir).unwrap().len(), 2);
    for n in [0, 1, 2999, 3000, 5999] {
        assert_eq!(archive.by_id(&id(n)).unwrap(), line(n).trim_end());
        assert_eq!(archive.newest("message_id", &format!("m{n}")).unwrap(), line(n).trim_end());
    }
    assert_eq!((archive.by_id(&id(6000)), archive.newest("message_id", "m6000")), (None, None));
}

#[test]
fn the_oldest_make_room_and_the_space_is_never_exceeded() {
    let fixture = Fixture::new();
    let keep = fixture.keep(DAY, 2 << 20);
    let mut keeper = fixture.keeper(&keep);
    for n in 0..10_000 {
        keeper.write(line(n).as_bytes(), 1);
        assert!(n % 500 != 0 || bytes(&keep) <= keep.max_bytes);
    }
    let archive = Archive::of(&keep);
    assert!(archive.by_id(&id(0)).is_none() && archive.by_id(&id(9_999)).is_some());
    assert!(bytes(&keep) <= keep.max_bytes && bytes(&keep) > keep.max_bytes / 2, "{}", bytes(&keep));
}

#[test]
fn what_is_too_old_is_removed_even_where_nothing_is_written_any_more() {
    let fixture = Fixture::new();
    let keep = fixture.keep(Duration::from_millis(400), 2 << 20);
    let mut keeper = fixture.keeper(&keep);
    keeper.write(line(1).as_bytes(), 1);
    assert!(Archive::of(&keep).by_id(&id(1)).is_some());
    thread::sleep(Duration::from_millis(600));
    keeper.tidy();
    assert!(segments(&keep.dir).unwrap().is_empty());
    drop(fixture.keeper(&keep));
}

#[test]
fn a_line_that_a_dying_process_cut_short_is_no_decision_and_harms_no_other() {
    let fixture = Fixture::new();
    let keep = fixture.keep(DAY, 2 << 20);
    fixture.keeper(&keep).write(line(1).as_bytes(), 1);
    let torn = segments(&keep.dir).unwrap().remove(0).path;
    let cut = line(2);
    fs::write(&torn, line(1) + &cut[..cut.len() / 2]).unwrap();
    fixture.keeper(&keep).write(line(3).as_bytes(), 1);
    let archive = Archive::of(&keep);
    assert!(archive.by_id(&id(1)).is_some() && archive.by_id(&id(3)).is_some());
    assert_eq!((archive.by_id(&id(2)), archive.newest("message_id", "m2")), (None, None));
}

#[test]
fn a_folder_that_cannot_be_written_costs_no_send_and_is_counted() {
    let fixture = Fixture::new();
    let keep = fixture.keep(DAY, 2 << 20);
    let mut keeper = fixture.keeper(&keep);
    fs::remove_dir_all(&keep.dir).unwrap();
    keeper.write(line(1).as_bytes(), 3);
    keeper.write(line(2).as_bytes(), 2);
    assert!(fixture.metrics.render().contains("optgate_decisions_not_kept_total 5\n"));
}

#[test]
fn the_folder_is_for_its_owner_alone() {
    use std::os::unix::fs::PermissionsExt;
    let fixture = Fixture::new();
    let keep = fixture.keep(DAY, 2 << 20);
    fixture.keeper(&keep).write(line(1).as_bytes(), 1);
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&keep.dir), mode(&segments(&keep.dir).unwrap()[0].path)), (0o700, 0o600));
}

#[test]
fn an_old_policy_is_shown_with_its_settings_after_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let [first, second] =
        [Mode::Enforce, Mode::Shadow].map(|mode| Policy::new(Settings { mode, ..Settings::default() }));
    let at = Timestamp::from_secs;
    let revisions = Revisions::open(Some(folder.path()));
    for (since, policy) in [(10, &first), (20, &second), (25, &second), (30, &first)] {
        revisions.note(policy, at(since));
    }
    let revisions = Revisions::open(Some(folder.path()));
    let found = |policy: &Policy, moment| revisions.find(policy.revision(), at(moment)).unwrap();
    assert_eq!(
        (found(&second, 26).since, found(&first, 15).since, found(&first, 40).since),
        (at(20), at(10), at(30))
    );
    assert_eq!(found(&second, 26).settings["mode"], "shadow");
    assert_eq!(revisions.find("another", at(40)), None);
}
