/*
 * url.h
 *		Taking URLs apart and putting them together (RFC 3986), without libcurl.
 */
#ifndef CS_URL_H
#define CS_URL_H

/* All parts in one allocation context; absent parts are NULL. */
typedef struct CsUrl
{
	char *scheme;	 /* lower case */
	char *user_info; /* as written, or NULL */
	char *host;		 /* lower case; an IPv6 literal without its brackets */
	int port;		 /* given, or the scheme's default */
	char *path;		 /* begins with '/'; "" becomes "/" */
	char *query;	 /* without '?', or NULL */
} CsUrl;

/* Parses an absolute http or https URL; throws 22023 on anything else, on control characters,
 * spaces, a bad port, an empty host.  The fragment is dropped. */
extern CsUrl *cs_url_parse(const char *url);

/* The same for text from elsewhere: NULL, with the reason (static text) in *why, instead of an error. */
extern CsUrl *cs_url_try_parse(const char *url, const char **why);

/* The URL as it goes on the wire: no user info, no default port, other than printable ASCII
 * percent-encoded. */
extern char *cs_url_build(const CsUrl *url);

/* The absolute URL of a reference (absolute, //host, /path, path, ?query) seen at base. */
extern char *cs_url_resolve(const char *base, const char *reference);

/* The same for a reference from elsewhere: NULL, with the reason in *why, instead of an error. */
extern char *cs_url_try_resolve(const char *base, const char *reference, const char **why);

/* The path below a base URL: appended to the base's path with exactly one slash between; its query
 * string is joined with the base's.  An absolute URL or '..' as object is refused (22023), so that
 * an object can't leave its server. */
extern char *cs_url_append(const char *base, const char *object);

/* url with name=value set in its query string (replacing a parameter of that name); both are
 * percent-encoded here. */
extern char *cs_url_set_parameter(const char *url, const char *name, const char *value);

extern char *cs_url_encode(const char *text);

/* Same scheme, host and port. */
extern bool cs_url_same_origin(const char *a, const char *b);

/* scheme://host[:port]/path: what messages may show; no user info, no query. */
extern char *cs_url_display(const char *url);

#endif /* CS_URL_H */
