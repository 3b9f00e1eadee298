//! `relay = "queue"`: what was answered 200 reaches the bot, once where nobody dies, at least once where somebody does.

use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use redb::{Database, ReadableTable, TableDefinition};
use serde_json::{Value, json};

use super::{SECRET, deliver, message, relaying, seconds, signature};
use crate::journey::{ALL, ANN, grant, template, templates};
use crate::support::client::request;
use crate::support::eventually;
use crate::support::gate::{Gate, GateBuilder, optgate};
use crate::support::redis::{Redis, Reply};
use crate::support::upstream::{Answer, Upstream};

/// The two kinds of store.
enum Store {
    Embedded,
    Redis(Redis),
}

impl Store {
    fn both() -> [Self; 2] {
        [Self::Embedded, Self::Redis(Redis::with(&["appendonly yes", "appendfsync always"]))]
    }

    fn gate(&self, upstream: &Upstream) -> GateBuilder {
        let gate = Gate::to(&upstream.url());
        match self {
            Self::Embedded => gate,
            Self::Redis(redis) => gate.redis(&redis.url()),
        }
    }
}

fn queueing(gate: GateBuilder, bot: &Upstream) -> (Gate, SocketAddr) {
    let (gate, webhook) = relaying(gate, Some(bot));
    (gate.set("webhook", "relay", "\"queue\"").start(), webhook)
}

fn numbered(n: usize) -> Value {
    message(ANN, seconds(0), &format!("number {n}"))
}

/// Which of the numbered webhooks a bot got.
fn got(bot: &Upstream) -> Vec<usize> {
    let number = |payload: &[u8]| {
        let body: Value = serde_json::from_slice(payload).unwrap();
        let text = body["entry"][0]["changes"][0]["value"]["messages"][0]["text"]["body"].clone();
        text.as_str().unwrap().trim_start_matches("number ").parse().unwrap()
    };
    bot.requests().iter().map(|request| number(request.payload())).collect()
}

/// A bot that takes nothing yet.
fn refusing() -> Upstream {
    let bot = Upstream::start();
    bot.answer(Answer::json(500, "{}"));
    bot
}

#[test]
fn the_provider_is_answered_though_the_bot_is_away_and_the_bot_gets_the_same_bytes_later() {
    for store in Store::both() {
        let (upstream, bot) = (Upstream::start(), refusing());
        let (gate, webhook) = queueing(store.gate(&upstream), &bot);
        gate.put_templates(&templates());
        gate.apply(&[grant(ANN, &ALL)]);
        let body = message(ANN, seconds(0), "STOP").to_string() + " \n";
        let signed = signature(SECRET, body.as_bytes());
        let headers =
            [("Content-Type", "application/json"), ("X-Hub-Signature-256", &*signed), ("X-Trace", "7")];
        assert_eq!(request(webhook, "POST", "/", &headers, body.as_bytes()).status, 200);
        assert_eq!(gate.send(&template(ANN, "utility")).status, 400);
        assert_eq!(upstream.request_count(), 0);
        bot.wait_for(1);
        bot.answer(Answer::json(200, "{}"));
        let [.., last] = &*bot.wait_for(2) else { panic!("nothing came") };
        assert_eq!((last.method(), last.target(), last.payload()), ("POST", "/hook?bot=1", body.as_bytes()));
        assert_eq!((last.header("x-hub-signature-256"), last.header("x-trace")), (Some(&*signed), Some("7")));
        assert_eq!(gate.count("optgate_webhooks_total", &["queued"]), 1);
        eventually("both attempts are counted", || {
            let count = |outcome| gate.count("optgate_webhook_deliveries_total", &[outcome]);
            (count("retried") >= 1 && count("delivered") == 1).then_some(())
        });
        let forged = [("X-Hub-Signature-256", "sha256=00")];
        assert_eq!(request(webhook, "POST", "/", &forged, body.as_bytes()).status, 403);
        let log = [gate.stderr(), gate.stdout()].concat().join("\n");
        assert!(!log.contains("5550000001") && !log.contains("hook?bot"), "{log}");
    }
}

#[test]
fn a_crash_loses_nothing_that_was_answered() {
    for store in Store::both() {
        let (upstream, bot) = (Upstream::start(), refusing());
        let (gate, webhook) = queueing(store.gate(&upstream), &bot);
        let answered: BTreeSet<usize> = std::thread::scope(|scope| {
            let lanes: Vec<_> = (0..4)
                .map(|lane| {
                    scope.spawn(move || -> Vec<usize> {
                        let mine = (0..25).map(|n| lane * 25 + n);
                        mine.filter(|n| deliver(webhook, &numbered(*n)).status == 200).collect()
                    })
                })
                .collect();
            lanes.into_iter().flat_map(|lane| lane.join().unwrap()).collect()
        });
        assert_eq!(answered.len(), 100);
        let folder = gate.kill9();
        bot.answer(Answer::json(200, "{}"));
        let before = bot.request_count();
        let (_gate, _) = queueing(store.gate(&upstream).in_folder(folder), &bot);
        // What was on its way when the gate died comes back when its lease is over.
        let deadline = Instant::now() + Duration::from_secs(60);
        while got(&bot).into_iter().skip(before).collect::<BTreeSet<_>>() != answered {
            assert!(Instant::now() < deadline, "{:?}", got(&bot).len());
            std::thread::sleep(Duration::from_millis(100));
        }
    }
}

#[test]
fn two_gates_share_the_work_and_nothing_is_delivered_twice() {
    const COUNT: usize = 300;
    let (redis, upstream, bot) = (Redis::start(), Upstream::start(), Upstream::start());
    bot.answer(Answer::json(200, "{}").after(Duration::from_millis(20)));
    let gate = || queueing(Gate::to(&upstream.url()).redis(&redis.url()), &bot);
    let ((near, webhook), (far, _)) = (gate(), gate());
    std::thread::scope(|scope| {
        for lane in 0..6 {
            scope.spawn(move || {
                for n in (lane..COUNT).step_by(6) {
                    assert_eq!(deliver(webhook, &numbered(n)).status, 200);
                }
            });
        }
    });
    bot.wait_for(COUNT);
    eventually("the queue is empty", || {
        (redis.command(&["ZCARD", "og:q:{og}:since"]) == Reply::Integer(0)).then_some(())
    });
    let got = got(&bot);
    assert_eq!((got.len(), got.iter().collect::<BTreeSet<_>>().len()), (COUNT, COUNT));
    eventually("every delivery is counted", || {
        let of = |gate: &Gate| gate.count("optgate_webhook_deliveries_total", &["delivered"]);
        (of(&near) + of(&far) == COUNT).then_some(())
    });
    assert_eq!(redis.command(&["GET", "og:q:{og}:bytes"]), Reply::Bulk(Some(b"0".to_vec())));
}

#[test]
fn webhooks_are_begun_in_the_order_in_which_they_came() {
    for store in Store::both() {
        let (upstream, bot) = (Upstream::start(), Upstream::start());
        let (_gate, webhook) = queueing(store.gate(&upstream), &bot);
        for n in 0..20 {
            assert_eq!(deliver(webhook, &numbered(n)).status, 200);
            bot.wait_for(n + 1);
        }
        assert_eq!(got(&bot), (0..20).collect::<Vec<_>>());
    }
}

#[test]
fn a_full_queue_is_not_answered_200_and_what_stands_in_it_is_sealed() {
    for store in Store::both() {
        let (upstream, bot) = (Upstream::start(), refusing());
        let (gate, webhook) = relaying(store.gate(&upstream), Some(&bot));
        let gate =
            gate.set("webhook", "relay", "\"queue\"").set("webhook", "queue_max_bytes", "\"4MiB\"").start();
        let long = message(ANN, seconds(0), &"private ".repeat((3 << 20) / 16 - 200));
        assert_eq!(deliver(webhook, &long).status, 200);
        let refused = deliver(webhook, &long);
        assert_eq!((refused.status, refused.text()), (503, "the queue is full; send it again later".into()));
        assert_eq!(gate.count("optgate_webhooks_total", &["queue_full"]), 1);
        let files = match &store {
            Store::Embedded => std::fs::read(queue_file(gate.folder())).unwrap(),
            Store::Redis(redis) => redis.files(),
        };
        assert!(files.len() > 3 << 20);
        assert!(!files.windows(16).any(|bytes| bytes == b"private private "));
        // There is room again once the bot has taken the first.
        bot.answer(Answer::json(200, "{}"));
        eventually("there is room", || (deliver(webhook, &long).status == 200).then_some(()));
    }
}

#[test]
fn after_seven_days_a_webhook_is_a_dead_letter_that_can_be_retried_or_dropped() {
    for store in Store::both() {
        let (upstream, bot) = (Upstream::start(), refusing());
        let (gate, webhook) = queueing(store.gate(&upstream), &bot);
        for n in 0..2 {
            assert_eq!(deliver(webhook, &numbered(n)).status, 200);
        }
        bot.wait_for(2);
        let folder = gate.kill9();
        age(&store, folder.path());
        let (gate, _) = queueing(store.gate(&upstream).in_folder(folder), &bot);
        let run = |arguments: &[&str]| {
            let mut command = optgate();
            command.args(arguments).args(["--admin", &format!("http://{}", gate.admin_addr())]);
            command.env("OPTGATE_TOKEN", "integration-tests");
            let output = command.output().unwrap();
            assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            String::from_utf8(output.stdout).unwrap()
        };
        let listed = || -> Value {
            serde_json::from_str(&run(&["--json", "webhooks", "dead-letters", "list"])).unwrap()
        };
        let dead = eventually("both are dead", || {
            let dead = listed();
            (dead["dead_letters"].as_array().unwrap().len() == 2).then_some(dead)
        });
        let letter = &dead["dead_letters"][0];
        assert_eq!(
            (&letter["sender"], &letter["error"]),
            (&json!("106540352242922"), &json!("it answered 500"))
        );
        let id = letter["id"].as_str().unwrap().to_owned();
        assert!(run(&["webhooks", "dead-letters", "list"]).contains(&id));
        bot.answer(Answer::json(200, "{}"));
        assert_eq!(run(&["webhooks", "dead-letters", "drop", &id]), format!("dropped {id}\n"));
        let before = bot.request_count();
        run(&["webhooks", "dead-letters", "retry", "--all"]);
        bot.wait_for(before + 1);
        eventually("nothing is left", || {
            (listed()["dead_letters"].as_array().unwrap().is_empty()).then_some(())
        });
        assert_eq!(run(&["webhooks", "dead-letters", "list"]), "no dead letters\n");
        let gone = gate.admin("DELETE", &format!("/v1/webhooks/dead-letters/{id}"), "", b"");
        assert_eq!(gone.status, 404);
    }
}

fn queue_file(folder: &Path) -> PathBuf {
    let in_folder = |folder: &Path| std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut folders: Vec<PathBuf> = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for path in in_folder(&folder) {
            if path.ends_with("webhooks.redb") {
                return path;
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    panic!("no queue in {}", folder.display());
}

/// Makes what is queued eight days old.
fn age(store: &Store, folder: &Path) {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let then = now.checked_sub(Duration::from_secs(8 * 24 * 60 * 60)).unwrap().as_millis();
    let then = u64::try_from(then).unwrap();
    match store {
        Store::Embedded => {
            const CARDS: TableDefinition<'_, u64, &[u8]> = TableDefinition::new("cards");
            let database = Database::open(queue_file(folder)).unwrap();
            let write = database.begin_write().unwrap();
            {
                let mut cards = write.open_table(CARDS).unwrap();
                let rows: Vec<(u64, Value)> = cards
                    .iter()
                    .unwrap()
                    .map(|row| row.unwrap())
                    .map(|(id, card)| (id.value(), serde_json::from_slice(card.value()).unwrap()))
                    .collect();
                for (id, mut card) in rows {
                    (card["queued_at"], card["due"]) = (json!(then), json!(then));
                    cards.insert(id, card.to_string().as_bytes()).unwrap();
                }
            }
            write.commit().unwrap();
        }
        Store::Redis(redis) => {
            let Reply::Array(ids) = redis.command(&["ZRANGE", "og:q:{og}:since", "0", "-1"]) else {
                panic!("no parcels")
            };
            for id in ids {
                let Reply::Bulk(Some(id)) = id else { panic!("no id") };
                let id = String::from_utf8(id).unwrap();
                let key = format!("og:q:{{og}}:p:{id}");
                redis.command(&["HSET", &*key, "t", &*then.to_string()]);
                redis.command(&["ZADD", "og:q:{og}:due", "0", &*id]);
            }
        }
    }
}
