/*
 * jwt.h
 *		Private keys, and JSON Web Tokens signed with them (RFC 7515, 7518).
 */
#ifndef CS_JWT_H
#define CS_JWT_H

typedef struct CsSigningKey CsSigningKey;

/* A private key in PEM, PKCS#8 or its algorithm's own form, encrypted or not; in CurrentMemoryContext, whose
 * end frees it.  passphrase: or NULL.  option: that holds the key, for messages, none of which has anything of
 * it.  Throws 22023. */
extern CsSigningKey *cs_signing_key_read(const char *pem, const char *passphrase,
										 const char *option);

/* SHA-256 of the public key (SubjectPublicKeyInfo, DER), in base64. */
extern char *cs_signing_key_fingerprint(const CsSigningKey *key);

/* header.claims.signature: RS256, ES256, ES384 or ES512 as the key is; claims: a JSON object; key_id: for the
 * header, or NULL. */
extern char *cs_jwt_sign(const CsSigningKey *key, const char *key_id, const char *claims);

#endif /* CS_JWT_H */
