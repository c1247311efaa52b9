//! The log: appends, numbers, chains, relays to JetStream, replays, proves.
