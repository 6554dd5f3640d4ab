-- What users see: each role the syncs of the roles it has the privileges of.

CREATE FUNCTION censync.home() RETURNS text
    LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'censync_home';
REVOKE ALL ON FUNCTION censync.home() FROM PUBLIC;
COMMENT ON FUNCTION censync.home() IS 'identifies this installation among all: the cluster''s system identifier, the OIDs of database and extension';

CREATE FUNCTION censync.is_lost(run_id bigint, sync_id bigint) RETURNS boolean
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'censync_is_lost';
REVOKE ALL ON FUNCTION censync.is_lost(bigint, bigint) FROM PUBLIC;
COMMENT ON FUNCTION censync.is_lost(bigint, bigint) IS 'is this run called running although no session holds the lock that every run of its sync holds? null on a standby, which cannot know';

CREATE FUNCTION censync.wake() RETURNS void
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'censync_wake';
REVOKE ALL ON FUNCTION censync.wake() FROM PUBLIC;
COMMENT ON FUNCTION censync.wake() IS 'has the launcher look for what there is to run in this database, once this transaction is committed';
-- It may not know yet that there is something to come.
SELECT censync.wake();

CREATE FUNCTION censync.next_run(sync_id bigint) RETURNS timestamptz
    LANGUAGE C VOLATILE STRICT AS 'MODULE_PATHNAME', 'censync_next_run';
REVOKE ALL ON FUNCTION censync.next_run(bigint) FROM PUBLIC;
COMMENT ON FUNCTION censync.next_run(bigint) IS 'when a sync is to run next by its schedule, or to be tried again; null: not known';

CREATE FUNCTION censync.next_time(schedule text, after timestamptz DEFAULT pg_catalog.now()) RETURNS timestamptz
    LANGUAGE C STABLE STRICT AS 'MODULE_PATHNAME', 'censync_next_time';
REVOKE ALL ON FUNCTION censync.next_time(text, timestamptz) FROM PUBLIC;
COMMENT ON FUNCTION censync.next_time(text, timestamptz) IS 'the first time after another that a schedule means, for a look before it is given to a sync';

CREATE VIEW censync.syncs WITH (security_barrier) AS
SELECT s.sync_id,
       s.name,
       CASE WHEN s.home <> censync.home() THEN s.owner_name
            ELSE coalesce(r.rolname, s.owner_name) END AS owner,
       CASE WHEN s.home <> censync.home() OR c.oid IS NULL THEN s.destination_name
            ELSE pg_catalog.format('%I.%I', n.nspname, c.relname) END AS destination,
       s.behavior, s.server_name AS server, s.query, s.object, s.sync_key, s.mappings, s.options,
       CASE WHEN s.paused OR s.home <> censync.home() THEN 'paused' ELSE 'active' END AS state,
       l.run_id AS last_run_id,
       l.status AS last_status,
       l.started_at AS last_started_at,
       g.finished_at AS last_success_at,
       g.finished_at - g.started_at AS last_success_took,
       g.records_created + g.records_updated + g.records_deleted AS last_success_written,
       (SELECT w.watermark FROM censync.cursor_state w
         WHERE w.sync_id = s.sync_id AND s.home = censync.home()) AS watermark,
       s.created_at, s.altered_at,
       s.schedule, s.scheduler,
       CASE WHEN NOT s.paused AND s.home = censync.home() AND s.schedule IS NOT NULL
            THEN censync.next_run(s.sync_id) END AS next_run,
       (SELECT count(*) FROM censync.run_log f
         WHERE f.sync_id = s.sync_id AND NOT f.dry_run AND f.run_id > coalesce(g.run_id, 0)
           AND (f.status IN ('failed', 'crashed')
                OR f.status = 'running' AND censync.is_lost(f.run_id, f.sync_id))) AS consecutive_failures,
       g.records_read AS last_success_records,
       CASE WHEN s.paused THEN s.paused_reason END AS paused_reason
  FROM censync.sync_definition s
  LEFT JOIN pg_catalog.pg_roles r ON r.oid = s.owner_oid AND s.home = censync.home()
  LEFT JOIN pg_catalog.pg_class c ON c.oid = s.destination_oid AND s.home = censync.home()
  LEFT JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
  LEFT JOIN LATERAL (SELECT x.run_id, x.started_at,
                            CASE WHEN x.status = 'running' AND censync.is_lost(x.run_id, x.sync_id)
                                 THEN 'crashed' ELSE x.status END AS status
                       FROM censync.run_log x
                      WHERE x.sync_id = s.sync_id ORDER BY x.run_id DESC LIMIT 1) l ON true
  LEFT JOIN LATERAL (SELECT x.run_id, x.started_at, x.finished_at, x.records_read, x.records_created, x.records_updated,
                            x.records_deleted
                       FROM censync.run_log x
                      WHERE x.sync_id = s.sync_id AND x.status = 'completed' AND NOT x.dry_run
                      ORDER BY x.run_id DESC LIMIT 1) g ON true
 WHERE pg_catalog.pg_has_role(CASE WHEN s.home = censync.home() THEN s.owner_oid
                                   ELSE pg_catalog.to_regrole(pg_catalog.quote_ident(s.owner_name))::oid END,
                              'USAGE')
    OR pg_catalog.pg_has_role(current_user, (SELECT x.extowner FROM pg_catalog.pg_extension x
                                              WHERE x.extname = 'censync'), 'USAGE');
COMMENT ON VIEW censync.syncs IS 'the syncs this role may see, their state and how they last went';

CREATE VIEW censync.runs WITH (security_barrier) AS
SELECT run_id, sync,
       CASE WHEN lost THEN 'crashed' ELSE status END AS status,
       trigger, dry_run, started_at, finished_at, records_read, records_invalid, records_rejected,
       records_created, records_updated, records_deleted, records_unchanged, records_skipped, bytes_read,
       CASE WHEN lost THEN '58000' ELSE error_code END AS error_code,
       CASE WHEN lost THEN 'the session that ran it is gone' ELSE error_message END AS error_message,
       CASE WHEN lost THEN 'The destination is as it was before the run.' ELSE error_detail END AS error_detail,
       CASE WHEN lost THEN 'The server log says what ended the session. The next run starts afresh.'
            ELSE error_hint END AS error_hint
  FROM (SELECT l.*, l.status = 'running' AND censync.is_lost(l.run_id, l.sync_id) AS lost
          FROM censync.run_log l) l
 WHERE pg_catalog.pg_has_role(owner_oid, 'USAGE');
COMMENT ON VIEW censync.runs IS 'one row per run: when, how it ended, how many records went where';

CREATE VIEW censync.records WITH (security_barrier) AS
SELECT r.run_id, r.record_number, r.sync_key, r.operation, r.status, r.reason_code, r.reason, r.payload,
       r.column_name, r.constraint_name
  FROM censync.record_log r JOIN censync.run_log l ON l.run_id = r.run_id
 WHERE pg_catalog.pg_has_role(l.owner_oid, 'USAGE');
COMMENT ON VIEW censync.records IS 'what became of single records: invalid, rejected and, if asked for, succeeded ones';

CREATE FUNCTION censync.run_progress(
    OUT run_id bigint, OUT sync text, OUT owner_oid oid, OUT pid int, OUT dry_run boolean,
    OUT started_at timestamptz, OUT phase text, OUT phase_started_at timestamptz, OUT changed_at timestamptz,
    OUT records_read bigint, OUT bytes_read bigint, OUT records_done bigint, OUT records_total bigint)
    RETURNS SETOF record
    LANGUAGE C VOLATILE PARALLEL RESTRICTED ROWS 5 AS 'MODULE_PATHNAME', 'censync_run_progress';
REVOKE ALL ON FUNCTION censync.run_progress() FROM PUBLIC;
COMMENT ON FUNCTION censync.run_progress() IS 'what running runs say of themselves in shared memory; read censync.progress instead';

-- An announced total may be anything: a remaining time beyond a hundred years is none.
CREATE VIEW censync.progress WITH (security_barrier) AS
SELECT run_id, sync, pg_catalog.pg_get_userbyid(owner_oid) AS owner, pid, dry_run, started_at, phase,
       phase_started_at, changed_at, records_read, bytes_read, records_done, records_total,
       pg_catalog.round((records_done / seconds)::numeric, 1) AS records_per_second,
       CASE WHEN records_done <= records_total
             AND (records_total - records_done) * seconds < 3155760000.0 * records_done
            THEN pg_catalog.make_interval(secs => pg_catalog.round((records_total - records_done) * seconds
                                                                   / records_done))
       END AS remaining
  FROM (SELECT *, nullif(greatest(pg_catalog.date_part('epoch', pg_catalog.clock_timestamp() - phase_started_at),
                                  0), 0) AS seconds
          FROM censync.run_progress()) r;
COMMENT ON VIEW censync.progress IS 'what runs are doing at this moment, also in sessions that have committed nothing yet; empty unless shared_preload_libraries has censync, for only then there is memory that sessions share';

REVOKE ALL ON censync.syncs, censync.runs, censync.records, censync.progress FROM PUBLIC;
