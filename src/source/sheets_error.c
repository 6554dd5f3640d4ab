/*
 * sheets_error.c
 *		What the errors of the Sheets API mean.
 */
#include "postgres.h"

#include "base/errors.h"
#include "source/sheets.h"
#include "source/service_words.h"

static int code_of(int status, const char *name, const char *message);
static const char *hint_of(const GsSession *session, int code);

bool
cs_gs_may_pass(CsServiceSession *base pg_attribute_unused(), int status,
			   const char *body pg_attribute_unused())
{
	return status == 500 || status == 429;
}

/* Quotas are refused in HTML now and then. */
void
cs_gs_refuse(CsServiceSession *base, int status, const char *body)
{
	GsSession *session = (GsSession *) base;
	json_t *error = json_object_get(cs_json_parse(body, strlen(body)), "error");
	char *message = cs_json_text(error, "message");
	char *name = cs_json_text(error, "status");
	const char *hint;
	int code;

	if (message == NULL)
		return;
	message = cs_http_redact(base->http, message, (int) strlen(message), 1000);
	name = name ? cs_http_redact(base->http, name, (int) strlen(name), 60) : "unknown";
	code = code_of(status, name, message);
	hint = hint_of(session, code);
	ereport(ERROR, (errcode(code), errmsg("refused by Google Sheets: %s", message),
					errdetail("Its status is \"%s\", the HTTP status %d.", name, status),
					hint ? errhint("%s", hint) : 0));
}

static int
code_of(int status, const char *name, const char *message)
{
	int code = cs_service_status_code(status);

	if (code != ERRCODE_FDW_ERROR && code != CS_ERRCODE_REFUSED)
		return code;
	if (strcmp(name, "FAILED_PRECONDITION") == 0)
		return ERRCODE_FEATURE_NOT_SUPPORTED;
	if (strstr(message, "parse range"))
		return ERRCODE_UNDEFINED_TABLE;
	return code;
}

static const char *
hint_of(const GsSession *session, int code)
{
	const char *account = cs_google_auth_account(session->auth);

	switch (code)
	{
		case ERRCODE_INVALID_AUTHORIZATION_SPECIFICATION:
			return account ? "The account's new token was refused, too: is the account still there?"
						   : "Check the token in the user mapping: it is good for an hour at most.";
		case ERRCODE_INSUFFICIENT_PRIVILEGE:
			return psprintf("Share the spreadsheet with %s, for reading, and enable the Google "
							"Sheets API in its project.",
							account ? account : "the account");
		case ERRCODE_UNDEFINED_OBJECT:
			return "Check option \"spreadsheet_id\": it is what stands in the spreadsheet's "
				   "address "
				   "after /d/.";
		case ERRCODE_CONFIGURATION_LIMIT_EXCEEDED:
			return "It was tried again for a while. An account may read 60 times a minute: run "
				   "less at the same time, or raise option \"page_size\".";
		case ERRCODE_FEATURE_NOT_SUPPORTED:
			return "It is no Google spreadsheet: open it with Google Sheets and save it as one.";
		case ERRCODE_UNDEFINED_TABLE:
			return "The object is the title of a tab, as it is written there.";
		default:
			return code == ERRCODE_FDW_ERROR ? "The fault is Google's; try again later." : NULL;
	}
}
