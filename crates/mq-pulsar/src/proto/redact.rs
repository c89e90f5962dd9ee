//! `Debug` of the commands that carry credentials, without them.

use std::fmt;

use super::api::{AuthData, CommandConnect, CommandLookupTopic, CommandPartitionedTopicMetadata};

/// What stands for a credential.
struct Redacted;

impl fmt::Debug for Redacted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl fmt::Debug for AuthData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AuthData")
            .field("auth_method_name", &self.auth_method_name)
            .field("auth_data", &self.auth_data.as_ref().map(|_| Redacted))
            .finish()
    }
}

impl fmt::Debug for CommandConnect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let original = self.original_auth_data.as_ref().map(|_| Redacted);
        f.debug_struct("CommandConnect")
            .field("client_version", &self.client_version)
            .field("auth_method_name", &self.auth_method_name)
            .field("auth_data", &self.auth_data.as_ref().map(|_| Redacted))
            .field("protocol_version", &self.protocol_version)
            .field("proxy_to_broker_url", &self.proxy_to_broker_url)
            .field("original_principal", &self.original_principal)
            .field("original_auth_data", &original)
            .field("original_auth_method", &self.original_auth_method)
            .field("feature_flags", &self.feature_flags)
            .field("proxy_version", &self.proxy_version)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for CommandLookupTopic {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let original = self.original_auth_data.as_ref().map(|_| Redacted);
        f.debug_struct("CommandLookupTopic")
            .field("topic", &self.topic)
            .field("request_id", &self.request_id)
            .field("authoritative", &self.authoritative)
            .field("original_principal", &self.original_principal)
            .field("original_auth_data", &original)
            .field("original_auth_method", &self.original_auth_method)
            .field("advertised_listener_name", &self.advertised_listener_name)
            .field("properties", &self.properties)
            .finish()
    }
}

impl fmt::Debug for CommandPartitionedTopicMetadata {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let original = self.original_auth_data.as_ref().map(|_| Redacted);
        let create = &self.metadata_auto_creation_enabled;
        f.debug_struct("CommandPartitionedTopicMetadata")
            .field("topic", &self.topic)
            .field("request_id", &self.request_id)
            .field("original_principal", &self.original_principal)
            .field("original_auth_data", &original)
            .field("original_auth_method", &self.original_auth_method)
            .field("metadata_auto_creation_enabled", create)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::super::api;

    #[test]
    fn no_credential_is_in_any_debug() {
        let secret = || Some("s3cr3t".to_owned());
        let command = api::BaseCommand {
            connect: Some(api::CommandConnect {
                auth_data: Some(Bytes::from_static(b"s3cr3t")),
                original_auth_data: secret(),
                auth_method_name: Some("token".into()),
                ..Default::default()
            }),
            auth_response: Some(api::CommandAuthResponse {
                response: Some(api::AuthData {
                    auth_data: Some(Bytes::from_static(b"s3cr3t")),
                    auth_method_name: None,
                }),
                ..Default::default()
            }),
            auth_challenge: Some(api::CommandAuthChallenge {
                challenge: Some(api::AuthData {
                    auth_data: Some(Bytes::from_static(b"s3cr3t")),
                    auth_method_name: None,
                }),
                ..Default::default()
            }),
            lookup_topic: Some(api::CommandLookupTopic {
                original_auth_data: secret(),
                ..Default::default()
            }),
            partition_metadata: Some(api::CommandPartitionedTopicMetadata {
                original_auth_data: secret(),
                ..Default::default()
            }),
            ..Default::default()
        };
        let text = format!("{command:?}");
        assert!(!text.contains("s3cr3t"), "{text}");
        assert_eq!(text.matches('…').count(), 6, "{text}");
        assert!(text.contains("token"), "{text}");
    }
}
