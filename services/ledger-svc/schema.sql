-- The log. Run once, by the role es_owner, inside one transaction (see src/schema.rs).

-- One row an incarnation; the first is made with the log. `from_pos` is the first position it numbered.
create table es.log(
  incarnation bigint primary key check (incarnation > 0),
  log_id uuid not null,
  from_pos bigint not null check (from_pos > 0),
  reason text not null,
  at timestamptz not null default now()
);

-- The fence: whoever updates this row with the right epoch and position has written the batch.
create table es.writer(
  one bool primary key default true check (one),
  epoch bigint not null,
  last_pos bigint not null,
  last_hash bytea not null check (length(last_hash) = 32),
  last_at timestamptz not null,
  categories jsonb not null  -- position of the last event of each category
) with (fillfactor = 10);

create table es.event(
  position bigint not null,
  stream text not null,
  version bigint not null,
  category text not null,
  cat_prev bigint not null,
  event_id uuid not null,
  type text not null,
  schema_v smallint not null,
  tenant text not null,
  data json not null,
  meta json not null,
  hash bytea not null,
  recorded_at timestamptz not null,
  primary key (position),
  unique (stream, version, position)
) partition by range (position);

create table es.partition(
  name text primary key,
  from_pos bigint not null,
  to_pos bigint not null,
  check (from_pos < to_pos)
);

create table es.stream_head(
  stream text primary key,
  version bigint not null,
  last_pos bigint not null
) with (fillfactor = 70);

create table es.command(
  command_id uuid primary key,
  request_hash text not null,
  first_pos bigint not null,
  last_pos bigint not null,
  outcome json not null,
  at timestamptz not null
);
create index command_at on es.command(at);

create function es.refuse_change() returns trigger language plpgsql as $$
begin
  raise exception 'the log is append-only: % on %.% is refused', tg_op, tg_table_schema, tg_table_name
    using errcode = 'insufficient_privilege',
          hint = 'Record a new event that corrects the old one.';
end $$;

create trigger append_only before update or delete on es.event
  for each row execute function es.refuse_change();
create trigger append_only_truncate before truncate on es.event
  for each statement execute function es.refuse_change();
create trigger append_only before update or delete on es.log
  for each row execute function es.refuse_change();
create trigger append_only_truncate before truncate on es.log
  for each statement execute function es.refuse_change();

-- Makes partitions of `size` positions until `upto` is covered. Attaching does not stop readers or inserts.
create function es.ensure_partitions(upto bigint, size bigint) returns bigint
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  covered bigint;
  name text;
begin
  if size < 1 then
    raise exception 'a partition holds at least one position, not %', size;
  end if;
  lock table es.partition in share row exclusive mode;
  select coalesce(max(to_pos), 1) into covered from es.partition;
  while covered <= upto loop
    name := format('event_%s', covered);
    execute format('create table es.%I (like es.event including all)', name);
    execute format('alter table es.event attach partition es.%I for values from (%s) to (%s)',
      name, covered, covered + size);
    execute format('create trigger append_only_truncate before truncate on es.%I
      for each statement execute function es.refuse_change()', name);
    insert into es.partition values (name, covered, covered + size);
    covered := covered + size;
  end loop;
  return covered - 1;
end $$;

-- A new writer: every writer before it is fenced off from now on.
create function es.open_writer() returns table(
  epoch bigint, last_pos bigint, last_hash bytea, last_at timestamptz, categories text, log_id text, incarnation bigint
)
language sql security definer set search_path = pg_catalog, pg_temp as $$
  update es.writer w set epoch = w.epoch + 1
  returning w.epoch, w.last_pos, w.last_hash, w.last_at, w.categories::text,
    (select l.log_id::text from es.log l order by l.incarnation desc limit 1),
    (select max(l.incarnation) from es.log l)
$$;

-- The only way into the log. False: another writer has taken over, and nothing was written.
create function es.append_batch(
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
        categories = new_categories::jsonb
    where w.epoch = e and w.last_pos = p;
  if not found then
    return false;
  end if;
  insert into es.event
    select p + n, s, v, c, cp, i, t, sv, te, d::json, m::json, h, r
    from unnest(streams, versions, categories, cat_prevs, event_ids, types, schema_vs, tenants, datas, metas,
      hashes, recorded_ats) with ordinality as u(s, v, c, cp, i, t, sv, te, d, m, h, r, n);
  insert into es.stream_head as old
    select * from unnest(head_streams, head_versions, head_positions)
    on conflict (stream) do update set version = excluded.version, last_pos = excluded.last_pos;
  insert into es.command(command_id, request_hash, first_pos, last_pos, outcome, at)
    select i, h, f, l, o::json, a
    from unnest(command_ids, request_hashes, firsts, lasts, outcomes, command_ats) as u(i, h, f, l, o, a);
  return true;
end $$;

-- Keys are good for some days; after that the same key is a new command.
create function es.prune_commands(before timestamptz, at_most bigint) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  with gone as (
    delete from es.command where command_id in
      (select command_id from es.command where at < before order by at limit at_most)
    returning 1
  ) select count(*) from gone
$$;

-- An operator accepts that a tail of the log was lost: what is numbered from now on is another history.
create function es.accept_loss(why text) returns bigint
language sql security definer set search_path = pg_catalog, pg_temp as $$
  insert into es.log(incarnation, log_id, from_pos, reason)
    select max(l.incarnation) + 1, (array_agg(l.log_id))[1], (select last_pos + 1 from es.writer), why
    from es.log l
  returning incarnation
$$;

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

create view es.head as
  select (select l.log_id::text from es.log l limit 1) as log_id,
    (select max(l.incarnation) from es.log l) as incarnation,
    w.last_pos as position, w.last_hash as hash, w.last_at as recorded_at, w.epoch
  from es.writer w;

insert into es.log(incarnation, log_id, from_pos, reason) values (1, gen_random_uuid(), 1, 'the log was made');
insert into es.writer values (true, 0, 0, decode(repeat('00', 32), 'hex'), to_timestamp(0), '{}');

revoke all on all functions in schema es from public;
grant usage on schema es to es_reader;
grant select on all tables in schema es to es_reader;
grant execute on function es.ensure_partitions, es.open_writer, es.append_batch, es.prune_commands to berth_ledger;
