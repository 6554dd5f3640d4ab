/*
 * address.c
 *		Where a backend may connect to: the rules of censync.allowed_hosts.
 *
 * The list is parsed once, in the check hook, into one flat block that belongs
 * to the GUC machinery.  Matching allocates nothing and throws nothing: it runs
 * inside libcurl.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "base/compat.h"
#include "base/settings.h"
#include "net/address.h"
#include "utils/guc.h"

#define MAX_ENTRIES 1000
#define MAX_HOST 255

/* An address without its port; IPv4-mapped IPv6 addresses are IPv4 here. */
typedef struct Address
{
	int bits; /* 32 or 128; 0: of another family */
	uint8 bytes[16];
} Address;

typedef struct Network
{
	uint8 bytes[16];
	int prefix;
	const char *kind;
} Network;

typedef enum EntryKind
{
	ENTRY_NETWORK,
	ENTRY_NAME,
	ENTRY_SUFFIX, /* text is what follows the star: ".example.com" */
	ENTRY_EVERY_NAME
} EntryKind;

typedef struct Entry
{
	EntryKind kind;
	Address network;
	int prefix;
	char text[MAX_HOST + 1]; /* lower case */
} Entry;

typedef struct AllowList
{
	int nentries;
	Entry entries[FLEXIBLE_ARRAY_MEMBER];
} AllowList;

/* The list in force; points to the variable's extra data, NULL before the first assignment. */
static const AllowList *allowed = NULL;

/*
 * A list was given and is not in force.  Before the library is loaded anything is taken for one: from a file
 * or a database what can't be read, and from a client that connects what it may not set, in place of what the
 * file has.  Both are dropped when the library comes, and the default is no list, which lets the internet in.
 */
static bool missing = false;
static int nassigned = 0;

static const Network special_v4[] = {
	{ { 0 }, 8, "unspecified" },
	{ { 10 }, 8, "private" },
	{ { 100, 64 }, 10, "in carrier-grade NAT space" },
	{ { 127 }, 8, "loopback" },
	{ { 169, 254 }, 16, "link-local" },
	{ { 172, 16 }, 12, "private" },
	{ { 192, 0, 0 }, 24, "reserved" },
	{ { 192, 0, 2 }, 24, "in documentation space" },
	{ { 192, 88, 99 }, 24, "reserved" },
	{ { 192, 168 }, 16, "private" },
	{ { 198, 18 }, 15, "reserved" },
	{ { 198, 51, 100 }, 24, "in documentation space" },
	{ { 203, 0, 113 }, 24, "in documentation space" },
	{ { 224 }, 4, "multicast" },
	{ { 240 }, 4, "reserved" },
};

static const Network special_v6[] = {
	{ { 0 }, 128, "unspecified" },
	{ { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1 }, 128, "loopback" },
	{ { 0xfc }, 7, "private" },
	{ { 0xfe, 0x80 }, 10, "link-local" },
	{ { 0xfe, 0xc0 }, 10, "private" },
	{ { 0xff }, 8, "multicast" },
	{ { 0x20, 0x01, 0x0d, 0xb8 }, 32, "in documentation space" },
	{ { 0x20, 0x01 }, 23, "reserved" },
	{ { 0x3f, 0xff }, 20, "in documentation space" },
};

static const uint8 mapped_prefix[12] = { 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff };
static const uint8 nat64_prefix[12] = { 0, 0x64, 0xff, 0x9b };

static void note_refused(GucSource source);
static int parse_list(const char *text, AllowList *list);
static bool parse_entry(const char *text, size_t len, Entry *entry);
static bool parse_network(const char *text, Entry *entry);
static bool parse_name(Entry *entry);
static Address to_address(const struct sockaddr *address);
static Address to_ipv4(const uint8 *bytes);
static const char *kind_of(Address address);
static bool in_network(const uint8 *address, const uint8 *network, int prefix);
static bool is_listed(Address address);
static bool name_matches(const char *host);
static bool parse_literal(const char *host, Address *address);
static bool may_connect(const char *host, Address address);

const char *
cs_address_kind(const struct sockaddr *address)
{
	return kind_of(to_address(address));
}

const char *
cs_address_text(const struct sockaddr *address, char *buf, size_t buflen)
{
	Address plain = to_address(address);

	strlcpy(buf, "(unknown)", buflen);
	if (plain.bits > 0)
		(void) inet_ntop(plain.bits == 32 ? AF_INET : AF_INET6, plain.bytes, buf, buflen);
	return buf;
}

bool
cs_address_is_allowed(const char *host, const struct sockaddr *address)
{
	return may_connect(host, to_address(address));
}

bool
cs_host_may_be_allowed(const char *host)
{
	Address literal;

	if (parse_literal(host, &literal))
		return may_connect(host, literal);
	if (missing)
		return false;
	if (allowed == NULL || allowed->nentries == 0 || name_matches(host))
		return true;
	for (int i = 0; i < allowed->nentries; i++)
	{
		if (allowed->entries[i].kind == ENTRY_NETWORK)
			return true;
	}
	return false;
}

bool
cs_allowed_hosts_check(char **newval, void **extra, GucSource source)
{
	const char *text = *newval ? *newval : "";
	int n = 1;
	AllowList *list;

	for (const char *p = text; *p != '\0'; p++)
		n += *p == ',';
	if (n > MAX_ENTRIES)
	{
		GUC_check_errdetail("The list has more than %d entries.", MAX_ENTRIES);
		note_refused(source);
		return false;
	}
	list = cs_guc_malloc(offsetof(AllowList, entries) + n * sizeof(Entry));
	if (list == NULL)
	{
		GUC_check_errcode(ERRCODE_OUT_OF_MEMORY);
		return false;
	}
	n = parse_list(text, list);
	if (n >= 0)
	{
		GUC_check_errdetail("Entry %d of the list is neither a host name, \"*.suffix\", \"*\", an "
							"address nor a network such as 10.0.0.0/8.",
							n + 1);
		note_refused(source);
		cs_guc_free(list);
		return false;
	}
	*extra = list;
	return true;
}

void
cs_allowed_hosts_assign(const char *newval pg_attribute_unused(), void *extra)
{
	allowed = (const AllowList *) extra;
	missing = false;
	nassigned++;
}

/* Its definition assigns the default, and then what was there before, if that will do. */
void
cs_allowed_hosts_settle(bool was_given)
{
	if (was_given && nassigned < 2)
		missing = true;
}

bool
cs_allowed_hosts_are_missing(void)
{
	return missing;
}

/* Where a list is in force, a bad one does not replace it. One that somebody tries to SET is not given. */
static void
note_refused(GucSource source)
{
	if (source > PGC_S_DYNAMIC_DEFAULT && source < PGC_S_CLIENT &&
		(allowed == NULL || allowed->nentries == 0))
		missing = true;
}

/* Returns the number of the entry that is wrong, or -1. */
static int
parse_list(const char *text, AllowList *list)
{
	list->nentries = 0;
	for (int i = 0;; i++)
	{
		size_t len;
		size_t rest;

		text += strspn(text, " \t\r\n");
		len = rest = strcspn(text, ",");
		while (len > 0 && isspace((unsigned char) text[len - 1]))
			len--;
		if (len == 0 && i == 0 && text[rest] == '\0')
			return -1;
		if (!parse_entry(text, len, &list->entries[list->nentries]))
			return i;
		list->nentries++;
		if (text[rest] == '\0')
			return -1;
		text += rest + 1;
	}
}

static bool
parse_entry(const char *text, size_t len, Entry *entry)
{
	char copy[MAX_HOST + 1];

	if (len == 0 || len > MAX_HOST)
		return false;
	memset(entry, 0, sizeof(*entry));
	for (size_t i = 0; i < len; i++)
		copy[i] = entry->text[i] = pg_ascii_tolower((unsigned char) text[i]);
	copy[len] = '\0';
	/* An IPv6 address may be written as in a URL. */
	if (copy[0] == '[' && copy[len - 1] == ']')
	{
		copy[len - 1] = '\0';
		return parse_network(copy + 1, entry);
	}
	return parse_network(copy, entry) || parse_name(entry);
}

static bool
parse_network(const char *text, Entry *entry)
{
	char address[INET6_ADDRSTRLEN];
	size_t len = strcspn(text, "/");
	int prefix = 0;

	if (len >= sizeof(address))
		return false;
	memcpy(address, text, len);
	address[len] = '\0';
	if (!parse_literal(address, &entry->network))
		return false;
	entry->kind = ENTRY_NETWORK;
	entry->prefix = entry->network.bits;
	if (text[len] == '\0')
		return true;
	if (text[len + 1] == '\0' || strlen(text + len + 1) > 3)
		return false;
	for (const char *p = text + len + 1; *p != '\0'; p++)
	{
		if (*p < '0' || *p > '9')
			return false;
		prefix = prefix * 10 + (*p - '0');
	}
	/* A mapped network is written for 128 bits. */
	if (entry->network.bits == 32 && strchr(address, ':') != NULL)
		prefix -= 96;
	entry->prefix = prefix;
	return prefix >= 0 && prefix <= entry->network.bits;
}

/* Digits and dots alone are no name: more likely a mistyped address. */
static bool
parse_name(Entry *entry)
{
	char *text = entry->text;
	char *name = text;
	size_t len = strlen(text);

	if (strcmp(text, "*") == 0)
	{
		entry->kind = ENTRY_EVERY_NAME;
		return true;
	}
	entry->kind = ENTRY_NAME;
	if (text[0] == '*' && text[1] == '.')
	{
		entry->kind = ENTRY_SUFFIX;
		memmove(text, text + 1, len);
		len--;
		name = text + 1;
	}
	if (len > 1 && text[len - 1] == '.')
		text[len - 1] = '\0';
	return *name != '\0' && *name != '.' && strstr(name, "..") == NULL &&
		   strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789-._") == strlen(name) &&
		   strspn(name, "0123456789.") < strlen(name);
}

static Address
to_address(const struct sockaddr *address)
{
	Address result = { 0 };

	if (address->sa_family == AF_INET)
	{
		struct in_addr in = ((const struct sockaddr_in *) address)->sin_addr;

		return to_ipv4((const uint8 *) &in.s_addr);
	}
	if (address->sa_family == AF_INET6)
	{
		const uint8 *bytes = ((const struct sockaddr_in6 *) address)->sin6_addr.s6_addr;

		if (memcmp(bytes, mapped_prefix, sizeof(mapped_prefix)) == 0)
			return to_ipv4(bytes + 12);
		result.bits = 128;
		memcpy(result.bytes, bytes, 16);
	}
	return result;
}

static Address
to_ipv4(const uint8 *bytes)
{
	Address result = { 32, { 0 } };

	memcpy(result.bytes, bytes, 4);
	return result;
}

/* Only 2000::/3 is handed out as global unicast; whatever else is left over is reserved. */
static const char *
kind_of(Address address)
{
	if (address.bits == 0)
		return "not an IP address";
	if (address.bits == 32)
	{
		for (int i = 0; i < (int) lengthof(special_v4); i++)
		{
			if (in_network(address.bytes, special_v4[i].bytes, special_v4[i].prefix))
				return special_v4[i].kind;
		}
		return NULL;
	}
	if (memcmp(address.bytes, nat64_prefix, sizeof(nat64_prefix)) == 0)
		return kind_of(to_ipv4(address.bytes + 12));
	if (address.bytes[0] == 0x20 && address.bytes[1] == 0x02)
		return kind_of(to_ipv4(address.bytes + 2));
	for (int i = 0; i < (int) lengthof(special_v6); i++)
	{
		if (in_network(address.bytes, special_v6[i].bytes, special_v6[i].prefix))
			return special_v6[i].kind;
	}
	return (address.bytes[0] & 0xe0) == 0x20 ? NULL : "reserved";
}

static bool
in_network(const uint8 *address, const uint8 *network, int prefix)
{
	int whole = prefix / 8;
	uint8 mask = (uint8) (0xff00 >> (prefix % 8));

	if (memcmp(address, network, whole) != 0)
		return false;
	return prefix % 8 == 0 || ((address[whole] ^ network[whole]) & mask) == 0;
}

static bool
is_listed(Address address)
{
	for (int i = 0; i < allowed->nentries; i++)
	{
		const Entry *entry = &allowed->entries[i];

		if (entry->kind == ENTRY_NETWORK && entry->network.bits == address.bits &&
			in_network(address.bytes, entry->network.bytes, entry->prefix))
			return true;
	}
	return false;
}

static bool
name_matches(const char *host)
{
	size_t len = strlen(host);

	/* "example.com." is the same host. */
	if (len > 1 && host[len - 1] == '.')
		len--;
	for (int i = 0; i < allowed->nentries; i++)
	{
		const Entry *entry = &allowed->entries[i];
		size_t entry_len = strlen(entry->text);

		if (entry->kind == ENTRY_EVERY_NAME)
			return true;
		if (entry->kind == ENTRY_NAME && entry_len == len &&
			pg_strncasecmp(host, entry->text, len) == 0)
			return true;
		if (entry->kind == ENTRY_SUFFIX && entry_len < len &&
			pg_strncasecmp(host + len - entry_len, entry->text, entry_len) == 0)
			return true;
	}
	return false;
}

static bool
parse_literal(const char *host, Address *address)
{
	struct sockaddr_in v4 = { .sin_family = AF_INET };
	struct sockaddr_in6 v6 = { .sin6_family = AF_INET6 };

	if (inet_pton(AF_INET, host, &v4.sin_addr) == 1)
		*address = to_address((const struct sockaddr *) &v4);
	else if (inet_pton(AF_INET6, host, &v6.sin6_addr) == 1)
		*address = to_address((const struct sockaddr *) &v6);
	else
		return false;
	return true;
}

static bool
may_connect(const char *host, Address address)
{
	bool is_public = kind_of(address) == NULL;

	if (address.bits == 0 || missing)
		return false;
	if (allowed == NULL || allowed->nentries == 0)
		return is_public;
	return is_listed(address) || (is_public && name_matches(host));
}
