/*
 * handshake.c
 *		A connection of our own before FreeTDS makes its: PRELOGIN and the TLS
 *		handshake in it, [MS-TDS] 2.2.6.5 and 3.2.5.1, and no login.
 *
 * FreeTDS 1.3 can only verify that a certificate names the address it connects
 * to, says nothing of why a handshake failed, and takes a server's word that
 * there is to be no encryption after the login.  So the certificate is verified
 * here, for the name that the user gave, and FreeTDS is then told to trust this
 * one certificate and no other: whoever answers it has that certificate's key.
 */
#include "postgres.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <sys/socket.h>
#include <unistd.h>

#include "port/pg_bswap.h"
#include "storage/fd.h"
#include "storage/latch.h"
#include "utils/memutils.h"
#include "utils/timestamp.h"

#include "base/clock.h"
#include "driver_tds/tds.h"

#define PACKET_HEADER 8
#define PACKET_REPLY 0x04
#define PACKET_PRELOGIN 0x12
#define MAX_PACKET 65535

/* What a server says of encryption. */
#define ENCRYPT_ON 1
#define ENCRYPT_NOT_SUP 2
#define ENCRYPT_REQ 3

/* All of it is freed by the callback of its context. */
typedef struct Handshake
{
	TdsSession *session;
	int fd;
	bool reserved; /* the descriptor was counted */
	SSL_CTX *context;
	SSL *ssl;
	BIO *in; /* both belong to ssl */
	BIO *out;
	unsigned char packet[MAX_PACKET];
	MemoryContextCallback close;
} Handshake;

static Handshake *create(TdsSession *session);
static void close_handshake(void *arg);
static void open_socket(Handshake *handshake);
static void exchange_prelogin(Handshake *handshake);
static int find_encryption(const unsigned char *data, int length);
static void prepare_tls(Handshake *handshake);
static void shake_hands(Handshake *handshake);
static void send_packet(Handshake *handshake, const unsigned char *data, int length);
static int receive_packet(Handshake *handshake);
static void receive(Handshake *handshake, unsigned char *data, int length);
static void time_is_up(Handshake *handshake) pg_attribute_noreturn();
static void throw_tls(Handshake *handshake) pg_attribute_noreturn();
static char *certificate_pem(Handshake *handshake);
static bool is_address(const char *host);

char *
tds_handshake(TdsSession *session, char **tls)
{
	MemoryContext context =
		AllocSetContextCreate(CurrentMemoryContext, "censync tds handshake", ALLOCSET_SMALL_SIZES);
	MemoryContext old = MemoryContextSwitchTo(context);
	Handshake *handshake = create(session);
	char *pem = NULL;

	*tls = NULL;
	open_socket(handshake);
	session->login->step = session->tls == TDS_TLS_OFF ? CS_SQL_AUTHENTICATE : CS_SQL_TLS;
	exchange_prelogin(handshake);
	if (session->tls != TDS_TLS_OFF)
	{
		prepare_tls(handshake);
		shake_hands(handshake);
		if (session->tls == TDS_TLS_VERIFY)
			pem = MemoryContextStrdup(old, certificate_pem(handshake));
		*tls =
			MemoryContextStrdup(old, psprintf("%s, certificate %s", SSL_get_version(handshake->ssl),
											  pem ? "verified" : "not verified"));
	}
	MemoryContextSwitchTo(old);
	MemoryContextDelete(context);
	return pem;
}

static Handshake *
create(TdsSession *session)
{
	Handshake *handshake = palloc0(sizeof(Handshake));

	handshake->session = session;
	handshake->fd = -1;
	handshake->close.func = close_handshake;
	handshake->close.arg = handshake;
	MemoryContextRegisterResetCallback(CurrentMemoryContext, &handshake->close);
	return handshake;
}

static void
close_handshake(void *arg)
{
	Handshake *handshake = arg;

	if (handshake->ssl)
		SSL_free(handshake->ssl);
	if (handshake->context)
		SSL_CTX_free(handshake->context);
	ERR_clear_error();
	if (handshake->fd >= 0)
		close(handshake->fd);
	if (handshake->reserved)
		ReleaseExternalFD();
}

static void
open_socket(Handshake *handshake)
{
	CsSqlLogin *login = handshake->session->login;
	struct sockaddr_storage address = { 0 };
	struct sockaddr_in *v4 = (struct sockaddr_in *) &address;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *) &address;
	bool is_v4 = inet_pton(AF_INET, login->address, &v4->sin_addr) == 1;
	int error = 0;
	socklen_t len = sizeof(error);

	if (is_v4)
	{
		v4->sin_family = AF_INET;
		v4->sin_port = pg_hton16((uint16) login->port);
	}
	else if (inet_pton(AF_INET6, login->address, &v6->sin6_addr) == 1)
	{
		v6->sin6_family = AF_INET6;
		v6->sin6_port = pg_hton16((uint16) login->port);
	}
	handshake->reserved = AcquireExternalFD();
	handshake->fd = handshake->reserved ? socket(address.ss_family, SOCK_STREAM, 0) : -1;
	if (handshake->fd < 0 || fcntl(handshake->fd, F_SETFD, FD_CLOEXEC) < 0 ||
		!pg_set_noblock(handshake->fd))
		ereport(ERROR,
				(errcode(ERRCODE_INSUFFICIENT_RESOURCES), errmsg("could not create a socket: %m")));
	if (connect(handshake->fd, (struct sockaddr *) &address, is_v4 ? sizeof(*v4) : sizeof(*v6)) < 0)
	{
		error = errno;
		if (error == EINPROGRESS)
		{
			tds_wait(handshake->fd, WL_SOCKET_WRITEABLE, handshake->session->deadline);
			if (cs_clock_steady() >= handshake->session->deadline)
				time_is_up(handshake);
			if (getsockopt(handshake->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
				error = errno;
		}
	}
	errno = error;
	if (error != 0)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("could not connect to host \"%s\" port %d: %m", login->host, login->port),
				 errhint("Check options \"host\" and \"port\", and that the server accepts "
						 "TCP connections.")));
}

/* Options are a list of (number, offset, length), and then the values. */
static void
exchange_prelogin(Handshake *handshake)
{
	static const unsigned char options[] = { 0,	   0, 26, 0, 6, /* version */
											 1,	   0, 32, 0, 1, /* encryption */
											 2,	   0, 33, 0, 1, /* instance */
											 3,	   0, 34, 0, 4, /* thread */
											 4,	   0, 38, 0, 1, /* multiple result sets */
											 0xff, 9, 0,  0, 0, 0, 0 };
	unsigned char data[39] = { 0 };
	TdsTls tls = handshake->session->tls;
	int answer;

	memcpy(data, options, sizeof(options));
	data[32] = tls == TDS_TLS_OFF ? ENCRYPT_NOT_SUP : ENCRYPT_ON;
	send_packet(handshake, data, sizeof(data));
	answer = find_encryption(handshake->packet, receive_packet(handshake));
	if (answer < 0)
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("host \"%s\" port %d is not a SQL Server",
							   handshake->session->login->host, handshake->session->login->port),
						errdetail("It does not answer as the protocol of SQL Server demands.")));
	if (tls != TDS_TLS_OFF && answer != ENCRYPT_ON && answer != ENCRYPT_REQ)
		ereport(ERROR,
				(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
				 errmsg("the server does not encrypt"),
				 errhint("Enable TLS there. Where the way to it is safe, a superuser may set "
						 "option \"tls\" of the server to off.")));
	if (tls == TDS_TLS_OFF && (answer == ENCRYPT_ON || answer == ENCRYPT_REQ))
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("the server demands encryption"),
						errhint("Leave out option \"tls\" of the server, or set it to require.")));
}

/* -1: it is no answer to a PRELOGIN. */
static int
find_encryption(const unsigned char *data, int length)
{
	for (int at = 0; at < length && data[at] != 0xff; at += 5)
	{
		int offset;

		if (at + 5 > length)
			return -1;
		offset = data[at + 1] << 8 | data[at + 2];
		if (data[at] == 1)
			return (data[at + 3] << 8 | data[at + 4]) == 1 && offset < length ? data[offset] : -1;
	}
	return -1;
}

static void
prepare_tls(Handshake *handshake)
{
	CsSqlLogin *login = handshake->session->login;
	const char *ca_file = login->option(login->options, "ca_file");
	X509_VERIFY_PARAM *parameters;
	bool good;

	ERR_clear_error();
	handshake->context = SSL_CTX_new(TLS_client_method());
	if (handshake->context == NULL)
		throw_tls(handshake);
	SSL_CTX_set_min_proto_version(handshake->context, TLS1_2_VERSION);
	if (handshake->session->tls == TDS_TLS_VERIFY)
	{
		good = ca_file ? SSL_CTX_load_verify_locations(handshake->context, ca_file, NULL) == 1
					   : SSL_CTX_set_default_verify_paths(handshake->context) == 1;
		if (!good)
			ereport(ERROR,
					(errcode(ERRCODE_CONFIG_FILE_ERROR),
					 errmsg("could not load certificates from \"%s\"",
							ca_file ? ca_file : "the system's store"),
					 errdetail("OpenSSL says: %s.", ERR_reason_error_string(ERR_get_error())),
					 errhint("It is option \"ca_file\" of the server.")));
		SSL_CTX_set_verify(handshake->context, SSL_VERIFY_PEER, NULL);
	}
	else /* certificates that SQL Server once made for itself have short keys */
		SSL_CTX_set_security_level(handshake->context, 1);
	handshake->ssl = SSL_new(handshake->context);
	handshake->in = BIO_new(BIO_s_mem());
	handshake->out = BIO_new(BIO_s_mem());
	if (handshake->ssl == NULL || handshake->in == NULL || handshake->out == NULL)
		throw_tls(handshake);
	SSL_set_bio(handshake->ssl, handshake->in, handshake->out);
	SSL_set_connect_state(handshake->ssl);
	parameters = SSL_get0_param(handshake->ssl);
	X509_VERIFY_PARAM_set_hostflags(parameters, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	/* No SNI: FreeTDS sends none, and is to see the same certificate. */
	good = is_address(login->host) ? X509_VERIFY_PARAM_set1_ip_asc(parameters, login->host) == 1
								   : X509_VERIFY_PARAM_set1_host(parameters, login->host, 0) == 1;
	if (!good)
		throw_tls(handshake);
}

/* What OpenSSL has to say goes into packets, and what they bring, to it. */
static void
shake_hands(Handshake *handshake)
{
	for (;;)
	{
		int result = SSL_do_handshake(handshake->ssl);
		int error = SSL_get_error(handshake->ssl, result);
		char *data;
		long length = BIO_get_mem_data(handshake->out, &data);

		if (result != 1 && error != SSL_ERROR_WANT_READ)
			throw_tls(handshake);
		if (length > 0)
		{
			send_packet(handshake, (unsigned char *) data, (int) length);
			(void) BIO_reset(handshake->out);
		}
		if (result == 1)
			return;
		length = receive_packet(handshake);
		if (length == 0 || BIO_write(handshake->in, handshake->packet, (int) length) != length)
			throw_tls(handshake);
	}
}

static void
send_packet(Handshake *handshake, const unsigned char *data, int length)
{
	unsigned char *packet = handshake->packet;
	int left = length + PACKET_HEADER;

	if (left > MAX_PACKET)
		throw_tls(handshake);
	memset(packet, 0, PACKET_HEADER);
	packet[0] = PACKET_PRELOGIN;
	packet[1] = 1; /* the last of the message */
	packet[2] = (unsigned char) (left >> 8);
	packet[3] = (unsigned char) left;
	memcpy(packet + PACKET_HEADER, data, length);
	while (left > 0)
	{
		ssize_t sent = send(handshake->fd, packet, left, MSG_NOSIGNAL);

		if (sent >= 0)
		{
			packet += sent;
			left -= (int) sent;
			continue;
		}
		if (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR)
			ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
							errmsg("the server closed the connection: %m")));
		tds_wait(handshake->fd, WL_SOCKET_WRITEABLE, handshake->session->deadline);
		if (cs_clock_steady() >= handshake->session->deadline)
			time_is_up(handshake);
	}
}

/* Leaves its content in handshake->packet and returns how long it is. */
static int
receive_packet(Handshake *handshake)
{
	unsigned char *packet = handshake->packet;
	int length;

	receive(handshake, packet, PACKET_HEADER);
	length = (packet[2] << 8 | packet[3]) - PACKET_HEADER;
	if ((packet[0] != PACKET_REPLY && packet[0] != PACKET_PRELOGIN) || length <= 0)
		return 0;
	receive(handshake, packet, length);
	return length;
}

static void
receive(Handshake *handshake, unsigned char *data, int length)
{
	while (length > 0)
	{
		ssize_t got = recv(handshake->fd, data, length, 0);

		if (got > 0)
		{
			data += got;
			length -= (int) got;
			continue;
		}
		if (got == 0 || (errno != EAGAIN && errno != EWOULDBLOCK && errno != EINTR))
			ereport(ERROR,
					(errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					 errmsg("host \"%s\" port %d closed the connection before a login",
							handshake->session->login->host, handshake->session->login->port),
					 errhint("Check that a SQL Server listens there, and option \"tls\" of "
							 "the server.")));
		tds_wait(handshake->fd, WL_SOCKET_READABLE, handshake->session->deadline);
		if (cs_clock_steady() >= handshake->session->deadline)
			time_is_up(handshake);
	}
}

static void
time_is_up(Handshake *handshake)
{
	TdsSession *session = handshake->session;

	session->server.number = 0;
	session->stalled = true;
	tds_throw(session, "");
}

static void
throw_tls(Handshake *handshake)
{
	CsSqlLogin *login = handshake->session->login;
	long verified = handshake->ssl ? SSL_get_verify_result(handshake->ssl) : X509_V_OK;
	const char *reason = ERR_reason_error_string(ERR_peek_error());

	if (verified != X509_V_OK)
		ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
						errmsg("the server's certificate could not be verified for \"%s\": %s",
							   login->host, X509_verify_cert_error_string(verified)),
						verified == X509_V_ERR_HOSTNAME_MISMATCH ||
								verified == X509_V_ERR_IP_ADDRESS_MISMATCH
							? errhint("Option \"host\" must be a name that the certificate has.")
							: errhint("Option \"ca_file\" of the server names the file with the "
									  "certificate of whoever signed it.")));
	ereport(ERROR, (errcode(ERRCODE_SQLCLIENT_UNABLE_TO_ESTABLISH_SQLCONNECTION),
					errmsg("could not agree on TLS with the server: %s",
						   reason ? reason : "its answer makes no sense")));
}

/* Of the server itself, without the chain. */
static char *
certificate_pem(Handshake *handshake)
{
	X509 *certificate = SSL_get_peer_certificate(handshake->ssl);
	BIO *memory = BIO_new(BIO_s_mem());
	char *data = NULL;
	char *pem = NULL;
	long length;

	if (certificate && memory && PEM_write_bio_X509(memory, certificate) == 1 &&
		(length = BIO_get_mem_data(memory, &data)) > 0)
		pem = palloc_extended((Size) length + 1, MCXT_ALLOC_NO_OOM | MCXT_ALLOC_ZERO);
	if (pem)
		memcpy(pem, data, length);
	if (certificate)
		X509_free(certificate);
	if (memory)
		BIO_free(memory);
	if (pem == NULL)
		throw_tls(handshake);
	return pem;
}

static bool
is_address(const char *host)
{
	unsigned char ignored[sizeof(struct in6_addr)];

	return inet_pton(AF_INET, host, ignored) == 1 || inet_pton(AF_INET6, host, ignored) == 1;
}
