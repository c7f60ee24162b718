/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* vrrpd/rules/sleep.c - when a Backup need not look. */
#include "vrrpd/rules/sleep.h"

static gint64 master_interval_us(const VrrpMachine *machine)
{
	return machine->master_interval_cs * G_GINT64_CONSTANT(10000);
}

bool vrrp_sleep_hears(const VrrpMachine *machine, gint64 now_us)
{
	return machine->state == VRRP_STATE_BACKUP && machine->open && machine->deadline_us - now_us > master_interval_us(machine);
}

void vrrp_sleep_plan(VrrpSleep *self, const VrrpMachine *machine, bool busy, gint64 tick_at_us, gint64 now_us)
{
	/* In doubt, or before it knows how often the Master speaks, it listens to each. */
	bool sure = machine->deadline_us == self->said_us + vrrp_machine_down_us(machine);

	self->quiet = vrrp_sleep_hears(machine, now_us) && !busy && sure && master_interval_us(machine) <= VRRP_SLEEP_MOST_US &&
		      (self->roused_us == 0 || now_us - self->roused_us > VRRP_SLEEP_ROUSED_US);
	self->wake_us = self->quiet && tick_at_us != 0 ? MIN(machine->deadline_us, tick_at_us) : machine->deadline_us;
}

gint64 vrrp_sleep_heard_at(VrrpSleep *self, const VrrpMachine *machine, gint64 received_us, gint64 now_us)
{
	/* The first that is read: who has slept longer than planned must know that. */
	if (self->quiet && received_us >= self->read_us) {
		if (now_us - self->wake_us > master_interval_us(machine))
			self->late_us = now_us;
		self->read_us = now_us;
	}
	/* And it may change the plan: what lies behind it lay there by the former. */
	return received_us <= self->read_us && received_us > self->late_us ? received_us : now_us;
}

bool vrrp_sleep_counts(VrrpSleep *self, const VrrpMachine *machine, guint8 priority, gint64 received_us)
{
	gint64 own_interval_us = machine->interval_cs * G_GINT64_CONSTANT(10000);

	if (received_us < self->said_us - (priority == 0 ? own_interval_us / 2 : 0))
		return false;
	self->said_us = MAX(received_us, self->said_us);
	return true;
}

gint64 vrrp_sleep_lost_since_us(const VrrpSleep *self, const VrrpMachine *machine, gint64 now_us)
{
	return MAX(self->said_us, now_us - vrrp_machine_anew_us(machine));
}

void vrrp_sleep_note(VrrpSleep *self, guint n, gint64 now_us)
{
	if (n > VRRP_SLEEP_CROWD)
		self->roused_us = now_us;
}

gint64 vrrp_sleep_tick_us(bool hears, gint64 window_us)
{
	return hears ? MAX(VRRP_SLEEP_TICK_US, window_us * 2 / 3) : VRRP_SLEEP_TICK_US;
}
