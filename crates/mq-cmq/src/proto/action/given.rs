//! The parameters of a request, as a server reads them.

use crate::proto::ErrorCode;
use crate::proto::limits::{MAX_BATCH, Refusal};
use crate::proto::params;

/// The decoded parameters of a request, in the order in which they came.
#[derive(Debug, Clone, Copy)]
pub struct Given<'p> {
    pairs: &'p [(String, String)],
}

impl<'p> Given<'p> {
    /// Of what [`form::decode`](crate::proto::form::decode) read.
    pub const fn new(pairs: &'p [(String, String)]) -> Self {
        Self { pairs }
    }

    /// A text that has to be there; it may be empty.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::MISSING_PARAMETER`], [`ErrorCode::NOT_REPEATABLE`].
    pub fn text(&self, key: &str) -> Result<&'p str, Refusal> {
        self.text_if(key)?.ok_or_else(|| {
            let message = format!("the parameter {key} is missing");
            Refusal::new(ErrorCode::MISSING_PARAMETER, message)
        })
    }

    /// A text, if it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NOT_REPEATABLE`].
    pub fn text_if(&self, key: &str) -> Result<Option<&'p str>, Refusal> {
        let mut values = self.pairs.iter().filter(|pair| pair.0 == key);
        let first = values.next().map(|pair| pair.1.as_str());
        if values.next().is_some() {
            let message = format!("the parameter {key} is there twice");
            return Err(Refusal::new(ErrorCode::NOT_REPEATABLE, message));
        }
        Ok(first)
    }

    /// A number that has to be there.
    ///
    /// # Errors
    ///
    /// As for [`Given::text`] and [`Given::number_if`].
    pub fn number<T: TryFrom<i64>>(
        &self,
        key: &str,
        out_of_range: ErrorCode,
    ) -> Result<T, Refusal> {
        self.text(key)
            .and_then(|text| read_number(key, text, out_of_range))
    }

    /// A number, if it is there.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::WRONG_TYPE`] for what is no whole number; `out_of_range` for one that a `T` has no room for, such as -1.
    pub fn number_if<T: TryFrom<i64>>(
        &self,
        key: &str,
        out_of_range: ErrorCode,
    ) -> Result<Option<T>, Refusal> {
        let text = self.text_if(key)?;
        text.map(|text| read_number(key, text, out_of_range))
            .transpose()
    }

    /// The list `name.n`, by number, counted from 0 or 1, of 1 to 16 values.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NOT_CONSECUTIVE`], [`ErrorCode::BATCH_SIZE`], [`ErrorCode::MISSING_PARAMETER`] where there is none.
    pub fn list(&self, name: &str) -> Result<Vec<&'p str>, Refusal> {
        let values = self.list_of_any_length(name)?;
        if values.is_empty() {
            let message = format!("the parameter {name}.0 is missing");
            return Err(Refusal::new(ErrorCode::MISSING_PARAMETER, message));
        }
        if values.len() > MAX_BATCH {
            let message = format!("{} values of {name}, over {MAX_BATCH}", values.len());
            return Err(Refusal::new(ErrorCode::BATCH_SIZE, message));
        }
        Ok(values)
    }

    /// The list `name.n`, by number, counted from 0 or 1; how long it may be is for the caller to say.
    ///
    /// # Errors
    ///
    /// [`ErrorCode::NOT_CONSECUTIVE`].
    pub fn list_of_any_length(&self, name: &str) -> Result<Vec<&'p str>, Refusal> {
        params::list(self.pairs, name)
            .map_err(|cause| Refusal::new(ErrorCode::NOT_CONSECUTIVE, cause.to_string()))
    }
}

fn read_number<T: TryFrom<i64>>(
    key: &str,
    text: &str,
    out_of_range: ErrorCode,
) -> Result<T, Refusal> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        let message = format!("the parameter {key} is not a whole number");
        return Err(Refusal::new(ErrorCode::WRONG_TYPE, message));
    }
    let number = text
        .parse()
        .ok()
        .and_then(|number: i64| T::try_from(number).ok());
    number.ok_or_else(|| {
        let shown: String = text.chars().take(24).collect();
        Refusal::new(out_of_range, format!("{key}={shown} is out of range"))
    })
}

#[cfg(test)]
mod tests {
    use std::fmt::Debug;

    use proptest::prelude::*;
    use serde::Serialize;
    use serde::de::DeserializeOwned;

    use crate::proto::action::*;
    use crate::proto::{Envelope, ErrorCode, Params, answer, form};

    /// What a client writes, as a server has it before it.
    fn sent(action: &impl Action) -> Vec<(String, String)> {
        let mut params = Params::new();
        // What every request has, and one that nobody knows.
        params.text("Action", "x");
        params.text("UserpollingWaitSeconds", "10000");
        action.params(&mut params);
        form::decode(form::encode(params.pairs()).as_bytes(), 200).unwrap()
    }

    fn read<'p, A: FromParams<'p>>(pairs: &'p [(String, String)]) -> A {
        A::from_params(&Given::new(pairs)).unwrap()
    }

    fn refused<'p, A: FromParams<'p>>(pairs: &'p [(String, String)]) -> ErrorCode {
        match A::from_params(&Given::new(pairs)) {
            Ok(_) => panic!("accepted"),
            Err(refusal) => refusal.code,
        }
    }

    fn pairs(pairs: &[(&str, &str)]) -> Vec<(String, String)> {
        let own = |pair: &(&str, &str)| (pair.0.to_owned(), pair.1.to_owned());
        pairs.iter().map(own).collect()
    }

    fn comes_back<T: Serialize + DeserializeOwned + PartialEq + Debug>(reply: &T) {
        let request_id = "7".to_owned();
        let bytes = answer::write(&Envelope::success(request_id), None, Some(reply)).unwrap();
        assert_eq!(&answer::parse::<T>(&bytes).unwrap(), reply);
        assert_eq!(Envelope::parse(&bytes).unwrap().code, 0);
    }

    #[test]
    fn what_is_wrong_has_its_code() {
        let q = ("queueName", "q");
        for (given, code) in [
            (vec![q], ErrorCode::MISSING_PARAMETER),
            (vec![("msgBody", "x")], ErrorCode::MISSING_PARAMETER),
            (vec![q, q, ("msgBody", "x")], ErrorCode::NOT_REPEATABLE),
            (
                vec![q, ("msgBody", "x"), ("delaySeconds", "-1")],
                ErrorCode::DELAY_OUT_OF_RANGE,
            ),
            (
                vec![
                    q,
                    ("msgBody", "x"),
                    ("delaySeconds", "99999999999999999999"),
                ],
                ErrorCode::DELAY_OUT_OF_RANGE,
            ),
            (
                vec![q, ("msgBody", "x"), ("delaySeconds", "soon")],
                ErrorCode::WRONG_TYPE,
            ),
            (
                vec![q, ("msgBody", "x"), ("delaySeconds", "")],
                ErrorCode::WRONG_TYPE,
            ),
        ] {
            assert_eq!(
                refused::<SendMessage<'_>>(&pairs(&given)),
                code,
                "{given:?}"
            );
        }
        let receive = pairs(&[q, ("numOfMsg", "-1")]);
        assert_eq!(
            refused::<BatchReceiveMessage<'_>>(&receive),
            ErrorCode::BATCH_SIZE
        );
        let gap = pairs(&[q, ("receiptHandle.0", "1"), ("receiptHandle.2", "1")]);
        assert_eq!(
            refused::<BatchDeleteMessage<'_>>(&gap),
            ErrorCode::NOT_CONSECUTIVE
        );
        assert_eq!(
            refused::<BatchDeleteMessage<'_>>(&pairs(&[q])),
            ErrorCode::MISSING_PARAMETER
        );
        let names: Vec<String> = (1..=17).map(|at| format!("msgBody.{at}")).collect();
        let mut many = pairs(&[q]);
        many.extend(names.into_iter().map(|name| (name, "x".to_owned())));
        assert_eq!(
            refused::<BatchSendMessage<'_>>(&many),
            ErrorCode::BATCH_SIZE
        );
        many.pop();
        assert_eq!(read::<BatchSendMessage<'_>>(&many).bodies.len(), 16);
    }

    #[test]
    fn a_full_success_has_no_list_of_errors_and_types_are_those_of_the_documents() {
        let envelope = Envelope::success("7".to_owned());
        let none = answer::write(
            &envelope,
            Some(9),
            Some(&DeleteErrors { errors: Vec::new() }),
        );
        assert_eq!(
            String::from_utf8(none.unwrap()).unwrap(),
            r#"{"code":0,"message":"","requestId":"7","clientRequestId":9}"#
        );
        let message = ReceivedMessage {
            body: "b".into(),
            id: "1".into(),
            handle: "2".into(),
            enqueued: 3,
            first_dequeued: 4,
            next_visible: 5,
            dequeue_count: 6,
            origin: None,
            bytes: None,
        };
        assert_eq!(
            serde_json::to_string(&message).unwrap(),
            r#"{"msgBody":"b","msgId":"1","receiptHandle":"2","enqueueTime":3,"firstDequeueTime":4,"nextVisibleTime":5,"dequeueCount":6}"#
        );
    }

    proptest! {
        #[test]
        fn a_send_is_read_as_it_was_written(queue in ".*", body in ".*", delay_seconds in any::<Option<u32>>()) {
            let action = SendMessage { queue: &queue, body: &body, delay_seconds };
            let pairs = sent(&action);
            let got: SendMessage<'_> = read(&pairs);
            prop_assert_eq!((got.queue, got.body, got.delay_seconds), (queue.as_str(), body.as_str(), delay_seconds));
        }

        #[test]
        fn batches_are_read_as_they_were_written(queue in ".*", bodies in proptest::collection::vec(".*", 1..=16), delay_seconds in any::<Option<u32>>()) {
            let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
            let pairs = sent(&BatchSendMessage { queue: &queue, bodies: texts.clone(), delay_seconds });
            let got: BatchSendMessage<'_> = read(&pairs);
            prop_assert_eq!((got.queue, &got.bodies, got.delay_seconds), (queue.as_str(), &texts, delay_seconds));
            let pairs = sent(&BatchDeleteMessage { queue: &queue, handles: texts.clone() });
            let got: BatchDeleteMessage<'_> = read(&pairs);
            prop_assert_eq!((got.queue, &got.handles), (queue.as_str(), &texts));
        }

        #[test]
        fn what_a_topic_takes_is_read_as_it_was_written(
            topic in ".*",
            bodies in proptest::collection::vec(".*", 1..=16),
            tags in proptest::collection::vec(".*", 0..8),
            key in proptest::option::of(".*"),
        ) {
            let texts: Vec<&str> = bodies.iter().map(String::as_str).collect();
            let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
            let routing_key = key.as_deref();
            let pairs = sent(&PublishMessage { topic: &topic, body: texts[0], tags: tags.clone(), routing_key });
            let got: PublishMessage<'_> = read(&pairs);
            prop_assert_eq!((got.topic, got.body, &got.tags, got.routing_key), (topic.as_str(), texts[0], &tags, routing_key));
            let pairs = sent(&BatchPublishMessage { topic: &topic, bodies: texts.clone(), tags: tags.clone(), routing_key });
            let got: BatchPublishMessage<'_> = read(&pairs);
            prop_assert_eq!((got.topic, &got.bodies, &got.tags, got.routing_key), (topic.as_str(), &texts, &tags, routing_key));
        }

        #[test]
        fn a_receive_and_a_delete_are_read_as_they_were_written(queue in ".*", handle in ".*", count in any::<u32>(), wait_seconds in any::<Option<u32>>()) {
            let pairs = sent(&ReceiveMessage { queue: &queue, wait_seconds, visibility_seconds: None });
            let got: ReceiveMessage<'_> = read(&pairs);
            prop_assert_eq!((got.queue, got.wait_seconds), (queue.as_str(), wait_seconds));
            let pairs = sent(&BatchReceiveMessage { queue: &queue, count, wait_seconds, visibility_seconds: None });
            let got: BatchReceiveMessage<'_> = read(&pairs);
            prop_assert_eq!((got.queue, got.count, got.wait_seconds), (queue.as_str(), count, wait_seconds));
            let pairs = sent(&DeleteMessage { queue: &queue, handle: &handle });
            let got: DeleteMessage<'_> = read(&pairs);
            prop_assert_eq!((got.queue, got.handle), (queue.as_str(), handle.as_str()));
        }

        #[test]
        fn a_reply_is_read_as_it_was_written(body in ".*", id in ".*", handle in ".*", times in any::<[u64; 4]>()) {
            let message = ReceivedMessage {
                body, id: id.clone(), handle: handle.clone(),
                enqueued: times[0], first_dequeued: times[1], next_visible: times[2], dequeue_count: times[3],
                origin: None, bytes: None,
            };
            comes_back(&message);
            comes_back(&Messages { messages: vec![message.clone(), message] });
            comes_back(&Stored { id: id.clone() });
            comes_back(&StoredBatch { ids: vec![MessageId { id }; 2] });
            comes_back(&Done {});
            comes_back(&DeleteErrors { errors: vec![NotDeleted { code: times[0], message: "(10260)x".into(), handle }] });
        }
    }
}
