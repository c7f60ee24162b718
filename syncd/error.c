/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* syncd/error.c - the error domain. */
#include "error.h"

G_DEFINE_QUARK(sync-error-quark, sync_error)
