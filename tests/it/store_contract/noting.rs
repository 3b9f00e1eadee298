//! Notes about senders: numbers that only grow, texts, sums by day, and filters of sent messages.

use optgate::store::notes::{Block, Filter, MARK_BITS, Mark, Notes, SENT_DAYS, SUM_DAYS};

use super::bench::Bench;

const TODAY: u32 = 20_000;
const BLOCKS: u32 = 100;

fn mark(day: u32, block: u32, first: u16) -> Mark {
    let filter = Filter { day, blocks: BLOCKS };
    Mark {
        filter,
        block,
        bits: std::array::from_fn::<u16, MARK_BITS, _>(|n| (first + 61 * u16::try_from(n).unwrap()) % 512),
    }
}

fn notes() -> Notes {
    Notes { today: TODAY, ..Notes::default() }
}

pub(super) async fn numbers_of_senders_only_grow_and_texts_replace_each_other(bench: &Bench) {
    let store = bench.open().await;
    let note = async |raised: &[(&str, u64)], text: &str| {
        let raised = raised.iter().map(|(name, number)| ((*name).to_owned(), *number)).collect();
        let texts = vec![("number/1".to_owned(), text.as_bytes().to_vec())];
        store.note(Notes { raised, texts, ..notes() }).await.unwrap();
    };
    note(&[("send/1", 1_790_000_000), ("send/2", 9)], "first").await;
    note(&[("send/1", 1_780_000_000), ("send/2", 10)], "second").await;
    note(&[("send/1", 1_790_000_001), ("send/2", 2)], "third").await;
    store.close().await;
    drop(store);
    let known = bench.open().await.notes().await.unwrap();
    assert_eq!(known.numbers, [("send/1".to_owned(), 1_790_000_001), ("send/2".to_owned(), 10)]);
    assert_eq!(known.texts, [("number/1".to_owned(), b"third".to_vec())]);
}

pub(super) async fn sums_add_up_by_day_and_old_days_are_forgotten(bench: &Bench) {
    let store = bench.open().await;
    let add = async |day: u32, name: &str, more: u64| {
        store.note(Notes { sums: vec![(day, name.to_owned(), more)], ..notes() }).await.unwrap();
    };
    add(TODAY - 6, "sent", 2).await;
    add(TODAY - 6, "sent", 3).await;
    add(TODAY, "sent", 1).await;
    add(TODAY, "[\"failed\"]", 7).await;
    let sum = |day, name: &str, sum| (day, name.to_owned(), sum);
    let all = [sum(TODAY - 6, "sent", 5), sum(TODAY, "[\"failed\"]", 7), sum(TODAY, "sent", 1)];
    assert_eq!(store.sums(TODAY - 6, TODAY).await.unwrap(), all);
    assert_eq!(store.sums(TODAY - 5, TODAY).await.unwrap(), all[1..]);
    let later = TODAY + SUM_DAYS;
    let raised = vec![("send/1".to_owned(), 1)];
    store.note(Notes { today: later, raised, ..Notes::default() }).await.unwrap();
    assert_eq!(store.sums(TODAY + 1, later).await.unwrap(), []);
}

pub(super) async fn a_filter_holds_what_was_put_into_it_and_nothing_else(bench: &Bench) {
    let store = bench.open().await;
    let marks = [mark(TODAY, 0, 0), mark(TODAY, 99, 511), mark(TODAY, 99, 7), mark(TODAY - 1, 5, 300)];
    store.note(Notes { sent: marks.to_vec(), ..notes() }).await.unwrap();
    store.note(Notes { sent: vec![mark(TODAY, 0, 100)], ..notes() }).await.unwrap();
    store.close().await;
    drop(store);
    let store = bench.open().await;
    let asked = [
        mark(TODAY, 0, 0),
        mark(TODAY, 99, 511),
        mark(TODAY, 99, 7),
        mark(TODAY - 1, 5, 300),
        mark(TODAY, 0, 100),
    ];
    let places = |marks: &[Mark]| marks.iter().map(|mark| (mark.filter, mark.block)).collect::<Vec<_>>();
    let found = store.sent(places(&asked)).await.unwrap();
    for (mark, block) in asked.iter().zip(&found) {
        assert!(mark.is_in(block), "{mark:?}");
    }
    let mut expected: Block = [0; 64];
    marks[1].set_in(&mut expected);
    marks[2].set_in(&mut expected);
    assert_eq!(found[1], expected, "no bit more");
    let other_size = Filter { day: TODAY, blocks: BLOCKS + 1 };
    let nothing = [(Filter { day: TODAY - 2, blocks: BLOCKS }, 0), (other_size, 0), (marks[0].filter, 50)];
    assert_eq!(store.sent(nothing.to_vec()).await.unwrap(), [[0; 64]; 3]);
    assert_eq!(store.sent(vec![]).await.unwrap(), [[0; 64]; 0]);
}

/// Redis forgets by its own clock, which no test can set.
pub(super) async fn a_file_forgets_filters_after_their_days(bench: &Bench) {
    let store = bench.open().await;
    let old = mark(TODAY, 3, 3);
    store.note(Notes { sent: vec![old], ..notes() }).await.unwrap();
    let sent = vec![mark(TODAY + SENT_DAYS, 4, 4)];
    store.note(Notes { today: TODAY + SENT_DAYS, sent, ..Notes::default() }).await.unwrap();
    assert_eq!(store.sent(vec![(old.filter, old.block)]).await.unwrap(), [[0; 64]]);
}
