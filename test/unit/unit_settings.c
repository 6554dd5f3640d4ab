/*
 * unit_settings.c
 *		The settings that the code under test reads.
 */
#include "postgres.h"

#include "base/settings.h"

int cs_max_record_size_mb = 16;
