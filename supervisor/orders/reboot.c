/* SPDX-License-Identifier: LGPL-2.1-or-later */
/*
 * supervisor/orders/reboot.c - reboots this device by order: a Master hands over first. systemd-logind is asked, or the command of device.conf is run.
 */
#include <sys/wait.h>
#include <unistd.h>

#include "supervisor/processes/cgroup.h"
#include "supervisor/processes/output.h"
#include "supervisor/supervisor.h"

#define CGROUP_ASKS "understudy-asks"
#define LOGIND_MS 3000

struct Reboot {
	Supervisor *supervisor;
	Job *job; /* under way, or NULL */
	Process *command;
};

static void end(Reboot *reboot, const char *error)
{
	Job *job = g_steal_pointer(&reboot->job);
	if (error)
		g_warning("reboot: %s", error);
	if (job)
		job_end(job, error ? JOB_FAILED : JOB_DONE, error, NULL);
}

static void on_command_ended(int status, gpointer user_data)
{
	Reboot *reboot = user_data;
	reboot->command = NULL;
	g_autofree char *how = process_describe(status);
	g_autofree char *error = g_strdup_printf("reboot-failed: the reboot-command ended with %s", how);
	end(reboot, status != -1 && WIFEXITED(status) && WEXITSTATUS(status) == 0 ? NULL : error);
}

static void run_command(Reboot *reboot)
{
	Supervisor *supervisor = reboot->supervisor;
	static const char *const environment[] = { "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG=C.UTF-8", NULL };
	g_autoptr(GError) error = NULL;
	g_autofree char *cgroup = cgroup_make(supervisor->cgroup, CGROUP_ASKS, "reboot", &error);
	SpawnPlan plan = {
		.argv = (const char *const *)supervisor->settings->reboot_command,
		.environment = environment,
		.directory = "/",
		.cgroup = cgroup,
		.keep_capabilities = true,
		.output = output_open("reboot"),
	};
	Spawned spawned;
	if (cgroup && spawn_process(&plan, &spawned, &error))
		reboot->command = process_watch(supervisor->processes, &spawned, on_command_ended, reboot);
	close(plan.output);
	if (error) {
		g_autofree char *text = g_strdup_printf("reboot-failed: %s", error->message);
		end(reboot, text);
	}
}

static void on_logind(GVariant *values, const GError *error, gpointer user_data)
{
	g_autofree char *text = error ? g_strdup_printf("reboot-failed: systemd-logind: %s; give a reboot-command in device.conf", error->message) : NULL;
	end(user_data, text);
}

static void go(Reboot *reboot)
{
	Supervisor *supervisor = reboot->supervisor;
	g_autofree char *text = g_strdup_printf("Device %s is rebooted by order", supervisor->settings->name);
	events_raise(supervisor->events, EVENT_APPLICATION, "reboot", 2, text);
	job_say(reboot->job, 0.9, "rebooting");
	if (supervisor->settings->reboot_command)
		run_command(reboot);
	else
		(void)bus_link_call(service_link(supervisor->service), "org.freedesktop.login1", "/org/freedesktop/login1",
				    "org.freedesktop.login1.Manager", "Reboot", g_variant_new("(b)", FALSE), LOGIND_MS, on_logind, reboot);
}

static void on_swapped(bool done, const char *error, gpointer user_data)
{
	Reboot *reboot = user_data;
	if (done)
		go(reboot);
	else
		end(reboot, error);
}

const char *reboot_begin(Reboot *reboot, const char *reason, bool force, GError **error)
{
	Supervisor *supervisor = reboot->supervisor;
	bool leads = supervisor->role.role == ROLE_MASTER || supervisor->role.role == ROLE_TAKING_OVER || supervisor->role.role == ROLE_HANDING_OVER;
	if (reboot->job || swap_is_running(supervisor->swap)) {
		g_set_error_literal(error, BUS_ERROR, BUS_ERROR_BUSY, "busy: something else is under way");
		return NULL;
	}
	g_autoptr(GError) refusal = NULL;
	reboot->job = job_begin(supervisor->jobs, "reboot", NULL, NULL, error);
	if (!reboot->job)
		return NULL;
	const char *path = job_path(reboot->job);
	job_say(reboot->job, 0.1, leads ? "handing over" : "rebooting");
	SwapOrder order = { .reason = reason && *reason ? reason : "reboot", .ended = on_swapped, .user_data = reboot };
	if (!leads || (!swap_begin(supervisor->swap, &order, &refusal) && force)) {
		go(reboot);
		return path;
	}
	if (!refusal)
		return path;
	end(reboot, refusal->message);
	g_set_error(error, BUS_ERROR, BUS_ERROR_REFUSED, "%s; --force reboots it all the same, and nobody takes over in order", refusal->message);
	return NULL;
}

Reboot *reboot_new(Supervisor *supervisor)
{
	Reboot *reboot = g_new0(Reboot, 1);
	reboot->supervisor = supervisor;
	return reboot;
}

void reboot_free(Reboot *reboot)
{
	if (!reboot)
		return;
	process_forget(reboot->command);
	g_free(reboot);
}
