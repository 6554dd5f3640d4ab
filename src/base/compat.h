/*
 * compat.h
 *		Every difference between PostgreSQL versions that this extension meets,
 *		behind one name each.  No other file asks for PG_VERSION_NUM.
 *
 * Mostly macros: what they need is included where they are used.
 */
#ifndef CS_COMPAT_H
#define CS_COMPAT_H

#include "pg_config.h"

#if PG_VERSION_NUM < 150000 || PG_VERSION_NUM >= 190000
#error "censync needs PostgreSQL 15, 16, 17 or 18"
#endif

#if PG_VERSION_NUM >= 160000
#include "varatt.h"
/* Since 16 the extra data of a check hook is guc_malloc's; before, plain malloc's. */
#define cs_guc_malloc(size) guc_malloc(LOG, size)
#define cs_guc_free(pointer) guc_free(pointer)
#else
#define cs_guc_malloc(size) malloc(size)
#define cs_guc_free(pointer) free(pointer)
#endif

/* 18 has pg_noreturn, in front of a declaration, in its place. */
#ifndef pg_attribute_noreturn
#define pg_attribute_noreturn() __attribute__((noreturn))
#endif

/*
 * The JSON parser.  Since 16 an action can stop it by its result; ours are of type CsJsonAction and
 * are left by CS_JSON_GO_ON.
 */
#if PG_VERSION_NUM >= 160000
#define CsJsonAction JsonParseErrorType
#define CS_JSON_GO_ON return JSON_SUCCESS
#else
#define CsJsonAction void
#define CS_JSON_GO_ON return
#endif

#if PG_VERSION_NUM >= 170000
#define cs_json_lex_create(json, len, encoding, need_escapes)                                      \
	makeJsonLexContextCstringLen(NULL, json, len, encoding, need_escapes)
#else
#define cs_json_lex_create(json, len, encoding, need_escapes)                                      \
	makeJsonLexContextCstringLen((char *) (json), (int) (len), encoding, need_escapes)
#endif

/* A path that scans a foreign table as a whole, in no order. */
#if PG_VERSION_NUM >= 180000
#include "commands/explain_format.h"
#include "commands/explain_state.h"
#define cs_foreign_path_create(root, rel, startup_cost, total_cost)                                \
	create_foreignscan_path(root, rel, NULL, (rel)->rows, 0, startup_cost, total_cost, NIL,        \
							(rel)->lateral_relids, NULL, NIL, NIL)
#elif PG_VERSION_NUM >= 170000
#define cs_foreign_path_create(root, rel, startup_cost, total_cost)                                \
	create_foreignscan_path(root, rel, NULL, (rel)->rows, startup_cost, total_cost, NIL,           \
							(rel)->lateral_relids, NULL, NIL, NIL)
#else
#define cs_foreign_path_create(root, rel, startup_cost, total_cost)                                \
	create_foreignscan_path(root, rel, NULL, (rel)->rows, startup_cost, total_cost, NIL,           \
							(rel)->lateral_relids, NULL, NIL)
#endif

/* Whose privileges a foreign scan has; InvalidOid: the current user's. */
#if PG_VERSION_NUM >= 160000
#define cs_foreign_scan_user(node) (((ForeignScan *) (node)->ss.ps.plan)->checkAsUser)
#else
#define cs_foreign_scan_user(node)                                                                 \
	(exec_rt_fetch(((Scan *) (node)->ss.ps.plan)->scanrelid, (node)->ss.ps.state)->checkAsUser)
#endif

/* Privileges. */
#if PG_VERSION_NUM >= 160000
#define cs_namespace_aclcheck(oid, role, mode) object_aclcheck(NamespaceRelationId, oid, role, mode)
#define cs_foreign_server_aclcheck(oid, role, mode)                                                \
	object_aclcheck(ForeignServerRelationId, oid, role, mode)
#else
#define cs_namespace_aclcheck(oid, role, mode) pg_namespace_aclcheck(oid, role, mode)
#define cs_foreign_server_aclcheck(oid, role, mode) pg_foreign_server_aclcheck(oid, role, mode)
#endif

/* "a"."b" into its parts; throws if it is none. */
#if PG_VERSION_NUM >= 160000
#define cs_qualified_name_parse(string) stringToQualifiedNameList(string, NULL)
#else
#define cs_qualified_name_parse(string) stringToQualifiedNameList(string)
#endif

#if PG_VERSION_NUM >= 170000
#define cs_lock_is_held(tag, mode) LockHeldByMe(tag, mode, false)
#define cs_identity_sequence(relation, attnum) getIdentitySequence(relation, attnum, false)
#else
#define cs_lock_is_held(tag, mode) LockHeldByMe(tag, mode)
#define cs_identity_sequence(relation, attnum)                                                     \
	getIdentitySequence(RelationGetRelid(relation), attnum, false)
#endif

#if PG_VERSION_NUM >= 180000
#define cs_minimal_tuple_copy(tuple) heap_copy_minimal_tuple(tuple, 0)
#define cs_base64_encode(text, len, dst, dstlen)                                                   \
	pg_b64_encode((const uint8 *) (text), len, dst, dstlen)
#define cs_base64_decode(text, len, dst, dstlen) pg_b64_decode(text, len, (uint8 *) (dst), dstlen)
#else
#define cs_minimal_tuple_copy(tuple) heap_copy_minimal_tuple(tuple)
#define cs_base64_encode(text, len, dst, dstlen) pg_b64_encode(text, len, dst, dstlen)
#define cs_base64_decode(text, len, dst, dstlen) pg_b64_decode(text, len, dst, dstlen)
#endif

#if PG_VERSION_NUM >= 160000
#define cs_range_make(type, lower, upper, empty) make_range(type, lower, upper, empty, NULL)
#else
#define cs_range_make(type, lower, upper, empty) make_range(type, lower, upper, empty)
#endif

/* Since 18 a NOT NULL can be there before all rows are known to obey it. */
#if PG_VERSION_NUM >= 180000
#define cs_not_null_is_valid(desc, attnum)                                                         \
	(TupleDescCompactAttr(desc, (attnum) -1)->attnullability != ATTNULLABLE_INVALID)
#else
#define cs_not_null_is_valid(desc, attnum) true
#endif

/* Since 18 a constraint can be there without being asked.  (Of a row of pg_constraint.) */
#if PG_VERSION_NUM >= 180000
#define cs_constraint_is_enforced(form) ((form)->conenforced)
#else
#define cs_constraint_is_enforced(form) true
#endif

/* Reads exactly so many bytes of a BufFile, or throws. */
#if PG_VERSION_NUM >= 160000
#define cs_buffile_read(file, data, size) BufFileReadExact(file, data, size)
#else
#define cs_buffile_read(file, data, size)                                                          \
	do                                                                                             \
	{                                                                                              \
		if (BufFileRead(file, data, size) != (size))                                               \
			ereport(ERROR, (errcode_for_file_access(),                                             \
							errmsg("could not read a temporary file: it is too short")));          \
	} while (0)
#endif

/* What hooks into ExecutorRun has after its QueryDesc.  18 took the last one away. */
#if PG_VERSION_NUM >= 180000
#define CS_EXECUTOR_RUN_PARAMETERS ScanDirection direction, uint64 count
#define CS_EXECUTOR_RUN_ARGUMENTS direction, count
#else
#define CS_EXECUTOR_RUN_PARAMETERS ScanDirection direction, uint64 count, bool once
#define CS_EXECUTOR_RUN_ARGUMENTS direction, count, once
#endif

/* Enters a new row into the indexes of its table.  16 asks whether only summarizing ones are meant. */
#if PG_VERSION_NUM >= 160000
#define cs_insert_index_tuples(target, slot, estate)                                               \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL, false)
#else
#define cs_insert_index_tuples(target, slot, estate)                                               \
	ExecInsertIndexTuples(target, slot, estate, false, false, NULL, NIL)
#endif

/* Wait events: since 17 with names of their own. */
#define CS_WAIT_SCHEDULE "CensyncSchedule"
#define CS_WAIT_SOURCE "CensyncSource"
#define CS_WAIT_RETRY "CensyncRetry"
#define CS_WAIT_SLOT "CensyncWorkerSlot"
#define CS_WAIT_RUN "CensyncRun"
#include "utils/wait_event.h"
#if PG_VERSION_NUM >= 170000
#define cs_wait_event(name) WaitEventExtensionNew(name)
#else
#define cs_wait_event(name) PG_WAIT_EXTENSION
#endif

/* Since 17 a worker may connect as a role that may not log in. */
#if PG_VERSION_NUM >= 170000
#define CS_WORKER_ANY_ROLE BGWORKER_BYPASS_ROLELOGINCHECK
#define cs_worker_may_be(canlogin) true
#else
#define CS_WORKER_ANY_ROLE 0
#define cs_worker_may_be(canlogin) (canlogin)
#endif

#if PG_VERSION_NUM >= 160000
#define cs_database_aclcheck(oid, role, mode) object_aclcheck(DatabaseRelationId, oid, role, mode)
#else
#define cs_database_aclcheck(oid, role, mode) pg_database_aclcheck(oid, role, mode)
#endif

#endif /* CS_COMPAT_H */
