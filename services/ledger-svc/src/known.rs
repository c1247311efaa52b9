//! What the writer knows without asking the database: heads of streams, and commands done lately.

use crate::{
    cache::Cache,
    error::LedgerError,
    queue::Job,
    store::{Moved, Store},
};
use berth_events::{Feature, Recorded, StreamName};
use berth_eventsourcing::Heads;
use berth_ids::CommandId;
use berth_ledger_core::{Batch, Commands, Features, KnownCommand};
use std::{
    collections::{BTreeSet, HashMap, HashSet},
    time::{Duration, Instant},
};

/// Heads of streams kept in memory.
const MAX_CACHED_HEADS: usize = 200_000;
/// Heads read when a term begins. A log with no more streams is known whole; of a larger one, each stream is
/// looked up when it is first named.
const MAX_LOADED_HEADS: usize = MAX_CACHED_HEADS / 2;
/// Heads that may have moved before the database is told, and for how long while batches come. The writer after
/// this one computes what it was not told.
const TELL_HEADS: usize = 2_000;
const TELL_EVERY: Duration = Duration::from_millis(500);
/// Commands kept in memory; all of 7 days are in the database.
const MAX_CACHED_COMMANDS: usize = 50_000;

/// Heads and commands in memory.
#[derive(Debug)]
pub(crate) struct Known {
    pub(crate) heads: KnownHeads,
    pub(crate) commands: KnownCommands,
    pub(crate) features: Features,
}

/// Heads in memory.
#[derive(Debug)]
pub(crate) struct KnownHeads {
    /// What has moved since the database was told. The writer after this one computes it from the events.
    untold: Moved,
    told_at: Instant,
    cache: Cache<StreamName, u64>,
    /// All heads were read: a stream that is not here has no event.
    all_read: bool,
}

impl Heads for KnownHeads {
    fn version(&self, stream: &StreamName) -> u64 {
        let untold = self.untold.get(stream).map(|head| head.version);
        untold.or_else(|| self.cache.get(stream).copied()).unwrap_or(0)
    }
}

/// Commands in memory. One that is not here may still be in the database.
#[derive(Debug)]
pub(crate) struct KnownCommands(Cache<CommandId, KnownCommand>);

impl Commands for KnownCommands {
    fn known(&self, id: CommandId) -> Option<&KnownCommand> {
        self.0.get(&id)
    }
}

impl Known {
    /// Reads what there is room for.
    pub(crate) async fn load(store: &mut Store, introduced: &BTreeSet<Feature>) -> Result<Self, LedgerError> {
        let mut cache = Cache::new(MAX_CACHED_HEADS);
        let all = store.all_heads(MAX_LOADED_HEADS).await?;
        let all_read = all.is_some();
        for (stream, version) in all.into_iter().flatten() {
            cache.insert(stream, version);
        }
        Ok(Self {
            heads: KnownHeads {
                untold: Moved::new(),
                told_at: Instant::now(),
                cache,
                all_read,
            },
            commands: KnownCommands(Cache::new(MAX_CACHED_COMMANDS)),
            features: store.features(introduced).await?,
        })
    }

    /// Looks up the heads that jobs name and that may be in the database only. Commands are not looked up: the
    /// database itself refuses one that it has.
    pub(crate) async fn look_up_heads(&mut self, store: &mut Store, jobs: &[Job]) -> Result<(), LedgerError> {
        if self.heads.all_read && !self.heads.cache.is_forgetful() {
            return Ok(());
        }
        let mut streams = HashSet::new();
        for job in jobs {
            let named = job.request.streams.iter().map(|append| &append.stream);
            let guarded = job.request.guards.iter().map(|guard| &guard.stream);
            for stream in named.chain(guarded) {
                if !self.heads.untold.contains_key(stream) && !self.heads.cache.touch(stream) {
                    streams.insert(stream);
                }
            }
        }
        let texts: Vec<&str> = streams.iter().map(|stream| stream.as_str()).collect();
        let found = store.look_up(&texts, &[]).await?;
        for stream in streams {
            self.heads.cache.insert(stream.clone(), 0);
        }
        for (stream, version) in found.heads {
            self.heads.cache.insert(stream, version);
        }
        Ok(())
    }

    /// Looks up commands that are not in memory; whether the database has any of them.
    pub(crate) async fn look_up_commands(
        &mut self,
        store: &mut Store,
        ids: impl Iterator<Item = CommandId>,
    ) -> Result<bool, LedgerError> {
        let unknown = ids.filter(|id| self.commands.known(*id).is_none());
        let ids: Vec<_> = unknown.map(|id| id.as_uuid()).collect();
        let found = store.look_up(&[], &ids).await?.commands;
        let any = !found.is_empty();
        for (id, known) in found {
            self.commands.0.insert(id, known);
        }
        Ok(any)
    }

    /// Heads to be told with a batch: none, or all that have moved.
    pub(crate) fn heads_to_tell(&self, batch: &Batch) -> Moved {
        let untold = &self.heads.untold;
        let due =
            untold.len() + batch.heads().len() >= TELL_HEADS || self.heads.told_at.elapsed() >= TELL_EVERY;
        if !due {
            return Moved::new();
        }
        let both = untold.iter().chain(batch.heads());
        both.map(|(stream, head)| (stream.clone(), *head)).collect()
    }

    /// Takes in what a commit has moved, and whether the database was told of heads.
    pub(crate) fn committed(
        &mut self,
        events: &[Recorded],
        heads: Moved,
        told: bool,
        commands: HashMap<CommandId, KnownCommand>,
    ) {
        self.heads.untold.extend(heads);
        if told {
            self.heads.told_at = Instant::now();
            for (stream, head) in self.heads.untold.drain() {
                self.heads.cache.insert(stream, head.version);
            }
        }
        for (id, known) in commands {
            self.commands.0.insert(id, known);
        }
        for event in events {
            self.features.take(event);
        }
    }
}
