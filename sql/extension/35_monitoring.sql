-- Looking after what runs: a page, webhooks, retention.

CREATE FUNCTION censync_report() RETURNS text
    LANGUAGE C STABLE AS 'MODULE_PATHNAME';
COMMENT ON FUNCTION censync_report() IS
'one HTML page about the syncs this role may see: state and freshness, runs over time, failures, bad records';

CREATE PROCEDURE censync_deliver()
    LANGUAGE C AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE censync_deliver() IS
'tells webhooks what is due to be told, each in a transaction of its own';

CREATE PROCEDURE censync_prune()
    LANGUAGE C AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE censync_prune() IS
'deletes runs, records, alerts and deliveries that are older than they are to be kept, in small transactions';

CREATE PROCEDURE censync_maintain()
    LANGUAGE C AS 'MODULE_PATHNAME';
COMMENT ON PROCEDURE censync_maintain() IS
'what is to be done every few minutes: raises alerts that no run raises, tells webhooks, prunes';

REVOKE ALL ON FUNCTION censync_report() FROM PUBLIC;
REVOKE ALL ON PROCEDURE censync_deliver(), censync_prune(), censync_maintain() FROM PUBLIC;
