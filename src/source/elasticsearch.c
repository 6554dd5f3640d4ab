/*
 * elasticsearch.c
 *		Elasticsearch and OpenSearch as a source: who asks, what answers, and
 *		what its errors mean.
 */
#include "postgres.h"

#include "common/base64.h"
#include "lib/stringinfo.h"

#include "base/names.h"
#include "base/compat.h"
#include "net/auth.h"
#include "net/url.h"
#include "source/elasticsearch.h"
#include "source/option_table.h"
#include "source/services.h"

#define DEFAULT_PORT 9200
#define DEFAULT_PAGE_SIZE 1000
#define DEFAULT_PAGE_TIMEOUT "5m"

static CsServiceSession *create(const CsReadSpec *spec, CsOptionSet *options);
static char *address(const CsOptionSet *options);
static char *address_of_cloud_id(const char *cloud_id);
static struct CsAuth *create_auth(const CsOptionSet *options, List **secrets);
static char *api_key_value(const char *key, List **secrets);
static void refuse(CsServiceSession *base, int status, const char *body);
static void describe(CsServiceSession *base);
static void narrow(CsServiceSession *base, const bool *needed);
static bool next_part(CsServiceSession *base, CsServicePart *part);
static CsHttpRequest *guess_next(CsServiceSession *base, const char *beginning, const char *end);
static void end_part(CsServiceSession *base, const char *envelope, int64 rows);
static List *list(CsServiceSession *base, const char *schema, List *only);
static List *list_group(ElasticSession *session, const json_t *names, List *only, List *objects);
static CsObject *describe_object(ElasticSession *session, const char *name);
static void probe(CsServiceSession *base);

const CsService cs_source_elasticsearch = {
	.base = CS_SERVICE("elasticsearch", CS_FOR_ELASTICSEARCH),
	.create = create,
	.authorize = cs_service_authorize_fixed,
	.refuse = refuse,
	.describe = describe,
	.narrow = narrow,
	.next_part = next_part,
	.sequential = true,
	.guess_next = guess_next,
	.end_part = end_part,
	.spread = cs_elastic_search_spread,
	.list = list,
	.takes = cs_elastic_takes,
	.statement = cs_elastic_statement,
	.probe = probe,
};

static CsServiceSession *
create(const CsReadSpec *spec, CsOptionSet *options)
{
	ElasticSession *session = palloc0(sizeof(ElasticSession));
	const char *page_size = cs_option_get_default(options, "page_size", "1000");
	const char *query = spec->query ? spec->query + strspn(spec->query, " \t\r\n") : NULL;

	session->page_size =
		cs_option_int(page_size) > 0 ? cs_option_int(page_size) : DEFAULT_PAGE_SIZE;
	session->page_timeout = cs_option_get_default(options, "page_timeout", DEFAULT_PAGE_TIMEOUT);
	session->index = spec->object ? spec->object : cs_option_get(options, "index");
	initStringInfo(&session->last_sort);
	if (query && *query == '{')
		session->search = cs_elastic_search_members(session, query);
	else if (query == NULL)
		session->search = "";
	else if (spec->limit > 0)
		session->page_size = (int) Min(session->page_size, spec->limit);
	if (query && session->search && session->index == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("a search needs the option \"index\""),
						errhint("It names what is searched: an index, an alias or a pattern.")));
	session->base.base_url = address(options);
	session->base.auth = create_auth(options, &session->base.secrets);
	return &session->base;
}

static char *
address(const CsOptionSet *options)
{
	const char *url = cs_option_get(options, "base_url");
	const char *cloud_id = cs_option_get(options, "cloud_id");
	const char *host = cs_option_get(options, "host");
	const char *port = cs_option_get(options, "port");

	if (url)
		return cs_service_base_url(url);
	if (cloud_id && host)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("options \"cloud_id\" and \"host\" exclude each other")));
	if (cloud_id)
		return address_of_cloud_id(cloud_id);
	if (host == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("the server has neither option \"host\" nor \"cloud_id\""),
						errhint("ALTER SERVER ... OPTIONS (ADD host 'search.example.com').")));
	return psprintf(strchr(host, ':') ? "https://[%s]:%d" : "https://%s:%d", host,
					port ? cs_option_int(port) : DEFAULT_PORT);
}

/* label:base64 of "domain[:port]$id[$...]" */
static char *
address_of_cloud_id(const char *cloud_id)
{
	const char *encoded = strchr(cloud_id, ':');
	int room;
	int len;
	char *text;
	char *id;
	char *end;
	char *port;

	encoded = encoded ? encoded + 1 : cloud_id;
	room = pg_b64_dec_len((int) strlen(encoded)) + 4;
	text = palloc0(room + 1);
	len = cs_base64_decode(encoded, (int) strlen(encoded), text, room);
	id = len > 0 ? strchr(text, '$') : NULL;
	if (id)
	{
		*id++ = '\0';
		end = strchr(id, '$');
		if (end)
			*end = '\0';
	}
	if (id == NULL || *id == '\0' || *text == '\0' ||
		id[strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._")] ||
		strpbrk(text, "/@?# \t\r\n\"\\"))
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid value for option \"cloud_id\""),
						errhint("Copy it from the deployment's page: a name, a colon and a long "
								"word.")));
	port = strchr(text, ':');
	if (port)
		*port++ = '\0';
	return psprintf("https://%s.%s:%s", id, text, port ? port : "443");
}

static struct CsAuth *
create_auth(const CsOptionSet *options, List **secrets)
{
	CsCredentials credentials = { 0 };
	const char *key = cs_option_get_user(options, "api_key");
	CsAuth *auth;

	credentials.user = cs_option_get_user(options, "user");
	credentials.password = cs_option_get_user(options, "password");
	credentials.token = cs_option_get_user(options, "token");
	if (key)
	{
		credentials.api_key = api_key_value(key, secrets);
		credentials.api_key_header = "Authorization";
	}
	auth = cs_auth_create(&credentials);
	*secrets = list_concat(*secrets, cs_auth_secrets(auth));
	return auth;
}

/* Keys are shown as "encoded", or as an id and a key, which are given here as id:key. */
static char *
api_key_value(const char *key, List **secrets)
{
	const char *colon = strchr(key, ':');
	int len = (int) strlen(key);
	int room = pg_b64_enc_len(len) + 1;
	char *encoded = palloc0(room);

	*secrets = lappend(*secrets, pstrdup(key));
	if (colon == NULL)
		return psprintf("ApiKey %s", key);
	if (cs_base64_encode(key, len, encoded, room) < 0)
		elog(ERROR, "could not encode the API key");
	*secrets = lappend(*secrets, encoded);
	*secrets = lappend(*secrets, pstrdup(colon + 1));
	return psprintf("ApiKey %s", encoded);
}

static void
refuse(CsServiceSession *base, int status, const char *body)
{
	const json_t *document = cs_json_parse(body, strlen(body));

	if (json_is_object(document) && json_object_get(document, "error"))
		cs_elastic_throw((ElasticSession *) base, status, document);
}

bool
cs_elastic_is_listed(const ElasticSession *session, const char *option, const char *name)
{
	const char *names = cs_option_get(session->base.options, option);
	size_t len = strlen(name);

	for (const char *p = names; p && *p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
	{
		size_t part;

		p += strspn(p, " \t\r\n");
		part = strcspn(p, ",");
		while (part > 0 && strchr(" \t\r\n", p[part - 1]))
			part--;
		if (part == len && strncmp(p, name, len) == 0)
			return true;
	}
	return false;
}

char *
cs_elastic_path(const char *index)
{
	StringInfoData path;

	initStringInfo(&path);
	while (*index)
	{
		int plain = (int) strcspn(index, ",*");

		appendStringInfoString(&path, cs_url_encode(pnstrdup(index, plain)));
		index += plain;
		if (*index)
			appendStringInfoChar(&path, *index++);
	}
	return path.data;
}

/* Some users may not ask what answers; then its headers tell. */
void
cs_elastic_detect(ElasticSession *session)
{
	CsServiceSession *base = &session->base;
	const json_t *answer;
	const json_t *version;
	const char *distribution;
	const char *number;
	const char *tagline;
	const char *flavor;
	int status;
	char *end;

	if (session->known)
		return;
	answer = cs_service_call(base, cs_service_request(base, "GET", "/", NULL), 403, &status);
	version = json_object_get(answer, "version");
	distribution = cs_json_text(version, "distribution");
	tagline = cs_json_text(answer, "tagline");
	number = cs_json_text(version, "number");
	flavor = cs_json_text(version, "build_flavor");
	if (number == NULL)
		number = cs_http_header(base->http, "X-OpenSearch-Version");
	if (number && strncmp(number, "OpenSearch/", 11) == 0)
		number += 11;
	if (status != 403 && version == NULL)
		ereport(ERROR, (errcode(ERRCODE_PROTOCOL_VIOLATION),
						errmsg("\"%s\" is neither Elasticsearch nor OpenSearch",
							   cs_url_display(base->base_url)),
						errhint("Check the address of the server: something else answers there.")));
	session->opensearch = (distribution && strcmp(distribution, "opensearch") == 0) ||
						  (tagline && strstr(tagline, "OpenSearch")) ||
						  cs_http_header(base->http, "X-OpenSearch-Version");
	if (number)
	{
		session->major = (int) strtol(number, &end, 10);
		session->minor = *end == '.' ? (int) strtol(end + 1, NULL, 10) : 0;
	}
	/* Since 9.2.  Serverless has a number of old; and who may not know it may have any. */
	session->hides_vectors =
		!session->opensearch && (session->major == 0 || session->major > 9 ||
								 (session->major == 9 && session->minor >= 2) ||
								 (flavor && strcmp(flavor, "serverless") == 0));
	session->known = true;
}

static void
describe(CsServiceSession *base)
{
	ElasticSession *session = (ElasticSession *) base;
	char *path;

	cs_elastic_detect(session);
	base->since = session->search != NULL;
	if (session->search == NULL)
	{
		cs_elastic_sql_describe(session);
		return;
	}
	if (session->index == NULL)
		ereport(ERROR, (errcode(ERRCODE_FDW_DYNAMIC_PARAMETER_VALUE_NEEDED),
						errmsg("neither an object nor a query is given"),
						errhint("Give an index as object, or a query.")));
	path = psprintf("/%s/_mapping", cs_elastic_path(session->index));
	cs_elastic_mapping_set(
		session, cs_service_call(base, cs_service_request(base, "GET", path, NULL), 0, NULL));
}

static void
narrow(CsServiceSession *base, const bool *needed)
{
	ElasticSession *session = (ElasticSession *) base;

	if (session->search)
		cs_elastic_search_narrow(session, needed);
}

static bool
next_part(CsServiceSession *base, CsServicePart *part)
{
	ElasticSession *session = (ElasticSession *) base;

	return session->search ? cs_elastic_search_next(session, part)
						   : cs_elastic_sql_next(session, part);
}

static CsHttpRequest *
guess_next(CsServiceSession *base, const char *beginning, const char *end)
{
	ElasticSession *session = (ElasticSession *) base;

	return session->search ? cs_elastic_search_guess(session, beginning, end)
						   : cs_elastic_sql_guess(session, end);
}

static void
end_part(CsServiceSession *base, const char *envelope, int64 rows)
{
	ElasticSession *session = (ElasticSession *) base;

	if (session->search)
		cs_elastic_search_end(session, envelope, rows);
	else
		cs_elastic_sql_end(session, envelope, rows);
}

/* Indices, aliases and data streams; they have no schemas. */
static List *
list(CsServiceSession *base, const char *schema pg_attribute_unused(), List *only)
{
	ElasticSession *session = (ElasticSession *) base;
	const json_t *answer;
	List *objects = NIL;

	cs_elastic_detect(session);
	answer =
		cs_service_call(base, cs_service_request(base, "GET", "/_resolve/index/*", NULL), 0, NULL);
	objects = list_group(session, json_object_get(answer, "indices"), only, objects);
	objects = list_group(session, json_object_get(answer, "aliases"), only, objects);
	return list_group(session, json_object_get(answer, "data_streams"), only, objects);
}

/* Names that begin with a point are the service's own; indices of a data stream are read as that. */
static List *
list_group(ElasticSession *session, const json_t *names, List *only, List *objects)
{
	for (size_t i = 0; i < json_array_size(names); i++)
	{
		const json_t *entry = json_array_get(names, i);
		const char *name = cs_json_text(entry, "name");

		if (name && *name != '.' && json_object_get(entry, "data_stream") == NULL &&
			cs_names_want(only, name))
			objects = lappend(objects, describe_object(session, name));
	}
	return objects;
}

static CsObject *
describe_object(ElasticSession *session, const char *name)
{
	CsServiceSession *base = &session->base;
	CsObject *object = palloc0(sizeof(CsObject));
	char *path = psprintf("/%s/_mapping", cs_elastic_path(name));
	const json_t *mapping;
	int status;

	object->name = object->object = pstrdup(name);
	mapping = cs_service_call(base, cs_service_request(base, "GET", path, NULL), 403, &status);
	if (status == 403)
	{
		object->refused = "its user may not read its mapping";
		return object;
	}
	session->index = name;
	cs_elastic_mapping_set(session, mapping);
	object->ncolumns = base->ncolumns;
	object->columns = base->columns;
	return object;
}

static void
probe(CsServiceSession *base)
{
	cs_elastic_detect((ElasticSession *) base);
}
