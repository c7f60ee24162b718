/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/notices.c - when the notifications of the VRRP MIBs are due. */
#include "snmp/notices.h"

#include "dbus/dict.h"

/*
 * Adverts of another group are no error here: its routers have the same right to the LAN. vrrpd looks at the group before anything else, so what is
 * counted under the other three came in our group's name.
 */
static const char *const counters[PROTOCOL_VRID] = { [PROTOCOL_TTL] = "drop-ttl", [PROTOCOL_VERSION] = "drop-version", [PROTOCOL_CHECKSUM] = "drop-checksum" };

void notices_init(Notices *notices)
{
	*notices = (Notices){ .master_reason = -1 };
}

/* By what vrrpd calls it. A router that is ordered to lead does so with the higher priority, as does one whose Master has resigned with priority 0. */
static MasterReason reason_of(const char *reason)
{
	return g_str_equal(reason, "master-down") ? MASTER_REASON_NO_RESPONSE : MASTER_REASON_PRIORITY;
}

static bool has_become_master(Notices *notices, const MibFacts *facts)
{
	guint64 sequence = (guint64)dict_int(facts->election, "Sequence", 0);
	bool is_master = g_str_equal(dict_string(facts->election, "State", ""), "master");
	gint64 since_us = dict_int(facts->election, "SinceUs", 0);
	bool is_news = notices->is_known ? sequence != notices->sequence : facts->boot_us - since_us < NOTICES_FRESH_US;

	notices->sequence = sequence;
	if (is_master)
		notices->master_reason = (int)reason_of(dict_string(facts->election, "Reason", ""));
	return is_master && is_news;
}

NoticesDue notices_look(Notices *notices, const MibFacts *facts, gint64 now_us)
{
	NoticesDue due = { 0 };

	/* A vrrpd that is gone counts anew when it is back, and has not changed its state for that. */
	if (!facts->election || !facts->vrrp) {
		notices->is_known = false;
		return due;
	}
	g_autoptr(GVariant) values = dict_value(facts->vrrp, "Counters", "a{st}");
	due.new_master = has_become_master(notices, facts);
	for (ProtocolError error = PROTOCOL_TTL; error < PROTOCOL_VRID; error++) {
		guint64 value = 0;

		if (values)
			(void)g_variant_lookup(values, counters[error], "t", &value);
		bool more = notices->is_known && value > notices->errors[error];
		bool quiet = notices->told_us[error] && now_us - notices->told_us[error] < NOTICES_ERROR_AGAIN_US;

		if (more)
			notices->error = error;
		if (more && !quiet && due.error != PROTOCOL_NO_ERROR)
			continue; /* its number is not taken, so it is due at the next look */
		notices->errors[error] = value;
		if (!more || quiet)
			continue;
		notices->told_us[error] = now_us;
		due.error = error;
	}
	notices->is_known = true;
	return due;
}
