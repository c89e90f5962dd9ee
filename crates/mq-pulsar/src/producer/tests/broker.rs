//! A broker of a test's own: it lets in whoever comes, opens every producer, and answers what is sent as the test says.

use std::sync::{Arc, Mutex};

use bytes::BytesMut;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;
use tokio::net::tcp::OwnedWriteHalf;
use tokio::sync::{mpsc, watch};

use crate::proto::api::{self, BaseCommand, base_command::Type};
use crate::proto::{EntryId, FrameDecoder, Incoming, Receipt, SendHead, encode};

/// What was sent, and on which connection.
#[derive(Debug)]
pub(super) struct Came {
    pub(super) head: SendHead,
    pub(super) link: usize,
}

type Link = Arc<tokio::sync::Mutex<Option<OwnedWriteHalf>>>;

pub(super) struct Broker {
    pub(super) url: String,
    sent: mpsc::Receiver<Came>,
    links: Arc<Mutex<Vec<Link>>>,
    /// Whether producers are opened.
    opens: watch::Sender<bool>,
}

impl Broker {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("pulsar://{}", listener.local_addr().unwrap());
        let (tell, sent) = mpsc::channel(1000);
        let links = Arc::new(Mutex::new(Vec::new()));
        let opens = watch::Sender::new(true);
        let opening = opens.subscribe();
        let (kept, own_url) = (Arc::clone(&links), url.clone());
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let number = kept.lock().unwrap().len();
                let (mut read, write) = stream.into_split();
                let link: Link = Arc::new(tokio::sync::Mutex::new(Some(write)));
                kept.lock().unwrap().push(Arc::clone(&link));
                let (tell, url, mut opening) = (tell.clone(), own_url.clone(), opening.clone());
                tokio::spawn(async move {
                    let mut bytes = BytesMut::new();
                    let mut decoder = FrameDecoder::default();
                    loop {
                        while let Some(incoming) = decoder.decode(&mut bytes).unwrap() {
                            match incoming {
                                Incoming::Send(sent) => {
                                    let head = sent.head;
                                    let _ = tell.send(Came { head, link: number }).await;
                                }
                                Incoming::Command(command) => {
                                    if command.producer.is_some() {
                                        let _ = opening.wait_for(|opens| *opens).await;
                                    }
                                    if let Some(answer) = answer(&command, &url) {
                                        write_command(&link, &answer).await;
                                    }
                                }
                                other => panic!("{other:?}"),
                            }
                        }
                        if read.read_buf(&mut bytes).await.unwrap_or(0) == 0 {
                            return;
                        }
                    }
                });
            }
        });
        Self {
            url,
            sent,
            links,
            opens,
        }
    }

    /// What was sent next.
    pub(super) async fn came(&mut self) -> Came {
        let waited = tokio::time::timeout(super::WAIT, self.sent.recv());
        waited.await.expect("nothing was sent").unwrap()
    }

    /// Says that nothing more was sent so far, by what is sent and answered after it.
    pub(super) fn has_nothing(&mut self) -> bool {
        self.sent.try_recv().is_err()
    }

    pub(super) async fn stored(&self, came: &Came) {
        let receipt = Receipt {
            producer_id: came.head.producer_id,
            sequence_id: came.head.sequence_id,
            highest_sequence_id: came.head.highest_sequence_id.unwrap_or(0),
            id: Some(EntryId {
                ledger: 1,
                entry: came.head.sequence_id,
                partition: -1,
            }),
        };
        let mut out = BytesMut::new();
        encode::receipt(&mut out, &receipt);
        write(&self.link(came.link), &out).await;
    }

    pub(super) async fn refused(&self, came: &Came, why: api::ServerError) {
        let command = BaseCommand {
            r#type: Type::SendError.into(),
            send_error: Some(api::CommandSendError {
                producer_id: came.head.producer_id,
                sequence_id: came.head.sequence_id,
                error: why.into(),
                message: "as the test says".to_owned(),
            }),
            ..BaseCommand::default()
        };
        write_command(&self.link(came.link), &command).await;
    }

    /// Whether producers are opened from now on, or wait for that.
    pub(super) fn opens(&self, opens: bool) {
        self.opens.send_replace(opens);
    }

    /// Cuts the newest connection.
    pub(super) async fn cut(&self) {
        let link = Arc::clone(self.links.lock().unwrap().last().unwrap());
        drop(link.lock().await.take());
    }

    fn link(&self, number: usize) -> Link {
        Arc::clone(&self.links.lock().unwrap()[number])
    }
}

async fn write_command(link: &Link, command: &BaseCommand) {
    let mut out = BytesMut::new();
    encode::command(&mut out, command);
    write(link, &out).await;
}

async fn write(link: &Link, bytes: &[u8]) {
    if let Some(half) = &mut *link.lock().await {
        let _ = half.write_all(bytes).await;
    }
}

fn answer(command: &BaseCommand, url: &str) -> Option<BaseCommand> {
    let mut answer = BaseCommand::default();
    if command.connect.is_some() {
        answer.r#type = Type::Connected.into();
        answer.connected = Some(api::CommandConnected {
            server_version: "test".to_owned(),
            max_message_size: Some(100_000),
            ..api::CommandConnected::default()
        });
    } else if let Some(asked) = &command.partition_metadata {
        answer.r#type = Type::PartitionedMetadataResponse.into();
        answer.partition_metadata_response = Some(api::CommandPartitionedTopicMetadataResponse {
            partitions: Some(0),
            request_id: asked.request_id,
            ..api::CommandPartitionedTopicMetadataResponse::default()
        });
    } else if let Some(asked) = &command.lookup_topic {
        answer.r#type = Type::LookupResponse.into();
        answer.lookup_topic_response = Some(api::CommandLookupTopicResponse {
            broker_service_url: Some(url.to_owned()),
            response: Some(api::command_lookup_topic_response::LookupType::Connect.into()),
            request_id: asked.request_id,
            ..api::CommandLookupTopicResponse::default()
        });
    } else if let Some(asked) = &command.producer {
        answer.r#type = Type::ProducerSuccess.into();
        answer.producer_success = Some(api::CommandProducerSuccess {
            request_id: asked.request_id,
            producer_name: asked
                .producer_name
                .clone()
                .unwrap_or_else(|| "p".to_owned()),
            last_sequence_id: Some(-1),
            producer_ready: Some(true),
            ..api::CommandProducerSuccess::default()
        });
    } else if let Some(asked) = &command.close_producer {
        answer.r#type = Type::Success.into();
        answer.success = Some(api::CommandSuccess {
            request_id: asked.request_id,
            ..api::CommandSuccess::default()
        });
    } else {
        return None;
    }
    Some(answer)
}
