/*
 * url.c
 *		Taking URLs apart and putting them together (RFC 3986), without libcurl.
 *
 * What goes on the wire is always rebuilt from the parts found here, so that
 * libcurl never reads another host out of a URL than the one that was checked.
 */
#include "postgres.h"

#include <arpa/inet.h>

#include "lib/stringinfo.h"
#include "mb/pg_wchar.h"
#include "net/url.h"

/* Longest URL taken from anywhere. */
#define MAX_URL 65536

static const char *parse(const char *url, CsUrl *out);
static const char *parse_authority(const char *start, const char *end, CsUrl *out);
static const char *parse_host(const char *start, const char *end, CsUrl *out);
static const char *parse_port(const char *start, const char *end, CsUrl *out);
static const char *check_characters(const char *text);
static size_t scheme_length(const char *text);
static char *resolve_path(const CsUrl *base, const char *path);
static char *remove_dot_segments(const char *path);
static void remove_last_segment(StringInfo out);
static bool has_parent_segment(const char *path);
static char *join_query(const char *first, const char *second);
static bool parameter_is(const char *start, const char *end, const char *name);
static int hex_value(char c);
static void append_origin(StringInfo out, const CsUrl *url);
static void append_printable(StringInfo out, const char *text);

CsUrl *
cs_url_parse(const char *url)
{
	const char *why;
	CsUrl *result = cs_url_try_parse(url, &why);

	if (result == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid URL: %s", why),
						errhint("Give a URL such as \"https://api.example.com/v1\".")));
	return result;
}

CsUrl *
cs_url_try_parse(const char *url, const char **why)
{
	CsUrl *result = palloc0(sizeof(CsUrl));

	*why = parse(url, result);
	return *why == NULL ? result : NULL;
}

char *
cs_url_build(const CsUrl *url)
{
	StringInfoData out;

	initStringInfo(&out);
	append_origin(&out, url);
	append_printable(&out, url->path);
	if (url->query != NULL)
	{
		appendStringInfoChar(&out, '?');
		append_printable(&out, url->query);
	}
	return out.data;
}

char *
cs_url_resolve(const char *base, const char *reference)
{
	const char *why;
	char *result = cs_url_try_resolve(base, reference, &why);

	if (result == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("invalid URL reference: %s", why)));
	return result;
}

char *
cs_url_try_resolve(const char *base, const char *reference, const char **why)
{
	CsUrl *url;
	CsUrl *target;
	const char *fragment = strchr(reference, '#');
	char *rest = fragment ? pnstrdup(reference, fragment - reference) : pstrdup(reference);
	char *query;

	if (scheme_length(rest) > 0)
	{
		target = cs_url_try_parse(rest, why);
		return target ? cs_url_build(target) : NULL;
	}
	if ((url = cs_url_try_parse(base, why)) == NULL)
		return NULL;
	if (strncmp(rest, "//", 2) == 0)
	{
		target = cs_url_try_parse(psprintf("%s:%s", url->scheme, rest), why);
		return target ? cs_url_build(target) : NULL;
	}
	if ((*why = check_characters(rest)) != NULL)
		return NULL;
	query = strchr(rest, '?');
	if (query != NULL)
		*query++ = '\0';
	if (rest[0] != '\0')
		url->path = resolve_path(url, rest);
	if (rest[0] != '\0' || query != NULL)
		url->query = query;
	return cs_url_build(url);
}

char *
cs_url_append(const char *base, const char *object)
{
	CsUrl *url = cs_url_parse(base);
	const char *why = check_characters(object);
	char *path = pstrdup(object);
	char *query = strchr(path, '?');
	size_t len = strlen(url->path);
	size_t scheme = scheme_length(object);

	if (query != NULL)
		*query++ = '\0';
	if (why == NULL && scheme > 0 && strncmp(object + scheme, "://", 3) == 0)
		why = "it must be a path below the URL of its server, not a URL";
	if (why == NULL && strchr(object, '#') != NULL)
		why = "it contains \"#\"";
	if (why == NULL && has_parent_segment(path))
		why = "it contains \"..\"";
	if (why != NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE), errmsg("invalid object: %s", why),
						errhint("Give a path such as \"orders\" or \"orders?status=open\"; other "
								"characters must be percent-encoded.")));
	while (*path == '/')
		path++;
	while (len > 0 && url->path[len - 1] == '/' && *path != '\0')
		len--;
	if (*path != '\0')
		url->path = psprintf("%.*s/%s", (int) len, url->path, path);
	url->query = join_query(url->query, query);
	return cs_url_build(url);
}

char *
cs_url_set_parameter(const char *url, const char *name, const char *value)
{
	CsUrl *parts = cs_url_parse(url);
	const char *p = parts->query ? parts->query : "";
	bool done = false;
	StringInfoData out;

	initStringInfo(&out);
	while (*p != '\0' || !done)
	{
		const char *end = p + strcspn(p, "&");
		bool same = *p != '\0' && parameter_is(p, end, name);

		if ((same || *p == '\0') && !done)
		{
			appendStringInfo(&out, "%s%s=%s", out.len > 0 ? "&" : "", cs_url_encode(name),
							 cs_url_encode(value));
			done = true;
		}
		else if (!same && end > p)
			appendStringInfo(&out, "%s%.*s", out.len > 0 ? "&" : "", (int) (end - p), p);
		p = *end == '&' ? end + 1 : end;
	}
	parts->query = out.data;
	return cs_url_build(parts);
}

/* Everything but RFC 3986's unreserved characters, as UTF-8, as %XX. */
char *
cs_url_encode(const char *text)
{
	const char *utf8 = pg_server_to_any(text, strlen(text), PG_UTF8);
	StringInfoData out;

	initStringInfo(&out);
	for (; *utf8 != '\0'; utf8++)
	{
		unsigned char c = (unsigned char) *utf8;

		if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
			strchr("-._~", c) != NULL)
			appendStringInfoChar(&out, c);
		else
			appendStringInfo(&out, "%%%02X", c);
	}
	return out.data;
}

bool
cs_url_same_origin(const char *a, const char *b)
{
	CsUrl *first = cs_url_parse(a);
	CsUrl *second = cs_url_parse(b);

	return strcmp(first->scheme, second->scheme) == 0 && strcmp(first->host, second->host) == 0 &&
		   first->port == second->port;
}

char *
cs_url_display(const char *url)
{
	const char *why;
	CsUrl *parts = cs_url_try_parse(url, &why);

	if (parts == NULL)
		return pstrdup("(invalid URL)");
	parts->query = NULL;
	return cs_url_build(parts);
}

/* Fills *out; returns why it can't, or NULL. */
static const char *
parse(const char *url, CsUrl *out)
{
	const char *why = check_characters(url);
	size_t scheme = scheme_length(url);
	const char *authority = url + scheme + 3;
	const char *path;
	const char *query;
	const char *end;

	if (why != NULL)
		return why;
	if (scheme == 0 || strncmp(url + scheme, "://", 3) != 0)
		return "it does not begin with \"https://\"";
	out->scheme = pnstrdup(url, scheme);
	for (char *c = out->scheme; *c != '\0'; c++)
		*c = pg_ascii_tolower((unsigned char) *c);
	if (strcmp(out->scheme, "https") != 0 && strcmp(out->scheme, "http") != 0)
		return "its scheme is neither \"https\" nor \"http\"";
	out->port = strcmp(out->scheme, "https") == 0 ? 443 : 80;
	path = authority + strcspn(authority, "/?#");
	if ((why = parse_authority(authority, path, out)) != NULL)
		return why;
	query = path + strcspn(path, "?#");
	end = query + strcspn(query, "#");
	out->path = query > path ? pnstrdup(path, query - path) : pstrdup("/");
	out->query = *query == '?' ? pnstrdup(query + 1, end - query - 1) : NULL;
	return NULL;
}

static const char *
parse_authority(const char *start, const char *end, CsUrl *out)
{
	const char *host = start;
	const char *colon;
	const char *why;

	for (const char *p = start; p < end; p++)
	{
		if (*p == '@')
			host = p + 1;
	}
	if (host > start)
		out->user_info = pnstrdup(start, host - start - 1);
	colon = host;
	if (host < end && *host == '[')
	{
		while (colon < end && *colon != ']')
			colon++;
	}
	while (colon < end && *colon != ':')
		colon++;
	why = parse_host(host, colon, out);
	if (why == NULL && colon < end)
		why = parse_port(colon + 1, end, out);
	return why;
}

/* Only what every reader of URLs understands in the same way: no percent-encoding, no letters that
 * would have to be converted to punycode first. */
static const char *
parse_host(const char *start, const char *end, CsUrl *out)
{
	struct in6_addr ignored;

	if (start == end)
		return "it has no host";
	if (*start == '[')
	{
		if (end[-1] != ']')
			return "its IPv6 address is not closed with \"]\"";
		out->host = pnstrdup(start + 1, end - start - 2);
		if (inet_pton(AF_INET6, out->host, &ignored) != 1)
			return "what it has in brackets is not an IPv6 address";
	}
	else
		out->host = pnstrdup(start, end - start);
	for (char *c = out->host; *c != '\0'; c++)
	{
		if (IS_HIGHBIT_SET(*c))
			return "its host has letters outside ASCII; write it in its \"xn--\" form";
		if (!isalnum((unsigned char) *c) && strchr("-._", *c) == NULL && *start != '[')
			return "its host contains a character that no host name has";
		*c = pg_ascii_tolower((unsigned char) *c);
	}
	return strspn(out->host, ".") == strlen(out->host) ? "it has no host" : NULL;
}

static const char *
parse_port(const char *start, const char *end, CsUrl *out)
{
	int port = 0;

	if (start == end)
		return NULL;
	for (; start < end; start++)
	{
		if (*start < '0' || *start > '9' || port > 65535)
			return "its port is not a number from 1 to 65535";
		port = port * 10 + (*start - '0');
	}
	if (port < 1 || port > 65535)
		return "its port is not a number from 1 to 65535";
	out->port = port;
	return NULL;
}

static const char *
check_characters(const char *text)
{
	if (strnlen(text, MAX_URL + 1) > MAX_URL)
		return "it is too long";
	for (; *text != '\0'; text++)
	{
		if ((unsigned char) *text < 0x20 || *text == 0x7f)
			return "it contains a control character";
		if (*text == ' ')
			return "it contains a space";
		if (*text == '\\')
			return "it contains a backslash";
	}
	return NULL;
}

/* Length of a leading "scheme", without its colon; 0 if there is none. */
static size_t
scheme_length(const char *text)
{
	size_t len = 0;

	while (isalnum((unsigned char) text[len]) || (len > 0 && strchr("+-.", text[len]) && text[len]))
		len++;
	return len > 0 && isalpha((unsigned char) text[0]) && text[len] == ':' ? len : 0;
}

/* RFC 3986, 5.2.3 and 5.2.4. */
static char *
resolve_path(const CsUrl *base, const char *path)
{
	const char *slash = strrchr(base->path, '/');

	if (path[0] == '/')
		return remove_dot_segments(path);
	return remove_dot_segments(
		psprintf("%.*s%s", (int) (slash - base->path) + 1, base->path, path));
}

static char *
remove_dot_segments(const char *path)
{
	StringInfoData out;

	initStringInfo(&out);
	while (*path != '\0')
	{
		size_t len = 1 + strcspn(path + 1, "/");
		bool last = path[len] == '\0';

		if (len == 2 && path[1] == '.')
			appendStringInfoString(&out, last ? "/" : "");
		else if (len == 3 && path[1] == '.' && path[2] == '.')
		{
			remove_last_segment(&out);
			appendStringInfoString(&out, last ? "/" : "");
		}
		else
			appendBinaryStringInfo(&out, path, len);
		path += len;
	}
	if (out.len == 0)
		appendStringInfoChar(&out, '/');
	return out.data;
}

static void
remove_last_segment(StringInfo out)
{
	while (out->len > 0 && out->data[out->len - 1] != '/')
		out->len--;
	if (out->len > 0)
		out->len--;
	out->data[out->len] = '\0';
}

/* ".." between slashes, however its dots are written. */
static bool
has_parent_segment(const char *path)
{
	while (*path != '\0')
	{
		const char *end = path + strcspn(path, "/");
		int dots = 0;

		while (path < end)
		{
			bool encoded = pg_strncasecmp(path, "%2e", 3) == 0;

			if (*path != '.' && !encoded)
				break;
			path += encoded ? 3 : 1;
			dots++;
		}
		if (path == end && dots == 2)
			return true;
		path = *end == '/' ? end + 1 : end;
	}
	return false;
}

static char *
join_query(const char *first, const char *second)
{
	if (first == NULL || *first == '\0')
		return second ? pstrdup(second) : NULL;
	if (second == NULL || *second == '\0')
		return pstrdup(first);
	return psprintf("%s&%s", first, second);
}

/* Is the name of the parameter in [start, end), decoded, this name? */
static bool
parameter_is(const char *start, const char *end, const char *name)
{
	const char *utf8 = pg_server_to_any(name, strlen(name), PG_UTF8);

	for (; start < end && *start != '='; utf8++)
	{
		char c = *start == '+' ? ' ' : *start;

		if (c == '%' && end - start > 2 && hex_value(start[1]) >= 0 && hex_value(start[2]) >= 0)
		{
			c = (char) (hex_value(start[1]) * 16 + hex_value(start[2]));
			start += 2;
		}
		start++;
		if (*utf8 == '\0' || *utf8 != c)
			return false;
	}
	return *utf8 == '\0';
}

static int
hex_value(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c = pg_ascii_tolower((unsigned char) c);
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static void
append_origin(StringInfo out, const CsUrl *url)
{
	bool ipv6 = strchr(url->host, ':') != NULL;

	appendStringInfo(out, "%s://%s%s%s", url->scheme, ipv6 ? "[" : "", url->host, ipv6 ? "]" : "");
	if (url->port != (strcmp(url->scheme, "https") == 0 ? 443 : 80))
		appendStringInfo(out, ":%d", url->port);
}

static void
append_printable(StringInfo out, const char *text)
{
	for (; *text != '\0'; text++)
	{
		if (*text > 0x20 && *text < 0x7f)
			appendStringInfoChar(out, *text);
		else
			appendStringInfo(out, "%%%02X", (unsigned char) *text);
	}
}
