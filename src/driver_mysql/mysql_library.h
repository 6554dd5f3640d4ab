/*
 * mysql_library.h
 *		The client library's header.  It declares lists of its own by names that
 *		the server has for its.
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

#undef list_add
#undef list_delete
#undef list_cons
#undef list_reverse
#undef list_free
#undef list_length
#undef list_walk

#endif /* CS_MYSQL_LIBRARY_H */
