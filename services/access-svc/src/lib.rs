//! Accounts, tokens, credentials, secrets: the service shell around its core.
