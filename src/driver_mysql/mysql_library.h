/*
 * mysql_library.h
 *		The client library's header.  It declares lists of its own by names that
 *		the server has for its.  Versions of the library differ here only.
 */
#ifndef CS_MYSQL_LIBRARY_H
#define CS_MYSQL_LIBRARY_H

#define list_add mysql_list_add
#define list_delete mysql_list_delete
#define list_cons mysql_list_cons
#define list_reverse mysql_list_reverse
#define list_free mysql_list_free
#define list_length mysql_list_length
#define list_walk mysql_list_walk

#include <mysql.h>
#include <ma_pvio.h>

#undef list_add
#undef list_delete
#undef list_cons
#undef list_reverse
#undef list_free
#undef list_length
#undef list_walk

/* Since 3.4 the library asks for nonblocking reads by a flag of each, and only the socket itself can be
 * told; before, it keeps account of what it told the socket. */
#if MARIADB_PACKAGE_VERSION_ID >= 30400
#define mysql_make_nonblocking(mysql) ((void) pg_set_noblock(mysql_get_socket(mysql)))
#else
#define mysql_make_nonblocking(mysql)                                                              \
	((void) (mysql)->net.pvio->methods->blocking((mysql)->net.pvio, 0, NULL))
#endif

#endif /* CS_MYSQL_LIBRARY_H */
