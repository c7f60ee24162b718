/* SPDX-License-Identifier: LGPL-2.1-or-later */
/* supervisor/processes/spawn.c - clone3, then only system calls until exec: the child may hold locks of ours that nobody will release. */
#include "supervisor/processes/spawn.h"

#include <cap-ng.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <pwd.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "settings/settings.h"
#include "supervisor/processes/proc.h"

enum { BEGIN_MS = 5 };

static void set_errno(GError **error, int number, const char *what)
{
	g_set_error(error, G_FILE_ERROR, (gint)g_file_error_from_errno(number), "%s: %s", what, g_strerror(number));
}

bool spawn_find_group(const char *group, gid_t *ret_gid, GError **error)
{
	const struct group *found = getgrnam(group);
	if (!found) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no group %s on this device", group);
		return false;
	}
	*ret_gid = found->gr_gid;
	return true;
}

bool spawn_find_user(const char *user, const char *group, uid_t *ret_uid, gid_t *ret_gid, GError **error)
{
	const struct passwd *passwd = getpwnam(user);
	if (!passwd) {
		g_set_error(error, G_FILE_ERROR, G_FILE_ERROR_NOENT, "no user %s on this device", user);
		return false;
	}
	uid_t uid = passwd->pw_uid;
	gid_t gid = passwd->pw_gid;
	if (group && !spawn_find_group(group, &gid, error))
		return false;
	*ret_uid = uid;
	*ret_gid = gid;
	return true;
}

/* ---- In the child ---- */

static bool arrange_mounts(const char *const *writable, const char *settings, const char *const *binds, bool binds_writable)
{
	struct mount_attr read_only = { .attr_set = MOUNT_ATTR_RDONLY };
	struct mount_attr read_write = { .attr_clr = MOUNT_ATTR_RDONLY };
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		return false;
	if (settings && mount(settings, SETTINGS_DIR, NULL, MS_BIND, NULL) < 0)
		return false;
	for (const char *const *pair = binds; pair && *pair; pair += 2)
		if (mount(pair[0], pair[1], NULL, MS_BIND | MS_REC, NULL) < 0 ||
		    (!binds_writable && mount_setattr(AT_FDCWD, pair[1], AT_RECURSIVE, &read_only, sizeof read_only) < 0))
			return false;
	if (!writable)
		return true;
	/* Each becomes a mount of its own, so that it can be told apart from the rest. */
	for (const char *const *path = writable; *path; path++)
		if (mount(*path, *path, NULL, MS_BIND | MS_REC, NULL) < 0)
			return false;
	if (mount_setattr(AT_FDCWD, "/", AT_RECURSIVE, &read_only, sizeof read_only) < 0)
		return false;
	for (const char *const *path = writable; *path; path++)
		if (mount_setattr(AT_FDCWD, *path, AT_RECURSIVE, &read_write, sizeof read_write) < 0)
			return false;
	return true;
}

/* The wrappers of libc would look for threads that this process does not have. */
static bool change_user(const SpawnPlan *plan)
{
	return syscall(SYS_setgroups, plan->n_groups, plan->groups) == 0 &&
	       syscall(SYS_setresgid, plan->gid, plan->gid, plan->gid) == 0 &&
	       syscall(SYS_setresuid, plan->uid, plan->uid, plan->uid) == 0;
}

static bool take_rights(const SpawnPlan *plan)
{
	if (plan->keep_capabilities)
		return !plan->change_user || change_user(plan);
	capng_clear(CAPNG_SELECT_ALL);
	for (gsize i = 0; i < plan->n_capabilities; i++)
		if (capng_update(CAPNG_ADD, CAPNG_EFFECTIVE | CAPNG_PERMITTED | CAPNG_INHERITABLE | CAPNG_BOUNDING_SET | CAPNG_AMBIENT,
				 (unsigned)plan->capabilities[i]) < 0)
			return false;
	for (gsize i = 0; i < plan->n_bounds; i++)
		if (capng_update(CAPNG_ADD, CAPNG_BOUNDING_SET, (unsigned)plan->bounds[i]) < 0)
			return false;
	/* The bounding set needs CAP_SETPCAP, so it is narrowed first; the ambient set survives exec, so it comes last. */
	return prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0) == 0 && capng_apply(CAPNG_SELECT_BOUNDS) == 0 &&
	       (!plan->change_user || change_user(plan)) && capng_apply(CAPNG_SELECT_CAPS) == 0 &&
	       capng_apply(CAPNG_SELECT_AMBIENT) == 0 && prctl(PR_SET_KEEPCAPS, 0, 0, 0, 0) == 0 &&
	       (plan->has_bounds || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0);
}

static void complain(const char *what, const char *about, int number)
{
	static const char before[] = "understudy-supervisor: ";
	const char *reason = strerrordesc_np(number);
	(void)!write(STDERR_FILENO, before, sizeof before - 1);
	(void)!write(STDERR_FILENO, about, strlen(about));
	(void)!write(STDERR_FILENO, ": ", 2);
	(void)!write(STDERR_FILENO, what, strlen(what));
	(void)!write(STDERR_FILENO, ": ", 2);
	(void)!write(STDERR_FILENO, reason ? reason : "?", reason ? strlen(reason) : 1);
	(void)!write(STDERR_FILENO, "\n", 1);
}

static bool write_number(const char *path, int value)
{
	char text[8];
	int n, rest = ABS(value), at = sizeof text;
	do
		text[--at] = (char)('0' + rest % 10);
	while (rest /= 10);
	if (value < 0)
		text[--at] = '-';
	n = (int)sizeof text - at;
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool ok = fd >= 0 && write(fd, text + at, (size_t)n) == n;
	int number = errno;
	if (fd >= 0)
		close(fd);
	errno = number;
	return ok;
}

bool spawn_be_nice(int nice)
{
	bool ok = setpriority(PRIO_PROCESS, 0, nice) == 0;
	int number = errno;
	if (nice != 0) /* a new session has 0; not every kernel has them */
		(void)write_number("/proc/self/autogroup", nice);
	errno = number;
	return ok;
}

/* A limit that the machine refuses is said and gone without: a PBX without its scheduling class is better than none. */
static void take_limits(const SpawnPlan *plan)
{
	for (gsize i = 0; i < plan->n_limits; i++) {
		struct rlimit limit = { .rlim_cur = plan->limits[i].value, .rlim_max = plan->limits[i].value };
		struct rlimit most;
		if (prlimit(0, (enum __rlimit_resource)plan->limits[i].resource, &limit, NULL) == 0)
			continue;
		complain("a limit", plan->argv[0], errno);
		/* As near to it as may be. */
		if (prlimit(0, (enum __rlimit_resource)plan->limits[i].resource, NULL, &most) == 0) {
			most.rlim_cur = most.rlim_max;
			(void)prlimit(0, (enum __rlimit_resource)plan->limits[i].resource, &most, NULL);
		}
	}
	/* Our own haste is not theirs. */
	if (!spawn_be_nice(plan->nice) && plan->nice != 0)
		complain("nice", plan->argv[0], errno);
	struct sched_param schedule = { .sched_priority = plan->realtime };
	if (plan->realtime && sched_setscheduler(0, SCHED_RR, &schedule) < 0)
		complain("real-time scheduling", plan->argv[0], errno);
	if (plan->oom_score_adj && !write_number("/proc/self/oom_score_adj", plan->oom_score_adj))
		complain("oom-score-adj", plan->argv[0], errno);
}

G_NORETURN static void be_child(const SpawnPlan *plan)
{
	struct sigaction normal = { .sa_handler = SIG_DFL };
	for (int number = 1; number < NSIG; number++)
		(void)sigaction(number, &normal, NULL);
	sigset_t none;
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);

	(void)setsid();
	int input = open("/dev/null", O_RDONLY);
	if (input >= 0)
		dup2(input, STDIN_FILENO);
	dup2(plan->output, STDOUT_FILENO);
	dup2(plan->output, STDERR_FILENO);
	(void)close_range(3, ~0U, CLOSE_RANGE_CLOEXEC); /* our parent sees by one of them that we have become the program */
	umask(022);
	take_limits(plan);

	if ((plan->writable || plan->settings || plan->binds) && !arrange_mounts(plan->writable, plan->settings, plan->binds, plan->binds_writable)) {
		complain("own mount namespace", plan->argv[0], errno);
		_exit(SPAWN_EXIT_RIGHTS);
	}
	if (!take_rights(plan)) {
		complain("changing rights", plan->argv[0], errno);
		_exit(SPAWN_EXIT_RIGHTS);
	}
	if (chdir(plan->directory) < 0) {
		complain(plan->directory, plan->argv[0], errno);
		_exit(SPAWN_EXIT_RIGHTS);
	}
	execve(plan->argv[0], (char *const *)plan->argv, (char *const *)plan->environment);
	complain("cannot be executed", plan->argv[0], errno);
	_exit(SPAWN_EXIT_EXEC);
}

/* ---- In the parent ---- */

/* Until the child is the program it shall be, or has ended, or it takes long (a slow disk). It begins on the processor that we are on, and we come
 * before everybody else there: it would wait for all that we have to do next. */
static void let_begin(int begun)
{
	struct pollfd look = { .fd = begun };
	(void)poll(&look, 1, BEGIN_MS);
}

bool spawn_process(const SpawnPlan *plan, Spawned *ret_spawned, GError **error)
{
	int cgroup = open(plan->cgroup, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (cgroup < 0) {
		set_errno(error, errno, plan->cgroup);
		return false;
	}
	int pidfd = -1, begun[2];
	if (pipe2(begun, O_CLOEXEC) < 0) {
		set_errno(error, errno, plan->argv[0]);
		close(cgroup);
		return false;
	}
	struct clone_args arguments = {
		.flags = CLONE_PARENT | CLONE_PIDFD | CLONE_INTO_CGROUP, /* the end is told as ours would be: SIGCHLD */
		.pidfd = (guint64)(guintptr)&pidfd,
		.cgroup = (guint64)cgroup,
	};
	sigset_t all, before;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &before); /* no handler of ours may run in the child */
	pid_t pid = (pid_t)syscall(SYS_clone3, &arguments, sizeof arguments);
	if (pid == 0)
		be_child(plan);
	int reason = errno;
	sigprocmask(SIG_SETMASK, &before, NULL);
	close(cgroup);
	close(begun[1]);
	if (pid > 0)
		let_begin(begun[0]);
	close(begun[0]);
	if (pid < 0) {
		set_errno(error, reason, plan->argv[0]);
		return false;
	}
	ProcStat stat = { 0 };
	(void)proc_stat(pid, &stat); /* if it is reaped already, its report carries the same zero or is told by the pidfd */
	*ret_spawned = (Spawned){ .pid = pid, .pidfd = pidfd, .start_ticks = stat.start_ticks };
	return true;
}

bool spawn_make_real_time(pid_t pid, int priority, GError **error)
{
	struct sched_param schedule = { .sched_priority = priority };
	struct rlimit unlimited = { .rlim_cur = RLIM_INFINITY, .rlim_max = RLIM_INFINITY };
	/* Each by itself: one refusal must not cost the other. */
	int memory = prlimit(pid, RLIMIT_MEMLOCK, &unlimited, NULL) < 0 ? errno : 0;
	/* Its threads are to have it, too: they have no right to take it themselves. */
	int schedule_reason = sched_setscheduler(pid, SCHED_RR, &schedule) < 0 ? errno : 0;
	if (schedule_reason)
		set_errno(error, schedule_reason, memory ? "real-time scheduling and unlimited locked memory" : "real-time scheduling");
	else if (memory)
		set_errno(error, memory, "unlimited locked memory");
	return !schedule_reason && !memory;
}
