/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/error.h - the errors of this daemon that a caller can act on; service.c gives them their D-Bus names. */
#pragma once

#include <glib.h>

#define SYNC_ERROR sync_error_quark()
GQuark sync_error_quark(void);

typedef enum {
	SYNC_ERROR_FAILED,        /* bad luck: disk, library, process */
	SYNC_ERROR_BAD,           /* input that can never be right: a malformed commit, message, code */
	SYNC_ERROR_REFUSED,       /* right, but not now; the text begins "<reason-code>: " */
	SYNC_ERROR_DENIED,        /* a proof or key that is not the right one */
	SYNC_ERROR_NOT_FOUND,
	SYNC_ERROR_NOT_REACHABLE,
	SYNC_ERROR_TIMED_OUT,
} SyncErrorCode;
