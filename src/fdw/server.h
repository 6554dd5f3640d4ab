/*
 * server.h
 *		What CREATE SERVER says of the server's type.
 */
#ifndef CS_FOREIGN_SERVER_H
#define CS_FOREIGN_SERVER_H

/* Once, when the library is loaded. */
extern void cs_foreign_server_init(void);

#endif /* CS_FOREIGN_SERVER_H */
