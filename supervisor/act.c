/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/act.c - makes the decided posture true, traffic first; and which foreign instances stand in its way. */
#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "supervisor/processes/proc.h"
#include "supervisor/supervisor.h"

/* ---- Posture ---- */

/* Most takeovers are over by then. Until then the applications that have just begun want the processors, and their caches, for themselves: neither the kernel
 * is told when a drop that is there already shall end, nor syncd that it leads. */
#define BEGUN_MS 100

/* The phones that were kept waiting come all at once, and what follows, on this device, its bus and its disk, wants the processor that serves them. */
#define CALM_MS 20

/* Returns whether it has let the phones through to what this device has taken over. */
static bool act_on_drop(Supervisor *supervisor)
{
	const RolePosture *posture = &supervisor->posture;
	g_autoptr(GError) error = NULL;
	bool same = supervisor->posture_done && posture->drop == supervisor->drop_done &&
		    (posture->drop != DROP_TIMED || posture->drop_until_us == supervisor->drop_until_done_us);
	if (same)
		return false;
	bool ok = true, taking_over = supervisor->posture_done && (supervisor->drop_done == DROP_TIMED || supervisor->begun_timer);
	gint64 begin_us = g_get_monotonic_time();
	g_clear_handle_id(&supervisor->begun_timer, g_source_remove);
	switch (posture->drop) {
	case DROP_NONE:
		ok = taking_over && aftermath_waits(supervisor->aftermath) ? drop_open(supervisor->drop, &error) : drop_lift(supervisor->drop, &error);
		if (taking_over) {
			supervisor->drop_lifted_us = g_get_monotonic_time();
			tell_phase(supervisor, "drop lifted", begin_us, supervisor->drop_lifted_us);
		}
		break;
	case DROP_ALWAYS:
		ok = drop_always(supervisor->drop, &error);
		break;
	case DROP_TIMED:
		ok = drop_for(supervisor->drop, posture->drop_until_us - begin_us, &error);
		break;
	}
	if (!ok) {
		g_autofree char *text = g_strdup_printf("Traffic cannot be held back while applications start: %s", error->message);
		events_raise_once(supervisor->events, "drop", 3600, EVENT_APPLICATION, "drop-refused", 2, text);
	}
	supervisor->drop_done = posture->drop;
	supervisor->drop_until_done_us = posture->drop_until_us;
	return taking_over && posture->drop == DROP_NONE && posture->serving;
}

/* What comes while the last application starts need not be sent again, where it says that it can wait in its socket. */
static void act_on_early_traffic(Supervisor *supervisor)
{
	const SettingsApplication *last = supervisor->posture.drop == DROP_TIMED ? applications_last_starting(supervisor->applications) : NULL;
	drop_queue(supervisor->drop, last && last->queue_early ? last->ready_check.port : 0);
}

static gboolean on_calm_time(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	supervisor_end_calm(supervisor);
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
	return G_SOURCE_REMOVE;
}

static gboolean on_begun_time(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	supervisor->begun_timer = 0;
	(void)act_on_drop(supervisor);
	peer_apply(supervisor->peer);
	return G_SOURCE_REMOVE;
}

static void act_on_master_file(Supervisor *supervisor)
{
	bool there = supervisor->posture_done ? supervisor->master_file : access(MASTER_FILE, F_OK) == 0;
	bool wanted = role_wants_master_file(&supervisor->posture, there, supervisor->facts.apps_stopped);
	if (supervisor->posture_done && wanted == there)
		return;
	supervisor->master_file = false;
	if (!wanted) {
		(void)unlink(MASTER_FILE);
		return;
	}
	int fd = open(MASTER_FILE, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	if (fd < 0) {
		g_warning(MASTER_FILE ": %s", g_strerror(errno));
		return;
	}
	close(fd);
	supervisor->master_file = true;
}

bool act_on_posture(Supervisor *supervisor, const RoleOnce *once)
{
	/* Traffic first: nobody shall meet a closed port between what follows. Only a Backup that takes over has the drop already: its end
	 * can be told to the kernel when the applications have begun. */
	bool later = supervisor->posture_done && supervisor->drop_done == DROP_ALWAYS && supervisor->posture.drop == DROP_TIMED;
	if (!later && act_on_drop(supervisor)) {
		supervisor->calm_timer = g_timeout_add(CALM_MS, on_calm_time, supervisor);
		return false;
	}
	act_on_master_file(supervisor); /* before syncd hears: who follows applies nothing while it is there, and what it is told is in that order */
	/* A takeover on files that are whole starts the applications before anybody else is told of it, who would want the processor too. */
	bool at_once = peer_look_at_files(supervisor->peer);
	if (!at_once && !supervisor->posture.run_applications)
		peer_apply_role(supervisor->peer); /* the files are to be whole: that goes on beside what follows */
	if (once->took_as_told)
		swap_taken(supervisor->swap);
	if (once->role_changed) {
		tell_role_changed(supervisor, once->old_role);
		keep_write_run(supervisor); /* before any process is touched: the next supervisor must not undo it */
	}
	if (once->joined)
		supervisor_set_joining(supervisor, false);
	if (at_once) {
		tell_whole(supervisor);
		return false;
	}
	/* One started while the device is being stopped decides as ever, and starts nothing. */
	applications_run(supervisor->applications,
			 supervisor->posture.run_applications && !process_table_is_stopping(supervisor->processes));
	act_on_early_traffic(supervisor);
	if (later && supervisor->posture.run_applications && !supervisor->begun_timer)
		supervisor->begun_timer = g_timeout_add(BEGUN_MS, on_begun_time, supervisor);
	if (!supervisor->begun_timer)
		peer_apply(supervisor->peer);
	if (once->announce)
		elect_announce(supervisor->elect);
	elect_apply(supervisor->elect);
	if (once->resign) {
		g_autofree char *text = g_strdup_printf("Device %s gives up: %s", supervisor->settings->name, once->resign);
		events_raise(supervisor->events, EVENT_APPLICATION, "resigned", 3, text);
		elect_resign(supervisor->elect, once->resign, NULL, NULL);
	}
	keep_mark_unstored(supervisor);
	if (once->unstored || supervisor->role.doubtful)
		tell_terms(supervisor);
	if (once->fresher_peer)
		events_raise(supervisor->events, EVENT_APPLICATION, "fresher-peer", 3,
			     "The peer came later and has newer data than this device, which goes on leading; the peer keeps its line under "
			     "refs/diverged: understudy diverged");
	if (once->term_changed) {
		keep_write_term(supervisor);
		service_changed(supervisor->service, "Term");
	}
	/* Nothing more to tell of this transition: it goes to disk with all its phases. */
	switch (supervisor->role.role) {
	case ROLE_MASTER:
	case ROLE_STANDALONE:
		if (applications_are_ready(supervisor->applications))
			tell_write_timeline(supervisor, timeline_end(supervisor->timeline));
		break;
	case ROLE_INIT:
	case ROLE_BACKUP:
	case ROLE_FAULT:
		if (applications_are_stopped(supervisor->applications))
			tell_write_timeline(supervisor, timeline_end(supervisor->timeline));
		break;
	case ROLE_TAKING_OVER:
	case ROLE_HANDING_OVER:
		break;
	}
	supervisor->posture_done = true;
	tell_watch_backup(supervisor);
	return true;
}

/* ---- Foreign instances ---- */

static void add_wanted(Application *application, gpointer user_data)
{
	const SettingsApplication *settings = application_settings(application);
	const char *program = settings->program;
	if (!program && settings->command && foreign_is_telling(settings->command[0]))
		program = settings->command[0];
	if (!program && settings->unit && foreign_is_telling(application_unit_program(application)))
		program = application_unit_program(application);
	if (program && *program)
		g_ptr_array_add(user_data, foreign_wanted_new(settings->name, program, settings->unit));
}

GPtrArray *act_foreign_wanted(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	GPtrArray *wanted = g_ptr_array_new_with_free_func(foreign_wanted_free);
	applications_each(supervisor->applications, add_wanted, wanted);
	return wanted;
}

void act_foreign_found(GPtrArray *found, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	g_autoptr(GPtrArray) problems = g_ptr_array_new_with_free_func(g_free);
	for (guint i = 0; i < found->len; i++) {
		const ForeignFound *one = found->pdata[i];
		char *text = g_strdup_printf("%s also runs as process %d, which Understudy did not start", one->name, (int)one->pid);
		g_autofree char *event = g_strdup_printf("Application %s", text);
		g_ptr_array_add(problems, text);
		events_raise_once(supervisor->events, event, 3600, EVENT_APPLICATION, "foreign-instance", 2, event);
	}
	g_ptr_array_add(problems, NULL);
	g_strfreev(supervisor->foreign_found);
	supervisor->foreign_found = (char **)g_ptr_array_free(g_steal_pointer(&problems), FALSE);
	examine_soon(supervisor->examine);
}
