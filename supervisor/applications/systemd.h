/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/applications/systemd.h - services of systemd, started, stopped and watched over its own socket.
 *
 * /run/systemd/private leads to process 1 itself, as systemctl does as root: a message bus that hangs delays nothing here. Every call is
 * asynchronous. A drop-in keeps each service from starting by itself where applications may not run.
 */
#pragma once

#include <glib.h>
#include <stdbool.h>
#include <sys/types.h>

#define SYSTEMD_SOCKET "/run/systemd/private"

typedef struct Systemd Systemd;
typedef struct SystemdUnit SystemdUnit;

typedef struct {
	void (*up)(SystemdUnit *unit, gpointer user_data); /* it is active, whoever started it */
	/* It is active no more, or could not be started. @ok: it ended with success. */
	void (*down)(SystemdUnit *unit, bool ok, const char *how, gpointer user_data);
} SystemdListener;

Systemd *systemd_new(void); /* connects when there is a unit */
void systemd_free(Systemd *systemd);

SystemdUnit *systemd_unit_new(Systemd *systemd, const char *name, const SystemdListener *listener, gpointer user_data);
void systemd_unit_free(SystemdUnit *unit); /* NULL is fine; the service lives on */

void systemd_unit_start(SystemdUnit *unit); /* `up` or `down` follows */
void systemd_unit_stop(SystemdUnit *unit);  /* `down` follows */
void systemd_unit_kill(SystemdUnit *unit);  /* everybody in its control group, now */
/* One found running by an earlier supervisor: `down` follows if it is no more. */
void systemd_unit_adopt(SystemdUnit *unit, pid_t pid, const char *cgroup);

bool systemd_unit_is_active(const SystemdUnit *unit);
bool systemd_unit_is_empty(const SystemdUnit *unit); /* nobody is left in its control group */
pid_t systemd_unit_pid(const SystemdUnit *unit);     /* 0: not known */
const char *systemd_unit_cgroup(const SystemdUnit *unit); /* folder; "" when not known */
const char *systemd_unit_program(const SystemdUnit *unit); /* what its ExecStart= begins with; "" when not known */

/* Makes the drop-ins of @names (NULL-terminated), removes those of others, has them read. */
void systemd_keep_back(Systemd *systemd, const char *const *names);

/* ---- The pure parts, for tests ---- */

/* "/org/freedesktop/systemd1/unit/kamailio_2eservice"; transfer full. */
char *systemd_unit_path(const char *name);
/* From the properties Result, ExecMainCode and ExecMainStatus; transfer full. */
char *systemd_describe(const char *result, gint32 code, gint32 status);
