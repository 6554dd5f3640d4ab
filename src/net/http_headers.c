/*
 * http_headers.c
 *		The head of an HTTP answer, collected line by line.
 */
#include "postgres.h"

#include "mb/pg_wchar.h"
#include "net/http_internal.h"

static void begin_block(CsHttpHead *head, const char *line, size_t len);
static bool add_header(CsHttpHead *head, const char *line, size_t len);
static bool continue_value(CsHttpHead *head, const char *line, size_t len);
static bool put(CsHttpHead *head, const char *text, size_t len);

void
cs_head_init(CsHttpHead *head)
{
	head->text = palloc(CS_MAX_HEAD);
	cs_head_reset(head);
}

void
cs_head_reset(CsHttpHead *head)
{
	head->status = 0;
	head->complete = head->overflow = false;
	head->nheaders = 0;
	head->used = 0;
}

bool
cs_head_add_line(CsHttpHead *head, const char *line, size_t len)
{
	/* Trailers say nothing that anybody here wants to know. */
	if (head->complete)
		return true;
	while (len > 0 && (line[len - 1] == '\r' || line[len - 1] == '\n' || line[len - 1] == ' ' ||
					   line[len - 1] == '\t'))
		len--;
	if (len == 0)
	{
		/* 1xx answers come before the one that counts. */
		head->complete = head->status >= 200;
		return true;
	}
	if (len >= 5 && memcmp(line, "HTTP/", 5) == 0)
	{
		begin_block(head, line, len);
		return true;
	}
	if (line[0] == ' ' || line[0] == '\t')
		head->overflow = !continue_value(head, line, len);
	else
		head->overflow = !add_header(head, line, len);
	return !head->overflow;
}

void
cs_head_finish(CsHttpHead *head)
{
	char *text = head->text;
	char *end = head->text + head->used;

	while (text < end)
	{
		size_t len = strlen(text);

		if (!pg_verifymbstr(text, len, true))
		{
			for (size_t i = 0; i < len; i++)
				text[i] = IS_HIGHBIT_SET(text[i]) ? '?' : text[i];
		}
		text += len + 1;
	}
}

const char *
cs_head_find(const CsHttpHead *head, const char *name, const char *previous)
{
	const char *text = previous ? previous + strlen(previous) + 1 : head->text;
	const char *end = head->text + head->used;

	while (text < end)
	{
		const char *value = text + strlen(text) + 1;

		if (pg_strcasecmp(text, name) == 0)
			return value;
		text = value + strlen(value) + 1;
	}
	return NULL;
}

bool
cs_head_lists(const CsHttpHead *head, const char *name, const char *element)
{
	size_t len = strlen(element);

	for (const char *value = NULL; (value = cs_head_find(head, name, value)) != NULL;)
	{
		for (const char *p = value; *p != '\0'; p += strcspn(p, ","))
		{
			p += strspn(p, ", \t");
			if (pg_strncasecmp(p, element, len) == 0 && strchr(", \t;", p[len]) != NULL)
				return true;
		}
	}
	return false;
}

static void
begin_block(CsHttpHead *head, const char *line, size_t len)
{
	const char *space = memchr(line, ' ', len);

	cs_head_reset(head);
	if (space == NULL || line + len - space < 4)
		return;
	for (int i = 1; i <= 3; i++)
	{
		if (space[i] < '0' || space[i] > '9')
			return;
	}
	head->status = (space[1] - '0') * 100 + (space[2] - '0') * 10 + (space[3] - '0');
}

static bool
add_header(CsHttpHead *head, const char *line, size_t len)
{
	const char *colon = memchr(line, ':', len);
	size_t name_len = colon ? (size_t) (colon - line) : len;
	const char *value = colon ? colon + 1 : line + len;

	/* A line that is no header has no name to be found by. */
	if (name_len == 0 || memchr(line, '\0', len) != NULL)
		return true;
	while (value < line + len && (*value == ' ' || *value == '\t'))
		value++;
	return ++head->nheaders <= CS_MAX_HEADERS && put(head, line, name_len) &&
		   put(head, value, line + len - value);
}

/* The old way to fold a long value. */
static bool
continue_value(CsHttpHead *head, const char *line, size_t len)
{
	if (head->nheaders == 0 || memchr(line, '\0', len) != NULL)
		return true;
	head->used--;
	return put(head, line, len);
}

static bool
put(CsHttpHead *head, const char *text, size_t len)
{
	if (len >= CS_MAX_HEAD - head->used)
		return false;
	memcpy(head->text + head->used, text, len);
	head->text[head->used + len] = '\0';
	head->used += len + 1;
	return true;
}
