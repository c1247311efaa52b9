-- Commands are found by age only when old ones are forgotten: a summary a block range is enough, and costs an
-- append nothing. Runs once, after schema.sql.
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
