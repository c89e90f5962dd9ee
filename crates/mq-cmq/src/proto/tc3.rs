//! The control plane's wire, without a socket: Tencent Cloud's API 3.0, version 2020-02-17 of `tdmq`, signed by TC3-HMAC-SHA256.
//!
//! ```text
//!  action ─► JSON ─► canonical request ─► string to sign ─► Authorization ─► POST / with X-TC-… headers
//!  answer bytes ─► {"Response":{…}} ─► the action's reply, or {"Error":{"Code","Message"}}
//! ```
//!
//! Source: Tencent Cloud's documents on signature v3 (product 1021, document 34193) and on the actions (product 1110), and its SDK for Python
//! (`tencentcloud-sdk-python-tdmq` 3.1.130: `tdmq/v20200217/models.py`, `errorcodes.py`, `common/abstract_client.py`).

pub mod action;
pub mod answer;
pub mod code;
pub mod date;
pub mod limits;
pub mod received;
pub mod sign;

pub use self::action::Action;
pub use self::answer::{Answer, Refused};
pub use self::code::ControlCode;
pub use self::limits::Refusal;
pub use self::received::{Mismatch, Received};
pub use self::sign::{Authorization, Canonical, Key, Scope};

/// The service's name in the scope of a signature.
pub const SERVICE: &str = "tdmq";
/// The value of the header `X-TC-Version`.
pub const VERSION: &str = "2020-02-17";
/// The first word of the header `Authorization`, and of what is signed.
pub const ALGORITHM: &str = "TC3-HMAC-SHA256";
/// What stands for the body's hash where the body is not signed.
pub const UNSIGNED_PAYLOAD: &str = "UNSIGNED-PAYLOAD";
/// The `Content-Type` of requests and answers. SDKs take an answer for a success, whatever it says, where it is another.
pub const CONTENT_TYPE: &str = "application/json";
