//! Accounts, tokens, credentials, secrets: pure rules, views and plans.
