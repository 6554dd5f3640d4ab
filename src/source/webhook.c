/*
 * webhook.c
 *		Servers of type "webhook": where events are told, signed.
 */
#include "postgres.h"

#include "access/xact.h"
#include "commands/defrem.h"
#include "common/base64.h"
#include "common/hmac.h"
#include "common/sha2.h"
#include "foreign/foreign.h"
#include "mb/pg_wchar.h"
#include "utils/builtins.h"
#include "utils/memutils.h"
#include "utils/resowner.h"

#include "base/errors.h"
#include "net/auth.h"
#include "net/http.h"
#include "net/url.h"
#include "source/check.h"
#include "source/headers.h"
#include "source/option_table.h"
#include "source/ssh.h"
#include "source/webhook.h"

/* Of an answer: it is not of interest. */
#define MAX_ANSWER (1024 * 1024)

/* So long one attempt may take at most: others wait meanwhile. */
#define LONGEST_S 30

/* A shorter part of a secret address is a word like others. */
#define MIN_SECRET_PART 8

static CsReader *refuse_to_open(const CsSourceType *type, const CsReadSpec *spec);
static void check(const CsSourceType *type, const CsReadSpec *spec, CsCheck *check);
static List *split(const char *text);
static bool matches(const char *pattern, const char *event);
static void post(Oid serverid, Oid userid, const char *event_id, const char *event,
				 const char *body, CsWebhookAnswer *answer);
static List *secrets_of(const char *url);
static CsHttp *create_client(const CsOptionSet *set, const char *url, List *secrets);
static int seconds(const CsOptionSet *set, const char *name, const char *otherwise);
static char *utf8(const char *text);
static void prepare_headers(CsHttpRequest *request, const CsOptionSet *set, const char *event_id,
							const char *event);
static void add_header(List **headers, const char *name, const char *value);
static char *sign(const char *secret, const char *body, size_t len);
static void judge(int status, CsWebhookAnswer *answer);

const CsSourceType cs_webhook_type = {
	.name = "webhook",
	.bit = CS_FOR_WEBHOOK,
	.open = refuse_to_open,
	.check = check,
};

bool
cs_webhook_events_are_known(const char *list)
{
	List *events = split(CS_WEBHOOK_EVENTS);
	List *given = split(list);
	ListCell *lc;

	foreach (lc, given)
	{
		bool known = false;
		ListCell *event;

		foreach (event, events)
			known = known || matches(lfirst(lc), lfirst(event));
		if (!known)
			return false;
	}
	return given != NIL;
}

bool
cs_webhook_wants(Oid serverid, const char *event)
{
	ForeignServer *server = GetForeignServerExtended(serverid, FSV_MISSING_OK);
	ForeignDataWrapper *wrapper;
	ListCell *lc;

	if (server == NULL || server->servertype == NULL ||
		strcmp(server->servertype, cs_webhook_type.name) != 0)
		return false;
	wrapper = GetForeignDataWrapperExtended(server->fdwid, FDW_MISSING_OK);
	if (wrapper == NULL || strcmp(wrapper->fdwname, "censync") != 0)
		return false;
	foreach (lc, server->options)
	{
		DefElem *option = lfirst(lc);
		ListCell *pattern;

		if (strcmp(option->defname, "events") != 0)
			continue;
		foreach (pattern, split(defGetString(option)))
			if (matches(lfirst(pattern), event))
				return true;
		return false;
	}
	return true;
}

CsWebhookAnswer *
cs_webhook_send(Oid serverid, Oid userid, const char *event_id, const char *event, const char *body)
{
	MemoryContext caller = CurrentMemoryContext;
	ResourceOwner owner = CurrentResourceOwner;
	int level = GetCurrentTransactionNestLevel();
	CsWebhookAnswer *answer = palloc0(sizeof(CsWebhookAnswer));
	MemoryContext context =
		AllocSetContextCreate(caller, "censync webhook", ALLOCSET_DEFAULT_SIZES);

	BeginInternalSubTransaction(NULL);
	MemoryContextSwitchTo(context);
	PG_TRY();
	{
		post(serverid, userid, event_id, event, body, answer);
		ReleaseCurrentSubTransaction();
	}
	PG_CATCH();
	{
		CsError *error = cs_error_catch(caller);

		cs_error_roll_back(error, level);
		if (cs_error_is_cancel(error->code) || error->code == ERRCODE_ADMIN_SHUTDOWN)
			cs_error_throw(error);
		answer->delivered = false;
		/* Text that can't be said in UTF-8. */
		answer->of_event = error->code == ERRCODE_UNTRANSLATABLE_CHARACTER ||
						   error->code == ERRCODE_CHARACTER_NOT_IN_REPERTOIRE;
		answer->error = error->message;
	}
	PG_END_TRY();
	MemoryContextSwitchTo(caller);
	CurrentResourceOwner = owner;
	if (answer->error)
		answer->error = MemoryContextStrdup(caller, answer->error);
	MemoryContextDelete(context);
	return answer;
}

static CsReader *
refuse_to_open(const CsSourceType *type pg_attribute_unused(),
			   const CsReadSpec *spec pg_attribute_unused())
{
	ereport(ERROR, (errcode(ERRCODE_WRONG_OBJECT_TYPE),
					errmsg("a webhook is told of events and cannot be read"),
					errhint("Name a server of another type as source.")));
}

static void
check(const CsSourceType *type pg_attribute_unused(), const CsReadSpec *spec, CsCheck *check)
{
	CsWebhookAnswer *answer = cs_webhook_send(
		spec->serverid, spec->userid, "00000000-0000-4000-8000-000000000000", "test",
		"{\"id\": \"00000000-0000-4000-8000-000000000000\", \"event\": \"test\", "
		"\"text\": \"censync_check\"}");

	cs_check_step(check, "deliver", answer->delivered,
				  answer->delivered ? "the webhook has taken the event \"test\"" : answer->error);
}

/* A list by comma; blanks around its parts don't count. */
static List *
split(const char *text)
{
	List *parts = NIL;

	while (*text != '\0')
	{
		size_t len = strcspn(text, ",");
		const char *start = text + strspn(text, " \t");
		const char *end = text + len;

		while (end > start && (end[-1] == ' ' || end[-1] == '\t'))
			end--;
		if (end > start)
			parts = lappend(parts, pnstrdup(start, end - start));
		text += len + (text[len] == ',');
	}
	return parts;
}

/* "sync.*" stands for all that begin like that. */
static bool
matches(const char *pattern, const char *event)
{
	size_t len = strlen(pattern);

	if (len > 2 && strcmp(pattern + len - 2, ".*") == 0)
		return strncmp(pattern, event, len - 1) == 0;
	return strcmp(pattern, event) == 0;
}

static void
post(Oid serverid, Oid userid, const char *event_id, const char *event, const char *body,
	 CsWebhookAnswer *answer)
{
	CsOptionSet *set = cs_options_load(serverid, userid, NIL);
	CsAuth *auth = cs_auth_create(cs_options_credentials(set->user));
	const char *secret = cs_option_get_user(set, "secret");
	const char *secret_url = cs_option_get_user(set, "webhook_url");
	const char *url = secret_url ? secret_url : cs_option_get(set, "url");
	List *secrets = list_copy(cs_auth_secrets(auth));
	CsHttpRequest request = { .method = "POST", .url = url, .no_redirects = true };
	CsHttp *http;

	cs_server_check_usage(serverid, userid);
	cs_options_check_source(set, cs_webhook_type.bit);
	if (url == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_OPTION_NAME_NOT_FOUND),
						errmsg("the server has no option \"url\""),
						errhint("ALTER SERVER ... OPTIONS (ADD url 'https://...'); or, where the "
								"address itself is the secret, ALTER USER MAPPING ... OPTIONS "
								"(ADD webhook_url 'https://...')")));
	if (secret)
		secrets = lappend(secrets, (char *) secret);
	if (secret_url)
		secrets = list_concat(secrets, secrets_of(secret_url));
	http = create_client(set, url, secrets);
	request.body = utf8(body);
	request.body_len = strlen(request.body);
	prepare_headers(&request, set, event_id, event);
	if (secret)
		add_header(&request.headers, "X-Signature", sign(secret, request.body, request.body_len));
	cs_auth_apply(auth, http, &request);
	judge(cs_http_exchange(http, &request), answer);
}

/* What of an address only its owner may know: its path, and each long part of it, which an answer may quote. */
static List *
secrets_of(const char *url)
{
	CsUrl *parts = cs_url_parse(url);
	List *secrets = NIL;
	char *rest =
		psprintf("%s%s%s", parts->path, parts->query ? "?" : "", parts->query ? parts->query : "");
	char *state = NULL;

	secrets = lappend(lappend(secrets, pstrdup(parts->path)), pstrdup(rest));
	for (char *part = strtok_r(rest, "/?&=", &state); part; part = strtok_r(NULL, "/?&=", &state))
		if (strlen(part) >= MIN_SECRET_PART)
			secrets = lappend(secrets, part);
	return secrets;
}

static CsHttp *
create_client(const CsOptionSet *set, const char *url, List *secrets)
{
	const char *token_url = cs_option_get_user(set, "token_url");
	CsHttpOptions http = { 0 };

	http.allow_http = cs_option_bool(cs_option_get_default(set, "allow_http", "false"));
	http.ca_file = cs_option_get(set, "ca_file");
	http.connect_timeout_s = seconds(set, "connect_timeout", "5");
	http.timeout_s = seconds(set, "timeout", "10");
	http.stall_timeout_s = seconds(set, "stall_timeout", "10");
	http.max_response_bytes = MAX_ANSWER;
	http.secrets = secrets;
	http.tunnel = cs_ssh_spec(set);
	if (http.tunnel)
		http.tunnel_hosts = list_make1(cs_url_parse(url)->host);
	if (http.tunnel && token_url)
		http.tunnel_hosts = lappend(http.tunnel_hosts, cs_url_parse(token_url)->host);
	return cs_http_create(&http);
}

/* 0, too, which elsewhere stands for no limit, is as long as it may take. */
static int
seconds(const CsOptionSet *set, const char *name, const char *otherwise)
{
	int given = cs_option_int(cs_option_get_default(set, name, otherwise));

	return given > 0 ? Min(given, LONGEST_S) : LONGEST_S;
}

/* A database of no encoding may have anything; what is no text must not keep the rest from being told. */
static char *
utf8(const char *text)
{
	StringInfoData out;
	const char *end = text + strlen(text);

	if (GetDatabaseEncoding() != PG_SQL_ASCII)
		return pg_server_to_any(text, (int) strlen(text), PG_UTF8);
	initStringInfo(&out);
	while (text < end)
	{
		int width = pg_encoding_verifymbchar(PG_UTF8, text, (int) (end - text));

		if (width > 0)
			appendBinaryStringInfo(&out, text, width);
		else
			appendStringInfoChar(&out, '?');
		text += Max(width, 1);
	}
	return out.data;
}

static void
prepare_headers(CsHttpRequest *request, const CsOptionSet *set, const char *event_id,
				const char *event)
{
	const char *headers = cs_option_get(set, "headers");

	if (headers)
		request->headers = cs_headers_parse(headers);
	add_header(&request->headers, "Content-Type", "application/json");
	add_header(&request->headers, "X-Event", event);
	add_header(&request->headers, "X-Event-Id", event_id);
}

static void
add_header(List **headers, const char *name, const char *value)
{
	CsHttpHeader *header = palloc(sizeof(CsHttpHeader));

	header->name = pstrdup(name);
	header->value = pstrdup(value);
	*headers = lappend(*headers, header);
}

/* HMAC-SHA256, base64; the secret's bytes are those of UTF-8, as the body's are. */
static char *
sign(const char *secret, const char *body, size_t len)
{
	uint8 mac[PG_SHA256_DIGEST_LENGTH];
	char *key = GetDatabaseEncoding() == PG_SQL_ASCII
					? pstrdup(secret)
					: pg_server_to_any(secret, strlen(secret), PG_UTF8);
	pg_hmac_ctx *hmac = pg_hmac_create(PG_SHA256);
	int size = pg_b64_enc_len(sizeof(mac)) + 1;
	char *text = palloc0(size);
	bool ok;

	ok = hmac != NULL && pg_hmac_init(hmac, (const uint8 *) key, strlen(key)) == 0 &&
		 pg_hmac_update(hmac, (const uint8 *) body, len) == 0 &&
		 pg_hmac_final(hmac, mac, sizeof(mac)) == 0;
	if (hmac != NULL)
		pg_hmac_free(hmac);
	if (!ok || cs_base64_encode((char *) mac, sizeof(mac), text, size - 1) < 0)
		ereport(ERROR, (errcode(ERRCODE_INTERNAL_ERROR), errmsg("could not sign an event")));
	return text;
}

/* 2xx is success.  Of the rest, what a client may hope to pass is the webhook's state, not the event's. */
static void
judge(int status, CsWebhookAnswer *answer)
{
	answer->delivered = status >= 200 && status < 300;
	answer->of_event = status >= 400 && status < 500 && status != 408 && status != 425 &&
					   status != 429 && status != 401 && status != 403;
	if (!answer->delivered)
		answer->error = psprintf("the webhook answered with status %d", status);
}
