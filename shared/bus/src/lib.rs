//! NATS JetStream for services and agents: subjects, streams, commands, questions, facts.
