//! A broker that answers every frame with where a topic is: at itself.

use super::*;

#[tokio::test]
async fn a_lookup_keeps_clients_on_the_proxy_and_is_recorded_as_it_was() {
    let broker = broker().await;
    let proxy = Proxy::builder(broker.to_string()).pulsar().record(true);
    let proxy = proxy.start().await.unwrap();

    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    let here = lookup(&mut client).await;
    // The broker is the upstream that the proxy was started with.
    assert_eq!(here, answer(proxy.addr()));
    let frames = proxy.pulsar_frames();
    assert!(proxy.is_complete());
    let seen: Vec<_> = frames.iter().map(|it| (it.direction, &*it.frame)).collect();
    let said = answer(broker);
    assert_eq!(
        seen,
        [
            (Direction::ToServer, PING),
            (Direction::ToClient, &said[..])
        ]
    );

    // Two at once, and one in pieces.
    client.write_all(&[PING, PING].concat()).await.unwrap();
    assert_eq!(
        read(&mut client, 2 * here.len()).await,
        [&here[..], &here].concat()
    );
    for piece in PING.chunks(3) {
        client.write_all(piece).await.unwrap();
        client.flush().await.unwrap();
    }
    assert_eq!(read(&mut client, here.len()).await, here);
    assert_eq!(proxy.pulsar_frames().len(), 8);
}

#[tokio::test]
async fn a_length_that_no_frame_has_ends_the_connection() {
    let proxy = Proxy::builder(broker().await.to_string()).pulsar();
    let proxy = proxy.start().await.unwrap();
    let mut client = TcpStream::connect(proxy.addr()).await.unwrap();
    client.write_all(b"GET / HTTP/1.1\r\n\r\n").await.unwrap();
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(10), client.read_to_end(&mut rest));
    // As a close or as a reset.
    let _ = ended.await.expect("the connection ends");
    assert!(rest.is_empty());
}

async fn lookup(client: &mut TcpStream) -> Vec<u8> {
    client.write_all(PING).await.unwrap();
    let mut size = [0; 4];
    client.read_exact(&mut size).await.unwrap();
    let rest = read(client, u32::from_be_bytes(size) as usize).await;
    [&size[..], &rest].concat()
}

async fn read(client: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let reading = client.read_exact(&mut bytes);
    timeout(Duration::from_secs(10), reading)
        .await
        .unwrap()
        .unwrap();
    bytes
}

async fn broker() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        while let Ok((mut client, _)) = listener.accept().await {
            let mut frame = [0; PING.len()];
            while client.read_exact(&mut frame).await.is_ok() {
                assert_eq!(frame, PING);
                client.write_all(&answer(addr)).await.unwrap();
            }
        }
    });
    addr
}

/// Ports of a test are of five digits, or of four.
fn answer(addr: SocketAddr) -> Vec<u8> {
    let url = format!("pulsar://{addr}");
    let length = |bytes: &[u8]| u8::try_from(bytes.len()).unwrap();
    let inner = [
        &[0x0A, length(url.as_bytes())],
        url.as_bytes(),
        b"\x18\x01\x20\x07",
    ]
    .concat();
    let command = [b"\x08\x18\xC2\x01", &[length(&inner)][..], &inner].concat();
    let size = length(&command);
    [&[0, 0, 0, size + 4, 0, 0, 0, size][..], &command].concat()
}

const PING: &[u8] = b"\x00\x00\x00\x09\x00\x00\x00\x05\x08\x12\x92\x01\x00";
