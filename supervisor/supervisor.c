/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/supervisor.c - the whole: settings, start, the one place where decisions are made, and the orderly end. */
#include "supervisor/supervisor.h"

#include <errno.h>
#include <fcntl.h>
#include <glib-unix.h>
#include <malloc.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "supervisor/processes/cgroup.h"
#include "supervisor/keeper/wire.h"
#include "supervisor/lease.h"
#include "supervisor/processes/output.h"
#include "supervisor/processes/proc.h"
#include "supervisor/share.h"

#define NOTIFY_ADDRESS "unix:path=/run/understudy/private/notify"
#define PAIR_FILE SETTINGS_DIR "/pair.conf"
#define PARTING_MS 700
#define JOBS_FILE "/run/understudy/supervisor/jobs"
#define BEAT_S 1
#define REST_S 5                               /* once nothing was thought about for so long: */
#define STIR_FOR_US (4 * G_TIME_SPAN_SECOND)
#define TIDY_AFTER_US (3 * G_TIME_SPAN_SECOND) /* likewise */
#define TIDY_EVERY_US (1 * G_TIME_SPAN_MINUTE) /* people ask questions */
#define LOCK_WITHIN_US (2 * G_TIME_SPAN_SECOND)

/* ---- Deciding ---- */

static void on_calls(const Answers *answers, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	supervisor->calls_ask = NULL;
	supervisor->calls_answered = true;
	supervisor->calls_known = answers->n_asked > 0;
	supervisor->calls_up = !answers->quiet;
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
}

/* Asked only where it decides something: a Master that booted alone meets its peer. */
static void gather_calls(Supervisor *supervisor, RoleFacts *facts)
{
	Role role = supervisor->role.role;
	bool matters = supervisor->role.unmet && facts->peer_fresh && (role == ROLE_TAKING_OVER || role == ROLE_MASTER);
	if (!matters)
		supervisor->calls_answered = supervisor->calls_known = false;
	else if (!supervisor->calls_answered && !supervisor->calls_ask)
		supervisor->calls_ask = ask_begin(supervisor->applications, ASK_QUIET, on_calls, supervisor);
	facts->calls_asked = matters && !supervisor->calls_answered;
	facts->calls_up = supervisor->calls_known ? supervisor->calls_up : supervisor->posture.serving;
}

static void gather_facts(Supervisor *supervisor)
{
	RoleFacts *facts = &supervisor->facts;
	const Settings *settings = supervisor->settings;
	facts->redundant = settings->has_pair && settings->enabled;
	facts->mode = supervisor->mode.mode;
	facts->joining = supervisor->joining;
	facts->cold_boot_wait_us = settings->cold_boot_wait_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	facts->first_answer_us = settings->first_answer_ms * (gint64)G_TIME_SPAN_MILLISECOND;
	facts->own_boot_ms = supervisor->boot_ms;
	facts->apps_ready = applications_are_ready(supervisor->applications) || settings->applications->len == 0;
	facts->apps_stopped = applications_are_stopped(supervisor->applications);
	facts->apps_failed = undo_gives_up(supervisor->undo);
	facts->peer_failed_alike = undo_failed_alike(supervisor->undo, peer_state(supervisor->peer));
	facts->stored = supervisor->term_stored;
	elect_gather(supervisor->elect, facts);
	peer_gather(supervisor->peer, facts);
	gather_calls(supervisor, facts);
}

static void stir(Supervisor *supervisor);

static gboolean on_think_time(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	supervisor->think_timer = 0;
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
	return G_SOURCE_REMOVE;
}

static void set_think_timer(Supervisor *supervisor)
{
	if (supervisor->think_timer)
		g_source_remove(supervisor->think_timer);
	supervisor->think_timer = 0;
	if (supervisor->posture.next_us) {
		gint64 left_us = MAX(0, supervisor->posture.next_us - g_get_monotonic_time());
		supervisor->think_timer = g_timeout_add((guint)((left_us + 999) / 1000), on_think_time, supervisor);
	}
}

void supervisor_think(Supervisor *supervisor, RoleEvent event)
{
	if (!supervisor->started || supervisor->stopping)
		return; /* the picture is not whole yet, or no longer ours to change */
	if (supervisor->calm_timer && event == ROLE_EVENT_FACTS)
		return; /* it will be looked at then, all at once */
	supervisor_end_calm(supervisor);
	if (supervisor->thinking) {
		/* Acting has brought something new about. Orders are not given from within. */
		g_assert(event == ROLE_EVENT_FACTS);
		supervisor->think_again = true;
		return;
	}
	RoleOnce left = { 0 };
	supervisor->thinking = true;
	do {
		RoleOnce once;
		RoleMachine before = supervisor->role;
		supervisor->think_again = false;
		undo_look(supervisor->undo);
		gather_facts(supervisor);
		settings_orders_judge(supervisor->settings_orders);
		role_step(&supervisor->role, &supervisor->facts, event, g_get_monotonic_time(), &supervisor->posture, &once);
		role_once_add(&once, &left);
		left = act_on_posture(supervisor, &once) ? (RoleOnce){ 0 } : once;
		event = ROLE_EVENT_FACTS;
		if (supervisor->calm_timer) {
			supervisor->once_left = left;
			supervisor->role_told = before;
			supervisor->thinking = false;
			return;
		}
	} while (supervisor->think_again);
	supervisor->thinking = false;
	stir(supervisor);
	set_think_timer(supervisor);
	supervisor_remember(supervisor);
	swap_look(supervisor->swap);
	drill_look(supervisor->drill);
	examine_soon(supervisor->examine);
	settings_orders_look(supervisor->settings_orders);
	share_look(supervisor->share);
	held_orders_look(supervisor->held_orders);
}

const RoleMachine *supervisor_told(const Supervisor *supervisor)
{
	return supervisor->calm_timer ? &supervisor->role_told : &supervisor->role;
}

void supervisor_end_calm(Supervisor *supervisor)
{
	if (!supervisor->calm_timer)
		return;
	g_clear_handle_id(&supervisor->calm_timer, g_source_remove);
	supervisor->thinking = true;
	(void)act_on_posture(supervisor, &supervisor->once_left);
	supervisor->thinking = false;
}

static gboolean on_write_idle(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	supervisor->write_idle = 0;
	keep_write_run(supervisor);
	return G_SOURCE_REMOVE;
}

void supervisor_remember(Supervisor *supervisor)
{
	if (!supervisor->write_idle)
		supervisor->write_idle = g_idle_add_full(G_PRIORITY_HIGH_IDLE, on_write_idle, supervisor, NULL);
}

/* ---- Listeners ---- */

static void on_application_added(Application *application, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	if (supervisor->service)
		service_application_added(supervisor->service, application);
}

static void on_application_changed(Application *application, AppState old, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	service_application_changed(application);
	if (supervisor->timeline)
		tell_application_changed(supervisor, application, old);
	supervisor_remember(supervisor);
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
	stop_look(supervisor);
}

static void on_application_gone(Application *application, gpointer user_data)
{
	service_application_gone(application);
}

static void on_trouble(const char *name, const char *text, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	events_raise_once(supervisor->events, text, 3600, EVENT_APPLICATION, name, 3, text);
}

static void on_application_trouble(Application *application, const char *text, gpointer user_data)
{
	on_trouble("application-trouble", text, user_data);
}

static void on_processes_changed(gpointer user_data)
{
	supervisor_remember(user_data);
}

static void on_daemon_stopped(DaemonKind kind, gpointer user_data)
{
	stop_look(user_data);
}

static void on_store_failed(const char *path, const char *reason, gpointer user_data)
{
	keep_failed(user_data, path, reason);
}

static void on_store_written(const char *path, const char *text, gpointer user_data)
{
	keep_written(user_data, path, text);
}

static void on_notify_up(BusLink *link, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	events_flush(supervisor->events);
	if (supervisor->share)
		share_begin(supervisor->share);
}

/* sd_notify: who sends is said by the kernel. A word stays in the socket until what follows from it has been written down: an application says
 * once that it is ready, and the next supervisor must know. Heard twice it does no harm. */
static gboolean on_notify_socket(gint fd, GIOCondition condition, gpointer user_data)
{
	Supervisor *supervisor = user_data;
	char text[4096];
	union {
		char bytes[CMSG_SPACE(sizeof(struct ucred)) + CMSG_SPACE(16 * sizeof(int))];
		struct cmsghdr header;
	} control;
	struct iovec data = { .iov_base = text, .iov_len = sizeof text - 1 };
	struct msghdr message = { .msg_iov = &data, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof control };
	ssize_t n = recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC | MSG_PEEK);
	if (n < 0)
		return G_SOURCE_CONTINUE;
	text[n] = '\0';
	pid_t pid = 0;
	for (struct cmsghdr *part = CMSG_FIRSTHDR(&message); part; part = CMSG_NXTHDR(&message, part)) {
		if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS) {
			struct ucred sender;
			memcpy(&sender, CMSG_DATA(part), sizeof sender);
			pid = sender.pid;
		} else if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_RIGHTS) {
			/* Descriptors to keep, or a barrier: closing is the answer to the one and the refusal of the other. */
			int received[16];
			gsize bytes = part->cmsg_len - CMSG_LEN(0);
			memcpy(received, CMSG_DATA(part), MIN(bytes, sizeof received));
			for (gsize i = 0; i < MIN(bytes, sizeof received) / sizeof(int); i++)
				close(received[i]);
		}
	}
	if (pid > 0) {
		applications_notified(supervisor->applications, pid, text);
		keep_write_run(supervisor);
	}
	(void)!recv(fd, text, sizeof text, MSG_DONTWAIT);
	return G_SOURCE_CONTINUE;
}

/* Once everything has been quiet for a while: what a transition has left in memory goes back to the system, and what can be done for the next
 * one is done now. */
static void tidy(Supervisor *supervisor, gint64 now_us)
{
	if (now_us < supervisor->tidy_us)
		return;
	supervisor->tidy_us = now_us + TIDY_EVERY_US;
	drop_rest(supervisor->drop);
	applications_rest(supervisor->applications);
	malloc_trim(0);
}

static bool beat(Supervisor *supervisor, guint every_s);

/* Every second while something is under way, else with what looks every few seconds anyway: all that wakes an idle supervisor, but for the
 * checks of health. */
static gboolean on_beat(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	gint64 now_us = g_get_monotonic_time();
	process_table_settle(supervisor->processes);
	elect_live(supervisor->elect);
	keep_again(supervisor);
	keep_watch_mode(supervisor);
	tell_remind(supervisor);
	aftermath_look(supervisor->aftermath);
	if (output_trim())
		supervisor->stirred_us = now_us;
	foreign_look(supervisor->foreign);
	tidy(supervisor, now_us);
	bool rests = now_us - supervisor->stirred_us >= STIR_FOR_US && !supervisor->role.cold && !aftermath_hurries(supervisor->aftermath);
	return !beat(supervisor, rests ? REST_S : BEAT_S);
}

/* True: there is another timer now. */
static bool beat(Supervisor *supervisor, guint every_s)
{
	if (supervisor->beat_s == every_s)
		return false;
	supervisor->beat_s = every_s;
	supervisor->heartbeat = g_timeout_add_seconds_full(G_PRIORITY_HIGH, every_s, on_beat, supervisor, NULL);
	return true;
}

static void stir(Supervisor *supervisor)
{
	guint former = supervisor->heartbeat;
	supervisor->stirred_us = g_get_monotonic_time();
	supervisor->tidy_us = supervisor->stirred_us + TIDY_AFTER_US;
	if (beat(supervisor, BEAT_S) && former)
		g_source_remove(former);
}

static void on_lapsed(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	if (supervisor->elect)
		elect_lapsed(supervisor->elect);
}

/* ---- Settings ---- */

static void use_settings(Supervisor *supervisor, Settings *settings)
{
	settings_unref(supervisor->settings);
	supervisor->settings = settings;
	g_free(supervisor->settings_error);
	supervisor->settings_error = g_strdup("");
	daemons_use_settings(supervisor->daemons, NULL);
}

static void set_settings_error(Supervisor *supervisor, const char *text)
{
	bool new = strcmp(text, supervisor->settings_error) != 0;
	daemons_use_settings(supervisor->daemons, KEEP_GOOD_DIR);
	g_free(supervisor->settings_error);
	supervisor->settings_error = g_strdup(text);
	if (new && *text) {
		g_autofree char *event = g_strdup_printf("Settings are wrong, the last good ones stay in use: %s", text);
		g_warning("%s", event);
		events_raise(supervisor->events, EVENT_APPLICATION, "settings", 2, event);
	}
	service_changed(supervisor->service, "SettingsError");
	examine_soon(supervisor->examine);
}

void supervisor_refuse_settings(Supervisor *supervisor, const char *reason)
{
	set_settings_error(supervisor, reason);
}

static gboolean on_parting_time(gpointer user_data)
{
	Supervisor *supervisor = user_data;
	if (settings_orders_under_way(supervisor->settings_orders))
		return G_SOURCE_CONTINUE; /* which ends, the other answering or not */
	supervisor->peer_reload_timer = 0;
	peer_reload(supervisor->peer);
	return G_SOURCE_REMOVE;
}

bool supervisor_reload(Supervisor *supervisor, GError **error)
{
	guint port_before = supervisor->settings->peer_port;
	bool on_before = supervisor->settings->enabled;
	g_autoptr(GError) reason = NULL;
	Settings *settings = settings_load(SETTINGS_DIR, &reason);
	if (!settings) {
		set_settings_error(supervisor, reason->message);
		g_propagate_error(error, g_steal_pointer(&reason));
		return false;
	}
	if (strcmp(settings->id, supervisor->settings->id) != 0)
		g_warning("the device id changes from %s to %s", supervisor->settings->id, settings->id);
	use_settings(supervisor, settings);
	g_strlcpy(supervisor->role.id, settings->id, sizeof supervisor->role.id);
	keep_good_settings(supervisor);
	settings_orders_in_use(supervisor->settings_orders);
	drop_configure(supervisor->drop, settings);
	daemons_configure(supervisor->daemons, settings);
	applications_configure(supervisor->applications, settings);
	examine_reload(supervisor->examine);
	supervisor->posture_done = false; /* the addresses may be others */
	static const char *const properties[] = { "SettingsError", "DeviceId", "DeviceName", "Enabled", "GroupId", "ServiceAddresses",
						  "PairRevision", "PairHash" };
	for (gsize i = 0; i < G_N_ELEMENTS(properties); i++)
		service_changed(supervisor->service, properties[i]);
	/* The role first: its holds are on their way before vrrpd learns that it may elect. */
	undo_reset(supervisor->undo);
	elect_reload(supervisor->elect);
	share_reload(supervisor->share);
	bool parting = port_before != settings->peer_port || (on_before && !settings->enabled);
	if (!parting || !peer_is_connected(supervisor->peer))
		peer_reload(supervisor->peer);
	else if (!supervisor->peer_reload_timer) /* over the link as it was the two still tell each other that they change it */
		supervisor->peer_reload_timer = g_timeout_add(PARTING_MS, on_parting_time, supervisor);
	return true;
}

typedef struct {
	Supervisor *supervisor;
	StoreDoneCb done;
	gpointer user_data;
} Adopting;

static void on_pair_written(const GError *failure, gpointer user_data)
{
	g_autofree Adopting *adopting = user_data;
	g_autoptr(GError) error = NULL;
	if (!failure && !supervisor_reload(adopting->supervisor, &error))
		failure = error;
	adopting->done(failure, adopting->user_data);
}

void supervisor_adopt_pair(Supervisor *supervisor, const char *text, StoreDoneCb done, gpointer user_data)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(Settings) settings = settings_load_with(SETTINGS_DIR, "pair.conf", text, &error); /* it may name an interface that we lack */
	if (!settings) {
		done(error, user_data);
		return;
	}
	Adopting *adopting = g_new0(Adopting, 1);
	*adopting = (Adopting){ supervisor, done, user_data };
	store_write_then(supervisor->settings_store, PAIR_FILE, text, on_pair_written, adopting);
}

/* ---- Start ---- */

/* One supervisor at a time; the file says to a new keeper who that is. A child of the last one may hold the lock until its exec. */
static bool take_lock(void)
{
	int fd = open(SUPERVISOR_LOCK, O_RDWR | O_CREAT | O_CLOEXEC, 0644);
	gint64 deadline_us = g_get_monotonic_time() + LOCK_WITHIN_US;
	while (fd >= 0 && flock(fd, LOCK_EX | LOCK_NB) < 0) {
		if (errno != EWOULDBLOCK || g_get_monotonic_time() > deadline_us) {
			g_printerr("%s: another supervisor runs\n", SUPERVISOR_LOCK);
			return false;
		}
		g_usleep(5000);
	}
	ProcStat own;
	if (fd < 0 || !proc_stat(getpid(), &own)) {
		g_printerr("%s: %s\n", SUPERVISOR_LOCK, g_strerror(errno));
		return false;
	}
	g_autofree char *text = g_strdup_printf("%d %" G_GUINT64_FORMAT "\n", (int)getpid(), own.start_ticks);
	return ftruncate(fd, 0) == 0 && pwrite(fd, text, strlen(text), 0) == (ssize_t)strlen(text);
}

/* The start of process 1, which is the device's own also where several share a kernel. */
static gint64 find_boot_ms(void)
{
	struct timespec now;
	ProcStat init = { 0 };
	clock_gettime(CLOCK_BOOTTIME, &now);
	(void)proc_stat(1, &init);
	gint64 up_ms = now.tv_sec * 1000 + now.tv_nsec / G_GINT64_CONSTANT(1000000);
	return g_get_real_time() / 1000 - up_ms + (gint64)(init.start_ticks * 1000 / (guint64)sysconf(_SC_CLK_TCK));
}

Supervisor *supervisor_new(void)
{
	Supervisor *supervisor = g_new0(Supervisor, 1);
	supervisor->loop = g_main_loop_new(NULL, FALSE);
	supervisor->boot_ms = find_boot_ms();
	supervisor->settings_error = g_strdup("");
	supervisor->app_begun = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return supervisor;
}

static bool anything_runs(GPtrArray *records)
{
	for (guint i = 0; i < records->len; i++) {
		const ProcRecord *record = records->pdata[i];
		if (proc_is_alive(record->pid, record->start_ticks))
			return true;
	}
	return false;
}

/* Those on disk; or, where something runs already, the last good ones. */
static char *load_settings(Supervisor *supervisor, GPtrArray *records)
{
	g_autoptr(GError) error = NULL;
	supervisor->settings = settings_load(SETTINGS_DIR, &error);
	if (supervisor->settings)
		return NULL;
	if (anything_runs(records))
		supervisor->settings = keep_load_good_settings(NULL);
	else
		keep_forget_good_settings();
	if (!supervisor->settings)
		g_printerr("%s\n", error->message);
	return g_strdup(error->message);
}

static void keep_jobs(const char *text)
{
	(void)store_write_run(JOBS_FILE, text);
}

static bool make_parts(Supervisor *supervisor, GError **error)
{
	static const ApplicationsListener on_applications = { on_application_added, on_application_changed, on_application_gone,
								      on_application_trouble };
	static const DaemonsListener on_daemons = { on_trouble, on_processes_changed, on_daemon_stopped };
	supervisor->cgroup = cgroup_own(error);
	if (!supervisor->cgroup)
		return false;
	supervisor->processes = process_table_new(KEEPER_FD_LINK);
	supervisor->daemons = daemons_new(supervisor->processes, supervisor->cgroup, &on_daemons, supervisor, error);
	if (!supervisor->daemons || !daemons_make_folders(supervisor->daemons, error))
		return false;
	output_prepare();
	supervisor->store = store_new(SUPERVISOR_RUN_DIR "/unstored", on_store_failed, on_store_written, supervisor);
	supervisor->settings_store = store_new(SUPERVISOR_RUN_DIR "/unstored-settings", on_store_failed, NULL, supervisor);
	supervisor->applications = applications_new(supervisor->processes, supervisor->cgroup, &on_applications, supervisor);
	supervisor->drop = drop_new();
	drop_configure(supervisor->drop, supervisor->settings);
	keep_load(supervisor);

	g_autofree char *text = store_read(supervisor->store, STATE_DIR "/timeline");
	supervisor->timeline = timeline_new(text);
	supervisor->notify_link = bus_link_new_private(NOTIFY_ADDRESS);
	supervisor->events = events_new(supervisor->notify_link, supervisor->store, supervisor->settings->id);
	bus_link_on_change(supervisor->notify_link, on_notify_up, NULL, supervisor);
	supervisor->elect = elect_new(supervisor);
	supervisor->peer = peer_new(supervisor);
	supervisor->share = share_new(supervisor);
	supervisor->swap = swap_new(supervisor);
	supervisor->undo = undo_new(supervisor);
	supervisor->hooks = hooks_new(supervisor->applications, peer_link(supervisor->peer));
	supervisor->reboot = reboot_new(supervisor);
	supervisor->held_orders = held_orders_new(supervisor);
	supervisor->drill = drill_new(supervisor);
	supervisor->examine = examine_new(supervisor);
	supervisor->settings_orders = settings_orders_new(supervisor);
	supervisor->aftermath = aftermath_new(supervisor);
	keep_load_rest(supervisor);
	applications_configure(supervisor->applications, supervisor->settings);
	supervisor->service = service_new(supervisor, error);
	if (!supervisor->service)
		return false;
	g_autofree char *jobs = NULL;
	(void)g_file_get_contents(JOBS_FILE, &jobs, NULL, NULL);
	supervisor->jobs = jobs_new(service_tree(supervisor->service), "/org/understudy/Supervisor1", "supervisor", jobs, keep_jobs);
	return true;
}

static gboolean on_stopped_before(gpointer user_data)
{
	supervisor_stop(user_data);
	return G_SOURCE_REMOVE;
}

bool supervisor_start(Supervisor *supervisor)
{
	g_autoptr(GPtrArray) records = proc_records_load();
	g_autoptr(GError) error = NULL;
	if (!take_lock()) {
		supervisor->exit_status = 1;
		return false;
	}
	g_autofree char *bad = load_settings(supervisor, records);
	if (!supervisor->settings) {
		supervisor->exit_status = 2;
		return false;
	}
	if (!make_parts(supervisor, &error)) {
		g_printerr("%s\n", error->message);
		supervisor->exit_status = 2;
		return false;
	}
	if (bad)
		set_settings_error(supervisor, bad);
	else
		keep_good_settings(supervisor);
	applications_adopt(supervisor->applications, records);
	if (!applications_are_stopped(supervisor->applications))
		supervisor->role.settled = true; /* they were started on whole files; the note of that may have come too late */
	daemons_configure(supervisor->daemons, supervisor->settings);
	daemons_start(supervisor->daemons, records);

	g_unix_fd_add(KEEPER_FD_NOTIFY, G_IO_IN, on_notify_socket, supervisor);
	supervisor->foreign = foreign_new(act_foreign_wanted, act_foreign_found, supervisor);
	lease_begin(KEEPER_FD_LEASE, on_lapsed, supervisor);
	process_table_up(supervisor->processes);
	supervisor->started = true;
	supervisor_think(supervisor, ROLE_EVENT_FACTS);
	drill_resume(supervisor->drill);
	if (process_table_is_stopping(supervisor->processes))
		g_idle_add(on_stopped_before, supervisor);
	return true;
}

void supervisor_free(Supervisor *supervisor)
{
	jobs_free(supervisor->jobs);
	held_orders_free(supervisor->held_orders);
	service_free(supervisor->service);
	examine_free(supervisor->examine);
	foreign_free(supervisor->foreign);
	g_strfreev(supervisor->foreign_found);
	if (supervisor->peer_reload_timer)
		g_source_remove(supervisor->peer_reload_timer);
	aftermath_free(supervisor->aftermath);
	settings_orders_free(supervisor->settings_orders);
	ask_free(supervisor->calls_ask);
	undo_free(supervisor->undo);
	hooks_free(supervisor->hooks);
	reboot_free(supervisor->reboot);
	drill_free(supervisor->drill);
	swap_free(supervisor->swap);
	share_free(supervisor->share);
	supervisor->share = NULL;
	peer_free(supervisor->peer);
	elect_free(supervisor->elect);
	events_free(supervisor->events);
	bus_link_free(supervisor->notify_link);
	timeline_free(supervisor->timeline);
	g_clear_handle_id(&supervisor->calm_timer, g_source_remove);
	g_clear_handle_id(&supervisor->begun_timer, g_source_remove);
	drop_free(supervisor->drop);
	applications_free(supervisor->applications);
	daemons_free(supervisor->daemons);
	process_table_free(supervisor->processes);
	store_free(supervisor->settings_store);
	store_free(supervisor->store);
	settings_unref(supervisor->settings);
	g_hash_table_destroy(supervisor->app_begun);
	g_main_loop_unref(supervisor->loop);
	g_free(supervisor->settings_error);
	g_free(supervisor->order);
	g_free(supervisor->failover);
	g_free(supervisor->blamed.name);
	g_free(supervisor->written_state);
	g_free(supervisor->written_processes);
	g_free(supervisor->cgroup);
	g_free(supervisor);
}
