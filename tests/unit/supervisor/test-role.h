/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* tests/unit/supervisor/test-role.h - a device whose facts the tests of the role machine set; time is a number. */
#pragma once

#include <glib.h>

#include "supervisor/role/role.h"

#define MS G_TIME_SPAN_MILLISECOND
#define S G_TIME_SPAN_SECOND

typedef struct {
	RoleMachine machine;
	RoleFacts facts;
	RolePosture posture;
	RoleOnce once;
	gint64 now_us;
} Device;

static inline void look_with(Device *device, RoleEvent event)
{
	role_step(&device->machine, &device->facts, event, device->now_us, &device->posture, &device->once);
}

static inline void look(Device *device)
{
	look_with(device, ROLE_EVENT_FACTS);
}

static inline void later(Device *device, gint64 us)
{
	device->now_us += us;
	look(device);
}

/* A device of a pair, just booted, its vrrpd up and its applications stopped. */
static inline Device paired(const char *id)
{
	Device device = {
		.now_us = 100 * S,
		.facts = {
			.redundant = true, .paired = true, .cold_boot_wait_us = 15 * S, .first_answer_us = 30 * S,
			.election = ELECTION_BACKUP, .carrier = true, .election_reason = "test", .apps_stopped = true, .own_boot_ms = 1000,
			.stored = G_MAXUINT64,
		},
	};
	role_init(&device.machine, id, device.now_us);
	return device;
}

static inline void expect_role(const Device *device, Role role)
{
	g_assert_cmpstr(role_name(device->machine.role), ==, role_name(role));
}

static inline void hear(Device *device, Role role, guint64 number, const char *id)
{
	device->facts.peer_fresh = true;
	device->facts.peer_role = role;
	device->facts.peer_term.number = number;
	g_strlcpy(device->facts.peer_term.id, id, sizeof device->facts.peer_term.id);
	device->facts.peer_line = device->facts.peer_term;
	device->facts.peer_boot_ms = 2000;
}

/* A Backup that has been one for long. */
static inline Device backup(const char *id)
{
	Device device = paired(id);
	hear(&device, ROLE_MASTER, 4, "other");
	look(&device);
	later(&device, 60 * S);
	expect_role(&device, ROLE_BACKUP);
	return device;
}

static inline void elect(Device *device)
{
	device->facts.election = ELECTION_MASTER;
	device->facts.election_reason = "master-down";
	device->facts.peer_fresh = false;
	look(device);
}

static inline Device master(const char *id)
{
	Device device = backup(id);
	elect(&device);
	device.facts.sync_settled = true;
	look(&device);
	device.facts.apps_stopped = false;
	device.facts.apps_ready = true;
	look(&device);
	expect_role(&device, ROLE_MASTER);
	return device;
}
