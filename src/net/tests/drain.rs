use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::Instant;

use super::*;
use crate::net::Drained;

#[tokio::test]
async fn a_drain_finishes_what_is_in_flight_and_closes_idle_connections() {
    with_stand(async |mut stand: Stand| {
        let mut idle = stand.connect().await;
        idle.write_all(post("/", "x").as_bytes()).await.unwrap();
        assert!(idle.read(&mut [0; 1024]).await.unwrap() > 0);
        let mut silent = stand.connect().await;
        let mut busy = stand.connect().await;
        busy.write_all(post("/slow", "in flight").as_bytes()).await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let drained = stand.trigger.take().unwrap().drain(Duration::from_secs(10)).await;
        assert_eq!(drained, Drained::Finished);
        let mut answer = String::new();
        busy.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("in flight") && answer.contains("connection: close"), "{answer}");
        assert_eq!(idle.read(&mut [0; 1]).await.unwrap(), 0);
        assert_eq!(silent.read(&mut [0; 1]).await.unwrap(), 0);
        assert!(TcpStream::connect(stand.addr).await.is_err(), "still listening");
    })
    .await;
}

#[tokio::test]
async fn what_is_in_flight_at_the_deadline_is_cut() {
    with_stand(async |mut stand: Stand| {
        let mut stalled = stand.connect().await;
        stalled.write_all(b"POST / HTTP/1.1\r\nHost: gate\r\nContent-Length: 9\r\n\r\nhello").await.unwrap();
        tokio::time::sleep(Duration::from_millis(50)).await;
        let begun = Instant::now();
        let drained = stand.trigger.take().unwrap().drain(Duration::from_millis(200)).await;
        assert_eq!(drained, Drained::Cut);
        assert!(begun.elapsed() < Duration::from_secs(1));
        assert!(matches!(stand.ending().await, Ending::Cut));
        assert_eq!(stand.record.bodies(), Vec::<Vec<u8>>::new());
    })
    .await;
}

#[tokio::test]
async fn a_connection_that_was_queued_when_the_drain_began_gets_one_request_answered() {
    with_stand(async |mut stand: Stand| {
        // Connected to the kernel's queue; the accept loop has not run since.
        let mut queued = std::net::TcpStream::connect(stand.addr).unwrap();
        let trigger = stand.trigger.take().unwrap();
        let drained = tokio::task::spawn_local(trigger.drain(Duration::from_secs(10)));
        tokio::task::yield_now().await;
        tokio::time::sleep(Duration::from_millis(20)).await;
        std::io::Write::write_all(&mut queued, post("/", "late").as_bytes()).unwrap();
        queued.set_nonblocking(true).unwrap();
        let mut queued = TcpStream::from_std(queued).unwrap();
        let mut answer = String::new();
        queued.read_to_string(&mut answer).await.unwrap();
        assert!(answer.ends_with("late"), "{answer:?}");
        assert_eq!(drained.await.unwrap(), Drained::Finished);
    })
    .await;
}

#[tokio::test]
async fn a_drain_reaches_other_runtimes() {
    let (trigger, drain) = crate::net::drain();
    let threads: Vec<_> = (0..3)
        .map(|_| {
            let mut drain = drain.clone();
            std::thread::spawn(move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
                runtime.block_on(drain.started());
            })
        })
        .collect();
    drop(drain);
    assert_eq!(trigger.drain(Duration::from_secs(10)).await, Drained::Finished);
    for thread in threads {
        thread.join().unwrap();
    }
}

#[tokio::test]
async fn a_supervisor_asks_to_end_with_sigterm() {
    let mut asked = std::pin::pin!(crate::net::asked_to_end());
    // Polled once, so that the signal finds its handler.
    let early = tokio::time::timeout(Duration::from_millis(1), asked.as_mut()).await;
    assert!(early.is_err());
    let own = std::process::id().to_string();
    assert!(std::process::Command::new("kill").args(["-TERM", &own]).status().unwrap().success());
    tokio::time::timeout(Duration::from_secs(10), asked).await.unwrap().unwrap();
}

#[tokio::test]
async fn a_drain_is_noticed_beside_work_that_uses_up_its_turn() {
    let (trigger, mut drain) = crate::net::drain();
    let serving = tokio::spawn(async move {
        let mut serving = std::pin::pin!(async {
            // More than a task may do in one turn.
            for _ in 0..200 {
                tokio::task::coop::consume_budget().await;
            }
            std::future::pending::<()>().await;
        });
        drain.while_serving(serving.as_mut()).await
    });
    tokio::time::sleep(Duration::from_millis(20)).await;
    assert_eq!(trigger.drain(Duration::from_secs(1)).await, Drained::Finished);
    assert_eq!(serving.await.unwrap(), None);
}
