//! A join token: `berth-join-<token id>.<secret>.<SHA-256 of the CA>`.

use berth_api::JOIN_TOKEN_PREFIX;
use berth_ids::TokenId;
use secrecy::SecretString;
use std::str::FromStr;

/// What a join token says.
#[derive(Debug, Clone)]
pub struct JoinToken {
    /// Its id.
    pub token_id: TokenId,
    /// Its secret part.
    pub secret: SecretString,
    /// SHA-256 of the certificate (DER) of the platform's CA.
    pub ca_sha256: [u8; 32],
}

/// A text that is no join token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("this is not a join token (`berth-join-…`): {0}; copy it whole, or mint a new one")]
pub struct TokenError(&'static str);

impl FromStr for JoinToken {
    type Err = TokenError;
    fn from_str(text: &str) -> Result<Self, TokenError> {
        let rest = text.trim().strip_prefix(JOIN_TOKEN_PREFIX);
        let rest = rest.ok_or(TokenError("it does not begin with `berth-join-`"))?;
        let parts: Vec<&str> = rest.split('.').collect();
        let &[id, secret, pin] = parts.as_slice() else {
            return Err(TokenError("it does not have three parts"));
        };
        if secret.is_empty() {
            return Err(TokenError("its secret is empty"));
        }
        let mut ca_sha256 = [0; 32];
        hex::decode_to_slice(pin, &mut ca_sha256).map_err(|_| TokenError("its last part is no SHA-256"))?;
        Ok(Self {
            token_id: id.parse().map_err(|_| TokenError("its first part is no id"))?,
            secret: SecretString::from(secret),
            ca_sha256,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_and_a_broken_one_says_what_is_wrong() {
        let id = "018f0000000070008000000000000001";
        let pin = "ab".repeat(32);
        let token: JoinToken = format!("berth-join-{id}.c2VjcmV0.{pin}\n").parse().unwrap();
        assert_eq!(token.ca_sha256, [0xab; 32]);
        assert!(!format!("{token:?}").contains("c2VjcmV0"));
        for (text, words) in [
            ("hello".to_owned(), "begin with"),
            (format!("berth-join-{id}.c2VjcmV0"), "three parts"),
            (format!("berth-join-x.c2VjcmV0.{pin}"), "no id"),
            (format!("berth-join-{id}.c2VjcmV0.zz"), "no SHA-256"),
        ] {
            let error = text.parse::<JoinToken>().unwrap_err();
            assert!(error.to_string().contains(words), "{error}");
        }
    }
}
