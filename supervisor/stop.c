/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/stop.c - the orderly end: applications, what they wrote while stopping, the election, the rest.
 *
 * The keeper stops us by SIGTERM; if we die on the way, the next supervisor is told the same and goes on from where things are.
 */
#include <unistd.h>

#include "supervisor/processes/proc.h"
#include "supervisor/supervisor.h"

#define LAST_COMMIT_MS 1000
#define DROP_US (30 * G_TIME_SPAN_SECOND)

typedef enum {
	STOP_BEGIN,
	STOP_APPLICATIONS,
	STOP_COMMIT,
	STOP_ELECTION,
	STOP_OTHERS,
	STOP_SNMP,
	STOP_END,
} StopStage;

static void on_applied(GVariant *values, const GError *error, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	if (error)
		g_message("the peer may lack what was written last: %s", error->message);
	supervisor->stop_stage = STOP_ELECTION;
	daemons_stop(supervisor->daemons, DAEMON_VRRPD);
}

static void on_committed(GVariant *values, const GError *error, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	if (error || !peer_is_connected(supervisor->peer)) {
		on_applied(NULL, NULL, supervisor);
		return;
	}
	g_autoptr(GVariant) commits = g_variant_get_child_value(values, 0);
	(void)bus_link_call(peer_link(supervisor->peer), NULL, "/org/understudy/Sync1", "org.understudy.Sync1", "WaitApplied",
			    g_variant_new("(@a{ss}u)", commits, LAST_COMMIT_MS), LAST_COMMIT_MS + 200, on_applied, supervisor);
}

static void applications_have_stopped(Supervisor *supervisor)
{
	bool led = supervisor->posture.sync == SYNC_LEAD;
	supervisor->stop_stage = STOP_COMMIT;
	if (!led || !bus_link_is_up(peer_link(supervisor->peer))) {
		on_applied(NULL, NULL, supervisor);
		return;
	}
	(void)bus_link_call(peer_link(supervisor->peer), NULL, "/org/understudy/Sync1", "org.understudy.Sync1", "Commit",
			    g_variant_new("(ss)", "supervisor", "stopped"), LAST_COMMIT_MS, on_committed, supervisor);
}

void stop_look(Supervisor *supervisor)
{
	if (!supervisor->stopping)
		return;
	g_autoptr(GError) error = NULL;
	switch ((StopStage)supervisor->stop_stage) {
	case STOP_BEGIN:
	case STOP_COMMIT:
		return;
	case STOP_APPLICATIONS:
		if (applications_are_stopped(supervisor->applications))
			applications_have_stopped(supervisor);
		return;
	case STOP_ELECTION: /* vrrpd has said priority 0 and is gone, its addresses with it */
		supervisor->stop_stage = STOP_OTHERS;
		if (!drop_lift(supervisor->drop, &error))
			g_warning("%s", error->message);
		daemons_stop(supervisor->daemons, DAEMON_SYNCD);
		return;
	case STOP_OTHERS:
		supervisor->stop_stage = STOP_SNMP;
		daemons_stop(supervisor->daemons, DAEMON_SNMP);
		return;
	case STOP_SNMP:
		supervisor->stop_stage = STOP_END;
		daemons_stop(supervisor->daemons, DAEMON_NOTIFYD);
		return;
	case STOP_END:
		(void)unlink(MASTER_FILE);
		if (supervisor->write_idle)
			g_source_remove(supervisor->write_idle);
		supervisor->write_idle = 0;
		keep_forget_good_settings();
		g_main_loop_quit(supervisor->loop);
		return;
	}
	g_assert_not_reached();
}

void supervisor_stop(Supervisor *supervisor)
{
	if (supervisor->stopping)
		return;
	g_autoptr(GError) error = NULL;
	g_message("stopping");
	supervisor_end_calm(supervisor);
	supervisor->stopping = true;
	/* Until the addresses are gone phones shall try again, not be refused. */
	if (supervisor->posture.serving && !drop_for(supervisor->drop, DROP_US, &error))
		g_warning("%s", error->message);
	supervisor->stop_stage = STOP_APPLICATIONS;
	applications_run(supervisor->applications, false);
	if (supervisor->stop_stage == (int)STOP_APPLICATIONS)
		stop_look(supervisor);
}
