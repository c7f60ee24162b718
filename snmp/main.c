/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* snmp/main.c - understudy-snmp: shows the state of the pair to snmpd, as a sub-agent that only reads. */
#include <glib-unix.h>
#include <string.h>

#include "dbus/dict.h"
#include "settings/settings.h"
#include "snmp/discontinuity.h"
#include "snmp/notices.h"
#include "snmp/reach.h"
#include "snmp/session.h"
#include "snmp/watch.h"

#define SOCKETS      "/run/understudy/private"
#define FRESH_FOR_US G_TIME_SPAN_SECOND /* what counts on: up times, ages */

typedef struct {
	Watch *watch;
	AgentxSession *session;
	Reach *reach;
	Oid root;
	Notices notices;
	Discontinuity router, raised; /* when their counters began */
	gint64 began_us;
	MibView *view;
	guint64 serial;   /* of what the view was made from */
	gint64 made_us;
} Agent;

static void facts_now(Agent *agent, MibFacts *ret_facts)
{
	watch_facts(agent->watch, ret_facts);
	ret_facts->master_reason = agent->notices.master_reason;
	ret_facts->protocol_error = (int)agent->notices.error;
}

static void notify(Agent *agent, MibView *objects, const Oid *name)
{
	if (objects)
		agentx_session_notify(agent->session, name, objects);
	mib_view_free(objects);
}

static void on_election(gpointer user_data)
{
	Agent *agent = user_data;
	NoticesDue due;
	MibFacts facts;
	Oid name;

	facts_now(agent, &facts);
	due = notices_look(&agent->notices, &facts, g_get_monotonic_time());
	if (!due.new_master && due.error == PROTOCOL_NO_ERROR)
		return;
	facts_now(agent, &facts);
	if (due.new_master)
		notify(agent, mib_vrrp_new_master(&facts, &name), &name);
	facts.protocol_error = (int)due.error;
	if (due.error != PROTOCOL_NO_ERROR)
		notify(agent, mib_vrrp_protocol_error(&facts, &name), &name);
}

static void add_discontinuities(Agent *agent, MibFacts *facts)
{
	gint64 since_us = dict_int(facts->vrrp, "CountersSinceUs", -1);
	guint32 uptime_ticks = agentx_session_uptime_ticks(agent->session);

	facts->router_ticks = since_us < 0 ? -1 : (gint64)discontinuity_ticks(&agent->router, since_us, facts->boot_us, uptime_ticks);
	facts->raised_ticks = discontinuity_ticks(&agent->raised, agent->began_us, facts->boot_us, uptime_ticks);
}

/* Made when somebody asks and it is not fresh: where nobody asks nothing is done. */
static const MibView *view_now(gpointer user_data)
{
	Agent *agent = user_data;
	gint64 now_us = g_get_monotonic_time();
	MibFacts facts;

	if (agent->view && agent->serial == watch_serial(agent->watch) && now_us - agent->made_us < FRESH_FOR_US)
		return agent->view;
	mib_view_free(agent->view);
	agent->view = mib_view_new();
	agent->serial = watch_serial(agent->watch);
	agent->made_us = now_us;
	facts_now(agent, &facts);
	add_discontinuities(agent, &facts);
	mib_add_understudy(agent->view, &agent->root, &facts);
	mib_add_vrrp(agent->view, &facts);
	mib_view_sort(agent->view);
	return agent->view;
}

static void on_connected(bool connected, gpointer user_data)
{
	Agent *agent = user_data;

	reach_connected(agent->reach, connected);
}

static gboolean stop(gpointer user_data)
{
	g_main_loop_quit(user_data);
	return G_SOURCE_CONTINUE;
}

int main(int argc, char **argv)
{
	g_autoptr(GMainLoop) loop = g_main_loop_new(NULL, FALSE);
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = NULL;
	Agent agent = { 0 };
	Oid subtrees[3];

	if (argc > 1) {
		g_printerr("%s: takes no arguments; it reads " SETTINGS_DIR "\n", argv[0]);
		return 2;
	}
	g_unix_signal_add(SIGTERM, stop, loop);
	g_unix_signal_add(SIGINT, stop, loop);
	settings = settings_load(SETTINGS_DIR, &error);
	if (!settings) {
		g_printerr("%s\n", error->message);
		return 2;
	}
	if (!settings->agentx) {
		g_printerr(SETTINGS_DIR "/device.conf has no section [snmp]\n");
		return 2;
	}
	if (!oid_parse(UNDERSTUDY_OID_ROOT, &agent.root))
		g_error("the OID root is wrong");
	agent.watch = watch_new(SOCKETS);
	agent.began_us = watch_boot_us();
	agent.reach = reach_new(agent.watch, settings->agentx);
	agent.session = agentx_session_new(settings->agentx, view_now, on_connected, &agent);
	/* Both VRRP MIBs: the one of the version that is not in use has no instances. */
	subtrees[0] = agent.root;
	mib_vrrp_subtrees(&subtrees[1]);
	agentx_session_serve(agent.session, subtrees, G_N_ELEMENTS(subtrees));
	notices_init(&agent.notices);
	watch_on_election(agent.watch, on_election, &agent);
	g_main_loop_run(loop);
	watch_on_election(agent.watch, NULL, NULL);
	agentx_session_free(agent.session);
	reach_free(agent.reach);
	watch_free(agent.watch);
	mib_view_free(agent.view);
	return 0;
}
