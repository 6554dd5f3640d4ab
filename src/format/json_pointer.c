/*
 * json_pointer.c
 *		JSON Pointers (RFC 6901): where the records are in a document.
 */
#include "postgres.h"

#include "format/decoder_internal.h"
#include "mb/pg_wchar.h"

static int count_tokens(const char *pointer);
static char *unescape_token(const char *pointer, const char *token, size_t len);

/*
 * Splits a pointer into its tokens, unescaped and in UTF-8, in CurrentMemoryContext.
 *
 * pointer: in the server's encoding.  Throws 22023 if it is not a pointer, 54000 if it is deeper
 * than any document may be.
 */
char **
cs_json_pointer_parse(const char *pointer, int *ntokens)
{
	char *utf8 = pg_server_to_any(pointer, (int) strlen(pointer), PG_UTF8);
	const char *p = utf8;
	char **tokens;
	int n = count_tokens(utf8);

	if (*p != '\0' && *p != '/')
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("\"%s\" is not a JSON Pointer", pointer),
				 errhint("Write \"/%s\": a pointer is empty or starts with a slash.", pointer)));
	if (n > CS_MAX_NESTING)
		ereport(ERROR, (errcode(ERRCODE_PROGRAM_LIMIT_EXCEEDED),
						errmsg("JSON Pointer has more than %d parts", CS_MAX_NESTING)));

	tokens = palloc0((n + 1) * sizeof(char *));
	for (int i = 0; i < n; i++)
	{
		size_t len = strcspn(p + 1, "/");

		tokens[i] = unescape_token(pointer, p + 1, len);
		p += len + 1;
	}
	*ntokens = n;
	return tokens;
}

/* Appends "/name", escaped as a pointer wants it. */
void
cs_json_pointer_append(StringInfo pointer, const char *name, size_t len)
{
	appendStringInfoChar(pointer, '/');
	for (size_t i = 0; i < len; i++)
	{
		if (name[i] == '~')
			appendStringInfoString(pointer, "~0");
		else if (name[i] == '/')
			appendStringInfoString(pointer, "~1");
		else
			appendStringInfoChar(pointer, name[i]);
	}
}

static int
count_tokens(const char *pointer)
{
	int n = 0;

	for (; *pointer; pointer++)
		n += *pointer == '/';
	return n;
}

static char *
unescape_token(const char *pointer, const char *token, size_t len)
{
	char *result = palloc(len + 1);
	char *out = result;

	for (size_t i = 0; i < len; i++)
	{
		if (token[i] != '~')
			*out++ = token[i];
		else if (i + 1 < len && (token[i + 1] == '0' || token[i + 1] == '1'))
			*out++ = token[++i] == '0' ? '~' : '/';
		else
			ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
							errmsg("\"%s\" is not a JSON Pointer", pointer),
							errhint("In a JSON Pointer \"~\" is written \"~0\", and \"/\" inside a "
									"name \"~1\".")));
	}
	*out = '\0';
	return result;
}
