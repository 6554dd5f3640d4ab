-- Alerts and deliveries as users see them.

CREATE VIEW censync.alerts WITH (security_barrier) AS
SELECT alert_id, sync, alert, CASE WHEN resolved_at IS NULL THEN 'raised' ELSE 'resolved' END AS state,
       message, run_id, times, raised_at, last_at, resolved_at
  FROM censync.alert_log
 WHERE pg_catalog.pg_has_role(owner_oid, 'USAGE');
COMMENT ON VIEW censync.alerts IS 'alerts, those that are over included; which ones there can be, options of a sync that begin with alert_ say';

CREATE VIEW censync.deliveries WITH (security_barrier) AS
SELECT delivery_id, event_id, event, sync, webhook, status, created_at, attempts,
       CASE WHEN status = 'pending' THEN next_attempt_at END AS next_attempt_at, finished_at, last_error
  FROM censync.outbox
 WHERE pg_catalog.pg_has_role(owner_oid, 'USAGE');
COMMENT ON VIEW censync.deliveries IS 'what webhooks were told, what waits to be told (pending), and what was given up (failed)';

REVOKE ALL ON censync.alerts, censync.deliveries FROM PUBLIC;
