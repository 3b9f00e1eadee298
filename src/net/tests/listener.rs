use std::collections::HashSet;
use std::error::Error;

use super::*;
use crate::net::bind_shared;

#[test]
fn port_0_is_resolved_once_and_shared_by_all_listeners() {
    let listeners = bind_shared((Ipv4Addr::LOCALHOST, 0).into(), 4).unwrap();
    let ports: HashSet<u16> = listeners.iter().map(|one| one.local_addr().unwrap().port()).collect();
    assert_eq!((listeners.len(), ports.len()), (4, 1));
}

#[test]
fn a_port_that_others_listen_on_is_refused_with_a_remedy() {
    let taken = bind_shared((Ipv4Addr::LOCALHOST, 0).into(), 2).unwrap();
    let addr = taken[0].local_addr().unwrap();
    for fault in [bind(addr).unwrap_err(), bind_shared(addr, 2).unwrap_err()] {
        let text = fault.to_string();
        assert!(text.contains(&addr.to_string()) && text.contains("choose another port"), "{text}");
        assert!(fault.source().is_some());
    }
}

#[test]
fn an_address_of_another_machine_is_refused_with_a_remedy() {
    let fault = bind("192.0.2.1:0".parse().unwrap()).unwrap_err();
    assert!(fault.to_string().contains("192.0.2.1:0: this machine has no such address"), "{fault}");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait_until_one_ends() {
    let socket = bind((Ipv4Addr::LOCALHOST, 0).into()).unwrap();
    let listener = Listener::register(socket, 1).unwrap();
    let addr = listener.local_addr().unwrap();
    let (_trigger, drain) = crate::net::drain();
    let (accepted, mut connections) = tokio::sync::mpsc::unbounded_channel();
    tokio::spawn(listener.run(drain, move |connection| accepted.send(connection).unwrap()));
    let _first = TcpStream::connect(addr).await.unwrap();
    let _second = TcpStream::connect(addr).await.unwrap();
    let held = connections.recv().await.unwrap();
    assert!(held.stream.nodelay().unwrap());
    let waiting = tokio::time::timeout(Duration::from_millis(100), connections.recv()).await;
    assert!(waiting.is_err(), "accepted beyond the limit");
    drop(held);
    assert!(connections.recv().await.is_some());
}
