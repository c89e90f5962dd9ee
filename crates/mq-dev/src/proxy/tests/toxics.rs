//! Each toxic, on sockets: what the timing is exactly is tested without them, in `link/tests.rs`.

use super::*;

const HOUR: Duration = Duration::from_secs(3600);

#[tokio::test]
async fn latency_delays_each_direction() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    let late = Toxic::latency(ms(200), ms(0));
    for (toxic, expected) in [
        (late.clone().up(), 200),
        (late.clone().down(), 200),
        (late, 400),
    ] {
        let id = proxy.toxics().add(toxic);
        let start = now();
        client.ask(request(SEND, 1)).await;
        assert!(start.elapsed() >= ms(expected), "{:?}", start.elapsed());
        assert!(proxy.toxics().remove(id));
        assert!(!proxy.toxics().remove(id));
    }
}

#[tokio::test]
async fn latency_is_added_and_removed_while_answers_wait() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    client.ask(request(SEND, 1)).await;

    let up = proxy.toxics().add(Toxic::latency(HOUR, ms(0)).up());
    client.write(&request(SEND, 2)).await;
    soon(proxy.until(|it| it.requests(SEND) == 2)).await;
    client.stays_silent().await;
    assert_eq!(answers(&proxy), 1, "the second one is still on its way");

    let down = proxy.toxics().add(Toxic::latency(HOUR, ms(0)).down());
    proxy.toxics().remove(up);
    soon(proxy.until(|it| answers(it) == 2)).await;
    client.stays_silent().await;

    proxy.toxics().remove(down);
    assert_eq!(client.read().await.unwrap().header.opaque, 2);
}

#[tokio::test]
async fn latency_lets_many_be_under_way() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    proxy.toxics().add(Toxic::latency(ms(300), ms(0)).down());
    let start = now();
    for opaque in 0..100 {
        client.write(&request(SEND, opaque)).await;
    }
    for opaque in 0..100 {
        assert_eq!(client.read().await.unwrap().header.opaque, opaque);
    }
    // One after the other it would be 30 s.
    assert!(start.elapsed() < Duration::from_secs(15));
}

#[tokio::test]
async fn bandwidth_takes_its_time_both_ways() {
    let server = serve(|frame| (0, frame.body.clone())).await;
    let proxy = proxy_before(server).await;
    let body = vec![7; 10_000];
    for toxic in [
        Toxic::bandwidth(50_000).up(),
        Toxic::bandwidth(50_000).down(),
    ] {
        let mut client = Peer::connect(proxy.addr()).await;
        let id = proxy.toxics().add(toxic);
        let start = now();
        client.write_with(&request(SEND, 1), &body).await;
        assert_eq!(client.read().await.unwrap().body, body);
        assert!(start.elapsed() >= ms(200), "{:?}", start.elapsed());
        proxy.toxics().remove(id);
    }
}

#[tokio::test]
async fn bandwidth_that_is_removed_holds_up_nothing() {
    let server = serve(|frame| (0, frame.body.clone())).await;
    let proxy = proxy_before(server).await;
    proxy.toxics().add(Toxic::bandwidth(10));
    let mut client = Peer::connect(proxy.addr()).await;
    let body = vec![7; 100_000];
    client.write_with(&request(SEND, 1), &body).await;
    soon(proxy.until(|it| it.requests(SEND) == 1)).await;
    proxy.toxics().clear();
    assert_eq!(client.read().await.unwrap().body, body);
}

#[tokio::test]
async fn bandwidth_and_blackhole_hold_up_the_sender() {
    for toxic in [Toxic::bandwidth(10), Toxic::blackhole()] {
        let (_listener, server) = silent().await;
        let proxy = Proxy::builder(server.to_string()).start().await.unwrap();
        proxy.toxics().add(toxic.up());
        let mut client = Peer::connect(proxy.addr()).await;
        let megabyte = vec![0; 1 << 20];
        // Buffers of kernels take some, and the proxy 18 frames.
        let write = async {
            for opaque in 0..64 {
                client.write_with(&request(SEND, opaque), &megabyte).await;
            }
        };
        assert!(timeout(ms(1000), write).await.is_err());
        soon(proxy.until(|it| it.requests(SEND) > 0)).await;
        assert!(proxy.requests(SEND) <= 18, "{}", proxy.requests(SEND));
    }
}

#[tokio::test]
async fn slicer_makes_frames_arrive_in_parts() {
    let server = serve(|frame| (0, frame.body.clone())).await;
    let proxy = proxy_before(server).await;
    let body = vec![7; 1000];
    for toxic in [
        Toxic::slicer(100, 50, ms(20)).up(),
        Toxic::slicer(100, 50, ms(20)).down(),
    ] {
        let up = toxic == toxic.clone().up();
        let mut client = Peer::connect(proxy.addr()).await;
        let id = proxy.toxics().add(toxic);
        let start = now();
        client.write_with(&request(SEND, 1), &body).await;
        let mut reads = 0;
        while client.buf.len() < body.len() {
            assert_ne!(
                soon(client.socket.read_buf(&mut client.buf)).await.unwrap(),
                0
            );
            reads += 1;
        }
        // At least seven pieces, and six pauses.
        assert!(start.elapsed() >= ms(120), "{:?}", start.elapsed());
        assert!(up || reads > 1, "in one piece");
        assert_eq!(client.read().await.unwrap().body, body);
        proxy.toxics().remove(id);
    }
}

#[tokio::test]
async fn timeout_loses_what_comes_and_closes_after_its_time() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    client.ask(request(SEND, 1)).await;
    let start = now();
    proxy.toxics().add(Toxic::timeout(ms(300)).down());
    client.write(&request(SEND, 2)).await;
    assert_eq!(client.rest().await, (Vec::new(), Ending::Close));
    assert!(start.elapsed() >= ms(300), "{:?}", start.elapsed());
    assert_eq!(answers(&proxy), 2, "what is lost is recorded");
}

#[tokio::test]
async fn timeout_zero_reads_on_and_its_removal_closes() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    let mut other = Peer::connect(proxy.addr()).await;
    let toxic = proxy.toxics().add(Toxic::timeout(ms(0)).up());
    for opaque in 0..100 {
        client.write(&request(SEND, opaque)).await;
    }
    soon(proxy.until(|it| it.requests(SEND) == 100)).await;
    client.stays_silent().await;
    assert_eq!(answers(&proxy), 0);
    proxy.toxics().remove(toxic);
    assert_eq!(client.rest().await, (Vec::new(), Ending::Close));
    assert_eq!(other.rest().await, (Vec::new(), Ending::Close));
}

#[tokio::test]
async fn reset_peer_down_resets_instead_of_the_answer() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    let mut idle = Peer::connect(proxy.addr()).await;
    client.ask(request(SEND, 1)).await;
    let toxic = proxy.toxics().add(Toxic::reset_peer(ms(0)).down());
    client.write(&request(SEND, 2)).await;
    assert_eq!(client.rest().await, (Vec::new(), Ending::Reset));
    assert_eq!(answers(&proxy), 2, "the server has done it");
    soon(proxy.until(|it| it.connections() == 1)).await;
    proxy.toxics().remove(toxic);
    idle.ask(request(SEND, 3)).await;
}

#[tokio::test]
async fn reset_peer_up_resets_both_ends_instead_of_the_request() {
    let (listener, server) = silent().await;
    let proxy = proxy_before(server).await;
    let mut client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    let start = now();
    proxy.toxics().add(Toxic::reset_peer(ms(200)).up());
    client.write(&request(SEND, 1)).await;
    assert_eq!(client.rest().await, (Vec::new(), Ending::Reset));
    assert!(start.elapsed() >= ms(200), "{:?}", start.elapsed());
    assert_eq!(server.rest().await, (Vec::new(), Ending::Reset));
    assert_eq!(proxy.requests(SEND), 1);
}

#[tokio::test]
async fn blackhole_loses_nothing_in_either_direction() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    for (opaque, toxic, arrives) in [
        (0, Toxic::blackhole().up(), 0),
        (1, Toxic::blackhole().down(), 1),
        (2, Toxic::blackhole(), 0),
    ] {
        let before = answers(&proxy);
        let toxic = proxy.toxics().add(toxic);
        client.write(&request(SEND, opaque)).await;
        soon(proxy.until(|it| answers(it) >= before + arrives)).await;
        client.stays_silent().await;
        assert_eq!(answers(&proxy), before + arrives);
        proxy.toxics().remove(toxic);
        assert_eq!(client.read().await.unwrap().header.opaque, opaque);
    }
    assert_eq!(proxy.requests(SEND), 3, "what was held back was counted");
}

#[tokio::test]
async fn blackhole_accepts_and_answers_nothing() {
    let proxy = proxy().await;
    let toxic = proxy.toxics().add(Toxic::blackhole());
    let mut client = Peer::connect(proxy.addr()).await;
    client.write(&request(SEND, 1)).await;
    client.stays_silent().await;
    proxy.toxics().remove(toxic);
    assert_eq!(client.read().await.unwrap().header.opaque, 1);
}

#[tokio::test]
async fn blackhole_hides_the_end_of_the_server() {
    for ending in [Ending::Close, Ending::Reset] {
        let (listener, server) = silent().await;
        let proxy = proxy_before(server).await;
        let mut client = Peer::connect(proxy.addr()).await;
        let server = accepted(&listener).await;
        let toxic = proxy.toxics().add(Toxic::blackhole());
        if ending == Ending::Reset {
            server.socket.set_zero_linger().unwrap();
        }
        drop(server);
        client.write(&request(SEND, 1)).await;
        client.stays_silent().await;
        assert_eq!(proxy.connections(), 1);
        proxy.toxics().remove(toxic);
        assert_eq!(client.rest().await.0, Vec::<u8>::new());
        soon(proxy.until(|it| it.connections() == 0)).await;
    }
}

#[tokio::test]
async fn blackhole_hides_the_end_of_the_client() {
    let (listener, server) = silent().await;
    let proxy = proxy_before(server).await;
    let client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    let toxic = proxy.toxics().add(Toxic::blackhole().up());
    drop(client);
    server.stays_silent().await;
    proxy.toxics().remove(toxic);
    assert_eq!(server.rest().await, (Vec::new(), Ending::Close));
}

#[tokio::test]
async fn blackhole_hides_that_there_is_no_server() {
    for toxic in [Toxic::blackhole().up(), Toxic::blackhole().down()] {
        let (_reserved, server) = dead();
        let proxy = proxy_before(server).await;
        let toxic = proxy.toxics().add(toxic);
        let mut client = Peer::connect(proxy.addr()).await;
        client.stays_silent().await;
        proxy.toxics().remove(toxic);
        assert_eq!(client.rest().await, (Vec::new(), Ending::Close));
    }
}

#[tokio::test]
async fn blackhole_hides_what_broke_the_connection() {
    let (listener, server) = silent().await;
    let proxy = proxy_before(server).await;
    let mut client = Peer::connect(proxy.addr()).await;
    let _server = accepted(&listener).await;
    let toxic = proxy.toxics().add(Toxic::blackhole().down());
    client.socket.write_all(&[0; 16]).await.unwrap();
    client.stays_silent().await;
    proxy.toxics().remove(toxic);
    assert_eq!(client.rest().await.0, Vec::<u8>::new());
}

#[tokio::test]
async fn limit_data_closes_after_so_many_bytes() {
    let (listener, upstream) = silent().await;
    let proxy = proxy_before(upstream).await;
    let frame = request(SEND, 1).encode(0).into_bytes();

    let toxic = proxy.toxics().add(Toxic::limit_data(10).up());
    // Each connection has its own count.
    for _ in 0..2 {
        let mut client = Peer::connect(proxy.addr()).await;
        let mut server = accepted(&listener).await;
        client.write(&request(SEND, 1)).await;
        assert_eq!(server.rest().await, (frame[..10].to_vec(), Ending::Close));
        assert_eq!(client.rest().await, (Vec::new(), Ending::Close));
    }
    proxy.toxics().remove(toxic);

    proxy.toxics().add(Toxic::limit_data(20).down());
    let mut client = Peer::connect(proxy.addr()).await;
    let mut server = accepted(&listener).await;
    client.write(&request(SEND, 1)).await;
    server.read().await.unwrap();
    server.write(&request(CHANGED, 2)).await;
    let (bytes, ending) = client.rest().await;
    assert_eq!((bytes.len(), ending), (20, Ending::Close));
}

#[tokio::test]
async fn refuse_refuses_new_connections_only_and_keeps_the_port() {
    let proxy = proxy().await;
    let mut client = Peer::connect(proxy.addr()).await;
    client.ask(request(SEND, 1)).await;
    for _ in 0..3 {
        let toxic = proxy.toxics().add(Toxic::refuse());
        let refused = TcpStream::connect(proxy.addr()).await.unwrap_err();
        assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
        client.ask(request(SEND, 2)).await;
        proxy.toxics().remove(toxic);
        let mut other = Peer::connect(proxy.addr()).await;
        other.ask(request(SEND, 3)).await;
    }
}

#[tokio::test]
async fn refuse_counts_for_upstreams_that_come_later() {
    let proxy = proxy().await;
    let other = broker().await.to_string();
    proxy.toxics().add(Toxic::refuse().at(&other));
    let stand_in = proxy.stand_in(&other).unwrap();
    let refused = TcpStream::connect(stand_in).await.unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
    Peer::connect(proxy.addr())
        .await
        .ask(request(SEND, 1))
        .await;
    proxy.toxics().clear();
    Peer::connect(stand_in).await.ask(request(SEND, 1)).await;
}

#[tokio::test]
async fn a_toxic_stays_at_its_upstream() {
    let (first, second) = (broker().await, broker().await);
    let proxy = proxy_before(first).await;
    let stand_in = proxy.stand_in(&second.to_string()).unwrap();
    let (mut to_first, mut to_second) = (
        Peer::connect(proxy.addr()).await,
        Peer::connect(stand_in).await,
    );
    let toxic = Toxic::blackhole().at(second.to_string());
    proxy.toxics().add(toxic);
    to_second.write(&request(SEND, 1)).await;
    to_first.ask(request(SEND, 2)).await;
    to_second.stays_silent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn toxics_may_be_changed_on_any_thread() {
    let proxy = proxy().await;
    let toxics = proxy.toxics();
    let thread = std::thread::spawn(move || {
        toxics.add(Toxic::refuse());
        toxics.clear();
        assert_eq!(format!("{toxics:?}"), "[]");
    });
    thread.join().unwrap();
    Peer::connect(proxy.addr())
        .await
        .ask(request(SEND, 1))
        .await;
}
