//! Cutting, looking, waiting.

use super::*;

#[tokio::test]
async fn cut_ends_what_is_connected_and_nothing_else() {
    for ending in [Ending::Close, Ending::Reset] {
        let proxy = proxy().await;
        let mut clients = [
            Peer::connect(proxy.addr()).await,
            Peer::connect(proxy.addr()).await,
        ];
        for client in &mut clients {
            client.ask(request(SEND, 1)).await;
        }
        // Even out of a black hole.
        let toxic = proxy.toxics().add(Toxic::blackhole());
        assert_eq!(proxy.cut(ending), 2);
        assert_eq!(proxy.cut(ending), 0, "they were told already");
        for client in &mut clients {
            assert_eq!(client.rest().await, (Vec::new(), ending));
        }
        soon(proxy.until(|it| it.connections() == 0)).await;
        proxy.toxics().remove(toxic);
        let mut client = Peer::connect(proxy.addr()).await;
        client.ask(request(SEND, 2)).await;
    }
}

#[tokio::test]
async fn cut_tells_the_server_as_well() {
    for ending in [Ending::Close, Ending::Reset] {
        let (listener, upstream) = silent().await;
        let proxy = proxy_before(upstream).await;
        let mut client = Peer::connect(proxy.addr()).await;
        let mut server = accepted(&listener).await;
        client.write(&request(SEND, 1)).await;
        server.read().await.unwrap();
        proxy.cut(ending);
        assert_eq!(server.rest().await, (Vec::new(), ending));
    }
}

/// Bytes of another protocol, which as a frame would be waited for for ever.
#[tokio::test]
async fn raw_bytes_pass_as_they_come_and_toxics_strike_them() {
    let (listener, upstream) = silent().await;
    let builder = Proxy::builder(upstream.to_string()).record(true).raw(true);
    let proxy = builder.start().await.unwrap();
    let mut client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    let bytes = b"\0\0\x07\0\0\0!";
    client.socket.write_all(bytes).await.unwrap();
    let mut came = [0; 7];
    soon(server.socket.read_exact(&mut came)).await.unwrap();
    assert_eq!(&came, bytes);
    let pulled = proxy.toxics().add(Toxic::blackhole());
    server.socket.write_all(bytes).await.unwrap();
    client.stays_silent().await;
    proxy.toxics().remove(pulled);
    soon(client.socket.read_exact(&mut came)).await.unwrap();
    assert_eq!(&came, bytes);
    assert!(proxy.transcript().is_empty());
    assert_eq!(proxy.accepted_for(&upstream.to_string()), 1);
    proxy.cut(Ending::Reset);
    assert_eq!(client.rest().await, (Vec::new(), Ending::Reset));
}

#[tokio::test]
async fn cut_at_spares_the_others() {
    let (first, second) = (broker().await, broker().await);
    let proxy = proxy_before(first).await;
    let stand_in = proxy.stand_in(&second.to_string()).unwrap();
    let mut to_first = Peer::connect(proxy.addr()).await;
    let mut to_second = Peer::connect(stand_in).await;
    to_first.ask(request(SEND, 1)).await;
    to_second.ask(request(SEND, 1)).await;
    assert_eq!(proxy.cut_at(&second.to_string(), Ending::Reset), 1);
    assert_eq!(to_second.rest().await, (Vec::new(), Ending::Reset));
    to_first.ask(request(SEND, 2)).await;
}

#[tokio::test]
async fn a_reset_of_the_server_is_passed_on_behind_its_answers() {
    let (listener, upstream) = silent().await;
    let proxy = proxy_before(upstream).await;
    let mut client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    proxy.toxics().add(Toxic::latency(ms(200), ms(0)).down());
    client.write(&request(SEND, 1)).await;
    server.read().await.unwrap();
    server.write(&request(CHANGED, 2)).await;
    soon(proxy.until(|it| it.requests(CHANGED) == 1)).await;
    server.socket.set_zero_linger().unwrap();
    drop(server);
    assert_eq!(client.read().await.unwrap().header.opaque, 2);
    assert_eq!(client.rest().await, (Vec::new(), Ending::Reset));
}

#[tokio::test]
async fn what_a_server_said_before_it_went_arrives() {
    let (listener, upstream) = silent().await;
    let proxy = proxy_before(upstream).await;
    let mut client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    proxy.toxics().add(Toxic::latency(ms(300), ms(0)).down());
    client.write(&request(SEND, 1)).await;
    server.read().await.unwrap();
    server.write(&request(CHANGED, 2)).await;
    drop(server);
    // The first of these makes the server's kernel reset, and the second can't be written.
    for count in 2..4 {
        client.write(&request(SEND, 3)).await;
        soon(proxy.until(|it| it.requests(SEND) == count)).await;
    }
    assert_eq!(client.read().await.unwrap().header.opaque, 2);
    assert_eq!(client.rest().await, (Vec::new(), Ending::Close));
}

#[tokio::test]
async fn upstreams_are_known_by_address() {
    let broker = broker().await;
    let nameserver = nameserver(broker).await;
    let proxy = Proxy::builder(&nameserver).start().await.unwrap();
    let broker = broker.to_string();
    let only = vec![(nameserver.clone(), proxy.addr())];
    assert_eq!(proxy.upstreams(), only);
    assert_eq!(proxy.stand_in(&nameserver).unwrap(), proxy.addr());

    // The one a test asked for is the one the route will name.
    let stand_in = proxy.stand_in(&broker).unwrap();
    let mut client = Peer::connect(proxy.addr()).await;
    let route = client.ask(request(ROUTE, 1)).await;
    assert_eq!(route.body, nameserver_body(stand_in));
    let both = vec![
        (nameserver.clone(), proxy.addr()),
        (broker.clone(), stand_in),
    ];
    assert_eq!(proxy.upstreams(), both);

    let counts = |of: &str| (proxy.connections_to(of), proxy.accepted_for(of));
    assert_eq!((counts(&nameserver), counts(&broker)), ((1, 1), (0, 0)));
    for _ in 0..2 {
        let mut client = Peer::connect(stand_in).await;
        client.ask(request(SEND, 1)).await;
    }
    soon(proxy.until(|it| it.connections() == 1)).await;
    assert_eq!((counts(&nameserver), counts(&broker)), ((1, 1), (0, 2)));
    assert_eq!(counts("elsewhere:1"), (0, 0));
}

#[tokio::test]
async fn there_is_an_end_to_upstreams() {
    let proxy = proxy().await;
    for port in 1..64 {
        proxy.stand_in(&format!("broker:{port}")).unwrap();
    }
    proxy.stand_in("broker:64").unwrap_err();
    proxy.stand_in("broker:1").unwrap();
}

/// The deadline of each wait is the proof: what it waits for has no other way to be noticed.
#[tokio::test]
async fn until_hears_of_connections_and_frames() {
    let proxy = proxy().await;
    let begun = soon(proxy.until(|it| it.connections() == 1));
    let ((), mut client) = tokio::join!(begun, Peer::connect(proxy.addr()));
    let answered = soon(proxy.until(|it| answers(it) == 1));
    tokio::join!(answered, client.ask(request(SEND, 1)));
    let ended = soon(proxy.until(|it| it.connections() == 0));
    tokio::join!(ended, async { drop(client) });
}
