//! Two gates on one Redis: one reads, both know.

use std::time::Duration;

use super::{Provider, agree, assert_utility, send, shown};
use crate::support::eventually;
use crate::support::redis::Redis;

#[test]
fn one_of_two_gates_reads_the_list_and_both_know_it() {
    let (provider, redis) = (Provider::start(), Redis::start());
    for n in 0..600 {
        provider.put(&format!("many_{n:03}"), "UTILITY");
    }
    let start = || provider.gate().redis(&redis.url()).start();
    let gates = std::thread::scope(|scope| {
        let starting = [scope.spawn(start), scope.spawn(start)];
        starting.map(|gate| gate.join().unwrap())
    });
    agree(&gates[0]);
    for gate in &gates {
        eventually("a gate knows the list", || {
            (shown(gate, "many_599")["category"] == "utility").then_some(())
        });
        eventually("its sends count as utility", || (send(gate, "many_599").status == 200).then_some(()));
    }
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(provider.list_count(), 3, "three pages, read once");
}

#[test]
fn what_one_gate_looks_up_the_other_knows() {
    let (provider, redis) = (Provider::start(), Redis::start());
    let start = || provider.seeking_gate().redis(&redis.url()).start();
    let (near, far) = (start(), start());
    agree(&near);
    assert_utility(&near, "order_update");
    eventually("the far gate heard of it", || {
        (shown(&far, "order_update")["category"] == "utility").then_some(())
    });
    eventually("its sends count as utility", || (send(&far, "order_update").status == 200).then_some(()));
    assert_eq!(provider.list_count(), 1);
}
