/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/restart.h - how long to wait before something that ended is started again. Pure. */
#pragma once

#include <glib.h>
#include <stdbool.h>

typedef struct {
	gint64 first_us;   /* pause after the first failure; doubles with each that follows */
	gint64 longest_us;
	gint64 settled_us; /* having run so long, the next end counts as the first again */
	guint tolerated;   /* this many ends in a row are a restart, more are a failure of health */
	guint free;        /* this many of them are started again at once */
} RestartPolicy;

typedef struct {
	guint n_row;   /* ends in a row without having settled */
	guint n_total;
} RestartState;

/* It ended after running for @ran_us: how long to wait now. */
gint64 restart_delay_us(const RestartPolicy *policy, RestartState *state, gint64 ran_us);

/* Whether it has failed more often in a row than is tolerated. */
bool restart_has_failed(const RestartPolicy *policy, const RestartState *state);
