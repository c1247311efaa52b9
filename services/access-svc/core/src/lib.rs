//! Accounts, tokens, credentials, secrets: pure rules, the view behind them, and who may say what on the bus.
//!
//! No IO, clock, randomness or logging. Secret values never enter this crate: only hashes, names and versions.

mod build;
mod claims;
mod credential;
mod decide;
mod lifetime;
mod login;
mod permissions;
mod refusal;
mod rows;
mod secret;
mod shares;
mod token;
mod view;

pub use claims::{
    AccountClaims, AccountLimits, Unsigned, UserClaims, account_claims, operator_claims, user_claims,
};
pub use credential::{Credential, credential_of};
pub use decide::{
    Context, account_stream, bootstrap_claim, credential_stream, decide, secret_stream, token_stream,
};
pub use lifetime::UNCLAIMED_SECRET_LIFE;
pub use login::{login_scope, registry_in};
pub use permissions::{
    LOG_READERS, Permissions, SERVICES, agent_inbox, agent_permissions, log_reader, service_permissions,
};
pub use rows::{AllocationRow, ApplicationRow, BuildRow, CredentialRow, Ownerless, SecretRow, TokenRow};
pub use secret::{MAX_SECRET_KEYS, MAX_SECRET_SCOPE_BYTES, Secret, StoreSecret, destroy, secret_of, store};
pub use shares::{Direction, Share, exports, imports};
pub use token::{Token, constant_time_eq, token_of};
pub use view::AccessView;
