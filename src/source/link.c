/*
 * link.c
 *		Link headers (RFC 8288).
 */
#include "postgres.h"

#include "source/pages.h"

static const char *skip_link_parameters(const char *p, bool *is_next);
static bool relation_has_next(const char *value);

char *
cs_link_next(List *values)
{
	ListCell *lc;

	foreach (lc, values)
	{
		const char *p = lfirst(lc);

		while ((p = strchr(p, '<')) != NULL)
		{
			const char *target = p + 1;
			const char *end = strchr(target, '>');
			bool is_next = false;

			if (end == NULL)
				break;
			p = skip_link_parameters(end + 1, &is_next);
			if (is_next)
				return pnstrdup(target, end - target);
		}
	}
	return NULL;
}

/* Goes over the parameters of one link, up to the comma before the next one; commas and semicolons
 * inside quotes separate nothing. */
static const char *
skip_link_parameters(const char *p, bool *is_next)
{
	bool in_quotes = false;

	for (; *p && (in_quotes || *p != ','); p++)
	{
		if (in_quotes && *p == '\\' && p[1])
			p++;
		else if (*p == '"')
			in_quotes = !in_quotes;
		else if (!in_quotes && *p == ';')
		{
			const char *name = p + 1 + strspn(p + 1, " \t");
			const char *value = name + 3;

			if (pg_strncasecmp(name, "rel", 3) != 0)
				continue;
			value += strspn(value, " \t");
			if (*value == '=' && relation_has_next(value + 1 + strspn(value + 1, " \t")))
				*is_next = true;
		}
	}
	return p;
}

/* A relation is a word, or several in quotes. */
static bool
relation_has_next(const char *value)
{
	bool quoted = *value == '"';
	const char *end = value + quoted;

	value = end;
	end += strcspn(value, quoted ? "\"" : ";, \t");
	while (value < end)
	{
		size_t word = strcspn(value, " \t");

		word = Min(word, (size_t) (end - value));
		if (word == 4 && pg_strncasecmp(value, "next", 4) == 0)
			return true;
		value += word;
		value += strspn(value, " \t");
	}
	return false;
}
