//! Faults as they are typed: `KIND[:REQUEST][=VALUE][@N|%P]`, with commas between.

use std::str::FromStr;
use std::time::Duration;

use super::{Fault, Kind};
use crate::cmq::counts::ACTIONS;

impl Fault {
    /// Reads several faults with commas between.
    ///
    /// # Errors
    /// Which of them can't be read, and why, in one line.
    pub fn parse_list(text: &str) -> Result<Vec<Self>, String> {
        text.split(',').map(str::parse).collect()
    }
}

/// `lose-one`, `shuffle`, `shuffle%30`, `redeliver%10`, `drop-reply:send@3`, `delay:receive=200ms%10`, `500:delete@1`, `half-body`, `cut`,
/// `restart@100`.
impl FromStr for Fault {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let text = text.trim();
        let wrong = |why: &str| format!("the fault \"{text}\": {why}");
        let (rest, when) = match text.find(['@', '%']) {
            Some(at) => text.split_at(at),
            None => (text, ""),
        };
        let (rest, value) = match rest.split_once('=') {
            Some((rest, value)) => (rest, Some(value)),
            None => (rest, None),
        };
        let (kind, request) = match rest.split_once(':') {
            Some((kind, request)) => (kind, Some(request)),
            None => (rest, None),
        };
        let mut fault = kind_of(kind, value).map_err(|why| wrong(&why))?;
        let of_receives = matches!(fault.kind, Kind::Shuffle | Kind::Redeliver);
        if let Some(request) = request {
            if of_receives {
                return Err(wrong("it is for all receives, and takes no request"));
            }
            if !is_request(request) {
                let known = "send, receive, delete, publish, confirm, query, or an action such as SendMessage";
                return Err(wrong(&format!("\"{request}\" is no request: {known}")));
            }
            fault = fault.on(request);
        }
        let number = |digits: &str| digits.parse::<u64>().ok();
        match (when.get(..1), when.get(1..).and_then(number)) {
            (None, _) => Ok(fault),
            (Some("@"), Some(nth @ 1..)) if !of_receives => Ok(fault.nth(nth)),
            (Some("%"), Some(percent @ 0..=100)) => {
                Ok(fault.percent(u8::try_from(percent).unwrap_or(100)))
            }
            (Some("@"), _) if of_receives => Err(wrong("it takes %P, not @N")),
            _ => Err(wrong("@N is a number from 1, %P one from 0 to 100")),
        }
    }
}

fn kind_of(kind: &str, value: Option<&str>) -> Result<Fault, String> {
    let fault = match kind {
        "delay" => {
            let time = value.and_then(duration);
            return time
                .map(Fault::delay)
                .ok_or_else(|| "it takes a time, such as =200ms or =2s".to_owned());
        }
        "lose-one" => Fault::lose_one(),
        "shuffle" => Fault::shuffle(),
        "redeliver" => Fault::redeliver(),
        "drop-reply" => Fault::drop_reply(),
        "500" => Fault::status_500(),
        "half-body" => Fault::half_body(),
        "cut" => Fault::cut(),
        "restart" => Fault::restart(),
        _ => return Err(format!("\"{kind}\" is no kind of fault: {KINDS}")),
    };
    match value {
        None => Ok(fault),
        Some(_) => Err(format!("{kind} takes no value")),
    }
}

fn is_request(request: &str) -> bool {
    let name = request.to_ascii_lowercase();
    let groups = [
        "send", "receive", "recv", "pull", "delete", "publish", "confirm", "query",
    ];
    groups.contains(&name.as_str()) || ACTIONS.contains(&name.as_str())
}

fn duration(text: &str) -> Option<Duration> {
    if let Some(digits) = text.strip_suffix("ms") {
        return digits.parse().ok().map(Duration::from_millis);
    }
    let digits = text.strip_suffix('s')?;
    digits.parse().ok().map(Duration::from_secs)
}

const KINDS: &str =
    "lose-one, shuffle, redeliver, drop-reply, delay, 500, half-body, cut or restart";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cmq::faults::{Faults, When};

    #[test]
    fn reads_what_is_documented() {
        for (text, kind, action, when) in [
            ("lose-one", Kind::LoseOne, None, When::Nth(1)),
            ("shuffle", Kind::Shuffle, None, When::Always),
            ("redeliver%10", Kind::Redeliver, None, When::Percent(10)),
            (
                "drop-reply:send@3",
                Kind::DropReply,
                Some("send"),
                When::Nth(3),
            ),
            (
                "delay:pull=200ms%10",
                Kind::Delay(Duration::from_millis(200)),
                Some("pull"),
                When::Percent(10),
            ),
            (
                "500:DeleteMessage",
                Kind::Status500,
                Some("deletemessage"),
                When::Always,
            ),
            ("half-body", Kind::HalfBody, None, When::Always),
            ("cut", Kind::Cut, None, When::Nth(1)),
            (" restart@100 ", Kind::Restart, None, When::Nth(100)),
        ] {
            let fault: Fault = text.parse().unwrap();
            assert_eq!((fault.kind, fault.when), (kind, when), "{text}");
            assert_eq!(fault.action.as_deref(), action, "{text}");
        }
        assert_eq!(Fault::parse_list("cut,shuffle").unwrap().len(), 2);
    }

    #[test]
    fn says_what_is_wrong() {
        for (text, word) in [
            ("", "no kind"),
            ("canary", "no kind"),
            ("cut,", "no kind"),
            ("delay", "200ms"),
            ("delay=soon", "200ms"),
            ("cut=1s", "no value"),
            ("cut@0", "from 1"),
            ("cut@", "from 1"),
            ("cut%101", "0 to 100"),
            ("shuffle@3", "%P"),
            ("shuffle:send", "all receives"),
            ("cut:nothing", "SendMessage"),
        ] {
            let error = Fault::parse_list(text).unwrap_err();
            assert!(error.contains(word), "{text}: {error}");
        }
    }

    #[test]
    fn strikes_whom_it_is_for() {
        let third = Fault::drop_reply().on("send").nth(3);
        let all = Fault::cut().on("ReceiveMessage").percent(100);
        let faults = Faults::new(vec![third.clone()], 1);
        faults.add(all.clone());
        let mut struck = Vec::new();
        for action in [
            "sendmessage",
            "receivemessage",
            "batchsendmessage",
            "batchreceivemessage",
            "sendmessage",
            "sendmessage",
        ] {
            struck.push(faults.strike(action));
        }
        let (none, cut, reply) = (vec![], vec![Kind::Cut], vec![Kind::DropReply]);
        assert_eq!(
            struck,
            [none.clone(), cut, none.clone(), none.clone(), reply, none]
        );
        assert_eq!((third.seen(), third.times(), all.times()), (4, 1, 1));
        all.disarm();
        assert!(faults.strike("receivemessage").is_empty());
        assert_eq!(all.seen(), 1);
    }

    #[test]
    fn loses_a_message_only_where_there_is_one() {
        let faults = Faults::new(vec![Fault::lose_one()], 1);
        assert!(faults.strike("receivemessage").is_empty());
        assert_eq!(faults.strike("batchpublishmessage"), [Kind::LoseOne]);
        assert!(faults.strike("sendmessage").is_empty());
    }
}
