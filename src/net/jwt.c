/*
 * jwt.c
 *		Private keys, and JSON Web Tokens signed with them.
 *
 * All cryptography is OpenSSL's.  Between its calls nothing is allocated that
 * could throw, so that what they return is always freed.
 */
#include "postgres.h"

#include <openssl/bio.h>
#include <openssl/ec.h>
#include <openssl/ecdsa.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509.h>

#include "base/compat.h"
#include "common/base64.h"
#include "lib/stringinfo.h"
#include "net/jwt.h"
#include "utils/json.h"
#include "utils/memutils.h"

struct CsSigningKey
{
	EVP_PKEY *key;		   /* freed with the context */
	const char *algorithm; /* of JWT */
	const EVP_MD *digest;  /* OpenSSL's */
	int number_size;	   /* ES...: of either half of a signature */
	const char *option;	   /* static */
	MemoryContextCallback free;
};

/* What the passphrase callback is given, and says. */
typedef struct Passphrase
{
	const char *text; /* or NULL */
	bool asked_for;
} Passphrase;

static void free_key(void *arg);
static EVP_PKEY *read_key(const char *pem, Passphrase *passphrase);
static int give_passphrase(char *buffer, int size, int writing, void *arg);
static void throw_unreadable(const Passphrase *passphrase, const char *option)
	pg_attribute_noreturn();
static void choose_algorithm(CsSigningKey *key);
static unsigned char *sign(const CsSigningKey *key, const char *text, size_t *len);
static size_t raw_signature(const CsSigningKey *key, const unsigned char *der, size_t len,
							unsigned char *raw);
static char *base64(const void *data, size_t len);
static char *base64url(const void *data, size_t len);

CsSigningKey *
cs_signing_key_read(const char *pem, const char *passphrase, const char *option)
{
	CsSigningKey *key = palloc0(sizeof(CsSigningKey));
	Passphrase given = { passphrase, false };

	key->option = option;
	key->free.func = free_key;
	key->free.arg = key;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &key->free);
	key->key = read_key(pem, &given);
	/* The queue is the whole process's, the server's own connections included. */
	ERR_clear_error();
	if (key->key == NULL)
		throw_unreadable(&given, option);
	choose_algorithm(key);
	return key;
}

char *
cs_signing_key_fingerprint(const CsSigningKey *key)
{
	unsigned char digest[SHA256_DIGEST_LENGTH];
	unsigned char *der = NULL;
	int len = i2d_PUBKEY(key->key, &der);
	bool ok = len > 0 && EVP_Digest(der, len, digest, NULL, EVP_sha256(), NULL) == 1;

	OPENSSL_free(der);
	ERR_clear_error();
	if (!ok)
		ereport(ERROR, (errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
						errmsg("could not make the fingerprint of option \"%s\"", key->option)));
	return base64(digest, sizeof(digest));
}

char *
cs_jwt_sign(const CsSigningKey *key, const char *key_id, const char *claims)
{
	StringInfoData header;
	StringInfoData token;
	unsigned char *signature;
	size_t len;

	initStringInfo(&header);
	appendStringInfo(&header, "{\"alg\":\"%s\",\"typ\":\"JWT\"", key->algorithm);
	if (key_id)
	{
		appendStringInfoString(&header, ",\"kid\":");
		escape_json(&header, key_id);
	}
	appendStringInfoChar(&header, '}');
	initStringInfo(&token);
	appendStringInfo(&token, "%s.%s", base64url(header.data, header.len),
					 base64url(claims, strlen(claims)));
	signature = sign(key, token.data, &len);
	appendStringInfo(&token, ".%s", base64url(signature, len));
	return token.data;
}

static void
free_key(void *arg)
{
	EVP_PKEY_free(((CsSigningKey *) arg)->key);
}

static EVP_PKEY *
read_key(const char *pem, Passphrase *passphrase)
{
	BIO *bio = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key;

	if (bio == NULL)
		return NULL;
	key = PEM_read_bio_PrivateKey(bio, NULL, give_passphrase, passphrase);
	BIO_free(bio);
	return key;
}

/* Without it OpenSSL would ask at a terminal. */
static int
give_passphrase(char *buffer, int size, int writing pg_attribute_unused(), void *arg)
{
	Passphrase *passphrase = arg;
	size_t len;

	passphrase->asked_for = true;
	if (passphrase->text == NULL)
		return -1;
	len = strlen(passphrase->text);
	if (len > (size_t) size)
		return -1;
	memcpy(buffer, passphrase->text, len);
	return (int) len;
}

static void
throw_unreadable(const Passphrase *passphrase, const char *option)
{
	if (passphrase->asked_for && passphrase->text == NULL)
		ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
						errmsg("the private key in option \"%s\" is encrypted", option),
						errhint("Give its passphrase, too.")));
	if (passphrase->asked_for)
		ereport(ERROR,
				(errcode(ERRCODE_INVALID_PARAMETER_VALUE),
				 errmsg("the private key in option \"%s\" can't be decrypted", option),
				 errdetail("The passphrase is wrong, or the encryption is one that OpenSSL does "
						   "not have here."),
				 errhint("openssl pkcs8 -topk8 -v2 aes256 writes one that it has.")));
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("option \"%s\" holds no private key", option),
					errdetail("It is not PEM, or damaged."),
					errhint("It begins with -----BEGIN PRIVATE KEY----- or -----BEGIN ENCRYPTED "
							"PRIVATE KEY-----, and keeps its line breaks.")));
}

static void
choose_algorithm(CsSigningKey *key)
{
	int bits = EVP_PKEY_bits(key->key);

	if (EVP_PKEY_base_id(key->key) == EVP_PKEY_RSA)
	{
		key->algorithm = "RS256";
		key->digest = EVP_sha256();
		return;
	}
	if (EVP_PKEY_base_id(key->key) == EVP_PKEY_EC && (bits == 256 || bits == 384 || bits == 521))
	{
		key->algorithm = bits == 256 ? "ES256" : bits == 384 ? "ES384" : "ES512";
		key->digest = bits == 256 ? EVP_sha256() : bits == 384 ? EVP_sha384() : EVP_sha512();
		key->number_size = (bits + 7) / 8;
		return;
	}
	ereport(ERROR, (errcode(ERRCODE_INVALID_PARAMETER_VALUE),
					errmsg("the private key in option \"%s\" is of a kind that is not supported",
						   key->option),
					errdetail("Supported are RSA, and EC on the curves P-256, P-384 and P-521.")));
}

/* In CurrentMemoryContext. */
static unsigned char *
sign(const CsSigningKey *key, const char *text, size_t *len)
{
	size_t room = EVP_PKEY_size(key->key);
	unsigned char *signature = palloc(room);
	unsigned char *raw = palloc(Max(1, 2 * key->number_size));
	EVP_MD_CTX *context = EVP_MD_CTX_new();
	bool ok =
		context != NULL && EVP_DigestSignInit(context, NULL, key->digest, NULL, key->key) == 1 &&
		EVP_DigestSign(context, signature, &room, (const unsigned char *) text, strlen(text)) == 1;

	*len = room;
	EVP_MD_CTX_free(context);
	if (ok && key->number_size > 0)
	{
		*len = raw_signature(key, signature, room, raw);
		signature = raw;
		ok = *len > 0;
	}
	ERR_clear_error();
	if (!ok)
		ereport(ERROR,
				(errcode(ERRCODE_EXTERNAL_ROUTINE_EXCEPTION),
				 errmsg("could not sign with the private key in option \"%s\"", key->option)));
	return signature;
}

/* ES...: the two numbers one after the other, instead of in DER.  0: it failed. */
static size_t
raw_signature(const CsSigningKey *key, const unsigned char *der, size_t len, unsigned char *raw)
{
	ECDSA_SIG *pair = d2i_ECDSA_SIG(NULL, &der, (long) len);
	int size = key->number_size;
	bool ok = pair != NULL && BN_bn2binpad(ECDSA_SIG_get0_r(pair), raw, size) == size &&
			  BN_bn2binpad(ECDSA_SIG_get0_s(pair), raw + size, size) == size;

	ECDSA_SIG_free(pair);
	return ok ? 2 * (size_t) size : 0;
}

static char *
base64(const void *data, size_t len)
{
	int room = pg_b64_enc_len((int) len);
	char *text = palloc(room + 1);
	int written = cs_base64_encode(data, (int) len, text, room);

	text[Max(0, written)] = '\0';
	return text;
}

static char *
base64url(const void *data, size_t len)
{
	char *text = base64(data, len);

	text[strcspn(text, "=")] = '\0';
	for (char *p = text; *p; p++)
	{
		if (*p == '+')
			*p = '-';
		else if (*p == '/')
			*p = '_';
	}
	return text;
}
