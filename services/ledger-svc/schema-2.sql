-- Cheaper appends. Runs once, after schema.sql, by the role es_owner.

-- Names of streams are compared byte by byte; a comparison by the rules of a language costs several times that.
-- A stream's version is unique because its one writer says so: the index only finds.
drop view es.recorded;
alter table es.event drop constraint event_stream_version_position_key;
alter table es.event alter column stream type text collate "C";
create index event_stream on es.event(stream, version);
alter table es.stream_head alter column stream type text collate "C";

-- Commands are found by age only when old ones are forgotten: a summary a block range is enough, and costs an
-- append nothing.
drop index es.command_at;
create index command_at on es.command using brin(at) with (autosummarize = on);

create or replace function es.prune_commands(before timestamptz, at_most bigint) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  with gone as (
    delete from es.command where command_id in
      (select command_id from es.command where at < before limit at_most)
    returning 1
  ) select count(*) from gone
$$;

-- Heads follow the events: es.stream_head is right up to this position. The writer knows what came after; the
-- next one computes it from the events.
alter table es.writer add column heads_upto bigint not null default 0;
update es.writer set heads_upto = last_pos;

-- A new writer: every writer before it is fenced off from now on.
create or replace function es.open_writer() returns table(
  epoch bigint, last_pos bigint, last_hash bytea, last_at timestamptz, categories text, log_id text, incarnation bigint
)
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
#variable_conflict use_column
begin
  -- The row is locked first: what the writer before still commits is seen below.
  update es.writer w set epoch = w.epoch + 1;
  insert into es.stream_head as h
    select e.stream, max(e.version), max(e.position) from es.event e
    where e.position > (select w.heads_upto from es.writer w) group by e.stream
    on conflict (stream) do update set version = excluded.version, last_pos = excluded.last_pos;
  update es.writer w set heads_upto = w.last_pos;
  return query select w.epoch, w.last_pos, w.last_hash, w.last_at, w.categories::text,
    (select l.log_id::text from es.log l order by l.incarnation desc limit 1),
    (select max(l.incarnation) from es.log l)
    from es.writer w;
end $$;

-- The only way into the log. False: another writer has taken over, and nothing was written. Heads come now and
-- then: then all that have moved since the last time.
create or replace function es.append_batch(
  e bigint, p bigint, new_hash bytea, new_at timestamptz, new_categories text,
  streams text[], versions bigint[], categories text[], cat_prevs bigint[], event_ids uuid[], types text[],
  schema_vs smallint[], tenants text[], datas text[], metas text[], hashes bytea[], recorded_ats timestamptz[],
  head_streams text[], head_versions bigint[], head_positions bigint[],
  command_ids uuid[], request_hashes text[], firsts bigint[], lasts bigint[], outcomes text[],
  command_ats timestamptz[]
) returns boolean
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
begin
  update es.writer w
    set last_pos = p + cardinality(streams), last_hash = new_hash, last_at = new_at,
        categories = new_categories::jsonb,
        heads_upto = case when cardinality(head_streams) > 0 then p + cardinality(streams) else w.heads_upto end
    where w.epoch = e and w.last_pos = p;
  if not found then
    return false;
  end if;
  insert into es.event
    select p + n, s, v, c, cp, i, t, sv, te, d::json, m::json, h, r
    from unnest(streams, versions, categories, cat_prevs, event_ids, types, schema_vs, tenants, datas, metas,
      hashes, recorded_ats) with ordinality as u(s, v, c, cp, i, t, sv, te, d, m, h, r, n);
  if cardinality(head_streams) > 0 then
    insert into es.stream_head as old
      select * from unnest(head_streams, head_versions, head_positions)
      on conflict (stream) do update set version = excluded.version, last_pos = excluded.last_pos;
  end if;
  if cardinality(command_ids) > 0 then
    insert into es.command(command_id, request_hash, first_pos, last_pos, outcome, at)
      select i, h, f, l, o::json, a
      from unnest(command_ids, request_hashes, firsts, lasts, outcomes, command_ats) as u(i, h, f, l, o, a);
  end if;
  return true;
end $$;

-- What readers see. `prev_hash` costs a lookup a row and is computed only if it is selected.
create view es.recorded as
  select e.position, e.stream, e.version, e.category, e.cat_prev, e.event_id, e.type, e.schema_v, e.tenant,
    e.data::text as data, e.meta::text as meta, e.hash,
    coalesce((select b.hash from es.event b where b.position = e.position - 1),
      decode(repeat('00', 32), 'hex')) as prev_hash,
    e.recorded_at,
    (select max(l.incarnation) from es.log l where l.from_pos <= e.position) as incarnation,
    (select l.log_id::text from es.log l limit 1) as log_id
  from es.event e;
grant select on es.recorded to es_reader;
